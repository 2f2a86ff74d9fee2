//! `cargo demo`: a stack comes up, changes and goes, on a local engine, without an AWS account.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use cavatica_connect::cli::console::Console;
use cavatica_connect::cli::exit::{Exit, conclude};
use cavatica_connect::cli::signals::run_until_signal;
use cavatica_connect::release::children;
use cavatica_local::demo;
use clap::Parser as _;

/// Watch a stack come up, change and go, on a local engine, without an AWS account
#[derive(Debug, clap::Parser)]
#[command(name = "demo", bin_name = "cargo demo", version, max_term_width = 100)]
struct Cli;

fn main() -> ExitCode {
    let Cli = Cli::parse();
    let console = Console::new(is_watched(), false);
    let demo = async {
        demo::run(&console).await?;
        Ok(Exit::Done)
    };
    let result = run_until_signal(demo, async || {
        console.rest();
        children::end_all().to_owned()
    });
    console.rest();
    conclude(result)
}

/// True if somebody watches: pipes and CI get plain lines.
#[allow(clippy::disallowed_methods, reason = "main.rs is where the environment is read")]
fn is_watched() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("CI").is_none()
}
