//! Creating, changing, deleting and describing a stack through CloudFormation's API.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{Capability, Output, Parameter, StackResource, StackStatus, StackSummary};

use super::standing::Stack;

/// CloudFormation in one account and region.
#[derive(Debug, Clone)]
pub struct Stacks {
    pub(super) client: Client,
}

/// The template and parameters of a stack.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// The template's URL, in S3.
    pub template_url: String,
    /// Values; the others take their defaults.
    pub parameters: Vec<(String, String)>,
    /// True if it names roles or policies itself, which has to be acknowledged.
    pub names_iam: bool,
}

impl Definition {
    fn capability(&self) -> Capability {
        if self.names_iam { Capability::CapabilityNamedIam } else { Capability::CapabilityIam }
    }
}

/// Why something could not be done with a stack.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// CloudFormation refused.
    #[error("CloudFormation refused while {doing}: {code}: {message}")]
    Refused {
        /// The call, as part of the sentence.
        doing: &'static str,
        /// AWS's code.
        code: String,
        /// AWS's words.
        message: String,
    },
    /// There is no such stack.
    #[error("there is no stack {0}")]
    Absent(String),
    /// CloudFormation cannot do what is asked.
    #[error("CloudFormation cannot carry this out: {0}")]
    Proposal(String),
}

/// Makes an SDK error one of ours.
pub(super) fn refused<E: ProvideErrorMetadata, R>(doing: &'static str) -> impl FnOnce(SdkError<E, R>) -> StackError {
    move |error| StackError::Refused {
        doing,
        code: error.code().unwrap_or("no answer").to_owned(),
        message: error.message().unwrap_or("the connection failed").to_owned(),
    }
}

/// A stack in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The description of its template, if the list has it.
    pub description: Option<String>,
}

impl Listed {
    fn read(stack: StackSummary) -> Option<Self> {
        Some(Self { id: stack.stack_id?, name: stack.stack_name?, description: stack.template_description })
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

    /// A stack by name or ID, if there is one.
    pub async fn find(&self, stack: &str) -> Result<Option<Stack>, StackError> {
        let answer = match self.client.describe_stacks().stack_name(stack).send().await {
            Ok(answer) => answer,
            Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => return Ok(None),
            Err(error) => return Err(refused("reading the stack")(error)),
        };
        let parameter = |it: Parameter| Some((it.parameter_key?, it.parameter_value.unwrap_or_default()));
        let output = |it: Output| Some((it.output_key?, it.output_value.unwrap_or_default()));
        Ok(answer.stacks.unwrap_or_default().into_iter().next().map(|stack| Stack {
            id: stack.stack_id.unwrap_or_default(),
            status: stack.stack_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
            parameters: stack.parameters.unwrap_or_default().into_iter().filter_map(parameter).collect(),
            outputs: stack.outputs.unwrap_or_default().into_iter().filter_map(output).collect(),
        }))
    }

    /// All stacks of the region that are there.
    pub async fn all(&self) -> Result<Vec<Listed>, StackError> {
        let pages = self.client.list_stacks().into_paginator().items().send();
        let listed = pages.try_collect().await.map_err(refused("listing the stacks"))?;
        let is_there = |stack: &StackSummary| stack.stack_status != Some(StackStatus::DeleteComplete);
        Ok(listed.into_iter().filter(is_there).filter_map(Listed::read).collect())
    }

    /// The physical IDs of a stack's resources, by their names in the template.
    pub async fn resources(&self, stack: &str) -> Result<BTreeMap<String, String>, StackError> {
        let answer = self.client.describe_stack_resources().stack_name(stack).send().await;
        let resources = answer.map_err(refused("reading the stack's resources"))?.stack_resources.unwrap_or_default();
        let pair = |it: StackResource| Some((it.logical_resource_id?, it.physical_resource_id?));
        Ok(resources.into_iter().filter_map(pair).collect())
    }

    /// The description of the template that a stack has.
    pub async fn description(&self, stack: &str) -> Result<String, StackError> {
        let answer = self.client.get_template_summary().stack_name(stack).send().await;
        Ok(answer.map_err(refused("reading the stack's template"))?.description.unwrap_or_default())
    }

    /// The stack's status.
    pub async fn status(&self, id: &str) -> Result<String, StackError> {
        self.there(id).await.map(|stack| stack.status)
    }

    /// The stack's outputs by name.
    pub async fn outputs(&self, id: &str) -> Result<BTreeMap<String, String>, StackError> {
        self.there(id).await.map(|stack| stack.outputs)
    }

    async fn there(&self, id: &str) -> Result<Stack, StackError> {
        self.find(id).await?.ok_or_else(|| StackError::Absent(id.to_owned()))
    }
}

fn parameters(definition: &Definition) -> Vec<Parameter> {
    let parameter =
        |(name, value): &(String, String)| Parameter::builder().parameter_key(name).parameter_value(value).build();
    definition.parameters.iter().map(parameter).collect()
}
