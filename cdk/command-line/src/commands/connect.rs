//! `connect`: deploys a stack, attaches its volume in the platform, and checks it.
//!
//! The token is tried first, so that nothing is created for a user who cannot attach the volume. Each part adopts what an
//! interrupted run has left.

use super::{ApiPlaces, attach, deploy};
use crate::account::AwsConnection;
use crate::cli::args::{AttachArgs, ConnectArgs, OutputForm, PlatformApiArgs, StackArgs};
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::commands::volume_api::{api, progress};
use crate::console::Console;

pub(super) fn run(
    args: ConnectArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
) -> Result<Exit, CommandFailure> {
    let ConnectArgs { mut deploy, volume, token } = args;
    let progress = progress(deploy.output, console);
    let user = async {
        api(&token, connection, places, &progress)?.user().await?;
        Ok(Exit::Done)
    };
    run_until_signal(user, async || "Nothing was changed.".to_owned())?;
    let stack = StackArgs { stack_name: deploy.stack_name.clone(), region: deploy.region };
    let api = PlatformApiArgs { token, output: deploy.output };
    let is_dry = deploy.dry_run;
    // One result: that of the volume.
    deploy.output = OutputForm::Text;
    match deploy::run(deploy, connection, &progress)? {
        Exit::Done if !is_dry => attach::run(AttachArgs { stack, volume, api }, connection, places, console),
        exit => Ok(exit),
    }
}
