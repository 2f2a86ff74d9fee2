//! Changes that the domain makes, one value for each AWS call.

use std::fmt;

use super::{Action, Bucket, CorsRule, PolicyEntity};
use crate::names::{IamPath, PolicyArn, RoleArn, RoleName};
use crate::owner::Tags;

/// Change of an account: one AWS call. Making it twice has the same effect as once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the parameters of the call of that name")]
pub enum Change {
    CreateRole(Box<NewRole>),
    TagRole {
        role: RoleName,
        tags: Tags,
    },
    UntagRole {
        role: RoleName,
        keys: Vec<String>,
    },
    UpdateRole {
        role: RoleName,
        description: String,
        max_session_duration: u32,
    },
    UpdateTrust {
        role: RoleName,
        trust: String,
    },
    PutBoundary {
        role: RoleName,
        boundary: PolicyArn,
    },
    CreatePolicy(Box<NewPolicy>),
    TagPolicy {
        arn: PolicyArn,
        tags: Tags,
    },
    UntagPolicy {
        arn: PolicyArn,
        keys: Vec<String>,
    },
    CreatePolicyVersion {
        arn: PolicyArn,
        document: String,
    },
    Attach {
        role: RoleName,
        arn: PolicyArn,
    },
    Detach {
        from: PolicyEntity,
        arn: PolicyArn,
    },
    DeleteInlinePolicy {
        role: RoleName,
        name: String,
    },
    DeletePolicyVersion {
        arn: PolicyArn,
        version: String,
    },
    DeletePolicy {
        arn: PolicyArn,
    },
    DeleteRole {
        role: RoleName,
    },
    /// Replaces a bucket's whole CORS configuration; without a rule it is removed.
    PutCors {
        bucket: Box<Bucket>,
        rules: Vec<CorsRule>,
    },
}

/// Role to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRole {
    /// Name and path.
    pub arn: RoleArn,
    /// The trust policy.
    pub trust: String,
    /// Empty when none.
    pub description: String,
    /// In seconds.
    pub max_session_duration: u32,
    /// Permissions boundary.
    pub boundary: Option<PolicyArn>,
    /// Owner tags and requested tags.
    pub tags: Tags,
}

/// Policy to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicy {
    /// ARN.
    pub arn: PolicyArn,
    /// Path.
    pub path: IamPath,
    /// The document of its first version.
    pub document: String,
    /// Description, which IAM never changes.
    pub description: String,
    /// Tags.
    pub tags: Tags,
}

impl Change {
    /// Returns the IAM action of the call.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::CreateRole(_) => Action::CreateRole,
            Self::TagRole { .. } => Action::TagRole,
            Self::UntagRole { .. } => Action::UntagRole,
            Self::UpdateRole { .. } => Action::UpdateRole,
            Self::UpdateTrust { .. } => Action::UpdateAssumeRolePolicy,
            Self::PutBoundary { .. } => Action::PutRolePermissionsBoundary,
            Self::CreatePolicy(_) => Action::CreatePolicy,
            Self::TagPolicy { .. } => Action::TagPolicy,
            Self::UntagPolicy { .. } => Action::UntagPolicy,
            Self::CreatePolicyVersion { .. } => Action::CreatePolicyVersion,
            Self::Attach { .. } => Action::AttachRolePolicy,
            Self::Detach { from: PolicyEntity::Role(_), .. } => Action::DetachRolePolicy,
            Self::Detach { from: PolicyEntity::User(_), .. } => Action::DetachUserPolicy,
            Self::Detach { from: PolicyEntity::Group(_), .. } => Action::DetachGroupPolicy,
            Self::DeleteInlinePolicy { .. } => Action::DeleteRolePolicy,
            Self::DeletePolicyVersion { .. } => Action::DeletePolicyVersion,
            Self::DeletePolicy { .. } => Action::DeletePolicy,
            Self::DeleteRole { .. } => Action::DeleteRole,
            Self::PutCors { .. } => Action::PutBucketCORS,
        }
    }

    /// True if it is the same call as another one and, where that sets or removes tags, is about those tags too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::TagRole { tags, .. }, Self::TagRole { tags: others, .. })
            | (Self::TagPolicy { tags, .. }, Self::TagPolicy { tags: others, .. }) => {
                others.keys().all(|key| tags.contains_key(key))
            }
            (Self::UntagRole { keys, .. }, Self::UntagRole { keys: others, .. })
            | (Self::UntagPolicy { keys, .. }, Self::UntagPolicy { keys: others, .. }) => {
                others.iter().all(|key| keys.contains(key))
            }
            _ => self.action() == other.action(),
        }
    }

    /// True if nothing is left to do when IAM answers that something is not there.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        matches!(
            self,
            Self::Detach { .. }
                | Self::DeleteInlinePolicy { .. }
                | Self::DeletePolicyVersion { .. }
                | Self::DeletePolicy { .. }
                | Self::DeleteRole { .. }
        )
    }
}

impl fmt::Display for Change {
    /// Returns the change as part of a sentence: "creating role cavatica".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateRole(new) => write!(f, "creating role {}", new.arn.name),
            Self::TagRole { role, .. } => write!(f, "tagging role {role}"),
            Self::UntagRole { role, .. } => write!(f, "removing tags from role {role}"),
            Self::UpdateRole { role, .. } => write!(f, "setting description and session duration of role {role}"),
            Self::UpdateTrust { role, .. } => write!(f, "setting the trust policy of role {role}"),
            Self::PutBoundary { role, boundary } => write!(f, "setting {} as boundary of role {role}", boundary.name()),
            Self::CreatePolicy(new) => write!(f, "creating policy {}", new.arn.name()),
            Self::TagPolicy { arn, .. } => write!(f, "tagging policy {}", arn.name()),
            Self::UntagPolicy { arn, .. } => write!(f, "removing tags from policy {}", arn.name()),
            Self::CreatePolicyVersion { arn, .. } => write!(f, "making a new version of policy {}", arn.name()),
            Self::Attach { role, arn } => write!(f, "attaching policy {} to role {role}", arn.name()),
            Self::Detach { from, arn } => write!(f, "detaching policy {} from {from}", arn.name()),
            Self::DeleteInlinePolicy { role, name } => write!(f, "deleting inline policy {name} of role {role}"),
            Self::DeletePolicyVersion { arn, version } => {
                write!(f, "deleting version {version} of policy {}", arn.name())
            }
            Self::DeletePolicy { arn } => write!(f, "deleting policy {}", arn.name()),
            Self::DeleteRole { role } => write!(f, "deleting role {role}"),
            Self::PutCors { bucket, .. } => write!(f, "setting the CORS rules of bucket {}", bucket.name),
        }
    }
}
