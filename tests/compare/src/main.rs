//! `cargo compare`: measures the function beside others that do the same work, and writes `BENCHMARKS.md`.

mod calls;
mod emulator;
mod machine;
mod measure;
mod plot;
mod quota;
mod report;
mod scale;
mod statistics;
mod stub;
mod subjects;

use std::process::ExitCode;
use std::time::Duration;

use cavatica_local::children;
use cavatica_local::workspace::Workspace;
use clap::Parser;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::machine::Machine;
use crate::measure::{Bench, Run, Setting};
use crate::quota::Quota;
use crate::report::Results;
use crate::subjects::Subject;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The delays of a call, in milliseconds.
const DELAYS: [u64; 3] = [0, 20, 100];

/// The delay beside the quota, in milliseconds.
const DELAY_WITH_QUOTA: u64 = 20;

/// The fewest runs that are published.
const PUBLISHED: u32 = 20;

/// The files that are written, from the top of the checkout.
const PAGE: &str = "BENCHMARKS.md";
const LIGHT: &str = "tests/pictures/benchmarks-light.svg";
const DARK: &str = "tests/pictures/benchmarks-dark.svg";

/// Measures the function beside others that do the same work, and writes BENCHMARKS.md.
#[derive(Debug, Parser)]
#[command(name = "cargo compare")]
struct Arguments {
    /// Runs of every function with every setting; fewer than 20 are printed and not written
    #[arg(long, default_value_t = PUBLISHED, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Measure nothing: write the page again from the last measurement
    #[arg(long, conflicts_with = "runs")]
    again: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = tokio::select! {
        done = compare(&arguments) => done,
        _ = tokio::signal::ctrl_c() => Err(format!("interrupted; nothing was written. {}", children::end_all()).into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn compare(arguments: &Arguments) -> Result<(), Error> {
    if cfg!(not(target_os = "linux")) {
        return Err("Lambda's emulator and the figures of its processes are Linux's: run `cargo compare` there".into());
    }
    let workspace = Workspace::locate()?;
    let saved = workspace.target.join("compare/results.json");
    let results = if arguments.again {
        let text = std::fs::read_to_string(&saved).map_err(|_| "there is no measurement yet: run `cargo compare`")?;
        serde_json::from_str(&text)?
    } else {
        let results = measured(&workspace, arguments.runs).await?;
        if arguments.runs < PUBLISHED {
            println!("{}", results.page(LIGHT, DARK));
            return Ok(());
        }
        std::fs::write(&saved, serde_json::to_vec(&results)?)?;
        results
    };
    let page = results.page(LIGHT, DARK);
    for (path, text) in
        [(PAGE, page), (LIGHT, plot::svg(&results, plot::LIGHT)), (DARK, plot::svg(&results, plot::DARK))]
    {
        std::fs::write(workspace.root.join(path), text)?;
        println!("wrote {path}");
    }
    Ok(())
}

fn tell(line: &str) {
    eprintln!("{line}");
}

async fn measured(workspace: &Workspace, rounds: u32) -> Result<Results, Error> {
    let prepared = {
        let (workspace, path) = (workspace.clone(), path_variable());
        spawn_blocking(move || subjects::prepare(&workspace, &path, tell)).await??
    };
    tell("measuring the documents of many volumes: half a minute");
    let documents = {
        let workspace = workspace.clone();
        spawn_blocking(move || scale::measure(&workspace)).await??
    };

    let quota = Quota::new();
    let mut settings = DELAYS.map(|delay| Setting { delay: Duration::from_millis(delay), has_quota: false }).to_vec();
    if quota.is_ok() {
        settings.push(Setting { delay: Duration::from_millis(DELAY_WITH_QUOTA), has_quota: true });
    }
    let without_quota = quota.as_ref().err().cloned();
    tell("recording the function's calls on a local engine");
    let bench = Bench::new(workspace, &prepared, quota.ok()).await?;
    Ok(Results {
        machine: Machine::here(&prepared.programs)?,
        packages: Subject::ALL
            .map(|subject| Ok((subject, prepared.package_size(subject)?)))
            .into_iter()
            .collect::<Result<_, Error>>()?,
        runs: in_turn(&bench, &settings, rounds).await?,
        settings,
        without_quota,
        documents,
    })
}

async fn in_turn(bench: &Bench<'_>, settings: &[Setting], rounds: u32) -> Result<Vec<Run>, Error> {
    let (mut runs, began) = (Vec::new(), Instant::now());
    for round in 1..=rounds {
        // Each round begins with another function: whoever comes after a slow one finds the processor's caches cold.
        let mut subjects = Subject::ALL;
        subjects.rotate_left(round as usize % Subject::ALL.len());
        for setting in settings {
            for subject in subjects {
                runs.push(once_more(bench, subject, *setting).await?);
            }
        }
        let spent = began.elapsed();
        let left = spent / round * (rounds - round);
        tell(&format!("round {round} of {rounds}: {} s, about {} s left", spent.as_secs(), left.as_secs()));
    }
    Ok(runs)
}

/// Returns a run; a second time where the first one failed, since somebody else may have taken the emulator's port
/// meanwhile, and half an hour is not to be lost by that. Whoever does other work than ours does it again.
async fn once_more(bench: &Bench<'_>, subject: Subject, setting: Setting) -> Result<Run, Error> {
    match bench.run(subject, setting).await {
        Ok(run) => Ok(run),
        Err(error) => {
            tell(&format!("{}: measured again, since: {error}", subject.name()));
            bench.run(subject, setting).await.map_err(|error| format!("{}: {error}", subject.name()).into())
        }
    }
}

/// Returns the folders of programs.
#[allow(clippy::disallowed_methods, reason = "main.rs is where the environment is read")]
fn path_variable() -> String {
    std::env::var("PATH").unwrap_or_default()
}
