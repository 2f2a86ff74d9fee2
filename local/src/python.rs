//! The Python environments that the local engine and the template checks run in.
//!
//! Owns: making `target/python/NAME` hold exactly the pinned packages, once, whoever asks at the same time.
//! Not here: which packages (the `requirements.txt` beside whoever uses them), and running them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use thiserror::Error;

use crate::workspace::Workspace;

use crate::once;

/// The oldest Python that the pinned packages install on without further ones.
const OLDEST: (u32, u32) = (3, 11);

/// The lines of a failed command that tell its cause.
const TAIL: usize = 10;

/// Size of the file that shows whether the disk is full; more than tools clean up behind themselves when they fail.
const PROBE_BYTES: usize = 8 << 20;

/// A complete Python environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Venv {
    folder: PathBuf,
}

impl Venv {
    /// Returns the path of a tool of the environment, for example `python`.
    pub fn bin(&self, tool: &str) -> PathBuf {
        self.folder.join("bin").join(tool)
    }
}

/// Why there is no Python environment.
#[derive(Debug, Error)]
pub enum PythonError {
    /// There is no Python at all.
    #[error("cannot run `python3`: install Python {}.{} or newer (Debian, Ubuntu: `apt install python3 python3-venv`; macOS: `brew install python`)", OLDEST.0, OLDEST.1)]
    Missing(#[source] io::Error),
    /// There is a Python, but it does not say which.
    #[error("`python3` does not answer a question for its version: see that it runs\n{0}")]
    Broken(String),
    /// The Python is too old.
    #[error("`python3` is Python {}.{}: install {}.{} or newer and put it first on PATH", .0.0, .0.1, OLDEST.0, OLDEST.1)]
    TooOld((u32, u32)),
    /// This Python was installed without the part that makes environments.
    #[error(
        "`python3` cannot make virtual environments: install its venv and ensurepip modules (Debian, Ubuntu: `apt install python3-venv`)\n{0}"
    )]
    NoVenv(String),
    /// The packages cannot be installed.
    #[error(
        "pip cannot install the packages of {folder}: see that this machine reaches its package index, or set one with PIP_INDEX_URL\n{output}"
    )]
    Pip {
        /// The environment.
        folder: PathBuf,
        /// pip's last lines.
        output: String,
    },
    /// The environment's folder cannot be written.
    #[error("cannot write {path}: see that the disk has room and the folder is yours")]
    Write {
        /// File.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Gives the environment of this name with exactly these packages; makes it first if need be, which takes some seconds.
///
/// `requirements` is in pip's format and pins every package, also those that others need: nothing else is installed.
/// Blocks while another process makes the same environment.
pub fn environment(workspace: &Workspace, name: &str, requirements: &str) -> Result<Venv, PythonError> {
    ensure("python3".as_ref(), &workspace.target.join("python"), name, requirements)
}

fn ensure(python: &OsStr, parent: &Path, name: &str, requirements: &str) -> Result<Venv, PythonError> {
    let folder = parent.join(name);
    let version = version(python)?;
    // Another Python does not find the packages of this one, and an environment holds its own path: it cannot be moved.
    let stamp = format!("Python {}.{} in {}\n{requirements}", version.0, version.1, folder.display());

    once::complete(&folder, &stamp, |path, source| writing(path)(source), || make(python, &folder, requirements))?;
    Ok(Venv { folder })
}

fn version(python: &OsStr) -> Result<(u32, u32), PythonError> {
    let output = Command::new(python)
        .args(["-I", "-c", "import sys; print(*sys.version_info[:2])"])
        .output()
        .map_err(PythonError::Missing)?;
    let answer = String::from_utf8_lossy(&output.stdout);
    let version = answer
        .split_once(' ')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.trim().parse().ok()?)))
        .ok_or_else(|| PythonError::Broken(tail(&output)))?;
    if version < OLDEST {
        return Err(PythonError::TooOld(version));
    }
    Ok(version)
}

fn make(python: &OsStr, folder: &Path, requirements: &str) -> Result<(), PythonError> {
    let output = Command::new(python).args(["-I", "-m", "venv"]).arg(folder).output().map_err(PythonError::Missing)?;
    if !output.status.success() {
        return Err(full_disk(folder).unwrap_or_else(|| PythonError::NoVenv(tail(&output))));
    }

    let list = folder.join("requirements.txt");
    fs::write(&list, requirements).map_err(writing(&list))?;
    let venv = Venv { folder: folder.to_owned() };
    let output = Command::new(venv.bin("python"))
        .args(["-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet", "--retries", "2"])
        // What is not pinned is not installed.
        .args(["--no-deps", "--requirement"])
        .arg(&list)
        .output()
        .map_err(PythonError::Missing)?;
    if !output.status.success() {
        let output = tail(&output);
        return Err(full_disk(folder).unwrap_or(PythonError::Pip { folder: venv.folder, output }));
    }
    Ok(())
}

