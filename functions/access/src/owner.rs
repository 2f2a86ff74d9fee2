//! Whose a role or policy is: the tags that say so, and how they are read.
//!
//! The tags are frozen for ever: the code of one release meets roles that another one made.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::limits;
use crate::names::{AccountId, Partition, PolicyName, RoleName, Rule};

/// Tags of a role or policy.
pub type Tags = BTreeMap<String, String>;

/// Beginning of every tag key that is ours; nobody may ask for a tag under it.
pub const RESERVED: &str = "cavatica-connect:";
/// The ID of the stack that made it, on role and policy.
pub const STACK: &str = "cavatica-connect:stack";
/// The logical ID of the custom resource that made it, on role and policy.
pub const RESOURCE: &str = "cavatica-connect:resource";
/// The role that a policy serves, on the policy.
pub const ROLE: &str = "cavatica-connect:role";
/// The policy that serves a role, on the role.
pub const POLICY: &str = "cavatica-connect:policy";
/// The roles that this one replaced and that may still be there, on the role, with `/` between them; empty when there
/// is none.
///
/// It is emptied, not removed: the provider may set our tags but never take one off.
pub const REPLACES: &str = "cavatica-connect:replaces";

/// How many of a role's tags can be ours.
pub const OUR_TAGS: usize = 4;

/// The custom resource that owns a role and its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The stack.
    pub stack: StackId,
    /// The custom resource's logical ID in it.
    pub resource: String,
}

impl Owner {
    /// Whether something with these tags was made by this custom resource. What was not is never touched.
    #[must_use]
    pub fn owns(&self, tags: &Tags) -> bool {
        tags.get(STACK).is_some_and(|stack| stack == self.stack.as_str())
            && tags.get(RESOURCE).is_some_and(|resource| *resource == self.resource)
    }

    /// The tags that say so.
    #[must_use]
    pub fn tags(&self) -> Tags {
        Tags::from([(STACK.to_owned(), self.stack.to_string()), (RESOURCE.to_owned(), self.resource.clone())])
    }
}

/// The ID of a stack: `arn:PARTITION:cloudformation:REGION:ACCOUNT:stack/NAME/UUID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackId {
    text: String,
    /// Where the stack's account lives.
    pub partition: Partition,
    /// The stack's account.
    pub account: AccountId,
    /// The stack's name.
    pub name: String,
}

impl StackId {
    /// The rule in words.
    pub const RULE: Rule = "the ID of a CloudFormation stack";

    /// The ID as CloudFormation writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether CloudFormation named the policy for the logical ID `Boundary` of this stack: `STACK-Boundary-SUFFIX`,
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
            let _region = parts.next()?;
            let account = parts.next()?.parse().ok()?;
            let (name, uuid) = parts.next()?.strip_prefix("stack/")?.split_once('/')?;
            (!name.is_empty() && !uuid.is_empty()).then_some(())?;
            Some(Self { text: text.to_owned(), partition, account, name: name.to_owned() })
        };
        parse().ok_or(Self::RULE)
    }
}

/// A role's name as a tag value. IAM takes a comma in a name but not in a tag; a colon the other way round.
#[must_use]
pub fn role_tag(name: &RoleName) -> String {
    name.as_str().replace(',', ":")
}

/// A policy's name as a tag value, written as [`role_tag`] does.
#[must_use]
pub fn policy_tag(name: &str) -> String {
    name.replace(',', ":")
}

/// The policy that a role's tags say serves it.
#[must_use]
pub fn tagged_policy(tags: &Tags) -> Option<PolicyName> {
    tags.get(POLICY)?.replace(':', ",").parse().ok()
}

/// The roles that a role's tags say it replaced.
#[must_use]
pub fn replaced_roles(tags: &Tags) -> Vec<RoleName> {
    let names = tags.get(REPLACES).map(|note| note.replace(':', ",")).unwrap_or_default();
    names.split('/').filter_map(|name| name.parse().ok()).collect()
}

/// The note that a role replaced another, beside those it has. Three of the longest names fit into a tag; a note for
/// which there is no room any more is left out.
#[must_use]
pub fn note_replaced(tags: &Tags, name: &RoleName) -> String {
    let note = tags.get(REPLACES).cloned().unwrap_or_default();
    let is_noted = replaced_roles(tags).iter().any(|known| known.is_same(name));
    let longer = if note.is_empty() { role_tag(name) } else { format!("{note}/{}", role_tag(name)) };
    if is_noted || longer.len() > limits::TAG_VALUE { note } else { longer }
}

/// Whether a policy's tags say that it serves the role.
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
    fn names_survive_being_written_as_tags() -> Result<(), Rule> {
        let role: RoleName = "a,b=c+d@e.f_g-h".parse()?;
        let tags = Tags::from([(REPLACES.to_owned(), role_tag(&role)), (POLICY.to_owned(), policy_tag(role.as_str()))]);
        assert!(!role_tag(&role).contains(','));
        assert_eq!(replaced_roles(&tags), std::slice::from_ref(&role));
        assert_eq!(tagged_policy(&tags), Some(PolicyName::from(&role)));
        assert_eq!(replaced_roles(&Tags::from([(REPLACES.to_owned(), String::new())])), []);
        Ok(())
    }

    #[test]
    fn an_earlier_note_is_kept_beside_a_new_one() -> Result<(), Rule> {
        let mut tags = Tags::new();
        for name in ["a", "b,c", "A"] {
            tags.insert(REPLACES.to_owned(), note_replaced(&tags, &name.parse()?));
        }
        assert_eq!(tags[REPLACES], "a/b:c");
        assert_eq!(replaced_roles(&tags), ["a".parse()?, "b,c".parse()?]);
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
    fn what_is_no_stack_id_is_refused() {
        for text in ["", "stack", "arn:aws:iam::123456789012:role/x", "arn:aws:cloudformation:us-east-1:1:stack/a/b"] {
            assert_eq!(text.parse::<StackId>(), Err(StackId::RULE), "{text}");
        }
    }
}
