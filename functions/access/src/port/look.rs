//! Every read that the domain makes, as one value each, and the answers to them.

use std::fmt;

use serde_json::Value;

use super::{
    Action, Bucket, CorsRule, Failure, FailureKind, Policy, PolicyEntity, Question, Role, Usage, Verdict, Version,
};
use crate::names::{AccountId, PolicyArn, RoleArn, RoleName};
use crate::owner::Tags;
use crate::volume::{BucketName, Region};

/// A read of an account: one AWS call, or its pages. The answer to a read of something absent is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Account of the credentials (`sts:GetCallerIdentity`): [`AccountId`].
    Caller,
    /// Role by its name, under whatever path: `Option<Role>`.
    Role(RoleName),
    /// Tags of a role by its name, under whatever path: `Option<Tags>`.
    RoleTags(RoleName),
    /// Managed policy: `Option<Policy>`.
    Policy(PolicyArn),
    /// Managed policies attached to a role: `Vec<PolicyArn>`.
    Attached(RoleName),
    /// Names of a role's inline policies: `Vec<String>`.
    Inline(RoleName),
    /// Names of the instance profiles that hold a role: `Vec<String>`.
    Profiles(RoleName),
    /// Versions of a policy, oldest first: `Vec<Version>`.
    Versions(PolicyArn),
    /// Document of a version of a policy: [`Value`].
    Document(PolicyArn, String),
    /// Users, groups and roles that carry a policy: `Vec<PolicyEntity>`.
    PolicyEntities(PolicyArn, Usage),
    /// Verdicts of IAM's policy simulator on a role: `Vec<Verdict>`.
    Simulation(RoleArn, Question),
    /// Region of a bucket of an account: [`Region`]. A second call where S3 refers to another region.
    BucketRegion(BucketName, AccountId),
    /// Key that a bucket encrypts new objects with, as S3 tells it, an ARN, ID or alias: `Option<String>`. None for a
    /// key that needs no permission of its own, S3's or the AWS managed one.
    BucketKey(Bucket),
    /// CORS rules of a bucket: `Vec<CorsRule>`.
    Cors(Bucket),
}

impl Look {
    /// Returns the call; `None` for the one that is of STS.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        Some(match self {
            Self::Caller => return None,
            Self::Role(_) => Action::GetRole,
            Self::RoleTags(_) => Action::ListRoleTags,
            Self::Policy(_) => Action::GetPolicy,
            Self::Attached(_) => Action::ListAttachedRolePolicies,
            Self::Inline(_) => Action::ListRolePolicies,
            Self::Profiles(_) => Action::ListInstanceProfilesForRole,
            Self::Versions(_) => Action::ListPolicyVersions,
            Self::Document(..) => Action::GetPolicyVersion,
            Self::PolicyEntities(..) => Action::ListEntitiesForPolicy,
            Self::Simulation(..) => Action::SimulatePrincipalPolicy,
            Self::BucketRegion(..) => Action::GetBucketLocation,
            Self::BucketKey(_) => Action::GetEncryptionConfiguration,
            Self::Cors(_) => Action::GetBucketCORS,
        })
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller => f.write_str("asking which account the function runs in"),
            Self::Role(name) => write!(f, "looking at role {name}"),
            Self::RoleTags(name) => write!(f, "reading the tags of role {name}"),
            Self::Policy(arn) => write!(f, "looking at policy {}", arn.name()),
            Self::Attached(role) => write!(f, "listing the policies attached to role {role}"),
            Self::Inline(role) => write!(f, "listing the inline policies of role {role}"),
            Self::Profiles(role) => write!(f, "listing the instance profiles of role {role}"),
            Self::Versions(arn) => write!(f, "listing the versions of policy {}", arn.name()),
            Self::Document(arn, _) => write!(f, "reading the document of policy {}", arn.name()),
            Self::PolicyEntities(arn, Usage::Permissions) => {
                write!(f, "listing the users, groups and roles with policy {}", arn.name())
            }
            Self::PolicyEntities(arn, Usage::Boundary) => {
                write!(f, "listing the users and roles with boundary {}", arn.name())
            }
            Self::Simulation(role, _) => write!(f, "asking IAM's simulator what role {} may do", role.name),
            Self::BucketRegion(name, _) => write!(f, "asking where bucket {name} is"),
            Self::BucketKey(bucket) => write!(f, "asking how bucket {} encrypts", bucket.name),
            Self::Cors(bucket) => write!(f, "reading the CORS rules of bucket {}", bucket.name),
        }
    }
}

/// Type of an answer to a read.
pub trait Answer: Sized + Send {
    /// Returns the answer as one of all.
    fn into_observation(self) -> Observation;
    /// Returns the answer out of all; `None` for the answer to another read.
    fn of(observation: Observation) -> Option<Self>;
}

/// Defines [`Observation`] with the type that each variant holds.
macro_rules! observations {
    ($($name:ident($answer:ty)),* $(,)?) => {
        /// The answer to a read.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "the names are those of what is read")]
        pub enum Observation { $($name($answer)),* }

        $(impl Answer for $answer {
            fn into_observation(self) -> Observation {
                Observation::$name(self)
            }

            fn of(observation: Observation) -> Option<Self> {
                match observation {
                    Observation::$name(answer) => Some(answer),
                    _ => None,
                }
            }
        })*
    };
}

observations! {
    Account(AccountId),
    Role(Option<Role>),
    Tags(Option<Tags>),
    Policy(Option<Policy>),
    Policies(Vec<PolicyArn>),
    Names(Vec<String>),
    Versions(Vec<Version>),
    Document(Value),
    PolicyEntities(Vec<PolicyEntity>),
    Verdicts(Vec<Verdict>),
    Region(Region),
    Key(Option<String>),
    CorsRules(Vec<CorsRule>),
}

/// Returns the answer to a read as its type. Another one is a mistake of the adapter, and permanent.
pub(super) fn answered<T: Answer>(observation: Observation, look: &Look) -> Result<T, Failure> {
    T::of(observation).ok_or_else(|| Failure {
        kind: FailureKind::Other,
        code: "UnexpectedAnswer".to_owned(),
        message: format!("{look} had the answer to another read"),
        request_id: None,
    })
}
