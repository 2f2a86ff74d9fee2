//! Whose a role or policy is: the tags that say so, and how they are read.
//!
//! The tags are frozen for ever: the code of one release meets roles that another one made.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::limits;
use crate::names::{AccountId, IamPath, Partition, PolicyName, RoleName, Rule};

/// Tags of a role or policy.
pub type Tags = BTreeMap<String, String>;

/// How IAM tells tag keys apart: on a role it ignores letter case, on a policy it does not. Source: IAM User Guide,
/// "Tags for AWS Identity and Access Management resources", "Rules for tagging".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKeys {
    /// Of a role.
    OfRole,
    /// Of a managed policy.
    OfPolicy,
}

impl TagKeys {
    /// The form of a key that equal keys share.
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
/// The tag that names the roles that a role replaced: its [`Lineage`].
///
/// It is changed, never removed: the provider may set our tags but never take one off.
pub const REPLACES: &str = "cavatica-connect:replaces";

/// How many of a role's tags can be ours: these, and the note of those that were asked for.
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
    /// True if something with these tags was made by this custom resource. Anything else is never touched.
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
    /// The partition of the stack's account.
    pub partition: Partition,
    /// The stack's account.
    pub account: AccountId,
    /// The stack's name.
    pub name: String,
    uuid: String,
}

impl StackId {
    /// The rule in words.
    pub const RULE: Rule = "the ID of a CloudFormation stack";

    /// The ID as CloudFormation writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part that tells it from every other stack.
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
            let _region = parts.next()?;
            let account = parts.next()?.parse().ok()?;
            let (name, uuid) = parts.next()?.strip_prefix("stack/")?.split_once('/')?;
            (!name.is_empty() && !uuid.is_empty()).then_some(())?;
            Some(Self { text: text.to_owned(), partition, account, name: name.to_owned(), uuid: uuid.to_owned() })
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

/// Which roles a role replaced that may still be there, and how often the stack's role had been replaced by then.
///
/// It is one tag, so that it changes in one step. Of two roles the one of the later generation is in use: the Delete of
/// the other must not follow a note to it, and its own Delete finds the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// 0 for a role that replaced none.
    pub generation: u32,
    /// The roles it replaced, until they are gone.
    pub replaced: Vec<Replaced>,
}

/// A role that was replaced, and its policy: the role itself may never have been made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The path of both.
    pub path: IamPath,
    /// The role.
    pub role: RoleName,
    /// Its policy.
    pub policy: PolicyName,
}

impl Replaced {
    fn read(text: &str) -> Option<Self> {
        let (place, policy) = text.split_once("//").map_or((text, None), |(place, policy)| (place, Some(policy)));
        let at = place.rfind('/').map_or(0, |slash| slash + 1);
        let (path, role) = place.split_at(at);
        let policy = policy.unwrap_or(role).parse().ok()?;
        let path = if path.is_empty() { IamPath::default() } else { path.parse().ok()? };
        Some(Self { path, role: role.parse().ok()?, policy })
    }

    /// The role's name, after its path if it has one, and the policy's after two slashes if it is another.
    fn tag(&self) -> String {
        let path = if self.path == IamPath::default() { String::new() } else { self.path.as_str().replace(',', ":") };
        format!("{path}{}", self.names())
    }

    fn names(&self) -> String {
        let (role, policy) = (role_tag(&self.role), policy_tag(self.policy.as_str()));
        if role == policy { role } else { format!("{role}//{policy}") }
    }
}

impl Lineage {
    /// The lineage that a role's tags tell.
    #[must_use]
    pub fn of(tags: &Tags) -> Self {
        let note = tags.get(REPLACES).map(|note| note.replace(':', ",")).unwrap_or_default();
        let mut words = note.split(' ');
        Self {
            generation: words.next().and_then(|word| word.parse().ok()).unwrap_or_default(),
            replaced: words.filter_map(Replaced::read).collect(),
        }
    }

