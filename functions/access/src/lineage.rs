//! Succession of a stack's roles: which role is in use, and which older roles still have to be deleted.
//!
//! A rename creates a new role beside the old one. CloudFormation deletes the old role later, or never: the Delete may
//! fail, or the rename may be rolled back. So every role carries one tag, `cavatica-connect:replaces`, with its
//! [`Lineage`]: a generation number, and the roles that it replaced.
//!
//! # Flow
//!
//! 1. An update that replaces a role tags the new one with [`Lineage::after_replacing`]: a later generation, and the
//!    old role.
//! 2. An update that keeps its role deletes the [`older_roles_of_update`], and then clears the list
//!    ([`Lineage::without_replaced_roles`]).
//! 3. A Delete follows the [`older_roles_of_deletion`] from role to role, and deletes them too.
//! 4. Both skip a role for which [`is_in_use`] is true.
//!
//! # Guarantees
//!
//! - Of two roles of a stack, the one of the later generation is in use. The Delete of the other role never reaches it.
//! - Generation and list are one tag, so that one call changes both.
//! - Generations fall from role to older role, so that following them ends.
//!
//! # Assumptions
//!
//! - Nobody removes the tag. Without it, an older role whose deletion failed stays.
//! - The tag's form never changes: the code of one release reads the tags of another.
//!
//! # Errors
//!
//! None: everything here is pure. A tag that cannot be read is an empty lineage.

use crate::limits;
use crate::names::{IamPath, PolicyName, RoleName};
use crate::owner::{REPLACES, Tags, policy_tag, role_tag};

/// Generation of a role, and the older roles that it replaced and that may still exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Number of replacements before this role; 0 for the first.
    pub generation: u32,
    /// Roles that it replaced, until they are deleted.
    pub replaced: Vec<ReplacedRole>,
}

/// Role that was replaced, and its policy. The role itself may never have been created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacedRole {
    /// Path of role and policy.
    pub path: IamPath,
    /// Name of the role.
    pub role: RoleName,
    /// Name of the policy.
    pub policy: PolicyName,
}

impl ReplacedRole {
    /// True if both are the same role. The path counts, because the ARNs of the policies contain it.
    fn is_same_role(&self, other: &Self) -> bool {
        self.role.is_same(&other.role) && self.path == other.path
    }

    fn read(text: &str) -> Option<Self> {
        let (place, policy) = text.split_once("//").map_or((text, None), |(place, policy)| (place, Some(policy)));
        let at = place.rfind('/').map_or(0, |slash| slash + 1);
        let (path, role) = place.split_at(at);
        let policy = policy.unwrap_or(role).parse().ok()?;
        let path = if path.is_empty() { IamPath::default() } else { path.parse().ok()? };
        Some(Self { path, role: role.parse().ok()?, policy })
    }

    /// Returns `[PATH]ROLE[//POLICY]`; without the policy if it has the role's name.
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
    /// Reads the lineage from a role's tags.
    #[must_use]
    pub fn of(tags: &Tags) -> Self {
        let note = tags.get(REPLACES).map(|note| note.replace(':', ",")).unwrap_or_default();
        let mut words = note.split(' ');
        Self {
            generation: words.next().and_then(|word| word.parse().ok()).unwrap_or_default(),
            replaced: words.filter_map(ReplacedRole::read).collect(),
        }
    }

    /// Returns the tag's value, `GENERATION [PATH]ROLE[//POLICY] …`, of at most 256 characters. A role that does not
    /// fit is written without its path, or left out. The first role always fits.
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

    /// Returns the lineage after the role replaced another one that has the lineage `its`.
    #[must_use]
    pub fn after_replacing(&self, other: ReplacedRole, its: &Self) -> Self {
        let mut after = self.clone();
        if !after.replaced.iter().any(|known| known.is_same_role(&other)) {
            after.replaced.push(other);
        }
        if after.generation <= its.generation {
            after.generation = its.generation + 1;
        }
        after
    }

