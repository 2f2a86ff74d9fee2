//! The reconciliation loop: observe the account, plan, apply, and repeat until the account is as desired.
//!
//! # Flow
//!
//! 1. [`Reconciliation::observe`] reads the account, and [`Reconciliation::plan`] turns that into a plan.
//! 2. If the first observation may be outdated, the loop waits and observes once more before it changes anything.
//! 3. The loop applies the plan stage by stage. If all changes succeed, the reconciliation is finished.
//! 4. If a change fails, the loop observes again, at once or after a wait. If the new plan no longer contains the
//!    failed change, somebody else made it; otherwise it is tried again, or the loop gives up.
//!
//! [`PreviousRound::next_step`] and [`PreviousRound::after_failure`] make these decisions. They are pure; their tests
//! are tables.
//!
//! # Guarantees
//!
//! - No change is made before the function has proved to run in the account of its stack.
//! - At most [`MOST_ROUNDS`] rounds run, and no wait exceeds the time of the event.
//! - All changes of a stage have ended before a failure is reported.
//! - A failed clean-up of older roles fails nothing; it becomes a note.
//!
//! # Assumptions
//!
//! - Every change is idempotent, so that a change whose answer was lost can be repeated.
//! - IAM shows a change within [`UNTIL_SHOWN`].
//!
//! # Errors
//!
//! The refusal of the plan, or of the change that still fails.

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

/// Observation and plan of one kind of event: ensure that a role exists, or delete it.
pub(super) trait Reconciliation: Sync {
    /// Part of the account that the plan depends on.
    type Observed: Send + Sync;
    /// Result of [`Reconciliation::prepare`].
    type Prepared: Send;

    /// Returns the owner of everything that is read in detail and changed.
    fn owner(&self) -> &Owner;

    /// Reads the account.
    fn observe(&self) -> impl Future<Output = Result<Self::Observed, Refusal>> + Send;

    /// Returns the changes that are due.
    fn plan(&self, observed_state: &Self::Observed) -> Result<Plan, Refusal>;

    /// True if the first observation lacks something that is expected to exist, so that IAM may have shown an old
    /// state.
    fn may_be_outdated(&self, observed_state: &Self::Observed, plan: &Plan) -> bool;

    /// Returns the unique ID of the observed role.
    fn role_id(&self, observed_state: &Self::Observed) -> Option<String>;

    /// Runs once, between the first plan and its first change.
    fn prepare(&self) -> impl Future<Output = Result<Self::Prepared, Refusal>> + Send;
}

/// Change that AWS did not make.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FailedChange {
    change: Change,
    failure: Failure,
}

impl FailedChange {
    fn refusal(self) -> Refusal {
        Refusal::while_changing(&self.change, self.failure)
    }
}

/// Result of the previous round.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PreviousRound {
    /// There was no round yet.
    None,
    /// The first observation may have been outdated. The second one counts in any case.
    Outdated,
    /// A change failed. The next observation shows whether it is still due.
    ChangeFailed { times: u32, was_outdated: bool, last: FailedChange },
}

/// Consequence of an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NextStep {
    /// Apply the plan.
    Apply,
    /// Observe again after a wait.
    ObserveAgain(PreviousRound, Duration),
    /// The failed change is still due, and repeating it does not help.
    GiveUp(FailedChange),
}

