//! Plan that deletes a role of this stack and its policy, whatever somebody added to them.
//!
//! If the policy has the role's name, both are deleted concurrently; otherwise the role is deleted last, because only
//! its tags name the policy. A foreign role is left alone.

use crate::desired::Deletion;
use crate::names::PolicyName;
use crate::observed::{RemainingPolicy, RemainingRole};
use crate::owner::Owner;
use crate::plan::Plan;
use crate::port::{Change, PolicyEntity, Role};
use crate::recognition::{Sign, has_no_other_owner};
use crate::refusal::Refusal;

pub(super) fn plan(deletion: &Deletion, remaining_roles: &[RemainingRole]) -> Result<Plan, Refusal> {
    let mut plan = Plan::default();
    let role_to_delete = deletion.role.as_ref();
    let candidates =
        role_to_delete.map(|role_to_delete| role_to_delete.candidates(&deletion.owner)).unwrap_or_default();
    for (i, remaining_role) in remaining_roles.iter().enumerate() {
        plan.notes.extend(left_alone(&deletion.owner, remaining_role));
        // The last role is the event's own. If its deletion fails half-way, a retry finds the policy by the same names.
        // After a clean-up there is no retry, so that only a policy with the role's name can be found.
        let is_own = i + 1 == remaining_roles.len();
        let name = PolicyName::from(&remaining_role.name);
        let is_named_like_role = |policy: &RemainingPolicy| {
            let arn = &policy.policy.arn;
            arn.name() == name.as_str() && candidates.iter().any(|candidates| candidates.is_same(arn))
        };
        let order = if is_own && remaining_role.policies.iter().all(is_named_like_role) {
            Order::AtOnce
        } else {
            Order::RoleLast
        };
        if let Some(role) = &remaining_role.role {
            let at_physical_id = role_to_delete.filter(|role_to_delete| is_own && role_to_delete.arn.is_some());
            let sign = at_physical_id.and_then(|role_to_delete| role_to_delete.evidence.sign_of(role, &deletion.owner));
            let by_policy = || sign_by_policy(&deletion.owner, role, remaining_role);
            if let Some(sign) = sign.or_else(|| by_policy().filter(|_| at_physical_id.is_some() || !is_own)) {
                return Err(Refusal::role_lost_tags(&role.arn.name, sign, &deletion.owner));
            }
        }
        for stage in removal(&deletion.owner, remaining_role, order)? {
            plan.then(stage);
        }
    }
    Ok(plan)
}

/// Recognizes a role without owner tags by the policy of this stack that is attached to it.
pub(super) fn sign_by_policy(owner: &Owner, role: &Role, remaining_role: &RemainingRole) -> Option<Sign> {
    let is_it = |entity: &PolicyEntity| matches!(entity, PolicyEntity::Role(name) if remaining_role.name.as_str().eq_ignore_ascii_case(name));
    let is_on_it = remaining_role.policies.iter().any(|policy| policy.entities.iter().any(is_it));
    (is_on_it && has_no_other_owner(&role.tags, owner)).then_some(Sign::Policy)
}

/// Returns the note about a foreign role.
fn left_alone(owner: &Owner, remaining_role: &RemainingRole) -> Option<String> {
    let foreign = remaining_role.role.as_ref().filter(|role| !owner.owns(&role.tags))?;
    Some(format!("role {} is not this stack's and was left alone", foreign.arn.name))
}

/// Order in which a role and its detached policies are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Concurrently: the policies have the role's name.
    AtOnce,
    /// Role last: only its tags name the policies.
    RoleLast,
}

/// Returns the stages that delete one role of this stack and its policies, or the obstacle to all of them.
pub(super) fn removal(
    owner: &Owner,
    remaining_role: &RemainingRole,
    order: Order,
) -> Result<Vec<Vec<Change>>, Refusal> {
    let ours = remaining_role.role.as_ref().filter(|role| owner.owns(&role.tags));
    if let (Some(role), Some(profile)) = (ours, remaining_role.profiles.first()) {
        return Err(Refusal::in_instance_profile(&role.arn.name, profile));
    }
    if let (Some(role), Some(policy)) = (ours, remaining_role.without_owner.first()) {
        return Err(Refusal::policy_lost_tags(policy, &role.arn.name, owner));
    }
    for policy in &remaining_role.policies {
        if let Some(entity) = policy.bounded.first() {
            return Err(Refusal::used_as_boundary(&policy.policy.arn, entity));
        }
    }

    let mut empty = Vec::new();
    if let Some(role) = ours {
        let name = &role.arn.name;
        let detach = |arn: &_| Change::Detach { from: PolicyEntity::Role(name.to_string()), arn: Clone::clone(arn) };
        empty.extend(remaining_role.attached.iter().map(detach));
        empty.extend(
            remaining_role
                .inline
                .iter()
                .map(|inline| Change::DeleteInlinePolicy { role: name.clone(), name: inline.clone() }),
        );
    }
    for policy in &remaining_role.policies {
        let arn = &policy.policy.arn;
        for from in &policy.entities {
            let detach = Change::Detach { from: from.clone(), arn: arn.clone() };
            if !empty.contains(&detach) {
                empty.push(detach);
            }
        }
        let old = policy.versions.iter().filter(|version| !version.is_default);
        empty.extend(old.map(|version| Change::DeletePolicyVersion { arn: arn.clone(), version: version.id.clone() }));
    }
    let policies = remaining_role.policies.iter().map(|policy| Change::DeletePolicy { arn: policy.policy.arn.clone() });
    let role = ours.map(|role| Change::DeleteRole { role: role.arn.name.clone() });
    let stages = match order {
        Order::AtOnce => vec![empty, policies.chain(role).collect()],
        Order::RoleLast => vec![empty, policies.collect(), role.into_iter().collect()],
    };
    Ok(stages.into_iter().filter(|stage| !stage.is_empty()).collect())
}
