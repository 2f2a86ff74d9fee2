//! Reading a package back from its folder: only what is whole and made by this program's source is published.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cavatica_access::platform::Platform;

use super::{
    Content, LARGEST_UNZIPPED, MANIFEST, Manifest, Package, PackageError, Provenance, VERSION, sbom_name, zip_name,
};
use crate::release::zip::Asset;

/// Why a folder holds no package that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file is not there.
    #[error("cannot read {path}: give the folder that `cavatica-connect package` wrote, with --package")]
    Missing {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Package of another release.
    #[error(
        "{folder} holds release {found}, and this program is that of release {VERSION}: use the program that packaged it, \
         or package again"
    )]
    OtherRelease {
        /// The folder.
        folder: PathBuf,
        /// The release in it.
        found: String,
    },
    /// Something in it is not what it should be.
    #[error("{path} is not as it was packaged ({why}): package again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The mistake in it.
        why: String,
    },
    /// Lambda would not take it.
    #[error(transparent)]
    Refused(#[from] PackageError),
}

impl Package {
    /// Reads the package in a folder. Every file has to be what the manifest says, and the templates what this program
    /// makes.
    pub fn read(folder: &Path, platform: &Platform) -> Result<Self, ReadError> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|source| ReadError::Missing { path, source })
        };
        let damaged = |name: &str, why: String| ReadError::Damaged { path: folder.join(name), why };
        let manifest: serde_json::Value =
            serde_json::from_slice(&read(MANIFEST)?).map_err(|error| damaged(MANIFEST, error.to_string()))?;
        // The version first: another release's manifest may have another form.
        match manifest["version"].as_str() {
            Some(VERSION) => {}
            Some(found) => return Err(ReadError::OtherRelease { folder: folder.to_owned(), found: found.to_owned() }),
            None => return Err(damaged(MANIFEST, "it names no version".to_owned())),
        }
        let manifest: Manifest =
            serde_json::from_value(manifest).map_err(|error| damaged(MANIFEST, error.to_string()))?;
        for listed in &manifest.files {
            let found = Content::of(&read(&listed.name)?);
            if found != listed.content {
                let (is, should) = (found.sha256, &listed.content.sha256);
                return Err(damaged(&listed.name, format!("its SHA-256 is {is}, and {MANIFEST} says {should}")));
            }
        }
        let zip = Asset::from_zip(read(&zip_name())?);
        let binary = zip.binary(LARGEST_UNZIPPED as u64).map_err(|why| damaged(&zip_name(), why))?;
        let provenance = Provenance { commit: manifest.commit.clone(), toolchain: manifest.toolchain.clone() };
        let package = Self::of(zip, &binary, read(&sbom_name())?, platform, provenance)?;
        let made_here =
            |name: &str| package.files.iter().find(|file| file.name == name).map(|file| Content::of(&file.bytes));
        match manifest.files.iter().find(|listed| made_here(&listed.name).as_ref() != Some(&listed.content)) {
            Some(other) => Err(damaged(&other.name, "this program's source makes another".to_owned())),
            None if package.manifest != manifest => {
                Err(damaged(MANIFEST, "it does not describe the files beside it".to_owned()))
            }
            None => Ok(package),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use cavatica_access::platform::CAVATICA;

    use super::super::tests::written;

    use super::*;

    #[test]
    fn a_package_is_read_back_as_it_was_written() {
        let (folder, package) = written();
        assert_eq!(Package::read(folder.path(), &CAVATICA).unwrap(), package);
    }

    #[test]
    fn names_files_that_differ_from_the_manifest() {
        let template = "cavatica-volume.template.yaml";
        let renamed = format!("\"version\": \"{VERSION}\"");
        for (name, from, to, expected) in [
            (
                template,
                "Cavatica",
                "Somebody",
                "cavatica-volume.template.yaml is not as it was packaged (its SHA-256 is",
            ),
            (MANIFEST, renamed.as_str(), "\"version\": \"9.9.9\"", "holds release 9.9.9, and this program is that of"),
            (
                MANIFEST,
                "\"runtime\": \"provided.al2023\"",
                "\"runtime\": \"other\"",
                "does not describe the files beside it",
            ),
            (MANIFEST, "{", "[", "release.json is not as it was packaged"),
            (MANIFEST, "\"version\"", "\"release\"", "names no version"),
        ] {
            let (folder, _) = written();
            let path = folder.path().join(name);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let said = Package::read(folder.path(), &CAVATICA).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_template_of_another_source_is_refused_even_if_the_manifest_describes_it() {
        let (folder, mut package) = written();
        let template = package.files.iter_mut().find(|file| file.name.ends_with("yaml")).unwrap();
        template.bytes.push(b'\n');
        let (name, content) = (template.name.clone(), Content::of(&template.bytes));
        package.manifest.files.iter_mut().find(|listed| listed.name == name).unwrap().content = content;
        package.write(folder.path()).unwrap();
        let said = Package::read(folder.path(), &CAVATICA).unwrap_err().to_string();
        assert!(said.contains("this program's source makes another"), "{said}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_the_option_that_chooses_the_folder() {
        let (folder, _) = written();
        for name in [zip_name().as_str(), MANIFEST] {
            fs::remove_file(folder.path().join(name)).unwrap();
            let said = Package::read(folder.path(), &CAVATICA).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains("--package"), "{said}");
        }
    }
}
