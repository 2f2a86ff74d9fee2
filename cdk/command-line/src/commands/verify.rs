//! `verify`: compares what a stack runs with what was released, one line a comparison.

use cavatica_access::platform::Platform;
use cavatica_local::children;
use cavatica_local::workspace::Workspace;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::account::{Account, AwsConnection, read_published};
use crate::cli::args::{OutputForm, VerifyArgs};
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::{Console, Tone};
use crate::release::package::Package;
use crate::source::{self, SourceError};
use crate::verify::deployed::Deployed;
use crate::verify::{Expected, Verdict};

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
enum VerifyError {
    /// Nobody says where the stack is.
    #[error("the region of stack {0} is not known: give it with --region, or give the stack's ARN")]
    NoRegion(String),
    /// There is nothing of ours in it.
    #[error(
        "stack {0} has neither a function of cavatica-connect nor a template of the release: see that it is the right stack"
    )]
    NotOurs(String),
}

pub(super) fn run(args: VerifyArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, CommandFailure> {
    let progress = match args.output {
        OutputForm::Text => console.clone(),
        OutputForm::Json => console.to_stderr(),
    };
    let result = run_until_signal(verify(args, connection, &progress, console), async || {
        progress.stop_waiting();
        children::end_all().to_owned()
    });
    progress.stop_waiting();
    result
}

async fn verify(
    args: VerifyArgs,
    connection: &AwsConnection,
    console: &Console,
    results: &Console,
) -> Result<Exit, CommandFailure> {
    console.start_waiting("looking at what is deployed");
    let account = Account::of_caller(connection).await?;
    let region = args.target.region().or(args.region).or(account.region());
    let region = region.ok_or_else(|| VerifyError::NoRegion(args.target.to_string()))?;
    let deployed = args.target.look(&account, region).await?;
    let expected = expected(&args, connection, &deployed).await?;
    console.stop_waiting();
    let mut verdicts = expected.verdicts(&args.target, &deployed);
    if deployed.function.is_none() && verdicts.iter().all(|verdict| !verdict.is_equal) {
        return Err(VerifyError::NotOurs(args.target.to_string()).into());
    }
    if args.output == OutputForm::Text {
        verdicts.iter().for_each(|verdict| tell(verdict, console));
    }
    if args.rebuild {
        let verdict = rebuild(connection.platform(), &expected, console).await?;
        if args.output == OutputForm::Text {
            tell(&verdict, console);
        }
        verdicts.push(verdict);
    }
    if args.output == OutputForm::Json {
        let all: Vec<_> = verdicts
            .iter()
            .map(|verdict| json!({"Compared": verdict.what, "Equal": verdict.is_equal, "Found": verdict.found}))
            .collect();
        results.print(&format!("{:#}", json!({"Release": expected.version, "Comparisons": all})))?;
    }
    Ok(if verdicts.iter().all(|verdict| verdict.is_equal) { Exit::Done } else { Exit::Different })
}

async fn expected(
    args: &VerifyArgs,
    connection: &AwsConnection,
    deployed: &Deployed,
) -> Result<Expected, CommandFailure> {
    let Some(at) = &args.release else {
        let package = Package::read(args.package.as_deref().unwrap_or("".as_ref()), connection.platform())?;
        return Ok(Expected::of_package(connection.platform(), &package));
    };
    let list = source::read(connection, at).await?;
    let release = Expected::in_list(connection.platform(), &list, args.release_version.as_deref(), deployed);
    let mut release = release.map_err(|source| SourceError::Versions { at: at.to_string(), source })?;
    if let Some(template) = deployed.template.as_deref().and_then(|text| release.counterpart(text)) {
        let place = list.place();
        let text = read_published(connection, &place.object(&template.key)).await?;
        template.text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
    }
    Ok(release)
}

async fn rebuild(platform: &Platform, expected: &Expected, console: &Console) -> Result<Verdict, CommandFailure> {
    let workspace = Workspace::locate()?;
    console.start_waiting("building the Lambda as it is released (minutes, the first time)");
    let (platform, for_build) = (platform.clone(), console.clone());
    let built =
        spawn_blocking(move || Package::build(&workspace, &platform, |line| for_build.progress(line))).await??;
    console.stop_waiting();
    if built.manifest.commit != expected.commit {
        let of = |commit: &Option<String>| commit.clone().unwrap_or_else(|| "an unknown commit".to_owned());
        console.note(&format!(
            "the source tree is at {}, and release {} was built from {}",
            of(&built.manifest.commit),
            expected.version,
            of(&expected.commit)
        ));
    }
    Ok(expected.rebuilt(&built.zip.sha256))
}

fn tell(verdict: &Verdict, console: &Console) {
    let (tone, state) = if verdict.is_equal { (Tone::Good, "equal    ") } else { (Tone::Bad, "different") };
    console.row(tone, state, &format!("{:<8}", verdict.what), &verdict.found, "");
}
