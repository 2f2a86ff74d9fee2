//! Following an operation on a stack to its end: every event once, and the first cause when it fails.

use std::collections::HashSet;
use std::time::Duration;

use super::client::{StackError, Stacks, refused};
use crate::cli::console::{Console, Tone};

/// Wait between two looks at a stack's events. CloudFormation allows several a second.
const POLL: Duration = Duration::from_millis(200);

/// Reasons that say only that something else failed.
const SYMPTOMS: [&str; 3] =
    ["Resource creation cancelled", "Resource update cancelled", "The following resource(s) failed"];

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
}

impl Event {
    /// True if it tells of a failure.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.status.ends_with("_FAILED")
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
                fresh.push(Event {
                    logical_id: event.logical_resource_id.unwrap_or_default(),
                    kind: event.resource_type.unwrap_or_default(),
                    status: event.resource_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
                    reason: event.resource_status_reason.unwrap_or_default(),
                });
            }
        }
        fresh.reverse();
        Ok(fresh)
    }
}

/// Why a stack failed: the first failure that is not a symptom of another, without CloudFormation's wrapping.
#[must_use]
pub fn first_cause(events: &[Event]) -> Option<String> {
    let failure =
        events.iter().find(|e| e.is_failure() && !SYMPTOMS.iter().any(|symptom| e.reason.starts_with(symptom)))?;
    Some(format!("{}: {}", failure.logical_id, unwrapped(&failure.reason)))
}

/// A custom resource's reason without what CloudFormation puts around it.
fn unwrapped(reason: &str) -> &str {
    let Some((_, inner)) = reason.split_once("Message returned: ") else { return reason };
    inner.rsplit_once(" (RequestId:").map_or(inner, |(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_is_named_without_symptoms_and_wrapping() {
        let event = |logical_id: &str, status: &str, reason: &str| Event {
            logical_id: logical_id.to_owned(),
            kind: String::new(),
            status: status.to_owned(),
            reason: reason.to_owned(),
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
}
