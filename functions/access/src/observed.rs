//! The observed state of an account, as far as a plan needs it: plain values, which [`crate::observe`] reads.

use serde_json::Value;

use crate::blueprint::Blueprint;
use crate::desired::Desired;
use crate::names::{PolicyArn, RoleName};
use crate::owner::{self, Owner};
use crate::port::{Policy, PolicyEntity, Role, Version};

/// The observed state of what a request wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedState {
    /// The role under the wanted name.
    pub role: Option<Role>,
    /// The policies attached to it, if it is ours.
    pub attached: Vec<PolicyArn>,
    /// The policy under the wanted ARN.
    pub policy: Option<Policy>,
    /// Its versions, oldest first, if it is ours.
    pub versions: Vec<Version>,
    /// Its document in force, if it is ours.
    pub document: Option<Value>,
    /// The role that is being replaced.
    pub replaced_role: Option<Role>,
    /// The rest of roles for which no Delete will come, the oldest first.
    pub remaining_roles: Vec<RemainingRole>,
}

impl ObservedState {
    /// The state to be expected where something was asked for before and nothing went wrong.
    #[must_use]
    pub fn expected(before: &Blueprint, desired: &Desired) -> Self {
        let wanted = &desired.blueprint;
        let request = &before.request;
        let role = Role {
            arn: before.role.clone(),
            id: String::new(),
            tags: before.role_tags(),
            trust: before.trust.to_value(),
            description: request.description.clone().unwrap_or_default(),
            max_session_duration: request.max_session_duration,
            boundary: request.permissions_boundary.clone(),
        };
        let policy = Policy { arn: before.policy.clone(), tags: before.policy_tags(), default_version: String::new() };
        let (stays, keeps_policy) = (before.role.is_same(&wanted.role), before.policy.is_same(&wanted.policy));
        Self {
            role: Some(role).filter(|_| stays),
            attached: if stays { vec![before.policy.clone()] } else { Vec::new() },
            policy: Some(policy).filter(|_| keeps_policy),
            document: Some(before.permissions.to_value()).filter(|_| keeps_policy),
            ..Self::default()
        }
    }
}

/// The rest of a role that should go, and of its policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemainingRole {
    /// The role's name.
    pub name: RoleName,
    /// The role, if it is there, ours or not.
    pub role: Option<Role>,
    /// The policies attached to it, if it is ours.
    pub attached: Vec<PolicyArn>,
    /// Its inline policies, if it is ours.
    pub inline: Vec<String>,
    /// The instance profiles that hold it, if it is ours.
    pub profiles: Vec<String>,
    /// The policies that serve it and are ours.
    pub policies: Vec<RemainingPolicy>,
    /// The policies under a name that the stack gives them that are attached to it and have no owner, if it is ours.
    pub without_owner: Vec<PolicyArn>,
}

impl RemainingRole {
    /// Nothing of a role but its name.
    pub(crate) fn nothing(name: RoleName) -> Self {
        Self {
            name,
            role: None,
            attached: Vec::new(),
            inline: Vec::new(),
            profiles: Vec::new(),
            policies: Vec::new(),
            without_owner: Vec::new(),
        }
    }

    /// True if there is nothing of ours to remove.
    #[must_use]
    pub fn is_nothing(&self, owner: &Owner) -> bool {
        !self.role.as_ref().is_some_and(|role| owner.owns(&role.tags)) && self.policies.is_empty()
    }

    /// True if it has no policy although its role is ours and names one.
    #[must_use]
    pub fn lacks_policy(&self, owner: &Owner) -> bool {
        let ours = self.role.as_ref().filter(|role| owner.owns(&role.tags));
        self.policies.is_empty() && ours.is_some_and(|role| owner::tagged_policy(&role.tags).is_some())
    }

    /// True if somebody else carries a policy of it too: the role that it has moved on to, or whoever was given it, who
    /// keeps it if it has moved on.
    #[must_use]
    pub fn shares_policy(&self) -> bool {
        let is_other =
            |carrier: &PolicyEntity| !matches!(carrier, PolicyEntity::Role(name) if *name == self.name.as_str());
        self.policies.iter().any(|held| held.entities.iter().any(is_other))
    }
}

/// A policy of ours that should go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemainingPolicy {
    /// The policy.
    pub policy: Policy,
    /// Its versions.
    pub versions: Vec<Version>,
    /// Whom it allows.
    pub entities: Vec<PolicyEntity>,
    /// Whom it caps.
    pub capped: Vec<PolicyEntity>,
}
