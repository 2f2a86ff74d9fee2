//! Every read that the domain makes, as one value each: what is said of it while it goes on and when it fails.

use std::fmt;

use super::{Action, Usage};
use crate::names::{PolicyArn, RoleName};
use crate::volume::BucketName;

/// One read of an account: one AWS call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the port's methods")]
pub enum Look {
    Caller,
    Role(RoleName),
    RoleTags(RoleName),
    Policy(PolicyArn),
    Attached(RoleName),
    Inline(RoleName),
    Profiles(RoleName),
    Versions(PolicyArn),
    Document(PolicyArn),
    Carriers(PolicyArn, Usage),
    Simulation(RoleName),
    BucketRegion(BucketName),
    BucketKey(BucketName),
    Cors(BucketName),
}

impl Look {
    /// The call it is; `None` for the one that is of STS.
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
            Self::Document(_) => Action::GetPolicyVersion,
            Self::Carriers(..) => Action::ListEntitiesForPolicy,
            Self::Simulation(_) => Action::SimulatePrincipalPolicy,
            Self::BucketRegion(_) => Action::GetBucketLocation,
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
            Self::Document(arn) => write!(f, "reading the document of policy {}", arn.name()),
            Self::Carriers(arn, Usage::Permissions) => write!(f, "listing who carries policy {}", arn.name()),
            Self::Carriers(arn, Usage::Boundary) => write!(f, "listing whom policy {} caps", arn.name()),
            Self::Simulation(role) => write!(f, "asking IAM's simulator what role {role} may do"),
            Self::BucketRegion(name) => write!(f, "asking where bucket {name} is"),
            Self::BucketKey(name) => write!(f, "asking how bucket {name} encrypts"),
            Self::Cors(name) => write!(f, "reading the CORS rules of bucket {name}"),
        }
    }
}
