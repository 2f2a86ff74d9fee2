//! The commands, one file each: what was asked for is done, and what came of it is printed.

mod attach;
mod check;
mod completions;
mod connect;
mod deploy;
mod destroy;
mod detach;
mod disconnect;
mod documents;
mod launch_url;
mod list;
mod man;
mod package;
mod page;
mod publish;
mod rehearse;
mod repair;
mod status;
mod synth;
mod verify;
mod volume_api;
mod volumes;

use std::path::PathBuf;

use cavatica_aws::http::Secret;

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
    /// Places of the credentials of the platform's API, without the file's text.
    pub api: ApiPlaces,
}

/// Places of the credentials of the platform's API.
#[derive(Debug, Clone, Default)]
pub struct ApiPlaces {
    /// Value of `SB_API_ENDPOINT`.
    pub endpoint: Option<String>,
    /// Value of `SB_AUTH_TOKEN`.
    pub token: Option<Secret>,
    /// Home directory, with the credentials file.
    pub home: Option<PathBuf>,
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
        Command::Connect(args) => connect::run(args, &connection, &environment.api, console),
        Command::Disconnect(args) => disconnect::run(args, &connection, &environment.api, console),
        Command::Attach(args) => attach::run(args, &connection, &environment.api, console),
        Command::Check(args) => check::run(args, &connection, &environment.api, console),
        Command::Repair(args) => repair::run(args, &connection, &environment.api, console),
        Command::Volumes(args) => volumes::run(args, &connection, &environment.api, console),
        Command::Detach(args) => detach::run(args, &connection, &environment.api, console),
        Command::List(args) => list::run(args, &connection, console),
        Command::Status(args) => status::run(args, &connection, console),
        Command::Rehearse(args) => rehearse::run(args, &connection, console),
        Command::Verify(args) => verify::run(args, &connection, console),
        Command::Completions(args) => completions::run(args, console),
        Command::Man(args) => man::run(args, console),
    }
}
