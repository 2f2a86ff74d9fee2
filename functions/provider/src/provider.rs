//! One event, one answer: the deadline, the panic, the refusal and the success all end in the same place.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use cavatica_access::activity::Activities;
use cavatica_access::checks;
use cavatica_access::desired::Desired;
use cavatica_access::port::Account;
use cavatica_access::reconcile::{self, Context, Reconciled};
use cavatica_access::waits::FOR_THE_ANSWER;
use cavatica_aws::clock::Deadline;
use futures_util::FutureExt as _;

use crate::answer::{Answer, Attributes, EventResult, FINDINGS};
use crate::delivery::{DeliveryFailure, Post, deliver};
use crate::envelope::Envelope;
use crate::task::{InvalidEvent, NOTHING_MADE, Pins, ROLE_IS_FOREIGN, Task};

/// The way on after a failed creation. Source: "Stack status codes", `ROLLBACK_COMPLETE`.
const AFTER_CREATE: &str =
    " If the stack was being created, it can only be deleted now: correct this, delete the stack, and create it again.";

/// Serves events with an account and a way to answer.
#[derive(Debug)]
pub struct Provider<I, P> {
    /// The account.
    pub account: I,
    /// The way to answer.
    pub post: P,
    /// The pins of the environment, or the problem with them.
    pub pins: Result<Pins, String>,
    /// True if the account is played on this machine, where it may be answered then.
    pub is_local: bool,
}

impl<I: Account, P: Post> Provider<I, P> {
    /// Serves one event within the time there is. An error means that CloudFormation was not answered; Lambda then
    /// runs the event again.
    pub async fn serve(&self, event: &str, time: Duration) -> Result<(), DeliveryFailure> {
        let end = Deadline::after(time);
        let envelope = Envelope::read(event);
        let redactor = envelope.redactor();
        tracing::info!(
            request = envelope.request_type,
            resource = envelope.logical_id,
            physical_id = envelope.physical_id,
            stack = envelope.stack_id,
            request_id = envelope.request_id,
            "event"
        );
        let mut answer = self.answer(&envelope, end.earlier(FOR_THE_ANSWER.min(time / 4)), time).await;
        if let (EventResult::Failed(reason), "Create") = (&mut answer.outcome, envelope.request_type.as_str()) {
            reason.push_str(AFTER_CREATE);
        }
        match &answer.outcome {
            EventResult::Success(_) => tracing::info!(physical_id = answer.physical_id, "SUCCESS"),
            EventResult::Failed(reason) => {
                tracing::error!(physical_id = answer.physical_id, reason = redactor.redact(reason), "FAILED");
            }
        }
        let delivered =
            deliver(&self.post, &end, envelope.response_url.as_ref(), self.is_local, &answer.body(&envelope)).await;
        if let Err(error) = &delivered {
            tracing::error!(%error, "the answer could not be delivered");
        }
        delivered
    }

    /// Returns the answer to an event, at the latest when the work has to stop.
    async fn answer(&self, envelope: &Envelope, stop: Deadline, time: Duration) -> Answer {
        let pins = self.pins.as_ref().map_err(|error| InvalidEvent::Environment(error.clone()));
        let task = match pins.and_then(|pins| Task::of(envelope, pins)) {
            Ok(task) => task,
            Err(rejected) => return failed(rejected.to_string(), unchanged_id(envelope)),
        };
        let physical_id = match &task {
            Task::Ensure(desired) => desired.blueprint.role.to_string(),
            Task::Delete(_) => unchanged_id(envelope),
        };
        let failed_id = if keeps_its_name(&task) { unchanged_id(envelope) } else { physical_id.clone() };
        let activities = Activities::default();
        // Kept alive until the answer is written: what is under way ends when it is dropped.
        let mut work = pin!(AssertUnwindSafe(self.work(&task, &stop, &activities)).catch_unwind());
        match tokio::time::timeout_at(stop.instant(), &mut work).await {
            Ok(Ok(Ok(done))) => Answer { outcome: EventResult::Success(attributes(&task, &done)), physical_id },
            Ok(Ok(Err(refusal))) => {
                let is_foreign = envelope.request_type == "Create" && refusal.is_foreign_role();
                let id = if is_foreign { ROLE_IS_FOREIGN.to_owned() } else { failed_id };
                failed(refusal.to_string(), id)
            }
            Ok(Err(_panic)) => failed(
                format!(
                    "The function failed by an error of its own while {activities}. Try again; if it stays, report it \
                     with the function's log."
                ),
                failed_id,
            ),
            Err(_elapsed) => failed(
                format!(
                    "Time ran out after {} s while {activities}. What is half done is finished by the next try: update or \
                     delete the stack again.",
                    time.as_secs()
                ),
                failed_id,
            ),
        }
    }

    async fn work(
        &self,
        task: &Task,
        stop: &Deadline,
        activities: &Activities,
    ) -> Result<Reconciled, cavatica_access::refusal::Refusal> {
        let context = Context { account: &self.account, clock: stop, activities };
        let done = match task {
            Task::Ensure(desired) => reconcile::ensure(&context, desired).await?,
            Task::Delete(deletion) if deletion.role.is_none() => Reconciled::default(),
            Task::Delete(deletion) => reconcile::delete(&context, deletion).await?,
        };
        let findings = checks::told(&done.findings);
        tracing::info!(applied = ?done.applied, notes = ?done.notes, findings, "reconciled");
        Ok(done)
    }
}

/// True if an update asks for another ID under a name that IAM takes for the same: answered with the new ID, its
/// failure would have CloudFormation send a Delete that means the role in use.
fn keeps_its_name(task: &Task) -> bool {
    let Task::Ensure(desired) = task else { return false };
    desired.replaced_role.as_ref().is_some_and(|from| from.name.is_same(&desired.blueprint.role.name))
}

/// Returns the ID that the event has, or one that says that there is nothing.
fn unchanged_id(envelope: &Envelope) -> String {
    envelope.physical_id.clone().unwrap_or_else(|| NOTHING_MADE.to_owned())
}

fn failed(reason: String, physical_id: String) -> Answer {
    Answer { outcome: EventResult::Failed(reason), physical_id }
}

fn attributes(task: &Task, done: &Reconciled) -> Attributes {
    let Task::Ensure(desired) = task else { return Attributes::new() };
    let Desired { blueprint, .. } = desired.as_ref();
    let external_id = blueprint.request.external_id.as_ref().map(ToString::to_string);
    Attributes::from([
        ("RoleArn", blueprint.role.to_string()),
        ("RoleName", blueprint.role.name.to_string()),
        ("RoleId", done.role_id.clone().unwrap_or_default()),
        ("PolicyArn", blueprint.policy.to_string()),
        ("PolicyName", blueprint.policy.name().to_owned()),
        ("ExternalId", external_id.unwrap_or_default()),
        ("AccountId", blueprint.role.account.to_string()),
        (FINDINGS, checks::reported(blueprint.request.checks, &done.findings)),
    ])
}
