//! Creates or updates a role, its policy, and the buckets' CORS rules.

use std::pin::Pin;

use futures_util::FutureExt as _;
use futures_util::future::{Shared, try_join};
use serde_json::Value;

use super::rounds::{Finished, Reconciliation, rounds};
use super::verify::verify;
use super::{Context, Reconciled, cors};
use crate::checks::preflight::{self, Facts};
use crate::checks::{Finding, is_enforced, told};
use crate::desired::Desired;
use crate::observe::Observer;
use crate::observed::ObservedState;
use crate::owner::Owner;
use crate::plan::Plan;
use crate::port::{Account, Clock};
use crate::refusal::Refusal;
use crate::request::Checks;
use crate::s3_time::S3Time;
use crate::waits::UNTIL_SHOWN;

/// Observed state of the desired role, and findings about its buckets.
struct ObservedVolume {
    observed: ObservedState,
    findings: Vec<Finding>,
    /// Documents of the policy's older versions; read only if there are findings.
    older: Vec<Value>,
}

/// Changes of CORS rules, and findings about those that could not be made.
type CorsDone = (Vec<String>, Vec<Finding>);

/// Creates or updates a role and its policy as requested.
pub async fn ensure<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    desired: &Desired,
) -> Result<Reconciled, Refusal> {
    let blueprint = &desired.blueprint;
    let observer = &context.observer(&blueprint.owner);
    let asks_anew = (blueprint.request.configure_cors && !desired.knows_cors())
        || blueprint.request.volumes.iter().any(|volume| !desired.knows_bucket(volume));
    let s3_time =
        &if asks_anew { S3Time::of_new_buckets(context.clock) } else { S3Time::of_known_buckets(context.clock) };
    let facts: Pin<Box<dyn Future<Output = Vec<Facts>> + Send>> =
        Box::pin(s3_time.spend(|share| observer.facts(desired, share)));
    let expected = desired
        .old_blueprint
        .as_ref()
        .map(|before| Plan::to_ensure(desired, &ObservedState::expected(before, desired)));
    let task = Ensure { context, desired, observer, s3_time, facts: facts.shared(), expected };
    let Finished { mut done, observed_state, plan, prepared: (set, unset) } = rounds(context, &task).await?;
    done.applied.extend(set);

    let forbidden = match blueprint.request.checks {
        Checks::Off => Vec::new(),
        Checks::Enforce | Checks::Report => verify(context, blueprint, desired.is_new || !plan.is_empty()).await,
    };
    if is_enforced(desired, &plan, &older(observer, &observed_state.observed, &forbidden).await) {
        fail_for(&forbidden)?;
    }
    done.findings = [observed_state.findings, forbidden, unset].concat();
    if !done.notes.is_empty() {
        // A Delete that follows at once has to see the lineage that was just written.
        context.pause(UNTIL_SHOWN).await;
    }
    Ok(done)
}

struct Ensure<'a, I, C> {
    context: &'a Context<'a, I, C>,
    desired: &'a Desired,
    observer: &'a Observer<'a, I, C>,
    s3_time: &'a S3Time<'a, C>,
    /// Read once, concurrently with the first observation of IAM.
    facts: Shared<Pin<Box<dyn Future<Output = Vec<Facts>> + Send + 'a>>>,
    /// Plan for the state that the old properties lead to.
    expected: Option<Result<Plan, Refusal>>,
}

impl<I: Account, C: Clock> Reconciliation for Ensure<'_, I, C> {
    type Observed = ObservedVolume;
    type Prepared = CorsDone;

    fn owner(&self) -> &Owner {
        &self.desired.blueprint.owner
    }

    async fn observe(&self) -> Result<ObservedVolume, Refusal> {
        let clock = self.context.clock;
        let begun = clock.elapsed();
        let (mut observed, facts) = try_join(self.observer.observed(self.desired), self.facts.clone().map(Ok)).await?;
        // S3 took long. The observation of IAM is outdated by then.
        if clock.elapsed().saturating_sub(begun) > UNTIL_SHOWN {
            observed = self.observer.observed(self.desired).await?;
        }
        let findings = preflight::judge(&self.desired.blueprint, &facts);
        let older = older(self.observer, &observed, &findings).await;
        Ok(ObservedVolume { observed, findings, older })
    }

    fn plan(&self, observed_volume: &ObservedVolume) -> Result<Plan, Refusal> {
        let plan = Plan::to_ensure(self.desired, &observed_volume.observed)?;
        if is_enforced(self.desired, &plan, &observed_volume.older) {
            fail_for(&observed_volume.findings)?;
        }
        Ok(plan)
    }

    /// Returns a change since the last answer, by another attempt or by an update that is being rolled back, may not
    /// show yet.
    fn may_be_outdated(&self, observed_volume: &ObservedVolume, plan: &Plan) -> bool {
        let misses_the_former =
            self.desired.replaced_role.is_some() && observed_volume.observed.replaced_role.is_none();
        let expected = self.expected.as_ref();
        misses_the_former || expected.is_some_and(|it| it.as_ref().map_or(true, |it| plan.lacks(it)))
    }

    fn role_id(&self, observed_volume: &ObservedVolume) -> Option<String> {
        observed_volume.observed.role.as_ref().map(|role| role.id.clone())
    }

    /// Sets CORS rules before the role changes: the last change of the role says that it is in use from then on.
    async fn prepare(&self) -> Result<CorsDone, Refusal> {
        cors::ensure(self.context, self.desired, self.s3_time).await
    }
}

/// Reads the documents of the policy's older versions, if a finding may fail the event.
async fn older<I: Account, C: Clock>(
    observer: &Observer<'_, I, C>,
    observed: &ObservedState,
    findings: &[Finding],
) -> Vec<Value> {
    if findings.iter().any(Finding::is_failure) { observer.older_documents(observed).await } else { Vec::new() }
}

fn fail_for(findings: &[Finding]) -> Result<(), Refusal> {
    let failures: Vec<_> = findings.iter().filter(|finding| finding.is_failure()).cloned().collect();
    if failures.is_empty() { Ok(()) } else { Err(Refusal::Unusable { found: told(&failures) }) }
}
