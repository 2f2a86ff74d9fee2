//! Plan: the changes that lead from the observed to the desired state. Pure and total: no I/O, no clock, no random
//! numbers.
//!
//! Every change is idempotent, and the plan for a state that a plan just led to is empty. `reconcile` applies plans and
//! decides nothing.

mod delete;
mod ensure;

use std::fmt;

use crate::desired::{Deletion, Desired};
use crate::observed::{ObservedState, RemainingRole};
use crate::port::Change;
use crate::refusal::Refusal;

/// Changes in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Stages of changes that are applied concurrently. Each stage begins when the one before has succeeded.
    pub stages: Vec<Vec<Change>>,
    /// Clean-up of older roles, after the stages. A failure ends only the clean-up; the next event takes it up again.
    pub clean_up: Vec<Vec<Change>>,
    /// Observations that lead to no change, for the log. After an update with notes the function waits until its
    /// changes show.
    pub notes: Vec<String>,
}

impl Plan {
    /// Returns the plan that creates or updates a role and its policy.
    pub fn to_ensure(desired: &Desired, observed: &ObservedState) -> Result<Self, Refusal> {
        ensure::plan(desired, observed)
    }

    /// Returns the plan that deletes a role and its policy.
    pub fn to_delete(deletion: &Deletion, remaining_roles: &[RemainingRole]) -> Result<Self, Refusal> {
        delete::plan(deletion, remaining_roles)
    }

    /// True if there are no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.clean_up.is_empty()
    }

    /// True if this plan lacks a change of the expected one, although the old properties imply that change. Either an
    /// earlier attempt made it, or the observation is outdated.
    #[must_use]
    pub fn lacks(&self, expected: &Self) -> bool {
        expected.changes().any(|due| !self.changes().any(|change| change.covers(due)))
    }

    /// Returns all changes in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.stages.iter().chain(&self.clean_up).flatten()
    }

    /// Adds a stage, unless it is empty.
    fn then(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.stages.push(changes);
        }
    }
}

impl fmt::Display for Plan {
    /// Writes one line for each stage, for tests and the log.
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
