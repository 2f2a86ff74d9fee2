//! Recognizes a role or policy of this stack after somebody removed its owner tags.
//!
//! Nothing is changed on this evidence: the event fails, and its Reason names the command that tags the role or policy
//! again. Without it a Delete would answer `SUCCESS` while Cavatica keeps its access.

use std::fmt;

use serde_json::Value;

use crate::names::{PolicyArn, RoleArn};
use crate::owner::{self, Owner, Tags};
use crate::port::{Policy, Role};
use crate::request::{ExternalId, OldProperties, Request};

/// Properties that together identify a role of this stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The permissions boundary.
    pub boundary: Option<PolicyArn>,
    /// The trusted principal.
    pub principal: Option<RoleArn>,
    /// The external ID in the trust policy.
    pub external_id: Option<ExternalId>,
}

impl Evidence {
    /// Returns the sign by which a role without an owner, at the physical ID of the stack, is the stack's.
    #[must_use]
    pub fn sign_of(&self, role: &Role, owner: &Owner) -> Option<Sign> {
        if !has_no_other_owner(&role.tags, owner) || role.boundary != self.boundary {
            None
        } else if self.has_stacks_boundary(owner) {
            Some(Sign::Boundary)
        } else {
            self.is_trusted_by(role).then_some(Sign::ExternalId)
        }
    }

    /// True if the boundary is the one that CloudFormation made for the stack.
    #[must_use]
    pub fn has_stacks_boundary(&self, owner: &Owner) -> bool {
        self.boundary.as_ref().is_some_and(|boundary| owner.stack.names_boundary(boundary.name()))
    }

    /// True if a statement of the role's trust policy lets the principal in with the external ID.
    fn is_trusted_by(&self, role: &Role) -> bool {
        let (Some(principal), Some(external_id)) = (&self.principal, &self.external_id) else { return false };
        let statements = match &role.trust["Statement"] {
            Value::Array(statements) => statements.as_slice(),
            single => std::slice::from_ref(single),
        };
        statements.iter().any(|statement| {
            statement["Effect"] == "Allow"
                && contains(&statement["Principal"], &principal.to_string())
                && contains(&statement["Condition"], external_id.as_str())
        })
    }
}

/// Reason to believe that a role without owner tags belongs to the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The boundary is the one that CloudFormation created for the stack.
    Boundary,
    /// The boundary is the requested one, and the trust policy names the stack's principal and external ID.
    ExternalId,
    /// A policy of the stack that serves it is attached to it. Of an older role, which the function may not read,
    /// nothing else tells.
    Policy,
}

impl fmt::Display for Sign {
    /// As the end of a sentence about the role.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boundary => "has this stack's permissions boundary",
            Self::ExternalId => "trusts the stack's principal with its external ID",
            Self::Policy => "carries the policy that this stack made for it",
        })
    }
}

impl From<&Request> for Evidence {
    fn from(request: &Request) -> Self {
        Self {
            boundary: request.permissions_boundary.clone(),
            principal: Some(request.trusted_principal.clone()),
            external_id: request.external_id.clone(),
        }
    }
}

impl From<&OldProperties> for Evidence {
    fn from(properties: &OldProperties) -> Self {
        Self {
            boundary: properties.permissions_boundary.clone(),
            principal: properties.trusted_principal.clone(),
            external_id: properties.external_id.clone(),
        }
    }
}

/// True if a policy that is attached to a role of ours, under the name that the stack gives it, has no owner.
#[must_use]
pub fn is_policy_without_owner(policy: &Policy, attached: &[PolicyArn], owner: &Owner) -> bool {
    has_no_other_owner(&policy.tags, owner) && attached.iter().any(|arn| arn.is_same(&policy.arn))
}

/// True if an owner tag is missing, and those that are left name nobody else.
#[must_use]
pub fn has_no_other_owner(tags: &Tags, owner: &Owner) -> bool {
    let is_ours = |key: &str, ours: &str| tags.get(key).is_none_or(|value| value == ours);
    !owner.owns(tags) && is_ours(owner::STACK, owner.stack.as_str()) && is_ours(owner::RESOURCE, &owner.resource)
}

/// True if a text is one of the values within a JSON value.
fn contains(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value == text,
        Value::Array(values) => values.iter().any(|value| contains(value, text)),
        Value::Object(values) => values.values().any(|value| contains(value, text)),
        _ => false,
    }
}
