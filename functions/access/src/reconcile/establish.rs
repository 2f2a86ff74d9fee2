//! Making a request true: the role, its policy, and the buckets' CORS rules.

use std::pin::Pin;

use futures_util::FutureExt as _;
use futures_util::future::{Shared, try_join};
use serde_json::Value;

use super::rounds::{Ended, Job, rounds};
use super::verify::verify;
use super::{Context, Done, cors};
use crate::budget::Budget;
use crate::checks::preflight::{self, Facts};
use crate::checks::{Finding, is_enforced, told};
use crate::observe::Observer;
use crate::observed::ObservedState;
use crate::owner::Owner;
use crate::patience::UNTIL_SHOWN;
use crate::plan::Plan;
use crate::port::{Account, Clock};
use crate::refusal::Refusal;
use crate::request::Checks;
use crate::wanted::Present;

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
pub async fn establish<I: Account, C: Clock>(context: &Context<'_, I, C>, present: &Present) -> Result<Done, Refusal> {
    let blueprint = &present.blueprint;
    let observer = &context.observer(&blueprint.owner);
    let asks_anew = (blueprint.request.configure_cors && !present.knows_cors())
        || blueprint.request.volumes.iter().any(|volume| !present.knows_bucket(volume));
    let budget =
        &if asks_anew { Budget::of_new_buckets(context.clock) } else { Budget::of_known_buckets(context.clock) };
    let facts: Pin<Box<dyn Future<Output = Vec<Facts>> + Send>> =
        Box::pin(budget.spend(|share| observer.facts(present, share)));
    let expected =
        present.before.as_ref().map(|before| Plan::for_present(present, &ObservedState::expected(before, present)));
    let job = Establish { context, present, observer, budget, facts: facts.shared(), expected };
    let Ended { mut done, picture, plan, prepared: (set, unset) } = rounds(context, &job).await?;
    done.applied.extend(set);

    let forbidden = match blueprint.request.checks {
        Checks::Off => Vec::new(),
        Checks::Enforce | Checks::Report => verify(context, blueprint, present.is_new || !plan.is_empty()).await,
    };
    if is_enforced(present, &plan, &older(observer, &picture.observed, &forbidden).await) {
        refuse(&forbidden)?;
    }
    done.findings = [picture.findings, forbidden, unset].concat();
    if !done.notes.is_empty() {
        // A Delete that comes at once has to see who remembers what is left of older roles.
        context.pause(UNTIL_SHOWN).await;
    }
    Ok(done)
}

struct Establish<'a, I, C> {
    context: &'a Context<'a, I, C>,
    present: &'a Present,
    observer: &'a Observer<'a, I, C>,
    budget: &'a Budget<'a, C>,
    /// Looked at once, side by side with the first look at IAM.
    facts: Shared<Pin<Box<dyn Future<Output = Vec<Facts>> + Send + 'a>>>,
    /// The plan if all that was asked for before was there.
    expected: Option<Result<Plan, Refusal>>,
}

impl<I: Account, C: Clock> Job for Establish<'_, I, C> {
    type Picture = Looked;
    type Prepared = CorsDone;

    fn owner(&self) -> &Owner {
        &self.present.blueprint.owner
    }

    async fn look(&self) -> Result<Looked, Refusal> {
        let clock = self.context.clock;
        let begun = clock.elapsed();
        let (mut observed, facts) = try_join(self.observer.observed(self.present), self.facts.clone().map(Ok)).await?;
        // S3 may have taken its time: nothing is decided on a picture that is old by then.
        if clock.elapsed().saturating_sub(begun) > UNTIL_SHOWN {
            observed = self.observer.observed(self.present).await?;
        }
        let findings = preflight::judge(&self.present.blueprint, &facts);
        let older = older(self.observer, &observed, &findings).await;
        Ok(Looked { observed, findings, older })
    }

    fn decide(&self, looked: &Looked) -> Result<Plan, Refusal> {
        let plan = Plan::for_present(self.present, &looked.observed)?;
        if is_enforced(self.present, &plan, &looked.older) {
            refuse(&looked.findings)?;
        }
        Ok(plan)
    }

    /// Something done since the last answer, by another try or by an update that is being taken back, may not show yet.
    fn is_doubtful(&self, looked: &Looked, plan: &Plan) -> bool {
        let misses_the_former = self.present.from.is_some() && looked.observed.from.is_none();
        let expected = self.expected.as_ref();
        misses_the_former || expected.is_some_and(|it| it.as_ref().map_or(true, |it| plan.lacks(it)))
    }

    fn role_id(&self, looked: &Looked) -> Option<String> {
        looked.observed.role.as_ref().map(|role| role.id.clone())
    }

    /// CORS rules come before the role, since the last step on that says which one is in use from then on.
    async fn prepare(&self) -> Result<CorsDone, Refusal> {
        cors::establish(self.context, self.present, self.budget).await
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
