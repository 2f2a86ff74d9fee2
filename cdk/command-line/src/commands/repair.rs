//! `repair`: sends role and external ID of a stack to its volume again, activates it, and checks it.

use super::ApiPlaces;
use super::volume_api::{VolumeProblem, api, check_as_json, explained, granted, print_check, progress};
use crate::account::AwsConnection;
use crate::attachment;
use crate::cli::args::{OutputForm, VolumeArgs};
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::Console;

pub(super) fn run(
    args: VolumeArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
) -> Result<Exit, CommandFailure> {
    let progress = progress(args.api.output, console);
    let result = run_until_signal(repair(&args, connection, places, &progress, console), async || {
        progress.stop_waiting();
        "The volume may have been changed: `check` shows it, and the same command goes on.".to_owned()
    });
    progress.stop_waiting();
    result
}

async fn repair(
    args: &VolumeArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
    results: &Console,
) -> Result<Exit, CommandFailure> {
    let api = api(&args.api.token, connection, places, console)?;
    console.start_waiting("looking at the stack");
    let granted = granted(&args.stack, connection).await?;
    let (platform, stack) = (connection.platform().name.as_ref(), &granted.volume);
    let name = granted.stack.id.split('/').nth(1).unwrap_or_default().to_owned();
    console.start_waiting("repairing the volume");
    let volume = attachment::find(&api, stack, args.volume.as_ref()).await.map_err(VolumeProblem::from)?;
    let repaired = async {
        attachment::repair(&api, stack, &volume).await?;
        attachment::check(&api, stack, &volume.id).await
    };
    let repaired = repaired.await;
    console.stop_waiting();
    let checked = match repaired {
        Ok(checked) => checked,
        Err(error) => return Err(explained(error, &granted, &name).await.into()),
    };
    let exit = print_check(&checked, stack, platform, console);
    console.note(&format!("{platform} may go on with an earlier session of the role for up to an hour"));
    if args.api.output == OutputForm::Json {
        results.print(&check_as_json(&checked))?;
    }
    Ok(exit)
}
