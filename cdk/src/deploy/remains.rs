//! The remains of a deleted stack: looked for by name, whatever CloudFormation says.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata as _;
use cavatica_access::cors;
use cavatica_access::names::{AccountId, PolicyArn, RoleName};
use cavatica_access::owner::StackId;
use cavatica_access::port::{Bucket, Failure, ReadAccount as _};
use cavatica_access::volume::BucketName;

use super::standing::Stack;
use crate::account::{Account, AwsError, Call};

/// The number of looks for something that should be gone, and the wait in between: IAM shows a deletion some seconds late.
const LOOKS: u32 = 6;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// Something that a stack has outside itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A role.
    Role(RoleName),
    /// A policy: the volume's, or a boundary.
    Policy(PolicyArn),
    /// The function.
    Function(String),
    /// The function's log.
    LogGroup(String),
    /// A rule in a bucket's CORS configuration.
    CorsRule {
        /// The bucket.
        bucket: BucketName,
        /// The account that it has to belong to.
        owner: AccountId,
        /// The rule's ID.
        id: String,
    },
}

/// Why it cannot be told what is left.
#[derive(Debug, thiserror::Error)]
pub enum RemainsError {
    /// AWS does not say.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// IAM or S3 does not say.
    #[error("cannot see whether {part} is gone: AWS answered {failure}")]
    Look {
        /// The part that was looked for.
        part: Part,
        /// The answer of AWS.
        failure: Box<Failure>,
    },
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(name) => write!(f, "role {name}"),
            Self::Policy(arn) => write!(f, "policy {}", arn.name()),
            Self::Function(name) => write!(f, "function {name}"),
            Self::LogGroup(name) => write!(f, "log group {name}"),
            Self::CorsRule { bucket, .. } => write!(f, "the CORS rule of bucket {}", bucket),
        }
    }
}

impl Part {
    /// The way to remove it by hand.
    #[must_use]
    pub fn removal(&self, region: &str) -> String {
        match self {
            Self::Role(name) => format!("`aws iam delete-role --role-name {name}`, after what is attached to it"),
            Self::Policy(arn) => format!("`aws iam delete-policy --policy-arn {arn}`, after detaching it"),
            Self::Function(name) => format!("`aws lambda delete-function --region {region} --function-name {name}`"),
            Self::LogGroup(name) => format!("`aws logs delete-log-group --region {region} --log-group-name {name}`"),
            Self::CorsRule { bucket, id, .. } => {
                format!(
                    "remove the rule {id} in the S3 console, bucket {}, Permissions, Cross-origin resource sharing",
                    bucket
                )
            }
        }
    }

    async fn is_there(&self, account: &Account, region: &str) -> Result<bool, RemainsError> {
        let port = account.port(region);
        let look = |failure| RemainsError::Look { part: self.clone(), failure: Box::new(failure) };
        let call = |action| Call { doing: "look for", action, on: self.to_string(), region: region.to_owned() };
        match self {
            Self::Role(name) => Ok(port.role(name).await.map_err(look)?.is_some()),
            Self::Policy(arn) => Ok(port.policy(arn).await.map_err(look)?.is_some()),
            Self::CorsRule { bucket, owner, id } => {
                let region = port.bucket_region(bucket, owner).await.map_err(look)?;
                let bucket = Bucket { name: bucket.clone(), owner: owner.clone(), region };
                let rules = port.cors(&bucket).await.map_err(look)?;
                Ok(rules.iter().any(|rule| rule.id.as_ref() == Some(id)))
            }
            Self::Function(name) => {
                match account.lambda(region).get_function_configuration().function_name(name).send().await {
                    Ok(_) => Ok(true),
                    Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(false),
                    Err(error) => Err(call("lambda:GetFunctionConfiguration").failed(error).into()),
                }
            }
            Self::LogGroup(name) => {
                let found = account.logs(region).describe_log_groups().log_group_name_prefix(name).send().await;
                let found = found.map_err(|error| call("logs:DescribeLogGroups").failed(error))?;
                Ok(found.log_groups().iter().any(|group| group.log_group_name() == Some(name)))
            }
        }
    }
}

/// All that a stack has outside itself, by what CloudFormation and the stack's outputs say of it.
#[must_use]
pub fn parts(stack: &Stack, resources: &BTreeMap<String, String>) -> Vec<Part> {
    let role = |name: &String| name.parse().ok().map(Part::Role);
    let policy = |arn: &String| arn.parse().ok().map(Part::Policy);
    let resource = |name: &str| resources.get(name);
    let output = |name: &str| stack.outputs.get(name);
    let rule = || {
        let id: StackId = stack.id.parse().ok()?;
        let (role, bucket) = (output("RoleName")?.parse().ok()?, stack.parameters.get("BucketName")?.parse().ok()?);
        let is_set = stack.parameters.get("ConfigureCors")? == "true";
        is_set.then(|| Part::CorsRule { bucket, owner: id.account.clone(), id: cors::rule_id(&id, &role) })
    };
    [
        output("RoleName").and_then(role),
        output("PolicyArn").and_then(policy),
        resource("Boundary").and_then(policy),
        resource("ProviderRole").and_then(role),
        resource("ProviderFunction").cloned().map(Part::Function),
        resource("ProviderLogGroup").cloned().map(Part::LogGroup),
        rule(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Those that are still there, after the seconds in which IAM may show what is gone.
pub async fn remains(account: &Account, region: &str, parts: &[Part]) -> Result<Vec<Part>, RemainsError> {
    let mut left = parts.to_vec();
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        let mut still = Vec::new();
        for part in left {
            if part.is_there(account, region).await? {
                still.push(part);
            }
        }
        left = still;
        if left.is_empty() {
            break;
        }
    }
    Ok(left)
}
