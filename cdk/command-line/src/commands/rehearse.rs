//! `rehearse`: the whole life of a stack in an account, checked step by step.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cavatica_local::children;
use cavatica_local::engine::Engine;
use cavatica_local::workspace::Workspace;

use crate::account::{Account, AwsConnection};
use crate::cli::args::RehearseArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::run_until_signal;
use crate::console::{Console, Tone};
use crate::deploy::code::built;
use crate::operation::clients::{RegionClients, print_caller, read_zip, require_answer, template_of_release};
use crate::rehearse::access::PlatformCaller;
use crate::rehearse::stage::{Name, Stage};
use crate::rehearse::{Code, Played, Telling, play};
use crate::release::build::Profile;

/// Why a rehearsal does not begin, or did not go well.
#[derive(Debug, thiserror::Error)]
enum RehearsalError {
    /// Something has its name.
    #[error("there is {0} already: choose another --name, or remove what an earlier rehearsal left with --clean-up")]
    Taken(String),
    /// There is no place for the events.
    #[error(
        "no file for the events can be made in the folder for temporary files ({0}): set TMPDIR to another, or give --detail"
    )]
    Events(std::io::Error),
    /// Steps failed.
    #[error("{failed} of {steps} steps did not go as promised")]
    Failed {
        /// Those that did not.
        failed: usize,
        /// All that were played.
        steps: usize,
    },
    /// Not all of it could be removed.
    #[error("not everything was removed, as the lines above say: mend that, and run `{0}`")]
    Left(String),
}

pub(super) fn run(args: RehearseArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, Failure> {
    require_answer(args.yes || args.local || args.clean_up, console)?;
    let on_stage = RefCell::new(None);
    let result = run_until_signal(rehearse(&args, connection, console, &on_stage), async || {
        console.rest();
        match on_stage.take() {
            // A played account is gone with its engine.
            None => children::end_all().to_owned(),
            Some(stage) => match clear(&stage, console).await {
                Ok(()) => "Nothing of the rehearsal is left.".to_owned(),
                Err(error) => error.to_string(),
            },
        }
    });
    console.rest();
    result
}

async fn rehearse(
    args: &RehearseArgs,
    connection: &AwsConnection,
    console: &Console,
    on_stage: &RefCell<Option<Stage>>,
) -> Result<Exit, Failure> {
    let name = args.name.clone().unwrap_or_else(Name::random);
    if args.local {
        return locally(args, connection, name, console).await;
    }
    console.wait("looking at the account");
    let clients = RegionClients::reach(connection, args.region).await?;
    let stage = Stage::new(clients.account.clone(), clients.region, name);
    if args.clean_up {
        console.rest();
        clear(&stage, console).await?;
        console.holds(&format!("nothing of rehearsal {} is left", stage.name));
        return Ok(Exit::Done);
    }
    if let Some(taken) = stage.taken().await? {
        return Err(Failure::new(Exit::Usage, RehearsalError::Taken(taken)));
    }
    let code = match &args.code.release {
        Some(at) => {
            let version = args.code.release_version.as_deref();
            Code::Published(template_of_release(connection, clients.region, at, version, false).await?.1)
        }
        None => zip(args, Profile::Release, console).await?,
    };
    console.rest();
    print_caller(&stage.account, &[stage.region], console).await;
    console.part(&format!("Rehearsal {}", stage.name));
    console
        .say(&"Makes a bucket, stacks and roles, whose names all begin with that of the rehearsal, and removes them.");
    console.say(&"Takes some ten minutes; costs less than a cent.");
    if !args.yes && !console.ask("Begin?").await? {
        console.say(&"Nothing was changed.");
        return Ok(Exit::Failed);
    }
    let (telling, events) = telling(args, &stage.name, console)?;
    on_stage.replace(Some(stage.clone()));
    let played = play(&stage, &code, &telling, args.keep_going).await;
    on_stage.take();
    concluded(&played, events.as_deref(), console)
}

/// Says where events and documents go: to the screen, or to a file whose path is returned.
fn telling(args: &RehearseArgs, name: &Name, console: &Console) -> Result<(Telling, Option<PathBuf>), Failure> {
    let steps = console.clone();
    if args.detail {
        let tells_external_id = args.local || console.is_watched();
        let detail = console.clone();
        return Ok((Telling { steps, detail, shows_detail: true, tells_external_id }, None));
    }
    let (file, path) = tempfile::Builder::new()
        .prefix(&format!("{name}-events-"))
        .suffix(".txt")
        .tempfile()
        .and_then(|file| Ok(file.keep()?))
        .map_err(RehearsalError::Events)?;
    let detail = Console::of_file(file);
    Ok((Telling { steps, detail, shows_detail: false, tells_external_id: args.local }, Some(path)))
}

/// Plays it on the local engine.
async fn locally(
    args: &RehearseArgs,
    connection: &AwsConnection,
    name: Name,
    console: &Console,
) -> Result<Exit, Failure> {
    let workspace = Workspace::locate()?;
    console.wait("preparing the local engine (the first time, this installs it)");
    let prepared = Engine::prepare(&workspace).await;
    console.rest();
    prepared?;
    let code = zip(args, Profile::Local, console).await?;
    console.wait("starting the local engine");
    let engine = Engine::start(&workspace).await;
    console.rest();
    let engine = engine?;
    console.part("A stack's life in an AWS account that is played on this machine");
    console.say(&format!(
        "The engine enforces no policies: what IAM holds decides what {} may do, and what it may, it does, by calls of its role in \
         another account.",
        connection.platform().name
    ));
    let mut account = Account::of(engine.sdk_config()).await?;
    account.invocation = connection.invocation.clone();
    let stage = Stage::new(account, Engine::REGION, name)
        .with_platform(PlatformCaller::on(&engine, connection.platform()).await?);
    let (telling, events) = telling(args, &stage.name, console)?;
    let played = play(&stage, &code, &telling, args.keep_going).await;
    engine.stop().await?;
    concluded(&played, events.as_deref(), console)
}

/// Says how it went as a whole: after the details once more as one line a step.
fn concluded(played: &[Played], events: Option<&Path>, console: &Console) -> Result<Exit, Failure> {
    match events {
        Some(path) => console.entry("Events", &path.display().to_string()),
        None => {
            console.part("Done");
            played.iter().for_each(|step| step.print(console, ""));
        }
    }
    let (failed, steps) = (played.iter().filter(|step| !step.is_fine).count(), played.len());
    let time: Duration = played.iter().map(|step| step.time).sum();
    if failed > 0 {
        return Err(RehearsalError::Failed { failed, steps }.into());
    }
    console.holds(&format!("all {steps} steps went as promised, in {:.1} s", time.as_secs_f64()));
    Ok(Exit::Done)
}

async fn zip(args: &RehearseArgs, profile: Profile, console: &Console) -> Result<Code, Failure> {
    let asset = match &args.code.zip {
        Some(path) => read_zip(path)?,
        None => built(profile, console).await?,
    };
    Ok(Code::Zip(Box::new(asset)))
}

/// Removes what the rehearsal has made, and says what could not be.
async fn clear(stage: &Stage, console: &Console) -> Result<(), RehearsalError> {
    console.wait("removing what the rehearsal made (some minutes)");
    let failures = stage.clear().await;
    console.rest();
    if failures.is_empty() {
        return Ok(());
    }
    for failure in failures {
        console.row(Tone::Bad, "left", "", "", &failure.to_string());
    }
    Err(RehearsalError::Left(stage.clean_up()))
}
