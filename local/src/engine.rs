//! The local engine: a process that answers like AWS, for the demo and the system tests.
//!
//! Owns: starting, watching and ending one `ministack`, and how to reach it. Not here: its Python environment
//! ([`crate::python`]), the processes under it (`launcher.py`), and what runs on it.
//!
//! Nothing outlives an [`Engine`], not even when this process is killed: the launcher reads the other end of a pipe
//! that only this process holds open, and ends everything when the pipe ends.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use serde::Deserialize;
use thiserror::Error;
use tokio::task::{self, JoinError};

use crate::workspace::Workspace;

use crate::python;

/// Launcher of the engine, which ends with this process.
const LAUNCHER: &str = include_str!("engine/launcher.py");

/// The engine and all it needs, each at one version.
const REQUIREMENTS: &str = include_str!("engine/requirements.txt");

/// One running engine, empty at first, with a port and a folder of its own: several run side by side.
#[derive(Debug)]
pub struct Engine {
    url: String,
    log: PathBuf,
    sdk_config: SdkConfig,
    launcher: Launcher,
}

/// Why the engine does not run, or does not end.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Its Python environment is not to be had.
    #[error(transparent)]
    Python(#[from] python::PythonError),
    /// Its folder cannot be made.
    #[error("cannot make the local engine's folder {path}: see that the disk has room and the folder is yours")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The launcher's process cannot be started or heard.
    #[error("cannot start the local engine: remove the target directory's folder `python` and try again")]
    Launcher(#[source] io::Error),
    /// The engine ended before it answered.
    #[error("the local engine ended while it started; its last lines say why:\n{0}")]
    Died(String),
    /// The engine runs, but does not answer in time.
    #[error("the local engine does not answer: try again when this machine is less busy; its last lines:\n{0}")]
    Silent(String),
    /// The launcher could not end everything.
    #[error(
        "not all of the local engine's processes end ({0}): look for `ministack.app` and `bootstrap` among the running ones"
    )]
    Left(ExitStatus),
    /// The async runtime shuts down.
    #[error("the program is ending and starts or stops no local engine any more")]
    Ending(#[from] JoinError),
}

impl Engine {
    /// The account that everything on the engine belongs to; `launcher.py` sets the same.
    pub const ACCOUNT: &str = "123456789012";

    /// The region that the engine plays; `launcher.py` sets the same.
    pub const REGION: &str = "us-east-1";

    /// Starts an engine and returns when it answers; the first time in a source tree, it is installed first.
    pub async fn start(workspace: &Workspace) -> Result<Self, EngineError> {
        let workspace = workspace.clone();
        task::spawn_blocking(move || {
            let venv = python::environment(&workspace, "engine", REQUIREMENTS)?;
            // Not the system's temporary folder, which may forbid to run programs: the engine unpacks Lambdas there.
            let parent = workspace.target.join("engine");
            fs::create_dir_all(&parent).map_err(|source| EngineError::Folder { path: parent.clone(), source })?;
            Self::launch(&venv.bin("python"), &parent)
        })
        .await?
    }

    /// Installs what the engine needs, or says what is missing; done before anything that takes long.
    pub async fn prepare(workspace: &Workspace) -> Result<(), EngineError> {
        let workspace = workspace.clone();
        task::spawn_blocking(move || python::environment(&workspace, "engine", REQUIREMENTS)).await??;
        Ok(())
    }

    fn launch(python: &Path, parent: &Path) -> Result<Self, EngineError> {
        let mut launcher = Launcher::start(python, parent).map_err(EngineError::Launcher)?;
        match launcher.announcement()? {
            Announcement::Ready { port, log } => {
                let url = format!("http://127.0.0.1:{port}");
                Ok(Self { sdk_config: sdk_config(&url), url, log, launcher })
            }
            Announcement::Died(log) => Err(EngineError::Died(log)),
            Announcement::Silent(log) => Err(EngineError::Silent(log)),
        }
    }

    /// Returns the address of all its services: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the file of its log, which goes away with it.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns the configuration for an AWS SDK client of any service; nothing of it comes from the environment.
    pub fn sdk_config(&self) -> SdkConfig {
        self.sdk_config.clone()
    }

