//! `volumes`: lists the volumes in the platform that a token sees.

use serde_json::json;

use super::ApiPlaces;
use super::volume_api::{api, progress};
use crate::account::AwsConnection;
use crate::cli::args::{OutputForm, VolumesArgs};
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::{Console, Tone};

pub(super) fn run(
    args: VolumesArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
) -> Result<Exit, CommandFailure> {
    let progress = progress(args.api.output, console);
    let result = run_until_signal(volumes(&args, connection, places, &progress, console), async || {
        progress.stop_waiting();
        "Nothing was changed.".to_owned()
    });
    progress.stop_waiting();
    result
}

async fn volumes(
    args: &VolumesArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
    results: &Console,
) -> Result<Exit, CommandFailure> {
    let api = api(&args.api.token, connection, places, console)?;
    console.start_waiting("listing the volumes");
    let user = api.user().await?;
    let volumes = api.volumes().await?;
    console.stop_waiting();
    if args.api.output == OutputForm::Json {
        let one = |volume: &cavatica_api::model::Volume| {
            let place = volume.place();
            json!({"Volume": volume.id.as_str(), "Bucket": place.map(|place| place.0), "Prefix": place.map(|place| place.1),
                "Mode": volume.access_mode.map(|mode| mode.to_string()), "Active": volume.active, "Role": volume.role_arn()})
        };
        results.print(&format!("{:#}", json!(volumes.iter().map(one).collect::<Vec<_>>())))?;
        return Ok(Exit::Done);
    }
    console.heading(&format!("Volumes that {} sees at {}", user.username, api.host()));
    if volumes.is_empty() {
        console.text(&"none");
    }
    for volume in &volumes {
        let (tone, state) = match volume.active {
            Some(true) => (Tone::Good, "active"),
            Some(false) => (Tone::Bad, "deactivated"),
            None => (Tone::Quiet, "unknown"),
        };
        let place = volume.place().map(|(bucket, prefix)| format!("s3://{bucket}/{prefix}")).unwrap_or_default();
        let mode = volume.access_mode.map(|mode| mode.to_string()).unwrap_or_default();
        console.row(tone, &format!("{state:<11}"), volume.id.as_str(), &mode, &place);
    }
    Ok(Exit::Done)
}
