//! The time that S3 may take of an event. What is about buckets is an extra: it must not keep IAM from being changed.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::port::Clock;
use crate::retry::{Attempt, until_allowed};
use crate::waits::{FOR_BUCKETS, FOR_IAM};

/// The time that an event has left. Work on several buckets at once counts once.
pub(crate) struct S3Time<'a, C> {
    clock: &'a C,
    left: Mutex<Duration>,
    /// Until when a bucket may be denied that was not asked for before: the provider role may not be in force yet.
    in_force: Duration,
    /// How long calls may fail in ways that pass.
    failing: Duration,
}

impl<'a, C: Clock> S3Time<'a, C> {
    /// Of an event that asks nothing new of a bucket.
    pub(crate) fn of_known_buckets(clock: &'a C) -> Self {
        Self { clock, left: Mutex::new(FOR_BUCKETS), in_force: Duration::ZERO, failing: FOR_BUCKETS }
    }

    /// Of an event that asks something new, for which the provider role may have to come into force first.
    pub(crate) fn of_new_buckets(clock: &'a C) -> Self {
        let most = clock.remaining().saturating_sub(FOR_IAM + FOR_BUCKETS);
        let waiting = until_allowed(clock.elapsed()).min(most);
        Self {
            left: Mutex::new(waiting + FOR_BUCKETS),
            in_force: clock.elapsed() + waiting,
            ..Self::of_known_buckets(clock)
        }
    }

    /// Of an event for which nothing else is left to do, and after which nobody comes back.
    pub(crate) fn of_the_rest(clock: &'a C) -> Self {
        let in_force = clock.elapsed() + until_allowed(clock.elapsed());
        Self { left: Mutex::new(clock.remaining()), in_force, failing: Duration::MAX, ..Self::of_known_buckets(clock) }
    }

    /// Does something that has to be done within what is left.
    pub(crate) async fn spend<F: Future>(&self, work: impl FnOnce(S3Share) -> F) -> F::Output {
        let left = *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self.clock.elapsed();
        let output = work(S3Share { begun, limit: left, in_force: self.in_force, failing: self.failing }).await;
        let spent = self.clock.elapsed().saturating_sub(begun);
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left.saturating_sub(spent);
        output
    }
}

/// The time that a piece of work has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct S3Share {
    begun: Duration,
    /// How long it may take.
    pub(crate) limit: Duration,
    in_force: Duration,
    failing: Duration,
}

impl S3Share {
    /// A call on a bucket that was asked for before: the provider role could look at it then too.
    pub(crate) fn known(self) -> Attempt {
        Attempt::Bucket { denied: self.after(FOR_BUCKETS), failing: self.after(self.failing) }
    }

    /// A call on a bucket that was not, for which the provider role may have to come into force.
    pub(crate) fn unknown(self) -> Attempt {
        let denied = self.in_force.max(self.after(FOR_BUCKETS)).min(self.after(self.limit));
        Attempt::Bucket { denied, failing: self.after(self.failing) }
    }

    /// The same where the event would end with its failure: nothing is lost by waiting as long as there is.
    pub(crate) fn decisive(self) -> Attempt {
        Self { failing: Duration::MAX, ..self }.unknown()
    }

    /// A call on another account's bucket that was asked for before, which may well be denied for ever.
    pub(crate) fn foreign(self) -> Attempt {
        Attempt::Bucket { denied: Duration::ZERO, failing: self.after(self.failing) }
    }

    /// The end of a time within the share, from when the event came.
    fn after(self, time: Duration) -> Duration {
        self.begun + time.min(self.limit)
    }
}

/// Does something; `None` when it takes longer.
pub(crate) async fn within<C: Clock, F: Future>(clock: &C, limit: Duration, work: F) -> Option<F::Output> {
    match select(pin!(work), pin!(clock.sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
