//! The commands, one file each: what was asked for is done, and what came of it is printed.

mod completions;
mod deploy;
mod destroy;
mod documents;
mod launch_url;
mod list;
mod man;
mod package;
mod page;
mod publish;
mod rehearse;
mod status;
mod synth;
mod verify;

use std::path::PathBuf;

use crate::account::AwsConnection;
use crate::cli::args::{Cli, Command, ConnectionArgs};
use crate::cli::exit::{CommandFailure, Exit};
use crate::console::Console;
use crate::invocation::Invocation;

/// The process's environment, as far as commands depend on it.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Name of this program as the user typed it.
    pub program: String,
    /// Value of `AWS_CA_BUNDLE`.
    pub ca_bundle: Option<PathBuf>,
}

/// Runs a command.
pub fn run(cli: Cli, environment: Environment, console: &Console) -> Result<Exit, CommandFailure> {
    let Cli { command, platform, connection: ConnectionArgs { profile, endpoint_url } } = cli;
    let platform = platform.unwrap_or_default();
    let invocation = Invocation { program: environment.program, profile, endpoint_url, platform };
    let connection = AwsConnection { invocation, ca_bundle: environment.ca_bundle, console: console.clone() };
    match command {
        Command::Synth(args) => synth::run(args, connection.platform(), console),
        Command::Documents(args) => documents::run(args, connection.platform(), console),
        Command::Package(args) => package::run(args, connection.platform(), console),
        Command::Publish(args) => publish::run(args, &connection, console),
        Command::Page(args) => page::run(args, &connection, console),
        Command::LaunchUrl(args) => launch_url::run(args, &connection, console),
        Command::Deploy(args) => deploy::run(args, &connection, console),
        Command::Destroy(args) => destroy::run(args, &connection, console),
        Command::List(args) => list::run(args, &connection, console),
        Command::Status(args) => status::run(args, &connection, console),
        Command::Rehearse(args) => rehearse::run(args, &connection, console),
        Command::Verify(args) => verify::run(args, &connection, console),
        Command::Completions(args) => completions::run(args, console),
        Command::Man(args) => man::run(args, console),
    }
}
