//! Plan that creates or updates a role and its policy: (desired, observed) → stages of changes.
//!
//! # Flow
//!
//! A plan has these stages, without those that have nothing to do:
//!
//! 1. the permissions boundary, under which alone IAM allows the other changes;
//! 2. role and policy, concurrently: created if absent, changed in place if they differ;
//! 3. the attachment of the policy to the role;
//! 4. the lineage tag, which says that this role is in use from now on;
//! 5. clean-up: the deletion of older roles, and then the lineage tag without them.
//!
//! # Guarantees
//!
//! - A role or policy without this stack's owner tags is never changed: the plan is a refusal that names the owner.
//! - The policy changes by a new default version, so that the role is never without permissions.
//! - A name or boundary that a rollback could not restore is refused.
//! - The plan for a state that an earlier plan led to is empty.
//!
//! # Assumptions
//!
//! - IAM takes `Foo` and `foo` for the same name, and the path is not part of the name.
//! - The provider role may set the owner tags, but not remove them.
//!
//! # Errors
//!
//! A [`Refusal`] that names the role, policy or property, and the remedy. An obstacle to the clean-up is a note
//! instead.

use crate::desired::Desired;
use crate::document::same_meaning;
use crate::limits;
use crate::lineage::{Lineage, ReplacedRole};
use crate::names::{PolicyArn, PolicyName, RoleArn, RoleName};
use crate::observed::ObservedState;
use crate::owner::{self, TagKeys, Tags};
use crate::plan::{Plan, delete};
use crate::platform::policy_description;
use crate::port::{Change, NewPolicy, NewRole, Policy, Role};
use crate::recognition::{Evidence, is_policy_without_owner};
use crate::refusal::{Refusal, ResourceKind};
use crate::requested_tags;

pub(super) fn plan(desired: &Desired, observed: &ObservedState) -> Result<Plan, Refusal> {
    check_names(desired, observed)?;
    check_boundary(desired, observed)?;
    let mut role_steps = Vec::new();
    let mut plan = Plan::default();
    let blueprint = &desired.blueprint;

    match &observed.role {
        None => {
            check_principal(desired, None)?;
            role_steps.push(create_role(desired, observed));
        }
        Some(role) => {
            if let Some(boundary) =
                blueprint.request.permissions_boundary.clone().filter(|b| role.boundary.as_ref() != Some(b))
            {
                plan.then(vec![Change::PutBoundary { role: role.arn.name.clone(), boundary }]);
            }
            role_steps.extend(change_role(desired, role)?);
        }
    }
    let policy_steps = match &observed.policy {
        None => vec![Change::CreatePolicy(Box::new(NewPolicy {
            arn: blueprint.policy.clone(),
            path: blueprint.role.path.clone(),
            document: blueprint.permissions.to_json(),
            description: policy_description(&blueprint.request.platform),
            tags: blueprint.policy_tags(),
        }))],
        Some(policy) => change_policy(desired, observed, policy),
    };
    add_concurrently(&mut plan, role_steps, policy_steps);

    if !observed.attached.iter().any(|arn| arn.is_same(&blueprint.policy)) {
        plan.then(vec![Change::Attach { role: blueprint.role.name.clone(), arn: blueprint.policy.clone() }]);
    }
    plan.then(observed.role.iter().filter_map(|role| tag_lineage(desired, observed, role)).collect());
    clean_up(&mut plan, desired, observed);
    Ok(plan)
}

/// Adds the deletion of older roles, and then of their names in the lineage tag. An obstacle becomes a note: the update
/// goes on, and the lineage keeps the name for the next event.
fn clean_up(plan: &mut Plan, desired: &Desired, observed: &ObservedState) {
    let mut is_whole = true;
    for remaining_role in &observed.remaining_roles {
        let mut remaining_role = remaining_role.clone();
        // A policy that kept its name serves the desired role again, whatever its tag still says.
        remaining_role.policies.retain(|policy| !policy.policy.arn.is_same(&desired.blueprint.policy));
        let owner = &desired.blueprint.owner;
        let without_tags = remaining_role.role.as_ref().and_then(|role| {
            let sign = delete::sign_by_policy(owner, role, &remaining_role)?;
            Some(Refusal::role_lost_tags(&role.arn.name, sign, owner))
        });
        match without_tags.map_or_else(|| delete::removal(owner, &remaining_role, delete::Order::RoleLast), Err) {
            Ok(stages) => plan.clean_up.extend(stages),
            Err(obstacle) => {
                is_whole = false;
                plan.notes.push(format!("the older role {} is still there: {obstacle}", remaining_role.name));
                break;
            }
        }
    }
    if is_whole && desired.replaced_role.is_none() {
        let own = observed.role.as_ref().map(|role| Lineage::of(&role.tags)).unwrap_or_default();
        let lineage = new_lineage(desired, observed, &own).unwrap_or(own);
        if !lineage.replaced.is_empty() {
            plan.clean_up.push(vec![set_lineage(
                desired,
                &desired.blueprint.role.name,
                &lineage.without_replaced_roles(),
            )]);
        }
    }
}

