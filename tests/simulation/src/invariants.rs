//! Invariants, checked at every change of the account and at every answer.
//!
//! The letters are those of the table in ARCHITECTURE.md, "Under faults".

use std::collections::BTreeSet;
use std::sync::Arc;

use cavatica_access::blueprint::Blueprint;
use cavatica_access::cors;
use cavatica_access::names::{PolicyArn, RoleArn, RoleName};
use cavatica_access::owner::{self, Owner, TagKeys, Tags};
use cavatica_access::port::{Change, CorsRule, PolicyEntity, Role};
use cavatica_memory::State;
use serde_json::Value;

use crate::{cloudformation, events};

/// Checker of the invariants, and their violations so far.
#[derive(Debug)]
pub struct InvariantChecker {
    owner: Owner,
    /// Account without the stack's resources, after the last manual change.
    foreign: State,
    /// Documents that a role may have in this operation.
    permissions: Vec<Value>,
    trusts: Vec<Value>,
    /// The role that has to keep its policy in this operation.
    keeps_policy: Option<(RoleName, PolicyArn)>,
    /// The role that the stack goes on with after the event.
    in_use: Option<RoleName>,
    event: Value,
    expected: Expected,
    /// True if the function reported that S3 denied a call or did not answer, so that CORS rules may differ.
    ignores_cors_rules: bool,
    /// The unique IDs of the roles that the function created, whatever tags they have now.
    created: BTreeSet<String>,
    violations: Vec<String>,
}

/// State that the answer `SUCCESS` claims.
#[derive(Debug, Clone)]
pub enum Expected {
    /// Nothing that can be checked.
    Nothing,
    /// Role and policy are as asked.
    AsAsked(Arc<Blueprint>),
    /// The role at an ARN is gone, and what belongs to it.
    Gone(Option<RoleArn>),
    /// Everything of ours is gone.
    AllGone,
}

impl InvariantChecker {
    /// Returns a checker of an account that has no resources of the stack yet.
    #[must_use]
    pub fn over(owner: Owner, state: &State) -> Self {
        Self {
            owner,
            foreign: state.clone(),
            permissions: Vec::new(),
            trusts: Vec::new(),
            keeps_policy: None,
            in_use: None,
            event: Value::Null,
            expected: Expected::Nothing,
            ignores_cors_rules: false,
            created: BTreeSet::new(),
            violations: Vec::new(),
        }
    }

    /// Returns the violations.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Adds a violation.
    pub fn violation(&mut self, what: String) {
        // Only the first counts: others may follow from it.
        if self.violations.is_empty() {
            self.violations.push(what);
        }
    }

    /// Stops checking CORS rules.
    pub fn ignore_cors_rules(&mut self) {
        self.ignores_cors_rules = true;
    }

    /// Takes over a manual change: from now on its result has to stay.
    pub fn manual_change(&mut self, state: &State) {
        self.foreign = self.others(state);
        self.keeps_policy = None;
        self.accept_documents(state);
    }

    /// From now on a role or policy of ours may keep the document that it has: an earlier operation that failed may
    /// have left it, or a person has tagged it again.
    fn accept_documents(&mut self, state: &State) {
        let ours = |tags: &Tags| self.owner.owns(tags);
        let policies = state.policies().filter(|(_, tags, _)| ours(tags));
        self.permissions.extend(policies.map(|(_, _, document)| document.clone()));
        self.trusts.extend(state.roles().filter(|role| ours(&role.tags)).map(|role| role.trust.clone()));
    }

    /// An operation begins that goes from one request to another.
    pub fn operation(&mut self, state: &State, requested: &[&Arc<Blueprint>]) {
        self.permissions = requested.iter().map(|blueprint| blueprint.permissions.to_value()).collect();
        self.trusts = requested.iter().map(|blueprint| blueprint.trust.to_value()).collect();
        self.accept_documents(state);
        self.keeps_policy = match requested {
            [old, new] if old.role.is_same(&new.role) && old.policy.is_same(&new.policy) => {
                let keeps_policy = (new.role.name.clone(), new.policy.clone());
                is_attached(state, &keeps_policy.0, &keeps_policy.1).then_some(keeps_policy)
            }
            _ => None,
        };
    }

