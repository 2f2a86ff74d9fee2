//! Making a role, its policy and its CORS rules go.

use std::time::Duration;

use super::rounds::{Job, rounds};
use super::{Context, Done, cors};
use crate::budget::Budget;
use crate::observe::Observer;
use crate::observed::Leftover;
use crate::owner::Owner;
use crate::patience::{BETWEEN_LOOKS, FOR_CORS_RULES, FOR_ONE_LOOK, UNTIL_QUIET};
use crate::plan::Plan;
use crate::port::{Account, Clock};
use crate::refusal::Refusal;
use crate::wanted::Absent;

/// Makes a role and its policy go and, where a Create may still be at work on them, stay away.
pub async fn remove<I: Account, C: Clock>(context: &Context<'_, I, C>, absent: &Absent) -> Result<Done, Refusal> {
    let mut done = remove_now(context, absent).await?;
    let mut quiet = Duration::ZERO;
    let reserve = if absent.cors_buckets.is_empty() { FOR_ONE_LOOK } else { FOR_ONE_LOOK + FOR_CORS_RULES };
    while absent.is_abandoned && quiet < UNTIL_QUIET && context.clock.remaining() > reserve {
        let before = context.clock.remaining();
        context.clock.sleep(BETWEEN_LOOKS).await;
        let more = remove_now(context, absent).await?;
        quiet = if more.applied.is_empty() { quiet + (before - context.clock.remaining()) } else { Duration::ZERO };
        done.applied.extend(more.applied);
    }
    // Whoever sets a rule makes a role after it: by now it shows.
    let budget = Budget::of_the_rest(context.clock);
    let (taken_out, left) = cors::remove(context, absent, &budget).await?;
    done.applied.extend(taken_out);
    done.findings.extend(left);
    Ok(done)
}

async fn remove_now<I: Account, C: Clock>(context: &Context<'_, I, C>, absent: &Absent) -> Result<Done, Refusal> {
    let job = Remove { absent, observer: context.observer(&absent.owner) };
    Ok(rounds(context, &job).await?.done)
}

struct Remove<'a, I, C> {
    absent: &'a Absent,
    observer: Observer<'a, I, C>,
}

impl<I: Account, C: Clock> Job for Remove<'_, I, C> {
    type Picture = Vec<Leftover>;
    type Prepared = ();

    fn owner(&self) -> &Owner {
        &self.absent.owner
    }

    async fn look(&self) -> Result<Vec<Leftover>, Refusal> {
        self.observer.leftovers_of(self.absent).await
    }

    fn decide(&self, leftovers: &Vec<Leftover>) -> Result<Plan, Refusal> {
        Plan::for_absent(self.absent, leftovers)
    }

    /// A role that a Create made a moment ago may not show yet, and a Delete that misses it is the last one. And what an update
    /// that was taken back says of an older role, or of the role that a policy serves, decides what is removed.
    fn is_doubtful(&self, leftovers: &Vec<Leftover>, _: &Plan) -> bool {
        let owner = &self.absent.owner;
        leftovers.split_last().is_some_and(|(last, older)| {
            let misses = last.role.is_none() || last.lacks_policy(owner);
            misses || last.shares_policy() || older.iter().any(|leftover| !leftover.is_nothing(owner))
        })
    }

    fn role_id(&self, _: &Vec<Leftover>) -> Option<String> {
        None
    }

    async fn prepare(&self) -> Result<(), Refusal> {
        Ok(())
    }
}
