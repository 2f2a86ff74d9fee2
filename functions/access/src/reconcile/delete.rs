//! Deletes a role, its policy and its CORS rules.

use std::time::Duration;

use super::rounds::{Reconciliation, rounds};
use super::{Context, Reconciled, cors};
use crate::desired::Deletion;
use crate::observe::Observer;
use crate::observed::RemainingRole;
use crate::owner::Owner;
use crate::plan::Plan;
use crate::port::{Account, Clock};
use crate::refusal::Refusal;
use crate::s3_time::S3Time;
use crate::waits::{BETWEEN_LOOKS, FOR_CORS_RULES, FOR_ONE_LOOK, UNTIL_QUIET};

/// Deletes a role and its policy. If their Create may still be running, observes again until nothing new appears.
pub async fn delete<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    deletion: &Deletion,
) -> Result<Reconciled, Refusal> {
    let mut done = delete_once(context, deletion).await?;
    let mut quiet = Duration::ZERO;
    let reserve = if deletion.cors_buckets.is_empty() { FOR_ONE_LOOK } else { FOR_ONE_LOOK + FOR_CORS_RULES };
    while deletion.is_abandoned && quiet < UNTIL_QUIET && context.clock.remaining() > reserve {
        let before = context.clock.remaining();
        context.clock.sleep(BETWEEN_LOOKS).await;
        let more = delete_once(context, deletion).await?;
        quiet = if more.applied.is_empty() { quiet + (before - context.clock.remaining()) } else { Duration::ZERO };
        done.applied.extend(more.applied);
    }
    // A Create sets CORS rules before it creates the role, so all rules show by now.
    let s3_time = S3Time::of_the_rest(context.clock);
    let (taken_out, left) = cors::delete(context, deletion, &s3_time).await?;
    done.applied.extend(taken_out);
    done.findings.extend(left);
    Ok(done)
}

async fn delete_once<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    deletion: &Deletion,
) -> Result<Reconciled, Refusal> {
    let task = Delete { deletion, observer: context.observer(&deletion.owner) };
    Ok(rounds(context, &task).await?.done)
}

struct Delete<'a, I, C> {
    deletion: &'a Deletion,
    observer: Observer<'a, I, C>,
}

impl<I: Account, C: Clock> Reconciliation for Delete<'_, I, C> {
    type Observed = Vec<RemainingRole>;
    type Prepared = ();

    fn owner(&self) -> &Owner {
        &self.deletion.owner
    }

    async fn observe(&self) -> Result<Vec<RemainingRole>, Refusal> {
        self.observer.remaining_roles_of(self.deletion).await
    }

    fn plan(&self, remaining_roles: &Vec<RemainingRole>) -> Result<Plan, Refusal> {
        Plan::to_delete(self.deletion, remaining_roles)
    }

    /// Returns a role that was created a moment ago may not show yet, and no other Delete will follow. The tags that a
    /// rolled-back update wrote may not show yet either, and they decide what is deleted.
    fn may_be_outdated(&self, remaining_roles: &Vec<RemainingRole>, _: &Plan) -> bool {
        let owner = &self.deletion.owner;
        remaining_roles.split_last().is_some_and(|(last, older)| {
            let misses = last.role.is_none() || last.lacks_policy(owner);
            misses || last.shares_policy() || older.iter().any(|remaining_role| !remaining_role.is_deleted(owner))
        })
    }

    fn role_id(&self, _: &Vec<RemainingRole>) -> Option<String> {
        None
    }

    async fn prepare(&self) -> Result<(), Refusal> {
        Ok(())
    }
}
