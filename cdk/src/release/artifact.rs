//! The Lambda's zip: what CloudFormation deploys.
//!
//! Owns: building the Lambda's binary and packing it the same way everywhere. Not here: where a zip is uploaded to, and
//! the template that names its key.

use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::children;
use super::workspace::Workspace;

/// The binary and the zip's only entry. AWS: "OS-only runtimes", `provided.al2023` runs the file of this name.
const BOOTSTRAP: &str = "bootstrap";

/// Executable by everyone: Lambda runs it as a user of its own.
const PERMISSIONS: u32 = 0o755;

/// The best that deflate can do: the zip is built once and downloaded at every cold start.
const COMPRESSION_LEVEL: i64 = 9;

/// What cargo tells its children about the crate they belong to, and only about that.
///
/// Under `cargo run` and `cargo test` this process has them. A build below would pass them on to build scripts that
/// watch them (`ring` does), and whoever builds next without them would compile all of that again.
const OF_THIS_CRATE: &[&str] = &[
    "CARGO",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_AUTHORS",
    "CARGO_PKG_DESCRIPTION",
    "CARGO_PKG_HOMEPAGE",
    "CARGO_PKG_LICENSE",
    "CARGO_PKG_LICENSE_FILE",
    "CARGO_PKG_NAME",
    "CARGO_PKG_README",
    "CARGO_PKG_REPOSITORY",
    "CARGO_PKG_RUST_VERSION",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
    "OUT_DIR",
];

/// How the Lambda is built; `Cargo.toml` has both profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As it is released: small, and a minute to link.
    Release,
    /// For tests: the same code, linked in seconds.
    Quick,
}

impl Profile {
    /// Its name, which is also that of its folder below the target directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Quick => "quick",
        }
    }
}

/// Why there is no zip.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// cargo does not run at all.
    #[error("cannot run `cargo`: install Rust with rustup and see that cargo is on PATH")]
    NoCargo(#[source] io::Error),
    /// The Lambda does not compile; the text is cargo's.
    #[error("the Lambda does not compile: see what cargo says and build again\n{0}")]
    Build(String),
    /// cargo succeeded without naming the binary.
    #[error("cargo built the Lambda without saying where its binary is: use the Rust version that the workspace names")]
    NoExecutable,
    /// The binary cannot be read.
    #[error("cannot read the Lambda's binary {path}: build it again")]
    Read {
        /// The binary.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
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

/// Builds the Lambda's binary for this machine and says where it is; costs little when nothing changed.
///
/// Each line that cargo says meanwhile is handed on, since the first build takes minutes.
pub fn build(workspace: &Workspace, profile: Profile, tell: impl FnMut(&str) + Send) -> Result<PathBuf, ArtifactError> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--profile", profile.name(), "--package", "cavatica-provider", "--bin", BOOTSTRAP])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(&workspace.root);
    for variable in OF_THIS_CRATE {
        cargo.env_remove(variable);
    }
    let output = children::output(&mut cargo, tell).map_err(ArtifactError::NoCargo)?;
    if !output.status.success() {
        return Err(ArtifactError::Build(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()));
    }
    executable(&output.stdout).ok_or(ArtifactError::NoExecutable)
}

/// Finds the Lambda's binary in cargo's messages, one JSON object a line.
fn executable(messages: &[u8]) -> Option<PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .find(|message| message.target.as_ref().is_some_and(|target| target.name == BOOTSTRAP))
        .and_then(|message| message.executable)
}

/// A line of cargo's; those of other kinds lack these fields. Source: the Cargo Book, "External tools", JSON messages.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// The Lambda's zip, and the name that its content gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The zip; equal binaries make equal bytes on every machine.
    pub bytes: Vec<u8>,
    /// The zip's SHA-256, 64 hexadecimal digits in lower case.
    pub sha256: String,
    /// Where it sits in a bucket: the name says the content, so an object never changes.
    pub key: String,
}

impl Asset {
    /// Packs a binary.
    pub fn from_binary(path: &Path) -> Result<Self, ArtifactError> {
        let binary = fs::read(path).map_err(|source| ArtifactError::Read { path: path.to_owned(), source })?;
        let bytes = pack(&binary).map_err(|source| ArtifactError::Pack { path: path.to_owned(), source })?;
        let sha256 = hexadecimal(&Sha256::digest(&bytes));
        let key = format!("cavatica-connect/{sha256}.zip");
        Ok(Self { bytes, sha256, key })
    }
}

/// Zips a binary with everything said explicitly that would otherwise come from this machine or this moment.
fn pack(binary: &[u8]) -> Result<Vec<u8>, zip::result::ZipError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(COMPRESSION_LEVEL))
        .last_modified_time(DateTime::default())
        .system(System::Unix)
        .unix_permissions(PERMISSIONS);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(BOOTSTRAP, options)?;
    zip.write_all(binary)?;
    Ok(zip.finish()?.into_inner())
}

fn hexadecimal(bytes: &[u8]) -> String {
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
        assert_eq!(asset.key, format!("cavatica-connect/{}.zip", hexadecimal(&Sha256::digest(&asset.bytes))));
    }

    #[test]
    fn the_binary_is_found_among_cargos_messages() {
        let messages = br#"{"reason":"compiler-artifact","target":{"name":"ring"},"executable":null}
{"reason":"build-script-executed","package_id":"ring"}
{"reason":"compiler-artifact","target":{"name":"bootstrap"},"executable":"/t/release/bootstrap"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/bootstrap")));
        assert_eq!(executable(b"{\"reason\":\"build-finished\",\"success\":true}\n"), None);
    }

    #[test]
    fn a_missing_binary_is_named() {
        let error = Asset::from_binary(Path::new("nowhere/bootstrap")).unwrap_err();
        assert!(error.to_string().contains("nowhere/bootstrap"), "{error}");
    }
}
