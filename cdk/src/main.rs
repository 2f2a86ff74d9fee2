//! The command line's entry: arguments and environment come in, one exit code goes out.

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use anstream::eprintln;
use cavatica_connect::cli::{Cli, Command};
use cavatica_connect::console::{Console, print_line};
use cavatica_connect::launch_url::{Launch, launch_url};
use cavatica_connect::stack::{Config, template};
use cavatica_connect::{demo, documents, synth};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

/// What a shell expects of a program that was interrupted.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    // Wrong arguments end here, with the usage and exit code 2.
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes as one sentence.
fn chain(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        sentence = format!("{sentence}: {cause}");
        source = cause.source();
    }
    sentence
}

fn run(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Synth(args) => {
            let files = synth::generate(&Config::default());
            if args.check {
                synth::check(&files, &args.out)?;
                print_line(&format!("{} is as the generator makes it", args.out.display()));
            } else {
                for path in synth::write(&files, &args.out)? {
                    print_line(&format!("wrote {}", path.display()));
                }
            }
        }
        Command::Documents(args) => print_line(&format!("{:#}", documents::documents(args.into())?)),
        Command::LaunchUrl(args) => print_line(&launch_url(&template(&Config::default()), &Launch::from(args))?),
        Command::Demo => return watch_demo(),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the demo until it ends or somebody ends it.
fn watch_demo() -> Result<ExitCode, Box<dyn Error>> {
    let console = Console::new(is_watched());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            result = demo::run(&console) => result.map(|()| ExitCode::SUCCESS).map_err(Box::<dyn Error>::from),
            _ = interrupt.recv() => Ok(ExitCode::from(INTERRUPTED)),
            _ = terminate.recv() => Ok(ExitCode::from(INTERRUPTED)),
        }
    });
    console.rest();
    // A build under way has got the same signal; nothing here has to wait for it.
    runtime.shutdown_background();
    if result.as_ref().is_ok_and(|code| *code == ExitCode::from(INTERRUPTED)) {
        eprintln!("Interrupted. The local engine and all that ran on it are gone.");
    }
    result
}

/// Whether somebody watches: pipes and CI get plain lines.
#[allow(clippy::disallowed_methods, reason = "main.rs is where the environment is read")]
fn is_watched() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("CI").is_none()
}
