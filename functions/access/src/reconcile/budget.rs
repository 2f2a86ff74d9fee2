//! The time that S3 may take of an event. What is about buckets is an extra: it must not keep IAM from being changed.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::port::Clock;
use crate::retry::{Attempt, FOR_BUCKETS, until_allowed};

/// What IAM needs of an event's time, whatever S3 does.
const FOR_IAM: Duration = Duration::from_secs(60);

/// What is left of it. Work on several buckets at once counts once.
pub(super) struct Budget<'a, C> {
    clock: &'a C,
    left: Mutex<Duration>,
    /// How long a bucket may be denied that was not asked for before: the provider role may not be in force yet.
    pub(super) denied: Duration,
    failing: Duration,
}

impl<'a, C: Clock> Budget<'a, C> {
    /// Of an event that asks nothing new of a bucket.
    pub(super) fn of_known_buckets(clock: &'a C) -> Self {
        Self { clock, left: Mutex::new(FOR_BUCKETS), denied: FOR_BUCKETS, failing: FOR_BUCKETS }
    }

    /// Of an event that asks something new, for which the provider role may have to come into force first.
    pub(super) fn of_new_buckets(clock: &'a C) -> Self {
        let denied = until_allowed(clock.elapsed()).min(clock.remaining().saturating_sub(FOR_IAM)).max(FOR_BUCKETS);
        Self { left: Mutex::new(denied), denied, ..Self::of_known_buckets(clock) }
    }

    /// Of an event for which nothing else is left to do.
    pub(super) fn of_the_rest(clock: &'a C) -> Self {
        Self { left: Mutex::new(clock.remaining()), failing: Duration::MAX, ..Self::of_known_buckets(clock) }
    }

    /// How patient a call is within it.
    pub(super) fn attempt(&self) -> Attempt {
        Attempt::Bucket { denied: self.denied, failing: self.failing }
    }

    /// Does something that has to be done within what is left.
    pub(super) async fn spend<F: Future>(&self, work: impl FnOnce(Duration) -> F) -> F::Output {
        let left = *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self.clock.elapsed();
        let output = work(left).await;
        let spent = self.clock.elapsed().saturating_sub(begun);
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left.saturating_sub(spent);
        output
    }
}

/// Does something; `None` when it takes longer.
pub(crate) async fn within<C: Clock, F: Future>(clock: &C, limit: Duration, work: F) -> Option<F::Output> {
    match select(pin!(work), pin!(clock.sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
