//! Observed state of an account: the plain values that a plan depends on. [`crate::observe`] reads them.

use serde_json::Value;

use crate::blueprint::Blueprint;
use crate::desired::Desired;
use crate::names::{PolicyArn, RoleName};
use crate::owner::{self, Owner};
use crate::port::{Policy, PolicyEntity, Role, Version};

/// Observed state of the desired role and policy, and of older roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedState {
    /// Role under the desired name, whoever owns it.
    pub role: Option<Role>,
    /// Policies attached to the role; empty if it is foreign.
    pub attached: Vec<PolicyArn>,
    /// Policy under the desired ARN, whoever owns it.
    pub policy: Option<Policy>,
    /// Versions of the policy, oldest first; empty if it is foreign.
    pub versions: Vec<Version>,
    /// Default version's document; `None` if the policy is foreign.
    pub document: Option<Value>,
    /// Role that this update replaces.
    pub replaced_role: Option<Role>,
    /// Older roles that CloudFormation will not delete, oldest first.
    pub remaining_roles: Vec<RemainingRole>,
}

impl ObservedState {
    /// Returns the state that the old properties lead to if everything succeeded and IAM shows it.
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

/// Role that should be deleted and its policies, as far as they still exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemainingRole {
    /// Name of the role.
    pub name: RoleName,
    /// Role, whoever owns it; `None` if it no longer exists.
    pub role: Option<Role>,
    /// Policies attached to the role; empty if it is foreign.
    pub attached: Vec<PolicyArn>,
    /// Names of the role's inline policies; empty if it is foreign.
    pub inline: Vec<String>,
    /// Instance profiles that contain the role; empty if it is foreign.
    pub profiles: Vec<String>,
    /// Policies of this stack that serve the role.
    pub policies: Vec<RemainingPolicy>,
    /// Policies attached to the role that have the stack's name for a policy but no owner tags.
    pub without_owner: Vec<PolicyArn>,
}

impl RemainingRole {
    /// Returns a role of which nothing exists.
    pub(crate) fn none(name: RoleName) -> Self {
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

    /// True if this stack has nothing to delete here.
    #[must_use]
    pub fn is_deleted(&self, owner: &Owner) -> bool {
        !self.role.as_ref().is_some_and(|role| owner.owns(&role.tags)) && self.policies.is_empty()
    }

    /// True if the role exists and names a policy in its tags that was not found.
    #[must_use]
    pub fn lacks_policy(&self, owner: &Owner) -> bool {
        let ours = self.role.as_ref().filter(|role| owner.owns(&role.tags));
        self.policies.is_empty() && ours.is_some_and(|role| owner::tagged_policy(&role.tags).is_some())
    }

    /// True if a policy is attached to another role, user or group too. After a rename it is attached to the new role.
    #[must_use]
    pub fn shares_policy(&self) -> bool {
        let is_other =
            |carrier: &PolicyEntity| !matches!(carrier, PolicyEntity::Role(name) if *name == self.name.as_str());
        self.policies.iter().any(|policy| policy.entities.iter().any(is_other))
    }
}

/// Policy of this stack that should be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemainingPolicy {
    /// The policy.
    pub policy: Policy,
    /// Versions of the policy.
    pub versions: Vec<Version>,
    /// Users, groups and roles that the policy is attached to.
    pub entities: Vec<PolicyEntity>,
    /// Users and roles that have the policy as permissions boundary.
    pub bounded: Vec<PolicyEntity>,
}
