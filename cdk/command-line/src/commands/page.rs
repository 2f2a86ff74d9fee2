//! `page`: writes the launch page.

use std::io;
use std::path::PathBuf;

use cavatica_generator::page;

use crate::account::AwsConnection;
use crate::cli::args::PageArgs;
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::Console;
use crate::release::package::VERSION;
use crate::source;

/// Failure to write the page.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: choose another folder with --out or make it writable")]
struct WriteError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

pub(super) fn run(args: PageArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, CommandFailure> {
    let result = run_until_signal(write(args, connection, console), async || "Nothing was written.".to_owned());
    console.stop_waiting();
    result
}

async fn write(args: PageArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, CommandFailure> {
    let (version, at) = match &args.release {
        Some(list) => {
            let release = source::release(connection, list, args.release_version.as_deref()).await?;
            (release.version.clone(), Some(release.at()))
        }
        None => (VERSION.to_owned(), None),
    };
    let path = args.out.join(page::FILE);
    let failed = |source| WriteError { path: path.clone(), source };
    std::fs::create_dir_all(&args.out).map_err(failed)?;
    std::fs::write(&path, page::html(&version, connection.platform(), at.as_ref())).map_err(failed)?;
    console.print(&format!("wrote {}", path.display()))?;
    if at.is_none() {
        console.note("without --release the page has commands and documents, and no link to the console");
    }
    Ok(Exit::Done)
}
