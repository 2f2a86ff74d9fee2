//! Look, decide, apply, until nothing is left to do or something stands in the way.
//!
//! A [`Reconciliation`] says what is looked at and decides what that asks for; here is decided only whether another round is worth
//! it, when somebody else or an earlier try of ours changed what was looked at. [`State::seen`] and [`State::failed`]
//! are that decision: pure, with a table of cases at the end of this file.

use std::time::Duration;

use futures_util::future::{join_all, try_join};

use super::{Context, Reconciled};
use crate::names::AccountId;
use crate::owner::Owner;
use crate::plan::Plan;
use crate::port::{Account, Change, Clock, Failure, FailureKind};
use crate::refusal::Refusal;
use crate::retry::{Attempt, may_come_into_force};
use crate::waits::{MOST_ROUNDS, ROUNDS_FOR_THE_SAME_FAILURE, UNTIL_SHOWN};

/// The difference between establishing and removing.
pub(super) trait Reconciliation: Sync {
    /// The observed part of the account.
    type Observed: Send + Sync;
    /// The result of the preparation.
    type Prepared: Send;

    /// Whose things are looked into and changed.
    fn owner(&self) -> &Owner;

    /// Looks at the account.
    fn look(&self) -> impl Future<Output = Result<Self::Observed, Refusal>> + Send;

    /// Decides what is to be done.
    fn decide(&self, observed_state: &Self::Observed) -> Result<Plan, Refusal>;

    /// True if the first picture misses what was to be expected, so that it may be an old one.
    fn is_doubtful(&self, observed_state: &Self::Observed, plan: &Plan) -> bool;

    /// The unique ID of the role that is there.
    fn role_id(&self, observed_state: &Self::Observed) -> Option<String>;

    /// Runs once, between the first decision and the first change.
    fn prepare(&self) -> impl Future<Output = Result<Self::Prepared, Refusal>> + Send;
}

/// A change that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failed {
    change: Change,
    failure: Failure,
}

impl Failed {
    fn refusal(self) -> Refusal {
        Refusal::while_changing(&self.change, self.failure)
    }
}

/// The state between two rounds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Nothing was looked at yet.
    First,
    /// The first picture was doubtful; there will be no second doubt.
    Doubted,
    /// A change failed; the next picture tells whether it is still to be done.
    Failed { times: u32, was_doubted: bool, last: Failed },
}

/// The consequence of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NextStep {
    /// The plan is to be applied.
    Apply,
    /// The picture may be an old one: another look, after so long.
    LookAgain(State, Duration),
    /// The change that failed is still to be done, and trying it again does not help.
    GiveUp(Failed),
}

impl State {
    /// Rounds that are over.
    fn rounds(&self) -> u32 {
        match self {
            Self::First => 0,
            Self::Doubted => 1,
            Self::Failed { times, was_doubted, .. } => times + u32::from(*was_doubted),
        }
    }

    /// After a look that led to a plan; `elapsed` since the event came.
    fn seen(&self, plan: &Plan, is_doubtful: bool, elapsed: Duration) -> NextStep {
        match self {
            Self::First if is_doubtful => NextStep::LookAgain(Self::Doubted, UNTIL_SHOWN),
            Self::First | Self::Doubted => NextStep::Apply,
            Self::Failed { times, last, .. } => {
                let is_still_due = plan.changes().any(|due| *due == last.change);
                let is_enough = match last.failure.kind {
                    FailureKind::Denied => !last.change.is_removal() || !may_come_into_force(elapsed),
                    kind => *times >= ROUNDS_FOR_THE_SAME_FAILURE || is_hopeless(&last.change, kind),
                };
                let gives_up = is_still_due && (self.rounds() >= MOST_ROUNDS || is_enough);
                if gives_up { NextStep::GiveUp(last.clone()) } else { NextStep::Apply }
            }
        }
    }

    /// After a change that failed: another look after so long, or nothing where that does not help.
    fn failed(&self, last: &Failed) -> Option<(Self, Duration)> {
        if is_final(last.failure.kind) || self.rounds() >= MOST_ROUNDS {
            return None;
        }
        let (before, was_doubted) = match self {
            Self::First => (0, false),
            Self::Doubted => (0, true),
            Self::Failed { times, was_doubted, .. } => (*times, *was_doubted),
        };
        let times = before + 1;
        let wait = match last.failure.kind {
            // What IAM has but does not show yet needs a moment, and then a longer one.
            FailureKind::AlreadyExists | FailureKind::LimitExceeded | FailureKind::DeleteConflict => {
                UNTIL_SHOWN * times
            }
            _ => Duration::ZERO,
        };
        Some((Self::Failed { times, was_doubted, last: last.clone() }, wait))
    }
}

