//! The processor time of a function with little memory, as a control group of the kernel.
//!
//! AWS: "Configure Lambda function memory", 1,769 MB are one processor; so 128 MB are 7.2 % of one. The group has the
//! older interface (`cpu.cfs_quota_us`) or the newer one (`cpu.max`), whichever this machine has.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The memory that is measured for, and the memory of one whole processor, in MB.
const MEMORY: u64 = 128;
const WHOLE_PROCESSOR: u64 = 1_769;

/// Period in microseconds, in which the group may run for its share.
const PERIOD: u64 = 20_000;

/// A control group; goes with this, once nothing runs in it.
#[derive(Debug)]
pub struct Quota {
    folder: PathBuf,
}

impl Quota {
    /// Makes a group, where this machine lets its user do so. The reason otherwise.
    pub fn new() -> Result<Self, String> {
        let name = format!("cavatica-compare-{}", std::process::id());
        let quota = PERIOD * MEMORY / WHOLE_PROCESSOR;
        let newer: &[(&str, String)] = &[("cpu.max", format!("{quota} {PERIOD}"))];
        let older: &[(&str, String)] =
            &[("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
        let mut refusals = Vec::new();
        for (parent, settings) in [("/sys/fs/cgroup", newer), ("/sys/fs/cgroup/cpu", older)] {
            let group = Self { folder: Path::new(parent).join(&name) };
            match group.set(settings) {
                Ok(()) => return Ok(group),
                Err(error) => refusals.push(format!("{}: {error}", group.folder.display())),
            }
        }
        Err(refusals.join("; "))
    }

    fn set(&self, settings: &[(&str, String)]) -> std::io::Result<()> {
        fs::create_dir(&self.folder)?;
        for (name, value) in settings {
            // The kernel's own files: one that is not there is not to be made.
            OpenOptions::new().write(true).open(self.folder.join(name))?.write_all(value.as_bytes())?;
        }
        Ok(())
    }

    /// Returns the file that a process enters the group by.
    pub fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // The kernel keeps a group with members; they were ended before.
        let _ = fs::remove_dir(&self.folder);
    }
}
