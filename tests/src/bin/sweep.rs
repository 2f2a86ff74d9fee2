//! `cargo sweep`: spoils every call of every event of a stack's life on the real binary, and prints one table.

use std::path::PathBuf;
use std::process::ExitCode;

use cavatica_connect::release::build::{self, Profile};
use cavatica_local::workspace::Workspace;
use cavatica_simulation::size::FULL;
use cavatica_tests::{Error, sweep};

#[tokio::main]
async fn main() -> ExitCode {
    eprintln!("building the function for release if need be, and starting local engines");
    let progress = |done: usize, all: usize| {
        if done.is_multiple_of(50) {
            eprintln!("{done} of {all} cells");
        }
    };
    let swept = async { sweep::run(released()?, FULL.one_cell_in, progress).await };
    match swept.await {
        Ok(swept) => {
            println!("{}", swept.table());
            for failure in swept.failures() {
                println!("{failure}");
            }
            let (passed, all) = swept.passed();
            if passed == all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the Lambda as it is released.
fn released() -> Result<PathBuf, Error> {
    Ok(build::build(&Workspace::locate()?, Profile::Release, |line| eprintln!("{line}"))?.binary)
}
