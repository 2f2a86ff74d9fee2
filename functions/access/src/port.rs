//! Ports of the domain: an AWS account, and time. Adapters implement these traits; the domain calls them.

mod change;
mod look;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde_json::Value;

use crate::names::{AccountId, PolicyArn, RoleArn};
use crate::owner::Tags;
use crate::volume::{BucketName, Region};

pub use self::change::{Change, NewPolicy, NewRole};
pub use self::look::{Answer, Look, Observation};

/// AWS account that can be read: IAM, buckets, and the account's ID.
pub trait ReadAccount: Sync {
    /// Makes one read.
    fn look(&self, look: &Look) -> impl Future<Output = Result<Observation, Failure>> + Send;

    /// Makes one read whose answer has a type that is known here.
    fn read<T: Answer>(&self, look: &Look) -> impl Future<Output = Result<T, Failure>> + Send {
        async move { self.look(look).await.and_then(|observation| look::answered(observation, look)) }
    }
}

/// AWS account that can be read and changed.
pub trait Account: ReadAccount {
    /// Makes one change: one AWS call.
    fn apply(&self, change: &Change) -> impl Future<Output = Result<Receipt, Failure>> + Send;
}

/// Time and random numbers.
pub trait Clock: Sync {
    /// Time since the event came.
    fn elapsed(&self) -> Duration;
    /// Returns the time left until work has to stop.
    fn remaining(&self) -> Duration;
    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
    /// Returns a number from 0 up to 1, different each time.
    fn chance(&self) -> f64;
}

/// Defines [`Action`] with the name that policies have for each.
macro_rules! actions {
    ($($service:literal: [$($action:ident),* $(,)?]),* $(,)?) => {
        /// Every call that the port can make and that needs a permission. The provider role in the template is derived
        /// from this list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the names are those of policies")]
        pub enum Action { $($($action),*),* }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$($(Self::$action),*),*];

            /// Returns the name in a policy, such as `iam:GetRole`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($(Self::$action => concat!($service, ":", stringify!($action))),*),* }
            }
        }
    };
}

actions! {
    "iam": [
        GetRole, ListRoleTags, GetPolicy,
        ListAttachedRolePolicies, ListRolePolicies, ListInstanceProfilesForRole,
        GetPolicyVersion, ListPolicyVersions, ListEntitiesForPolicy, SimulatePrincipalPolicy,
        CreateRole, TagRole, UntagRole, UpdateRole, UpdateAssumeRolePolicy, PutRolePermissionsBoundary,
        CreatePolicy, TagPolicy, UntagPolicy, CreatePolicyVersion,
        AttachRolePolicy, DetachRolePolicy, DetachUserPolicy, DetachGroupPolicy, DeleteRolePolicy,
        DeletePolicyVersion, DeletePolicy, DeleteRole,
    ],
    "s3": [GetBucketLocation, GetEncryptionConfiguration, GetBucketCORS, PutBucketCORS],
}

/// Role as IAM returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// ARN, with the name in its original letter case.
    pub arn: RoleArn,
    /// Unique ID (`AROA…`).
    pub id: String,
    /// Tags.
    pub tags: Tags,
    /// Trust policy.
    pub trust: Value,
    /// Description; empty for none.
    pub description: String,
    /// Longest session, in seconds.
    pub max_session_duration: u32,
    /// Permissions boundary.
    pub boundary: Option<PolicyArn>,
}

impl Role {
    /// Returns a role that the function may not read: nothing of it is known but its tags.
    #[must_use]
    pub fn unreadable(arn: RoleArn, tags: Tags) -> Self {
        Self {
            arn,
            id: String::new(),
            tags,
            trust: Value::Null,
            description: String::new(),
            max_session_duration: 0,
            boundary: None,
        }
    }
}

/// Managed policy as IAM returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// ARN, in its original letter case.
    pub arn: PolicyArn,
    /// Tags.
    pub tags: Tags,
    /// Default version.
    pub default_version: String,
}

/// A version of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Such as `v3`.
    pub id: String,
    /// True for the default version.
    pub is_default: bool,
}

/// Use of a managed policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// As permissions: the policy is attached.
    Permissions,
    /// As permissions boundary.
    Boundary,
}

/// Role, user or group that uses a managed policy. IAM calls it an entity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyEntity {
    /// A role, by name.
    Role(String),
    /// A user, by name.
    User(String),
    /// A group, by name.
    Group(String),
}

impl fmt::Display for PolicyEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(name) => write!(f, "role {name}"),
            Self::User(name) => write!(f, "user {name}"),
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// Bucket with its owner and region, which every call has to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Name.
    pub name: BucketName,
    /// Account that has to own it. S3 denies calls on a bucket of another owner.
    pub owner: AccountId,
    /// Region.
    pub region: Region,
}

/// A rule of a bucket's CORS configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of S3's CORSRule")]
pub struct CorsRule {
    pub id: Option<String>,
    pub allowed_origins: Vec<String>,
    pub allowed_methods: Vec<String>,
    pub allowed_headers: Vec<String>,
    pub expose_headers: Vec<String>,
    pub max_age_seconds: Option<i32>,
}

/// A question to IAM's policy simulator: may the role do each of the actions on each of the resources?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Such as `s3:GetObject`.
    pub actions: Vec<&'static str>,
    /// ARNs.
    pub resources: Vec<String>,
    /// Condition keys and their values.
    pub context: Vec<(&'static str, String)>,
}

/// The verdict of IAM's policy simulator on one action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Such as `s3:GetObject`.
    pub action: String,
    /// An ARN.
    pub resource: String,
    /// The layer that forbids it; `None` when it is allowed.
    pub forbidden_by: Option<Layer>,
}

/// A layer of IAM's evaluation that can forbid an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// No policy of the role allows it.
    Statement,
    /// The permissions boundary does not allow it.
    Boundary,
    /// A statement denies it.
    Deny,
    /// A policy of the organisation does not allow it.
    Organisation,
}

/// Answer to a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The unique ID of a role that was just created.
    pub role_id: Option<String>,
}

/// Failed AWS call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// Kind of failure.
    pub kind: FailureKind,
    /// AWS's own code, such as `AccessDenied`.
    pub code: String,
    /// AWS's own words.
    pub message: String,
    /// For AWS support.
    pub request_id: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        match self.message.trim_end_matches('.') {
            "" => {}
            message => write!(f, ": {message}")?,
        }
        match &self.request_id {
            Some(id) => write!(f, " (AWS request ID {id})"),
            None => Ok(()),
        }
    }
}

/// Kinds of failures that the domain treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// `NoSuchEntity`, `NoSuchBucket`.
    NotFound,
    /// `EntityAlreadyExists`.
    AlreadyExists,
    /// `AccessDenied` and its relatives.
    Denied,
    /// `ConcurrentModification`.
    ConcurrentModification,
    /// `EntityTemporarilyUnmodifiable`.
    TemporarilyUnmodifiable,
    /// `DeleteConflict`.
    DeleteConflict,
    /// `LimitExceeded`.
    LimitExceeded,
    /// `MalformedPolicyDocument`.
    MalformedDocument,
    /// Throttling in any of its names.
    Throttled,
    /// A 5xx.
    Server,
    /// No answer: the connection could not be made, broke, or took too long. The call may have taken effect.
    Connection,
    /// Anything else: permanent as far as we know.
    Other,
}