/// How a job ended, and what its first decision was about.
pub(super) struct Finished<J: Reconciliation> {
    pub(super) done: Reconciled,
    pub(super) observed_state: J::Observed,
    pub(super) plan: Plan,
    pub(super) prepared: J::Prepared,
}

/// Does a job.
pub(super) async fn rounds<I: Account, C: Clock, J: Reconciliation>(
    context: &Context<'_, I, C>,
    reconciliation: &J,
) -> Result<Finished<J>, Refusal> {
    let mut done = Reconciled::default();
    let mut first: Option<(J::Observed, Plan, J::Prepared)> = None;
    let mut state = State::First;
    loop {
        let observed_state = match state {
            State::First => first_look(context, reconciliation).await?,
            State::Doubted | State::Failed { .. } => look(context.clock, reconciliation).await?,
        };
        let plan = reconciliation.decide(&observed_state)?;
        let is_doubtful = reconciliation.is_doubtful(&observed_state, &plan);
        match state.seen(&plan, is_doubtful, context.clock.elapsed()) {
            NextStep::Apply => {}
            NextStep::LookAgain(next, wait) => {
                context.pause(wait).await;
                state = next;
                continue;
            }
            NextStep::GiveUp(failed) => return Err(failed.refusal()),
        }
        done.role_id = reconciliation.role_id(&observed_state).or(done.role_id);
        done.notes.clone_from(&plan.notes);
        let kept = match first.take() {
            Some(kept) => kept,
            None => (observed_state, plan.clone(), reconciliation.prepare().await?),
        };
        let Err(failed) = apply(context, &plan, &mut done).await else {
            let (observed_state, plan, prepared) = kept;
            return Ok(Finished { done, observed_state, plan, prepared });
        };
        let Some((next, wait)) = state.failed(&failed) else { return Err(failed.refusal()) };
        context.pause(wait).await;
        (state, first) = (next, Some(kept));
    }
}

/// The first look, and beside it whether the function runs in the account of its stack.
async fn first_look<I: Account, C: Clock, J: Reconciliation>(
    context: &Context<'_, I, C>,
    reconciliation: &J,
) -> Result<J::Observed, Refusal> {
    let observer = context.observer(reconciliation.owner());
    let (caller, observed_state) = try_join(observer.caller(), look(context.clock, reconciliation)).await?;
    check_account(caller, reconciliation.owner())?;
    Ok(observed_state)
}

/// Looks; again when something vanished between finding it and looking into it. Under a tag condition IAM calls what
/// vanished denied.
async fn look<C: Clock, J: Reconciliation>(clock: &C, reconciliation: &J) -> Result<J::Observed, Refusal> {
    let mut is_first = true;
    loop {
        match reconciliation.look().await {
            Err(Refusal::Aws { failure, .. })
                if (is_first && failure.kind == FailureKind::NotFound)
                    || (failure.kind == FailureKind::Denied && (is_first || may_come_into_force(clock.elapsed()))) => {}
            result => return result,
        }
        is_first = false;
    }
}

/// True if another look cannot help.
fn is_final(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::MalformedDocument | FailureKind::Other)
}

/// True if trying the same again cannot help, once another look shows that it is still to be done.
fn is_hopeless(change: &Change, kind: FailureKind) -> bool {
    match kind {
        FailureKind::AlreadyExists | FailureKind::NotFound | FailureKind::DeleteConflict => false,
        // A version that another try made a moment ago did not show, so that none was removed before.
        FailureKind::LimitExceeded => !matches!(change, Change::CreatePolicyVersion { .. }),
        _ => true,
    }
}

pub(super) fn check_account(caller: AccountId, owner: &Owner) -> Result<(), Refusal> {
    let stack = owner.stack.account.clone();
    if caller == stack { Ok(()) } else { Err(Refusal::WrongAccount { caller, stack }) }
}

