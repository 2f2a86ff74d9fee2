//! The templates as files: generated, written, and compared with what is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cavatica_access::platform::Platform;
use cavatica_local::workspace::Workspace;

use super::{Config, native, provided};

/// The templates' folder, from the top of the checkout.
pub const FOLDER: &str = "templates";

/// Returns the file name of the template with the function, such as `cavatica-volume.template.yaml`, or of the native one.
#[must_use]
pub fn name(platform: &Platform, is_native: bool) -> String {
    format!("{}{}.template.yaml", platform.stack_name(), if is_native { "-native" } else { "" })
}

/// The command that renews the templates; named wherever they are found to differ.
pub const RENEW: &str = "cargo connect synth";

/// A file to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name in the templates' folder.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Why the templates could not be written, or are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The folder or a file cannot be written.
    #[error("cannot write {path}: choose another folder with --out or make it writable")]
    Write {
        /// What could not be written.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Files are not what the generator makes, or not there.
    #[error("{}: renew with `{RENEW}{}` and look at the difference", .drifted.join("; "), out(.folder))]
    Drift {
        /// Each file with what is wrong with it.
        drifted: Vec<String>,
        /// Where they were looked for.
        folder: PathBuf,
    },
}

/// The option that names a folder, unless it is the checkout's.
fn out(folder: &Path) -> String {
    let is_default = Workspace::root().is_ok_and(|root| root.join(FOLDER) == folder);
    if is_default { String::new() } else { format!(" --out {}", folder.display()) }
}

/// Generates the templates.
#[must_use]
pub fn generate(config: &Config) -> Vec<File> {
    vec![
        File { name: name(&config.platform, false), text: provided::template(config).to_yaml() },
        File { name: name(&config.platform, true), text: native::template(config).to_yaml() },
    ]
}

/// Writes files into a folder, which is made if need be; returns what was written.
pub fn write(files: &[File], folder: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| FilesError::Write { path, source }
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

/// Compares files with what is in a folder.
pub fn check(files: &[File], folder: &Path) -> Result<(), FilesError> {
    let mut drifted = Vec::new();
    for file in files {
        let path = folder.join(&file.name);
        match fs::read_to_string(&path) {
            Ok(text) if text == file.text => {}
            Ok(_) => drifted.push(format!("{} differs from what the generator makes", path.display())),
            Err(_) => drifted.push(format!("{} is not there or cannot be read", path.display())),
        }
    }
    if drifted.is_empty() { Ok(()) } else { Err(FilesError::Drift { drifted, folder: folder.to_owned() }) }
}
