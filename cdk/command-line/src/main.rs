//! The command line's entry: arguments and environment come in, one exit code goes out.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use cavatica_api::credentials::{ENDPOINT_VARIABLE, TOKEN_VARIABLE};
use cavatica_aws::http::Secret;
use cavatica_connect::cli::args::{self, explained};
use cavatica_connect::cli::exit::conclude;
use cavatica_connect::commands::{self, ApiPlaces, Environment};
use cavatica_connect::console::Console;
use cavatica_connect::invocation::Invocation;

fn main() -> ExitCode {
    // Wrong arguments end here, with the usage and exit code 2.
    let cli = args::parse().unwrap_or_else(|error| explained(error).exit());
    conclude(commands::run(cli, environment(), &Console::new(is_watched(), can_ask())))
}

#[allow(clippy::disallowed_methods, reason = "main.rs is where arguments and environment are read")]
fn environment() -> Environment {
    // cargo sets this for what it runs: the user typed the alias.
    let is_run_by_cargo = std::env::var_os("CARGO_MANIFEST_DIR").is_some();
    let program = if is_run_by_cargo { Some("cargo connect".to_owned()) } else { std::env::args().next() };
    let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Environment {
        program: program.unwrap_or_else(|| Invocation::default().program),
        ca_bundle: std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(Into::into),
        api: ApiPlaces {
            endpoint: text(ENDPOINT_VARIABLE),
            token: text(TOKEN_VARIABLE).map(Secret::new),
            home: std::env::var_os("HOME").filter(|path| !path.is_empty()).map(Into::into),
        },
    }
}

/// True if somebody watches: pipes and CI get plain lines.
#[allow(clippy::disallowed_methods, reason = "main.rs is where the environment is read")]
fn is_watched() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("CI").is_none()
}

/// True if there is somebody to answer a question.
fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
