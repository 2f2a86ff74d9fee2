//! `attach`: attaches a stack's volume in the platform, shares it, and checks it.

use super::ApiPlaces;
use super::volume_api::{VolumeProblem, api, check_as_json, explained, granted, print_check, progress};
use crate::account::AwsConnection;
use crate::attachment::{self, Attached};
use crate::cli::args::{AttachArgs, OutputForm};
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::Console;

pub(super) fn run(
    args: AttachArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
) -> Result<Exit, CommandFailure> {
    let progress = progress(args.api.output, console);
    let result = run_until_signal(attach(&args, connection, places, &progress, console), async || {
        progress.stop_waiting();
        "A volume may have been attached: `volumes` lists them, and the same command goes on.".to_owned()
    });
    progress.stop_waiting();
    result
}

async fn attach(
    args: &AttachArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
    results: &Console,
) -> Result<Exit, CommandFailure> {
    let api = api(&args.api.token, connection, places, console)?;
    console.start_waiting("looking at the stack");
    let granted = granted(&args.stack, connection).await?;
    let user = api.user().await?;
    console.stop_waiting();
    let (platform, stack) = (connection.platform().name.as_ref(), &granted.volume);
    console.heading(platform);
    console.field("User", &format!("{} at {}", user.username, api.host()));
    console.start_waiting(&format!("attaching {} in {platform}", stack.place()));
    let name = granted.stack.id.split('/').nth(1).unwrap_or_default().to_owned();
    let attached = attachment::attach(&api, stack, args.volume.volume_name.as_deref()).await;
    console.stop_waiting();
    let Attached { volume, was_there } = match attached {
        Ok(attached) => attached,
        Err(error) => return Err(explained(error, &granted, &name).await.into()),
    };
    let verb = if was_there { "is attached already" } else { "is attached" };
    console.checked(&format!("{platform} answered that volume {} {verb}", volume.id));
    for share in &args.volume.share {
        api.share(&volume.id, &share.username, &share.permissions).await?;
        console.checked(&format!("{platform} answered that {} may {}", share.username, share.permissions.join(", ")));
    }
    console.start_waiting("checking the volume");
    let checked = attachment::check(&api, stack, &volume.id).await;
    console.stop_waiting();
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => {
            let error = Box::new(explained(error, &granted, &name).await);
            return Err(VolumeProblem::Unchecked { id: volume.id.to_string(), error }.into());
        }
    };
    let exit = print_check(&checked, stack, platform, console);
    if args.api.output == OutputForm::Json {
        results.print(&check_as_json(&checked))?;
    }
    Ok(exit)
}
