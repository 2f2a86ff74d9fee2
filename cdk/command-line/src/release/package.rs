//! A release as a folder: the Lambda's zip, its bill of materials, the templates, and a manifest of all of them.
//!
//! Owns: the folder's form, and refusing what AWS would not start. Not here: the regions that a release is published
//! in, which are named in templates of their own (`publish`).

mod read;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use cavatica_access::platform::Platform;
use cavatica_generator::template::provided::RUNTIME;
use cavatica_generator::template::{Config, files};
use cavatica_local::workspace::Workspace;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::read::ReadError;
use super::binary;
pub use super::binary::{BinaryError, Glibc};
use super::build::{self, BuildError, Built, Profile, TARGET};
use super::sbom::{SbomError, sbom};
use super::zip::{Asset, ZipError, hex};

/// The folder of a package, in the target directory.
pub const FOLDER: &str = "package";
/// The file that says what a package is.
pub const MANIFEST: &str = "release.json";
/// The file that `sha256sum --check` reads.
pub const SUMS: &str = "SHA256SUMS";
/// The release that this program makes and publishes.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Largest zip, in bytes. Source: "Lambda quotas", deployment package, 50 MB zipped.
const LARGEST_ZIP: usize = 50 << 20;
/// Largest function once it is unzipped, in bytes. Source: the same, 250 MB unzipped.
const LARGEST_UNZIPPED: usize = 250 << 20;

/// The description of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The release, such as `0.1.0`.
    pub version: String,
    /// The git commit that it was built from; with `-modified` if files differed from it. Absent without git.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    /// Failed zip.
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
    /// The binary cannot be read.
    #[error("cannot read the Lambda's binary {path}: build it again")]
    Read {
        /// The binary.
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
}

impl Content {
    /// Returns the content of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len(), sha256: hex(&Sha256::digest(bytes)) }
    }
}

impl Package {
    /// Builds the Lambda, packs it, and checks that AWS would start it and that nothing of this machine is in it.
    pub fn build(
        workspace: &Workspace,
        platform: &Platform,
        tell: impl FnMut(&str) + Send,
    ) -> Result<Self, PackageError> {
        let Built { binary: path, toolchain, renamed } = build::build(workspace, Profile::Release, tell)?;
        let zip = Asset::from_binary(&path)?;
        let binary = fs::read(&path).map_err(|source| PackageError::Read { path, source })?;
        binary::has_no_path_of(&binary, &renamed)?;
        let provenance = Provenance { commit: commit(workspace), toolchain: toolchain.version };
        Self::of(zip, &binary, sbom(workspace)?, platform, provenance)
    }

    /// Builds a copy of the source tree in another folder, with another cargo home, and compares the zips.
    ///
    /// Takes a whole release build. The copy goes away, whatever comes out.
    pub fn reproduce(&self, workspace: &Workspace, tell: impl FnMut(&str) + Send) -> Result<(), PackageError> {
        let failed = |source| PackageError::Write { path: workspace.target.clone(), source };
        let folder = tempfile::Builder::new().prefix("reproduce-").tempdir_in(&workspace.target).map_err(failed)?;
        let copy = workspace.copy_to(folder.path()).map_err(failed)?;
        let other = Asset::from_binary(&build::build(&copy, Profile::Release, tell)?.binary)?;
        if other.bytes == self.zip.bytes {
            return Ok(());
        }
        let kept = workspace.target.join("reproduced-otherwise.zip");
        fs::write(&kept, &other.bytes).map_err(failed)?;
        Err(PackageError::NotReproducible { here: self.zip.sha256.clone(), elsewhere: other.sha256, kept })
    }

    /// Puts a package together, and checks that Lambda would take its zip and start the binary in it.
    pub fn of(
        zip: Asset,
        binary: &[u8],
        sbom: Vec<u8>,
        platform: &Platform,
        provenance: Provenance,
    ) -> Result<Self, PackageError> {
        let glibc = binary::inspect(binary)?;
        within("Lambda's zip", zip.bytes.len(), LARGEST_ZIP)?;
        within("unzipped Lambda", binary.len(), LARGEST_UNZIPPED)?;
        let templates = files::generate(&Config::of(platform));
        let mut files =
            vec![File { name: zip_name(), bytes: zip.bytes.clone() }, File { name: sbom_name(), bytes: sbom }];
        files.extend(templates.into_iter().map(|it| File { name: it.name, bytes: it.text.into_bytes() }));
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

    /// Returns the bill of materials.
    #[must_use]
    pub fn sbom(&self) -> Option<&File> {
        self.files.iter().find(|file| file.name == sbom_name())
    }

    /// Returns all files, the manifest and the sums last.
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

    /// Writes the package into a folder, which is made if need be; returns what was written. The manifest comes after
    /// all that it lists, and the sums last.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, PackageError> {
        check_folder(folder)?;
        let mut written = Vec::new();
        for file in self.all_files() {
            let path = folder.join(file.name);
            fs::write(&path, file.bytes).map_err(|source| PackageError::Write { path: path.clone(), source })?;
            written.push(path);
        }
        Ok(written)
    }
}

