//! Making a role, its policy and its CORS rules go.

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

/// Makes a role and its policy go and, where a Create may still be at work on them, stay away.
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
    // Whoever sets a rule makes a role after it: by now it shows.
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
    let reconciliation = Delete { deletion, observer: context.observer(&deletion.owner) };
    Ok(rounds(context, &reconciliation).await?.done)
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

    async fn look(&self) -> Result<Vec<RemainingRole>, Refusal> {
        self.observer.remaining_roles_of(self.deletion).await
    }

    fn decide(&self, remaining_roles: &Vec<RemainingRole>) -> Result<Plan, Refusal> {
        Plan::to_delete(self.deletion, remaining_roles)
    }

    /// A role that a Create made a moment ago may not show yet, and a Delete that misses it is the last one. And what an update
    /// that was taken back says of an older role, or of the role that a policy serves, decides what is removed.
    fn is_doubtful(&self, remaining_roles: &Vec<RemainingRole>, _: &Plan) -> bool {
        let owner = &self.deletion.owner;
        remaining_roles.split_last().is_some_and(|(last, older)| {
            let misses = last.role.is_none() || last.lacks_policy(owner);
            misses || last.shares_policy() || older.iter().any(|remaining_role| !remaining_role.is_nothing(owner))
        })
    }

    fn role_id(&self, _: &Vec<RemainingRole>) -> Option<String> {
        None
    }

    async fn prepare(&self) -> Result<(), Refusal> {
        Ok(())
    }
}
