//! Steps that make a request true: create what is missing, change in place what differs, never adopt what is foreign.
//!
//! Order within a plan: the boundary first (the rest is allowed only under it), then role and policy side by side, then
//! the attachment, then the note of which role is in use, then what is left of older roles, and last that they are gone.

use crate::asked_tags;
use crate::document::same_meaning;
use crate::limits;
use crate::lineage::{Lineage, Replaced};
use crate::names::{PolicyArn, PolicyName, RoleArn, RoleName};
use crate::observed::ObservedState;
use crate::owner::{self, TagKeys, Tags};
use crate::plan::{Plan, absent};
use crate::platform::policy_description;
use crate::port::{Change, NewPolicy, NewRole, Policy, Role};
use crate::recognition::{Evidence, is_policy_without_owner};
use crate::refusal::{Kind, Refusal};
use crate::wanted::Present;

pub(super) fn plan(present: &Present, observed: &ObservedState) -> Result<Plan, Refusal> {
    check_names(present, observed)?;
    check_boundary(present, observed)?;
    let mut role_steps = Vec::new();
    let mut plan = Plan::default();
    let blueprint = &present.blueprint;

    match &observed.role {
        None => {
            check_principal(present, None)?;
            role_steps.push(create_role(present, observed));
        }
        Some(role) => {
            if let Some(boundary) =
                blueprint.request.permissions_boundary.clone().filter(|b| role.boundary.as_ref() != Some(b))
            {
                plan.then(vec![Change::PutBoundary { role: role.arn.name.clone(), boundary }]);
            }
            role_steps.extend(change_role(present, role)?);
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
        Some(policy) => change_policy(present, observed, policy),
    };
    side_by_side(&mut plan, role_steps, policy_steps);

    if !observed.attached.iter().any(|arn| arn.is_same(&blueprint.policy)) {
        plan.then(vec![Change::Attach { role: blueprint.role.name.clone(), arn: blueprint.policy.clone() }]);
    }
    plan.then(observed.role.iter().filter_map(|role| note_replaced(present, observed, role)).collect());
    clean_up(&mut plan, present, observed);
    Ok(plan)
}

/// Adds the removal of older roles for which no Delete will come, and of the note that they are there once they are gone.
/// An obstacle is noted and does not stop the update; whoever remembers the leftover stays with it.
fn clean_up(plan: &mut Plan, present: &Present, observed: &ObservedState) {
    let mut is_whole = true;
    for leftover in &observed.leftovers {
        let mut leftover = leftover.clone();
        // A policy that kept its name serves the wanted role again, whatever its tag still says.
        leftover.policies.retain(|held| !held.policy.arn.is_same(&present.blueprint.policy));
        let owner = &present.blueprint.owner;
        let without_tags = leftover.role.as_ref().and_then(|role| {
            let sign = absent::sign_by_policy(owner, role, &leftover)?;
            Some(Refusal::role_lost_tags(&role.arn.name, sign, owner))
        });
        match without_tags.map_or_else(|| absent::removal(owner, &leftover, absent::Order::RoleLast), Err) {
            Ok(stages) => plan.clean_up.extend(stages),
            Err(obstacle) => {
                is_whole = false;
                plan.notes.push(format!("the older role {} is still there: {obstacle}", leftover.name));
                break;
            }
        }
    }
    if is_whole && present.from.is_none() {
        let own = observed.role.as_ref().map(|role| Lineage::of(&role.tags)).unwrap_or_default();
        let lineage = noted(present, observed, &own).unwrap_or(own);
        if !lineage.replaced.is_empty() {
            plan.clean_up.push(vec![set_lineage(present, &present.blueprint.role.name, &lineage.cleared())]);
        }
    }
}

/// Refuses what is foreign, and changes of names that could not be taken back.
fn check_names(present: &Present, observed: &ObservedState) -> Result<(), Refusal> {
    check_role_name(present, observed)?;
    check_policy_name(present, observed)?;
    match &present.from {
        Some(from) => check_replaced_names(present, observed, from),
        None => Ok(()),
    }
}

fn renamed_by_case(kind: Kind, old: &str, new: &str) -> Refusal {
    Refusal::LetterCase { kind, old: old.to_owned(), new: new.to_owned() }
}

fn moved(kind: Kind, name: &str) -> Refusal {
    Refusal::PathChanged { kind, name: name.to_owned() }
}

fn check_role_name(present: &Present, observed: &ObservedState) -> Result<(), Refusal> {
    let blueprint = &present.blueprint;
    let (wanted, request) = (&blueprint.role, &blueprint.request);
    let Some(role) = &observed.role else { return Ok(()) };
    // A role that was there before its stack may have been made by the manual, with the same external ID.
    let is_known = |evidence: &Evidence| present.is_in_place() || evidence.has_stacks_boundary(&blueprint.owner);
    let mut evidence = [Evidence::from(request), Evidence::from(&present.former)].into_iter().filter(is_known);
    if let Some(sign) = evidence.find_map(|evidence| evidence.sign_of(role, &blueprint.owner)) {
        return Err(Refusal::role_lost_tags(&role.arn.name, sign, &blueprint.owner));
    }
    if !blueprint.owner.owns(&role.tags) {
        return Err(Refusal::taken(Kind::Role, role.arn.name.as_str(), &role.tags, &blueprint.owner));
    }
    if role.arn.name != wanted.name {
        return Err(renamed_by_case(Kind::Role, role.arn.name.as_str(), wanted.name.as_str()));
    }
    if role.arn.path != wanted.path {
        return Err(moved(Kind::Role, wanted.name.as_str()));
    }
    match owner::tagged_policy(&role.tags).filter(|old| *old != request.policy_name) {
        Some(old) => Err(Refusal::PolicyRenamedAlone { old: old.to_string(), new: request.policy_name.to_string() }),
        None => Ok(()),
    }
}

fn check_policy_name(present: &Present, observed: &ObservedState) -> Result<(), Refusal> {
    let blueprint = &present.blueprint;
    let wanted = &blueprint.request.policy_name;
    // Somebody removed the role, and with it what tells of its policy.
    let former = present.former.policy_name.as_ref().filter(|_| present.from.is_none() && observed.role.is_none());
    if let Some(old) = former.filter(|old| observed.policy.is_none() && !old.is_same(wanted)) {
        return Err(Refusal::PolicyRenamedAlone { old: old.to_string(), new: wanted.to_string() });
    }
    let Some(policy) = &observed.policy else { return Ok(()) };
    if is_policy_without_owner(policy, &observed.attached, &blueprint.owner) {
        return Err(Refusal::policy_lost_tags(&policy.arn, &blueprint.role.name, &blueprint.owner));
    }
    if !blueprint.owner.owns(&policy.tags) {
        return Err(Refusal::taken(Kind::Policy, policy.arn.name(), &policy.tags, &blueprint.owner));
    }
    if policy.arn != blueprint.policy {
        return Err(renamed_by_case(Kind::Policy, policy.arn.name(), blueprint.policy.name()));
    }
    Ok(())
}

/// The names beside those of the role that is replaced: IAM has to take both for different ones.
fn check_replaced_names(present: &Present, observed: &ObservedState, from: &RoleArn) -> Result<(), Refusal> {
    let (wanted, policy) = (&present.blueprint.role, &present.blueprint.request.policy_name);
    if from.name.is_same(&wanted.name) {
        return Err(if from.path == wanted.path {
            renamed_by_case(Kind::Role, from.name.as_str(), wanted.name.as_str())
        } else {
            moved(Kind::Role, wanted.name.as_str())
        });
    }
    let old_policy = observed.from.as_ref().and_then(|role| owner::tagged_policy(&role.tags));
    if let Some(old) = old_policy.filter(|old| old.is_same(policy)) {
        if old != *policy {
            return Err(renamed_by_case(Kind::Policy, old.as_str(), policy.as_str()));
        }
        if from.path != wanted.path {
            return Err(moved(Kind::Policy, old.as_str()));
        }
    }
    Ok(())
}

/// A boundary that was set stays as long as the role does: the provider role of the moment allows changes only under one
/// boundary, so that a rollback could not set the other one again. One that somebody took off is set again.
fn check_boundary(present: &Present, observed: &ObservedState) -> Result<(), Refusal> {
    let asked = &present.blueprint.request.permissions_boundary;
    match observed.role.as_ref() {
        Some(role) if role.boundary != *asked && present.former.permissions_boundary != *asked => {
            let named = |boundary: &Option<PolicyArn>| boundary.as_ref().map_or("none", PolicyArn::as_str).to_owned();
            Err(Refusal::BoundaryChangedAlone { old: named(&role.boundary), new: named(asked) })
        }
        _ => Ok(()),
    }
}

/// Called wherever a trust document is about to be written, and nowhere else: what has nothing to write passes.
fn check_principal(present: &Present, role: Option<&Role>) -> Result<(), Refusal> {
    let asked = &present.blueprint.request.trusted_principal;
    let former = present.former.trusted_principal.as_ref().filter(|former| *former != asked);
    if let (Some(old), Some(role)) = (former, role)
        && role.trust.to_string().contains(&format!("\"{old}\""))
    {
        return Err(Refusal::PrincipalChangedAlone { old: old.to_string(), new: asked.to_string() });
    }
    if *asked == present.pinned_principal {
        Ok(())
    } else {
        Err(Refusal::PrincipalNotPinned { asked: asked.to_string(), pinned: present.pinned_principal.to_string() })
    }
}

fn create_role(present: &Present, observed: &ObservedState) -> Change {
    let blueprint = &present.blueprint;
    let mut tags = blueprint.role_tags();
    if let Some(lineage) = noted(present, observed, &Lineage::default()) {
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

fn change_role(present: &Present, role: &Role) -> Result<Vec<Change>, Refusal> {
    let (blueprint, request) = (&present.blueprint, &present.blueprint.request);
    let name = &role.arn.name;
    let mut steps = Vec::new();
    if !same_meaning(&role.trust, &blueprint.trust.to_value()) {
        check_principal(present, Some(role))?;
        steps.push(Change::UpdateTrust { role: name.clone(), trust: blueprint.trust.to_json() });
    }
    let description = request.description.clone().unwrap_or_default();
    if role.description != description || role.max_session_duration != request.max_session_duration {
        let max_session_duration = request.max_session_duration;
        steps.push(Change::UpdateRole { role: name.clone(), description, max_session_duration });
    }
    let (unset, set) = tag_changes(present, TagKeys::OfRole, &role.tags, blueprint.role_tags());
    steps.extend(unset.map(|keys| Change::UntagRole { role: name.clone(), keys }));
    steps.extend(set.map(|tags| Change::TagRole { role: name.clone(), tags }));
    Ok(steps)
}

fn change_policy(present: &Present, observed: &ObservedState, policy: &Policy) -> Vec<Change> {
    let blueprint = &present.blueprint;
    let arn = &policy.arn;
    let mut steps = Vec::new();
    if !observed.document.as_ref().is_some_and(|document| same_meaning(document, &blueprint.permissions.to_value())) {
        // One call makes the new version and puts it in force: there is no moment without permissions.
        let oldest = observed.versions.iter().find(|version| !version.is_default);
        if let Some(oldest) = oldest.filter(|_| observed.versions.len() >= limits::POLICY_VERSIONS) {
            steps.push(Change::DeletePolicyVersion { arn: arn.clone(), version: oldest.id.clone() });
        }
        steps.push(Change::CreatePolicyVersion { arn: arn.clone(), document: blueprint.permissions.to_json() });
    }
    let (unset, set) = tag_changes(present, TagKeys::OfPolicy, &policy.tags, blueprint.policy_tags());
    steps.extend(unset.map(|keys| Change::UntagPolicy { arn: arn.clone(), keys }));
    steps.extend(set.map(|tags| Change::TagPolicy { arn: arn.clone(), tags }));
    steps
}

/// Keys to remove and tags to set. Only what was asked for before, or in an earlier life, is removed: others may tag too.
///
/// Our stack's tag goes with every call, since that is what the provider role's condition looks at.
fn tag_changes(present: &Present, of: TagKeys, there: &Tags, wanted: Tags) -> (Option<Vec<String>>, Option<Tags>) {
    let (is_there, is_wanted) = (of.normal_tags(there), of.normal_tags(&wanted));
    let before: Vec<String> = present.asked_tag_keys().iter().map(|key| of.normal(key)).collect();
    let was_asked = |key: &String| before.contains(&of.normal(key)) || asked_tags::has_asked(of, there, key);
    let is_unset = |key: &&String| was_asked(key) && !is_wanted.contains_key(&of.normal(key));
    let unset: Vec<String> = there.keys().filter(is_unset).cloned().collect();

    let mut wanted = wanted;
    if there.contains_key(asked_tags::ASKED) {
        // It may be changed and never be taken off.
        wanted.entry(asked_tags::ASKED.to_owned()).or_default();
    }
    let is_set = |(key, value): &(String, String)| is_there.get(&of.normal(key)) != Some(value);
    let mut set: Tags = wanted.into_iter().filter(is_set).collect();
    if !set.is_empty() {
        set.extend(present.blueprint.owner.tags());
    }
    (Some(unset).filter(|unset| !unset.is_empty()), Some(set).filter(|set| !set.is_empty()))
}

/// The role that ours replaces, and what it says of those before it. It may be gone, or never have been made; its Delete
/// will come all the same.
fn replaced(present: &Present, observed: &ObservedState) -> Option<(Replaced, Lineage)> {
    let (path, role) = present.from.as_ref().map(|from| (from.path.clone(), from.name.clone()))?;
    let ours = observed.from.as_ref().filter(|role| present.blueprint.owner.owns(&role.tags));
    let tagged = ours.and_then(|role| owner::tagged_policy(&role.tags));
    let former = present.former.replaced().filter(|former| former.role.is_same(&role)).map(|former| former.policy);
    let policy = tagged.or(former).unwrap_or_else(|| PolicyName::from(&role));
    Some((Replaced { path, role, policy }, ours.map(|role| Lineage::of(&role.tags)).unwrap_or_default()))
}

/// Says on a role that was there before that it is the one in use, and which one to remember in case its removal fails.
///
/// The last of the steps that have to succeed: until then a Delete of the other role may take this one along.
fn note_replaced(present: &Present, observed: &ObservedState, role: &Role) -> Option<Change> {
    let own = Lineage::of(&role.tags);
    let lineage = noted(present, observed, &own).filter(|lineage| *lineage != own)?;
    Some(set_lineage(present, &role.arn.name, &lineage))
}

/// The roles that a role should name besides those it names: the one that it replaces now or, when no Delete will come for
/// it, the one that the old properties name.
fn noted(present: &Present, observed: &ObservedState, lineage: &Lineage) -> Option<Lineage> {
    if let Some((from, its_lineage)) = replaced(present, observed) {
        return Some(lineage.replacing(from, &its_lineage));
    }
    let former = present.former.replaced()?;
    let owner = &present.blueprint.owner;
    let left = observed.leftovers.iter().find(|left| left.name.is_same(&former.role) && !left.is_nothing(owner))?;
    let its_tags = left.role.as_ref().map(|role| &role.tags);
    Some(lineage.replacing(former, &its_tags.map(Lineage::of).unwrap_or_default()))
}

fn set_lineage(present: &Present, role: &RoleName, lineage: &Lineage) -> Change {
    let mut tags = present.blueprint.owner.tags();
    tags.insert(owner::REPLACES.to_owned(), lineage.tag());
    Change::TagRole { role: role.clone(), tags }
}

/// Steps on role and policy do not depend on each other, those on one of them go in order.
fn side_by_side(plan: &mut Plan, role: Vec<Change>, policy: Vec<Change>) {
    let (mut role, mut policy) = (role.into_iter(), policy.into_iter());
    loop {
        let stage: Vec<_> = role.next().into_iter().chain(policy.next()).collect();
        if stage.is_empty() {
            return;
        }
        plan.then(stage);
    }
}
