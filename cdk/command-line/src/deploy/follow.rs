//! Follows an operation on a stack to its end, and reports each event once.
//!
//! # Flow
//!
//! 1. The operation was started with a client request token, which CloudFormation writes on each of its events.
//! 2. [`Stacks::follow`] reads new events with growing pauses, and reports them.
//! 3. [`ending`] decides purely whether the events show the operation's end: the stack's own final event with the
//!    token.
//!
//! # Guarantees
//!
//! - Each event is reported once, in order.
//! - The end is never taken from the stack's status.
//! - An operation that somebody else's cancel or delete replaced is reported as such.
//!
//! # Assumptions
//!
//! - Reads are eventually consistent: right after the start they may show the stack as before, or no stack.
//! - The first event shows within [`OPERATION_SHOWN_WITHIN`].
//! - A deletion of an empty stack has no events, so that the stack itself is looked for.
//!
//! # Errors
//!
//! Failed reads for longer than [`TROUBLE_WITHIN`], a denial, and an operation that never shows. Throttling, errors of
//! AWS and lost connections are waited out before.

use std::collections::HashSet;

use aws_sdk_cloudformation::types::{Annotation, AnnotationStatus, HookFailureMode, StackEvent};
use tokio::time::Instant;

use super::stacks::{StackError, Stacks};
use crate::console::{Console, Tone};
use crate::waits::{DELETION_WITHOUT_EVENTS, OPERATION_SHOWN_WITHIN, Pace, TROUBLE_AFTER, TROUBLE_WITHIN, chance};

/// Resource type of a stack in its own events.
const STACK: &str = "AWS::CloudFormation::Stack";

/// Reasons that say only that something else failed.
const SYMPTOMS: [&str; 4] = [
    "Resource creation cancelled",
    "Resource update cancelled",
    "The following resource(s) failed",
    // The event of the hook itself, which says why, comes before.
    "The following hook(s) failed",
];

/// CloudFormation's reason for every operation that somebody asked for.
const BY_A_USER: &str = "User Initiated";

/// An operation on a stack, as its events identify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// ID of the stack.
    pub stack_id: String,
    /// Client request token; `None` for an operation that somebody else started without one.
    pub token: Option<String>,
    /// Kind of operation.
    pub kind: OperationKind,
}

/// Kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// Creates the stack.
    Create,
    /// Updates it.
    Update,
    /// Deletes it.
    Delete,
}

/// The end of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Status of the stack.
    pub status: String,
    /// False if an operation of somebody else ended it.
    pub is_own: bool,
}

/// News of an operation.
#[derive(Debug)]
pub enum Progress<'p> {
    /// An event that was not reported yet.
    Event(&'p Event),
    /// CloudFormation has not answered for a while.
    Trouble(&'p StackError),
}

/// Event of a stack or of a resource in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Client request token of the operation.
    pub token: Option<String>,
    /// Logical ID of the resource; the stack's own name for the stack.
    pub logical_id: String,
    /// Physical ID of the resource; the stack's own ID for the stack.
    pub physical_id: String,
    /// Such as `AWS::IAM::Role`.
    pub kind: String,
    /// Such as `CREATE_COMPLETE`.
    pub status: String,
    /// Why; empty when CloudFormation says nothing.
    pub reason: String,
    /// The time of the event by AWS's clock, in milliseconds since 1970.
    pub at: i64,
    /// The hook that the event is about, if it is about one.
    pub hook: Option<Hook>,
}

/// A hook of the account or its organization, which CloudFormation asks before it changes a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The ID of its result.
    pub id: String,
    /// True if its refusal is only a warning.
    pub only_warns: bool,
}