    /// The tag: the generation and the roles, with a space between them. One for which there is no room any more is left
    /// out, or first its path; one of the longest names always has room.
    #[must_use]
    pub fn tag(&self) -> String {
        let mut tag = self.generation.to_string();
        for replaced in &self.replaced {
            let room = limits::TAG_VALUE.saturating_sub(tag.len() + 1);
            if let Some(word) = [replaced.tag(), replaced.names()].into_iter().find(|word| word.len() <= room) {
                tag = format!("{tag} {word}");
            }
        }
        tag
    }

    /// The lineage of a role once it has replaced another.
    #[must_use]
    pub fn replacing(&self, other: Replaced, its: &Self) -> Self {
        let mut after = self.clone();
        // The same role under another path has other policies.
        let is_known = |known: &Replaced| known.role.is_same(&other.role) && known.path == other.path;
        if !after.replaced.iter().any(is_known) {
            after.replaced.push(other);
        }
        if after.generation <= its.generation {
            after.generation = its.generation + 1;
        }
        after
    }

    /// The same when all those that it replaced are gone.
    #[must_use]
    pub fn cleared(&self) -> Self {
        Self { generation: self.generation, replaced: Vec::new() }
    }

    /// True if it names a role as replaced.
    #[must_use]
    pub fn names(&self, role: &RoleName) -> bool {
        self.replaced.iter().any(|replaced| replaced.role.is_same(role))
    }
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

    fn named(role: &str, policy: &str) -> Result<Replaced, Rule> {
        Ok(Replaced { path: IamPath::default(), role: role.parse()?, policy: policy.parse()? })
    }

    #[test]
    fn names_survive_being_written_as_tags() -> Result<(), Rule> {
        let odd = "a,b=c+d@e.f_g-h";
        let placed = |path: &str, named: Replaced| Ok::<_, Rule>(Replaced { path: path.parse()?, ..named });
        let replaced = vec![
            named(odd, odd)?,
            named("34", "p,q")?,
            placed("/labs/a,b/", named("r", "r")?)?,
            placed("/labs/", named("r", "p")?)?,
        ];
        let lineage = Lineage { generation: 12, replaced };
        let tags = Tags::from([(REPLACES.to_owned(), lineage.tag()), (POLICY.to_owned(), policy_tag(odd))]);
        assert!(!lineage.tag().contains(','));
        assert_eq!(Lineage::of(&tags), lineage);
        assert_eq!(tagged_policy(&tags), Some(odd.parse()?));
        assert_eq!(Lineage::of(&Tags::new()), Lineage::default());
        Ok(())
    }

    #[test]
    fn a_role_that_replaces_another_is_of_a_later_generation_whatever_it_was_before() -> Result<(), Rule> {
        let first = Lineage::default();
        let second = Lineage::default().replacing(named("old", "old")?, &first);
        assert_eq!(second.tag(), "1 old");
        let taken_back = first.replacing(named("new", "shared")?, &second);
        assert_eq!(taken_back.tag(), "2 new//shared");
        assert_eq!(taken_back.replacing(named("NEW", "NEW")?, &second), taken_back, "it is already said");
        assert_eq!(taken_back.cleared().tag(), "2");
        Ok(())
    }

    #[test]
    fn the_longest_names_fit_and_what_does_not_is_left_out() -> Result<(), Rule> {
        let (a, b, c) = ("a".repeat(64), "b".repeat(128), "c".repeat(60));
        let replaced = vec![named(&a, &b)?, named(&c, &c)?, named(&a, &a)?];
        let lineage = Lineage { generation: u32::MAX, replaced };
        let tags = Tags::from([(REPLACES.to_owned(), lineage.tag())]);
        assert!(lineage.tag().len() <= limits::TAG_VALUE);
        assert_eq!(Lineage::of(&tags).replaced, lineage.replaced[..1]);

        let path = format!("/{}/", "p".repeat(limits::PATH - 2)).parse()?;
        let lineage = Lineage { generation: u32::MAX, replaced: vec![Replaced { path, ..named(&a, &b)? }] };
        let tags = Tags::from([(REPLACES.to_owned(), lineage.tag())]);
        assert_eq!(Lineage::of(&tags).replaced, [named(&a, &b)?], "its path goes first");
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
