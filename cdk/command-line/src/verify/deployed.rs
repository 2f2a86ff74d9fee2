//! The deployed part of a stack: its template, and its function with code and settings.

use aws_sdk_cloudformation::error::ProvideErrorMetadata as _;
use aws_sdk_cloudformation::types::TemplateStage;
use aws_smithy_types::base64;
use cavatica_access::owner::StackId;
use cavatica_generator::stack_name::StackName;

use crate::account::{Account, AwsError};
use crate::release::zip::hex;

/// The subject of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A stack by its name, in the region of the credentials' configuration or another.
    StackName(StackName),
    /// A stack by its ID.
    Stack(StackId),
    /// A function by its ARN, and its region.
    Function {
        /// The ARN.
        arn: String,
        /// Its region.
        region: String,
    },
}

/// The deployed parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployed {
    /// The function; a stack of the native template has none.
    pub function: Option<Function>,
    /// The stack's template; a function alone has none.
    pub template: Option<String>,
}

/// A function as Lambda has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Function {
    /// The SHA-256 of its zip, 64 hexadecimal digits in lower case.
    pub code_sha256: String,
    /// Its runtime.
    pub runtime: String,
    /// Its handler.
    pub handler: String,
    /// The ARNs of its layers.
    pub layers: Vec<String>,
    /// Its environment variables.
    pub environment: Vec<(String, String)>,
}

/// Why nothing can be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeployedError {
    /// There is no such stack.
    #[error("there is no stack {stack} in {region}: give its region with --region, or its ARN")]
    NoStack {
        /// The stack.
        stack: String,
        /// The region in which it was looked for.
        region: String,
    },
    /// AWS does not say.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl std::str::FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(stack) = text.parse() {
            return Ok(Self::Stack(stack));
        }
        let parts: Vec<_> = text.split(':').collect();
        match parts.as_slice() {
            ["arn", _, "lambda", region, _, "function", name, ..] if !name.is_empty() => {
                Ok(Self::Function { arn: text.to_owned(), region: (*region).to_owned() })
            }
            [name] => name.parse().map(Self::StackName).map_err(|_| Self::RULE),
            _ => Err(Self::RULE),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::StackName(name) => name.as_str(),
            Self::Stack(stack) => stack.as_str(),
            Self::Function { arn, .. } => arn,
        })
    }
}

impl Target {
    const RULE: &str = "the name or ARN of a stack, or the ARN of a function";

    /// Returns the region that its ARN names.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        match self {
            Self::StackName(_) => None,
            Self::Stack(stack) => Some(&stack.region),
            Self::Function { region, .. } => Some(region),
        }
    }

    /// True for the ID of a stack that this is certainly not.
    pub(super) fn is_other_stack(&self, id: &str) -> bool {
        match self {
            Self::StackName(name) => id.parse::<StackId>().map_or(true, |stack| stack.name != name.as_str()),
            Self::Stack(stack) => stack.as_str() != id,
            Self::Function { .. } => false,
        }
    }

    /// Looks at what is deployed. Needs `cloudformation:GetTemplate`, `cloudformation:DescribeStackResource` and
    /// `lambda:GetFunctionConfiguration`.
    pub async fn look(&self, account: &Account, region: &str) -> Result<Deployed, DeployedError> {
        let stack = match self {
            Self::Function { arn, .. } => {
                return Ok(Deployed { function: Some(function(account, region, arn).await?), template: None });
            }
            Self::Stack(stack) => stack.as_str(),
            Self::StackName(name) => name.as_str(),
        };
        let template = template(account, region, stack).await?;
        let function = match function_of(account, region, stack).await? {
            Some(name) => Some(function(account, region, &name).await?),
            None => None,
        };
        Ok(Deployed { function, template: Some(template) })
    }
}

/// Returns the template as it was submitted.
async fn template(account: &Account, region: &str, stack: &str) -> Result<String, DeployedError> {
    let request = account.cloudformation(region).get_template().stack_name(stack);
    match request.template_stage(TemplateStage::Original).send().await {
        Ok(answer) => Ok(answer.template_body.unwrap_or_default()),
        Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => {
            Err(DeployedError::NoStack { stack: stack.to_owned(), region: region.to_owned() })
        }
        Err(error) => {
            let call =
                account.call("read the template of", "cloudformation:GetTemplate", format!("stack {stack}"), region);
            Err(call.failed(error).into())
        }
    }
}

/// Returns the name of a stack's function; a stack of the native template has none.
async fn function_of(account: &Account, region: &str, stack: &str) -> Result<Option<String>, AwsError> {
    let request = account.cloudformation(region).describe_stack_resource().stack_name(stack);
    match request.logical_resource_id("ProviderFunction").send().await {
        Ok(answer) => Ok(answer.stack_resource_detail.and_then(|resource| resource.physical_resource_id)),
        Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => Ok(None),
        Err(error) => {
            let action = "cloudformation:DescribeStackResource";
            Err(account.call("find the function of", action, format!("stack {stack}"), region).failed(error))
        }
    }
}

async fn function(account: &Account, region: &str, name: &str) -> Result<Function, AwsError> {
    let answer = account.lambda(region).get_function_configuration().function_name(name).send().await;
    let answer = answer.map_err(|error| {
        account.call("look at", "lambda:GetFunctionConfiguration", format!("function {name}"), region).failed(error)
    })?;
    let digest = answer.code_sha256().and_then(|text| base64::decode(text).ok()).unwrap_or_default();
    let variables = answer.environment().and_then(|environment| environment.variables());
    let mut environment: Vec<_> =
        variables.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect();
    environment.sort();
    Ok(Function {
        code_sha256: hex(&digest),
        runtime: answer.runtime().map(|runtime| runtime.as_str().to_owned()).unwrap_or_default(),
        handler: answer.handler().unwrap_or_default().to_owned(),
        layers: answer.layers().iter().filter_map(|layer| layer.arn().map(str::to_owned)).collect(),
        environment,
    })
}
