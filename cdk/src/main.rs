//! The command line's entry: arguments and environment come in, one exit code goes out.

use std::process::ExitCode;

use cavatica_connect::cli::args::{Cli, with_short_values};
use cavatica_connect::cli::console::Console;
use cavatica_connect::cli::exit::conclude;
use cavatica_connect::commands;
use clap::Parser as _;

fn main() -> ExitCode {
    // Wrong arguments end here, with the usage and exit code 2.
    let cli = Cli::try_parse().unwrap_or_else(|error| with_short_values(error).exit());
    conclude(commands::run(cli.command, &Console::plain()))
}