    /// Returns the same in another account, which the engine tells by the ID of the access key.
    pub fn sdk_config_of(&self, account: &str) -> SdkConfig {
        let credentials = Credentials::new(account, "test", None, None, "local engine");
        let credentials = SharedCredentialsProvider::new(credentials);
        self.sdk_config.to_builder().credentials_provider(credentials).build()
    }

    /// Ends the engine and says whether everything is gone; dropping it does the same and says nothing.
    pub async fn stop(self) -> Result<(), EngineError> {
        let status = task::spawn_blocking(move || self.launcher.end()).await?.map_err(EngineError::Launcher)?;
        if status.success() { Ok(()) } else { Err(EngineError::Left(status)) }
    }
}

/// Returns the engine takes any credentials; these are the ones that its Lambdas have, too.
fn sdk_config(url: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "local engine");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::from_static(Engine::REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
        .build()
}

/// Message of the launcher on standard output.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Announcement {
    /// The engine answers.
    Ready { port: u16, log: PathBuf },
    /// The engine ended; the last lines of its log.
    Died(String),
    /// The engine does not answer; the last lines of its log.
    Silent(String),
}

/// The launcher's process. Its standard input is the life line: all ends when this end of the pipe closes.
#[derive(Debug)]
struct Launcher(Child);

impl Launcher {
    fn start(python: &Path, parent: &Path) -> io::Result<Self> {
        Command::new(python)
            .args(["-I", "-c", LAUNCHER])
            .arg(parent)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in a terminal goes to all of a group, and this process decides what it ends.
            .process_group(0)
            .spawn()
            .map(Self)
    }

    /// Waits until the engine answers or has failed to; the launcher sees to it that this takes no longer than it may.
    fn announcement(&mut self) -> Result<Announcement, EngineError> {
        let mut line = String::new();
        if let Some(stdout) = self.0.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(EngineError::Launcher)?;
        }
        serde_json::from_str(&line).or_else(|_| {
            // The launcher itself failed, and says why like any Python program.
            let mut said = String::new();
            if let Some(mut stderr) = self.0.stderr.take() {
                stderr.read_to_string(&mut said).map_err(EngineError::Launcher)?;
            }
            Err(EngineError::Died(said.trim_end().to_owned()))
        })
    }

    fn end(mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        // Closes the life line first. It takes some hundredths of a second, and then nothing is left.
        // A failure has nowhere to go from here; `Engine::stop` reports it.
        let _ = self.0.wait();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn gone(url: &str, log: &Path) -> bool {
        let folder_is_gone = log.parent().is_some_and(|folder| !folder.exists());
        folder_is_gone && TcpStream::connect(url.trim_start_matches("http://")).is_err()
    }

    #[tokio::test]
    async fn engines_run_side_by_side_and_leave_nothing() {
        let workspace = Workspace::locate().unwrap();
        let (one, two) = tokio::join!(Engine::start(&workspace), Engine::start(&workspace));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_ne!(one.url(), two.url());

        let s3 = aws_sdk_s3::Client::new(&one.sdk_config());
        s3.create_bucket().bucket("of-the-first").send().await.unwrap();
        let s3 = aws_sdk_s3::Client::new(&two.sdk_config());
        assert!(s3.list_buckets().send().await.unwrap().buckets().is_empty());

        let (url, log) = (one.url().to_owned(), one.log().to_owned());
        one.stop().await.unwrap();
        assert!(gone(&url, &log));

        let (url, log) = (two.url().to_owned(), two.log().to_owned());
        drop(two);
        assert!(gone(&url, &log));
    }

    #[test]
    fn an_engine_that_dies_shows_its_last_lines() {
        // This Python has no packages, so no engine either.
        let folder = tempfile::tempdir().unwrap();
        let error = Engine::launch("python3".as_ref(), folder.path()).unwrap_err();
        assert!(matches!(&error, EngineError::Died(log) if log.contains("No module named")), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_launcher_that_fails_says_why() {
        let error = Engine::launch("python3".as_ref(), "nowhere".as_ref()).unwrap_err();
        assert!(matches!(&error, EngineError::Died(log) if log.contains("FileNotFoundError")), "{error}");
    }

    #[test]
    fn the_launcher_plays_the_same_account_and_region() {
        assert!(LAUNCHER.contains(&format!("ACCOUNT = \"{}\"\n", Engine::ACCOUNT)));
        assert!(LAUNCHER.contains(&format!("REGION = \"{}\"\n", Engine::REGION)));
    }
}
