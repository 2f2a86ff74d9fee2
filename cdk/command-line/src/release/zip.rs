//! The Lambda's zip: what CloudFormation deploys. Equal binaries make equal zips on every machine.

use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use super::binary::inspect;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipArchive, ZipWriter};

/// The binary and the zip's only entry. AWS: "OS-only runtimes", `provided.al2023` runs the file of this name.
pub(super) const BOOTSTRAP: &str = "bootstrap";

/// Executable by everyone: Lambda runs it as a user of its own.
const PERMISSIONS: u32 = 0o755;

/// Compression of the zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// The best that deflate can do: a release is packed once and downloaded at every cold start.
    Best,
    /// The fastest, for the local engine.
    Fast,
}

impl Compression {
    /// Returns the level of deflate.
    fn level(self) -> i64 {
        match self {
            Self::Best => 9,
            Self::Fast => 1,
        }
    }
}

/// Why there is no zip.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// The binary cannot be read.
    #[error("cannot read the Lambda's binary {path}: build it again")]
    Read {
        /// The binary.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Lambda would not start it.
    #[error("{0}; give the zip that `cavatica-connect package` wrote")]
    NotCode(String),
    /// The binary cannot be packed.
    #[error("cannot pack the Lambda's binary {path} into a zip: see that it is a file of less than 4 GiB")]
    Pack {
        /// The binary.
        path: PathBuf,
        /// Why not.
        #[source]
        source: zip::result::ZipError,
    },
}

/// Size of an unpacked function, in bytes. AWS: "Lambda quotas", deployment package.
const MOST_BYTES: u64 = 250 * 1024 * 1024;

/// The Lambda's zip, and the name that its content gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The zip; equal binaries make equal bytes on every machine.
    pub bytes: Vec<u8>,
    /// The zip's SHA-256, 64 hex digits in lower case.
    pub sha256: String,
    /// Key in a bucket. It contains the digest, so that an object never changes.
    pub key: String,
}

impl Asset {
    /// Packs a binary as it is released.
    pub fn from_binary(path: &Path) -> Result<Self, ZipError> {
        Self::packed(path, Compression::Best)
    }

    /// Packs a binary.
    pub fn packed(path: &Path, compression: Compression) -> Result<Self, ZipError> {
        let binary = fs::read(path).map_err(|source| ZipError::Read { path: path.to_owned(), source })?;
        let bytes = pack(&binary, compression).map_err(|source| ZipError::Pack { path: path.to_owned(), source })?;
        Ok(Self::from_zip(bytes))
    }

    /// Names a zip.
    #[must_use]
    pub fn from_zip(bytes: Vec<u8>) -> Self {
        let sha256 = hex(&Sha256::digest(&bytes));
        let key = format!("cavatica-connect/{sha256}.zip");
        Self { bytes, sha256, key }
    }

    /// Names a zip that somebody made, if Lambda would start it.
    ///
    /// # Errors
    ///
    /// A file that is no zip, and a zip without an executable `bootstrap` for x86-64 Linux.
    pub fn checked(bytes: Vec<u8>) -> Result<Self, ZipError> {
        let asset = Self::from_zip(bytes);
        let binary = asset.binary(MOST_BYTES).map_err(ZipError::NotCode)?;
        inspect(&binary).map_err(|error| ZipError::NotCode(error.to_string()))?;
        Ok(asset)
    }

    /// Unpacks the binary, up to one byte more than the limit. What Lambda would not start is named.
    pub fn binary(&self, limit: u64) -> Result<Vec<u8>, String> {
        let failed = |error: zip::result::ZipError| error.to_string();
        let mut zip = ZipArchive::new(Cursor::new(&self.bytes)).map_err(failed)?;
        if zip.len() != 1 {
            return Err(format!("it has {} entries in place of one", zip.len()));
        }
        let entry = zip.by_name(BOOTSTRAP).map_err(failed)?;
        if entry.unix_mode().is_none_or(|mode| mode & 0o111 != 0o111) {
            return Err(format!("its {BOOTSTRAP} is not executable"));
        }
        let mut binary = Vec::new();
        // A zip of a few bytes can unpack to any size.
        entry.take(limit + 1).read_to_end(&mut binary).map_err(|error| error.to_string())?;
        Ok(binary)
    }
}

/// Zips a binary with everything said explicitly that would otherwise come from this machine or this moment.
fn pack(binary: &[u8], compression: Compression) -> Result<Vec<u8>, zip::result::ZipError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(compression.level()))
        .last_modified_time(DateTime::default())
        .system(System::Unix)
        .unix_permissions(PERMISSIONS);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(BOOTSTRAP, options)?;
    zip.write_all(binary)?;
    Ok(zip.finish()?.into_inner())
}

/// Bytes as hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn asset(binary: &[u8]) -> Asset {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some-binary");
        fs::write(&path, binary).unwrap();
        Asset::from_binary(&path).unwrap()
    }

    #[test]
    fn equal_binaries_make_equal_zips() {
        assert_eq!(asset(b"one"), asset(b"one"));
        assert_ne!(asset(b"one").key, asset(b"two").key);
    }

    #[test]
    fn the_entry_is_the_executable_that_the_runtime_looks_for() {
        let asset = asset(b"#!/bin/sh\n");
        let mut zip = zip::ZipArchive::new(Cursor::new(asset.bytes)).unwrap();
        assert_eq!(zip.len(), 1);
        let mut entry = zip.by_name("bootstrap").unwrap();
        assert_eq!(entry.unix_mode().map(|mode| mode & 0o7777), Some(0o755));
        let mut content = Vec::new();
        io::copy(&mut entry, &mut content).unwrap();
        assert_eq!(content, b"#!/bin/sh\n");
    }

    #[test]
    fn the_key_names_the_content() {
        let asset = asset(b"one");
        assert_eq!(asset.key, format!("cavatica-connect/{}.zip", hex(&Sha256::digest(&asset.bytes))));
    }

    #[test]
    fn a_missing_binary_is_named() {
        let error = Asset::from_binary(Path::new("nowhere/bootstrap")).unwrap_err();
        assert!(error.to_string().contains("nowhere/bootstrap"), "{error}");
    }
}