/// Refuses a foreign role or policy, and changes of names that a rollback could not restore.
fn check_names(desired: &Desired, observed: &ObservedState) -> Result<(), Refusal> {
    check_role_name(desired, observed)?;
    check_policy_name(desired, observed)?;
    match &desired.replaced_role {
        Some(from) => check_replaced_names(desired, observed, from),
        None => Ok(()),
    }
}

fn renamed_by_case(kind: ResourceKind, old: &str, new: &str) -> Refusal {
    Refusal::LetterCase { kind, old: old.to_owned(), new: new.to_owned() }
}

fn moved(kind: ResourceKind, name: &str) -> Refusal {
    Refusal::PathChanged { kind, name: name.to_owned() }
}

fn check_role_name(desired: &Desired, observed: &ObservedState) -> Result<(), Refusal> {
    let blueprint = &desired.blueprint;
    let (desired_role, request) = (&blueprint.role, &blueprint.request);
    let Some(role) = &observed.role else { return Ok(()) };
    // A role that is older than its stack may have been created by the manual, with the same external ID.
    let is_known = |evidence: &Evidence| desired.is_in_place() || evidence.has_stacks_boundary(&blueprint.owner);
    let mut evidence = [Evidence::from(request), Evidence::from(&desired.old_properties)].into_iter().filter(is_known);
    if let Some(sign) = evidence.find_map(|evidence| evidence.sign_of(role, &blueprint.owner)) {
        return Err(Refusal::role_lost_tags(&role.arn.name, sign, &blueprint.owner));
    }
    if !blueprint.owner.owns(&role.tags) {
        return Err(Refusal::taken(ResourceKind::Role, role.arn.name.as_str(), &role.tags, &blueprint.owner));
    }
    if role.arn.name != desired_role.name {
        return Err(renamed_by_case(ResourceKind::Role, role.arn.name.as_str(), desired_role.name.as_str()));
    }
    if role.arn.path != desired_role.path {
        return Err(moved(ResourceKind::Role, desired_role.name.as_str()));
    }
    match owner::tagged_policy(&role.tags).filter(|old| *old != request.policy_name) {
        Some(old) => Err(Refusal::PolicyRenamedAlone { old: old.to_string(), new: request.policy_name.to_string() }),
        None => Ok(()),
    }
}

fn check_policy_name(desired: &Desired, observed: &ObservedState) -> Result<(), Refusal> {
    let blueprint = &desired.blueprint;
    let desired_role = &blueprint.request.policy_name;
    // Somebody deleted the role, and its tags, which name the policy, with it.
    let old_properties = desired
        .old_properties
        .policy_name
        .as_ref()
        .filter(|_| desired.replaced_role.is_none() && observed.role.is_none());
    if let Some(old) = old_properties.filter(|old| observed.policy.is_none() && !old.is_same(desired_role)) {
        return Err(Refusal::PolicyRenamedAlone { old: old.to_string(), new: desired_role.to_string() });
    }
    let Some(policy) = &observed.policy else { return Ok(()) };
    if is_policy_without_owner(policy, &observed.attached, &blueprint.owner) {
        return Err(Refusal::policy_lost_tags(&policy.arn, &blueprint.role.name, &blueprint.owner));
    }
    if !blueprint.owner.owns(&policy.tags) {
        return Err(Refusal::taken(ResourceKind::Policy, policy.arn.name(), &policy.tags, &blueprint.owner));
    }
    if policy.arn != blueprint.policy {
        return Err(renamed_by_case(ResourceKind::Policy, policy.arn.name(), blueprint.policy.name()));
    }
    Ok(())
}

/// Refuses names that IAM takes for those of the replaced role.
fn check_replaced_names(desired: &Desired, observed: &ObservedState, from: &RoleArn) -> Result<(), Refusal> {
    let (desired_role, policy) = (&desired.blueprint.role, &desired.blueprint.request.policy_name);
    if from.name.is_same(&desired_role.name) {
        return Err(if from.path == desired_role.path {
            renamed_by_case(ResourceKind::Role, from.name.as_str(), desired_role.name.as_str())
        } else {
            moved(ResourceKind::Role, desired_role.name.as_str())
        });
    }
    let old_policy = observed.replaced_role.as_ref().and_then(|role| owner::tagged_policy(&role.tags));
    if let Some(old) = old_policy.filter(|old| old.is_same(policy)) {
        if old != *policy {
            return Err(renamed_by_case(ResourceKind::Policy, old.as_str(), policy.as_str()));
        }
        if from.path != desired_role.path {
            return Err(moved(ResourceKind::Policy, old.as_str()));
        }
    }
    Ok(())
}