impl Event {
    /// True if it tells of a failure.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.status.ends_with("_FAILED") && !self.hook.as_ref().is_some_and(|hook| hook.only_warns)
    }

    /// True if it is about the stack itself.
    #[must_use]
    pub fn is_of_stack(&self, stack_id: &str) -> bool {
        self.kind == STACK && self.physical_id == stack_id
    }

    /// True if it tells that the custom resource's function failed.
    #[must_use]
    pub fn is_of_the_function(&self) -> bool {
        self.is_failure() && self.kind.starts_with("Custom::")
    }

    /// Prints it as one row; without the reason of the first failure, which the command's error repeats, and of
    /// symptoms.
    pub fn print(&self, console: &Console, has_cause: bool) {
        let tone = match self.status.as_str() {
            status if status.ends_with("_FAILED") || status.contains("ROLLBACK") => Tone::Bad,
            status if status.ends_with("_COMPLETE") => Tone::Good,
            _ => Tone::Quiet,
        };
        // Statuses and resource types of usual length fit into 80 columns.
        let cells = (format!("{:<24}", self.status), format!("{:<20}", self.logical_id), self.kind.as_str());
        let is_symptom = SYMPTOMS.iter().any(|symptom| self.reason.starts_with(symptom));
        let is_said = self.reason == BY_A_USER || is_symptom || self.is_failure() && !has_cause;
        let reason = if is_said { "" } else { self.reason.as_str() };
        console.row(tone, &cells.0, &cells.1, cells.2, reason);
    }
}

/// Events of a stack that were read.
#[derive(Debug, Clone, Default)]
pub struct KnownEvents {
    ids: HashSet<String>,
    /// All of them, oldest first.
    pub all: Vec<Event>,
}

/// Statuses that a rollback follows, unless it was switched off.
const BEFORE_ROLLBACK: [&str; 2] = ["CREATE_FAILED", "UPDATE_FAILED"];

/// Returns how an operation ended, if its events show that.
#[must_use]
pub fn ending(operation: &Operation, events: &[Event]) -> Option<Ending> {
    let mut has_begun = false;
    let mut of_stack = events.iter().filter(|event| event.is_of_stack(&operation.stack_id)).peekable();
    while let Some(event) = of_stack.next() {
        let is_own = event.token == operation.token;
        has_begun |= is_own;
        let goes_on = BEFORE_ROLLBACK.contains(&event.status.as_str()) && of_stack.peek().is_some();
        if event.status.ends_with("_IN_PROGRESS") || goes_on {
            continue;
        }
        // The end of another operation counts only if it replaced this one: after its beginning, or for good.
        if is_own || has_begun || event.status == "DELETE_COMPLETE" {
            return Some(Ending { status: event.status.clone(), is_own });
        }
    }
    None
}

