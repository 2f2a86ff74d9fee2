//! Following an operation on a stack to its end: every event once, and the first cause when it fails.

use std::collections::HashSet;
use std::time::Duration;

use aws_sdk_cloudformation::types::{Annotation, AnnotationStatus, HookFailureMode, StackEvent};

use super::client::{StackError, Stacks, refused};
use crate::console::{Console, Tone};

/// Wait between two looks at a stack's events. CloudFormation allows several a second.
const POLL: Duration = Duration::from_millis(200);

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

/// Something that happened to a stack or a resource in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The resource's name in the template; the stack's own name for the stack.
    pub logical_id: String,
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

    /// True if it tells that the custom resource's function failed.
    #[must_use]
    pub fn is_of_the_function(&self) -> bool {
        self.is_failure() && self.kind.starts_with("Custom::")
    }

    /// Prints it as one row.
    pub fn print(&self, console: &Console) {
        let tone = match self.status.as_str() {
            status if status.ends_with("_FAILED") || status.contains("ROLLBACK") => Tone::Bad,
            status if status.ends_with("_COMPLETE") => Tone::Good,
            _ => Tone::Quiet,
        };
        // Statuses and resource types of usual length fit into 80 columns.
        let cells = (format!("{:<24}", self.status), format!("{:<20}", self.logical_id), self.kind.as_str());
        let reason = if self.reason == BY_A_USER { "" } else { self.reason.as_str() };
        console.row(tone, &cells.0, &cells.1, cells.2, reason);
    }
}

/// The events of a stack that were told already.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    ids: HashSet<String>,
    /// All of them, in order.
    pub events: Vec<Event>,
}

impl Stacks {
    /// Follows what goes on until it ends; tells every event once, in order, and returns the final status.
    pub async fn follow(&self, id: &str, seen: &mut Seen, mut tell: impl FnMut(&Event)) -> Result<String, StackError> {
        loop {
            // The status first: whatever led to it is then among the events.
            let status = self.status(id).await?;
            for event in self.new_events(id, seen).await? {
                tell(&event);
                seen.events.push(event);
            }
            if !status.ends_with("_IN_PROGRESS") {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The findings of a hook, as sentences with their remedies; a hook tells them only by this call.
    pub async fn findings_of(&self, hook: &Hook) -> Result<Vec<String>, StackError> {
        let answer = self.client.get_hook_result().hook_result_id(&hook.id).send().await;
        let annotations = answer.map_err(refused("reading what the hook says"))?.annotations.unwrap_or_default();
        let failed = annotations.into_iter().filter(|it| it.status == Some(AnnotationStatus::Failed));
        Ok(failed.map(|finding| sentence(&finding)).collect())
    }

    /// Takes note of all events so far, without telling them.
    pub async fn catch_up(&self, id: &str, seen: &mut Seen) -> Result<(), StackError> {
        let events = self.new_events(id, seen).await?;
        seen.events.extend(events);
        Ok(())
    }

    /// Events that were not seen yet, oldest first.
    async fn new_events(&self, id: &str, seen: &mut Seen) -> Result<Vec<Event>, StackError> {
        let mut pages = self.client.describe_stack_events().stack_name(id).into_paginator().send();
        let mut fresh = Vec::new();
        'pages: while let Some(page) = pages.next().await {
            for event in page.map_err(refused("reading the stack's events"))?.stack_events.unwrap_or_default() {
                if !seen.ids.insert(event.event_id.clone().unwrap_or_default()) {
                    break 'pages;
                }
                fresh.push(read(event));
            }
        }
        fresh.reverse();
        Ok(fresh)
    }
}

fn read(event: StackEvent) -> Event {
    let reason = event.resource_status_reason.unwrap_or_default();
    let read = Event {
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

/// A hook's finding: its rule, what it says, and the remedy.
fn sentence(finding: &Annotation) -> String {
    let parts = [
        finding.annotation_name(),
        finding.status_message(),
        finding.remediation_message(),
        finding.remediation_link(),
    ];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

/// A custom resource's reason without what CloudFormation puts around it.
fn unwrapped(reason: &str) -> &str {
    let Some((_, inner)) = reason.split_once("Message returned: ") else { return reason };
    inner.rsplit_once(" (RequestId:").map_or(inner, |(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::{HookStatus, ResourceStatus};

    use super::*;

    #[test]
    fn the_first_cause_is_named_without_symptoms_and_wrapping() {
        let event = |logical_id: &str, status: &str, reason: &str| Event {
            logical_id: logical_id.to_owned(),
            kind: String::new(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            at: 0,
            hook: None,
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