/// Refuses another boundary for the same role: the provider role may change roles only under its own boundary, so that
/// a rollback could not set the old one. A boundary that somebody removed is set again.
fn check_boundary(desired: &Desired, observed: &ObservedState) -> Result<(), Refusal> {
    let asked = &desired.blueprint.request.permissions_boundary;
    match observed.role.as_ref() {
        Some(role) if role.boundary != *asked && desired.old_properties.permissions_boundary != *asked => {
            let named = |boundary: &Option<PolicyArn>| boundary.as_ref().map_or("none", PolicyArn::as_str).to_owned();
            Err(Refusal::BoundaryChangedAlone { old: named(&role.boundary), new: named(asked) })
        }
        _ => Ok(()),
    }
}

/// Refuses a principal that the template does not pin. Called only where a trust policy is about to be written.
fn check_principal(desired: &Desired, role: Option<&Role>) -> Result<(), Refusal> {
    let asked = &desired.blueprint.request.trusted_principal;
    let old_properties =
        desired.old_properties.trusted_principal.as_ref().filter(|old_properties| *old_properties != asked);
    if let (Some(old), Some(role)) = (old_properties, role)
        && role.trust.to_string().contains(&format!("\"{old}\""))
    {
        return Err(Refusal::PrincipalChangedAlone { old: old.to_string(), new: asked.to_string() });
    }
    if *asked == desired.pinned_principal {
        Ok(())
    } else {
        Err(Refusal::PrincipalNotPinned { asked: asked.to_string(), pinned: desired.pinned_principal.to_string() })
    }
}

fn create_role(desired: &Desired, observed: &ObservedState) -> Change {
    let blueprint = &desired.blueprint;
    let mut tags = blueprint.role_tags();
    if let Some(lineage) = new_lineage(desired, observed, &Lineage::default()) {
        tags.insert(owner::REPLACES.to_owned(), lineage.tag());
    }
    Change::CreateRole(Box::new(NewRole {
        arn: blueprint.role.clone(),
        trust: blueprint.trust.to_json(),
        description: blueprint.request.description.clone().unwrap_or_default(),
        max_session_duration: blueprint.request.max_session_duration,
        boundary: blueprint.request.permissions_boundary.clone(),
        tags,
    }))
}

fn change_role(desired: &Desired, role: &Role) -> Result<Vec<Change>, Refusal> {
    let (blueprint, request) = (&desired.blueprint, &desired.blueprint.request);
    let name = &role.arn.name;
    let mut steps = Vec::new();
    if !same_meaning(&role.trust, &blueprint.trust.to_value()) {
        check_principal(desired, Some(role))?;
        steps.push(Change::UpdateTrust { role: name.clone(), trust: blueprint.trust.to_json() });
    }
    let description = request.description.clone().unwrap_or_default();
    if role.description != description || role.max_session_duration != request.max_session_duration {
        let max_session_duration = request.max_session_duration;
        steps.push(Change::UpdateRole { role: name.clone(), description, max_session_duration });
    }
    let (unset, set) = tag_changes(desired, TagKeys::OfRole, &role.tags, blueprint.role_tags());
    steps.extend(unset.map(|keys| Change::UntagRole { role: name.clone(), keys }));
    steps.extend(set.map(|tags| Change::TagRole { role: name.clone(), tags }));
    Ok(steps)
}

fn change_policy(desired: &Desired, observed: &ObservedState, policy: &Policy) -> Vec<Change> {
    let blueprint = &desired.blueprint;
    let arn = &policy.arn;
    let mut steps = Vec::new();
    if !observed.document.as_ref().is_some_and(|document| same_meaning(document, &blueprint.permissions.to_value())) {
        // One call creates the version and makes it the default: there is no moment without permissions.
        let oldest = observed.versions.iter().find(|version| !version.is_default);
        if let Some(oldest) = oldest.filter(|_| observed.versions.len() >= limits::POLICY_VERSIONS) {
            steps.push(Change::DeletePolicyVersion { arn: arn.clone(), version: oldest.id.clone() });
        }
        steps.push(Change::CreatePolicyVersion { arn: arn.clone(), document: blueprint.permissions.to_json() });
    }
    let (unset, set) = tag_changes(desired, TagKeys::OfPolicy, &policy.tags, blueprint.policy_tags());
    steps.extend(unset.map(|keys| Change::UntagPolicy { arn: arn.clone(), keys }));
    steps.extend(set.map(|tags| Change::TagPolicy { arn: arn.clone(), tags }));
    steps
}

