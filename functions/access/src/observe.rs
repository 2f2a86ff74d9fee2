//! Looking at what is there, with as few round trips in sequence as the answers allow.
//!
//! Its meaning is decided in [`crate::plan`]; here only ownership counts, since nothing foreign is looked into.

mod leftover;

use std::pin::Pin;

use futures_util::future::{join_all, try_join, try_join_all, try_join3};
use serde_json::Value;

use crate::activity::Activities;
use crate::blueprint::Blueprint;
use crate::names::{PolicyArn, PolicyName, RoleName};
use crate::owner::{self, Lineage, Owner, Replaced, Tags};
use crate::port::{Account, Clock, Look, Policy, Role, Usage, Version};
use crate::refusal::Refusal;
use crate::retry::{Attempt, persist};
use crate::wanted::{Absent, Present, Target};

pub use self::leftover::{Leftover, LeftoverPolicy};

/// The observed state of what a request wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedState {
    /// The role under the wanted name.
    pub role: Option<Role>,
    /// The policies attached to it, if it is ours.
    pub attached: Vec<PolicyArn>,
    /// The policy under the wanted ARN.
    pub policy: Option<Policy>,
    /// Its versions, oldest first, if it is ours.
    pub versions: Vec<Version>,
    /// Its document in force, if it is ours.
    pub document: Option<Value>,
    /// The role that is being replaced.
    pub from: Option<Role>,
    /// The rest of roles for which no Delete will come, the oldest first.
    pub leftovers: Vec<Leftover>,
}

impl ObservedState {
    /// The state to be expected where something was asked for before and nothing went wrong.
    #[must_use]
    pub fn expected(before: &Blueprint, present: &Present) -> Self {
        let wanted = &present.blueprint;
        let request = &before.request;
        let role = Role {
            arn: before.role.clone(),
            id: String::new(),
            tags: before.role_tags(),
            trust: before.trust.to_value(),
            description: request.description.clone().unwrap_or_default(),
            max_session_duration: request.max_session_duration,
            boundary: request.permissions_boundary.clone(),
        };
        let policy = Policy { arn: before.policy.clone(), tags: before.policy_tags(), default_version: String::new() };
        let (stays, keeps_policy) = (before.role.is_same(&wanted.role), before.policy.is_same(&wanted.policy));
        Self {
            role: Some(role).filter(|_| stays),
            attached: if stays { vec![before.policy.clone()] } else { Vec::new() },
            policy: Some(policy).filter(|_| keeps_policy),
            document: Some(before.permissions.to_value()).filter(|_| keeps_policy),
            ..Self::default()
        }
    }
}

/// The role that leads to an older one.
#[derive(Debug, Clone)]
struct Later {
    name: RoleName,
    /// `None` when it is not there any more.
    generation: Option<u32>,
}

impl Later {
    /// True if the role with this lineage is in use in its place. Generations fall along a chain, so it ends.
    fn is_replaced_by(&self, lineage: &Lineage) -> bool {
        match self.generation {
            Some(generation) => generation <= lineage.generation,
            None => lineage.names(&self.name),
        }
    }
}

/// Looks through the port, patiently.
pub struct Observer<'a, I, C> {
    /// The account.
    pub account: &'a I,
    /// The time there is.
    pub clock: &'a C,
    /// The list of calls that are under way.
    pub activities: &'a Activities,
    /// Whose things may be looked into.
    pub owner: &'a Owner,
}

/// Makes one read of the port patient and its failure a refusal.
macro_rules! look {
    ($self:ident, $look:expr, $call:expr) => {{
        let look = $look;
        persist($self.clock, $self.activities, attempt(&look), &look, || $call)
            .await
            .map_err(|failure| Refusal::while_looking(&look, failure))
    }};
}

/// The same for what need not be known; its failure is told as it is.
macro_rules! check {
    ($self:ident, $attempt:expr, $look:expr, $call:expr) => {{
        let look = $look;
        persist($self.clock, $self.activities, $attempt, &look, || $call).await
    }};
}

mod buckets;

