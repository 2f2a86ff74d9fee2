//! A folder of templates: files written into it, and compared with what is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cavatica_generator::template::files::File;
use cavatica_local::workspace::Workspace;

/// The templates' folder, from the top of the checkout.
pub const FOLDER: &str = "templates";

/// The command that renews the templates; named wherever they are found to differ.
pub const RENEW: &str = "cargo connect synth";

/// Failure to write the files, or a difference between them and the generator's.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder or a file cannot be written.
    #[error("cannot write {path}: choose another folder with --out or make it writable")]
    Write {
        /// Folder or file.
        path: PathBuf,
        /// Answer of the file system.
        #[source]
        source: io::Error,
    },
    /// Files differ from the generator's, or do not exist.
    #[error("{}: renew with `{RENEW}{}` and look at the difference", .drifted.join("; "), out(.folder))]
    Drift {
        /// A sentence for each file that differs.
        drifted: Vec<String>,
        /// Folder that was compared.
        folder: PathBuf,
    },
}

/// Returns the option that names a folder, or nothing for the checkout's.
fn out(folder: &Path) -> String {
    let is_default = Workspace::root().is_ok_and(|root| root.join(FOLDER) == folder);
    if is_default { String::new() } else { format!(" --out {}", folder.display()) }
}

/// Writes files into a folder, which is made if need be; returns their paths.
pub fn write(files: &[File], folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| FolderError::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut written = Vec::new();
    for file in files {
        let path = folder.join(&file.name);
        fs::write(&path, &file.text).map_err(failed(&path))?;
        written.push(path);
    }
    Ok(written)
}

/// Compares files with those of a folder.
pub fn check(files: &[File], folder: &Path) -> Result<(), FolderError> {
    let mut drifted = Vec::new();
    for file in files {
        let path = folder.join(&file.name);
        match fs::read_to_string(&path) {
            Ok(text) if text == file.text => {}
            Ok(_) => drifted.push(format!("{} differs from what the generator makes", path.display())),
            Err(_) => drifted.push(format!("{} is not there or cannot be read", path.display())),
        }
    }
    if drifted.is_empty() { Ok(()) } else { Err(FolderError::Drift { drifted, folder: folder.to_owned() }) }
}
