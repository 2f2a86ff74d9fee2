//! Making a request true: the role, its policy, and the buckets' CORS rules.

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

/// The observed state of what a request wants, and the findings about its buckets.
struct Looked {
    observed: ObservedState,
    findings: Vec<Finding>,
    /// The policy's older documents; read only if there are findings.
    older: Vec<Value>,
}

/// The changes of CORS rules, and the findings about those that could not be made.
type CorsDone = (Vec<String>, Vec<Finding>);

/// Makes a request true.
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
    let reconciliation = Ensure { context, desired, observer, s3_time, facts: facts.shared(), expected };
    let Finished { mut done, observed_state, plan, prepared: (set, unset) } = rounds(context, &reconciliation).await?;
    done.applied.extend(set);

    let forbidden = match blueprint.request.checks {
        Checks::Off => Vec::new(),
        Checks::Enforce | Checks::Report => verify(context, blueprint, desired.is_new || !plan.is_empty()).await,
    };
    if is_enforced(desired, &plan, &older(observer, &observed_state.observed, &forbidden).await) {
        refuse(&forbidden)?;
    }
    done.findings = [observed_state.findings, forbidden, unset].concat();
    if !done.notes.is_empty() {
        // A Delete that comes at once has to see who remembers what is left of older roles.
        context.pause(UNTIL_SHOWN).await;
    }
    Ok(done)
}

struct Ensure<'a, I, C> {
    context: &'a Context<'a, I, C>,
    desired: &'a Desired,
    observer: &'a Observer<'a, I, C>,
    s3_time: &'a S3Time<'a, C>,
    /// Looked at once, side by side with the first look at IAM.
    facts: Shared<Pin<Box<dyn Future<Output = Vec<Facts>> + Send + 'a>>>,
    /// The plan if all that was asked for before was there.
    expected: Option<Result<Plan, Refusal>>,
}

impl<I: Account, C: Clock> Reconciliation for Ensure<'_, I, C> {
    type Observed = Looked;
    type Prepared = CorsDone;

    fn owner(&self) -> &Owner {
        &self.desired.blueprint.owner
    }

    async fn look(&self) -> Result<Looked, Refusal> {
        let clock = self.context.clock;
        let begun = clock.elapsed();
        let (mut observed, facts) = try_join(self.observer.observed(self.desired), self.facts.clone().map(Ok)).await?;
        // S3 may have taken its time: nothing is decided on a picture that is old by then.
        if clock.elapsed().saturating_sub(begun) > UNTIL_SHOWN {
            observed = self.observer.observed(self.desired).await?;
        }
        let findings = preflight::judge(&self.desired.blueprint, &facts);
        let older = older(self.observer, &observed, &findings).await;
        Ok(Looked { observed, findings, older })
    }

    fn decide(&self, looked: &Looked) -> Result<Plan, Refusal> {
        let plan = Plan::to_ensure(self.desired, &looked.observed)?;
        if is_enforced(self.desired, &plan, &looked.older) {
            refuse(&looked.findings)?;
        }
        Ok(plan)
    }

    /// Something done since the last answer, by another try or by an update that is being taken back, may not show yet.
    fn is_doubtful(&self, looked: &Looked, plan: &Plan) -> bool {
        let misses_the_former = self.desired.replaced_role.is_some() && looked.observed.replaced_role.is_none();
        let expected = self.expected.as_ref();
        misses_the_former || expected.is_some_and(|it| it.as_ref().map_or(true, |it| plan.lacks(it)))
    }

    fn role_id(&self, looked: &Looked) -> Option<String> {
        looked.observed.role.as_ref().map(|role| role.id.clone())
    }

    /// CORS rules come before the role, since the last step on that says which one is in use from then on.
    async fn prepare(&self) -> Result<CorsDone, Refusal> {
        cors::ensure(self.context, self.desired, self.s3_time).await
    }
}

/// The policy's older documents, if they matter.
async fn older<I: Account, C: Clock>(
    observer: &Observer<'_, I, C>,
    observed: &ObservedState,
    findings: &[Finding],
) -> Vec<Value> {
    if findings.iter().any(Finding::is_failure) { observer.older_documents(observed).await } else { Vec::new() }
}

fn refuse(findings: &[Finding]) -> Result<(), Refusal> {
    let failures: Vec<_> = findings.iter().filter(|finding| finding.is_failure()).cloned().collect();
    if failures.is_empty() { Ok(()) } else { Err(Refusal::Unusable { found: told(&failures) }) }
}
