//! The npm packages that checks run in.
//!
//! Owns: making `target/node/NAME` hold exactly the locked packages, once, whoever asks at the same time.
//! Not here: which packages (the `package-lock.json` beside whoever uses them), and running them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use thiserror::Error;

use crate::workspace::Workspace;

use crate::once;

/// The lines of a failed command that tell its cause.
const TAIL: usize = 10;

/// Packages with all that they need, each at one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packages {
    /// The name of their folder.
    pub name: &'static str,
    /// The `package.json`.
    pub manifest: &'static str,
    /// The `package-lock.json`.
    pub lock: &'static str,
}

/// Why the packages are not there.
#[derive(Debug, Error)]
pub enum NodeError {
    /// There is no npm.
    #[error(
        "cannot run `npm`: install Node.js 20 or newer with npm (Debian, Ubuntu: `apt install npm`; macOS: `brew install node`)"
    )]
    Missing(#[source] io::Error),
    /// The packages cannot be installed.
    #[error(
        "npm cannot install the packages of {folder}: see that this machine reaches its registry, or set one with `npm config set registry`\n{output}"
    )]
    Npm {
        /// Their folder.
        folder: PathBuf,
        /// npm's last lines.
        output: String,
    },
    /// Their folder cannot be written.
    #[error("cannot write {path}: see that the disk has room and the folder is yours")]
    Write {
        /// File.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Gives the folder with exactly these packages in `node_modules`; installs them first if need be, which takes some
/// seconds.
pub fn packages(workspace: &Workspace, packages: Packages) -> Result<PathBuf, NodeError> {
    ensure("npm".as_ref(), &workspace.target.join("node"), packages)
}

fn ensure(npm: &OsStr, parent: &Path, packages: Packages) -> Result<PathBuf, NodeError> {
    let folder = parent.join(packages.name);
    let stamp = format!("{}{}", packages.manifest, packages.lock);
    let write = |path: &Path, source| NodeError::Write { path: path.to_owned(), source };
    once::complete(&folder, &stamp, write, || {
        fs::create_dir_all(&folder).map_err(|source| write(&folder, source))?;
        for (name, text) in [("package.json", packages.manifest), ("package-lock.json", packages.lock)] {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|source| write(&path, source))?;
        }
        // Nothing of a package runs while it is installed.
        let output = Command::new(npm)
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"])
            .current_dir(&folder)
            .output()
            .map_err(NodeError::Missing)?;
        if output.status.success() {
            return Ok(());
        }
        Err(NodeError::Npm { folder: folder.clone(), output: tail(&output) })
    })?;
    Ok(folder)
}

fn tail(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Packages = Packages { name: "nothing", manifest: "{\"name\": \"nothing\"}", lock: "{}" };

    #[test]
    fn a_missing_npm_is_named_with_how_to_get_it_and_no_folder_counts_as_complete() -> io::Result<()> {
        let parent = tempfile::tempdir()?;
        for _ in 0..2 {
            let said = ensure("no-such-npm".as_ref(), parent.path(), NOTHING).err().map(|error| error.to_string());
            assert!(said.as_ref().is_some_and(|said| said.contains("install Node.js")), "{said:?}");
        }
        Ok(())
    }

    #[test]
    fn an_npm_that_fails_shows_its_last_lines() -> io::Result<()> {
        let parent = tempfile::tempdir()?;
        let said = ensure("false".as_ref(), parent.path(), NOTHING).err().map(|error| error.to_string());
        assert!(said.is_some_and(|said| said.contains("npm cannot install the packages of")));
        Ok(())
    }
}
