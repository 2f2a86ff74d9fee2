//! Ownership of roles and policies: the tags that name the owner.
//!
//! The tags never change their form: the code of one release reads the tags of another.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::names::{AccountId, Partition, PolicyName, RoleName, Rule};

/// Tags of a role or policy.
pub type Tags = BTreeMap<String, String>;

/// Comparison of tag keys by IAM: letter case does not count on a role, and counts on a policy. Source: IAM User Guide,
/// "Tags for AWS Identity and Access Management resources", "Rules for tagging".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKeys {
    /// Of a role.
    OfRole,
    /// Of a managed policy.
    OfPolicy,
}

impl TagKeys {
    /// Returns the form of a key that equal keys share.
    #[must_use]
    pub fn normal(self, key: &str) -> String {
        match self {
            Self::OfRole => key.to_lowercase(),
            Self::OfPolicy => key.to_owned(),
        }
    }

    /// Tags by their keys' normal form.
    #[must_use]
    pub fn normal_tags(self, tags: &Tags) -> Tags {
        tags.iter().map(|(key, value)| (self.normal(key), value.clone())).collect()
    }
}

/// Beginning of all tag keys of this project. A request may not contain such keys.
pub const RESERVED: &str = "cavatica-connect:";
/// The ID of the stack that made it, on role and policy.
pub const STACK: &str = "cavatica-connect:stack";
/// The logical ID of the custom resource that made it, on role and policy.
pub const RESOURCE: &str = "cavatica-connect:resource";
/// The role that a policy serves, on the policy.
pub const ROLE: &str = "cavatica-connect:role";
/// The policy that serves a role, on the role.
pub const POLICY: &str = "cavatica-connect:policy";
/// The tag that names the roles that a role replaced: its [`Lineage`](crate::lineage::Lineage).
///
/// The provider role may set this tag, but not remove it.
pub const REPLACES: &str = "cavatica-connect:replaces";

/// Number of tags of this project on one role: these, and the record of requested tags.
pub const OUR_TAGS: usize = 5;

/// The custom resource that owns a role and its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The stack.
    pub stack: StackId,
    /// The custom resource's logical ID in it.
    pub resource: String,
}

impl Owner {
    /// True if these are the tags of this custom resource. A role or policy with other tags is never changed.
    #[must_use]
    pub fn owns(&self, tags: &Tags) -> bool {
        tags.get(STACK).is_some_and(|stack| stack == self.stack.as_str())
            && tags.get(RESOURCE).is_some_and(|resource| *resource == self.resource)
    }

    /// Returns the tags that say so.
    #[must_use]
    pub fn tags(&self) -> Tags {
        Tags::from([(STACK.to_owned(), self.stack.to_string()), (RESOURCE.to_owned(), self.resource.clone())])
    }
}

/// The ID of a stack: `arn:PARTITION:cloudformation:REGION:ACCOUNT:stack/NAME/UUID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackId {
    text: String,
    /// The partition of the stack's account.
    pub partition: Partition,
    /// The stack's region.
    pub region: String,
    /// The stack's account.
    pub account: AccountId,
    /// The stack's name.
    pub name: String,
    uuid: String,
}

impl StackId {
    /// The rule in words.
    pub const RULE: Rule = "the ID of a CloudFormation stack";

    /// Returns the ID as CloudFormation writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the part that tells it from every other stack.
    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// True if CloudFormation named the policy for the logical ID `Boundary` of this stack: `STACK-Boundary-SUFFIX`,
    /// with a long stack name cut short.
    #[must_use]
    pub fn names_boundary(&self, policy: &str) -> bool {
        policy.rsplit_once("-Boundary-").is_some_and(|(stack, suffix)| {
            !stack.is_empty() && self.name.starts_with(stack) && suffix.bytes().all(|b| b.is_ascii_alphanumeric())
        })
    }
}

impl std::fmt::Display for StackId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for StackId {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let parse = || {
            let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
            let partition = parts.next()?.parse().ok()?;
            (parts.next()? == "cloudformation").then_some(())?;
            let region = parts.next()?.to_owned();
            let account = parts.next()?.parse().ok()?;
            let (name, uuid) = parts.next()?.strip_prefix("stack/")?.split_once('/')?;
            (!name.is_empty() && !uuid.is_empty()).then_some(())?;
            let (name, uuid) = (name.to_owned(), uuid.to_owned());
            Some(Self { text: text.to_owned(), partition, region, account, name, uuid })
        };
        parse().ok_or(Self::RULE)
    }
}

/// Returns a role's name as a tag value. IAM takes a comma in a name but not in a tag; a colon the other way round.
#[must_use]
pub fn role_tag(name: &RoleName) -> String {
    name.as_str().replace(',', ":")
}

/// Returns a policy's name as a tag value, written as [`role_tag`] does.
#[must_use]
pub fn policy_tag(name: &str) -> String {
    name.replace(',', ":")
}

/// Returns the policy that a role's tags say serves it.
#[must_use]
pub fn tagged_policy(tags: &Tags) -> Option<PolicyName> {
    tags.get(POLICY)?.replace(':', ",").parse().ok()
}

/// True if a policy's tags say that it serves the role.
#[must_use]
pub fn serves(tags: &Tags, role: &RoleName) -> bool {
    tags.get(ROLE).is_some_and(|tag| tag.eq_ignore_ascii_case(&role_tag(role)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK_ID: &str =
        "arn:aws:cloudformation:us-east-1:123456789012:stack/my-volume/5e1b8ce0-0000-11f0-8000-0a1b2c3d4e5f";

    #[test]
    fn only_both_tags_together_make_it_ours() -> Result<(), Rule> {
        let owner = Owner { stack: STACK_ID.parse()?, resource: "VolumeAccess".to_owned() };
        let mut tags = owner.tags();
        assert!(owner.owns(&tags));
        tags.insert(RESOURCE.to_owned(), "Other".to_owned());
        assert!(!owner.owns(&tags));
        tags.remove(RESOURCE);
        assert!(!owner.owns(&tags));
        assert!(!owner.owns(&Tags::new()));
        Ok(())
    }

    #[test]
    fn a_stack_knows_the_boundary_that_cloudformation_named_for_it() -> Result<(), Rule> {
        let stack: StackId = STACK_ID.parse()?;
        assert!(stack.names_boundary("my-volume-Boundary-1A2B3C4D5E6F"));
        assert!(!stack.names_boundary("other-Boundary-1A2B3C4D5E6F"));
        assert!(!stack.names_boundary("OrganisationBoundary"));
        Ok(())
    }

    #[test]
    fn refuses_texts_that_are_no_stack_id() {
        for text in ["", "stack", "arn:aws:iam::123456789012:role/x", "arn:aws:cloudformation:us-east-1:1:stack/a/b"] {
            assert_eq!(text.parse::<StackId>(), Err(StackId::RULE), "{text}");
        }
    }
}
