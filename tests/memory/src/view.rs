//! Looking into a state from outside, for those who judge it.

use serde_json::Value;

use super::state::{State, key};
use cavatica_access::names::PolicyArn;
use cavatica_access::owner::Tags;
use cavatica_access::port::{CorsRule, PolicyEntity, Role};

impl State {
    /// Returns every role.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values().map(|held| &held.role)
    }

    /// Returns the role of a name, in whatever letter case and under whatever path.
    #[must_use]
    pub fn role_named(&self, name: &str) -> Option<&Role> {
        self.roles.get(&key(name)).map(|held| &held.role)
    }

    /// Returns a role's inline policies.
    #[must_use]
    pub fn inline_policies(&self, name: &str) -> Vec<&str> {
        self.roles.get(&key(name)).iter().flat_map(|held| held.inline.iter().map(String::as_str)).collect()
    }

    /// Returns every policy with its tags and the document in force.
    pub fn policies(&self) -> impl Iterator<Item = (&PolicyArn, &Tags, &Value)> {
        self.policies.values().filter_map(|held| Some((&held.arn, &held.tags, held.versions.get(&held.default)?)))
    }

    /// Returns a policy's tags.
    #[must_use]
    pub fn policy_tags(&self, arn: &PolicyArn) -> Option<&Tags> {
        self.policies.get(&key(arn.name())).filter(|held| held.arn.is_same(arn)).map(|held| &held.tags)
    }

    /// Returns a policy's document in force.
    #[must_use]
    pub fn document(&self, arn: &PolicyArn) -> Option<&Value> {
        let held = self.policies.get(&key(arn.name())).filter(|held| held.arn.is_same(arn))?;
        held.versions.get(&held.default)
    }

    /// Attached policies of each role, user and group.
    pub fn attachments(&self) -> impl Iterator<Item = &(PolicyEntity, PolicyArn)> {
        self.attachments.iter()
    }

    /// Which instance profile holds which role.
    pub fn instance_profiles(&self) -> impl Iterator<Item = (&str, &str)> {
        self.instance_profiles.iter().map(|(profile, role)| (profile.as_str(), role.as_str()))
    }

    /// Returns the same without what carries certain tags, without what hangs on it, and without certain CORS rules.
    #[must_use]
    pub fn without(&self, is_excluded: impl Fn(&Tags) -> bool, is_excluded_rule: impl Fn(&CorsRule) -> bool) -> Self {
        let mut rest = self.clone();
        rest.buckets.values_mut().for_each(|held| held.cors.retain(|rule| !is_excluded_rule(rule)));
        rest.roles.retain(|_, held| !is_excluded(&held.role.tags));
        rest.policies.retain(|_, held| !is_excluded(&held.tags));
        let is_excluded_policy = |arn: &PolicyArn| self.policy_tags(arn).is_some_and(&is_excluded);
        let is_excluded_role = |name: &str| self.role_named(name).is_some_and(|role| is_excluded(&role.tags));
        rest.attachments.retain(|(carrier, arn)| {
            let is_on_excluded = matches!(carrier, PolicyEntity::Role(name) if is_excluded_role(name));
            !is_excluded_policy(arn) && !is_on_excluded
        });
        rest.instance_profiles.retain(|(_, role)| !is_excluded_role(role.as_str()));
        rest
    }
}