    /// Returns the lineage after all replaced roles are deleted.
    #[must_use]
    pub fn without_replaced_roles(&self) -> Self {
        Self { generation: self.generation, replaced: Vec::new() }
    }

    /// True if a role is among the replaced ones.
    #[must_use]
    pub fn names(&self, role: &RoleName) -> bool {
        self.replaced.iter().any(|replaced| replaced.role.is_same(role))
    }
}

/// Role whose lineage names an older role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// Name.
    pub name: RoleName,
    /// Generation; `None` if the role no longer exists.
    pub generation: Option<u32>,
}

impl Successor {
    /// True if the role with this lineage is the newer one after all, as after a rename that was rolled back.
    fn is_replaced_by(&self, lineage: &Lineage) -> bool {
        match self.generation {
            Some(generation) => generation <= lineage.generation,
            None => lineage.names(&self.name),
        }
    }
}

/// Older role that may have to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OlderRole {
    /// Name of the role.
    pub role: ReplacedRole,
    /// Further names that its policy may have.
    pub policies: Vec<PolicyName>,
    /// Role whose lineage names it; `None` if it is deleted whatever its own lineage says.
    pub successor: Option<Successor>,
}

/// Returns the older roles of an update that keeps its role: those of the role's lineage, and then the one of the old
/// properties. CloudFormation would delete the latter itself if it were in use, so its own lineage does not count.
#[must_use]
pub fn older_roles_of_update(wanted: &RoleName, lineage: &Lineage, old_role: Option<ReplacedRole>) -> Vec<OlderRole> {
    let is_former = |noted: &&ReplacedRole| old_role.as_ref().is_some_and(|it| it.is_same_role(noted));
    let noted = lineage.replaced.iter().filter(|noted| !is_former(noted)).map(|noted| OlderRole {
        role: noted.clone(),
        policies: Vec::new(),
        successor: Some(Successor { name: wanted.clone(), generation: Some(lineage.generation) }),
    });
    let policies = lineage.replaced.iter().filter(is_former).map(|noted| noted.policy.clone()).collect();
    let named = old_role.clone().map(|role| OlderRole { role, policies, successor: None });
    noted.chain(named).collect()
}

/// Returns the older roles of a role to delete: those of its lineage, if it exists, and the other role of the event.
#[must_use]
pub fn older_roles_of_deletion(
    role: &RoleName,
    lineage: Option<&Lineage>,
    other_role: Option<&ReplacedRole>,
) -> Vec<OlderRole> {
    let successor = Successor { name: role.clone(), generation: lineage.map(|lineage| lineage.generation) };
    let older_role = |role: &ReplacedRole| OlderRole {
        role: role.clone(),
        policies: Vec::new(),
        successor: Some(successor.clone()),
    };
    lineage.iter().flat_map(|lineage| &lineage.replaced).chain(other_role).map(older_role).collect()
}