    /// An event is sent; a success claims something.
    pub fn event(&mut self, event: &Value, expected: Expected) {
        if event["RequestType"] == "Delete" {
            self.keeps_policy = None;
        }
        self.event = event.clone();
        self.expected = expected;
    }

    /// The first answer to the event arrives.
    pub fn answered(&mut self, body: &str, state: &State) {
        // Two events at once: whoever sent them looks at their answers.
        if self.event.is_null() {
            return;
        }
        match cloudformation::read(&self.event, body) {
            Err(broken) => self.violation(format!("(a) {broken}")),
            Ok(answer) if answer.failure.is_none() => {
                self.ignores_cors_rules |= answer.findings.contains("Look after the CORS rule");
                self.check_success(state);
            }
            Ok(_) => {}
        }
    }

    /// Checks the claim of the answer `SUCCESS`.
    pub fn check_success(&mut self, state: &State) {
        let broken = match &self.expected {
            Expected::Nothing => None,
            Expected::AsAsked(blueprint) => {
                difference(state, blueprint, self.ignores_cors_rules).map(|what| format!("(c, f) {what}"))
            }
            Expected::Gone(role) => role.as_ref().and_then(|arn| {
                let role = state.role_named(arn.name.as_str()).filter(|role| role.arn.is_same(arn))?;
                self.is_left(state, role).then(|| format!("(b, f) role {} is still there", role.arn.name))
            }),
            Expected::AllGone => self.left(state).map(|what| format!("(b, f) {what}")),
        };
        if let Some(broken) = broken {
            self.violation(broken);
        }
    }

    /// True if a role is ours, or was before somebody removed its tags, still allows something, and can be recognized:
    /// by the wanted name, under which the function may read it, or by its policy.
    fn is_left(&self, state: &State, role: &Role) -> bool {
        let name = role.arn.name.as_str();
        let is_wanted = match &self.in_use {
            Some(in_use) => in_use.as_str() == name,
            None => self.event["ResourceProperties"]["RoleName"] == name,
        };
        let properties = &self.event["ResourceProperties"];
        // While the stack goes on, the clean-up knows the names in its event, and the last Delete all of them.
        let is_named = |arn: &PolicyArn| ["RoleName", "PolicyName"].iter().any(|name| properties[*name] == arn.name());
        let tells = |arn: &PolicyArn| {
            let tags = state.policy_tags(arn).filter(|_| self.in_use.is_none() || is_named(arn));
            is_wanted || tags.is_some_and(|tags| self.owner.owns(tags) && owner::serves(tags, &role.arn.name))
        };
        let is_on_it = |carrier: &PolicyEntity| matches!(carrier, PolicyEntity::Role(carrier) if carrier == name);
        let carried = || state.attachments().any(|(carrier, arn)| is_on_it(carrier) && tells(arn));
        self.owner.owns(&role.tags) || (self.created.contains(&role.id) && carried())
    }

    /// Returns the account less what is ours.
    fn others(&self, state: &State) -> State {
        state.without(|tags| self.owner.owns(tags), |rule| self.is_our_rule(rule))
    }

    fn is_our_rule(&self, rule: &CorsRule) -> bool {
        let ours = format!("cavatica-connect:{}:", self.owner.stack.uuid());
        rule.id.as_ref().is_some_and(|id| id.starts_with(&ours))
    }

    /// Returns remains of the stack, and changes of foreign resources.
    fn left(&self, state: &State) -> Option<String> {
        let rest = self.others(state);
        let role = state.roles().find(|role| self.is_left(state, role)).map(|role| role.arn.to_string());
        let policy = || state.policies().find(|(_, tags, _)| self.owner.owns(tags)).map(|(arn, ..)| arn.to_string());
        let rule = || {
            let bucket = state.buckets().find(|(_, held)| held.cors.iter().any(|rule| self.is_our_rule(rule)))?;
            Some(format!("a CORS rule of bucket {}", bucket.0))
        };
        let rule = || rule().filter(|_| !self.ignores_cors_rules);
        let ours = role.or_else(policy).or_else(rule).map(|what| format!("{what} is left"));
        ours.or_else(|| {
            (rest != self.foreign).then(|| format!("others' things changed: {:?} became {rest:?}", self.foreign))
        })
    }

