//! History of a stack: operations, delays, manual changes, and the faults of each event.
//!
//! A plain value, so that it can be generated from a seed, written in a test, printed, and shortened.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cavatica_access::port::Action;

use crate::cloudformation::Rollback;

/// History of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Seed of the random numbers: the duration of each call, and the age of the state that each read shows.
    pub seed: u64,
    /// Delays of the whole history.
    pub delays: Delays,
    /// Steps in order. A step that the stack's status does not allow is left out.
    pub steps: Vec<HistoryStep>,
}

/// Longest delays of a history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delays {
    /// Longest time that a change takes to show.
    pub lag: Duration,
    /// Longest time that a call takes.
    pub latency: Duration,
    /// Longest time until a changed provider role is in force.
    pub provider_rights: Duration,
}

/// The template's parameters that differ from their defaults.
pub type Parameters = BTreeMap<&'static str, &'static str>;

/// Step of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryStep {
    /// The stack is created.
    Create {
        /// With these parameters.
        requested: Parameters,
        /// Another resource fails after ours.
        sibling_fails: bool,
        /// Faults of the events, in order.
        event_faults: Vec<EventFaults>,
    },
    /// The stack is updated.
    Update {
        /// With these parameters.
        requested: Parameters,
        /// Another resource fails after ours.
        sibling_fails: bool,
        /// Order and faults of a rollback, if there is one.
        rollback: Rollback,
        /// Faults of the events, in order.
        event_faults: Vec<EventFaults>,
    },
    /// A rollback that failed is continued.
    ContinueRollback {
        /// Faults of the events, in order.
        event_faults: Vec<EventFaults>,
    },
    /// The stack is deleted.
    Delete {
        /// With `RetainResources`, if the delete before failed.
        retain: bool,
        /// Faults of the events, in order.
        event_faults: Vec<EventFaults>,
    },
    /// Another person changes something in the account.
    ManualChange(ManualChange),
}

/// Faults of one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFaults {
    /// Single calls that fail.
    pub call_faults: Vec<CallFault>,
    /// An action that is denied as long as the event is tried.
    pub denied: Option<Action>,
    /// An action that nobody answers as long as the event is tried.
    pub silent: Option<Action>,
    /// Number of polls of the function's future before the function is killed, for each attempt.
    pub kills: Vec<u32>,
    /// A second delivery of the event, so long after the first.
    pub duplicate: Option<Duration>,
    /// Faults of the first PUTs of the answer.
    pub answer_faults: Vec<AnswerFault>,
    /// The answer comes after `ServiceTimeout`: nobody looks at it any more.
    pub too_late: bool,
    /// Somebody deletes the stack so long after this Create was sent, and CloudFormation does not wait for it.
    pub cancelled: Option<Duration>,
}

/// One call that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallFault {
    /// Which calls are counted.
    pub call: CallFilter,
    /// Which of them it is, from 1 on, over all attempts.
    pub nth: u32,
    /// Fault.
    pub fault: Fault,
}

/// Which calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFilter {
    /// All of them, also the one to STS.
    All,
    /// Those of an action.
    Of(Action),
}

/// Fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `Throttling`.
    Throttled,
    /// A 5xx.
    Server,
    /// `ConcurrentModification`.
    Concurrent,
    /// `EntityTemporarilyUnmodifiable`.
    Unmodifiable,
    /// The connection is lost before the call took effect.
    LostBefore,
    /// The connection is lost after the call took effect.
    LostAfter,
    /// No answer, and no effect, until the client gives up.
    Silence,
    /// No answer until the client gives up, but the call took effect.
    SilenceAfter,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Throttled,
        Self::Server,
        Self::Concurrent,
        Self::Unmodifiable,
        Self::LostBefore,
        Self::LostAfter,
        Self::Silence,
        Self::SilenceAfter,
    ];
}

/// Fault of a PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFault {
    /// A status that is not 2xx.
    Status(u16),
    /// The connection is lost before anything arrived.
    Lost,
    /// The PUT arrives, and the connection is lost.
    LostAfter,
}

