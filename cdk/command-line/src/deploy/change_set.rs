//! Change sets: CloudFormation computes what it would do, and does it only when the change set is executed.

use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::types::{
    Capability, ChangeSetStatus, ChangeSetType, EventFilter, ExecutionStatus, OperationEvent, Parameter, Replacement,
};

use tokio::time::Instant;

use super::follow::{KnownEvents, Operation, OperationKind};
use super::stack::{ParameterValue, Stack};
use super::stacks::{StackError, Stacks};
use crate::waits::{BETWEEN_CHANGE_SET_LOOKS, CHANGE_SET_WITHIN, Retry};

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
    /// The one that the stack has.
    Previous,
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

/// Parameter whose change makes the function look at role and policy again.
const REPAIR: &str = "Repair";

impl Proposal {
    /// Returns an update that changes nothing but has the function put back what differs; `None` for a template without
    /// the parameter for it, as releases before it have.
    #[must_use]
    pub fn repair(stack_name: &str, stack: &Stack) -> Option<Self> {
        stack.parameters.contains_key(REPAIR).then(|| {
            let value = |name: &String| match name == REPAIR {
                true => ParameterValue::Given(format!("{:08x}", getrandom::u32().unwrap_or_default())),
                false => ParameterValue::Previous,
            };
            Self {
                stack_name: stack_name.to_owned(),
                purpose: Purpose::Update,
                template: TemplateAt::Previous,
                parameters: stack.parameters.keys().map(|name| (name.clone(), value(name))).collect(),
                names_iam: false,
            }
        })
    }
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
pub struct ResourceChange {
    /// Such as `Add`, `Modify`, `Remove`.
    pub action: String,
    /// The resource's name in the template.
    pub logical_id: String,
    /// Such as `AWS::IAM::Role`.
    pub kind: String,
    /// True if another resource may take its place.
    pub may_replace: bool,
}

/// A change set of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    /// Name, which no other change set has.
    pub name: String,
    /// Name of its stack.
    pub stack_name: String,
    /// Its ID; empty before CloudFormation has said it.
    pub id: String,
    /// ID of its stack; empty before CloudFormation has said it.
    pub stack_id: String,
    /// Purpose.
    pub purpose: Purpose,
    /// The changes.
    pub changes: Vec<ResourceChange>,
}

/// Names of the change sets of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSets {
    /// Created by this program, in whatever run.
    pub own: Vec<String>,
    /// Created by others.
    pub foreign: Vec<String>,
}

impl ChangeSet {
    /// Returns a change set that CloudFormation does not know yet.
    #[must_use]
    pub fn new(proposal: &Proposal) -> Self {
        Self {
            name: format!("{OURS}{:08x}", getrandom::u32().unwrap_or_default()),
            stack_name: proposal.stack_name.clone(),
            id: String::new(),
            stack_id: String::new(),
            purpose: proposal.purpose,
            changes: Vec::new(),
        }
    }
}

