//! `completions`: prints what completes the command line in a shell.

use clap::CommandFactory as _;

use crate::cli::args::{Cli, CompletionsArgs};
use crate::cli::exit::{CommandFailure, Exit};
use crate::console::Console;

pub(super) fn run(args: CompletionsArgs, console: &Console) -> Result<Exit, CommandFailure> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    console.print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Done)
}