fn attempt(look: &Look) -> Attempt {
    match look {
        Look::Caller | Look::Role(_) | Look::Policy(_) => Attempt::Look,
        _ => Attempt::LookInto,
    }
}

impl<I: Account, C: Clock> Observer<'_, I, C> {
    /// The function's own account.
    pub async fn caller(&self) -> Result<crate::names::AccountId, Refusal> {
        look!(self, Look::Caller, self.account.caller_account())
    }

    /// The state of what is wanted: two round trips, one if nothing is there.
    pub async fn observed(&self, present: &Present) -> Result<ObservedState, Refusal> {
        let blueprint = &present.blueprint;
        let from = async {
            match &present.from {
                Some(arn) => Ok(self.role(&arn.name).await?.filter(|role| role.arn.is_same(arn))),
                None => Ok(None),
            }
        };
        let (role, policy, from) =
            try_join3(self.role(&blueprint.role.name), self.policy(&blueprint.policy), from).await?;

        let (our_role, our_policy) =
            (role.as_ref().filter(|r| self.owns(&r.tags)), policy.as_ref().filter(|p| self.owns(&p.tags)));
        let attached = async {
            match our_role {
                Some(role) => {
                    look!(self, Look::Attached(role.arn.name.clone()), self.account.attached_policies(&role.arn.name))
                }
                None => Ok(Vec::new()),
            }
        };
        let content = async {
            match our_policy {
                Some(policy) => try_join(self.versions(policy), self.document(policy)).await.map(|(v, d)| (v, Some(d))),
                None => Ok((Vec::new(), None)),
            }
        };
        let leftovers = self.leftovers(present, our_role);
        let (attached, (versions, document), leftovers) = try_join3(attached, content, leftovers).await?;
        Ok(ObservedState { role, attached, policy, versions, document, from, leftovers })
    }

    /// Roles for which no Delete will come: in an update in place, those that our role replaced, and the one that the
    /// old properties name (its creation failed half-way).
    async fn leftovers(&self, present: &Present, our_role: Option<&Role>) -> Result<Vec<Leftover>, Refusal> {
        if present.from.is_some() {
            return Ok(Vec::new());
        }
        let wanted = &present.blueprint.role.name;
        let lineage = our_role.map(|role| Lineage::of(&role.tags)).unwrap_or_default();
        // A Delete would come for it if it were in use, so whatever it says of itself does not count.
        let former = present.former.replaced();
        let is_former = |replaced: &&Replaced| {
            former.as_ref().is_some_and(|it| it.role.is_same(&replaced.role) && it.path == replaced.path)
        };
        let named = former.iter().map(|former| {
            let mut target = Target::leftover(former.clone());
            target.policies.extend(lineage.replaced.iter().filter(is_former).map(|noted| noted.policy.clone()));
            self.chain(target, None, Some(wanted))
        });
        let noted = lineage.replaced.iter().filter(|replaced| !is_former(replaced)).map(|replaced| {
            let later = Later { name: wanted.clone(), generation: Some(lineage.generation) };
            self.chain(Target::leftover(replaced.clone()), Some(later), Some(wanted))
        });
        Ok(each_once(try_join_all(noted.chain(named)).await?))
    }

    /// The rest of what should go, the roles it replaced first.
    pub async fn leftovers_of(&self, absent: &Absent) -> Result<Vec<Leftover>, Refusal> {
        match &absent.target {
            Some(target) => Ok(each_once(vec![self.chain(target.clone(), None, None).await?])),
            None => Ok(Vec::new()),
        }
    }

    /// A role that should go and, before it, whatever it replaced. If it is the role that is wanted, or if it replaced the
    /// one that leads to it, it is in use: then only what an earlier role of its name left.
    fn chain<'s>(
        &'s self,
        target: Target,
        later: Option<Later>,
        wanted: Option<&'s RoleName>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<Leftover>, Refusal>> + Send + 's>> {
        Box::pin(async move {
            // The same name in other letter case is refused before anything is made of it.
            if wanted.is_some_and(|wanted| wanted.is_same(&target.name) && *wanted != target.name) {
                return Ok(Vec::new());
            }
            let (role, policies) =
                try_join(self.role(&target.name), self.our_policies(target.candidates(self.owner))).await?;
            let role = role.filter(|role| target.is(role));
            let ours = role.as_ref().filter(|role| self.owns(&role.tags));
            let lineage = ours.map(|role| Lineage::of(&role.tags));
            let is_wanted = wanted.is_some_and(|wanted| wanted.is_same(&target.name));
            let is_later = later.zip(lineage.as_ref()).is_some_and(|(later, lineage)| later.is_replaced_by(lineage));
            if is_wanted || is_later {
                return self.orphans(&target, ours, policies).await;
            }
            let generation = lineage.as_ref().map(|lineage| lineage.generation);
            let names = lineage.into_iter().flat_map(|lineage| lineage.replaced).chain(target.beside.clone());
            let older = names.map(|replaced| {
                let later = Later { name: target.name.clone(), generation };
                self.chain(Target::leftover(replaced), Some(later), wanted)
            });
            let (older, leftover) =
                try_join(try_join_all(older), self.leftover(&target, role.as_ref(), ours, policies)).await?;
            let mut chain: Vec<Leftover> = older.into_iter().flatten().collect();
            chain.push(leftover);
            Ok(chain)
        })
    }

    /// The policies that an earlier role left whose name is in use again, under names of their own.
    async fn orphans(
        &self,
        target: &Target,
        in_use: Option<&Role>,
        mut policies: Vec<Policy>,
    ) -> Result<Vec<Leftover>, Refusal> {
        let its_own = in_use.and_then(|role| Some(role.arn.beside(&owner::tagged_policy(&role.tags)?)));
        let is_its_own = |policy: &Policy| its_own.as_ref().is_some_and(|own| own.is_same(&policy.arn));
        policies.retain(|policy| owner::serves(&policy.tags, &target.name) && !is_its_own(policy));
        if policies.is_empty() {
            return Ok(Vec::new());
        }
        let policies = try_join_all(policies.iter().map(|policy| self.leftover_policy(policy))).await?;
        Ok(vec![Leftover { policies, ..Leftover::nothing(target.name.clone()) }])
    }

    /// Everything about one role that should go: two further round trips at most.
    async fn leftover(
        &self,
        target: &Target,
        role: Option<&Role>,
        ours: Option<&Role>,
        mut policies: Vec<Policy>,
    ) -> Result<Leftover, Refusal> {
        let name = role.map_or(&target.name, |role| &role.arn.name);
        let contents = async {
            match ours {
                Some(_) => {
                    try_join3(
                        async { look!(self, Look::Attached(name.clone()), self.account.attached_policies(name)) },
                        async { look!(self, Look::Inline(name.clone()), self.account.inline_policies(name)) },
                        async { look!(self, Look::Profiles(name.clone()), self.account.instance_profiles(name)) },
                    )
                    .await
                }
                None => Ok(Default::default()),
            }
        };
        let tagged = ours.and_then(|role| Some(role.arn.beside(&owner::tagged_policy(&role.tags)?)));
        // A role that was found under another path than expected has its policy there.
        let beside = role.map(|role| role.arn.beside(&PolicyName::from(name)));
        let known = |policies: &[Policy], arn: &PolicyArn| policies.iter().any(|policy| policy.arn.is_same(arn));
        let asked = target.candidates(self.owner);
        let mut tagged: Vec<_> = tagged.into_iter().chain(beside).filter(|arn| !asked.contains(arn)).collect();
        tagged.dedup();
        let is_served = |policy: &Policy| owner::serves(&policy.tags, &target.name);

        policies.retain(is_served);
        let first = try_join_all(policies.iter().map(|policy| self.leftover_policy(policy)));
        let ((attached, inline, profiles), mut found, tagged) =
            try_join3(contents, first, self.our_policies(tagged)).await?;

        let account = self.owner.stack.account.as_str();
        let seen = |arn: &PolicyArn| known(&policies, arn) || known(&tagged, arn);
        let others: Vec<_> = attached.iter().filter(|arn| arn.account() == account && !seen(arn)).cloned().collect();
        let late = async {
            let mut late = self.our_policies(others).await?;
            late.retain(is_served);
            try_join_all(late.iter().map(|policy| self.leftover_policy(policy))).await
        };
        let tagged: Vec<_> = tagged.into_iter().filter(is_served).collect();
        let (more, late) =
            try_join(try_join_all(tagged.iter().map(|policy| self.leftover_policy(policy))), late).await?;
        found.extend(more);
        found.extend(late);
        Ok(Leftover { name: name.clone(), role: role.cloned(), attached, inline, profiles, policies: found })
    }

    async fn leftover_policy(&self, policy: &Policy) -> Result<LeftoverPolicy, Refusal> {
        let arn = &policy.arn;
        let carriers = |usage| async move {
            look!(self, Look::Carriers(arn.clone(), usage), self.account.policy_carriers(arn, usage))
        };
        let (versions, carriers, capped) =
            try_join3(self.versions(policy), carriers(Usage::Permissions), carriers(Usage::Boundary)).await?;
        Ok(LeftoverPolicy { policy: policy.clone(), versions, carriers, capped })
    }

    /// Those of the policies that are there and ours.
    async fn our_policies(&self, arns: Vec<PolicyArn>) -> Result<Vec<Policy>, Refusal> {
        let found = try_join_all(arns.iter().map(|arn| self.policy(arn))).await?;
        Ok(found.into_iter().flatten().filter(|policy| self.owns(&policy.tags)).collect())
    }

    async fn role(&self, name: &RoleName) -> Result<Option<Role>, Refusal> {
        look!(self, Look::Role(name.clone()), self.account.role(name))
    }

    async fn policy(&self, arn: &PolicyArn) -> Result<Option<Policy>, Refusal> {
        look!(self, Look::Policy(arn.clone()), self.account.policy(arn))
    }

    async fn versions(&self, policy: &Policy) -> Result<Vec<Version>, Refusal> {
        look!(self, Look::Versions(policy.arn.clone()), self.account.policy_versions(&policy.arn))
    }

    /// The documents of a policy's versions that were not in force, as far as they are there still.
    pub async fn older_documents(&self, observed: &ObservedState) -> Vec<Value> {
        let Some(policy) = observed.policy.as_ref().filter(|policy| self.owns(&policy.tags)) else { return Vec::new() };
        let older = observed.versions.iter().filter(|version| !version.is_default);
        let documents = older.map(|version| async {
            let look = Look::Document(policy.arn.clone());
            check!(self, Attempt::Check, look, self.account.policy_document(&policy.arn, &version.id)).ok()
        });
        join_all(documents).await.into_iter().flatten().collect()
    }

    async fn document(&self, policy: &Policy) -> Result<Value, Refusal> {
        look!(
            self,
            Look::Document(policy.arn.clone()),
            self.account.policy_document(&policy.arn, &policy.default_version)
        )
    }

    fn owns(&self, tags: &Tags) -> bool {
        self.owner.owns(tags)
    }
}

/// Chains one after the other, each role once and as late as it is named: two roles may name the same older one, and an
/// older one may name what an earlier role of a later one's name left.
fn each_once(chains: Vec<Vec<Leftover>>) -> Vec<Leftover> {
    let mut all: Vec<Leftover> = Vec::new();
    for mut leftover in chains.into_iter().flatten() {
        if let Some(at) = all.iter().position(|known| known.name.is_same(&leftover.name)) {
            let known = all.remove(at);
            let is_new = |held: &LeftoverPolicy| !leftover.policies.iter().any(|its| its.policy.arn == held.policy.arn);
            let others: Vec<_> = known.policies.iter().filter(|held| is_new(held)).cloned().collect();
            leftover =
                if leftover.role.is_some() { leftover } else { Leftover { policies: leftover.policies, ..known } };
            leftover.policies.extend(others);
        }
        all.push(leftover);
    }
    all
}
