//! `check`: compares a volume in the platform with its stack, and lists it.

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
    let result = run_until_signal(check(&args, connection, places, &progress, console), async || {
        progress.stop_waiting();
        "Nothing was changed.".to_owned()
    });
    progress.stop_waiting();
    result
}

async fn check(
    args: &VolumeArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
    results: &Console,
) -> Result<Exit, CommandFailure> {
    let api = api(&args.api.token, connection, places, console)?;
    console.start_waiting("looking at the stack");
    let granted = granted(&args.stack, connection).await?;
    let name = granted.stack.id.split('/').nth(1).unwrap_or_default().to_owned();
    console.start_waiting("checking the volume");
    let volume = attachment::find(&api, &granted.volume, args.volume.as_ref()).await.map_err(VolumeProblem::from)?;
    let checked = attachment::check(&api, &granted.volume, &volume.id).await;
    console.stop_waiting();
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => return Err(explained(error, &granted, &name).await.into()),
    };
    let exit = print_check(&checked, &granted.volume, &connection.platform().name, console);
    if args.api.output == OutputForm::Json {
        results.print(&check_as_json(&checked))?;
    }
    Ok(exit)
}
