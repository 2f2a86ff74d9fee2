//! Source tree and its target directory.
//!
//! Owns: asking cargo for both. Not here: what is built there (`release::build` of the command line's crate, and
//! [`crate::python`]).

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use thiserror::Error;

/// The source tree that this program was built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Folder of build products; git ignores it.
    pub target: PathBuf,
    /// Folder of cargo's downloads.
    pub cargo_home: PathBuf,
}

/// Why the source tree is not to be had.
#[derive(Debug, Error)]
pub enum WorkspaceError {
    /// There is no source tree, neither here nor where the program was compiled.
    #[error(
        "this needs the project's source tree, and it is neither around the working directory nor at {0} any more: run it from a checkout"
    )]
    Moved(PathBuf),
    /// cargo does not run at all.
    #[error("cannot run `cargo`: install Rust with rustup and see that cargo is on PATH")]
    NoCargo(#[source] io::Error),
    /// cargo refuses the workspace.
    #[error("cargo cannot read the project in {folder}: see what it says and mend it\n{output}")]
    Refused {
        /// Folder in which cargo was run.
        folder: PathBuf,
        /// Output of cargo.
        output: String,
    },
    /// cargo answers something else than its documented format.
    #[error(
        "`cargo metadata` answers something this program does not understand: use the Rust version that the workspace names"
    )]
    Answer(#[source] serde_json::Error),
}

impl Workspace {
    /// Finds the source tree and asks cargo for the rest.
    ///
    /// The target directory is cargo's to say: a setting or a variable may have moved it.
    pub fn locate() -> Result<Self, WorkspaceError> {
        Self::of(&Self::root()?)
    }

    /// Finds the source tree: the one that cargo runs this program for, the one around the working directory, or the
    /// one that the program was compiled in. Two checkouts may share what was compiled, and a checkout may have been
    /// moved.
    pub fn root() -> Result<PathBuf, WorkspaceError> {
        #[allow(clippy::disallowed_methods, reason = "this is how cargo tells a program for which package it runs it")]
        let of_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let compiled_in = Path::new(env!("CARGO_MANIFEST_DIR"));
        let around = [of_cargo, std::env::current_dir().ok(), Some(compiled_in.to_owned())];
        let found = around.into_iter().flatten().find_map(|folder| tree_around(&folder));
        found.ok_or_else(|| WorkspaceError::Moved(compiled_in.parent().unwrap_or(compiled_in).to_owned()))
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
        let cargo_home = home::cargo_home_with_cwd(&metadata.workspace_root).map_err(WorkspaceError::NoCargo)?;
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory, cargo_home })
    }

    /// Copies the sources into another folder, and gives the copy a target directory and a cargo home of its own there;
    /// what cargo downloaded is shared.
    pub fn copy_to(&self, folder: &Path) -> io::Result<Self> {
        let copy = Self {
            root: folder.join("a/copy of the source tree"),
            target: folder.join("made"),
            cargo_home: folder.join("another-cargo-home"),
        };
        copy_sources(&self.root, &copy.root, &|path| path != self.target && !path.ends_with(".git"))?;
        fs::create_dir_all(&copy.cargo_home)?;
        for name in ["config.toml", "registry"].into_iter().filter(|name| self.cargo_home.join(name).exists()) {
            symlink(self.cargo_home.join(name), copy.cargo_home.join(name))?;
        }
        Ok(copy)
    }
}

/// Returns the source tree of this project that a folder is in.
fn tree_around(folder: &Path) -> Option<PathBuf> {
    let is_tree = |folder: &&Path| {
        let package = fs::read_to_string(folder.join("local/Cargo.toml")).unwrap_or_default();
        folder.join("Cargo.toml").is_file() && package.contains(concat!("name = \"", env!("CARGO_PKG_NAME"), "\""))
    };
    folder.ancestors().find(is_tree).map(Path::to_owned)
}

fn copy_sources(from: &Path, to: &Path, is_wanted: &impl Fn(&Path) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        if path.is_dir() && is_wanted(&path) {
            copy_sources(&path, &to.join(name), is_wanted)?;
        } else if path.is_file() && is_wanted(&path) {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
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
        assert!(workspace.root.join("local/src/workspace.rs").is_file());
        assert!(workspace.target.is_absolute());
    }

    #[test]
    fn a_tree_is_found_from_any_folder_in_it_and_another_project_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, other) = (folder.path().join("moved"), folder.path().join("other"));
        for (root, package) in [(&tree, "cavatica-local"), (&other, "local")] {
            fs::create_dir_all(root.join("local/src")).unwrap();
            fs::write(root.join("Cargo.toml"), "[workspace]").unwrap();
            fs::write(root.join("local/Cargo.toml"), format!("[package]\nname = \"{package}\"\n")).unwrap();
        }
        assert_eq!(tree_around(&tree.join("local/src")), Some(tree.clone()));
        assert_eq!(tree_around(&tree), Some(tree));
        assert_eq!(tree_around(&other.join("local/src")), None);
    }

    #[test]
    fn a_copy_has_the_sources_and_nothing_that_was_made_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let workspace = Workspace { root: at("tree"), target: at("tree/target"), cargo_home: at("cargo") };
        for file in ["Cargo.toml", ".cargo/config.toml", "cdk/src/lib.rs", "target/debug/x", ".git/objects/y"] {
            let path = workspace.root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let copy = workspace.copy_to(&at("elsewhere")).unwrap();
        assert_eq!(fs::read_to_string(copy.root.join("cdk/src/lib.rs")).unwrap(), "cdk/src/lib.rs");
        assert!(copy.root.join(".cargo/config.toml").is_file());
        assert!(!copy.root.join("target").exists() && !copy.root.join(".git").exists());
        assert!(!copy.cargo_home.join("registry").exists(), "there was none to share");
    }

    #[test]
    fn a_tree_that_is_gone_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Workspace::of(folder.path()).unwrap_err();
        assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    }
}
