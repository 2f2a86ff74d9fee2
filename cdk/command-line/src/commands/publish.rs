//! `publish`: puts a packaged release into one bucket a region, and says where it can be launched from.

use std::path::PathBuf;

use cavatica_generator::page;
use cavatica_local::workspace::{Workspace, WorkspaceError};
use futures_util::future::try_join_all;

use crate::account::{Account, AwsConnection};
use crate::cli::args::PublishArgs;
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::Console;
use crate::operation::clients::print_caller;
use crate::publish::execute::{self, BucketSurvey, PublicationProgress};
use crate::publish::naming::BucketNaming;
use crate::publish::plan::{Obstacle, PublicationPlan};
use crate::publish::{Place, Publication, ReleaseParts, versions};
use crate::release::package::{FOLDER, Package, VERSION};

/// Why a release is not published everywhere.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    /// Nobody says what to publish.
    #[error("give the folder that `cavatica-connect package` wrote, with --package ({0})")]
    NoFolder(WorkspaceError),
    /// Something stands in the way.
    #[error("nothing was written: {0}")]
    Obstacles(Obstacles),
    /// The account stands in the way.
    #[error("nothing was written: {0}")]
    Account(Obstacle),
    /// Buckets could not be made or opened.
    #[error("no release was written, since its templates name all buckets and not all of them are ready: {0}")]
    Buckets(Obstacles),
    /// The code is not everywhere, and the templates name all of it.
    #[error("no template was written, since templates name the code in all buckets: {0}. The same command goes on")]
    Code(Obstacles),
    /// Some places have it, and others do not.
    #[error("{}: {obstacles}. The same command {}", progress(*.done, *.all), if *.all == 1 { "tries again" } else { "goes on with the rest" })]
    Places {
        /// The number that have it.
        done: usize,
        /// Of how many.
        all: usize,
        /// The obstacles in the others.
        obstacles: Obstacles,
    },
}

/// Number of regions that are done: they have the release and, for a public audience, it was read without credentials.
fn progress(done: usize, all: usize) -> String {
    match (done, all) {
        (0, 1) => "the region is not done".to_owned(),
        (0, _) => format!("none of the {all} regions is done"),
        (1, _) => format!("1 of {all} regions is done"),
        _ => format!("{done} of {all} regions are done"),
    }
}

/// Result in a region. A release counts as published after it was read without credentials.
fn written_sentence(count: usize, is_public: bool) -> String {
    let written = match count {
        0 => "all objects were there".to_owned(),
        1 => "1 object written".to_owned(),
        count => format!("{count} objects written"),
    };
    if is_public { format!("published: {written}, and read without credentials") } else { written }
}

/// Obstacles, each with its region.
#[derive(Debug)]
struct Obstacles(Vec<(String, Obstacle)>);

impl std::fmt::Display for Obstacles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What stands in the way everywhere is said once.
        if let [(_, first), rest @ ..] = self.0.as_slice()
            && !rest.is_empty()
            && rest.iter().all(|(_, obstacle)| obstacle == first)
        {
            return write!(f, "{first}");
        }
        let all: Vec<_> = self.0.iter().map(|(region, obstacle)| format!("{region}: {obstacle}")).collect();
        match all.as_slice() {
            [one] => f.write_str(one),
            all => write!(f, "\n  {}", all.join("\n  ")),
        }
    }
}

impl Obstacles {
    fn of<T>(places: &[Place], results: &[Result<T, Obstacle>]) -> Option<Self> {
        let places = places.iter().zip(results);
        let failed = places.filter_map(|(place, result)| Some((place.region.clone(), result.as_ref().err()?.clone())));
        let failed: Vec<_> = failed.collect();
        (!failed.is_empty()).then_some(Self(failed))
    }
}

