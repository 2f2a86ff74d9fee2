//! `man`: writes the manual pages, one for the program and one for each command.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::CommandFactory as _;

use crate::cli::args::{Cli, ManArgs};
use crate::cli::exit::{CommandFailure, Exit};
use crate::console::Console;

/// A page cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: choose another folder with --out or make it writable")]
struct ManError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

pub(super) fn run(args: ManArgs, console: &Console) -> Result<Exit, CommandFailure> {
    let written = fs::create_dir_all(&args.out).and_then(|()| clap_mangen::generate_to(Cli::command(), &args.out));
    written.map_err(|source| ManError { path: args.out.clone(), source })?;
    console.print(&format!("wrote the manual pages into {}", args.out.display()))?;
    Ok(Exit::Done)
}
