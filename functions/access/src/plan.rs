//! The decision: from what is wanted and what is there to a list of steps. Pure and total: no I/O, no clock, no chance.
//!
//! The executor makes no decisions; every step is idempotent, and the plan of what was just applied is empty.

mod delete;
mod ensure;

use std::fmt;

use crate::desired::{Deletion, Desired};
use crate::observed::{ObservedState, RemainingRole};
use crate::port::Change;
use crate::refusal::Refusal;

/// Steps in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Changes that go at once; each stage begins when the one before is done.
    pub stages: Vec<Vec<Change>>,
    /// Clean-up of older roles, after the stages. A failure ends it and nothing else: it is taken up again next time.
    pub clean_up: Vec<Vec<Change>>,
    /// Things that were seen and left alone. They are logged, and after an update with any of them the function waits until
    /// they show.
    pub notes: Vec<String>,
}

impl Plan {
    /// The plan that makes a request true.
    pub fn to_ensure(desired: &Desired, observed: &ObservedState) -> Result<Self, Refusal> {
        ensure::plan(desired, observed)
    }

    /// The plan that makes a role and its policy go.
    pub fn to_delete(deletion: &Deletion, remaining_roles: &[RemainingRole]) -> Result<Self, Refusal> {
        delete::plan(deletion, remaining_roles)
    }

    /// True if there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.clean_up.is_empty()
    }

    /// True if something is not done although what was asked for before lets expect it. Either it was done by an earlier
    /// try, or what was seen is older than what was done since: then doing nothing would be wrong.
    #[must_use]
    pub fn lacks(&self, expected: &Self) -> bool {
        expected.changes().any(|due| !self.changes().any(|change| change.covers(due)))
    }

    /// Every change, in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.stages.iter().chain(&self.clean_up).flatten()
    }

    /// Adds a stage unless it is empty.
    fn then(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.stages.push(changes);
        }
    }
}

impl fmt::Display for Plan {
    /// A line a stage, for tests and the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for changes in self.stages.iter().chain(&self.clean_up) {
            let line: Vec<_> = changes.iter().map(ToString::to_string).collect();
            writeln!(f, "{}", line.join(" | "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
