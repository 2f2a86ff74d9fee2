//! Time limits for calls on buckets within one event.
//!
//! Checks and CORS rules are extras. A slow or denied bucket must not keep the function from changing IAM, so all calls
//! on buckets together get [`FOR_BUCKETS`] (15 seconds), and a failure after that becomes a finding.
//!
//! # Flow
//!
//! 1. An event takes one [`S3Time`], by whether it names a new bucket, a known one, or has nothing else left to do.
//! 2. [`S3Time::spend`] runs a piece of work with an [`S3Share`], and subtracts the time that the work took.
//! 3. The share says how long each call may be denied or fail before its failure counts ([`Attempt::Bucket`]).
//!
//! # Guarantees
//!
//! - The shares of an event add up to at most its [`S3Time`].
//! - A bucket that the old properties do not name may be denied until the provider role is in force, but at least
//!   [`FOR_IAM`] (50 seconds) of the event stay for IAM.
//!
//! A single limit for each call was tried: it left the simulator's invariant (g), nothing fails without need, violated
//! in 20 of 20,000 histories.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::port::Clock;
use crate::retry::{Attempt, until_allowed};
use crate::waits::{FOR_BUCKETS, FOR_IAM};

/// Time that an event has left for buckets. Concurrent work counts once.
pub(crate) struct S3Time<'a, C> {
    clock: &'a C,
    left: Mutex<Duration>,
    /// Time until which a new bucket may be denied, because the provider role may not be in force yet.
    in_force: Duration,
    /// Time that calls may fail in ways that pass.
    failing: Duration,
}

impl<'a, C: Clock> S3Time<'a, C> {
    /// Returns the time of an event that names no new bucket.
    pub(crate) fn of_known_buckets(clock: &'a C) -> Self {
        Self { clock, left: Mutex::new(FOR_BUCKETS), in_force: Duration::ZERO, failing: FOR_BUCKETS }
    }

    /// Returns the time of an event that names a new bucket, for which the provider role may have to come into force.
    pub(crate) fn of_new_buckets(clock: &'a C) -> Self {
        let most = clock.remaining().saturating_sub(FOR_IAM + FOR_BUCKETS);
        let waiting = until_allowed(clock.elapsed()).min(most);
        Self {
            left: Mutex::new(waiting + FOR_BUCKETS),
            in_force: clock.elapsed() + waiting,
            ..Self::of_known_buckets(clock)
        }
    }

    /// Returns the time of a Delete that has only CORS rules left to remove: all that remains.
    pub(crate) fn of_the_rest(clock: &'a C) -> Self {
        let in_force = clock.elapsed() + until_allowed(clock.elapsed());
        Self { left: Mutex::new(clock.remaining()), in_force, failing: Duration::MAX, ..Self::of_known_buckets(clock) }
    }

    /// Runs work that has to end within the time that is left.
    pub(crate) async fn spend<F: Future>(&self, work: impl FnOnce(S3Share) -> F) -> F::Output {
        let left = *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self.clock.elapsed();
        let output = work(S3Share { begun, limit: left, in_force: self.in_force, failing: self.failing }).await;
        let spent = self.clock.elapsed().saturating_sub(begun);
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left.saturating_sub(spent);
        output
    }
}

/// Time limits of one piece of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct S3Share {
    begun: Duration,
    /// Longest duration.
    pub(crate) limit: Duration,
    in_force: Duration,
    failing: Duration,
}

impl S3Share {
    /// Returns the limits of a call on a bucket that the old properties name: the provider role could read it then.
    pub(crate) fn known(self) -> Attempt {
        Attempt::Bucket { denied: self.after(FOR_BUCKETS), failing: self.after(self.failing) }
    }

    /// Returns the limits of a call on a new bucket, for which the provider role may have to come into force.
    pub(crate) fn unknown(self) -> Attempt {
        let denied = self.in_force.max(self.after(FOR_BUCKETS)).min(self.after(self.limit));
        Attempt::Bucket { denied, failing: self.after(self.failing) }
    }

    /// Returns the limits of a call whose failure would fail the event: it may use all the time that is left.
    pub(crate) fn decisive(self) -> Attempt {
        Self { failing: Duration::MAX, ..self }.unknown()
    }

    /// Returns the limits of a call on a known bucket of another account, which may be denied for ever.
    pub(crate) fn foreign(self) -> Attempt {
        Attempt::Bucket { denied: Duration::ZERO, failing: self.after(self.failing) }
    }

    /// Returns the end of a duration within the share, counted from when the event came.
    fn after(self, time: Duration) -> Duration {
        self.begun + time.min(self.limit)
    }
}

/// Runs work; `None` if it takes longer than the limit.
pub(crate) async fn within<C: Clock, F: Future>(clock: &C, limit: Duration, work: F) -> Option<F::Output> {
    match select(pin!(work), pin!(clock.sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
