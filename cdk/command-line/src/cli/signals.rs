//! Commands that take long run until they end or a signal ends them.

use std::future::Future;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::exit::{CommandFailure, Exit};
use crate::waits::{CLEAN_UP_WITHIN, SIGNAL_WITHIN};

/// Runs a command until it ends or a signal ends it, on a runtime that does not outlive it.
///
/// After a signal, `put_in_order` ends or takes back what is to be, and what it returns is said. A second signal ends
/// that.
pub fn run_until_signal<O: Future<Output = String>>(
    command: impl Future<Output = Result<Exit, CommandFailure>>,
    put_in_order: impl FnOnce() -> O,
) -> Result<Exit, CommandFailure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(async {
        let ended = first_signal()?;
        tokio::pin!(ended);
        let result = tokio::select! {
            exit = &mut ended => {
                anstream::eprintln!("Interrupted.");
                tokio::select! {
                    said = put_in_order() => anstream::eprintln!("{said}"),
                    _ = first_signal()? => {}
                }
                return Ok(exit);
            }
            result = command => result,
        };
        match result {
            Ok(exit) => Ok(exit),
            Err(failure) => tokio::time::timeout(SIGNAL_WITHIN, ended).await.map_err(|_| failure),
        }
    });
    // What a build has begun to take away goes, now that its children have ended.
    runtime.shutdown_timeout(CLEAN_UP_WITHIN);
    result
}

fn first_signal() -> io::Result<impl Future<Output = Exit>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
        }
    })
}
