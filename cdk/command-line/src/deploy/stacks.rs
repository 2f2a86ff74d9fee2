//! CloudFormation in one account and region: reading stacks, deleting one, and the tests' own creations.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{Output, Parameter, StackResource, StackStatus, StackSummary};
use tokio::time::Instant;

use super::change_set::ChangeSet;
use super::follow::{KnownEvents, Operation, OperationKind};
use super::remedy::remedy;
use super::stack::Stack;
use crate::account::{Account, AwsError, Call};
use crate::invocation::Invocation;
use crate::waits::{Pace, Retry};

/// Most by which the time of an update precedes that of its first event, in milliseconds.
const TIMES_DIFFER: i64 = 10_000;

/// CloudFormation in one account and region.
#[derive(Debug, Clone)]
pub struct Stacks {
    pub(super) client: Client,
    /// The region.
    pub region: String,
    /// The user's call of this program, for the commands in messages.
    pub invocation: Invocation,
    pub(super) pace: Pace,
}

/// Failure of an operation on a stack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// AWS refused or did not answer.
    #[error("{error}{}", .remedy.as_ref().map(|remedy| format!(". {remedy}")).unwrap_or_default())]
    Aws {
        /// AWS's answer.
        error: AwsError,
        /// Remedy, if the answer is a known one.
        remedy: Option<String>,
    },
    /// The stack does not exist.
    #[error("there is no stack {0}")]
    Absent(String),
    /// The change set failed.
    #[error("CloudFormation cannot carry this out: {reason}{}", .details.iter().map(|detail| format!("\n  {detail}")).collect::<String>())]
    Invalid {
        /// CloudFormation's words.
        reason: String,
        /// Failed validations, one a line.
        details: Vec<String>,
    },
    /// A change set could not be withdrawn after an error.
    #[error("{error}. Change set {change_set} is still there ({refusal}); to delete it: `{delete}`")]
    LeftBehind {
        /// The error.
        error: Box<StackError>,
        /// The change set.
        change_set: String,
        /// The failure of the withdrawal.
        refusal: Box<StackError>,
        /// Command that deletes it.
        delete: String,
    },
    /// The operation left no event.
    #[error("CloudFormation shows no event of this operation on stack {0}")]
    NotShown(String),
}

impl StackError {
    /// AWS's answer, if there is one.
    #[must_use]
    pub fn aws(&self) -> Option<&AwsError> {
        match self {
            Self::Aws { error, .. } => Some(error),
            Self::LeftBehind { error, .. } => error.aws(),
            _ => None,
        }
    }

    /// True if the same call may succeed later without anybody doing something.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.aws().is_some_and(AwsError::is_transient)
    }

    /// True if AWS's words contain this.
    #[must_use]
    pub fn says(&self, words: &str) -> bool {
        self.aws().and_then(AwsError::refusal).is_some_and(|(_, message)| message.contains(words))
    }

    /// True if AWS answered with this code.
    #[must_use]
    pub fn has_code(&self, code: &str) -> bool {
        self.aws().and_then(AwsError::refusal).is_some_and(|(found, _)| found == code)
    }
}

/// A stack in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Stack ID.
    pub id: String,
    /// Stack name.
    pub name: String,
    /// Description of its template, if the list has it.
    pub description: Option<String>,
}

impl Listed {
    fn read(stack: StackSummary) -> Option<Self> {
        Some(Self { id: stack.stack_id?, name: stack.stack_name?, description: stack.template_description })
    }
}

/// Returns a token that identifies one operation, whatever is repeated of it.
#[must_use]
pub fn new_token() -> String {
    format!("cavatica-connect-{:016x}", getrandom::u64().unwrap_or_default())
}

impl Stacks {
    /// Stacks that this client reaches.
    #[must_use]
    pub fn new(client: Client, pace: Pace) -> Self {
        let region = client.config().region().map(ToString::to_string).unwrap_or_default();
        Self { client, region, invocation: Invocation::default(), pace }
    }

    /// Stacks of an account in a region.
    #[must_use]
    pub fn of(account: &Account, region: &str) -> Self {
        let pace = if account.is_emulated() { Pace::EMULATOR } else { Pace::AWS };
        let stacks = Self::new(account.cloudformation(region), pace);
        Self { invocation: account.invocation.clone(), ..stacks }
    }