impl Stacks {
    /// Follows an operation to its end and reports its events.
    ///
    /// # Errors
    ///
    /// Refusals of CloudFormation, such as expired credentials; lost connections after [`TROUBLE_WITHIN`]; and an
    /// operation of which no event shows within [`OPERATION_SHOWN_WITHIN`]. The operation goes on in AWS.
    pub async fn follow(
        &self,
        operation: &Operation,
        known: &mut KnownEvents,
        report: impl FnMut(Progress<'_>),
    ) -> Result<Ending, StackError> {
        let read = async |known: &mut KnownEvents| self.new_events(&operation.stack_id, known).await;
        let is_deleted = async || {
            let stack = self.find(&operation.stack_id).await?;
            Ok(stack.is_none_or(|stack| stack.status == "DELETE_COMPLETE"))
        };
        follow_events(operation, known, self.pace, read, is_deleted, report).await
    }

    /// Returns the operation that goes on in a stack, as its newest events identify it.
    pub async fn current_operation(&self, stack_id: &str) -> Result<(Operation, KnownEvents), StackError> {
        let mut known = KnownEvents::default();
        self.catch_up(stack_id, &mut known).await?;
        let begins = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"];
        let begin = known
            .all
            .iter()
            .rposition(|event| event.is_of_stack(stack_id) && begins.contains(&event.status.as_str()))
            .unwrap_or_default();
        let (token, kind) = known.all.get(begin).map_or((None, OperationKind::Update), |event| {
            let kind = match event.status.as_str() {
                "CREATE_IN_PROGRESS" => OperationKind::Create,
                "DELETE_IN_PROGRESS" => OperationKind::Delete,
                _ => OperationKind::Update,
            };
            (event.token.clone(), kind)
        });
        // Earlier operations without a token look the same.
        known.all.drain(..begin);
        Ok((Operation { stack_id: stack_id.to_owned(), token, kind }, known))
    }

    /// Returns the findings of a hook, as sentences with their remedies; a hook tells them only by this call.
    pub async fn findings_of(&self, hook: &Hook) -> Result<Vec<String>, StackError> {
        let answer = self.client.get_hook_result().hook_result_id(&hook.id).send().await;
        let answer =
            answer.map_err(self.failed("read the result of a hook on", "cloudformation:GetHookResult", "*"))?;
        let annotations = answer.annotations.unwrap_or_default();
        let failed = annotations.into_iter().filter(|it| it.status == Some(AnnotationStatus::Failed));
        Ok(failed.map(|finding| sentence(&finding)).collect())
    }

    /// Reads all events so far, without reporting them.
    pub async fn catch_up(&self, stack_id: &str, known: &mut KnownEvents) -> Result<(), StackError> {
        let events = self.new_events(stack_id, known).await?;
        known.all.extend(events);
        Ok(())
    }

    /// Reads events that are not known yet, oldest first.
    async fn new_events(&self, stack_id: &str, known: &mut KnownEvents) -> Result<Vec<Event>, StackError> {
        let mut pages = self.client.describe_stack_events().stack_name(stack_id).into_paginator().send();
        let mut fresh = Vec::new();
        'pages: while let Some(page) = pages.next().await {
            let page =
                page.map_err(self.failed("read the events of", "cloudformation:DescribeStackEvents", stack_id))?;
            for event in page.stack_events.unwrap_or_default() {
                let id = event.event_id.clone().unwrap_or_default();
                if known.ids.contains(&id) {
                    break 'pages;
                }
                fresh.push((id, read(event)));
            }
        }
        // Known only now: a page that fails is read again with those before it.
        known.ids.extend(fresh.iter().map(|(id, _)| id.clone()));
        Ok(fresh.into_iter().rev().map(|(_, event)| event).collect())
    }
}

