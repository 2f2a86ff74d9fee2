//! A function in Lambda's runtime interface emulator, AWS's own, one process for one cold start.
//!
//! Owns: starting it, handing events over, reading what the system says of the function's process, ending both.
//! Not here: what the function is (`subjects`) and what it does meanwhile (`stub`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::Error;
use crate::quota::Quota;

/// Time for the emulator to listen, and between two looks.
const START: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(2);

/// Time for one event at most: the slowest function with the quota takes a tenth of it.
const EVENT: Duration = Duration::from_secs(120);

/// A function's command and variables.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its environment, all of it.
    pub environment: Vec<(String, String)>,
}

/// A running emulator with the function under it.
#[derive(Debug)]
pub struct Emulator {
    process: Child,
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
    log: Arc<Mutex<Vec<String>>>,
}

/// Resources of the function's process so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Time on a processor.
    pub cpu: Duration,
    /// The most memory that was resident at once, in bytes.
    pub peak: u64,
}

impl Emulator {
    /// Starts the emulator; the function starts with the first event.
    pub async fn start(emulator: &Path, launch: &Launch, quota: Option<&Quota>) -> Result<Self, Error> {
        let [events, runtime] = free_ports().await?;
        // It does not outlive this program, not even when that is killed; the function ends by itself without it.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(emulator)
            .args(["--runtime-interface-emulator-address", &events.to_string()])
            .args(["--runtime-api-address", &runtime.to_string()]);
        if let Some(quota) = quota {
            // The function alone is slowed: it enters the group before it becomes itself.
            command.args(["/bin/sh", "-c", r#"echo $$ > "$0"; exec "$@""#]).arg(quota.members());
        }
        let mut process = command
            .args(&launch.command)
            .env_clear()
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot run `setpriv`, of util-linux: {error}"))?;
        let log = Arc::new(Mutex::new(Vec::new()));
        if let (Some(stdout), Some(stderr)) = (process.stdout.take(), process.stderr.take()) {
            tokio::spawn(collect(stdout, Arc::clone(&log)));
            tokio::spawn(collect(stderr, Arc::clone(&log)));
        }
        let url = format!("http://{events}/2015-03-31/functions/function/invocations");
        let emulator = Self { process, url, client: Client::builder(TokioExecutor::new()).build_http(), log };
        let listening = async {
            while TcpStream::connect(events).await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(START, listening).await.map_err(|_| emulator.failure("the emulator does not listen"))?;
        Ok(emulator)
    }

    /// Hands an event over and waits until the function has returned.
    pub async fn invoke(&self, event: &str) -> Result<(), Error> {
        let request = Request::post(&self.url).body(Full::from(event.to_owned()))?;
        let ended = tokio::time::timeout(EVENT, self.client.request(request)).await;
        let response = ended.map_err(|_| self.failure("the function does not return"))?;
        let response = response.map_err(|error| self.failure(&format!("the emulator does not answer: {error}")))?;
        let body = response.into_body().collect().await?.to_bytes();
        // The emulator answers a failed function with 200 and an error's fields.
        if String::from_utf8_lossy(&body).contains("\"errorMessage\"") {
            return Err(self.failure(&String::from_utf8_lossy(&body)));
        }
        Ok(())
    }

    /// Time from the function's start until it asked for its first event, by the emulator's log.
    pub fn initialization(&self) -> Result<Duration, Error> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let milliseconds = log.iter().find_map(|line| initialization(line));
        milliseconds.map(|milliseconds| Duration::from_secs_f64(milliseconds / 1_000.0)).ok_or_else(|| {
            "the emulator's log does not tell how long initialization took: its format has changed".into()
        })
    }

    /// Reads what the function's process used so far.
    pub fn usage(&self) -> Result<Usage, Error> {
        let emulator = self.process.id().ok_or("the emulator has ended")?;
        let function = child(emulator).ok_or_else(|| self.failure("the function has ended"))?;
        let mut cpu = Duration::ZERO;
        for task in std::fs::read_dir(format!("/proc/{function}/task"))? {
            // A thread may end between listing and reading.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let nanoseconds = text.split_whitespace().next().and_then(|field| field.parse().ok());
            cpu += Duration::from_nanos(nanoseconds.ok_or("no processor time in schedstat")?);
        }
        let status = std::fs::read_to_string(format!("/proc/{function}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        Ok(Usage { cpu, peak: peak.map(|kibibytes: u64| kibibytes * 1_024).ok_or("no VmHWM in status")? })
    }

    /// Ends both processes.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.end_function();
        self.process.start_kill()?;
        self.process.wait().await?;
        Ok(())
    }

    /// The emulator does not take the function with it when it is killed.
    fn end_function(&self) {
        if let Some(function) = self.process.id().and_then(child) {
            // Without it, it is an orphan without events until this machine restarts.
            let _ = std::process::Command::new("kill").args(["-KILL", &function.to_string()]).status();
        }
    }

    fn failure(&self, what: &str) -> Error {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let last = log[log.len().saturating_sub(12)..].join("\n");
        format!("{what}\nthe last lines of its log:\n{last}").into()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.end_function();
    }
}

/// Two ports that nobody has at the moment.
async fn free_ports() -> Result<[SocketAddr; 2], Error> {
    let (one, other) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    Ok([one.local_addr()?, other.local_addr()?])
}

async fn collect(from: impl AsyncRead + Unpin, log: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// Returns the milliseconds of a line such as `INIT REPORT(durationMs: 20.769000)`.
fn initialization(line: &str) -> Option<f64> {
    line.split_once("INIT REPORT(durationMs: ")?.1.split(')').next()?.parse().ok()
}

/// Returns the first child of a process, whichever of its threads started it.
fn child(parent: u32) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).ok()?;
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    children.collect::<String>().split_whitespace().next()?.parse().ok()
}

/// Path of the emulator inside the package that brings it, for this machine's processor.
pub fn place(packages: &Path) -> PathBuf {
    let processor = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    packages.join(format!("samcli/local/rapid/aws-lambda-rie-{processor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emulators_log_tells_how_long_initialization_took() {
        let line = "26 Nov 2026 05:33:42,502 [INFO] (rapid) INIT REPORT(durationMs: 20.769000)";
        assert_eq!(initialization(line), Some(20.769));
        assert_eq!(initialization("INIT RTDONE(status: success)"), None);
    }
}
