//! Observation of the desired role and its policy.

use futures_util::future::{join_all, try_join, try_join3};
use serde_json::Value;

use super::Observer;
use super::remaining::KnownRole;
use crate::desired::Desired;
use crate::names::PolicyArn;
use crate::observed::ObservedState;
use crate::port::{Clock, Look, Policy, ReadAccount, Role, Version};
use crate::refusal::Refusal;
use crate::retry::Attempt;

impl<I: ReadAccount, C: Clock> Observer<'_, I, C> {
    /// Observes the desired role and policy: in two round trips, or one if neither exists.
    pub async fn observed(&self, desired: &Desired) -> Result<ObservedState, Refusal> {
        let blueprint = &desired.blueprint;
        let (role, policy, replaced_role) =
            try_join3(self.role(&blueprint.role), self.policy(&blueprint.policy), self.replaced_role(desired)).await?;
        let our_role = role.as_ref().filter(|role| self.owner.owns(&role.tags));
        let our_policy = policy.as_ref().filter(|policy| self.owner.owns(&policy.tags));
        let wanted = KnownRole {
            name: &blueprint.role.name,
            role: role.as_ref(),
            policy_arn: &blueprint.policy,
            policy: policy.as_ref(),
        };
        let (attached, (versions, document), remaining_roles) =
            try_join3(self.attached(our_role), self.content(our_policy), self.remaining_roles(desired, wanted)).await?;
        Ok(ObservedState { role, attached, policy, versions, document, replaced_role, remaining_roles })
    }

    /// Reads the role that the update replaces.
    async fn replaced_role(&self, desired: &Desired) -> Result<Option<Role>, Refusal> {
        match &desired.replaced_role {
            Some(arn) => Ok(self.role(arn).await?.filter(|role| role.arn.is_same(arn))),
            None => Ok(None),
        }
    }

    async fn attached(&self, ours: Option<&Role>) -> Result<Vec<PolicyArn>, Refusal> {
        match ours {
            Some(role) => self.attached_to(&role.arn.name).await,
            None => Ok(Vec::new()),
        }
    }

    async fn content(&self, ours: Option<&Policy>) -> Result<(Vec<Version>, Option<Value>), Refusal> {
        let Some(policy) = ours else { return Ok((Vec::new(), None)) };
        let arn = &policy.arn;
        let document = self.look(Look::Document(arn.clone(), policy.default_version.clone()));
        let (versions, document) = try_join(self.versions(arn), document).await?;
        Ok((versions, Some(document)))
    }

    /// Reads the documents of the policy's versions that are not the default, as far as they still exist.
    pub async fn older_documents(&self, observed: &ObservedState) -> Vec<Value> {
        let ours = observed.policy.as_ref().filter(|policy| self.owner.owns(&policy.tags));
        let Some(arn) = ours.map(|policy| &policy.arn) else { return Vec::new() };
        let older = observed.versions.iter().filter(|version| !version.is_default);
        let documents = older.map(|version| async move {
            self.check(Attempt::Check, &Look::Document(arn.clone(), version.id.clone())).await
        });
        join_all(documents).await.into_iter().filter_map(Result::ok).collect()
    }
}
