//! A release as a folder: the Lambda's zip, its bill of materials, the templates, and a manifest of all of them.
//!
//! Owns: the folder's form, and refusing what AWS would not start. Not here: the regions that a release is published in,
//! which are named in templates of their own (`publish`).

use std::fs;
use std::io::{self, Cursor, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::binary;
pub use super::binary::{BinaryError, Glibc};
use super::build::{self, BuildError, Profile, TARGET, Toolchain};
use super::sbom::{SbomError, sbom};
use super::workspace::Workspace;
use super::zip::{Asset, BOOTSTRAP, ZipError, hex};
use crate::template::{Config, files};

/// The folder of a package, in the target directory.
pub const FOLDER: &str = "package";
/// The file that says what a package is.
pub const MANIFEST: &str = "release.json";
/// The file that `sha256sum --check` reads.
pub const SUMS: &str = "SHA256SUMS";
/// The release that this program makes and publishes.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The runtime that the template names.
const RUNTIME: &str = "provided.al2023";
/// Largest zip, in bytes. Source: "Lambda quotas", deployment package, 50 MB zipped.
const LARGEST_ZIP: usize = 50 << 20;
/// Largest function once it is unzipped, in bytes. Source: the same, 250 MB unzipped.
const LARGEST_UNZIPPED: usize = 250 << 20;

/// The description of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The release, such as `0.1.0`.
    pub version: String,
    /// The git commit that it was built from; with `-modified` if files differed from it. Absent without git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The compiler: the same source and the same compiler make the same bytes.
    pub toolchain: String,
    /// The compiler's target.
    pub target: String,
    /// Lambda's runtime.
    pub runtime: String,
    /// The oldest glibc that the binary starts with.
    pub glibc: Glibc,
    /// The binary in the zip.
    pub bootstrap: Content,
    /// The files beside the manifest.
    pub files: Vec<Listed>,
}

/// The size and digest of some bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// In bytes.
    pub size: usize,
    /// 64 hexadecimal digits in lower case.
    pub sha256: String,
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its content.
    #[serde(flatten)]
    pub content: Content,
}

/// A file with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A package in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its description.
    pub manifest: Manifest,
    /// The Lambda's zip.
    pub zip: Asset,
    /// All files but the manifest and the sums.
    pub files: Vec<File>,
}

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The Lambda cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It cannot be zipped.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// Its binary would not start.
    #[error(transparent)]
    Binary(#[from] BinaryError),
    /// Its parts cannot be listed.
    #[error(transparent)]
    Sbom(#[from] SbomError),
    /// Lambda would refuse it.
    #[error(
        "the {what} has {size} bytes, and Lambda takes {limit}: make it smaller, with fewer dependencies or features"
    )]
    TooLarge {
        /// The zip or its content.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The most there may be.
        limit: usize,
    },
    /// A file of the package cannot be read.
    #[error("cannot read {path}: make the package with `cargo connect package`, or name its folder with --package")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file of the package cannot be written.
    #[error("cannot write {path}: choose another folder with --out or make it writable")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A package that somebody changed, or half of one.
    #[error("{path} is not what a package has there ({why}): make or download the package anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The difference.
        why: String,
    },
    /// Two builds of the same source differ.
    #[error(
        "the same source makes a zip with SHA-256 {here} here and {elsewhere} in another folder: compare both binaries, \
         {kept} has the other, and find what differs before this is released"
    )]
    NotReproducible {
        /// The zip's SHA-256 here.
        here: String,
        /// And there.
        elsewhere: String,
        /// The other zip.
        kept: PathBuf,
    },
    /// A package of another release.
    #[error(
        "the package in {folder} is release {found}, and this program publishes only its own, {VERSION}: use the \
         cavatica-connect of release {found}"
    )]
    OtherRelease {
        /// The package's folder.
        folder: PathBuf,
        /// Its release.
        found: String,
    },
}

impl Content {
    /// The content of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len(), sha256: hex(&Sha256::digest(bytes)) }
    }
}

impl Package {
    /// Builds the Lambda, packs it, and checks that AWS would start it and that nothing of this machine is in it.
    pub fn build(workspace: &Workspace, tell: impl FnMut(&str) + Send) -> Result<Self, PackageError> {
        let toolchain = Toolchain::of(workspace)?;
        let path = build::build(workspace, Profile::Release, tell)?;
        let zip = Asset::from_binary(&path)?;
        let binary = unzipped(&zip).map_err(|why| PackageError::Damaged { path, why })?;
        binary::has_no_path_of(&binary, &build::renamed(workspace, &toolchain))?;
        let provenance = Provenance { commit: commit(workspace), toolchain: toolchain.version };
        Self::of(zip, &binary, sbom(workspace)?, provenance)
    }

