//! Looking at an account, with as few round trips in sequence as the answers allow.
//!
//! Its meaning is decided in [`crate::plan`]; here only ownership counts, since nothing foreign is looked into. Nothing
//! here can change anything: it needs a [`ReadAccount`] and no more.

mod buckets;
mod desired;
mod remaining;

use crate::activity::Activities;
use crate::names::{AccountId, PolicyArn, RoleArn, RoleName};
use crate::owner::{Owner, Tags};
use crate::port::{Answer, Clock, Failure, FailureKind, Look, Policy, ReadAccount, Role, Version};
use crate::refusal::Refusal;
use crate::retry::{Attempt, retry};

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

impl<I: ReadAccount, C: Clock> Observer<'_, I, C> {
    /// The function's own account.
    pub async fn caller(&self) -> Result<AccountId, Refusal> {
        self.look(Look::Caller).await
    }

    /// The role under a name. The provider role may read the role of the wanted name, and others with our tag; where a read
    /// is denied, the role's tags tell whether there is one and whose it is.
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

    /// A read that has to succeed.
    async fn look<T: Answer>(&self, look: Look) -> Result<T, Refusal> {
        let attempt = match look {
            Look::Caller | Look::Role(_) | Look::RoleTags(_) | Look::Policy(_) => Attempt::Look,
            _ => Attempt::LookInto,
        };
        let answer = self.check(attempt, &look).await;
        answer.map_err(|failure| Refusal::while_looking(&look, failure))
    }

    /// A read of what need not be known.
    async fn check<T: Answer>(&self, attempt: Attempt, look: &Look) -> Result<T, Failure> {
        retry(self.clock, self.activities, attempt, look, || self.account.read(look)).await
    }
}