/// True if an older role is in use, and so is kept: it is the desired one, or newer than the role whose lineage names
/// it.
#[must_use]
pub fn is_in_use(
    role: &RoleName,
    lineage: Option<&Lineage>,
    successor: Option<&Successor>,
    wanted: Option<&RoleName>,
) -> bool {
    let is_later = successor.zip(lineage).is_some_and(|(successor, lineage)| successor.is_replaced_by(lineage));
    is_later || wanted.is_some_and(|wanted| wanted.is_same(role))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Rule;
    use crate::owner::{POLICY, policy_tag, tagged_policy};

    fn named(role: &str, policy: &str) -> Result<ReplacedRole, Rule> {
        Ok(ReplacedRole { path: IamPath::default(), role: role.parse()?, policy: policy.parse()? })
    }

    #[test]
    fn names_survive_being_written_as_tags() -> Result<(), Rule> {
        let odd = "a,b=c+d@e.f_g-h";
        let placed = |path: &str, named: ReplacedRole| Ok::<_, Rule>(ReplacedRole { path: path.parse()?, ..named });
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
        let second = Lineage::default().after_replacing(named("old", "old")?, &first);
        assert_eq!(second.tag(), "1 old");
        let taken_back = first.after_replacing(named("new", "shared")?, &second);
        assert_eq!(taken_back.tag(), "2 new//shared");
        assert_eq!(taken_back.after_replacing(named("NEW", "NEW")?, &second), taken_back, "it is already said");
        assert_eq!(taken_back.without_replaced_roles().tag(), "2");
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
        let lineage = Lineage { generation: u32::MAX, replaced: vec![ReplacedRole { path, ..named(&a, &b)? }] };
        let tags = Tags::from([(REPLACES.to_owned(), lineage.tag())]);
        assert_eq!(Lineage::of(&tags).replaced, [named(&a, &b)?], "its path goes first");
        Ok(())
    }

    fn lineage(generation: u32, replaced: &[&str]) -> Result<Lineage, Rule> {
        let replaced = replaced.iter().map(|role| named(role, role)).collect::<Result<_, _>>()?;
        Ok(Lineage { generation, replaced })
    }

    fn text(older_roles: &[OlderRole]) -> String {
        let one = |older_role: &OlderRole| {
            let policies: Vec<_> = older_role.policies.iter().map(|policy| format!("+{}", policy.as_str())).collect();
            let successor = older_role
                .successor
                .as_ref()
                .map(|successor| format!("<{}:{:?}", successor.name, successor.generation));
            format!("{}{}{}", older_role.role.tag(), policies.concat(), successor.unwrap_or_default())
        };
        older_roles.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_update_follows_the_lineage_and_then_the_old_properties() -> Result<(), Rule> {
        let wanted: RoleName = "c".parse()?;
        let noted = lineage(2, &["a", "b"])?;
        for (name, old_role, expected) in [
            ("nothing was asked for before", None, "a<c:Some(2) b<c:Some(2)"),
            ("another role was", Some(named("d", "d")?), "a<c:Some(2) b<c:Some(2) d"),
            ("a noted one was: it goes in any case, with both policies", Some(named("A", "p")?), "b<c:Some(2) A//p+a"),
        ] {
            assert_eq!(text(&older_roles_of_update(&wanted, &noted, old_role)), expected, "{name}");
        }
        Ok(())
    }

    #[test]
    fn a_deletion_follows_the_lineage_and_the_other_role() -> Result<(), Rule> {
        let (role, other_role) = ("c".parse()?, named("d", "d")?);
        let noted = lineage(2, &["a"])?;
        assert_eq!(text(&older_roles_of_deletion(&role, Some(&noted), Some(&other_role))), "a<c:Some(2) d<c:Some(2)");
        assert_eq!(
            text(&older_roles_of_deletion(&role, None, Some(&other_role))),
            "d<c:None",
            "it is not there any more"
        );
        assert_eq!(text(&older_roles_of_deletion(&role, Some(&noted), None)), "a<c:Some(2)");
        Ok(())
    }

    #[test]
    fn a_role_is_in_use_if_desired_or_newer_than_its_successor() -> Result<(), Rule> {
        let successor = |generation| Ok::<_, Rule>(Some(Successor { name: "c".parse()?, generation }));
        for (name, noted, successor, wanted, expected) in [
            ("wanted, in whatever letter case", None, None, Some("A".parse()?), true),
            ("another is wanted", None, None, Some("b".parse()?), false),
            ("older than what leads to it", Some(lineage(1, &[])?), successor(Some(2))?, None, false),
            ("of the same generation", Some(lineage(2, &[])?), successor(Some(2))?, None, true),
            ("later", Some(lineage(3, &[])?), successor(Some(2))?, None, true),
            ("it names what leads to it and is gone", Some(lineage(1, &["c"])?), successor(None)?, None, true),
            ("it does not", Some(lineage(9, &[])?), successor(None)?, None, false),
            ("it is not there", None, successor(Some(0))?, None, false),
        ] {
            assert_eq!(
                is_in_use(&"a".parse()?, noted.as_ref(), successor.as_ref(), wanted.as_ref()),
                expected,
                "{name}"
            );
        }
        Ok(())
    }
}
