//! Reconciliation of an account with an event's desired state.
//!
//! [`ensure()`] and [`delete()`] each pass an observation and a plan to `rounds`, which repeats both until the account
//! is as desired. [`preview()`] observes and plans, and changes nothing. All decisions are pure functions in `plan`,
//! `checks` and `rounds`.

mod cors;
mod delete;
mod ensure;
mod preview;
mod rounds;
mod verify;

use std::time::Duration;

pub use self::delete::delete;
pub use self::ensure::ensure;
pub use self::preview::{Preview, preview};
use crate::activity::Activities;
use crate::checks::Finding;
use crate::observe::Observer;
use crate::owner::Owner;
use crate::port::{Account, Change, Clock, Failure, FailureKind, Receipt};
use crate::retry::{Attempt, retry};

/// Account, time and call list of an event.
pub struct Context<'a, I, C> {
    /// Account to read and change.
    pub account: &'a I,
    /// Time since the event came, and time that is left.
    pub clock: &'a C,
    /// Calls that are under way, for the answer when time runs out.
    pub activities: &'a Activities,
}

/// Result of a successful reconciliation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Unique ID of the role; `None` after a Delete.
    pub role_id: Option<String>,
    /// Changes that were made, in order.
    pub applied: Vec<String>,
    /// Observations that led to no change, for the log.
    pub notes: Vec<String>,
    /// Findings about the volume.
    pub findings: Vec<Finding>,
}

impl<I, C> Context<'_, I, C> {
    fn observer<'o>(&'o self, owner: &'o Owner) -> Observer<'o, I, C> {
        Observer { account: self.account, clock: self.clock, activities: self.activities, owner }
    }
}

impl<I: Account, C: Clock> Context<'_, I, C> {
    /// Waits, but not longer than the time that is left.
    async fn pause(&self, wait: Duration) {
        if !wait.is_zero() {
            self.clock.sleep(wait.min(self.clock.remaining())).await;
        }
    }

    async fn apply(&self, change: &Change, attempt: Attempt) -> Result<Receipt, Failure> {
        let result = retry(self.clock, self.activities, attempt, change, || self.account.apply(change)).await;
        match result {
            Err(failure) if change.is_removal() && failure.kind == FailureKind::NotFound => Ok(Receipt::default()),
            result => result,
        }
    }
}