pub(super) fn run(args: PublishArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, CommandFailure> {
    let buckets = args.buckets().map_err(|error| CommandFailure::new(Exit::Usage, error))?;
    let package = Package::read(&folder(args.package.clone())?, connection.platform())?;
    if package.manifest.commit.as_ref().is_none_or(|commit| commit.ends_with("-modified")) {
        console.note("this package is not the source of a commit, so nobody can build the same and compare");
    }
    run_until_signal(publish(&package, &buckets, &args, connection, console), async || {
        console.stop_waiting();
        "Objects that were written stay, and no link leads to them: links begin at versions.json, which comes last. Run the same command again to continue."
            .to_owned()
    })
}

fn folder(asked: Option<PathBuf>) -> Result<PathBuf, CommandFailure> {
    Ok(match asked {
        Some(folder) => folder,
        None => Workspace::locate().map_err(PublishError::NoFolder)?.target.join(FOLDER),
    })
}

async fn publish(
    package: &Package,
    buckets: &[BucketNaming],
    args: &PublishArgs,
    connection: &AwsConnection,
    console: &Console,
) -> Result<Exit, CommandFailure> {
    let desired = &args.desired();
    console.start_waiting("looking at the buckets");
    let account = Account::of_caller(connection).await?;
    let places = try_join_all(buckets.iter().map(|naming| naming.choose(&account))).await?;
    let parts = &ReleaseParts::of(package, connection.platform(), places);
    let places = parts.places.as_slice();
    let unseen = execute::check_account(&account, parts, desired).await.map_err(PublishError::Account)?;
    let survey = execute::survey(&account, parts, desired).await;
    console.stop_waiting();
    let regions: Vec<_> = places.iter().map(|place| place.region.as_str()).collect();
    print_caller(&account, &regions, console).await;
    if let Some(why) = unseen {
        console.note(&format!("Block Public Access of the account and its organization could not be read: {why}"));
    }
    tell_plan(parts, &account, &survey, console);
    if let Some(obstacles) = Obstacles::of(places, &survey.plans) {
        return Err(PublishError::Obstacles(obstacles).into());
    }
    let plans: Vec<PublicationPlan> = survey.plans.into_iter().flatten().collect();
    if args.dry_run {
        console.print("Nothing was written (--dry-run).")?;
        return Ok(Exit::Done);
    }

    console.heading("Publishing");
    let lines = console.progress_lines(places.iter().map(|place| place.region.clone()));
    let tell = |i: usize, news: PublicationProgress<'_>| match news {
        PublicationProgress::Doing(doing) => lines.progress(i, doing),
        PublicationProgress::Written { count, is_public } => lines.checked(i, &written_sentence(count, is_public)),
        PublicationProgress::Failed => lines.fails(i, "failed; see the error below"),
    };
    let prepared = execute::prepare(&account, &plans, &tell).await;
    if let Some(obstacles) = Obstacles::of(places, &prepared) {
        return Err(PublishError::Buckets(obstacles).into());
    }
    let code = execute::write_code(&account, parts, &plans, &tell).await;
    if let Some(obstacles) = Obstacles::of(places, &code) {
        return Err(PublishError::Code(obstacles).into());
    }
    let code: Vec<_> = code.into_iter().flatten().collect();
    let publication = execute::publication_of(parts, &code);
    let written = execute::write(&account, &publication, &plans, &code, &tell).await;
    drop(lines);
    let done = places.iter().zip(&written).filter(|(_, result)| result.is_ok());
    print_links(&publication, &account, &done.map(|(place, _)| place).collect::<Vec<_>>(), console);
    match Obstacles::of(places, &written) {
        Some(obstacles) => {
            let all = written.len();
            Err(PublishError::Places { done: all - obstacles.0.len(), all, obstacles }.into())
        }
        None => Ok(Exit::Done),
    }
}

/// Prints where links begin, and the page that makes them, of each place that has the release.
fn print_links(publication: &Publication, account: &Account, places: &[&Place], console: &Console) {
    if places.is_empty() {
        return;
    }
    console.heading("Where links begin");
    for place in places {
        console.step(&place.region, &place.object(versions::KEY).to_string());
    }
    console.heading("Launch page");
    let page = publication.entry.file(page::FILE).map(|file| file.key.as_str()).unwrap_or_default();
    for place in places {
        console.step(&place.region, &place.object(page).to_string());
    }
    let fetch = account.invocation.aws(&["s3", "cp", "s3://BUCKET/KEY", "launch.html"], None);
    console.text(&format!("A browser opens it where the audience is public. Others fetch it, with `{fetch}`."));
    console.heading("To go on");
    let link = ["launch-url", "--release", "ADDRESS", "--param", "BucketName=NAME"];
    console.step("a link", &account.invocation.command(&link, None));
}

fn tell_plan(parts: &ReleaseParts, account: &Account, survey: &BucketSurvey, console: &Console) {
    console.heading(&format!("Release {VERSION}, by account {}", account.id));
    let generated = survey.publication.as_ref().map(|publication| publication.generated.as_slice());
    for object in parts.objects().chain(generated.unwrap_or_default()) {
        console.step("object", &format!("{} ({} bytes)", object.key, object.content.size));
    }
    if generated.is_none() {
        let count = parts.count_of_generated();
        console
            .step("object", &format!("{count} more, made when S3 has the code: they name its version in each bucket"));
    }
    for (place, result) in parts.places.iter().zip(&survey.plans) {
        console.text(&format!("{} in bucket {}", place.region, place.bucket));
        match result {
            Ok(plan) => plan.steps().iter().for_each(|(verb, what)| console.step(verb, what)),
            Err(_) => console.step("stopped", "see the error below"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Obstacles in the first of some regions.
    fn obstacles(count: usize) -> Obstacles {
        let regions = ["eu-west-1", "us-east-1", "us-west-2"].into_iter().take(count);
        Obstacles(regions.map(|region| (region.to_owned(), Obstacle::Taken(format!("lab-{region}")))).collect())
    }

    #[test]
    fn an_obstacle_of_every_region_is_said_once() {
        let obstacle = || Obstacle::AccountBlocksPublic("123456789012".to_owned());
        let all = Obstacles(["eu-west-1", "us-east-1"].map(|region| (region.to_owned(), obstacle())).to_vec());
        assert_eq!(all.to_string(), obstacle().to_string());
    }

    #[test]
    fn every_result_reads_as_a_sentence_with_no_one_and_several_regions() {
        for (done, all, begins, ends) in [
            (0, 1, "the region is not done: eu-west-1: ", "tries again"),
            (0, 3, "none of the 3 regions is done: \n  eu-west-1: ", "goes on with the rest"),
            (1, 2, "1 of 2 regions is done: eu-west-1: ", "goes on with the rest"),
            (1, 3, "1 of 3 regions is done: \n  eu-west-1: ", "goes on with the rest"),
            (2, 3, "2 of 3 regions are done: eu-west-1: ", "goes on with the rest"),
        ] {
            let said = PublishError::Places { done, all, obstacles: obstacles(all - done) }.to_string();
            assert!(said.starts_with(begins) && said.ends_with(ends), "{said}");
        }
    }
}
