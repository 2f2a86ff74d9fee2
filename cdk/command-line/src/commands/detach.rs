//! `detach`: removes a volume from the platform, with the files imported from it.

use super::ApiPlaces;
use super::volume_api::{VolumeProblem, api, granted_if_any, progress};
use crate::account::AwsConnection;
use crate::attachment::{self, AttachmentError};
use crate::cli::args::{DetachArgs, OutputForm};
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::Console;
use crate::operation::clients::require_answer;

/// Obstacle to detaching a volume.
#[derive(Debug, thiserror::Error)]
#[error("{0} imports or exports of volume {1} run or wait: let them end, or give --force")]
struct Busy(usize, String);

pub(super) fn run(
    args: DetachArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
) -> Result<Exit, CommandFailure> {
    run_with(args, connection, places, console, true)
}

/// Detaches a volume. A stack that does not exist, and one whose volume is not attached, are no failure.
pub(super) fn run_if_attached(
    args: DetachArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
) -> Result<Exit, CommandFailure> {
    run_with(args, connection, places, console, false)
}

fn run_with(
    args: DetachArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
    is_required: bool,
) -> Result<Exit, CommandFailure> {
    require_answer(args.yes, console)?;
    let progress = progress(args.api.output, console);
    let result = run_until_signal(detach(&args, connection, places, &progress, console, is_required), async || {
        progress.stop_waiting();
        "The volume may be deactivated or deleted: `volumes` lists them, and the same command goes on.".to_owned()
    });
    progress.stop_waiting();
    result
}

async fn detach(
    args: &DetachArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
    results: &Console,
    is_required: bool,
) -> Result<Exit, CommandFailure> {
    let api = api(&args.api.token, connection, places, console)?;
    let platform = connection.platform().name.as_ref();
    console.start_waiting("looking at the volume");
    let granted = match granted_if_any(&args.stack, connection).await? {
        Err(problem) if !is_required => {
            console.stop_waiting();
            console.text(&format!("No volume is detached: {problem}."));
            return Ok(Exit::Done);
        }
        granted => granted?,
    };
    let volume = match attachment::find(&api, &granted.volume, args.volume.as_ref()).await {
        Err(error @ AttachmentError::NotAttached { .. }) if !is_required => {
            console.stop_waiting();
            console.text(&format!("No volume is detached: {error}."));
            return Ok(Exit::Done);
        }
        found => found.map_err(VolumeProblem::from)?,
    };
    granted.volume.require_place(&volume).map_err(VolumeProblem::from)?;
    let usage = attachment::usage(&api, &volume.id).await.map_err(VolumeProblem::from)?;
    console.stop_waiting();
    console.heading(&format!("Detach volume {} of {}", volume.id, granted.volume.place()));
    let (files, projects) = (usage.files.len(), usage.projects);
    console.field("Imported files", &format!("{files} in {projects} projects that this user sees; they are removed"));
    console.field("Running transfers", &usage.transfers.to_string());
    console.text(&format!("No object in the bucket is changed. Files in projects that this user does not see become unreadable in {platform}."));
    if usage.transfers > 0 && !args.force {
        return Err(Busy(usage.transfers, volume.id.to_string()).into());
    }
    if !args.yes && !console.ask("Detach it?").await? {
        console.text(&"Nothing was changed.");
        return Ok(Exit::Failed);
    }
    console.start_waiting("detaching the volume");
    let detached = attachment::detach(&api, &volume.id, &usage.files, args.force).await;
    console.stop_waiting();
    detached.map_err(VolumeProblem::from)?;
    console.checked(&format!("{platform} answered that volume {} does not exist any more", volume.id));
    if args.api.output == OutputForm::Json {
        results.print(&format!("{:#}", serde_json::json!({"Volume": volume.id.as_str(), "RemovedFiles": files})))?;
    }
    Ok(Exit::Done)
}