/// Somebody else's hand, always on what the stack has at that moment, or will want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManualChange {
    /// Makes a role of a name.
    MakesRole(&'static str),
    /// Makes a policy of a name.
    MakesPolicy(&'static str),
    /// Detaches our policy from our role.
    Detaches,
    /// Deletes our policy.
    DeletesPolicy,
    /// Deletes our role, with what hangs on it.
    DeletesRole,
    /// Removes all tags of our policy.
    UntagsPolicy,
    /// Removes all tags of our role.
    UntagsRole,
    /// Attaches our policy to a role of theirs.
    AttachesOursToARole,
    /// Attaches our policy to a user and a group of theirs.
    AttachesOursToPeople,
    /// Attaches a policy of AWS to our role.
    AttachesAnotherToOurs,
    /// Puts an inline policy on our role.
    PutsInline,
    /// Puts our role into an instance profile.
    PutsIntoProfile,
    /// Makes our policy the boundary of a role of theirs.
    CapsWithOurs,
    /// Replaces every bucket's CORS configuration with one of theirs.
    ReplacesCors,
    /// Deletes a bucket.
    DeletesBucket,
}

impl HistoryStep {
    /// Returns the faults of its events.
    pub fn troubles_mut(&mut self) -> Option<&mut Vec<EventFaults>> {
        match self {
            Self::Create { event_faults, .. }
            | Self::Update { event_faults, .. }
            | Self::ContinueRollback { event_faults }
            | Self::Delete { event_faults, .. } => Some(event_faults),
            Self::ManualChange(_) => None,
        }
    }

    /// Returns its parameters.
    pub fn asked_mut(&mut self) -> Option<&mut Parameters> {
        match self {
            Self::Create { requested, .. } | Self::Update { requested, .. } => Some(requested),
            _ => None,
        }
    }
}

impl EventFaults {
    /// True if there are no faults.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        *self == Self::default()
    }

    /// True if the event may fail, because its faults do not pass by themselves.
    #[must_use]
    pub fn may_fail(&self) -> bool {
        self.denied.is_some()
            || self.silent.is_some()
            || self.kills.len() > 2
            || self.too_late
            || self.cancelled.is_some()
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delays { lag, latency, provider_rights } = self.delays;
        writeln!(
            f,
            "delays: changes show within {lag:?}, calls take up to {latency:?}, the provider role is in force within \
             {provider_rights:?}; seed {}",
            self.seed
        )?;
        for (number, history_step) in self.steps.iter().enumerate() {
            writeln!(f, "{}. {history_step}", number + 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for HistoryStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = |requested: &Parameters| {
            let given: Vec<_> = requested.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if given.is_empty() { "defaults".to_owned() } else { given.join(" ") }
        };
        let sibling = |fails: &bool| if *fails { ", then another resource fails" } else { "" };
        let event_faults = match self {
            Self::Create { requested, sibling_fails, event_faults } => {
                write!(f, "create with {}{}", parameters(requested), sibling(sibling_fails))?;
                event_faults
            }
            Self::Update { requested, sibling_fails, rollback, event_faults } => {
                write!(f, "update to {}{}", parameters(requested), sibling(sibling_fails))?;
                if rollback.resource_first {
                    f.write_str("; a rollback reverts the resource before the provider role")?;
                }
                if rollback.forgets_failed_id {
                    f.write_str("; a failed answer's ID is forgotten")?;
                }
                event_faults
            }
            Self::ContinueRollback { event_faults } => {
                f.write_str("continue the rollback")?;
                event_faults
            }
            Self::Delete { retain, event_faults } => {
                f.write_str(if *retain { "delete, retaining what stays" } else { "delete" })?;
                event_faults
            }
            Self::ManualChange(manual_change) => return write!(f, "somebody else: {manual_change:?}"),
        };
        for (number, faults) in event_faults.iter().enumerate().filter(|(_, faults)| !faults.is_calm()) {
            write!(f, "\n   event {}: {faults}", number + 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for EventFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for CallFault { call, nth, fault } in &self.call_faults {
            let call = match call {
                CallFilter::All => "call".to_owned(),
                CallFilter::Of(action) => format!("{action:?}"),
            };
            parts.push(format!("{call} {nth}: {fault:?}"));
        }
        parts.extend(self.denied.map(|action| format!("{action:?} is denied")));
        parts.extend(self.silent.map(|action| format!("{action:?} is never answered")));
        for (attempt, polls) in self.kills.iter().enumerate() {
            parts.push(format!("attempt {} is killed after {polls} polls", attempt + 1));
        }
        parts.extend(self.duplicate.map(|after| format!("delivered again after {after:?}")));
        parts.extend(self.answer_faults.iter().map(|post| format!("PUT meets {post:?}")));
        parts.extend(self.cancelled.map(|after| format!("cancelled after {after:?}")));
        if self.too_late {
            parts.push("the answer comes too late".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}
