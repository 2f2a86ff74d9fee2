//! The remains of a deleted stack: each part is looked for by name, whatever CloudFormation says.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata as _;
use cavatica_access::cors;
use cavatica_access::names::{AccountId, PolicyArn, RoleName};
use cavatica_access::owner::{self, StackId, Tags};
use cavatica_access::platform::Platform;
use cavatica_access::port::{Bucket, CorsRule, Failure, FailureKind, Look, Policy, ReadAccount as _, Role, Version};
use cavatica_access::volume::BucketName;

use super::stack::Stack;
use crate::account::{Account, AwsError};
use crate::invocation::Invocation;
use crate::waits::Retry;

/// A thing that a stack has outside itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A role.
    Role {
        /// Its name.
        name: RoleName,
        /// False if only the name is known, and the stack may never have made it.
        is_certain: bool,
    },
    /// A policy: the volume's, or a boundary.
    Policy {
        /// Its ARN.
        arn: PolicyArn,
        /// As above.
        is_certain: bool,
    },
    /// The function.
    Function(String),
    /// The function's log.
    LogGroup(String),
    /// A rule in a bucket's CORS configuration.
    CorsRule {
        /// The bucket.
        bucket: BucketName,
        /// The account that owns it.
        owner: AccountId,
        /// The rule's ID.
        id: String,
    },
}

/// State of a part after the deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A read showed that it does not exist.
    Gone,
    /// A read showed that it exists.
    Left,
    /// Something of this name exists, and does not carry the stack's tags.
    Foreign,
    /// The read failed.
    Unseen(String),
}

/// Failure of a read.
#[derive(Debug, thiserror::Error)]
pub enum RemainsError {
    /// AWS's answer.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// AWS's answer to a read of IAM or S3.
    #[error("AWS answered {0}")]
    Look(Failure),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { name, .. } => write!(f, "role {name}"),
            Self::Policy { arn, .. } => write!(f, "policy {}", arn.name()),
            Self::Function(name) => write!(f, "function {name}"),
            Self::LogGroup(name) => write!(f, "log group {name}"),
            Self::CorsRule { bucket, .. } => write!(f, "the CORS rule of bucket {bucket}"),
        }
    }
}

impl Part {
    /// Returns the commands, in order, that remove what is left of it.
    pub async fn removal(&self, account: &Account, region: &str) -> Vec<String> {
        let invocation = &account.invocation;
        match self {
            Self::Role { name, .. } => role_removal(account, region, name).await,
            Self::Policy { arn, .. } => policy_removal(account, region, arn).await,
            Self::Function(name) => {
                vec![invocation.aws(&["lambda", "delete-function", "--function-name", name], Some(region))]
            }
            Self::LogGroup(name) => {
                vec![invocation.aws(&["logs", "delete-log-group", "--log-group-name", name], Some(region))]
            }
            Self::CorsRule { bucket, id, .. } => vec![format!(
                "in the S3 console, bucket {bucket}, Permissions, Cross-origin resource sharing: remove the rule {id}"
            )],
        }
    }

    async fn state(&self, account: &Account, region: &str, stack: &StackId) -> Result<State, RemainsError> {
        let port = account.port(region);
        let call = |action| account.call("look for", action, self.to_string(), region);
        let found = |is_there: bool| if is_there { State::Left } else { State::Gone };
        let of_iam = |tags: Option<Tags>, is_certain: bool| match tags {
            None => State::Gone,
            Some(tags) if is_certain || tags.get(owner::STACK).is_some_and(|id| id == stack.as_str()) => State::Left,
            Some(_) => State::Foreign,
        };
        match self {
            Self::Role { name, is_certain } => {
                let role: Option<Role> = port.read(&Look::Role(name.clone())).await.map_err(RemainsError::Look)?;
                Ok(of_iam(role.map(|role| role.tags), *is_certain))
            }
            Self::Policy { arn, is_certain } => {
                let policy: Option<Policy> = port.read(&Look::Policy(arn.clone())).await.map_err(RemainsError::Look)?;
                Ok(of_iam(policy.map(|policy| policy.tags), *is_certain))
            }
            Self::CorsRule { bucket, owner, id } => {
                let region = match port.read(&Look::BucketRegion(bucket.clone(), owner.clone())).await {
                    Ok(region) => region,
                    // A bucket takes its rules with it.
                    Err(failure) if failure.kind == FailureKind::NotFound => return Ok(State::Gone),
                    Err(failure) => return Err(RemainsError::Look(failure)),
                };
                let bucket = Bucket { name: bucket.clone(), owner: owner.clone(), region };
                let rules: Vec<CorsRule> = port.read(&Look::Cors(bucket)).await.map_err(RemainsError::Look)?;
                Ok(found(rules.iter().any(|rule| rule.id.as_ref() == Some(id))))
            }
            Self::Function(name) => {
                match account.lambda(region).get_function_configuration().function_name(name).send().await {
                    Ok(_) => Ok(State::Left),
                    Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(State::Gone),
                    Err(error) => Err(call("lambda:GetFunctionConfiguration").failed(error).into()),
                }
            }
            Self::LogGroup(name) => {
                let groups = account.logs(region).describe_log_groups().log_group_name_prefix(name).send().await;
                let groups = groups.map_err(|error| call("logs:DescribeLogGroups").failed(error))?;
                Ok(found(groups.log_groups().iter().any(|group| group.log_group_name() == Some(name))))
            }
        }
    }
}

