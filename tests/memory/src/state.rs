//! Everything AWS holds of an account, and how a change changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cavatica_access::limits;
use cavatica_access::names::{PolicyArn, RoleName};
use cavatica_access::owner::{TagKeys, Tags};
use cavatica_access::port::{Change, Failure, FailureKind, NewRole, PolicyEntity, Receipt, Role};
use cavatica_access::volume::BucketName;
use serde_json::Value;

use super::buckets::HeldBucket;
use super::{failure, rules};

/// Everything AWS holds of an account, as far as we have to do with it. Two equal ones are the same account; a copy is
/// cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub(super) roles: BTreeMap<String, Arc<HeldRole>>,
    pub(super) policies: BTreeMap<String, Arc<HeldPolicy>>,
    pub(super) attachments: BTreeSet<(PolicyEntity, PolicyArn)>,
    pub(super) instance_profiles: BTreeSet<(String, RoleName)>,
    pub(super) buckets: BTreeMap<BucketName, HeldBucket>,
    /// Principals of a trust policy that IAM would not find.
    pub(super) unknown_principals: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldRole {
    pub(super) role: Role,
    pub(super) inline: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldPolicy {
    pub(super) arn: PolicyArn,
    pub(super) tags: Tags,
    pub(super) versions: BTreeMap<u32, Value>,
    pub(super) default: u32,
    pub(super) last: u32,
}

impl State {
    pub(super) fn role(&self, name: &RoleName) -> Result<&HeldRole, Failure> {
        self.roles.get(&key(name.as_str())).map(Arc::as_ref).ok_or_else(|| not_found("role", name.as_str()))
    }

    fn role_mut(&mut self, name: &RoleName) -> Result<&mut HeldRole, Failure> {
        self.roles.get_mut(&key(name.as_str())).map(Arc::make_mut).ok_or_else(|| not_found("role", name.as_str()))
    }

    pub(super) fn held_policy(&self, arn: &PolicyArn) -> Result<&HeldPolicy, Failure> {
        let held = self.policies.get(&key(arn.name())).filter(|held| held.arn.is_same(arn));
        held.map(Arc::as_ref).ok_or_else(|| not_found("policy", arn.as_str()))
    }

    fn policy_mut(&mut self, arn: &PolicyArn) -> Result<&mut HeldPolicy, Failure> {
        let held = self.policies.get_mut(&key(arn.name())).filter(|held| held.arn.is_same(arn));
        held.map(Arc::make_mut).ok_or_else(|| not_found("policy", arn.as_str()))
    }

    pub(super) fn capped_by(&self, arn: &PolicyArn) -> Vec<PolicyEntity> {
        let capped = self.roles.values().filter(|held| held.role.boundary.as_ref() == Some(arn));
        capped.map(|held| PolicyEntity::Role(held.role.arn.name.to_string())).collect()
    }

    /// Changes what is there as IAM would. Whether something exists is judged by what IAM shows (`seen`), whether a
    /// name is free by what it holds.
    pub(super) fn change(&mut self, change: &Change, seen: &Self, made: u64) -> Result<Receipt, Failure> {
        match change {
            Change::CreateRole(new) => return self.create_role(new, made),
            Change::TagRole { role, tags } => {
                seen.role(role)?;
                rules::merge_tags(TagKeys::OfRole, &mut self.role_mut(role)?.role.tags, tags)?;
            }
            Change::UntagRole { role, keys } => {
                seen.role(role)?;
                rules::remove_tags(TagKeys::OfRole, &mut self.role_mut(role)?.role.tags, keys);
            }
            Change::UpdateRole { role, description, max_session_duration } => {
                seen.role(role)?;
                rules::check_role(description, *max_session_duration)?;
                let role = &mut self.role_mut(role)?.role;
                role.description.clone_from(description);
                role.max_session_duration = *max_session_duration;
            }
            Change::UpdateTrust { role, trust } => {
                seen.role(role)?;
                let trust = rules::check_trust(trust, &self.unknown_principals)?;
                self.role_mut(role)?.role.trust = trust;
            }
            Change::PutBoundary { role, boundary } => {
                seen.role(role)?;
                self.held_policy(boundary)?;
                self.role_mut(role)?.role.boundary = Some(boundary.clone());
            }
            Change::CreatePolicy(new) => self.create_policy(&new.arn, &new.document, &new.tags)?,
            Change::TagPolicy { arn, tags } => {
                seen.held_policy(arn)?;
                rules::merge_tags(TagKeys::OfPolicy, &mut self.policy_mut(arn)?.tags, tags)?;
            }
            Change::UntagPolicy { arn, keys } => {
                seen.held_policy(arn)?;
                rules::remove_tags(TagKeys::OfPolicy, &mut self.policy_mut(arn)?.tags, keys);
            }
            Change::CreatePolicyVersion { arn, document } => {
                seen.held_policy(arn)?;
                let document = rules::check_permissions(document)?;
                let held = self.policy_mut(arn)?;
                if held.versions.len() >= limits::POLICY_VERSIONS {
                    return Err(failure(FailureKind::LimitExceeded, "A managed policy can have up to 5 versions"));
                }
                held.last += 1;
                held.default = held.last;
                held.versions.insert(held.last, document);
            }
            Change::Attach { role, arn } => {
                seen.role(role)?;
                let carrier = PolicyEntity::Role(self.role(role)?.role.arn.name.to_string());
                let is_ours_to_know = arn.account() != "aws";
                if is_ours_to_know {
                    seen.held_policy(arn)?;
                    self.held_policy(arn)?;
                }
                let count = self.attachments.iter().filter(|(c, _)| *c == carrier).count();
                let entry = (carrier, arn.clone());
                if count >= limits::ATTACHED_POLICIES && !self.attachments.contains(&entry) {
                    return Err(failure(FailureKind::LimitExceeded, "Cannot exceed quota for PoliciesPerRole: 10"));
                }
                self.attachments.insert(entry);
            }
            Change::Detach { from, arn } => {
                if !self.attachments.remove(&(from.clone(), arn.clone())) {
                    return Err(not_found("attachment of policy", arn.as_str()));
                }
            }
            Change::DeleteInlinePolicy { role, name } => {
                if !self.role_mut(role)?.inline.remove(name) {
                    return Err(not_found("inline policy", name));
                }
            }
            Change::DeletePolicyVersion { arn, version } => self.delete_version(arn, version)?,
            Change::DeletePolicy { arn } => self.delete_policy(arn, seen)?,
            Change::DeleteRole { role } => self.delete_role(role, seen)?,
            Change::PutCors { bucket, rules } => self.put_cors(bucket, rules, seen)?,
        }
        Ok(Receipt::default())
    }

    fn create_role(&mut self, new: &NewRole, made: u64) -> Result<Receipt, Failure> {
        if self.roles.contains_key(&key(new.arn.name.as_str())) {
            return Err(already_exists("Role", new.arn.name.as_str()));
        }
        rules::check_role(&new.description, new.max_session_duration)?;
        rules::check_tag_count(&new.tags)?;
        let trust = rules::check_trust(&new.trust, &self.unknown_principals)?;
        let mut tags = Tags::new();
        rules::merge_tags(TagKeys::OfRole, &mut tags, &new.tags)?;
        if let Some(boundary) = &new.boundary {
            self.held_policy(boundary)?;
        }
        let id = format!("AROA{made:017}");
        let role = Role {
            arn: new.arn.clone(),
            id: id.clone(),
            tags,
            trust,
            description: new.description.clone(),
            max_session_duration: new.max_session_duration,
            boundary: new.boundary.clone(),
        };
        self.roles.insert(key(new.arn.name.as_str()), Arc::new(HeldRole { role, inline: BTreeSet::new() }));
        Ok(Receipt { role_id: Some(id) })
    }

    fn create_policy(&mut self, arn: &PolicyArn, document: &str, tags: &Tags) -> Result<(), Failure> {
        if self.policies.contains_key(&key(arn.name())) {
            return Err(already_exists("Policy", arn.name()));
        }
        rules::check_tag_count(tags)?;
        let document = rules::check_permissions(document)?;
        let mut held = HeldPolicy {
            arn: arn.clone(),
            tags: Tags::new(),
            versions: BTreeMap::from([(1, document)]),
            default: 1,
            last: 1,
        };
        rules::merge_tags(TagKeys::OfPolicy, &mut held.tags, tags)?;
        self.policies.insert(key(arn.name()), Arc::new(held));
        Ok(())
    }

    fn delete_version(&mut self, arn: &PolicyArn, version: &str) -> Result<(), Failure> {
        let held = self.policy_mut(arn)?;
        let number = version.strip_prefix('v').and_then(|n| n.parse().ok()).unwrap_or(0);
        if number == held.default {
            return Err(failure(FailureKind::DeleteConflict, "Cannot delete the default version of a policy"));
        }
        held.versions.remove(&number).map(|_| ()).ok_or_else(|| not_found("policy version", version))
    }

    fn delete_policy(&mut self, arn: &PolicyArn, seen: &Self) -> Result<(), Failure> {
        let held = self.held_policy(arn)?;
        let conflict = |message| Err(failure(FailureKind::DeleteConflict, message));
        if [&*self, seen].iter().any(|state| state.attachments.iter().any(|(_, attached)| *attached == held.arn)) {
            return conflict("Cannot delete a policy attached to entities");
        }
        if held.versions.len() > 1 {
            return conflict("This policy has more than one version");
        }
        if !self.capped_by(&held.arn).is_empty() {
            return conflict("Cannot delete a policy used as a permissions boundary");
        }
        self.policies.remove(&key(arn.name()));
        Ok(())
    }

    fn delete_role(&mut self, role: &RoleName, seen: &Self) -> Result<(), Failure> {
        let held = self.role(role)?;
        let carrier = PolicyEntity::Role(held.role.arn.name.to_string());
        let conflict = |message| Err(failure(FailureKind::DeleteConflict, message));
        if [&*self, seen].iter().any(|state| state.attachments.iter().any(|(c, _)| *c == carrier)) {
            return conflict("Cannot delete entity, must detach all policies first");
        }
        if !held.inline.is_empty() {
            return conflict("Cannot delete entity, must delete policies first");
        }
        if self.instance_profiles.iter().any(|(_, r)| r.is_same(role)) {
            return conflict("Cannot delete entity, must remove roles from instance profile first");
        }
        self.roles.remove(&key(role.as_str()));
        Ok(())
    }
}

/// Names are unique ignoring case.
pub(super) fn key(name: &str) -> String {
    name.to_lowercase()
}

fn not_found(kind: &str, name: &str) -> Failure {
    failure(FailureKind::NotFound, &format!("The {kind} {name} cannot be found"))
}

fn already_exists(kind: &str, name: &str) -> Failure {
    failure(FailureKind::AlreadyExists, &format!("{kind} with name {name} already exists"))
}
