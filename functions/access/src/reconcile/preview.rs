//! Looking and deciding, without changing anything.

use futures_util::future::{join, try_join};

use super::rounds::check_account;
use super::verify::verify;
use super::{Context, cors};
use crate::checks::Finding;
use crate::checks::preflight;
use crate::desired::Desired;
use crate::observed::ObservedState;
use crate::owner::{REPLACES, RESOURCE, STACK, Tags};
use crate::plan::Plan;
use crate::port::{Change, Clock, ReadAccount};
use crate::refusal::Refusal;
use crate::request::Checks;
use crate::s3_time::S3Time;

/// The difference between an account and a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The state of the account.
    pub observed: ObservedState,
    /// The changes that would be made; empty where all is as asked.
    pub plan: Plan,
    /// The CORS rules that would be set.
    pub cors: Vec<Change>,
    /// The findings about the buckets and, where IAM holds what was asked for, of IAM's policy simulator.
    pub findings: Vec<Finding>,
}

impl Preview {
    /// Returns the changes for something that differs from what was asked for, in order: all but the note on the role
    /// of those that it replaced, which stays for a while after they are gone, and says nothing about what the role may
    /// do.
    pub fn drift(&self) -> impl Iterator<Item = &Change> {
        let notes = |tags: &Tags| {
            tags.contains_key(REPLACES) && tags.keys().all(|key| [STACK, RESOURCE, REPLACES].contains(&key.as_str()))
        };
        let is_note = move |change: &&Change| matches!(change, Change::TagRole { tags, .. } if notes(tags));
        self.plan.changes().filter(move |change| !is_note(change)).chain(&self.cors)
    }
}

/// Tells the changes that [`super::establish`] would make now. It makes only the calls of a [`ReadAccount`], and looks
/// once: where a change was made a moment ago, it may not show yet.
///
/// # Errors
///
/// The refusal that a request would meet for what IAM holds, or a read that failed. Findings are told, not enforced.
pub async fn preview<I: ReadAccount, C: Clock>(
    context: &Context<'_, I, C>,
    desired: &Desired,
) -> Result<Preview, Refusal> {
    let blueprint = &desired.blueprint;
    let observer = context.observer(&blueprint.owner);
    let s3_time = S3Time::of_known_buckets(context.clock);
    let facts = s3_time.spend(|share| observer.facts(desired, share));
    let (looked, facts) = join(try_join(observer.caller(), observer.observed(desired)), facts).await;
    let (caller, observed) = looked?;
    check_account(caller, &blueprint.owner)?;
    let plan = Plan::to_ensure(desired, &observed)?;
    let (cors, about_cors) = cors::preview(context, desired, &s3_time).await;
    let mut preview = Preview { observed, plan, cors, findings: preflight::judge(blueprint, &facts) };
    // Of a role that is not as it was asked for, the simulator's verdicts say nothing new.
    if blueprint.request.checks != Checks::Off && preview.drift().next().is_none() {
        preview.findings.extend(verify(context, blueprint, false).await);
    }
    preview.findings.extend(about_cors);
    Ok(preview)
}
