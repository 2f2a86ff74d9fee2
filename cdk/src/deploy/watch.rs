//! Following an operation together with what is only there while it goes on: the function's log, which a rollback deletes,
//! and what hooks say.

use tokio::sync::oneshot;

use super::client::{StackError, Stacks};
use super::follow::{Event, Seen};
use super::function_log;
use crate::account::Account;

/// The end of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The stack's status.
    pub status: String,
    /// The lines of the function's log if the function failed, or the reason why they cannot be read.
    pub log: Vec<String>,
    /// The findings of hooks that refused.
    pub hooks: Vec<String>,
}

/// Follows an operation to its end, telling every event that was not seen yet.
///
/// # Errors
///
/// Those of CloudFormation. A log or a hook that cannot be read is told in the place of what it would have said.
pub async fn to_the_end(
    account: &Account,
    region: &str,
    stacks: &Stacks,
    stack: &str,
    seen: &mut Seen,
    mut tell: impl FnMut(&Event),
) -> Result<Ended, StackError> {
    let told_before = seen.events.len();
    let (failed, failure) = oneshot::channel();
    let (mut failed, mut begun) = (Some(failed), None);
    let followed = async {
        let status = stacks
            .follow(stack, seen, |event| {
                tell(event);
                let begun = *begun.get_or_insert(event.at);
                if event.is_of_the_function() {
                    // Of more than one failure the first is read.
                    failed.take().map(|failed| failed.send(begun));
                }
            })
            .await;
        // Without a failure nobody waits for one.
        drop(failed);
        status
    };
    let log = async {
        let Ok(begun) = failure.await else { return Vec::new() };
        let lines = function_log::since(account, region, stacks, stack, begun).await;
        lines.unwrap_or_else(|error| vec![format!("not read: {error}")])
    };
    let (status, log) = tokio::join!(followed, log);
    let status = status?;
    let mut hooks = Vec::new();
    let refusals =
        seen.events[told_before..].iter().filter(|event| event.is_failure()).filter_map(|it| it.hook.as_ref());
    for hook in refusals {
        match stacks.findings_of(hook).await {
            Ok(findings) => hooks.extend(findings),
            Err(error) => hooks.push(format!("not read: {error}")),
        }
    }
    Ok(Ended { status, log, hooks })
}
