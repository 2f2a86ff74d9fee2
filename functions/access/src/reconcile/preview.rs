//! Looking and deciding, without changing anything.

use futures_util::future::{join, try_join};

use super::Context;
use super::rounds::check_account;
use crate::budget::Budget;
use crate::checks::Finding;
use crate::checks::preflight;
use crate::observe::ObservedState;
use crate::owner::{REPLACES, RESOURCE, STACK, Tags};
use crate::plan::Plan;
use crate::port::{Change, Clock, ReadAccount};
use crate::refusal::Refusal;
use crate::wanted::Present;

/// The difference between an account and a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The state of the account.
    pub observed: ObservedState,
    /// The changes that would be made; empty where all is as asked.
    pub plan: Plan,
    /// The findings about the buckets.
    pub findings: Vec<Finding>,
}

impl Preview {
    /// The changes for something that differs from what was asked for, in order: all but the note on the role of those
    /// that it replaced, which stays for a while after they are gone, and says nothing about what the role may do.
    pub fn drift(&self) -> impl Iterator<Item = &Change> {
        let notes = |tags: &Tags| {
            tags.contains_key(REPLACES) && tags.keys().all(|key| [STACK, RESOURCE, REPLACES].contains(&key.as_str()))
        };
        self.plan.changes().filter(move |change| !matches!(change, Change::TagRole { tags, .. } if notes(tags)))
    }
}

/// Tells the changes that [`super::establish`] would make now. It makes only the calls of a [`ReadAccount`], and looks once: where a change was
/// made a moment ago, it may not show yet.
///
/// # Errors
///
/// The refusal that a request would meet for what IAM holds, or a read that failed. Findings about buckets are told, not
/// enforced. The CORS rules are not looked at.
pub async fn preview<I: ReadAccount, C: Clock>(
    context: &Context<'_, I, C>,
    present: &Present,
) -> Result<Preview, Refusal> {
    let blueprint = &present.blueprint;
    let observer = context.observer(&blueprint.owner);
    let budget = Budget::of_known_buckets(context.clock);
    let facts = budget.spend(|share| observer.facts(present, share));
    let (looked, facts) = join(try_join(observer.caller(), observer.observed(present)), facts).await;
    let (caller, observed) = looked?;
    check_account(caller, &blueprint.owner)?;
    let plan = Plan::for_present(present, &observed)?;
    Ok(Preview { observed, plan, findings: preflight::judge(blueprint, &facts) })
}