/// Applies a plan; the changes of a stage go at once, and all of them end before the first failure is reported.
async fn apply<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    plan: &Plan,
    done: &mut Reconciled,
) -> Result<(), Failed> {
    for changes in &plan.stages {
        let attempt = |change: &Change| if change.is_removal() { Attempt::Removal } else { Attempt::Change };
        let results = join_all(changes.iter().map(|change| context.apply(change, attempt(change)))).await;
        let mut failed = None;
        for (change, result) in changes.iter().zip(results) {
            match result {
                Ok(receipt) => {
                    done.applied.push(change.to_string());
                    done.role_id = receipt.role_id.or(done.role_id.take());
                }
                Err(failure) => failed = failed.or(Some(Failed { change: change.clone(), failure })),
            }
        }
        if let Some(failed) = failed {
            return Err(failed);
        }
    }
    for changes in &plan.clean_up {
        let results = join_all(changes.iter().map(|change| context.apply(change, Attempt::CleanUp))).await;
        for (change, result) in changes.iter().zip(&results) {
            match result {
                Ok(_) => done.applied.push(change.to_string()),
                Err(failure) => done.notes.push(format!("{change} is left for the next time: {failure}")),
            }
        }
        if results.iter().any(Result::is_err) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::waits::UNTIL_POLICY_IN_FORCE;

    fn attach() -> Change {
        Change::Attach { role: "vol".parse().unwrap(), arn: "arn:aws:iam::123456789012:policy/vol".parse().unwrap() }
    }

    fn delete() -> Change {
        Change::DeleteRole { role: "vol".parse().unwrap() }
    }

    fn failed(change: Change, kind: FailureKind) -> Failed {
        let failure = Failure { kind, code: String::new(), message: String::new(), request_id: None };
        Failed { change, failure }
    }

    fn after(times: u32, last: Failed) -> State {
        State::Failed { times, was_doubted: false, last }
    }

    /// A plan with one change, or with none.
    fn plan(due: Option<Change>) -> Plan {
        Plan { stages: due.into_iter().map(|change| vec![change]).collect(), ..Plan::default() }
    }

    #[test]
    fn what_a_look_leads_to() {
        use FailureKind as F;
        let early = Duration::ZERO;
        let looks_again = NextStep::LookAgain(State::Doubted, UNTIL_SHOWN);
        let gives_up = |failed: Failed| NextStep::GiveUp(failed);
        let table = [
            ("a first picture is believed", State::First, None, false, early, NextStep::Apply),
            ("a doubtful one is not", State::First, None, true, early, looks_again),
            ("there is one doubt", State::Doubted, None, true, early, NextStep::Apply),
            (
                "what is not due any more was done by somebody else",
                after(8, failed(attach(), F::Denied)),
                None,
                false,
                early,
                NextStep::Apply,
            ),
            (
                "what does not show yet is tried again",
                after(2, failed(attach(), F::AlreadyExists)),
                Some(attach()),
                false,
                early,
                NextStep::Apply,
            ),
            (
                "but not a fourth time",
                after(3, failed(attach(), F::AlreadyExists)),
                Some(attach()),
                false,
                early,
                gives_up(failed(attach(), F::AlreadyExists)),
            ),
            (
                "a limit is not worth another try",
                after(1, failed(attach(), F::LimitExceeded)),
                Some(attach()),
                false,
                early,
                gives_up(failed(attach(), F::LimitExceeded)),
            ),
            (
                "a denied change waited as long as there is",
                after(1, failed(attach(), F::Denied)),
                Some(attach()),
                false,
                early,
                gives_up(failed(attach(), F::Denied)),
            ),
            (
                "a denied removal may be that of a role not in force",
                after(1, failed(delete(), F::Denied)),
                Some(delete()),
                false,
                early,
                NextStep::Apply,
            ),
            (
                "until it has to be in force",
                after(1, failed(delete(), F::Denied)),
                Some(delete()),
                false,
                UNTIL_POLICY_IN_FORCE,
                gives_up(failed(delete(), F::Denied)),
            ),
            (
                "or the rounds are over",
                after(MOST_ROUNDS, failed(delete(), F::Denied)),
                Some(delete()),
                false,
                early,
                gives_up(failed(delete(), F::Denied)),
            ),
        ];
        for (name, state, due, is_doubtful, elapsed, expected) in table {
            assert_eq!(state.seen(&plan(due), is_doubtful, elapsed), expected, "{name}");
        }
    }

    #[test]
    fn what_a_failed_change_leads_to() {
        use FailureKind as F;
        let exists = || failed(attach(), F::AlreadyExists);
        let doubted = |times, last| State::Failed { times, was_doubted: true, last };
        let table = [
            ("it is looked at again at once", State::First, failed(delete(), F::Denied), Some((1, false, 0))),
            ("a doubt is remembered", State::Doubted, failed(delete(), F::Denied), Some((1, true, 0))),
            ("what does not show gets a moment", State::First, exists(), Some((1, false, 1))),
            ("and then a longer one", after(1, exists()), exists(), Some((2, false, 2))),
            ("a malformed document stays one", State::First, failed(attach(), F::MalformedDocument), None),
            ("so does what nobody knows", State::First, failed(attach(), F::Other), None),
            ("the eighth round is not the last", after(7, exists()), exists(), Some((8, false, 8))),
            ("the ninth is", after(8, exists()), exists(), None),
            ("a doubt counts as a round", doubted(7, exists()), exists(), None),
        ];
        for (name, state, last, expected) in table {
            let next = state.failed(&last);
            let expected = expected
                .map(|(times, was_doubted, waits)| (State::Failed { times, was_doubted, last }, UNTIL_SHOWN * waits));
            assert_eq!(next, expected, "{name}");
        }
    }
}