    /// The event is of a stack that goes on with this role.
    pub fn set_role_in_use(&mut self, role: Option<RoleName>) {
        self.in_use = role;
    }

    /// A change took effect.
    pub fn saw(&mut self, change: &Change, before: &State, after: &State) {
        if let Change::CreateRole(new) = change {
            self.created.extend(after.role_named(new.arn.name.as_str()).map(|role| role.id.clone()));
        }
        let broken = self
            .foreign_change(change, before)
            .or_else(|| self.too_much(after))
            .or_else(|| self.nothing(after))
            .or_else(|| shown(after));
        if let Some(broken) = broken {
            self.violation(format!("{broken}, by {change}"));
        }
    }

    /// (e): nothing foreign is ever changed, except that our policy is detached from whoever carries it.
    fn foreign_change(&self, change: &Change, before: &State) -> Option<String> {
        let is_our_role = |name: &str| before.role_named(name).is_some_and(|role| self.owner.owns(&role.tags));
        let is_our_policy = |arn: &PolicyArn| before.policy_tags(arn).is_some_and(|tags| self.owner.owns(tags));
        let is_ours = match change {
            Change::CreateRole(_) | Change::CreatePolicy(_) => true,
            Change::TagRole { role, .. }
            | Change::UntagRole { role, .. }
            | Change::UpdateRole { role, .. }
            | Change::UpdateTrust { role, .. }
            | Change::PutBoundary { role, .. }
            | Change::DeleteInlinePolicy { role, .. }
            | Change::DeleteRole { role } => is_our_role(role.as_str()),
            Change::Attach { role, arn } => is_our_role(role.as_str()) && is_our_policy(arn),
            Change::Detach { from, arn } => {
                let is_on_ours = matches!(from, PolicyEntity::Role(name) if is_our_role(name));
                is_on_ours || (is_our_policy(arn) && !self.is_in_use(arn, before))
            }
            Change::TagPolicy { arn, .. }
            | Change::UntagPolicy { arn, .. }
            | Change::CreatePolicyVersion { arn, .. }
            | Change::DeletePolicyVersion { arn, .. }
            | Change::DeletePolicy { arn } => is_our_policy(arn),
            Change::PutCors { bucket, rules } => {
                let theirs = |rule: &&CorsRule| !self.is_our_rule(rule);
                let held = before.buckets().find(|(name, _)| **name == bucket.name);
                held.is_some_and(|(_, held)| rules.iter().filter(theirs).eq(held.cors.iter().filter(theirs)))
            }
        };
        (!is_ours).then(|| "(e) something foreign was changed".to_owned())
    }

    /// True if a policy serves the role that stays: then whoever else somebody attached it to keeps it.
    fn is_in_use(&self, policy: &PolicyArn, state: &State) -> bool {
        let serves = |role: &RoleName| state.policy_tags(policy).is_some_and(|tags| owner::serves(tags, role));
        self.in_use.as_ref().is_some_and(|role| serves(role) && is_attached(state, role, policy))
    }

    /// (d): no role of ours allows more than the wider of old and new, to anyone else, or without a boundary.
    fn too_much(&self, state: &State) -> Option<String> {
        for role in state.roles().filter(|role| self.owner.owns(&role.tags)) {
            let name = &role.arn.name;
            if !self.trusts.contains(&role.trust) {
                return Some(format!("(d) role {name} trusts {}", role.trust));
            }
            if role.boundary.is_none() {
                return Some(format!("(d) role {name} has no boundary"));
            }
        }
        for (arn, tags, document) in state.policies() {
            if self.owner.owns(tags) && !self.permissions.contains(document) {
                return Some(format!("(d) policy {arn} allows {document}"));
            }
        }
        None
    }

    /// (d): an update of the policy never passes through a role without permissions.
    fn nothing(&self, state: &State) -> Option<String> {
        let (role, policy) = self.keeps_policy.as_ref()?;
        (!is_attached(state, role, policy)).then(|| format!("(d) role {role} is without its policy"))
    }
}

