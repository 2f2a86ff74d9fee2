//! A history: what somebody does with a stack, what the weather is like meanwhile, and what goes wrong with each event.
//!
//! A plain value, so that it can be drawn from a seed, written down in a test, shown, and made shorter.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cavatica_access::port::Action;

use crate::cloudformation::Rollback;

/// Everything that happens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Decides what the weather leaves open: how long each call takes, how old the view of each read is.
    pub dice: u64,
    /// What holds all the time.
    pub weather: Weather,
    /// What happens, in order. What the stack's status does not allow is left out.
    pub acts: Vec<Act>,
}

/// What holds for a whole history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weather {
    /// Longest time that a change takes to show.
    pub lag: Duration,
    /// Longest time that a call takes.
    pub latency: Duration,
    /// Longest time until a changed provider role is in force.
    pub authority: Duration,
}

/// The template's parameters that differ from their defaults.
pub type Parameters = BTreeMap<&'static str, &'static str>;

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// The stack is created.
    Create {
        /// With these parameters.
        asked: Parameters,
        /// Another resource fails after ours.
        sibling_fails: bool,
        /// What goes wrong with the events, in order.
        troubles: Vec<Trouble>,
    },
    /// The stack is updated.
    Update {
        /// With these parameters.
        asked: Parameters,
        /// Another resource fails after ours.
        sibling_fails: bool,
        /// How a rollback goes.
        rollback: Rollback,
        /// What goes wrong with the events, in order.
        troubles: Vec<Trouble>,
    },
    /// A rollback that failed is continued.
    ContinueRollback {
        /// What goes wrong with the events, in order.
        troubles: Vec<Trouble>,
    },
    /// The stack is deleted.
    Delete {
        /// With `RetainResources`, if the delete before failed.
        retain: bool,
        /// What goes wrong with the events, in order.
        troubles: Vec<Trouble>,
    },
    /// Somebody else does something in the account.
    Hand(Hand),
}

/// What goes wrong with one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Single calls that fail.
    pub strikes: Vec<Strike>,
    /// An action that is denied as long as the event is tried.
    pub denied: Option<Action>,
    /// An action that nobody answers as long as the event is tried.
    pub silent: Option<Action>,
    /// How often the future of each attempt is polled before the function dies, attempt by attempt.
    pub kills: Vec<u32>,
    /// A second delivery of the event, so long after the first.
    pub duplicate: Option<Duration>,
    /// What the first PUTs of an answer meet.
    pub posts: Vec<Posting>,
    /// The answer comes after `ServiceTimeout`: nobody looks at it any more.
    pub too_late: bool,
    /// Somebody deletes the stack so long after this Create was sent, and CloudFormation does not wait for it.
    pub cancelled: Option<Duration>,
}

/// One call that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// Which calls are counted.
    pub call: Calls,
    /// Which of them it is, from 1 on, over all attempts.
    pub nth: u32,
    /// What happens to it.
    pub fault: Fault,
}

/// Which calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// All of them, also the one to STS.
    All,
    /// Those of an action.
    Of(Action),
}

/// What happens to a call.
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

/// What a PUT of an answer meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posting {
    /// A status that is not 2xx.
    Status(u16),
    /// The connection is lost before anything arrived.
    Lost,
    /// It arrives, and the connection is lost.
    LostAfter,
}

/// Somebody else's hand, always on what the stack has at that moment, or will want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
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

impl Act {
    /// What goes wrong with its events.
    pub fn troubles_mut(&mut self) -> Option<&mut Vec<Trouble>> {
        match self {
            Self::Create { troubles, .. }
            | Self::Update { troubles, .. }
            | Self::ContinueRollback { troubles }
            | Self::Delete { troubles, .. } => Some(troubles),
            Self::Hand(_) => None,
        }
    }

    /// What it asks for.
    pub fn asked_mut(&mut self) -> Option<&mut Parameters> {
        match self {
            Self::Create { asked, .. } | Self::Update { asked, .. } => Some(asked),
            _ => None,
        }
    }
}

impl Trouble {
    /// Whether nothing goes wrong.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the event cannot be expected to succeed: what goes wrong does not pass by itself.
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
        let Weather { lag, latency, authority } = self.weather;
        writeln!(
            f,
            "weather: changes show within {lag:?}, calls take up to {latency:?}, the provider role is in force within \
             {authority:?}; dice {}",
            self.dice
        )?;
        for (number, act) in self.acts.iter().enumerate() {
            writeln!(f, "{}. {act}", number + 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = |asked: &Parameters| {
            let given: Vec<_> = asked.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if given.is_empty() { "defaults".to_owned() } else { given.join(" ") }
        };
        let sibling = |fails: &bool| if *fails { ", then another resource fails" } else { "" };
        let troubles = match self {
            Self::Create { asked, sibling_fails, troubles } => {
                write!(f, "create with {}{}", parameters(asked), sibling(sibling_fails))?;
                troubles
            }
            Self::Update { asked, sibling_fails, rollback, troubles } => {
                write!(f, "update to {}{}", parameters(asked), sibling(sibling_fails))?;
                if rollback.resource_first {
                    f.write_str("; a rollback reverts the resource before the provider role")?;
                }
                if rollback.forgets_failed_id {
                    f.write_str("; a failed answer's ID is forgotten")?;
                }
                troubles
            }
            Self::ContinueRollback { troubles } => {
                f.write_str("continue the rollback")?;
                troubles
            }
            Self::Delete { retain, troubles } => {
                f.write_str(if *retain { "delete, retaining what stays" } else { "delete" })?;
                troubles
            }
            Self::Hand(hand) => return write!(f, "somebody else: {hand:?}"),
        };
        for (number, trouble) in troubles.iter().enumerate().filter(|(_, trouble)| !trouble.is_calm()) {
            write!(f, "\n   event {}: {trouble}", number + 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for Strike { call, nth, fault } in &self.strikes {
            let call = match call {
                Calls::All => "call".to_owned(),
                Calls::Of(action) => format!("{action:?}"),
            };
            parts.push(format!("{call} {nth}: {fault:?}"));
        }
        parts.extend(self.denied.map(|action| format!("{action:?} is denied")));
        parts.extend(self.silent.map(|action| format!("{action:?} is never answered")));
        for (attempt, polls) in self.kills.iter().enumerate() {
            parts.push(format!("attempt {} is killed after {polls} polls", attempt + 1));
        }
        parts.extend(self.duplicate.map(|after| format!("delivered again after {after:?}")));
        parts.extend(self.posts.iter().map(|post| format!("PUT meets {post:?}")));
        parts.extend(self.cancelled.map(|after| format!("cancelled after {after:?}")));
        if self.too_late {
            parts.push("the answer comes too late".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}