/// Makes a folder if need be, and sees that something can be written there: before a build that takes minutes.
pub fn check_folder(folder: &Path) -> Result<(), PackageError> {
    let tried = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder).map(drop));
    tried.map_err(|source| PackageError::Write { path: folder.to_owned(), source })
}

/// The origin of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The git commit, as in the manifest.
    pub commit: Option<String>,
    /// The compiler.
    pub toolchain: String,
}

/// Returns the name of the Lambda's zip in a package.
#[must_use]
pub fn zip_name() -> String {
    format!("cavatica-connect-{VERSION}.zip")
}

fn sbom_name() -> String {
    format!("cavatica-connect-{VERSION}.cdx.json")
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), PackageError> {
    if size <= limit { Ok(()) } else { Err(PackageError::TooLarge { what, size, limit }) }
}

/// Returns the commit that is checked out; nothing where there is no git.
fn commit(workspace: &Workspace) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(&workspace.root).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let is_clean = git(&["status", "--porcelain"])?.is_empty();
    Some(if is_clean { commit } else { format!("{commit}-modified") })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use cavatica_access::platform::CAVATICA;

    use super::*;

    /// Returns a package around a small program of this machine.
    fn package() -> Package {
        let program = Path::new("/bin/true");
        let provenance = Provenance { commit: Some("0a9211e".to_owned()), toolchain: "rustc 1.95.0".to_owned() };
        let zip = Asset::from_binary(program).unwrap();
        Package::of(zip, &fs::read(program).unwrap(), b"{}\n".to_vec(), &CAVATICA, provenance).unwrap()
    }

    pub(super) fn written() -> (tempfile::TempDir, Package) {
        let (folder, package) = (tempfile::tempdir().unwrap(), package());
        package.write(folder.path()).unwrap();
        (folder, package)
    }

    #[test]
    fn equal_sources_make_equal_files() {
        assert_eq!(package().all_files(), package().all_files());
    }

    #[test]
    fn the_manifest_tells_what_a_reader_of_the_files_finds() {
        let (folder, _) = written();
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&read(MANIFEST)).unwrap();
        assert_eq!((&manifest["version"], &manifest["commit"]), (&VERSION.into(), &"0a9211e".into()));
        let listed = manifest["files"].as_array().unwrap();
        assert_eq!(listed.len() + 2, fs::read_dir(&folder).unwrap().count(), "all but the manifest and the sums");
        for file in listed {
            let content = Content::of(&read(file["name"].as_str().unwrap()));
            assert_eq!((&file["size"], &file["sha256"]), (&content.size.into(), &content.sha256.into()), "{file}");
        }
        let mut zip = zip::ZipArchive::new(io::Cursor::new(read(listed[0]["name"].as_str().unwrap()))).unwrap();
        let mut binary = Vec::new();
        io::copy(&mut zip.by_index(0).unwrap(), &mut binary).unwrap();
        assert_eq!(manifest["bootstrap"]["sha256"], Content::of(&binary).sha256);
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
    fn a_folder_that_cannot_be_written_to_is_named() {
        let (folder, _) = written();
        let said = check_folder(&folder.path().join(MANIFEST).join("below-a-file")).unwrap_err().to_string();
        assert!(said.contains("release.json/below-a-file") && said.contains("--out"), "{said}");
    }

    #[test]
    fn refuses_packages_that_lambda_rejects() {
        assert!(within("Lambda's zip", LARGEST_ZIP, LARGEST_ZIP).is_ok());
        let said = within("Lambda's zip", LARGEST_ZIP + 1, LARGEST_ZIP).unwrap_err().to_string();
        assert!(said.contains("52428801 bytes") && said.contains("52428800"), "{said}");
    }
}