    /// Returns a function that turns an SDK error into one of ours.
    pub(super) fn failed<E>(
        &self,
        doing: &'static str,
        action: &'static str,
        stack: &str,
    ) -> impl FnOnce(SdkError<E>) -> StackError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let call = Call {
            doing,
            action,
            on: format!("stack {stack}"),
            region: self.region.clone(),
            sign_in: self.invocation.sign_in(),
        };
        let (invocation, region, stack) = (self.invocation.clone(), self.region.clone(), stack.to_owned());
        move |error| {
            let error = call.failed(error);
            let words = error.refusal().map(|(_, message)| message).unwrap_or_default();
            let remedy = remedy(words, &stack, &region, &invocation);
            StackError::Aws { error, remedy }
        }
    }

    /// Starts deleting a stack. A call whose answer was lost is repeated with the same token.
    ///
    /// # Errors
    ///
    /// [`StackError::is_transient`] if it is not known whether the operation started; otherwise it did not.
    pub async fn delete(&self, id: &str) -> Result<Operation, StackError> {
        let (token, mut attempts) = (new_token(), Retry::CALL.attempts());
        loop {
            let call = self.client.delete_stack().stack_name(id).client_request_token(&token);
            match call.send().await.map_err(self.failed("delete", "cloudformation:DeleteStack", id)) {
                Ok(_) => {
                    return Ok(Operation { stack_id: id.to_owned(), token: Some(token), kind: OperationKind::Delete });
                }
                Err(error) => {
                    if !error.is_transient() || !attempts.next().await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Returns the stack with a name or ID, if there is one.
    pub async fn find(&self, stack: &str) -> Result<Option<Stack>, StackError> {
        let answer = match self.client.describe_stacks().stack_name(stack).send().await {
            Ok(answer) => answer,
            Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => return Ok(None),
            Err(error) => return Err(self.failed("read", "cloudformation:DescribeStacks", stack)(error)),
        };
        let parameter = |it: Parameter| Some((it.parameter_key?, it.parameter_value.unwrap_or_default()));
        let output = |it: Output| Some((it.output_key?, it.output_value.unwrap_or_default()));
        Ok(answer.stacks.unwrap_or_default().into_iter().next().map(|stack| Stack {
            id: stack.stack_id.unwrap_or_default(),
            status: stack.stack_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
            parameters: stack.parameters.unwrap_or_default().into_iter().filter_map(parameter).collect(),
            outputs: stack.outputs.unwrap_or_default().into_iter().filter_map(output).collect(),
            updated_at: stack.last_updated_time.and_then(|time| time.to_millis().ok()),
            change_set: stack.change_set_id,
            is_protected: stack.enable_termination_protection == Some(true),
        }))
    }

    /// Reads the stack after an operation until it shows what the operation's last event says.
    ///
    /// `None` if it shows the state of before for [`Pace::fresh_within`]: reads are eventually consistent, and the
    /// outputs of before look like those of now.
    pub async fn find_fresh(
        &self,
        stack_id: &str,
        known: &KnownEvents,
        change_set: &ChangeSet,
        before: Option<&Stack>,
    ) -> Result<Option<Stack>, StackError> {
        let last = known.all.iter().rfind(|event| event.is_of_stack(stack_id));
        let status = last.map(|event| event.status.clone()).unwrap_or_default();
        let begun_at = last.and_then(|last| known.all.iter().find(|event| event.token == last.token));
        let begun_at = begun_at.map(|event| event.at).unwrap_or_default();
        let is_fresh = |stack: &Stack| {
            let is_of_this = stack.change_set.as_ref() == Some(&change_set.id);
            // An emulator names no change set. The time alone would not do: what was read before may have been old,
            // too.
            let is_later = before.is_none_or(|before| {
                stack.updated_at != before.updated_at && stack.updated_at.unwrap_or_default() >= begun_at - TIMES_DIFFER
            });
            stack.status == status && (is_of_this || is_later)
        };
        let begun = Instant::now();
        loop {
            match self.find(stack_id).await {
                Ok(Some(stack)) if is_fresh(&stack) => return Ok(Some(stack)),
                Ok(_) => {}
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
            if begun.elapsed() > self.pace.fresh_within {
                return Ok(None);
            }
            tokio::time::sleep(self.pace.first).await;
        }
    }

    /// Lists all stacks of the region that are not deleted.
    pub async fn all(&self) -> Result<Vec<Listed>, StackError> {
        let pages = self.client.list_stacks().into_paginator().items().send();
        let listed = pages.try_collect().await;
        let listed = listed.map_err(self.failed("list", "cloudformation:ListStacks", "*"))?;
        let is_there = |stack: &StackSummary| stack.stack_status != Some(StackStatus::DeleteComplete);
        Ok(listed.into_iter().filter(is_there).filter_map(Listed::read).collect())
    }

    /// Returns the physical IDs of a stack's resources, by logical ID.
    pub async fn resources(&self, stack: &str) -> Result<BTreeMap<String, String>, StackError> {
        let answer = self.client.describe_stack_resources().stack_name(stack).send().await;
        let answer =
            answer.map_err(self.failed("read the resources of", "cloudformation:DescribeStackResources", stack))?;
        let pair = |it: StackResource| Some((it.logical_resource_id?, it.physical_resource_id?));
        Ok(answer.stack_resources.unwrap_or_default().into_iter().filter_map(pair).collect())
    }

    /// Returns the description of a stack's template.
    pub async fn description(&self, stack: &str) -> Result<String, StackError> {
        let answer = self.client.get_template_summary().stack_name(stack).send().await;
        let answer = answer.map_err(self.failed("read the template of", "cloudformation:GetTemplateSummary", stack))?;
        Ok(answer.description.unwrap_or_default())
    }

    /// Returns a stack's outputs by name.
    pub async fn outputs(&self, id: &str) -> Result<BTreeMap<String, String>, StackError> {
        self.existing(id).await.map(|stack| stack.outputs)
    }

    async fn existing(&self, id: &str) -> Result<Stack, StackError> {
        self.find(id).await?.ok_or_else(|| StackError::Absent(id.to_owned()))
    }
}
