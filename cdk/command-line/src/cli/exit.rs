//! End of a command: exit code, and the sentence on standard error if it fails.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use anstream::eprintln;
use cavatica_aws::failure::sentence;

/// Result of a command, as an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Done,
    /// Failure.
    Failed,
    /// The arguments ask for something that cannot be: also clap's code for it.
    Usage,
    /// A comparison found a difference.
    Different,
    /// SIGINT ended it.
    Interrupted,
    /// SIGTERM ended it.
    Terminated,
}

impl Exit {
    /// Returns the exit code. Of a program that a signal ended, shells expect 128 and the signal's number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Different => 3,
            Self::Interrupted => 128 + 2,
            Self::Terminated => 128 + 15,
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct CommandFailure {
    exit: Exit,
    error: Box<dyn Error + Send + Sync>,
}

impl CommandFailure {
    /// Returns a failure with an exit code of its own.
    #[must_use]
    pub fn new(exit: Exit, error: impl Error + Send + Sync + 'static) -> Self {
        Self { exit, error: error.into() }
    }
}

impl fmt::Display for CommandFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sentence(self.error.as_ref()))
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for CommandFailure {
    fn from(error: E) -> Self {
        Self::new(Exit::Failed, error)
    }
}

/// Says why a command failed, if it did, and gives its exit code.
pub fn conclude(result: Result<Exit, CommandFailure>) -> ExitCode {
    let exit = result.unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        failure.exit
    });
    ExitCode::from(exit.code())
}
