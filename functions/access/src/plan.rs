//! The decision: from what is wanted and what is there to a list of steps. Pure and total: no I/O, no clock, no chance.
//!
//! The executor makes no decisions; every step is idempotent, and the plan of what was just applied is empty.

mod absent;
mod present;

use std::fmt;

use crate::observe::{Remnant, Site};
use crate::owner;
use crate::port::Change;
use crate::refusal::Refusal;
use crate::wanted::{Absent, Present};

/// Steps in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Each stage begins when the one before is done.
    pub stages: Vec<Stage>,
    /// Clean-up of older roles, after the stages. A failure ends it and nothing else: it is taken up again next time.
    pub clean_up: Vec<Vec<Change>>,
    /// What was seen and left alone, for the log.
    pub notes: Vec<String>,
}

/// Changes that go at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Every change has to succeed.
    All(Vec<Change>),
    /// One change has to succeed: the provider role of the moment may allow only one of them.
    Any(Vec<Change>),
}

impl Plan {
    /// What makes a request true.
    pub fn for_present(present: &Present, site: &Site) -> Result<Self, Refusal> {
        present::plan(present, site)
    }

    /// What makes a role and its policy go.
    pub fn for_absent(absent: &Absent, remnants: &[Remnant]) -> Result<Self, Refusal> {
        absent::plan(absent, remnants)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.clean_up.is_empty()
    }

    /// Whether a Delete that comes next decides by what this changes, so that it has to show before the answer: the notes
    /// of a replacement that is taken back, and which role a policy serves.
    #[must_use]
    pub fn has_to_show(&self) -> bool {
        let is_alternative = |stage: &Stage| matches!(stage, Stage::Any(_));
        let moves =
            |change: &Change| matches!(change, Change::TagPolicy { tags, .. } if tags.contains_key(owner::ROLE));
        self.stages.iter().any(is_alternative) || self.changes().any(moves)
    }

    /// Every change, in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        let stages = self.stages.iter().flat_map(|stage| match stage {
            Stage::All(changes) | Stage::Any(changes) => changes,
        });
        stages.chain(self.clean_up.iter().flatten())
    }

    /// Adds a stage unless it is empty.
    fn then(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.stages.push(Stage::All(changes));
        }
    }
}

impl fmt::Display for Plan {
    /// A line a stage, for tests and the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = self.stages.iter().map(|stage| match stage {
            Stage::All(changes) => (changes, " | "),
            Stage::Any(changes) => (changes, " or "),
        });
        for (changes, between) in stages.chain(self.clean_up.iter().map(|changes| (changes, " | "))) {
            let line: Vec<_> = changes.iter().map(ToString::to_string).collect();
            writeln!(f, "{}", line.join(between))?;
        }
        Ok(())
    }
}
