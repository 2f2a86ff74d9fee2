//! Following an operation together with what is only there while it goes on: the function's log, which a rollback
//! deletes, and the findings of hooks.

use tokio::sync::oneshot;

use super::follow::{Ending, KnownEvents, Operation, Progress};
use super::function_log;
use super::stacks::{StackError, Stacks};
use crate::account::Account;

/// An operation that ended, with what explains a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureLog {
    /// The end.
    pub ending: Ending,
    /// Lines of the function's log if the function failed, or the reason why they cannot be read.
    pub log: Vec<String>,
    /// Findings of hooks that refused.
    pub hooks: Vec<String>,
}

/// Follows an operation to its end and reports its events.
///
/// # Errors
///
/// Those of [`Stacks::follow`]. A log or a hook that cannot be read is reported in the place of its content.
pub async fn follow(
    account: &Account,
    stacks: &Stacks,
    operation: &Operation,
    known: &mut KnownEvents,
    mut report: impl FnMut(Progress<'_>),
) -> Result<FailureLog, StackError> {
    let known_before = known.all.len();
    let (failed, failure) = oneshot::channel();
    let (mut failed, mut begun) = (Some(failed), None);
    let followed = async {
        let ending = stacks
            .follow(operation, known, |progress| {
                if let Progress::Event(event) = &progress {
                    let begun = *begun.get_or_insert(event.at);
                    if event.is_of_the_function() {
                        // Of several failures the first is read.
                        failed.take().map(|failed| failed.send(begun));
                    }
                }
                report(progress);
            })
            .await;
        // Without a failure nobody waits for one.
        drop(failed);
        ending
    };
    let log = async {
        let Ok(begun) = failure.await else { return Vec::new() };
        let lines = function_log::since(account, stacks, &operation.stack_id, begun).await;
        lines.unwrap_or_else(|error| vec![format!("not read: {error}")])
    };
    let (ending, log) = tokio::join!(followed, log);
    let ending = ending?;
    let mut hooks = Vec::new();
    let refusals =
        known.all[known_before..].iter().filter(|event| event.is_failure()).filter_map(|it| it.hook.as_ref());
    for hook in refusals {
        match stacks.findings_of(hook).await {
            Ok(findings) => hooks.extend(findings),
            Err(error) => hooks.push(format!("not read: {error}")),
        }
    }
    Ok(FailureLog { ending, log, hooks })
}
