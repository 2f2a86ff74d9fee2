//! The commands, one file each: what was asked for is done, and what came of it is printed.

mod completions;
mod deploy;
mod destroy;
mod documents;
mod launch_url;
mod man;
mod outputs;
mod package;
mod page;
mod publish;
mod rehearse;
mod stack;
mod status;
mod synth;
mod verify;

use crate::cli::args::{Cli, Command};
use crate::cli::exit::{Exit, Failure};
use crate::console::Console;

/// Runs a command.
pub fn run(Cli { command, access }: Cli, console: &Console) -> Result<Exit, Failure> {
    let access = access.into();
    match command {
        Command::Synth(args) => synth::run(args, console),
        Command::Documents(args) => documents::run(args, console),
        Command::Package(args) => package::run(args, console),
        Command::Publish(args) => publish::run(args, &access, console),
        Command::Page(args) => page::run(args, &access, console),
        Command::LaunchUrl(args) => launch_url::run(args, &access, console),
        Command::Deploy(args) => deploy::run(args, &access, console),
        Command::Destroy(args) => destroy::run(args, &access, console),
        Command::Status(args) => status::run(args, &access, console),
        Command::Rehearse(args) => rehearse::run(args, &access, console),
        Command::Verify(args) => verify::run(args, &access, console),
        Command::Completions(args) => completions::run(args, console),
        Command::Man(args) => man::run(args, console),
    }
}
