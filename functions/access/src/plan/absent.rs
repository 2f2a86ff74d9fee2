//! Steps that remove a role of ours and its policy, whatever somebody added to them since. The role goes last: it is
//! the anchor for a retry. What is not ours is left alone.

use crate::observe::Remnant;
use crate::owner::Owner;
use crate::plan::Plan;
use crate::port::{Carrier, Change};
use crate::refusal::Refusal;
use crate::wanted::Absent;

pub(super) fn plan(absent: &Absent, remnants: &[Remnant]) -> Result<Plan, Refusal> {
    let mut plan = Plan::default();
    for remnant in remnants {
        remove(&mut plan, &absent.owner, remnant)?;
    }
    let target = absent.target.as_ref().zip(remnants.last());
    if let Some((target, role)) = target.and_then(|(target, remnant)| Some((target, remnant.role.as_ref()?)))
        && !absent.owner.owns(&role.tags)
        && target.arn.as_ref().is_some_and(|arn| arn.is_same(&role.arn))
        && role.boundary.as_ref().is_some_and(|boundary| absent.owner.stack.names_boundary(boundary.name()))
    {
        return Err(Refusal::lost_tags(&role.arn.name, &absent.owner));
    }
    Ok(plan)
}

/// Adds the steps that remove what is ours of one role and its policies.
pub(super) fn remove(plan: &mut Plan, owner: &Owner, remnant: &Remnant) -> Result<(), Refusal> {
    let ours = remnant.role.as_ref().filter(|role| owner.owns(&role.tags));
    if let (Some(role), None) = (&remnant.role, ours) {
        plan.notes.push(format!("role {} is not this stack's and was left alone", role.arn.name));
    }
    if let (Some(role), Some(profile)) = (ours, remnant.profiles.first()) {
        return Err(Refusal::in_instance_profile(&role.arn.name, profile));
    }
    for policy in &remnant.policies {
        if let Some(carrier) = policy.capped.first() {
            return Err(Refusal::used_as_boundary(&policy.policy.arn, carrier));
        }
    }

    let mut empty = Vec::new();
    if let Some(role) = ours {
        let name = &role.arn.name;
        let detach = |arn: &_| Change::Detach { from: Carrier::Role(name.to_string()), arn: Clone::clone(arn) };
        empty.extend(remnant.attached.iter().map(detach));
        empty.extend(
            remnant.inline.iter().map(|inline| Change::DeleteInlinePolicy { role: name.clone(), name: inline.clone() }),
        );
    }
    for policy in &remnant.policies {
        let arn = &policy.policy.arn;
        for from in &policy.carriers {
            let detach = Change::Detach { from: from.clone(), arn: arn.clone() };
            if !empty.contains(&detach) {
                empty.push(detach);
            }
        }
        let old = policy.versions.iter().filter(|version| !version.is_default);
        empty.extend(old.map(|version| Change::DeletePolicyVersion { arn: arn.clone(), version: version.id.clone() }));
    }
    plan.then(empty);
    plan.then(remnant.policies.iter().map(|policy| Change::DeletePolicy { arn: policy.policy.arn.clone() }).collect());
    plan.then(ours.map(|role| Change::DeleteRole { role: role.arn.name.clone() }).into_iter().collect());
    Ok(())
}
