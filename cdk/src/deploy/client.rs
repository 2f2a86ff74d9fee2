//! Creating, changing and deleting a stack through CloudFormation's API, following its events, and naming the first
//! cause when it fails.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{Capability, Parameter};

/// Wait between two looks at a stack's events. CloudFormation allows several a second.
const POLL: Duration = Duration::from_millis(200);

/// Reasons that say only that something else failed.
const SYMPTOMS: [&str; 3] =
    ["Resource creation cancelled", "Resource update cancelled", "The following resource(s) failed"];

/// CloudFormation in one account and region.
#[derive(Debug, Clone)]
pub struct Stacks {
    client: Client,
}

/// What a stack is made of.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// Where the template is, in S3.
    pub template_url: String,
    /// Values; the others take their defaults.
    pub parameters: Vec<(String, String)>,
    /// Whether it names roles or policies itself, which has to be acknowledged.
    pub names_iam: bool,
}

impl Definition {
    fn capability(&self) -> Capability {
        if self.names_iam { Capability::CapabilityNamedIam } else { Capability::CapabilityIam }
    }
}

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
    /// Whether it tells of a failure.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.status.ends_with("_FAILED")
    }
}

/// Why something could not be done with a stack.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// CloudFormation refused.
    #[error("CloudFormation refused while {doing}: {code}: {message}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// AWS's code.
        code: String,
        /// AWS's words.
        message: String,
    },
    /// There is no such stack.
    #[error("there is no stack {0}")]
    Absent(String),
}

/// Makes an SDK error one of ours.
fn refused<E: ProvideErrorMetadata, R>(doing: &'static str) -> impl FnOnce(SdkError<E, R>) -> StackError {
    move |error| StackError::Refused {
        doing,
        code: error.code().unwrap_or("no answer").to_owned(),
        message: error.message().unwrap_or("the connection failed").to_owned(),
    }
}

impl Stacks {
    /// Stacks that this client reaches.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Begins to create a stack; returns its ID. A failed one stays, so that its events can be read.
    pub async fn create(&self, name: &str, definition: &Definition) -> Result<String, StackError> {
        let call = self.client.create_stack().stack_name(name).template_url(&definition.template_url);
        let call = call.set_parameters(Some(parameters(definition))).capabilities(definition.capability());
        let answer = call.send().await.map_err(refused("creating the stack"))?;
        answer.stack_id.ok_or_else(|| StackError::Absent(name.to_owned()))
    }

    /// Begins to update a stack. `false` when there is nothing to change.
    pub async fn update(&self, id: &str, definition: &Definition) -> Result<bool, StackError> {
        let call = self.client.update_stack().stack_name(id).template_url(&definition.template_url);
        let call = call.set_parameters(Some(parameters(definition))).capabilities(definition.capability());
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.message().is_some_and(|m| m.contains("No updates are to be performed")) => Ok(false),
            Err(error) => Err(refused("updating the stack")(error)),
        }
    }

    /// Begins to delete a stack.
    pub async fn delete(&self, id: &str) -> Result<(), StackError> {
        self.client.delete_stack().stack_name(id).send().await.map_err(refused("deleting the stack"))?;
        Ok(())
    }

    /// The stack's status.
    pub async fn status(&self, id: &str) -> Result<String, StackError> {
        let answer = self.client.describe_stacks().stack_name(id).send().await.map_err(refused("reading the stack"))?;
        let stack = answer.stacks.unwrap_or_default().into_iter().next();
        let status = stack.and_then(|stack| stack.stack_status);
        status.map(|status| status.as_str().to_owned()).ok_or_else(|| StackError::Absent(id.to_owned()))
    }

    /// The stack's outputs by name.
    pub async fn outputs(&self, id: &str) -> Result<BTreeMap<String, String>, StackError> {
        let answer =
            self.client.describe_stacks().stack_name(id).send().await.map_err(refused("reading the outputs"))?;
        let stack =
            answer.stacks.unwrap_or_default().into_iter().next().ok_or_else(|| StackError::Absent(id.to_owned()))?;
        let pair = |output: aws_sdk_cloudformation::types::Output| Some((output.output_key?, output.output_value?));
        Ok(stack.outputs.unwrap_or_default().into_iter().filter_map(pair).collect())
    }

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

/// The events of a stack that were told already.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    ids: HashSet<String>,
    /// All of them, in order.
    pub events: Vec<Event>,
}

fn parameters(definition: &Definition) -> Vec<Parameter> {
    let parameter =
        |(name, value): &(String, String)| Parameter::builder().parameter_key(name).parameter_value(value).build();
    definition.parameters.iter().map(parameter).collect()
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
