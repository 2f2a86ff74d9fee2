//! Observation of roles that should be deleted, older ones first. [`crate::lineage`] decides which roles those are.

use std::pin::Pin;

use futures_util::future::{try_join, try_join_all, try_join3};

use super::Observer;
use crate::desired::{Deletion, Desired, RoleToDelete};
use crate::lineage::{self, Lineage, OlderRole, Successor};
use crate::names::{PolicyArn, PolicyName, RoleName};
use crate::observed::{RemainingPolicy, RemainingRole};
use crate::owner::{self, Owner};
use crate::port::{Clock, Look, Policy, ReadAccount, Role, Usage};
use crate::recognition::is_policy_without_owner;
use crate::refusal::Refusal;

/// Role to delete, after the first round trip.
struct FoundRole {
    role_to_delete: RoleToDelete,
    /// Role, whoever owns it.
    role: Option<Role>,
    is_ours: bool,
    /// Policies of this stack that serve the role, out of the candidates.
    policies: Vec<Policy>,
    /// The other candidates, whoever owns them.
    others: Vec<Policy>,
}

/// Policies and instance profiles of a role.
#[derive(Default)]
struct Contents {
    attached: Vec<PolicyArn>,
    inline: Vec<String>,
    profiles: Vec<String>,
}

impl FoundRole {
    fn ours(&self) -> Option<&Role> {
        self.role.as_ref().filter(|_| self.is_ours)
    }

    fn lineage(&self) -> Option<Lineage> {
        self.ours().map(|role| Lineage::of(&role.tags))
    }

    /// Returns the policy that the role's tags name.
    fn tagged_policy(&self) -> Option<PolicyArn> {
        self.ours().and_then(|role| Some(role.arn.beside(&owner::tagged_policy(&role.tags)?)))
    }

    /// Returns further candidates, by the role's tags and path: a role under another path than expected has its policy
    /// there.
    fn other_candidates(&self, owner: &Owner) -> Vec<PolicyArn> {
        let asked = self.role_to_delete.candidates(owner);
        let by_role_name = self.role.as_ref().map(|role| role.arn.beside(&PolicyName::from(&role.arn.name)));
        let mut others: Vec<_> =
            self.tagged_policy().into_iter().chain(by_role_name).filter(|arn| !asked.contains(arn)).collect();
        others.dedup();
        others
    }

    /// Returns policies of an earlier role of the same name, other than the policy of the role that has the name now.
    fn orphans(&self) -> Vec<Policy> {
        let its_own = self.tagged_policy();
        let is_its_own = |policy: &&Policy| its_own.as_ref().is_some_and(|own| own.is_same(&policy.arn));
        self.policies.iter().filter(|policy| !is_its_own(policy)).cloned().collect()
    }
}

/// Desired role and policy, as just observed, so that no older role reads them again.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownRole<'s> {
    pub(super) name: &'s RoleName,
    pub(super) role: Option<&'s Role>,
    pub(super) policy_arn: &'s PolicyArn,
    pub(super) policy: Option<&'s Policy>,
}

type Chain<'s> = Pin<Box<dyn Future<Output = Result<Vec<RemainingRole>, Refusal>> + Send + 's>>;

