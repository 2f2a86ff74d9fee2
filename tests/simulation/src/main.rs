//! `cargo simulate`: simulates random histories of a stack and reports every violation of an invariant.

use std::process::ExitCode;
use std::time::Instant;

use cavatica_simulation::batch;
use cavatica_simulation::size::FULL;
use clap::Parser;

/// Simulates random histories of a stack in virtual time and checks the invariants. Exits with 1 on any violation.
#[derive(Debug, Parser)]
#[command(name = "cargo simulate")]
struct Arguments {
    /// Number of histories.
    #[arg(long, default_value_t = FULL.histories)]
    histories: u64,
    /// The first seed; each history has the next one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print what happens in each history instead, to compare two versions of the function call by call.
    #[arg(long)]
    tell: bool,
}

#[allow(clippy::disallowed_methods, reason = "real time is what is reported here")]
fn main() -> ExitCode {
    let Arguments { histories, seed, tell } = Arguments::parse();
    if tell {
        return match batch::tell(seed, histories, |line| println!("{line}")) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let begun = Instant::now();
    let per_second = |done: u64| done as f64 / begun.elapsed().as_secs_f64().max(0.001);
    let progress = |done: u64| {
        if done.is_multiple_of(50_000) {
            eprintln!("{done} of {histories} histories, {:.0} a second", per_second(done));
        }
    };
    let found = match batch::run(seed, histories, &progress) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some((seed, _)) = found.violations.first() {
        match batch::explain(*seed) {
            Ok((history, seen)) => {
                println!("seed {seed}, shortened:\n\n{history}\n{}\n", seen.trace.join("\n"));
                println!("{}\n", seen.violations.join("\n"));
            }
            Err(error) => eprintln!("error: {error}"),
        }
    }
    for (seed, violation) in &found.violations {
        println!("violation: {violation}\n  replay: cargo simulate --seed {seed} --histories 1");
    }
    println!(
        "{} histories with {} events in {:.1} s ({:.0} histories a second), {} violations",
        found.histories,
        found.events,
        begun.elapsed().as_secs_f64(),
        per_second(found.histories),
        found.violations.len()
    );
    if found.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
