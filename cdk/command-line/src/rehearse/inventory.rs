//! The proof that an account is as it was: everything there that a stack could touch, before and after.

use std::collections::BTreeMap;

use aws_sdk_iam::types::PolicyScopeType;

use super::fixture::Fixture;
use crate::account::AwsError;

/// The roles, policies, logs and buckets of an account, each with what tells that it is unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory(BTreeMap<String, String>);

impl Inventory {
    /// Lists all of it.
    pub async fn of(fixture: &Fixture) -> Result<Self, AwsError> {
        let (iam, region) = (&fixture.iam, fixture.region);
        let call = |action, on: &str| fixture.account.call("list", action, on, region);
        let roles = iam.list_roles().into_paginator().items().send().try_collect().await;
        let roles = roles.map_err(|error| call("iam:ListRoles", "the roles").failed(error))?;
        let policies = iam.list_policies().scope(PolicyScopeType::Local).into_paginator().items().send();
        let policies = policies.try_collect().await;
        let policies = policies.map_err(|error| call("iam:ListPolicies", "the policies").failed(error))?;
        let logs = fixture.account.logs(region).describe_log_groups().into_paginator().items().send();
        let logs = logs.try_collect().await;
        let logs = logs.map_err(|error| call("logs:DescribeLogGroups", "the log groups").failed(error))?;
        let buckets = fixture.account.s3(region).list_buckets().into_paginator().items().send();
        let buckets = buckets.try_collect().await;
        let buckets = buckets.map_err(|error| call("s3:ListAllMyBuckets", "the buckets").failed(error))?;

        let mut all = BTreeMap::new();
        for role in roles {
            all.insert(format!("role {}", role.arn), role.assume_role_policy_document.unwrap_or_default());
        }
        for policy in policies {
            let version = policy.default_version_id.unwrap_or_default();
            let state = format!("{version}, attached {} times", policy.attachment_count.unwrap_or_default());
            all.insert(format!("policy {}", policy.arn.unwrap_or_default()), state);
        }
        let logs = logs.into_iter().filter_map(|group| group.log_group_name);
        all.extend(logs.map(|name| (format!("log group {name}"), String::new())));
        let buckets = buckets.into_iter().filter_map(|bucket| bucket.name);
        all.extend(buckets.map(|name| (format!("bucket {name}"), String::new())));
        Ok(Self(all))
    }

    /// Returns the number of things of a kind, such as `role`.
    pub(super) fn count(&self, kind: &str) -> usize {
        self.0.keys().filter(|thing| thing.split_once(' ').is_some_and(|(of, _)| of == kind)).count()
    }

    /// Returns each difference of a later one, as `new: …`, `gone: …` or `changed: …`.
    #[must_use]
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let new = later.0.keys().filter(|thing| !self.0.contains_key(*thing)).map(|thing| format!("new: {thing}"));
        let other = self.0.iter().filter_map(|(thing, state)| match later.0.get(thing) {
            None => Some(format!("gone: {thing}")),
            Some(now) if now != state => Some(format!("changed: {thing}")),
            Some(_) => None,
        });
        new.chain(other).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_added_removed_and_changed_resources() {
        let inventory = |things: &[(&str, &str)]| {
            Inventory(things.iter().map(|(thing, state)| ((*thing).to_owned(), (*state).to_owned())).collect())
        };
        let before = inventory(&[("role a", "trust"), ("policy b", "v1"), ("bucket c", "")]);
        let after = inventory(&[("role a", "trust"), ("policy b", "v2"), ("log group d", "")]);
        assert_eq!(
            before.differences(&after),
            ["new: log group d", "gone: bucket c", "changed: policy b"].map(str::to_owned)
        );
        assert_eq!(before.differences(&before), Vec::<String>::new());
        assert_eq!((before.count("role"), after.count("bucket")), (1, 0));
    }
}