/// Returns the loop of [`Stacks::follow`], with its reads as parameters.
async fn follow_events(
    operation: &Operation,
    known: &mut KnownEvents,
    pace: Pace,
    mut read: impl AsyncFnMut(&mut KnownEvents) -> Result<Vec<Event>, StackError>,
    is_deleted: impl AsyncFn() -> Result<bool, StackError>,
    mut report: impl FnMut(Progress<'_>),
) -> Result<Ending, StackError> {
    let begun = Instant::now();
    let (mut trouble_since, mut is_reported) = (None, false);
    let (mut wait, mut has_failed) = (pace.first, false);
    loop {
        match read(known).await {
            Ok(events) => {
                (trouble_since, is_reported) = (None, false);
                for event in events {
                    report(Progress::Event(&event));
                    known.all.push(event);
                }
                match ending(operation, &known.all) {
                    // One more look shows whether a rollback begins.
                    Some(ending) if BEFORE_ROLLBACK.contains(&ending.status.as_str()) && !has_failed => {
                        has_failed = true;
                    }
                    Some(ending) => return Ok(ending),
                    None => has_failed = false,
                }
            }
            // The events of a stack that was just created may not be there yet.
            Err(error)
                if error.is_transient() || error.says("does not exist") && begun.elapsed() < OPERATION_SHOWN_WITHIN =>
            {
                let since = *trouble_since.get_or_insert_with(Instant::now);
                if since.elapsed() > TROUBLE_WITHIN {
                    return Err(error);
                }
                if since.elapsed() >= TROUBLE_AFTER && !is_reported {
                    report(Progress::Trouble(&error));
                    is_reported = true;
                }
            }
            Err(error) => return Err(error),
        }
        let is_shown = known.all.iter().any(|event| event.token == operation.token);
        if !is_shown && trouble_since.is_none() {
            if operation.kind == OperationKind::Delete
                && begun.elapsed() > DELETION_WITHOUT_EVENTS
                && is_deleted().await.unwrap_or_default()
            {
                return Ok(Ending { status: "DELETE_COMPLETE".to_owned(), is_own: true });
            }
            if begun.elapsed() > OPERATION_SHOWN_WITHIN {
                return Err(StackError::NotShown(operation.stack_id.clone()));
            }
        }
        tokio::time::sleep(wait.mul_f64(0.5 + chance())).await;
        wait = wait.mul_f64(1.2).min(pace.longest);
    }
}

fn read(event: StackEvent) -> Event {
    let reason = event.resource_status_reason.unwrap_or_default();
    let read = Event {
        token: event.client_request_token,
        physical_id: event.physical_resource_id.unwrap_or_default(),
        logical_id: event.logical_resource_id.unwrap_or_default(),
        kind: event.resource_type.unwrap_or_default(),
        status: event.resource_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason,
        at: event.timestamp.and_then(|time| time.to_millis().ok()).unwrap_or_default(),
        hook: None,
    };
    let Some(status) = event.hook_status else { return read };
    // Of an event about a hook, the resource's status says nothing new.
    let name = event.hook_type.unwrap_or_default();
    let said = event.hook_status_reason.filter(|said| !said.is_empty()).map(|said| format!(": {said}"));
    Event {
        status: status.as_str().to_owned(),
        reason: format!("hook {name}{}", said.unwrap_or_default()),
        hook: Some(Hook {
            id: event.hook_invocation_id.unwrap_or_default(),
            only_warns: event.hook_failure_mode == Some(HookFailureMode::Warn),
        }),
        ..read
    }
}

/// Why a stack failed: the first failure that is not a symptom of another, without CloudFormation's wrapping.
#[must_use]
pub fn first_cause(events: &[Event]) -> Option<String> {
    let failure =
        events.iter().find(|e| e.is_failure() && !SYMPTOMS.iter().any(|symptom| e.reason.starts_with(symptom)))?;
    Some(format!("{}: {}", failure.logical_id, unwrapped(&failure.reason)))
}

/// Returns a hook's finding: its rule, what it says, and the remedy.
fn sentence(finding: &Annotation) -> String {
    let parts = [
        finding.annotation_name(),
        finding.status_message(),
        finding.remediation_message(),
        finding.remediation_link(),
    ];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

/// Returns a custom resource's reason without what CloudFormation puts around it.
fn unwrapped(reason: &str) -> &str {
    let Some((_, inner)) = reason.split_once("Message returned: ") else { return reason };
    inner.rsplit_once(" (RequestId:").map_or(inner, |(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::{HookStatus, ResourceStatus};

    use super::*;
    use crate::account::{AwsError, Call};

    const STACK_ID: &str = "arn:aws:cloudformation:us-east-1:123456789012:stack/s/5e1b8ce0-0000";

    fn of_stack(status: &str, token: &str) -> Event {
        Event {
            token: (!token.is_empty()).then(|| token.to_owned()),
            physical_id: STACK_ID.to_owned(),
            kind: STACK.to_owned(),
            status: status.to_owned(),
            ..Event::default()
        }
    }

    fn operation(token: &str, kind: OperationKind) -> Operation {
        Operation { stack_id: STACK_ID.to_owned(), token: (!token.is_empty()).then(|| token.to_owned()), kind }
    }

    /// Returns a list such as `UPDATE_COMPLETE:theirs UPDATE_IN_PROGRESS:ours`.
    fn events(list: &str) -> Vec<Event> {
        list.split_whitespace()
            .filter_map(|event| event.split_once(':'))
            .map(|(status, token)| of_stack(status, token))
            .collect()
    }

    #[test]
    fn an_operation_ends_with_its_own_event_or_with_one_that_replaced_it() {
        for (list, expected) in [
            // The state of before, also where it is read late.
            ("CREATE_COMPLETE:theirs", None),
            ("UPDATE_COMPLETE:", None),
            ("UPDATE_COMPLETE:theirs UPDATE_IN_PROGRESS:ours", None),
            ("UPDATE_IN_PROGRESS:ours UPDATE_COMPLETE_CLEANUP_IN_PROGRESS:ours", None),
            ("UPDATE_COMPLETE:theirs UPDATE_IN_PROGRESS:ours UPDATE_COMPLETE:ours", Some(("UPDATE_COMPLETE", true))),
            ("CREATE_IN_PROGRESS:ours CREATE_FAILED:ours ROLLBACK_IN_PROGRESS:ours", None),
            (
                "CREATE_IN_PROGRESS:ours CREATE_FAILED:ours ROLLBACK_IN_PROGRESS:ours ROLLBACK_COMPLETE:ours",
                Some(("ROLLBACK_COMPLETE", true)),
            ),
            ("UPDATE_IN_PROGRESS:ours UPDATE_FAILED:ours", Some(("UPDATE_FAILED", true))),
            // A cancellation by somebody else, and a deletion.
            (
                "UPDATE_IN_PROGRESS:ours UPDATE_ROLLBACK_IN_PROGRESS:theirs UPDATE_ROLLBACK_COMPLETE:theirs",
                Some(("UPDATE_ROLLBACK_COMPLETE", false)),
            ),
            ("CREATE_IN_PROGRESS:ours DELETE_IN_PROGRESS: DELETE_COMPLETE:", Some(("DELETE_COMPLETE", false))),
            ("DELETE_COMPLETE:theirs", Some(("DELETE_COMPLETE", false))),
        ] {
            let ending = ending(&operation("ours", OperationKind::Update), &events(list));
            let found = ending.as_ref().map(|ending| (ending.status.as_str(), ending.is_own));
            assert_eq!(found, expected, "{list}");
        }
    }

    fn lost() -> StackError {
        let call = Call {
            doing: "read the events of",
            action: "cloudformation:DescribeStackEvents",
            on: "stack s".to_owned(),
            region: "us-east-1".to_owned(),
            sign_in: "aws sso login".to_owned(),
        };
        StackError::Aws { error: AwsError::Unreachable { call: Box::new(call), why: "reset".to_owned() }, remedy: None }
    }

    fn expired() -> StackError {
        StackError::Aws { error: AwsError::Expired { sign_in: "aws sso login".to_owned() }, remedy: None }
    }

    /// Follows an operation whose reads answer as scripted; then nothing new. Returns the result, the seconds that
    /// passed, and the troubles that were reported.
    async fn followed(
        operation: &Operation,
        script: Vec<Result<&str, StackError>>,
    ) -> (Result<Ending, StackError>, u64, usize) {
        let (mut answers, begun, mut troubles) = (script.into_iter(), Instant::now(), 0);
        let read = async |_: &mut KnownEvents| answers.next().map_or_else(|| Ok(Vec::new()), |it| it.map(events));
        let report = |progress: Progress<'_>| troubles += usize::from(matches!(progress, Progress::Trouble(_)));
        let deleted = async || Ok(true);
        let ending = follow_events(operation, &mut KnownEvents::default(), Pace::AWS, read, deleted, report).await;
        (ending, begun.elapsed().as_secs(), troubles)
    }

    #[tokio::test(start_paused = true)]
    async fn following_waits_out_transient_failures_and_ends_with_permanent_ones() {
        let update = operation("ours", OperationKind::Update);
        let done = "UPDATE_IN_PROGRESS:ours UPDATE_COMPLETE:ours";
        let fine = Ok(Ending { status: "UPDATE_COMPLETE".to_owned(), is_own: true });

        let (ending, seconds, troubles) = followed(&update, vec![Ok(done)]).await;
        assert_eq!((ending, seconds, troubles), (fine.clone(), 0, 0));
        // Reads that are ten seconds behind, with the end of the operation before.
        let stale = vec![Ok("UPDATE_COMPLETE:theirs"), Ok(""), Ok(""), Ok(""), Ok(""), Ok(done)];
        assert_eq!(followed(&update, stale).await.0, fine);
        // Ten lost connections in a row: reported once.
        let mut script: Vec<_> = (0..10).map(|_| Err(lost())).collect();
        script.push(Ok(done));
        let (ending, seconds, troubles) = followed(&update, script).await;
        assert_eq!((ending, troubles), (fine, 1));
        assert!((20..90).contains(&seconds), "{seconds} s");
        assert_eq!(followed(&update, vec![Ok(""), Err(expired())]).await.0, Err(expired()));
        let (ending, seconds, _) = followed(&update, vec![Ok("UPDATE_COMPLETE:theirs")]).await;
        assert_eq!(ending, Err(StackError::NotShown(STACK_ID.to_owned())));
        assert!(seconds >= OPERATION_SHOWN_WITHIN.as_secs());
        // An empty stack leaves no event of its deletion.
        let (ending, ..) = followed(&operation("ours", OperationKind::Delete), vec![Ok("REVIEW_IN_PROGRESS:")]).await;
        assert_eq!(ending, Ok(Ending { status: "DELETE_COMPLETE".to_owned(), is_own: true }));
        // One more look shows the rollback.
        let script = vec![
            Ok("UPDATE_IN_PROGRESS:ours UPDATE_FAILED:ours"),
            Ok("UPDATE_ROLLBACK_IN_PROGRESS:ours UPDATE_ROLLBACK_COMPLETE:ours"),
        ];
        let ending = followed(&update, script).await.0.map(|ending| ending.status);
        assert_eq!(ending, Ok("UPDATE_ROLLBACK_COMPLETE".to_owned()));
    }

    #[test]
    fn the_first_cause_is_named_without_symptoms_and_wrapping() {
        let event = |logical_id: &str, status: &str, reason: &str| Event {
            logical_id: logical_id.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            ..Event::default()
        };
        let events = [
            event("ProviderRole", "CREATE_COMPLETE", ""),
            event("Other", "CREATE_FAILED", "Resource creation cancelled"),
            event(
                "VolumeAccess",
                "CREATE_FAILED",
                "Received response status [FAILED] from custom resource. Message returned: Role x already exists. (RequestId: 1-2)",
            ),
            event("stack", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [VolumeAccess]."),
        ];
        assert_eq!(first_cause(&events).as_deref(), Some("VolumeAccess: Role x already exists."));
        assert_eq!(first_cause(&events[..1]), None);
    }

    #[test]
    fn a_hook_that_refuses_is_the_cause_and_one_that_warns_is_none() {
        let hook = |mode: HookFailureMode| {
            let event = StackEvent::builder().logical_resource_id("ProviderRole").resource_type("AWS::IAM::Role");
            let event = event.resource_status(ResourceStatus::CreateInProgress).hook_type("Org::Iam::Boundary");
            let event = event.hook_status(HookStatus::HookCompleteFailed).hook_failure_mode(mode);
            read(event.hook_status_reason("A boundary is missing").hook_invocation_id("id-1").build())
        };
        let failed = StackEvent::builder().logical_resource_id("ProviderRole");
        let failed = failed.resource_status(ResourceStatus::CreateFailed);
        let failed = read(failed.resource_status_reason("The following hook(s) failed: [Org::Iam::Boundary]").build());
        let refusing = [hook(HookFailureMode::Fail), failed];
        assert_eq!(
            first_cause(&refusing).as_deref(),
            Some("ProviderRole: hook Org::Iam::Boundary: A boundary is missing")
        );
        assert_eq!(first_cause(&[hook(HookFailureMode::Warn)]), None);
        let finding = Annotation::builder().annotation_name("IAM-7").status_message("No boundary on the role");
        let finding = finding.remediation_message("set PermissionsBoundary").build();
        assert_eq!(super::sentence(&finding), "IAM-7: No boundary on the role: set PermissionsBoundary");
    }
}
