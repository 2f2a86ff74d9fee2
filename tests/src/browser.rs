//! A Chromium that opens the launch page: the programs in `tests/browser/` drive it, each with JSON in and JSON out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use cavatica_access::platform::CAVATICA;
use cavatica_generator::page::At;
use cavatica_generator::template::{Release, files};
use cavatica_local::node::{self, Packages};
use cavatica_local::workspace::Workspace;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::Error;

const PACKAGES: Packages = Packages {
    name: "browser",
    manifest: include_str!("../browser/package.json"),
    lock: include_str!("../browser/package-lock.json"),
};

/// The regions of the release that the page is tried with.
pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-2"];

/// Returns the release that the page is tried with.
#[must_use]
pub fn at() -> At {
    let buckets = REGIONS.iter().map(|region| ((*region).to_owned(), format!("releases-{region}"))).collect();
    let key = |name: String| (name.clone(), format!("cavatica-connect/0a1b/{name}"));
    At {
        release: Release { key: "cavatica-connect/2c3d.zip".to_owned(), buckets, code_versions: BTreeMap::new() },
        templates: BTreeMap::from([false, true].map(|is_native| files::name(&CAVATICA, is_native)).map(key)),
        list: "cavatica-connect/versions.json".to_owned(),
    }
}

/// The names of a Chromium on PATH.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// The way to a Chromium.
#[derive(Debug, Clone)]
pub struct Browser {
    packages: PathBuf,
    programs: PathBuf,
    /// The program; without it, that of the package.
    chromium: Option<PathBuf>,
}

impl Browser {
    /// Returns the one that `CHROME` names, or else the first that starts: the package's, at its pinned version, which
    /// is fetched and unpacked once and for Linux only, and this machine's.
    pub async fn find() -> Result<Self, Error> {
        static FOUND: OnceCell<Browser> = OnceCell::const_new();
        let find = || async {
            let workspace = Workspace::locate()?;
            let for_node = workspace.clone();
            let packages = tokio::task::spawn_blocking(move || node::packages(&for_node, PACKAGES)).await??;
            let browser = Self { packages, programs: workspace.root.join("tests/browser"), chromium: None };
            std::fs::create_dir_all(browser.unpacked())?;
            let mut refusals = String::new();
            for chromium in candidates() {
                let which = chromium.as_ref().map_or("the package's".to_owned(), |it| it.display().to_string());
                let browser = Self { chromium, ..browser.clone() };
                let nothing = serde_json::json!({"page": "about:blank", "fragments": []});
                match browser.run("states", &nothing).await {
                    Ok(_) => return Ok(browser),
                    Err(error) => refusals += &format!("\n{which}: {error}"),
                }
            }
            let remedy = "install one (Debian, Ubuntu: `apt install chromium`), or name one in CHROME";
            Err::<_, Error>(format!("no Chromium starts: {remedy}{refusals}").into())
        };
        FOUND.get_or_try_init(find).await.cloned()
    }

    fn unpacked(&self) -> PathBuf {
        self.packages.join("unpacked")
    }

    /// Runs one of the programs.
    pub async fn run(&self, program: &str, input: &Value) -> Result<Value, Error> {
        let mut command = Command::new("node");
        command
            .arg(self.programs.join(program).with_extension("mjs"))
            .env("BROWSER_PACKAGES", &self.packages)
            // The package's Chromium is unpacked there, and profiles are there.
            .env("TMPDIR", self.unpacked())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(chromium) = &self.chromium {
            command.env("BROWSER_PROGRAM", chromium);
        }
        let mut running = command.spawn()?;
        let mut stdin = running.stdin.take().ok_or("no standard input")?;
        let text = input.to_string();
        let written = async move {
            stdin.write_all(text.as_bytes()).await?;
            stdin.shutdown().await
        };
        let (written, output) = tokio::join!(written, running.wait_with_output());
        let output = output?;
        if !output.status.success() {
            return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        written?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Places of a Chromium, the best first; `None` stands for the package's.
#[allow(clippy::disallowed_methods, reason = "a test asks the machine what it has")]
fn candidates() -> Vec<Option<PathBuf>> {
    if let Some(named) = std::env::var_os("CHROME") {
        return vec![Some(named.into())];
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let found = |name: &&str| folders.iter().map(|folder| folder.join(name)).find(|program| program.is_file());
    let package = cfg!(target_os = "linux").then_some(None);
    package.into_iter().chain(NAMES.iter().find_map(found).map(Some)).collect()
}
