//! The command line's entry: arguments and environment come in, one exit code goes out.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use cavatica_connect::cli::args::{Cli, with_short_values};
use cavatica_connect::cli::exit::conclude;
use cavatica_connect::commands;
use cavatica_connect::console::Console;
use clap::Parser as _;

fn main() -> ExitCode {
    // Wrong arguments end here, with the usage and exit code 2.
    let cli = Cli::try_parse().unwrap_or_else(|error| with_short_values(error).exit());
    conclude(commands::run(cli, &Console::new(is_watched(), can_ask())))
}

/// True if somebody watches: pipes and CI get plain lines.
#[allow(clippy::disallowed_methods, reason = "main.rs is where the environment is read")]
fn is_watched() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("CI").is_none()
}

/// True if there is somebody to answer a question.
fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
