//! Observation of an account, with as few round trips in sequence as possible.
//!
//! Roles and policies without the stack's owner tags are not read in detail. All other decisions are made in
//! [`crate::plan`]. An observer needs a [`ReadAccount`], and so cannot change anything.

mod buckets;
mod desired;
mod remaining;

use crate::activity::Activities;
use crate::names::{AccountId, PolicyArn, RoleArn, RoleName};
use crate::owner::{Owner, Tags};
use crate::port::{Answer, Clock, Failure, FailureKind, Look, Policy, ReadAccount, Role, Version};
use crate::refusal::Refusal;
use crate::retry::{Attempt, retry};

/// Reads through the port, and repeats reads that fail in ways that pass.
pub struct Observer<'a, I, C> {
    /// Account to read.
    pub account: &'a I,
    /// Time since the event came, and time that is left.
    pub clock: &'a C,
    /// Calls that are under way.
    pub activities: &'a Activities,
    /// Owner of the roles and policies that are read in detail.
    pub owner: &'a Owner,
}

impl<I: ReadAccount, C: Clock> Observer<'_, I, C> {
    /// Returns the account that the function runs in.
    pub async fn caller(&self) -> Result<AccountId, Refusal> {
        self.look(Look::Caller).await
    }

    /// Reads the role of a name. The provider role may read the desired role, and roles with the owner tags. If a read
    /// is denied, the role's tags say whether it exists and who owns it.
    async fn role(&self, expected: &RoleArn) -> Result<Option<Role>, Refusal> {
        let name = &expected.name;
        let look = Look::Role(name.clone());
        let read =
            |attempt| retry(self.clock, self.activities, attempt, &look, || self.account.read::<Option<Role>>(&look));
        let is_denied =
            |answer: &Result<_, Failure>| answer.as_ref().is_err_and(|failure| failure.kind == FailureKind::Denied);
        let first = read(Attempt::LookUnlessDenied).await;
        if !is_denied(&first) {
            return first.map_err(|failure| Refusal::while_looking(&look, failure));
        }
        let tags: Option<Tags> = self.look(Look::RoleTags(name.clone())).await?;
        let Some(tags) = tags else { return Ok(None) };
        let is_ours = self.owner.owns(&tags);
        let second = read(if is_ours { Attempt::Look } else { Attempt::LookUnlessDenied }).await;
        if is_denied(&second) && !is_ours {
            return Ok(Some(Role::unreadable(expected.clone(), tags)));
        }
        second.map_err(|failure| Refusal::while_looking(&look, failure))
    }

    async fn policy(&self, arn: &PolicyArn) -> Result<Option<Policy>, Refusal> {
        self.look(Look::Policy(arn.clone())).await
    }

    async fn attached_to(&self, name: &RoleName) -> Result<Vec<PolicyArn>, Refusal> {
        self.look(Look::Attached(name.clone())).await
    }

    async fn versions(&self, arn: &PolicyArn) -> Result<Vec<Version>, Refusal> {
        self.look(Look::Versions(arn.clone())).await
    }

    /// Makes a read whose failure fails the event.
    async fn look<T: Answer>(&self, look: Look) -> Result<T, Refusal> {
        let attempt = match look {
            Look::Caller | Look::Role(_) | Look::RoleTags(_) | Look::Policy(_) => Attempt::Look,
            _ => Attempt::LookInto,
        };
        let answer = self.check(attempt, &look).await;
        answer.map_err(|failure| Refusal::while_looking(&look, failure))
    }

    /// Makes a read whose failure the caller handles.
    async fn check<T: Answer>(&self, attempt: Attempt, look: &Look) -> Result<T, Failure> {
        retry(self.clock, self.activities, attempt, look, || self.account.read(look)).await
    }
}
