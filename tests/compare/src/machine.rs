//! The place of the measurement: the machine, the day, and the versions of what is installed.

use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::subjects::{MANIFEST, REQUIREMENTS, said};

/// All that a reader needs to compare figures.
#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Processor, memory and kernel.
    pub description: String,
    /// The day, in UTC.
    pub date: String,
    /// Programs and libraries.
    pub versions: Vec<String>,
}

/// The packages in Python that are named in the report; the rest follows from them.
const NAMED: [&str; 5] = ["aws-sam-cli", "awslambdaric", "boto3", "cfn-handler", "crhelper"];

impl Machine {
    /// This one.
    pub fn here(programs: &[String]) -> Result<Self, Error> {
        let processor = field("/proc/cpuinfo", "model name")?;
        let kibibytes: f64 = field("/proc/meminfo", "MemTotal")?.trim_end_matches(" kB").parse()?;
        let cores = std::thread::available_parallelism()?;
        let kernel = said(Command::new("uname").arg("-sr"))?;
        let gibibytes = kibibytes / f64::from(1 << 20);
        let manifest: serde_json::Value = serde_json::from_str(MANIFEST)?;
        let in_javascript = manifest["dependencies"].as_object().into_iter().flatten();
        let in_javascript =
            in_javascript.map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or_default()));
        let in_python = REQUIREMENTS.lines().filter_map(|line| line.split_once("=="));
        let in_python =
            in_python.filter(|(name, _)| NAMED.contains(name)).map(|(name, version)| format!("{name} {version}"));
        Ok(Self {
            description: format!("{processor}, {cores} processors, {gibibytes:.0} GiB, {kernel}"),
            date: said(Command::new("date").args(["-u", "+%F"]))?,
            versions: programs.iter().cloned().chain(in_python).chain(in_javascript).collect(),
        })
    }
}

/// Returns the first field of this name in one of the kernel's tables.
fn field(path: &str, name: &str) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let value = fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
    value.ok_or_else(|| format!("{path} has no {name}").into())
}
