//! Where the source tree and its target directory are.
//!
//! Owns: asking cargo for both. Not here: what is built there (`build`, and the Python environments of the crate `cavatica-local`).

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use thiserror::Error;

/// The source tree that this program was built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Where cargo and this program put what they make; git ignores it.
    pub target: PathBuf,
}

/// Why the source tree is not to be had.
#[derive(Debug, Error)]
pub enum WorkspaceError {
    /// The folder that the program was built in no longer exists.
    #[error(
        "the source tree that this program was built from is no longer at {0}: run it from a checkout with `cargo run`"
    )]
    Moved(PathBuf),
    /// cargo does not run at all.
    #[error("cannot run `cargo`: install Rust with rustup and see that cargo is on PATH")]
    NoCargo(#[source] io::Error),
    /// cargo refuses the workspace.
    #[error("cargo cannot read the project in {folder}: see what it says and mend it\n{output}")]
    Refused {
        /// Where it was run.
        folder: PathBuf,
        /// What cargo says about it.
        output: String,
    },
    /// cargo answers something else than its documented format.
    #[error(
        "`cargo metadata` answers something this program does not understand: use the Rust version that the workspace names"
    )]
    Answer(#[source] serde_json::Error),
}

impl Workspace {
    /// Finds the workspace that this program was compiled in, from whatever folder it is run.
    ///
    /// The target directory is cargo's to say: a setting or a variable may have moved it.
    pub fn locate() -> Result<Self, WorkspaceError> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self::of(package.parent().unwrap_or(package))
    }

    fn of(folder: &Path) -> Result<Self, WorkspaceError> {
        if !folder.join("Cargo.toml").is_file() {
            return Err(WorkspaceError::Moved(folder.to_owned()));
        }
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(folder)
            .output()
            .map_err(WorkspaceError::NoCargo)?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(WorkspaceError::Refused { folder: folder.to_owned(), output });
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(WorkspaceError::Answer)?;
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory })
    }
}

/// The two fields of `cargo metadata` that matter here.
#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_holds_this_package() {
        let workspace = Workspace::locate().unwrap();
        assert!(workspace.root.join("cdk/src/release/workspace.rs").is_file());
        assert!(workspace.target.is_absolute());
    }

    #[test]
    fn a_tree_that_is_gone_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Workspace::of(folder.path()).unwrap_err();
        assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    }
}
