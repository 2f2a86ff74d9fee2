//! The commands, one file each: what was asked for is done, and what came of it is printed.

mod completions;
mod deploy;
mod destroy;
mod documents;
mod launch_url;
mod man;
mod outputs;
mod package;
mod publish;
mod status;
mod synth;
mod verify;

use crate::cli::args::Command;
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};

/// Runs a command.
pub fn run(command: Command, console: &Console) -> Result<Exit, Failure> {
    match command {
        Command::Synth(args) => synth::run(args, console),
        Command::Documents(args) => documents::run(args, console),
        Command::Package(args) => package::run(args, console),
        Command::Publish(args) => publish::run(args, console),
        Command::LaunchUrl(args) => launch_url::run(args, console),
        Command::Deploy(args) => deploy::run(args, console),
        Command::Destroy(args) => destroy::run(args, console),
        Command::Status(args) => status::run(args, console),
        Command::Verify(args) => verify::run(args, console),
        Command::Completions(args) => completions::run(args, console),
        Command::Man(args) => man::run(args, console),
    }
}