/// Returns the commands that empty and delete a role.
async fn role_removal(account: &Account, region: &str, name: &RoleName) -> Vec<String> {
    let (port, invocation, role) = (account.port(region), &account.invocation, name.to_string());
    let iam = |arguments: &[&str]| invocation.aws(&[&["iam"], arguments].concat(), None);
    let mut commands = Vec::new();
    for arn in port.read::<Vec<PolicyArn>>(&Look::Attached(name.clone())).await.unwrap_or_default() {
        commands.push(iam(&["detach-role-policy", "--role-name", &role, "--policy-arn", &arn.to_string()]));
    }
    for policy in port.read::<Vec<String>>(&Look::Inline(name.clone())).await.unwrap_or_default() {
        commands.push(iam(&["delete-role-policy", "--role-name", &role, "--policy-name", &policy]));
    }
    for profile in port.read::<Vec<String>>(&Look::Profiles(name.clone())).await.unwrap_or_default() {
        let remove = ["remove-role-from-instance-profile", "--instance-profile-name", &profile, "--role-name", &role];
        commands.push(iam(&remove));
    }
    commands.push(iam(&["delete-role", "--role-name", &role]));
    commands
}

/// Returns the commands that delete a policy that no role carries any more.
async fn policy_removal(account: &Account, region: &str, arn: &PolicyArn) -> Vec<String> {
    let (port, invocation, text) = (account.port(region), &account.invocation, arn.to_string());
    let iam = |arguments: &[&str]| invocation.aws(&[&["iam"], arguments].concat(), None);
    let versions: Vec<Version> = port.read(&Look::Versions(arn.clone())).await.unwrap_or_default();
    let older = versions.iter().filter(|version| !version.is_default);
    let mut commands: Vec<_> = older
        .map(|version| iam(&["delete-policy-version", "--policy-arn", &text, "--version-id", &version.id]))
        .collect();
    commands.push(iam(&["delete-policy", "--policy-arn", &text]));
    commands
}

/// Returns the command that deletes a stack whose function no longer answers, without its custom resource.
#[must_use]
pub fn deletion_without_function(stack: &str, region: &str, invocation: &Invocation) -> String {
    let delete = ["cloudformation", "delete-stack", "--stack-name", stack, "--retain-resources", "VolumeAccess"];
    invocation.aws(&delete, Some(region))
}

/// Returns all that a stack has outside itself, by its ID, parameters, outputs and resources.
#[must_use]
pub fn parts(platform: &Platform, stack: &Stack, resources: &BTreeMap<String, String>) -> Vec<Part> {
    let Ok(id) = stack.id.parse::<StackId>() else { return Vec::new() };
    let resource = |name: &str| resources.get(name);
    let known = |output: &str, resource: &str| stack.outputs.get(output).or_else(|| resources.get(resource)).cloned();
    let given = |name: &str| stack.parameters.get(name).cloned().filter(|text| !text.is_empty());
    // A stack that failed has no outputs: the names follow from its parameters and its ID.
    let own_name = || format!("{}-{}", platform.stack_name(), id.uuid().split('-').next().unwrap_or_default());
    let known_role = known("RoleName", "VolumeRole");
    let known_policy = known("PolicyArn", "VolumePolicy");
    let role_name = known_role.clone().or_else(|| given("RoleName")).unwrap_or_else(own_name);
    let path = given("IamPath").unwrap_or_else(|| "/".to_owned());
    let policy_name = given("PolicyName").unwrap_or_else(|| role_name.clone());
    let policy_arn = known_policy
        .clone()
        .unwrap_or_else(|| format!("arn:{}:iam::{}:policy{path}{policy_name}", id.partition, id.account));
    let role = |name: &String, is_certain| name.parse().ok().map(|name| Part::Role { name, is_certain });
    let policy = |arn: &String, is_certain| arn.parse().ok().map(|arn| Part::Policy { arn, is_certain });
    let rule = || {
        let bucket = stack.parameters.get("BucketName")?.parse().ok()?;
        let owner = given("BucketOwnerAccountId").and_then(|owner| owner.parse().ok());
        let is_set = stack.parameters.get("ConfigureCors")? == "true";
        let rule_id = cors::rule_id(&id, &role_name.parse().ok()?);
        is_set.then(|| Part::CorsRule { bucket, owner: owner.unwrap_or_else(|| id.account.clone()), id: rule_id })
    };
    [
        role(&role_name, known_role.is_some()),
        policy(&policy_arn, known_policy.is_some()),
        resource("Boundary").and_then(|arn| policy(arn, true)),
        resource("ProviderRole").and_then(|name| role(name, true)),
        resource("ProviderFunction").cloned().map(Part::Function),
        resource("ProviderLogGroup").cloned().map(Part::LogGroup),
        rule(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Looks for every part, again for some seconds for those that still show; one failed read hides no other part.
pub async fn states(account: &Account, region: &str, stack: &StackId, parts: &[Part]) -> Vec<(Part, State)> {
    let mut states: Vec<(Part, Option<State>)> = parts.iter().map(|part| (part.clone(), None)).collect();
    let mut looks = Retry::REMAINS.attempts();
    loop {
        for (part, state) in &mut states {
            if matches!(state, None | Some(State::Left | State::Unseen(_))) {
                let seen = part.state(account, region, stack).await;
                *state = Some(seen.unwrap_or_else(|error| State::Unseen(error.to_string())));
            }
        }
        let is_all_gone = states.iter().all(|(_, state)| !matches!(state, Some(State::Left)));
        if is_all_gone || !looks.next().await {
            break;
        }
    }
    states
        .into_iter()
        .map(|(part, state)| (part, state.unwrap_or_else(|| State::Unseen("it was not looked for".to_owned()))))
        .collect()
}
