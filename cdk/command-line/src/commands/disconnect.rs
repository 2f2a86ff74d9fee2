//! `disconnect`: removes a volume from the platform, and deletes its stack.

use super::{ApiPlaces, destroy, detach};
use crate::account::AwsConnection;
use crate::cli::args::{DetachArgs, DisconnectArgs, OutputForm, PlatformApiArgs, StackArgs};
use crate::cli::exit::{CommandFailure, Exit};
use crate::commands::volume_api::progress;
use crate::console::Console;

pub(super) fn run(
    args: DisconnectArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
) -> Result<Exit, CommandFailure> {
    let DisconnectArgs { destroy, volume, force, token } = args;
    let progress = progress(destroy.output, console);
    let detach = DetachArgs {
        stack: StackArgs { stack_name: destroy.stack_name.clone(), region: destroy.region },
        volume,
        force,
        yes: destroy.yes,
        api: PlatformApiArgs { token, output: OutputForm::Text },
    };
    match detach::run_if_attached(detach, connection, places, &progress)? {
        Exit::Done => destroy::run(destroy, connection, console),
        exit => Ok(exit),
    }
}
