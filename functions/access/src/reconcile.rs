//! Bringing an account to where an event wants it.
//!
//! [`preview`] tells the difference and changes nothing. [`establish`] and [`remove`] say what is looked at and what a picture asks for; `rounds` looks, decides and applies
//! until nothing is left to do. Every decision is a pure function: of `plan`, of `checks`, and of the state in `rounds`.

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

/// The surroundings of an event.
pub struct Context<'a, I, C> {
    /// The account.
    pub account: &'a I,
    /// The time there is.
    pub clock: &'a C,
    /// The list of calls that are under way.
    pub activities: &'a Activities,
}

/// How it ended well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// The unique ID of the role that is there now.
    pub role_id: Option<String>,
    /// The changes, in order.
    pub applied: Vec<String>,
    /// Things that were seen and left alone.
    pub notes: Vec<String>,
    /// The findings about the volume.
    pub findings: Vec<Finding>,
}

impl<I, C> Context<'_, I, C> {
    fn observer<'o>(&'o self, owner: &'o Owner) -> Observer<'o, I, C> {
        Observer { account: self.account, clock: self.clock, activities: self.activities, owner }
    }
}

impl<I: Account, C: Clock> Context<'_, I, C> {
    /// Waits, but not beyond the end of the function's time.
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
