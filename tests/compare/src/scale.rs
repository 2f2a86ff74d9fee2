//! The generator's documents for many volumes: runs the benchmark of this crate, and reads what criterion found.

use std::process::Command;

use cavatica_local::workspace::Workspace;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;
use crate::subjects::said;

/// The documents of so many volumes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Documents {
    /// Number of volumes.
    pub volumes: usize,
    /// Median time.
    pub nanoseconds: f64,
    /// The most memory at once.
    pub bytes: usize,
}

/// Runs the benchmark, half a minute.
pub fn measure(workspace: &Workspace) -> Result<Vec<Documents>, Error> {
    let mut cargo = Command::new("cargo");
    cargo.args(["bench", "--quiet", "--locked", "--package", "cavatica-compare", "--bench", "documents"]);
    let printed = said(cargo.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target))?;
    printed
        .lines()
        .filter_map(bytes_at_once)
        .map(|(volumes, bytes)| {
            let path = workspace.target.join(format!("criterion/documents/{volumes}/new/estimates.json"));
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let estimates: Value = serde_json::from_str(&text)?;
            let nanoseconds = estimates["median"]["point_estimate"].as_f64();
            Ok(Documents { volumes, nanoseconds: nanoseconds.ok_or("criterion gives no median")?, bytes })
        })
        .collect()
}

/// Volumes and bytes of a line such as `documents/100: 57111 bytes at once`.
fn bytes_at_once(line: &str) -> Option<(usize, usize)> {
    let (volumes, bytes) = line.strip_prefix("documents/")?.strip_suffix(" bytes at once")?.split_once(": ")?;
    Some((volumes.parse().ok()?, bytes.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_benchmark_tells_its_memory() {
        assert_eq!(bytes_at_once("documents/100: 57111 bytes at once"), Some((100, 57_111)));
        assert_eq!(bytes_at_once("Benchmarking documents/100: Analyzing"), None);
    }
}
