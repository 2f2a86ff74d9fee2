//! The domain's needs from outside: an AWS account and time. Adapters implement these traits; the domain only calls
//! them.

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

/// An AWS account as far as it can be read: its IAM, its buckets, and whose it is.
pub trait ReadAccount: Sync {
    /// Makes one read.
    fn look(&self, look: &Look) -> impl Future<Output = Result<Observation, Failure>> + Send;

    /// Makes one read whose answer has a type that is known here.
    fn read<T: Answer>(&self, look: &Look) -> impl Future<Output = Result<T, Failure>> + Send {
        async move { self.look(look).await.and_then(|observation| look::answered(observation, look)) }
    }
}

/// An AWS account that can be changed too.
pub trait Account: ReadAccount {
    /// Makes one change: one AWS call.
    fn apply(&self, change: &Change) -> impl Future<Output = Result<Receipt, Failure>> + Send;
}

/// Time and chance.
pub trait Clock: Sync {
    /// Time since the event came.
    fn elapsed(&self) -> Duration;
    /// The time left until work has to stop.
    fn remaining(&self) -> Duration;
    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
    /// A number from 0 up to 1, different each time.
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

            /// The name in a policy, such as `iam:GetRole`.
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

/// A role as IAM shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN; the name in the letters it was created with.
    pub arn: RoleArn,
    /// Its unique ID (`AROA…`).
    pub id: String,
    /// Its tags.
    pub tags: Tags,
    /// Its trust policy.
    pub trust: Value,
    /// Its description; empty when none.
    pub description: String,
    /// Its longest session, in seconds.
    pub max_session_duration: u32,
    /// Its permissions boundary.
    pub boundary: Option<PolicyArn>,
}

impl Role {
    /// A role that the function may not read: nothing of it is known but its tags.
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

/// A managed policy as IAM shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its ARN, in the letters it was created with.
    pub arn: PolicyArn,
    /// Its tags.
    pub tags: Tags,
    /// The version in force.
    pub default_version: String,
}

/// A version of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Such as `v3`.
    pub id: String,
    /// True for the version in force.
    pub is_default: bool,
}

/// How a policy is used by those who carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Attached, so that it allows.
    Permissions,
    /// Set as boundary, so that it caps.
    Boundary,
}

/// Somebody who carries a policy.
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

/// A bucket, and what calls on it have to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: BucketName,
    /// The account that has to own it: another owner's bucket of that name is denied.
    pub owner: AccountId,
    /// Its region.
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
    /// Nothing that the role has allows it.
    Statement,
    /// Its boundary does not allow it.
    Boundary,
    /// A statement denies it.
    Deny,
    /// A policy of the organisation does not allow it.
    Organisation,
}

/// The answer to a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The unique ID of a role that was just created.
    pub role_id: Option<String>,
}

/// An AWS call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// Its kind.
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

/// The kinds of failures that are told apart.
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