/// Returns the keys to remove and the tags to set. Only tags that this stack requested earlier are removed: others may
/// tag too.
///
/// Every call sets the owner tags too, because the provider role's condition reads them.
fn tag_changes(
    desired: &Desired,
    of: TagKeys,
    there: &Tags,
    desired_role: Tags,
) -> (Option<Vec<String>>, Option<Tags>) {
    let (is_there, is_wanted) = (of.normal_tags(there), of.normal_tags(&desired_role));
    let before: Vec<String> = desired.old_tag_keys().iter().map(|key| of.normal(key)).collect();
    let was_asked = |key: &String| before.contains(&of.normal(key)) || requested_tags::is_requested(of, there, key);
    let is_unset = |key: &&String| was_asked(key) && !is_wanted.contains_key(&of.normal(key));
    let unset: Vec<String> = there.keys().filter(is_unset).cloned().collect();

    let mut desired_role = desired_role;
    if there.contains_key(requested_tags::REQUESTED) {
        // The provider role may change this tag, but not remove it.
        desired_role.entry(requested_tags::REQUESTED.to_owned()).or_default();
    }
    let is_set = |(key, value): &(String, String)| is_there.get(&of.normal(key)) != Some(value);
    let mut set: Tags = desired_role.into_iter().filter(is_set).collect();
    if !set.is_empty() {
        set.extend(desired.blueprint.owner.tags());
    }
    (Some(unset).filter(|unset| !unset.is_empty()), Some(set).filter(|set| !set.is_empty()))
}

/// Returns the role that this update replaces, and its lineage. The role may be deleted, or never have been created;
/// CloudFormation will delete it all the same.
fn replaced(desired: &Desired, observed: &ObservedState) -> Option<(ReplacedRole, Lineage)> {
    let (path, role) = desired.replaced_role.as_ref().map(|from| (from.path.clone(), from.name.clone()))?;
    let ours = observed.replaced_role.as_ref().filter(|role| desired.blueprint.owner.owns(&role.tags));
    let tagged = ours.and_then(|role| owner::tagged_policy(&role.tags));
    let old_properties = desired
        .old_properties
        .replaced()
        .filter(|old_properties| old_properties.role.is_same(&role))
        .map(|old_properties| old_properties.policy);
    let policy = tagged.or(old_properties).unwrap_or_else(|| PolicyName::from(&role));
    Some((ReplacedRole { path, role, policy }, ours.map(|role| Lineage::of(&role.tags)).unwrap_or_default()))
}

/// Tags an existing role as the one in use, with the replaced role in case its deletion fails.
///
/// This is the last change that has to succeed: until then a Delete of the other role may delete this one too.
fn tag_lineage(desired: &Desired, observed: &ObservedState, role: &Role) -> Option<Change> {
    let own = Lineage::of(&role.tags);
    let lineage = new_lineage(desired, observed, &own).filter(|lineage| *lineage != own)?;
    Some(set_lineage(desired, &role.arn.name, &lineage))
}

/// Returns the lineage that a role should have: with the role that it replaces now, or with the one of the old
/// properties if CloudFormation will not delete that. `None` if neither exists.
fn new_lineage(desired: &Desired, observed: &ObservedState, lineage: &Lineage) -> Option<Lineage> {
    if let Some((from, its_lineage)) = replaced(desired, observed) {
        return Some(lineage.after_replacing(from, &its_lineage));
    }
    let old_properties = desired.old_properties.replaced()?;
    let owner = &desired.blueprint.owner;
    let left = observed
        .remaining_roles
        .iter()
        .find(|left| left.name.is_same(&old_properties.role) && !left.is_deleted(owner))?;
    let its_tags = left.role.as_ref().map(|role| &role.tags);
    Some(lineage.after_replacing(old_properties, &its_tags.map(Lineage::of).unwrap_or_default()))
}

fn set_lineage(desired: &Desired, role: &RoleName, lineage: &Lineage) -> Change {
    let mut tags = desired.blueprint.owner.tags();
    tags.insert(owner::REPLACES.to_owned(), lineage.tag());
    Change::TagRole { role: role.clone(), tags }
}

/// Adds the steps on role and policy: concurrently with each other, and each in its order.
fn add_concurrently(plan: &mut Plan, role: Vec<Change>, policy: Vec<Change>) {
    let (mut role, mut policy) = (role.into_iter(), policy.into_iter());
    loop {
        let stage: Vec<_> = role.next().into_iter().chain(policy.next()).collect();
        if stage.is_empty() {
            return;
        }
        plan.then(stage);
    }
}
