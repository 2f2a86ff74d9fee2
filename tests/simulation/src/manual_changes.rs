//! Manual changes: by other people who change resources of the stack, and by the administrator who follows the Reasons.

use std::time::Duration;

use cavatica_access::names::{PolicyArn, RoleArn, RoleName};
use cavatica_access::owner::{self, Tags};
use cavatica_access::port::{Change, PolicyEntity};
use cavatica_access::volume::BucketName;
use cavatica_memory::{HeldBucket, foreign_cors_rule, foreign_policy, foreign_role};
use tokio::time::sleep;

use super::BUCKETS;
use super::history::ManualChange;
use super::published::owner;
use super::simulator::Simulator;
use crate::Error;

impl Simulator<'_> {
    /// Does what the Reason says: tags the role again.
    pub(super) fn tag_again(&mut self, reason: &str) -> Result<(), Error> {
        let role: RoleName = option(reason, "--role-name").unwrap_or_default().parse()?;
        self.by_hand(&Change::TagRole { role, tags: owner()?.tags() })
    }

    /// Does what the Reason says: tags the policy again.
    pub(super) fn tag_policy_again(&mut self, reason: &str) -> Result<(), Error> {
        let arn: PolicyArn = option(reason, "--policy-arn").unwrap_or_default().parse()?;
        let tag = |pair: &str| {
            let (key, value) = pair.strip_prefix("Key=")?.split_once(",Value=")?;
            Some((key.to_owned(), value.to_owned()))
        };
        let command = reason.split('`').find(|part| part.starts_with("aws iam tag-policy")).unwrap_or_default();
        self.by_hand(&Change::TagPolicy { arn, tags: command.split(' ').filter_map(tag).collect() })
    }

    /// Does what the Reason says: detaches an older policy from where somebody attached it.
    pub(super) fn detach_by_hand(&mut self, reason: &str) -> Result<(), Error> {
        let arn: PolicyArn = option(reason, "--policy-arn").unwrap_or_default().parse()?;
        let name = |kind| option(reason, kind).map(str::to_owned);
        let role = name("--role-name").map(PolicyEntity::Role);
        let other =
            role.or(name("--user-name").map(PolicyEntity::User)).or(name("--group-name").map(PolicyEntity::Group));
        self.by_hand(&Change::Detach { from: other.ok_or("nobody to detach from")?, arn })
    }

    /// Does what the Reason says: attaches an older policy again.
    pub(super) fn attach_by_hand(&mut self, reason: &str) -> Result<(), Error> {
        let arn: PolicyArn = option(reason, "--policy-arn").unwrap_or_default().parse()?;
        self.by_hand(&Change::Attach { role: option(reason, "--role-name").unwrap_or_default().parse()?, arn })
    }

    /// Does what the Reasons say: takes our role out of the profile and our policy off as boundary.
    pub(super) fn clear_obstacles(&mut self) -> Result<(), Error> {
        let world = self.world;
        let profiles: Vec<_> = world.account.read(|state| {
            state.instance_profiles().map(|(profile, role)| (profile.to_owned(), role.to_owned())).collect()
        });
        for (profile, role) in profiles {
            world.account.set_instance_profile_by_hand(&profile, &role.parse()?, false);
        }
        if world.account.read(|state| state.role_named("capped").is_some()) {
            self.by_hand(&Change::DeleteRole { role: "capped".parse()? })?;
        }
        self.look_again();
        Ok(())
    }

    /// Makes a change outside of CloudFormation and the function, if IAM takes it.
    pub(super) fn by_hand(&mut self, change: &Change) -> Result<(), Error> {
        let result = self.world.account.by_hand(change);
        self.world.tell(|| {
            format!("by hand: {change} -> {}", result.map_or_else(|failure| failure.code, |_| "done".to_owned()))
        });
        self.look_again();
        Ok(())
    }

    pub(super) fn look_again(&self) {
        let world = self.world;
        world.account.read(|state| world.invariants(|invariants| invariants.manual_change(state)));
    }

    /// Returns the role that the stack has now, and its policy.
    pub(super) fn ours(&self) -> Option<(RoleName, PolicyArn)> {
        let arn: RoleArn = self.stack.physical_id().parse().ok()?;
        self.world.account.read(|state| {
            let role = state.role_named(arn.name.as_str()).filter(|role| role.arn == arn)?;
            let policy = role.arn.beside(&owner::tagged_policy(&role.tags)?);
            state.document(&policy).map(|_| (role.arn.name.clone(), policy.clone()))
        })
    }

    pub(super) fn has_leftovers(&self) -> Result<bool, Error> {
        let owner = owner()?;
        Ok(self.world.account.read(|state| {
            state.roles().filter(|role| owner.owns(&role.tags)).count() > 1
                || state.policies().filter(|(_, tags, _)| owner.owns(tags)).count() > 1
        }))
    }

    pub(super) async fn manual_change(&mut self, manual_change: ManualChange) -> Result<(), Error> {
        let world = self.world;
        // What was done before shows by now, and what is done here will when the next event comes.
        sleep(Duration::from_secs(60)).await;
        world.settle();
        world.tell(|| format!("── somebody else: {manual_change:?}"));
        let changes = match (manual_change, self.ours()) {
            (ManualChange::MakesRole(name), _) => {
                vec![foreign_role(format!("arn:aws:iam::123456789012:role/{name}").parse()?)]
            }
            (ManualChange::MakesPolicy(name), _) => {
                vec![foreign_policy(format!("arn:aws:iam::123456789012:policy/{name}").parse()?)]
            }
            (ManualChange::ReplacesCors, _) => {
                for (name, held) in world.account.read(|state| state.buckets().map(owned).collect::<Vec<_>>()) {
                    let cors = vec![foreign_cors_rule("shop"), foreign_cors_rule("portal")];
                    world.account.hold(name, Some(HeldBucket { cors, ..held }));
                }
                Vec::new()
            }
            (ManualChange::DeletesBucket, _) => {
                world.account.hold(BUCKETS[1].parse()?, None);
                Vec::new()
            }
            (_, None) => Vec::new(),
            // Where a clean-up failed, the role in use is all that still tells of the older one.
            (ManualChange::UntagsRole | ManualChange::DeletesRole, Some(_))
                if self.has_manual_changes || self.has_leftovers()? =>
            {
                Vec::new()
            }
            (ManualChange::Detaches, Some((role, arn))) => vec![detach(&role, arn)],
            (ManualChange::DeletesPolicy, Some((_, arn))) => self.deletion_of_policy(&arn),
            (ManualChange::DeletesRole, Some((role, _))) => self.deletion_of_role(&role)?,
            (ManualChange::UntagsPolicy, Some((_, arn))) => {
                world.account.set_policy_tags_by_hand(&arn, Tags::new());
                Vec::new()
            }
            (ManualChange::UntagsRole, Some((role, _))) => {
                world.account.set_role_tags_by_hand(&role, Tags::new());
                Vec::new()
            }
            (ManualChange::AttachesOursToARole, Some((_, arn))) => {
                world.account.attach_by_hand(PolicyEntity::Role("bystander".to_owned()), arn);
                Vec::new()
            }
            (ManualChange::AttachesOursToPeople, Some((_, arn))) => {
                for carrier in [PolicyEntity::User("u".to_owned()), PolicyEntity::Group("g".to_owned())] {
                    world.account.attach_by_hand(carrier, arn.clone());
                }
                Vec::new()
            }
            (ManualChange::AttachesAnotherToOurs, Some((role, _))) => {
                vec![Change::Attach { role, arn: "arn:aws:iam::aws:policy/ReadOnlyAccess".parse()? }]
            }
            (ManualChange::PutsInline, Some((role, _))) => {
                world.account.put_inline_by_hand(&role, "added-by-hand");
                Vec::new()
            }
            (ManualChange::PutsIntoProfile, Some((role, _))) => {
                world.account.set_instance_profile_by_hand("profile", &role, true);
                Vec::new()
            }
            (ManualChange::CapsWithOurs, Some((_, arn))) => {
                let Change::CreateRole(mut new) = foreign_role("arn:aws:iam::123456789012:role/capped".parse()?) else {
                    return Ok(());
                };
                new.boundary = Some(arn);
                vec![Change::CreateRole(new)]
            }
        };
        for change in changes {
            self.by_hand(&change)?;
        }
        self.has_manual_changes = true;
        self.look_again();
        sleep(Duration::from_secs(60)).await;
        Ok(())
    }

    pub(super) fn deletion_of_policy(&self, arn: &PolicyArn) -> Vec<Change> {
        let entities: Vec<_> = self.world.account.read(|state| {
            state.attachments().filter(|(_, attached)| attached == arn).map(|(carrier, _)| carrier.clone()).collect()
        });
        let mut changes: Vec<_> = entities.into_iter().map(|from| Change::Detach { from, arn: arn.clone() }).collect();
        let old = |number| Change::DeletePolicyVersion { arn: arn.clone(), version: format!("v{number}") };
        changes.extend((1..20).map(old));
        changes.push(Change::DeletePolicy { arn: arn.clone() });
        changes
    }

    pub(super) fn deletion_of_role(&self, role: &RoleName) -> Result<Vec<Change>, Error> {
        let mut changes: Vec<_> = self.world.account.read(|state| {
            let is_its = |carrier: &PolicyEntity| *carrier == PolicyEntity::Role(role.to_string());
            let attached = state.attachments().filter(|(carrier, _)| is_its(carrier));
            let inline = state.inline_policies(role.as_str()).into_iter();
            let inline = inline.map(|name| Change::DeleteInlinePolicy { role: role.clone(), name: name.to_owned() });
            attached.map(|(_, arn)| detach(role, arn.clone())).chain(inline).collect()
        });
        self.world.account.set_instance_profile_by_hand("profile", role, false);
        changes.push(Change::DeleteRole { role: role.clone() });
        Ok(changes)
    }
}

/// Returns the value of an option in a Reason's command.
fn option<'r>(reason: &'r str, name: &str) -> Option<&'r str> {
    let mut words = reason.split([' ', '`']);
    words.find(|word| *word == name).and_then(|_| words.next())
}

fn owned((name, held): (&BucketName, &HeldBucket)) -> (BucketName, HeldBucket) {
    (name.clone(), held.clone())
}

fn detach(role: &RoleName, arn: PolicyArn) -> Change {
    Change::Detach { from: PolicyEntity::Role(role.to_string()), arn }
}