impl Stacks {
    /// Creates a change set and waits until CloudFormation has computed its changes; `None` if there are none.
    ///
    /// # Errors
    ///
    /// A change set that cannot be executed is deleted, and so is the empty stack that was made for it.
    pub async fn propose(&self, proposal: &Proposal, change_set: &ChangeSet) -> Result<Option<ChangeSet>, StackError> {
        let answer = match self.computed(proposal, change_set).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.withdrawn(change_set, error).await),
        };
        let mut proposed = ChangeSet {
            id: answer.change_set_id.clone().unwrap_or_default(),
            stack_id: answer.stack_id.unwrap_or_default(),
            ..change_set.clone()
        };
        if answer.status == Some(ChangeSetStatus::CreateComplete) {
            proposed.changes = answer.changes.unwrap_or_default().into_iter().filter_map(change).collect();
            return Ok(Some(proposed));
        }
        let reason = answer.status_reason.unwrap_or_default();
        if NO_CHANGES.iter().any(|known| reason.contains(known)) {
            return self.withdraw(&proposed).await.map(|()| None);
        }
        // The details go with the change set.
        let details = self.failed_validations(answer.change_set_id.as_deref().unwrap_or(&proposed.name)).await;
        Err(self.withdrawn(&proposed, StackError::Invalid { reason, details }).await)
    }

    /// Withdraws a change set after an error; returns the error, with the change set if that is still there.
    async fn withdrawn(&self, change_set: &ChangeSet, error: StackError) -> StackError {
        match self.withdraw(change_set).await {
            Ok(()) => error,
            Err(refusal) => StackError::LeftBehind {
                error: Box::new(error),
                change_set: change_set.name.clone(),
                refusal: Box::new(refusal),
                delete: self.deletion_of(change_set),
            },
        }
    }

    /// Returns the command that deletes a change set.
    #[must_use]
    pub fn deletion_of(&self, change_set: &ChangeSet) -> String {
        let delete = ["cloudformation", "delete-change-set", "--stack-name", &change_set.stack_name];
        let delete = [&delete[..], &["--change-set-name", &change_set.name]].concat();
        self.invocation.aws(&delete, Some(&self.region))
    }

    async fn computed(
        &self,
        proposal: &Proposal,
        change_set: &ChangeSet,
    ) -> Result<DescribeChangeSetOutput, StackError> {
        let (name, stack) = (&change_set.name, &change_set.stack_name);
        let change_set_type = match proposal.purpose {
            Purpose::NewStack | Purpose::EmptyStack => ChangeSetType::Create,
            Purpose::Update => ChangeSetType::Update,
        };
        let (url, body) = match proposal.template.clone() {
            TemplateAt::Url(url) => (Some(url), None),
            TemplateAt::Body(body) => (None, Some(body)),
            TemplateAt::Previous => (None, None),
        };
        let keeps_template = (proposal.template == TemplateAt::Previous).then_some(true);
        let capability = if proposal.names_iam { Capability::CapabilityNamedIam } else { Capability::CapabilityIam };
        let call = self.client.create_change_set().stack_name(stack).change_set_name(name).client_token(name);
        let call = call
            .change_set_type(change_set_type)
            .set_template_url(url)
            .set_template_body(body)
            .set_use_previous_template(keeps_template);
        let call = call.capabilities(capability).set_parameters(Some(parameters(&proposal.parameters)));
        let created = call.send().await;
        match created.map_err(self.failed("propose changes to", "cloudformation:CreateChangeSet", stack)) {
            Ok(_) => {}
            // An earlier attempt succeeded and its answer was lost: nobody else knows the name.
            Err(error) if error.has_code("AlreadyExistsException") || error.is_transient() => {
                self.described(change_set, None).await.map_err(|_| error)?;
            }
            Err(error) => return Err(error),
        }
        let mut attempts = Retry::CALL.attempts();
        let begun = Instant::now();
        loop {
            let answer = self.described(change_set, None).await;
            match answer {
                Ok(mut answer) if is_computed(&answer) => {
                    while let Some(token) = answer.next_token.take() {
                        let next = self.described(change_set, Some(token)).await?;
                        answer.changes.get_or_insert_default().extend(next.changes.unwrap_or_default());
                        answer.next_token = next.next_token;
                    }
                    return Ok(answer);
                }
                Ok(_) if begun.elapsed() < CHANGE_SET_WITHIN => tokio::time::sleep(BETWEEN_CHANGE_SET_LOOKS).await,
                Ok(_) => return Err(StackError::NotShown(stack.clone())),
                // Reads are eventually consistent: what was just created may not be there yet.
                Err(error) => {
                    let may_pass = error.has_code("ChangeSetNotFound") || error.is_transient();
                    if !may_pass || !attempts.next().await {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn described(
        &self,
        change_set: &ChangeSet,
        next_token: Option<String>,
    ) -> Result<DescribeChangeSetOutput, StackError> {
        let (name, stack) = (&change_set.name, &change_set.stack_name);
        let call = self.client.describe_change_set().change_set_name(name).stack_name(stack);
        let answer = call.set_next_token(next_token).send().await;
        answer.map_err(self.failed("read the changes to", "cloudformation:DescribeChangeSet", stack))
    }

    /// Returns what CloudFormation's validation before deployment found: resource, property and reason.
    async fn failed_validations(&self, change_set: &str) -> Vec<String> {
        let failed = EventFilter::builder().failed_events(true).build();
        let pages = self.client.describe_events().change_set_name(change_set).filters(failed);
        let events = pages.into_paginator().items().send().try_collect().await;
        match events.map_err(self.failed(
            "read the validation of change set",
            "cloudformation:DescribeEvents",
            change_set,
        )) {
            Ok(events) => events.iter().filter_map(validation).collect(),
            Err(error) => vec![format!("the details were not read: {error}")],
        }
    }

    /// Lists the change sets of a stack that can be executed now or soon, those of this program apart from others.
    pub async fn change_sets(&self, stack: &str) -> Result<ChangeSets, StackError> {
        let pages = self.client.list_change_sets().stack_name(stack).into_paginator().items().send();
        let all = pages.try_collect().await;
        let all = all.map_err(self.failed("list the change sets of", "cloudformation:ListChangeSets", stack))?;
        let open = all.into_iter().filter(|it| {
            let is_computed = it.execution_status == Some(ExecutionStatus::Available);
            is_computed || matches!(it.status, Some(ChangeSetStatus::CreatePending | ChangeSetStatus::CreateInProgress))
        });
        let (own, foreign) = open.filter_map(|it| it.change_set_name).partition(|name| name.starts_with(OURS));
        Ok(ChangeSets { own, foreign })
    }

    /// Starts carrying out a change set.
    ///
    /// A call whose answer was lost is repeated with the same token, so that no second operation starts.
    ///
    /// # Errors
    ///
    /// [`StackError::is_transient`] if it is not known whether the operation started; otherwise it did not.
    pub async fn execute(&self, change_set: &ChangeSet, token: &str) -> Result<Operation, StackError> {
        let stack_id = change_set.stack_id.clone();
        let kind = match change_set.purpose {
            Purpose::Update => OperationKind::Update,
            Purpose::NewStack | Purpose::EmptyStack => OperationKind::Create,
        };
        let operation = Operation { stack_id: stack_id.clone(), token: Some(token.to_owned()), kind };
        let mut attempts = Retry::CALL.attempts();
        loop {
            let call = self.client.execute_change_set().change_set_name(&change_set.name);
            let call = call.stack_name(&change_set.stack_name).client_request_token(token);
            let Err(error) = call.send().await else { return Ok(operation) };
            let error = self.failed("carry out the changes to", "cloudformation:ExecuteChangeSet", &stack_id)(error);
            match self.has_started(change_set, token).await {
                Ok(true) => return Ok(operation),
                Ok(false) if !error.is_transient() => return Err(error),
                Err(_) if !error.is_transient() => return Err(error),
                Ok(false) | Err(_) => {
                    if !attempts.next().await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// True if CloudFormation executes or has executed the change set for this token.
    async fn has_started(&self, change_set: &ChangeSet, token: &str) -> Result<bool, StackError> {
        let mut events = KnownEvents::default();
        self.catch_up(&change_set.stack_id, &mut events).await?;
        if events.all.iter().any(|event| event.token.as_deref() == Some(token)) {
            return Ok(true);
        }
        let answer = match self.described(change_set, None).await {
            Ok(answer) => answer,
            Err(error) if error.has_code("ChangeSetNotFound") => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(matches!(
            answer.execution_status,
            Some(
                ExecutionStatus::ExecuteInProgress | ExecutionStatus::ExecuteComplete | ExecutionStatus::ExecuteFailed
            )
        ))
    }

    /// Deletes a change set, and the stack that was made for it if nothing else is in it.
    ///
    /// # Guarantees
    ///
    /// The stack stays unless its only change set was this one, before and after, and nothing has been executed. Of two
    /// first deployments at once the one that loses finds its change set gone or another beside it: the stack is the
    /// other's.
    pub async fn withdraw(&self, change_set: &ChangeSet) -> Result<(), StackError> {
        let (name, stack) = (&change_set.name, &change_set.stack_name);
        let mut listed = self.every_change_set(stack).await;
        if listed.as_ref().is_ok_and(Vec::is_empty) {
            // Reads are eventually consistent: it may be too new to be listed.
            tokio::time::sleep(self.pace.first).await;
            listed = self.every_change_set(stack).await;
        }
        let is_alone = match listed {
            Ok(names) => names == [name.clone()],
            Err(error) if error.says("does not exist") => false,
            Err(error) => return Err(error),
        };
        let deleted = self.client.delete_change_set().change_set_name(name).stack_name(stack).send().await;
        match deleted.map_err(self.failed("delete the change set of", "cloudformation:DeleteChangeSet", stack)) {
            Ok(_) => {}
            Err(error) if error.has_code("ChangeSetNotFound") || error.says("does not exist") => {}
            Err(error) => return Err(error),
        }
        if change_set.purpose != Purpose::NewStack || !is_alone {
            return Ok(());
        }
        let others = self.every_change_set(stack).await?;
        // Last, since an operation that starts meanwhile shows here.
        match self.find(stack).await? {
            Some(found) if found.status == "REVIEW_IN_PROGRESS" && others.iter().all(|other| other == name) => {
                self.delete(&found.id).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Lists the names of all change sets of a stack, also of those that were executed or failed.
    async fn every_change_set(&self, stack: &str) -> Result<Vec<String>, StackError> {
        let pages = self.client.list_change_sets().stack_name(stack).into_paginator().items().send();
        let all = pages.try_collect().await;
        let all = all.map_err(self.failed("list the change sets of", "cloudformation:ListChangeSets", stack))?;
        Ok(all.into_iter().filter_map(|it| it.change_set_name).collect())
    }
}

fn is_computed(answer: &DescribeChangeSetOutput) -> bool {
    !matches!(answer.status, Some(ChangeSetStatus::CreatePending | ChangeSetStatus::CreateInProgress))
}

/// Describes a failed validation: resource, property and reason.
fn validation(event: &OperationEvent) -> Option<String> {
    let reason = event.validation_status_reason().or(event.resource_status_reason())?;
    let resource = [event.logical_resource_id(), event.resource_type()];
    let resource = resource.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let at = [Some(resource.as_str()).filter(|it| !it.is_empty()), event.validation_path()];
    Some(format!("{}: {reason}", at.into_iter().flatten().collect::<Vec<_>>().join(", ")))
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

fn change(change: aws_sdk_cloudformation::types::Change) -> Option<ResourceChange> {
    let change = change.resource_change?;
    Some(ResourceChange {
        action: change.action.map(|action| action.as_str().to_owned()).unwrap_or_default(),
        logical_id: change.logical_resource_id.unwrap_or_default(),
        kind: change.resource_type.unwrap_or_default(),
        may_replace: matches!(change.replacement, Some(Replacement::True | Replacement::Conditional)),
    })
}
