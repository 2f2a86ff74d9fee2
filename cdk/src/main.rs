//! The command line's entry: arguments and environment come in, one exit code goes out.

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anstream::eprintln;
use cavatica_access::document::in_ascii;
use cavatica_connect::children;
use cavatica_connect::cli::{self, Cli, Command};
use cavatica_connect::console::{Console, print_line};
use cavatica_connect::demo;
use cavatica_connect::documents::{DocumentsError, documents, random_external_id};
use cavatica_connect::launch_url::{self, Launch, LaunchError, is_stack_name, launch_url};
use cavatica_connect::operator;
use cavatica_connect::stack::{Config, native, template};
use cavatica_connect::synth;
use cavatica_connect::workspace::Workspace;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

/// What was asked for cannot be: clap's own code for it.
const USAGE: u8 = 2;
/// What a shell expects of a program that a signal ended: 128 and the signal's number.
const INTERRUPTED: u8 = 128 + 2;
const TERMINATED: u8 = 128 + 15;

fn main() -> ExitCode {
    // Wrong arguments end here, with the usage and exit code 2.
    let cli = Cli::try_parse().unwrap_or_else(|error| cli::with_short_values(error).exit());
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", chain(error.as_ref()));
            let is_usage = error.is::<LaunchError>() || error.is::<DocumentsError>();
            if is_usage { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
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
    let output = match command {
        Command::Synth(args) => {
            let files = synth::generate(&Config { release: None, trusted_principal: args.trusted_principal });
            let folder = match args.out {
                Some(folder) => folder,
                None => Workspace::locate()?.root.join(synth::FOLDER),
            };
            if args.check {
                synth::check(&files, &folder)?;
                format!("{} is as the generator makes it", folder.display())
            } else {
                let written = synth::write(&files, &folder)?;
                written.iter().map(|path| format!("wrote {}", path.display())).collect::<Vec<_>>().join("\n")
            }
        }
        Command::Documents(args) if args.operator => {
            if !is_stack_name(&args.stack_name) {
                return Err(LaunchError::StackName(args.stack_name).into());
            }
            let policy = operator::policy(&args.stack_name, args.native);
            format!("{:#}", policy.to_value())
        }
        Command::Documents(args) => {
            let is_given = args.external_id.is_some();
            let subject = args.subject(random_external_id()?);
            let is_open = subject.external_id.is_none();
            if subject.restrict_listing && subject.volumes.iter().all(|volume| volume.prefix.is_none()) {
                eprintln!("note: --restrict-listing changes nothing without a prefix");
            }
            let documents = documents(subject)?;
            if is_open {
                eprintln!(
                    "note: without an external ID any user of Cavatica who knows the role's ARN can use the bucket"
                );
            } else if !is_given {
                eprintln!(
                    "note: the external ID in the trust policy was made at random: enter the same one in Cavatica"
                );
            }
            in_ascii(&format!("{documents:#}"))
        }
        Command::LaunchUrl(args) => {
            let config = Config::default();
            let template = if args.native { native::template(&config) } else { template(&config) };
            let launch = Launch::from(args);
            let url = launch_url(&template, &launch)?;
            for note in launch_url::notes(&template, &launch) {
                eprintln!("note: {note}");
            }
            url
        }
        Command::Demo => return watch_demo(),
    };
    print_line(&output).map_err(|error| format!("cannot write to standard output: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the demo until it ends or somebody ends it.
fn watch_demo() -> Result<ExitCode, Box<dyn Error>> {
    let console = Console::new(is_watched());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let ended = async {
            tokio::select! {
                _ = interrupt.recv() => INTERRUPTED,
                _ = terminate.recv() => TERMINATED,
            }
        };
        tokio::pin!(ended);
        let failed = tokio::select! {
            code = &mut ended => return Ok(Err(code)),
            result = demo::run(&console) => match result {
                Ok(()) => return Ok(Ok(())),
                Err(error) => error,
            },
        };
        // A signal reaches our child processes too, and the failure of one may be here first.
        match tokio::time::timeout(Duration::from_millis(100), ended).await {
            Ok(code) => Ok(Err(code)),
            Err(_) => Err(Box::<dyn Error>::from(failed)),
        }
    });
    console.rest();
    let is_over = children::end_all();
    runtime.shutdown_background();
    match result? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(code) => {
            eprintln!(
                "Interrupted. {}",
                if is_over { "Nothing is left running." } else { "The build goes on and ends by itself." }
            );
            Ok(ExitCode::from(code))
        }
    }
}

/// Whether somebody watches: pipes and CI get plain lines.
#[allow(clippy::disallowed_methods, reason = "main.rs is where the environment is read")]
fn is_watched() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("CI").is_none()
}