impl<I: ReadAccount, C: Clock> Observer<'_, I, C> {
    /// Observes the role of a Delete, and before it the older roles.
    pub async fn remaining_roles_of(&self, deletion: &Deletion) -> Result<Vec<RemainingRole>, Refusal> {
        match &deletion.role {
            Some(role_to_delete) => Ok(concatenate(vec![self.chain(role_to_delete.clone(), None, None).await?])),
            None => Ok(Vec::new()),
        }
    }

    /// Observes the older roles that CloudFormation will not delete: in an update that keeps its role, those that the
    /// role replaced, and the one of the old properties (if its creation failed half-way).
    pub(super) async fn remaining_roles(
        &self,
        desired: &Desired,
        wanted: KnownRole<'_>,
    ) -> Result<Vec<RemainingRole>, Refusal> {
        if desired.replaced_role.is_some() {
            return Ok(Vec::new());
        }
        let ours = wanted.role.filter(|role| self.owner.owns(&role.tags));
        let lineage = ours.map(|role| Lineage::of(&role.tags)).unwrap_or_default();
        let older_roles = lineage::older_roles_of_update(wanted.name, &lineage, desired.old_properties.replaced());
        Ok(concatenate(
            try_join_all(older_roles.into_iter().map(|older_role| self.follow(older_role, Some(wanted)))).await?,
        ))
    }

    fn follow<'s>(&'s self, older_role: OlderRole, wanted: Option<KnownRole<'s>>) -> Chain<'s> {
        let mut role_to_delete = RoleToDelete::older(older_role.role);
        role_to_delete.policies.extend(older_role.policies);
        self.chain(role_to_delete, older_role.successor, wanted)
    }

    /// Observes a role to delete and, before it, its older roles. If the role is in use, only policies of an earlier
    /// role of its name.
    fn chain<'s>(
        &'s self,
        role_to_delete: RoleToDelete,
        successor: Option<Successor>,
        wanted: Option<KnownRole<'s>>,
    ) -> Chain<'s> {
        Box::pin(async move {
            // The plan refuses the same name in other letter case.
            if wanted
                .is_some_and(|wanted| wanted.name.is_same(&role_to_delete.name) && *wanted.name != role_to_delete.name)
            {
                return Ok(Vec::new());
            }
            let found = self.found(role_to_delete, wanted).await?;
            let (name, lineage) = (&found.role_to_delete.name, found.lineage());
            if lineage::is_in_use(name, lineage.as_ref(), successor.as_ref(), wanted.map(|wanted| wanted.name)) {
                return self.orphans(found).await;
            }
            let older_roles =
                lineage::older_roles_of_deletion(name, lineage.as_ref(), found.role_to_delete.other_role.as_ref());
            let older = try_join_all(older_roles.into_iter().map(|older_role| self.follow(older_role, wanted)));
            let (older, remaining_role) = try_join(older, self.remaining_role(found)).await?;
            Ok(older.into_iter().flatten().chain([remaining_role]).collect())
        })
    }

    async fn found(&self, role_to_delete: RoleToDelete, wanted: Option<KnownRole<'_>>) -> Result<FoundRole, Refusal> {
        let (known, candidates): (Vec<_>, Vec<_>) = role_to_delete
            .candidates(self.owner)
            .into_iter()
            .partition(|arn| wanted.is_some_and(|it| it.policy_arn == arn));
        let role = async {
            match wanted.filter(|wanted| *wanted.name == role_to_delete.name) {
                Some(wanted) => Ok(wanted.role.cloned()),
                None => self.role(&role_to_delete.role(self.owner)).await,
            }
        };
        let (role, mut policies) = try_join(role, self.policies(&candidates)).await?;
        let known = wanted.and_then(|wanted| wanted.policy).filter(|_| !known.is_empty());
        policies.extend(known.cloned());
        let serves =
            |policy: &Policy| self.owner.owns(&policy.tags) && owner::serves(&policy.tags, &role_to_delete.name);
        let (policies, others) = policies.into_iter().partition(serves);
        let role = role.filter(|role| role_to_delete.is(role));
        let is_ours = role.as_ref().is_some_and(|role| self.owner.owns(&role.tags));
        Ok(FoundRole { role_to_delete, role, is_ours, policies, others })
    }

    async fn orphans(&self, found: FoundRole) -> Result<Vec<RemainingRole>, Refusal> {
        let policies = self.remaining_policies(&found.orphans()).await?;
        if policies.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![RemainingRole { policies, ..RemainingRole::none(found.role_to_delete.name) }])
    }

    /// Observes the rest of one role to delete, in at most two further round trips.
    async fn remaining_role(&self, found: FoundRole) -> Result<RemainingRole, Refusal> {
        let name = found.role.as_ref().map_or(&found.role_to_delete.name, |role| &role.arn.name);
        let serves =
            |policy: &Policy| self.owner.owns(&policy.tags) && owner::serves(&policy.tags, &found.role_to_delete.name);
        let others = found.other_candidates(self.owner);
        let (contents, first, others) =
            try_join3(self.contents(found.ours()), self.remaining_policies(&found.policies), self.policies(&others))
                .await?;
        let candidates = found.others.iter().chain(&others);
        let without_owner = candidates
            .filter(|policy| is_policy_without_owner(policy, &contents.attached, self.owner))
            .map(|policy| policy.arn.clone())
            .collect();

        let account = self.owner.stack.account.as_str();
        let is_seen = |arn: &PolicyArn| found.policies.iter().chain(&others).any(|policy| policy.arn.is_same(arn));
        let unseen: Vec<_> =
            contents.attached.iter().filter(|arn| arn.account() == account && !is_seen(arn)).cloned().collect();
        let serving: Vec<_> = others.iter().filter(|policy| serves(policy)).cloned().collect();
        let late = async {
            let mut late = self.policies(&unseen).await?;
            late.retain(serves);
            self.remaining_policies(&late).await
        };
        let (second, late) = try_join(self.remaining_policies(&serving), late).await?;
        let Contents { attached, inline, profiles } = contents;
        let policies = [first, second, late].concat();
        Ok(RemainingRole {
            name: name.clone(),
            role: found.role.clone(),
            attached,
            inline,
            profiles,
            policies,
            without_owner,
        })
    }

    async fn contents(&self, ours: Option<&Role>) -> Result<Contents, Refusal> {
        let Some(name) = ours.map(|role| &role.arn.name) else { return Ok(Contents::default()) };
        let (attached, inline, profiles) = try_join3(
            self.attached_to(name),
            self.look(Look::Inline(name.clone())),
            self.look(Look::Profiles(name.clone())),
        )
        .await?;
        Ok(Contents { attached, inline, profiles })
    }

    async fn remaining_policies(&self, policies: &[Policy]) -> Result<Vec<RemainingPolicy>, Refusal> {
        try_join_all(policies.iter().map(|policy| self.remaining_policy(policy))).await
    }

    async fn remaining_policy(&self, policy: &Policy) -> Result<RemainingPolicy, Refusal> {
        let arn = &policy.arn;
        let entities = |usage| self.look(Look::PolicyEntities(arn.clone(), usage));
        let (versions, entities, bounded) =
            try_join3(self.versions(arn), entities(Usage::Permissions), entities(Usage::Boundary)).await?;
        Ok(RemainingPolicy { policy: policy.clone(), versions, entities, bounded })
    }

    /// Reads policies; leaves out those that do not exist.
    async fn policies(&self, arns: &[PolicyArn]) -> Result<Vec<Policy>, Refusal> {
        Ok(try_join_all(arns.iter().map(|arn| self.policy(arn))).await?.into_iter().flatten().collect())
    }
}

/// Concatenates chains, keeping each role's last occurrence. Two roles may name the same older role, and an older role
/// may name policies of an earlier role of the same name.
fn concatenate(chains: Vec<Vec<RemainingRole>>) -> Vec<RemainingRole> {
    let mut all: Vec<RemainingRole> = Vec::new();
    for mut remaining_role in chains.into_iter().flatten() {
        if let Some(at) = all.iter().position(|known| known.name.is_same(&remaining_role.name)) {
            let known = all.remove(at);
            let is_new = |policy: &RemainingPolicy| {
                !remaining_role.policies.iter().any(|its| its.policy.arn == policy.policy.arn)
            };
            let others: Vec<_> = known.policies.iter().filter(|policy| is_new(policy)).cloned().collect();
            remaining_role = if remaining_role.role.is_some() {
                remaining_role
            } else {
                RemainingRole { policies: remaining_role.policies, ..known }
            };
            remaining_role.policies.extend(others);
        }
        all.push(remaining_role);
    }
    all
}
