//! The decision: from what is wanted and what is there to a list of steps. Pure and total: no I/O, no clock, no chance.
//!
//! The executor makes no decisions; every step is idempotent, and the plan of what was just applied is empty.

mod absent;
mod present;

use std::fmt;

use crate::blueprint::Blueprint;
use crate::names::{IamPath, PolicyArn, PolicyName, RoleArn, RoleName};
use crate::observe::{Remnant, Site};
use crate::owner::Owner;
use crate::port::{Change, Role};
use crate::refusal::Refusal;
use crate::request::Former;

/// That a role and its policy are as a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// How they should be.
    pub blueprint: Blueprint,
    /// The only principal that may be trusted, whatever the request says.
    pub pinned_principal: RoleArn,
    /// The role that is being replaced and for which a Delete will come, if there is one.
    pub from: Option<RoleArn>,
    /// What was asked for before.
    pub former: Former,
}

/// That a role and its policy are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// Whose they would be.
    pub owner: Owner,
    /// Where they would be; `None` when nothing can have been made.
    pub target: Option<Target>,
}

/// A role that should go, by what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: RoleName,
    /// Its ARN, when the physical resource ID says so.
    pub arn: Option<RoleArn>,
    /// The path of its policies when the role is gone.
    pub path: IamPath,
    /// Names its policy may have, beside the one that its tags say.
    pub policies: Vec<PolicyName>,
}

impl Target {
    /// Whether the role that was found under the name is the one meant.
    #[must_use]
    pub fn is(&self, role: &Role) -> bool {
        self.arn.as_ref().is_none_or(|arn| arn.is_same(&role.arn))
    }

    /// The ARNs its policy may have, each once.
    #[must_use]
    pub fn candidates(&self, owner: &Owner) -> Vec<PolicyArn> {
        let role = self.arn.clone().unwrap_or_else(|| RoleArn {
            partition: owner.stack.partition.clone(),
            account: owner.stack.account.clone(),
            path: self.path.clone(),
            name: self.name.clone(),
        });
        let mut arns: Vec<PolicyArn> = Vec::new();
        for arn in self.policies.iter().map(|policy| role.beside(policy)) {
            if !arns.iter().any(|known| known.is_same(&arn)) {
                arns.push(arn);
            }
        }
        arns
    }
}

/// Steps in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Each stage begins when the one before is done.
    pub stages: Vec<Stage>,
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
        self.stages.is_empty()
    }

    /// Every change, in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.stages.iter().flat_map(|stage| match stage {
            Stage::All(changes) | Stage::Any(changes) => changes,
        })
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
        for stage in &self.stages {
            let (changes, between) = match stage {
                Stage::All(changes) => (changes, " | "),
                Stage::Any(changes) => (changes, " or "),
            };
            let line: Vec<_> = changes.iter().map(ToString::to_string).collect();
            writeln!(f, "{}", line.join(between))?;
        }
        Ok(())
    }
}