/// Returns the error of a disk without room, if that is what a tool failed for: `venv` and pip say so in many ways, or
/// not at all.
fn full_disk(folder: &Path) -> Option<PythonError> {
    let probe = folder.join("probe");
    let written = fs::write(&probe, vec![0; PROBE_BYTES]);
    // In the way of nobody if it stays: the folder is made again.
    let _ = fs::remove_file(&probe);
    let error = written.err()?;
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded).then(|| writing(folder)(error))
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> PythonError {
    let path = path.to_owned();
    move |source| PythonError::Write { path, source }
}

/// Returns the last lines of what a command said, standard output before standard error.
fn tail(output: &Output) -> String {
    let said = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
    let lines: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Returns a `python3` that is a shell script; each argument is what it does when asked for that.
    fn python(folder: &Path, version: &str, venv: &str, pip: &str) -> PathBuf {
        let script = format!(
            r#"#!/bin/sh
case "$*" in
*version_info*) {version} ;;
*venv*)
    {venv}
    echo made >> "{counter}"
    mkdir -p "$4/bin"
    printf '%s\n' '#!/bin/sh' '{pip}' > "$4/bin/python"
    chmod +x "$4/bin/python" ;;
esac
"#,
            counter = folder.join("made").display()
        );
        let path = folder.join("python3");
        // Written by another process: while this one has a program open for writing, a test that starts a process in
        // that moment hands the open file on, and the program is refused as busy.
        let write = r#"printf '%s' "$1" > "$0" && chmod +x "$0""#;
        assert!(Command::new("sh").args(["-c", write]).arg(&path).arg(script).status().unwrap().success());
        path
    }

    fn made(folder: &Path) -> usize {
        fs::read_to_string(folder.join("made")).unwrap_or_default().lines().count()
    }

    fn failure(version: &str, venv: &str, pip: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let python = python(folder.path(), version, venv, pip);
        ensure(python.as_ref(), &folder.path().join("python"), "engine", "a==1\n").unwrap_err().to_string()
    }

    #[test]
    fn an_environment_is_made_once_and_again_when_its_packages_change() {
        let folder = tempfile::tempdir().unwrap();
        let python = python(folder.path(), "echo 3 11", "", "");
        let ensure = |packages| ensure(python.as_ref(), &folder.path().join("python"), "engine", packages).unwrap();
        let venv = ensure("a==1\n");
        assert!(venv.bin("python").is_file());
        assert_eq!(ensure("a==1\n"), venv);
        assert_eq!(made(folder.path()), 1);
        ensure("a==2\n");
        assert_eq!(made(folder.path()), 2);
    }

    #[test]
    fn an_interrupted_build_is_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let parent = folder.path().join("python");
        let broken = python(folder.path(), "echo 3 11", "", "exit 1");
        ensure(broken.as_ref(), &parent, "engine", "a==1\n").unwrap_err();
        let whole = python(folder.path(), "echo 3 11", "", "");
        ensure(whole.as_ref(), &parent, "engine", "a==1\n").unwrap();
        assert_eq!(made(folder.path()), 2);
    }

    #[test]
    fn a_second_process_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let python = python(folder.path(), "echo 3 11", "sleep 0.2", "");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| ensure(python.as_ref(), &folder.path().join("python"), "engine", "a==1\n").unwrap());
            }
        });
        assert_eq!(made(folder.path()), 1);
    }

    #[test]
    fn names_missing_parts_of_a_release() {
        let missing = ensure("nowhere/python3".as_ref(), Path::new("nowhere"), "engine", "").unwrap_err();
        assert!(missing.to_string().contains("install Python 3.11 or newer"), "{missing}");

        let old = failure("echo 3 9", "", "");
        assert!(old.contains("is Python 3.9: install 3.11 or newer"), "{old}");

        let broken = failure("echo no library >&2; exit 127", "", "");
        assert!(broken.ends_with("\nno library"), "{broken}");

        let no_venv = failure("echo 3 11", "echo ensurepip is not available; exit 1", "");
        assert!(no_venv.contains("apt install python3-venv") && no_venv.ends_with("not available"), "{no_venv}");

        let pip = failure("echo 3 11", "", "echo no such package >&2; exit 1");
        assert!(pip.contains("PIP_INDEX_URL") && pip.ends_with("no such package"), "{pip}");
    }
}
