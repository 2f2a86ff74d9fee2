//! `launch-url`: prints a link, and on standard error what it leaves to the administrator.

use crate::cli::args::LaunchUrlArgs;
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::launch::url::{Launch, launch_url, notes};
use crate::template::{Config, native, provided};

pub(super) fn run(args: LaunchUrlArgs, console: &Console) -> Result<Exit, Failure> {
    let config = Config::default();
    let template = if args.native { native::template(&config) } else { provided::template(&config) };
    let launch = Launch::from(args);
    let url = launch_url(&template, &launch).map_err(|error| Failure::new(Exit::Usage, error))?;
    for note in notes(&template, &launch) {
        console.note(&note);
    }
    console.print(&url)?;
    Ok(Exit::Done)
}
