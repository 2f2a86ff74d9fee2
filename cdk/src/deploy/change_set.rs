//! Change sets: what CloudFormation would do is looked at before it does it.

use std::time::Duration;

use aws_sdk_cloudformation::error::ProvideErrorMetadata as _;
use aws_sdk_cloudformation::types::{Capability, ChangeSetStatus, ChangeSetType, Parameter, Replacement};

use super::client::{StackError, Stacks, refused};
use super::standing::ParameterValue;

/// Wait between two looks at a change set that is being made.
const POLL: Duration = Duration::from_millis(300);

/// Beginning of the names of change sets of ours.
const OURS: &str = "cavatica-connect-";

/// CloudFormation's words for a change set without changes: there is nothing to do, and that is no failure.
const NO_CHANGES: [&str; 2] = ["The submitted information didn't contain changes", "No updates are to be performed"];

/// The place of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateAt {
    /// At an address in S3.
    Url(String),
    /// Sent along, for one of at most 51,200 bytes.
    Body(String),
}

/// An operation that is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The stack's name.
    pub stack_name: String,
    /// Its purpose.
    pub purpose: Purpose,
    /// The template.
    pub template: TemplateAt,
    /// The parameters.
    pub parameters: Vec<(String, ParameterValue)>,
    /// True if the template or a parameter names roles or policies, which has to be acknowledged.
    pub names_iam: bool,
}

/// The purpose of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A stack that is made for it.
    NewStack,
    /// A stack that somebody made for a proposal before, and that has nothing in it.
    EmptyStack,
    /// A stack that runs.
    Update,
}

/// A change of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Such as `Add`, `Modify`, `Remove`.
    pub action: String,
    /// The resource's name in the template.
    pub logical_id: String,
    /// Such as `AWS::IAM::Role`.
    pub kind: String,
    /// True if another resource may take its place.
    pub may_replace: bool,
}

/// A change set that can be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    /// Its ID.
    pub id: String,
    /// The stack's ID.
    pub stack_id: String,
    /// Its purpose.
    pub purpose: Purpose,
    /// The changes.
    pub changes: Vec<Change>,
}

impl Stacks {
    /// Proposes an operation; nothing if it would change nothing.
    pub async fn propose(&self, proposal: &Proposal) -> Result<Option<ChangeSet>, StackError> {
        let name = format!("{OURS}{:08x}", getrandom::u32().unwrap_or_default());
        let kind = match proposal.purpose {
            Purpose::NewStack | Purpose::EmptyStack => ChangeSetType::Create,
            Purpose::Update => ChangeSetType::Update,
        };
        let (url, body) = match proposal.template.clone() {
            TemplateAt::Url(url) => (Some(url), None),
            TemplateAt::Body(body) => (None, Some(body)),
        };
        let capability = if proposal.names_iam { Capability::CapabilityNamedIam } else { Capability::CapabilityIam };
        let call = self.client.create_change_set().stack_name(&proposal.stack_name).change_set_name(name);
        let call = call.change_set_type(kind).set_template_url(url).set_template_body(body).capabilities(capability);
        let answer = call.set_parameters(Some(parameters(&proposal.parameters))).send().await;
        let answer = answer.map_err(refused("proposing the changes"))?;
        let (id, stack_id) = (answer.id.unwrap_or_default(), answer.stack_id.unwrap_or_default());
        let change_set = ChangeSet { id, stack_id, purpose: proposal.purpose, changes: Vec::new() };
        match self.proposed(&change_set).await {
            Ok(Some(changes)) => Ok(Some(ChangeSet { changes, ..change_set })),
            // What nobody can execute goes; so does the stack that was made for it.
            Ok(None) => self.withdraw(&change_set).await.map(|()| None),
            Err(error) => {
                self.withdraw(&change_set).await?;
                Err(error)
            }
        }
    }

    /// Waits until CloudFormation knows what would change; nothing if nothing would.
    async fn proposed(&self, change_set: &ChangeSet) -> Result<Option<Vec<Change>>, StackError> {
        loop {
            let call = self.client.describe_change_set().change_set_name(&change_set.id);
            let mut answer = call.send().await.map_err(refused("reading the proposed changes"))?;
            match answer.status {
                Some(ChangeSetStatus::CreateComplete) => {
                    let mut changes = Vec::new();
                    loop {
                        changes.extend(answer.changes.unwrap_or_default());
                        let Some(token) = answer.next_token else { break };
                        let next = self.client.describe_change_set().change_set_name(&change_set.id).next_token(token);
                        answer = next.send().await.map_err(refused("reading the proposed changes"))?;
                    }
                    return Ok(Some(changes.into_iter().filter_map(change).collect()));
                }
                Some(ChangeSetStatus::CreatePending | ChangeSetStatus::CreateInProgress) => {
                    tokio::time::sleep(POLL).await;
                }
                _ => {
                    let reason = answer.status_reason.unwrap_or_default();
                    if NO_CHANGES.iter().any(|known| reason.contains(known)) {
                        return Ok(None);
                    }
                    return Err(StackError::Proposal(reason));
                }
            }
        }
    }

    /// True if every proposal for the stack of a name is one of ours.
    pub async fn has_only_our_proposals(&self, stack: &str) -> Result<bool, StackError> {
        let pages = self.client.list_change_sets().stack_name(stack).into_paginator().items().send();
        let all = pages.try_collect().await.map_err(refused("listing the proposals"))?;
        Ok(all.iter().all(|it| it.change_set_name().is_some_and(|name| name.starts_with(OURS))))
    }

    /// Begins to carry a change set out.
    pub async fn execute(&self, change_set: &ChangeSet) -> Result<(), StackError> {
        let call = self.client.execute_change_set().change_set_name(&change_set.id);
        call.send().await.map(|_| ()).map_err(refused("carrying the changes out"))
    }

    /// Takes a change set back, and with it the stack that was made for it and has nothing in it.
    pub async fn withdraw(&self, change_set: &ChangeSet) -> Result<(), StackError> {
        match self.client.delete_change_set().change_set_name(&change_set.id).send().await {
            Ok(_) => {}
            Err(error) if error.code() == Some("ChangeSetNotFound") => {}
            Err(error) => return Err(refused("taking the proposal back")(error)),
        }
        // Whatever has begun meanwhile stays.
        match (change_set.purpose, self.find(&change_set.stack_id).await?) {
            (Purpose::NewStack, Some(stack)) if stack.status == "REVIEW_IN_PROGRESS" => self.delete(&stack.id).await,
            _ => Ok(()),
        }
    }
}

fn parameters(parameters: &[(String, ParameterValue)]) -> Vec<Parameter> {
    let parameter = |(name, value): &(String, ParameterValue)| {
        let parameter = Parameter::builder().parameter_key(name);
        match value {
            ParameterValue::Given(value) => parameter.parameter_value(value).build(),
            ParameterValue::Previous => parameter.use_previous_value(true).build(),
        }
    };
    parameters.iter().map(parameter).collect()
}

fn change(change: aws_sdk_cloudformation::types::Change) -> Option<Change> {
    let change = change.resource_change?;
    Some(Change {
        action: change.action.map(|action| action.as_str().to_owned()).unwrap_or_default(),
        logical_id: change.logical_resource_id.unwrap_or_default(),
        kind: change.resource_type.unwrap_or_default(),
        may_replace: matches!(change.replacement, Some(Replacement::True | Replacement::Conditional)),
    })
}