    /// Builds a copy of the source tree in another folder, with another cargo home, and compares the zips.
    ///
    /// Takes a whole release build. The copy goes away, whatever comes out.
    pub fn reproduce(&self, workspace: &Workspace, tell: impl FnMut(&str) + Send) -> Result<(), PackageError> {
        let failed = |source| PackageError::Write { path: workspace.target.clone(), source };
        fs::create_dir_all(&workspace.target).map_err(failed)?;
        let folder = tempfile::Builder::new().prefix("reproduce-").tempdir_in(&workspace.target).map_err(failed)?;
        let copy = workspace.copy_to(folder.path()).map_err(failed)?;
        let other = Asset::from_binary(&build::build(&copy, Profile::Release, tell)?)?;
        if other.bytes == self.zip.bytes {
            return Ok(());
        }
        let kept = workspace.target.join("reproduced-otherwise.zip");
        fs::write(&kept, &other.bytes).map_err(failed)?;
        Err(PackageError::NotReproducible { here: self.zip.sha256.clone(), elsewhere: other.sha256, kept })
    }

    fn of(zip: Asset, binary: &[u8], sbom: Vec<u8>, provenance: Provenance) -> Result<Self, PackageError> {
        let glibc = binary::inspect(binary)?;
        within("Lambda's zip", zip.bytes.len(), LARGEST_ZIP)?;
        within("unzipped Lambda", binary.len(), LARGEST_UNZIPPED)?;
        let templates = files::generate(&Config::default());
        let mut files = vec![
            File { name: format!("cavatica-connect-{VERSION}.zip"), bytes: zip.bytes.clone() },
            File { name: format!("cavatica-connect-{VERSION}.cdx.json"), bytes: sbom },
        ];
        files.extend(templates.into_iter().map(|it| File { name: it.name.to_owned(), bytes: it.text.into_bytes() }));
        let listed = |file: &File| Listed { name: file.name.clone(), content: Content::of(&file.bytes) };
        let manifest = Manifest {
            version: VERSION.to_owned(),
            commit: provenance.commit,
            toolchain: provenance.toolchain,
            target: TARGET.to_owned(),
            runtime: RUNTIME.to_owned(),
            glibc,
            bootstrap: Content::of(binary),
            files: files.iter().map(listed).collect(),
        };
        Ok(Self { manifest, zip, files })
    }

    /// Reads the package in a folder. Every file has to be what the manifest says, and the templates what this program
    /// makes.
    pub fn read(folder: &Path) -> Result<Self, PackageError> {
        let read = |path: &Path| fs::read(path).map_err(|source| PackageError::Read { path: path.to_owned(), source });
        let damaged = |name: &str, why: String| PackageError::Damaged { path: folder.join(name), why };
        let manifest: Manifest = serde_json::from_slice(&read(&folder.join(MANIFEST))?)
            .map_err(|error| damaged(MANIFEST, error.to_string()))?;
        if manifest.version != VERSION {
            return Err(PackageError::OtherRelease { folder: folder.to_owned(), found: manifest.version });
        }
        let (zip_name, sbom_name) =
            (format!("cavatica-connect-{VERSION}.zip"), format!("cavatica-connect-{VERSION}.cdx.json"));
        let zip = Asset::from_zip(read(&folder.join(&zip_name))?);
        let binary = unzipped(&zip).map_err(|why| damaged(&zip_name, why))?;
        let provenance = Provenance { commit: manifest.commit.clone(), toolchain: manifest.toolchain.clone() };
        let package = Self::of(zip, &binary, read(&folder.join(&sbom_name))?, provenance)?;
        for file in &package.files {
            let listed = manifest.files.iter().find(|listed| listed.name == file.name);
            let (is, says) = (Content::of(&file.bytes).sha256, listed.map(|listed| listed.content.sha256.as_str()));
            if says != Some(&is) || read(&folder.join(&file.name))? != file.bytes {
                let says = says.unwrap_or("nothing");
                return Err(damaged(&file.name, format!("its SHA-256 should be {is}, and {MANIFEST} says {says}")));
            }
        }
        if package.manifest != manifest {
            return Err(damaged(MANIFEST, "it does not describe the files beside it".to_owned()));
        }
        Ok(package)
    }

    /// All files, the manifest and the sums last.
    #[must_use]
    pub fn all_files(&self) -> Vec<File> {
        let mut all = self.files.clone();
        let json = serde_json::to_string_pretty(&self.manifest).unwrap_or_default() + "\n";
        all.push(File { name: MANIFEST.to_owned(), bytes: json.into_bytes() });
        let sum = |file: &File| format!("{}  {}\n", Content::of(&file.bytes).sha256, file.name);
        let sums: String = all.iter().map(sum).collect();
        all.push(File { name: SUMS.to_owned(), bytes: sums.into_bytes() });
        all
    }