impl PreviousRound {
    /// Number of rounds so far.
    fn rounds(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::Outdated => 1,
            Self::ChangeFailed { times, was_outdated, .. } => times + u32::from(*was_outdated),
        }
    }

    /// Decides what to do with a plan, so long after the event came.
    fn next_step(&self, plan: &Plan, may_be_outdated: bool, elapsed: Duration) -> NextStep {
        match self {
            Self::None if may_be_outdated => NextStep::ObserveAgain(Self::Outdated, UNTIL_SHOWN),
            Self::None | Self::Outdated => NextStep::Apply,
            Self::ChangeFailed { times, last, .. } => {
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

    /// Decides how long to wait after a failed change before the next observation; `None` if another round cannot help.
    fn after_failure(&self, last: &FailedChange) -> Option<(Self, Duration)> {
        if is_final(last.failure.kind) || self.rounds() >= MOST_ROUNDS {
            return None;
        }
        let (before, was_outdated) = match self {
            Self::None => (0, false),
            Self::Outdated => (0, true),
            Self::ChangeFailed { times, was_outdated, .. } => (*times, *was_outdated),
        };
        let times = before + 1;
        let wait = match last.failure.kind {
            // IAM has something that it does not show yet. Wait, and longer each time.
            FailureKind::AlreadyExists | FailureKind::LimitExceeded | FailureKind::DeleteConflict => {
                UNTIL_SHOWN * times
            }
            _ => Duration::ZERO,
        };
        Some((Self::ChangeFailed { times, was_outdated, last: last.clone() }, wait))
    }
}

/// Result of a finished reconciliation, with the observation and plan of its first round.
pub(super) struct Finished<J: Reconciliation> {
    pub(super) done: Reconciled,
    pub(super) observed_state: J::Observed,
    pub(super) plan: Plan,
    pub(super) prepared: J::Prepared,
}

/// Runs a reconciliation to its end.
pub(super) async fn rounds<I: Account, C: Clock, J: Reconciliation>(
    context: &Context<'_, I, C>,
    task: &J,
) -> Result<Finished<J>, Refusal> {
    let mut done = Reconciled::default();
    let mut first: Option<(J::Observed, Plan, J::Prepared)> = None;
    let mut state = PreviousRound::None;
    loop {
        let observed_state = match state {
            PreviousRound::None => first_observation(context, task).await?,
            PreviousRound::Outdated | PreviousRound::ChangeFailed { .. } => observe(context.clock, task).await?,
        };
        let plan = task.plan(&observed_state)?;
        let may_be_outdated = task.may_be_outdated(&observed_state, &plan);
        match state.next_step(&plan, may_be_outdated, context.clock.elapsed()) {
            NextStep::Apply => {}
            NextStep::ObserveAgain(next, wait) => {
                context.pause(wait).await;
                state = next;
                continue;
            }
            NextStep::GiveUp(failed) => return Err(failed.refusal()),
        }
        done.role_id = task.role_id(&observed_state).or(done.role_id);
        done.notes.clone_from(&plan.notes);
        let first_decision = match first.take() {
            Some(first_decision) => first_decision,
            None => (observed_state, plan.clone(), task.prepare().await?),
        };
        let Err(failed) = apply(context, &plan, &mut done).await else {
            let (observed_state, plan, prepared) = first_decision;
            return Ok(Finished { done, observed_state, plan, prepared });
        };
        let Some((next, wait)) = state.after_failure(&failed) else { return Err(failed.refusal()) };
        context.pause(wait).await;
        (state, first) = (next, Some(first_decision));
    }
}

/// Observes for the first time, and checks at the same time that the function runs in the account of its stack.
async fn first_observation<I: Account, C: Clock, J: Reconciliation>(
    context: &Context<'_, I, C>,
    task: &J,
) -> Result<J::Observed, Refusal> {
    let observer = context.observer(task.owner());
    let (caller, observed_state) = try_join(observer.caller(), observe(context.clock, task)).await?;
    check_account(caller, task.owner())?;
    Ok(observed_state)
}

/// Observes, and repeats that once if something vanished between two reads. For something that vanished, IAM denies a
/// read that has a tag condition.
async fn observe<C: Clock, J: Reconciliation>(clock: &C, task: &J) -> Result<J::Observed, Refusal> {
    let mut is_first = true;
    loop {
        match task.observe().await {
            Err(Refusal::Aws { failure, .. })
                if (is_first && failure.kind == FailureKind::NotFound)
                    || (failure.kind == FailureKind::Denied && (is_first || may_come_into_force(clock.elapsed()))) => {}
            result => return result,
        }
        is_first = false;
    }
}

/// True if another round cannot help.
fn is_final(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::MalformedDocument | FailureKind::Other)
}

/// True if repeating a change that is still due cannot help.
fn is_hopeless(change: &Change, kind: FailureKind) -> bool {
    match kind {
        FailureKind::AlreadyExists | FailureKind::NotFound | FailureKind::DeleteConflict => false,
        // The newest version of another attempt did not show yet, so that the oldest was not deleted before.
        FailureKind::LimitExceeded => !matches!(change, Change::CreatePolicyVersion { .. }),
        _ => true,
    }
}

pub(super) fn check_account(caller: AccountId, owner: &Owner) -> Result<(), Refusal> {
    let stack = owner.stack.account.clone();
    if caller == stack { Ok(()) } else { Err(Refusal::WrongAccount { caller, stack }) }
}

/// Applies a plan. The changes of a stage run concurrently, and all of them end before the first failure is returned.
async fn apply<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    plan: &Plan,
    done: &mut Reconciled,
) -> Result<(), FailedChange> {
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
                Err(failure) => failed = failed.or(Some(FailedChange { change: change.clone(), failure })),
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

    fn after_failure(change: Change, kind: FailureKind) -> FailedChange {
        let failure = Failure { kind, code: String::new(), message: String::new(), request_id: None };
        FailedChange { change, failure }
    }

    fn after(times: u32, last: FailedChange) -> PreviousRound {
        PreviousRound::ChangeFailed { times, was_outdated: false, last }
    }

    /// Returns a plan with one change, or with none.
    fn plan(due: Option<Change>) -> Plan {
        Plan { stages: due.into_iter().map(|change| vec![change]).collect(), ..Plan::default() }
    }

    #[test]
    fn decides_on_the_next_step_after_an_observation() {
        use FailureKind as F;
        let early = Duration::ZERO;
        let looks_again = NextStep::ObserveAgain(PreviousRound::Outdated, UNTIL_SHOWN);
        let gives_up = |failed: FailedChange| NextStep::GiveUp(failed);
        let table = [
            ("a first picture is believed", PreviousRound::None, None, false, early, NextStep::Apply),
            ("a doubtful one is not", PreviousRound::None, None, true, early, looks_again),
            ("there is one doubt", PreviousRound::Outdated, None, true, early, NextStep::Apply),
            (
                "what is not due any more was done by somebody else",
                after(8, after_failure(attach(), F::Denied)),
                None,
                false,
                early,
                NextStep::Apply,
            ),
            (
                "what does not show yet is tried again",
                after(2, after_failure(attach(), F::AlreadyExists)),
                Some(attach()),
                false,
                early,
                NextStep::Apply,
            ),
            (
                "but not a fourth time",
                after(3, after_failure(attach(), F::AlreadyExists)),
                Some(attach()),
                false,
                early,
                gives_up(after_failure(attach(), F::AlreadyExists)),
            ),
            (
                "a limit is not worth another try",
                after(1, after_failure(attach(), F::LimitExceeded)),
                Some(attach()),
                false,
                early,
                gives_up(after_failure(attach(), F::LimitExceeded)),
            ),
            (
                "a denied change waited as long as there is",
                after(1, after_failure(attach(), F::Denied)),
                Some(attach()),
                false,
                early,
                gives_up(after_failure(attach(), F::Denied)),
            ),
            (
                "a denied removal may be that of a role not in force",
                after(1, after_failure(delete(), F::Denied)),
                Some(delete()),
                false,
                early,
                NextStep::Apply,
            ),
            (
                "until it has to be in force",
                after(1, after_failure(delete(), F::Denied)),
                Some(delete()),
                false,
                UNTIL_POLICY_IN_FORCE,
                gives_up(after_failure(delete(), F::Denied)),
            ),
            (
                "or the rounds are over",
                after(MOST_ROUNDS, after_failure(delete(), F::Denied)),
                Some(delete()),
                false,
                early,
                gives_up(after_failure(delete(), F::Denied)),
            ),
        ];
        for (name, state, due, may_be_outdated, elapsed, expected) in table {
            assert_eq!(state.next_step(&plan(due), may_be_outdated, elapsed), expected, "{name}");
        }
    }

    #[test]
    fn decides_on_another_round_after_a_failed_change() {
        use FailureKind as F;
        let exists = || after_failure(attach(), F::AlreadyExists);
        let doubted = |times, last| PreviousRound::ChangeFailed { times, was_outdated: true, last };
        let table = [
            (
                "it is looked at again at once",
                PreviousRound::None,
                after_failure(delete(), F::Denied),
                Some((1, false, 0)),
            ),
            ("a doubt is remembered", PreviousRound::Outdated, after_failure(delete(), F::Denied), Some((1, true, 0))),
            ("what does not show gets a moment", PreviousRound::None, exists(), Some((1, false, 1))),
            ("and then a longer one", after(1, exists()), exists(), Some((2, false, 2))),
            (
                "a malformed document stays one",
                PreviousRound::None,
                after_failure(attach(), F::MalformedDocument),
                None,
            ),
            ("so does what nobody knows", PreviousRound::None, after_failure(attach(), F::Other), None),
            ("the eighth round is not the last", after(7, exists()), exists(), Some((8, false, 8))),
            ("the ninth is", after(8, exists()), exists(), None),
            ("a doubt counts as a round", doubted(7, exists()), exists(), None),
        ];
        for (name, state, last, expected) in table {
            let next = state.after_failure(&last);
            let expected = expected.map(|(times, was_outdated, waits)| {
                (PreviousRound::ChangeFailed { times, was_outdated, last }, UNTIL_SHOWN * waits)
            });
            assert_eq!(next, expected, "{name}");
        }
    }
}
