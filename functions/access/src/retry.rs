//! Retries of AWS calls: the failures that are repeated, for how long, and the pauses in between.
//!
//! All other failures are permanent. The times are in [`crate::waits`].

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use crate::activity::Activities;
use crate::port::{Clock, Failure, FailureKind};
use crate::waits::{
    FIRST_RETRY, LONGEST_RETRY, UNTIL_DETACHED, UNTIL_POLICY_IN_FORCE, UNTIL_REPLICATED, UNTIL_UNCHECKED,
};

/// Kind of a call, which decides how long its failures are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Read of something that may not exist.
    Look,
    /// Read of something that the provider role may never be allowed to read.
    LookUnlessDenied,
    /// Read of details of something that was just observed. A denial means that it is deleted, or that its tags do not
    /// show yet.
    LookInto,
    /// Change of something that exists.
    Change,
    /// Deletion or detachment.
    Removal,
    /// Change of a clean-up, which may fail.
    CleanUp,
    /// Read for a check, of something that the provider role could read before.
    Check,
    /// Call on a bucket. A deleted bucket does not come back.
    Bucket {
        /// Time since the event came until which denials are repeated. A bucket of another account may be denied for
        /// ever.
        denied: Duration,
        /// Time since the event came until which other failures are repeated.
        failing: Duration,
    },
}

/// Returns how long denials are repeated for a call that begins so long after the event came. Late in an event, only a
/// tag that does not show yet explains a denial.
#[must_use]
pub fn until_allowed(elapsed: Duration) -> Duration {
    UNTIL_POLICY_IN_FORCE.saturating_sub(elapsed).max(UNTIL_REPLICATED)
}

/// Returns how long a failure is repeated for a call that begins so long after the event came; `None` if it is
/// permanent.
#[must_use]
pub fn patience(attempt: Attempt, kind: FailureKind, elapsed: Duration) -> Option<Duration> {
    use FailureKind as F;
    match (attempt, kind) {
        // It must not cost the event its time.
        (Attempt::CleanUp, F::Denied | F::NotFound) | (Attempt::LookUnlessDenied, F::Denied) => None,
        (
            Attempt::CleanUp,
            F::DeleteConflict | F::Throttled | F::Server | F::Connection | F::ConcurrentModification,
        ) => Some(UNTIL_REPLICATED),
        (Attempt::Check, F::Throttled | F::Server | F::Connection) => Some(UNTIL_UNCHECKED),
        // Somebody else may have removed it since, which under a tag condition is a denial too: then another look
        // tells.
        (Attempt::Check | Attempt::LookInto | Attempt::Removal, F::Denied) => Some(UNTIL_REPLICATED),
        (Attempt::Bucket { denied, .. }, F::Denied) => Some(denied.saturating_sub(elapsed)),
        (
            Attempt::Bucket { failing, .. },
            F::Throttled | F::Server | F::Connection | F::ConcurrentModification | F::TemporarilyUnmodifiable,
        ) => Some(failing.saturating_sub(elapsed)),
        (Attempt::Check | Attempt::Bucket { .. }, F::NotFound) => None,
        // Passing by nature; only the deadline ends them.
        (_, F::Throttled | F::Server | F::Connection | F::ConcurrentModification | F::TemporarilyUnmodifiable) => {
            Some(Duration::MAX)
        }
        (_, F::Denied) => Some(until_allowed(elapsed)),
        // Right after our own create.
        (Attempt::Look | Attempt::LookUnlessDenied | Attempt::LookInto | Attempt::Change, F::NotFound) => {
            Some(UNTIL_REPLICATED)
        }
        // Right after our own detach. One that stays is a reason to look again.
        (Attempt::Removal, F::DeleteConflict) => Some(UNTIL_DETACHED),
        (
            _,
            F::NotFound | F::DeleteConflict | F::AlreadyExists | F::LimitExceeded | F::MalformedDocument | F::Other,
        ) => None,
    }
}

/// True if a denial so long after the event came may be due to a provider role that is not in force yet.
#[must_use]
pub fn may_come_into_force(elapsed: Duration) -> bool {
    elapsed < UNTIL_POLICY_IN_FORCE
}

/// Repeats a call until it succeeds, its failure is permanent, or time is up. Lists the call among the activities
/// meanwhile.
// Five parameters: where it runs (two), and the call in its three sides.
pub async fn retry<C: Clock, T, F>(
    clock: &C,
    activities: &Activities,
    attempt: Attempt,
    what: &(dyn Display + Sync),
    call: impl Fn() -> F + Send,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>> + Send,
    T: Send,
{
    let activity = activities.begin(what);
    let begun = clock.elapsed();
    let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
    loop {
        let failure = match call().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let pause = backoff.pause(clock.chance());
        let spent = clock.elapsed().saturating_sub(begun);
        let worth_it = patience(attempt, failure.kind, begun).is_some_and(|patience| spent + pause <= patience);
        if !worth_it || pause >= clock.remaining() {
            return Err(failure);
        }
        activity.now(&format_args!("{what}, AWS last answered {failure}"));
        clock.sleep(pause).await;
    }
}

/// Pauses between the attempts of one call: they double up to the longest, and each is shortened at random by up to
/// half, so that two clients that failed together do not keep meeting.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Returns the pauses from the first to the longest.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// Returns the next pause for a random number from 0 to 1.
    pub fn pause(&mut self, chance: f64) -> Duration {
        let pause = self.next.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0));
        self.next = (self.next * 2).min(self.longest);
        pause
    }
}