/// (h): the automatic external ID is nowhere but in a trust policy.
fn shown(state: &State) -> Option<String> {
    let tells = |text: &str| text.contains(events::PROVIDER_ROLE_ID);
    let is_traced = |tags: &Tags| tags.iter().any(|(key, value)| tells(key) || tells(value));
    let of_role =
        state.roles().find(|role| tells(role.arn.name.as_str()) || tells(&role.description) || is_traced(&role.tags));
    let of_policy = || state.policies().find(|(arn, tags, _)| tells(arn.as_str()) || is_traced(tags));
    let is_rule = |rule: &CorsRule| rule.id.as_deref().is_some_and(tells);
    let of_bucket = || state.buckets().find(|(_, held)| held.cors.iter().any(is_rule));
    let place = of_role.map(|role| role.arn.to_string());
    let place = place.or_else(|| of_policy().map(|(arn, ..)| arn.to_string()));
    let place = place.or_else(|| of_bucket().map(|(name, _)| name.to_string()))?;
    Some(format!("(h) {place} shows the external ID"))
}

fn is_attached(state: &State, role: &RoleName, policy: &PolicyArn) -> bool {
    let is_on_it = |carrier: &PolicyEntity| matches!(carrier, PolicyEntity::Role(name) if name.eq_ignore_ascii_case(role.as_str()));
    state.document(policy).is_some()
        && state.attachments().any(|(carrier, arn)| is_on_it(carrier) && arn.is_same(policy))
}

/// True if exactly the requested buckets have the role's CORS rule. A deleted bucket has none.
fn has_rules(state: &State, blueprint: &Blueprint) -> bool {
    let rule = cors::rule(&blueprint.owner.stack, &blueprint.role.name, &blueprint.request.cors_origin);
    state.buckets().all(|(name, held)| {
        let is_asked = blueprint.request.volumes.iter().any(|volume| volume.bucket == *name);
        let is_wanted = is_asked && blueprint.request.configure_cors;
        if is_wanted { cors::is_in_force(&rule, &held.cors) } else { !held.cors.contains(&rule) }
    })
}

/// Returns differences from the request. Nobody else sets tags here, so all tags of earlier requests have to be gone.
fn difference(state: &State, blueprint: &Blueprint, ignores_cors_rules: bool) -> Option<String> {
    let Some(role) = state.role_named(blueprint.role.name.as_str()).filter(|role| role.arn == blueprint.role) else {
        return Some(format!("there is no role {}", blueprint.role));
    };
    let request = &blueprint.request;
    let Some(tags) = state.policy_tags(&blueprint.policy) else {
        return Some(format!("there is no policy {}", blueprint.policy));
    };
    let are_as_asked = |of: TagKeys, tags: &Tags, requested: Tags| {
        let (tags, requested) = (of.normal_tags(tags), of.normal_tags(&requested));
        requested.iter().all(|(key, value)| tags.get(key) == Some(value))
            && tags.keys().all(|key| requested.contains_key(key) || key.starts_with(owner::RESERVED))
    };
    let aspects = [
        ("the trust policy", role.trust == blueprint.trust.to_value()),
        ("the description", role.description == request.description.clone().unwrap_or_default()),
        ("the session duration", role.max_session_duration == request.max_session_duration),
        ("the boundary", role.boundary == request.permissions_boundary),
        ("the role's tags", are_as_asked(TagKeys::OfRole, &role.tags, blueprint.role_tags())),
        ("the policy's tags", are_as_asked(TagKeys::OfPolicy, tags, blueprint.policy_tags())),
        ("the policy's document", state.document(&blueprint.policy) == Some(&blueprint.permissions.to_value())),
        ("the attachment", is_attached(state, &role.arn.name, &blueprint.policy)),
        ("the CORS configuration", ignores_cors_rules || has_rules(state, blueprint)),
    ];
    let wrong = aspects.iter().find(|(_, is_right)| !is_right)?;
    Some(format!("{} of {} is not as asked", wrong.0, role.arn.name))
}
