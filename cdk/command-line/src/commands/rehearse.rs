//! `rehearse`: the whole life of a stack in an account, checked step by step.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cavatica_local::children;
use cavatica_local::engine::Engine;
use cavatica_local::workspace::Workspace;

use crate::account::{Account, AwsConnection};
use crate::cli::args::RehearseArgs;
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::{Console, Tone};
use crate::deploy::code::built;
use crate::local_platform::LocalAccess;
use crate::operation::clients::{RegionClients, print_caller, read_zip, require_answer, template_of_release};
use crate::rehearse::fixture::{Fixture, Name};
use crate::rehearse::{Code, ReportOutput, StepResult, run_all};
use crate::release::build::Profile;

/// Why a rehearsal does not begin, or did not go well.
#[derive(Debug, thiserror::Error)]
enum RehearsalError {
    /// Something has its name.
    #[error("{0} already exists: choose another --name, or remove what an earlier rehearsal left with --clean-up")]
    Taken(String),
    /// There is no place for the events.
    #[error(
        "no file for the events can be made in the folder for temporary files ({0}): set TMPDIR to another, or give --detail"
    )]
    Events(std::io::Error),
    /// Steps failed.
    #[error("{failed} of {steps} steps failed")]
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

pub(super) fn run(args: RehearseArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, CommandFailure> {
    require_answer(args.yes || args.local || args.clean_up, console)?;
    let on_stage = RefCell::new(None);
    let result = run_until_signal(rehearse(&args, connection, console, &on_stage), async || {
        console.stop_waiting();
        match on_stage.take() {
            // A played account is gone with its engine.
            None => children::end_all().to_owned(),
            Some(fixture) => match clear(&fixture, console).await {
                Ok(()) => "Nothing of the rehearsal is left.".to_owned(),
                Err(error) => error.to_string(),
            },
        }
    });
    console.stop_waiting();
    result
}

async fn rehearse(
    args: &RehearseArgs,
    connection: &AwsConnection,
    console: &Console,
    on_stage: &RefCell<Option<Fixture>>,
) -> Result<Exit, CommandFailure> {
    let name = args.name.clone().unwrap_or_else(Name::random);
    if args.local {
        return locally(args, connection, name, console).await;
    }
    console.start_waiting("looking at the account");
    let clients = RegionClients::reach(connection, args.region).await?;
    let fixture = Fixture::new(clients.account.clone(), clients.region, name);
    if args.clean_up {
        console.stop_waiting();
        clear(&fixture, console).await?;
        console.checked(&format!("nothing of rehearsal {} is left", fixture.name));
        return Ok(Exit::Done);
    }
    if let Some(taken) = fixture.taken().await? {
        return Err(CommandFailure::new(Exit::Usage, RehearsalError::Taken(taken)));
    }
    let code = match &args.code.release {
        Some(at) => {
            let version = args.code.release_version.as_deref();
            Code::Published(template_of_release(connection, clients.region, at, version, false).await?.1)
        }
        None => zip(args, Profile::Release, console).await?,
    };
    console.stop_waiting();
    print_caller(&fixture.account, &[fixture.region], console).await;
    console.heading(&format!("Rehearsal {}", fixture.name));
    console
        .text(&"Makes a bucket, stacks and roles, whose names all begin with that of the rehearsal, and removes them.");
    console.text(&"Takes some ten minutes; costs less than a cent.");
    if !args.yes && !console.ask("Begin?").await? {
        console.text(&"Nothing was changed.");
        return Ok(Exit::Failed);
    }
    let (output, events) = output(args, &fixture.name, console)?;
    on_stage.replace(Some(fixture.clone()));
    let results = run_all(&fixture, &code, &output, args.keep_going).await;
    on_stage.take();
    concluded(&results, events.as_deref(), console)
}

/// Says where events and documents go: to the screen, or to a file whose path is returned.
fn output(
    args: &RehearseArgs,
    name: &Name,
    console: &Console,
) -> Result<(ReportOutput, Option<PathBuf>), CommandFailure> {
    let steps = console.clone();
    if args.detail {
        let shows_external_id = args.local || console.is_watched();
        let detail = console.clone();
        return Ok((ReportOutput { steps, detail, shows_detail: true, shows_external_id }, None));
    }
    let (file, path) = tempfile::Builder::new()
        .prefix(&format!("{name}-events-"))
        .suffix(".txt")
        .tempfile()
        .and_then(|file| Ok(file.keep()?))
        .map_err(RehearsalError::Events)?;
    let detail = Console::of_file(file);
    Ok((ReportOutput { steps, detail, shows_detail: false, shows_external_id: args.local }, Some(path)))
}

/// Plays it on the local engine.
async fn locally(
    args: &RehearseArgs,
    connection: &AwsConnection,
    name: Name,
    console: &Console,
) -> Result<Exit, CommandFailure> {
    let workspace = Workspace::locate()?;
    console.start_waiting("preparing the local engine (the first time, this installs it)");
    let prepared = Engine::prepare(&workspace).await;
    console.stop_waiting();
    prepared?;
    let code = zip(args, Profile::Local, console).await?;
    console.start_waiting("starting the local engine");
    let engine = Engine::start(&workspace).await;
    console.stop_waiting();
    let engine = engine?;
    console.heading("A stack's life in an emulated AWS account on this machine");
    console.text(&format!("IAM's documents decide what {} may do; what it may, it does.", connection.platform().name));
    let mut account = Account::of(engine.sdk_config()).await?;
    account.invocation = connection.invocation.clone();
    let fixture = Fixture::new(account, Engine::REGION, name)
        .with_platform(LocalAccess::start(&engine, connection.platform()).await?);
    let (output, events) = output(args, &fixture.name, console)?;
    let results = run_all(&fixture, &code, &output, args.keep_going).await;
    engine.stop().await?;
    concluded(&results, events.as_deref(), console)
}

/// Says how it went as a whole: after the details once more as one line a step.
fn concluded(results: &[StepResult], events: Option<&Path>, console: &Console) -> Result<Exit, CommandFailure> {
    match events {
        Some(path) => console.field("Events", &path.display().to_string()),
        None => {
            console.heading("Done");
            results.iter().for_each(|step| step.print(console, ""));
        }
    }
    let (failed, steps) = (results.iter().filter(|step| !step.has_succeeded).count(), results.len());
    let time: Duration = results.iter().map(|step| step.time).sum();
    if failed > 0 {
        return Err(RehearsalError::Failed { failed, steps }.into());
    }
    console.checked(&format!("all {steps} steps passed in {:.1} s", time.as_secs_f64()));
    Ok(Exit::Done)
}

async fn zip(args: &RehearseArgs, profile: Profile, console: &Console) -> Result<Code, CommandFailure> {
    let asset = match &args.code.zip {
        Some(path) => read_zip(path)?,
        None => built(profile, console).await?,
    };
    Ok(Code::Zip(Box::new(asset)))
}

/// Removes what the rehearsal has made, and says what could not be.
async fn clear(fixture: &Fixture, console: &Console) -> Result<(), RehearsalError> {
    console.start_waiting("removing what the rehearsal made (some minutes)");
    let failures = fixture.clear().await;
    console.stop_waiting();
    if failures.is_empty() {
        return Ok(());
    }
    for failure in failures {
        console.row(Tone::Bad, "left", "", "", &failure.to_string());
    }
    Err(RehearsalError::Left(fixture.clean_up()))
}