    /// Writes the package into a folder, which is made if need be; returns what was written. The manifest comes after all
    /// that it lists: half a package has none, or one that does not fit.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, PackageError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| PackageError::Write { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let mut written = Vec::new();
        for file in self.all_files() {
            let path = folder.join(file.name);
            fs::write(&path, file.bytes).map_err(failed(&path))?;
            written.push(path);
        }
        Ok(written)
    }
}

/// The origin of a package.
struct Provenance {
    commit: Option<String>,
    toolchain: String,
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), PackageError> {
    if size <= limit { Ok(()) } else { Err(PackageError::TooLarge { what, size, limit }) }
}

/// The commit that is checked out; nothing where there is no git.
fn commit(workspace: &Workspace) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(&workspace.root).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let is_clean = git(&["status", "--porcelain"])?.is_empty();
    Some(if is_clean { commit } else { format!("{commit}-modified") })
}

/// The binary in a zip, which has nothing else in it.
fn unzipped(asset: &Asset) -> Result<Vec<u8>, String> {
    let mut zip = zip::ZipArchive::new(Cursor::new(&asset.bytes)).map_err(|error| error.to_string())?;
    if zip.len() != 1 {
        return Err(format!("it has {} entries in place of one", zip.len()));
    }
    let entry = zip.by_name(BOOTSTRAP).map_err(|error| error.to_string())?;
    if entry.unix_mode().is_none_or(|mode| mode & 0o111 != 0o111) {
        return Err("its bootstrap is not executable".to_owned());
    }
    let mut binary = Vec::new();
    // A zip of a few bytes can unpack to any size; one more than the limit is enough to know.
    let most = u64::try_from(LARGEST_UNZIPPED).unwrap_or(u64::MAX);
    entry.take(most + 1).read_to_end(&mut binary).map_err(|error| error.to_string())?;
    Ok(binary)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A package around a small program of this machine.
    fn package() -> Package {
        let program = Path::new("/bin/true");
        let provenance = Provenance { commit: Some("0a9211e".to_owned()), toolchain: "rustc 1.95.0".to_owned() };
        let zip = Asset::from_binary(program).unwrap();
        Package::of(zip, &fs::read(program).unwrap(), b"{}\n".to_vec(), provenance).unwrap()
    }

    fn written() -> (tempfile::TempDir, Package) {
        let (folder, package) = (tempfile::tempdir().unwrap(), package());
        package.write(folder.path()).unwrap();
        (folder, package)
    }

    #[test]
    fn what_is_written_is_read_back_and_equal_sources_make_equal_files() {
        let (folder, written) = written();
        assert_eq!(Package::read(folder.path()).unwrap(), written);
        assert_eq!(package().all_files(), written.all_files());
    }

    #[test]
    fn the_sums_are_those_of_all_other_files() {
        let (folder, _) = written();
        let checked =
            Command::new("sha256sum").args(["--check", "--quiet", SUMS]).current_dir(&folder).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        let sums = fs::read_to_string(folder.path().join(SUMS)).unwrap();
        assert_eq!(sums.lines().count() + 1, fs::read_dir(&folder).unwrap().count());
    }

    #[test]
    fn a_changed_or_missing_file_is_named() {
        for name in package().files.iter().map(|file| file.name.clone()) {
            let (folder, _) = written();
            let path = folder.path().join(&name);
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
            let said = Package::read(folder.path()).unwrap_err().to_string();
            assert!(said.contains(&name), "{name}: {said}");
            fs::remove_file(&path).unwrap();
            let said = Package::read(folder.path()).unwrap_err().to_string();
            assert!(said.contains(&name), "{name}: {said}");
        }
    }

    #[test]
    fn a_manifest_that_says_something_else_is_refused() {
        for (from, to, expected) in [
            (VERSION, "9.9.9", "release 9.9.9"),
            ("provided.al2023", "provided.al2", "does not describe"),
            ("\"toolchain\"", "\"compiler\"", "unknown field"),
        ] {
            let (folder, _) = written();
            let path = folder.path().join(MANIFEST);
            let text = fs::read_to_string(&path).unwrap().replacen(from, to, 1);
            fs::write(&path, text).unwrap();
            let said = Package::read(folder.path()).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_zip_with_anything_else_in_it_is_no_release() {
        assert!(unzipped(&Asset::from_zip(b"PK".to_vec())).is_err());
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("other", zip::write::SimpleFileOptions::default()).unwrap();
        assert!(unzipped(&Asset::from_zip(zip.finish().unwrap().into_inner())).is_err());
    }

    #[test]
    fn what_lambda_does_not_take_is_refused() {
        assert!(within("Lambda's zip", LARGEST_ZIP, LARGEST_ZIP).is_ok());
        let said = within("Lambda's zip", LARGEST_ZIP + 1, LARGEST_ZIP).unwrap_err().to_string();
        assert!(said.contains("52428801 bytes") && said.contains("52428800"), "{said}");
    }
}
