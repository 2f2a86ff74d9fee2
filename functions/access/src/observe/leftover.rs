//! The rest of a role that should go.

use crate::names::{PolicyArn, RoleName};
use crate::owner::{self, Owner};
use crate::port::{Carrier, Policy, Role, Version};

/// The rest of a role that should go, and of its policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
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
    pub policies: Vec<LeftoverPolicy>,
}

impl Leftover {
    /// Nothing of a role but its name.
    pub(super) fn nothing(name: RoleName) -> Self {
        Self { name, role: None, attached: Vec::new(), inline: Vec::new(), profiles: Vec::new(), policies: Vec::new() }
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
        let is_other = |carrier: &Carrier| !matches!(carrier, Carrier::Role(name) if *name == self.name.as_str());
        self.policies.iter().any(|held| held.carriers.iter().any(is_other))
    }
}

/// A policy of ours that should go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftoverPolicy {
    /// The policy.
    pub policy: Policy,
    /// Its versions.
    pub versions: Vec<Version>,
    /// Whom it allows.
    pub carriers: Vec<Carrier>,
    /// Whom it caps.
    pub capped: Vec<Carrier>,
}
