//! The world as the function meets it: an account whose calls take time, fail, lag and are denied, and a place for
//! answers. Everything it leaves open is decided by the seed's random numbers, so that the same history always runs the
//! same way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cavatica_access::names::RoleArn;
use cavatica_access::port::{
    Account as Port, Action, Bucket, Change, Failure, FailureKind, Look, Observation, ReadAccount, Receipt,
};
use cavatica_memory::{MemoryAccount, failure};
use cavatica_provider::delivery::{Post, Secret};
use fastrand::Rng;
use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::history::{AnswerFault, CallFilter, Delays, EventFaults, Fault};
use super::invariants::InvariantChecker;
use super::provider_rights::ProviderRights;
use crate::authorization::Subject;

/// When the AWS adapter gives a call up.
const CLIENT_GIVES_UP: Duration = Duration::from_secs(8);

/// Account with its delays, its faults, and the checker of the invariants.
pub struct World {
    /// The account itself.
    pub account: MemoryAccount,
    begun: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    seed: Rng,
    delays: Delays,
    faults: EventFaults,
    /// Calls of the event so far, in all and by action.
    calls: u32,
    calls_of: BTreeMap<Action, u32>,
    /// Rights of the provider role, with the time from which they are in force.
    provider_rights: Vec<(Duration, Arc<ProviderRights>)>,
    /// Changes whose sender died when they were on their way, with the time at which they arrive.
    on_their_way: Vec<(Duration, Change)>,
    /// Answers that were taken for the event: by which attempt, and what.
    answers: Vec<(u32, String)>,
    postings: Vec<AnswerFault>,
    invariants: InvariantChecker,
    trace: Option<Vec<String>>,
}

impl World {
    /// Returns a world; its story is told if asked for.
    #[must_use]
    pub fn new(
        account: MemoryAccount,
        delays: Delays,
        seed: u64,
        invariants: InvariantChecker,
        is_traced: bool,
    ) -> Self {
        let inner = Inner {
            seed: Rng::with_seed(seed),
            delays,
            faults: EventFaults::default(),
            calls: 0,
            calls_of: BTreeMap::new(),
            provider_rights: Vec::new(),
            on_their_way: Vec::new(),
            answers: Vec::new(),
            postings: Vec::new(),
            invariants,
            trace: is_traced.then(Vec::new),
        };
        Self { account, begun: Instant::now(), inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Lets what is on its way arrive, and brings the account's clock up to date.
    pub fn settle(&self) {
        let now = self.now();
        loop {
            let arrived = {
                let mut inner = self.lock();
                let next = inner.on_their_way.iter().position(|(at, _)| *at <= now);
                next.map(|next| inner.on_their_way.remove(next))
            };
            let Some((at, change)) = arrived else { break };
            self.account.clock().set(at);
            let result = self.change(&change);
            self.tell(|| format!("(its sender is dead) {change} -> {}", described(&result)));
        }
        self.account.clock().set(now);
    }

    /// The provider role becomes another one, and is in force some time later.
    pub fn deploy(&self, provider_rights: &Arc<ProviderRights>) {
        let now = self.now();
        let mut inner = self.lock();
        let longest = inner.delays.provider_rights;
        let delay = inner.between(longest);
        inner.provider_rights.push((now + delay, Arc::clone(provider_rights)));
        drop(inner);
        self.tell(|| format!("the provider role is changed, in force after {delay:?}"));
    }

    /// An event begins, with what goes wrong with it.
    pub fn begin(&self, faults: &EventFaults) {
        let mut inner = self.lock();
        inner.faults = faults.clone();
        inner.postings = faults.answer_faults.iter().rev().copied().collect();
        (inner.calls, inner.calls_of, inner.answers) = (0, BTreeMap::new(), Vec::new());
    }

    /// From now on nothing goes wrong.
    pub fn no_faults(&self) {
        let mut inner = self.lock();
        inner.delays = Delays { latency: Duration::from_millis(20), ..Delays::default() };
    }

    /// Returns the answers that were taken for the event.
    #[must_use]
    pub fn answers(&self) -> Vec<(u32, String)> {
        self.lock().answers.clone()
    }

    /// Asks or tells those who watch.
    pub fn invariants<T>(&self, ask: impl FnOnce(&mut InvariantChecker) -> T) -> T {
        ask(&mut self.lock().invariants)
    }

    /// Returns a number below a bound.
    #[must_use]
    pub fn roll(&self, below: u64) -> u64 {
        self.lock().seed.u64(..below.max(1))
    }

    /// Adds to the story, if it is told.
    pub fn tell(&self, what: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(trace) = &mut self.lock().trace {
            trace.push(format!("{:9.3} s  {}", now.as_secs_f64(), what()));
        }
    }

    /// Returns the story so far.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.lock().trace.clone().unwrap_or_default()
    }

    /// One call: on its way, its effect, on its way back.
    async fn call<T>(
        &self,
        action: Option<Action>,
        subject: Option<Subject<'_>>,
        what: &(dyn Fn() -> String + Sync),
        effect: impl FnOnce() -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        let (there, back, fault, number) = {
            let mut inner = self.lock();
            inner.calls += 1;
            let number = inner.calls;
            let latency = inner.delays.latency / 2;
            let (there, back) = (inner.between(latency), inner.between(latency));
            (there, back, inner.fault(action), number)
        };
        let lost = || failure(FailureKind::Connection, "the connection was lost");
        let described = |result: &str| self.tell(|| format!("call {number}: {} -> {result}", what()));
        match fault {
            Some(Fault::Silence) => {
                sleep(CLIENT_GIVES_UP).await;
                described("no answer");
                return Err(lost());
            }
            Some(Fault::LostBefore) => {
                sleep(there).await;
                described("lost before it took effect");
                return Err(lost());
            }
            Some(Fault::Throttled | Fault::Server | Fault::Concurrent | Fault::Unmodifiable) => {
                let kind = match fault {
                    Some(Fault::Throttled) => FailureKind::Throttled,
                    Some(Fault::Server) => FailureKind::Server,
                    Some(Fault::Concurrent) => FailureKind::ConcurrentModification,
                    _ => FailureKind::TemporarilyUnmodifiable,
                };
                sleep(there + back).await;
                described(&format!("{kind:?}"));
                return Err(failure(kind, "injected by the simulator"));
            }
            None | Some(Fault::LostAfter | Fault::SilenceAfter) => {}
        }
        let change = match subject {
            Some(Subject::Change(change)) => Some(change),
            _ => None,
        };
        let on_its_way = CallInFlight { world: self, change, arrives: self.now() + there };
        sleep(there).await;
        on_its_way.has_arrived();
        self.settle();
        let is_allowed = action.zip(subject).is_none_or(|(action, subject)| self.is_allowed(action, subject));
        let result = if is_allowed {
            effect()
        } else {
            Err(failure(FailureKind::Denied, "User is not authorized to perform this action"))
        };
        if let Err(failure) = &result {
            described(&failure.code);
        } else {
            described("done");
        }
        match fault {
            Some(Fault::LostAfter) => {
                described("its answer is lost");
                Err(lost())
            }
            Some(Fault::SilenceAfter) => {
                sleep(CLIENT_GIVES_UP).await;
                described("its answer never comes");
                Err(lost())
            }
            _ => {
                sleep(back).await;
                result
            }
        }
    }

    /// True if the provider role allows a call now, and no fault denies it.
    fn is_allowed(&self, action: Action, subject: Subject<'_>) -> bool {
        let now = self.now();
        let mut inner = self.lock();
        if inner.faults.denied == Some(action) {
            return false;
        }
        let in_force =
            inner.provider_rights.iter().rev().find(|(from, _)| *from <= now).map(|(_, role)| Arc::clone(role));
        let Some(provider_rights) = in_force else { return false };
        let lag = inner.lag();
        drop(inner);
        self.account.look_back(lag);
        self.account.read_shown(|seen| provider_rights.allows(action, subject, seen))
    }

    /// Returns the state that the next read shows.
    fn look(&self) {
        let lag = self.lock().lag();
        self.account.look_back(lag);
    }

    /// Carries a change out, under the eyes of those who watch.
    fn change(&self, change: &Change) -> Result<Receipt, Failure> {
        self.look();
        let before = self.account.snapshot();
        let result = self.account.change(change);
        if result.is_ok() {
            let after = self.account.snapshot();
            self.lock().invariants.saw(change, &before, &after);
        }
        result
    }
}

impl Inner {
    /// Returns a duration up to the longest.
    fn between(&mut self, longest: Duration) -> Duration {
        Duration::from_millis(self.seed.u64(..=u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns the age of the state that a call reads: zero half of the time.
    fn lag(&mut self) -> Duration {
        let longest = self.delays.lag;
        if self.seed.bool() { Duration::ZERO } else { self.between(longest) }
    }

    fn fault(&mut self, action: Option<Action>) -> Option<Fault> {
        let of_its_action = action.map(|action| {
            let count = self.calls_of.entry(action).or_default();
            *count += 1;
            *count
        });
        if action.is_some() && self.faults.silent == action {
            return Some(Fault::Silence);
        }
        let is_struck = |call_fault: &&super::history::CallFault| match call_fault.call {
            CallFilter::All => call_fault.nth == self.calls,
            CallFilter::Of(struck) => Some(struck) == action && Some(call_fault.nth) == of_its_action,
        };
        self.faults.call_faults.iter().find(is_struck).map(|call_fault| call_fault.fault)
    }
}

/// A change on its way. Whoever sent it may die meanwhile; it may arrive all the same.
struct CallInFlight<'a> {
    world: &'a World,
    change: Option<&'a Change>,
    arrives: Duration,
}

impl CallInFlight<'_> {
    fn has_arrived(mut self) {
        self.change = None;
    }
}

impl Drop for CallInFlight<'_> {
    fn drop(&mut self) {
        if let Some(change) = self.change {
            let mut inner = self.world.lock();
            if inner.seed.bool() {
                inner.on_their_way.push((self.arrives, change.clone()));
            }
        }
    }
}

fn described<T>(result: &Result<T, Failure>) -> &str {
    result.as_ref().map_or_else(|failure| failure.code.as_str(), |_| "done")
}

/// Returns the answer of the account in memory, which never waits.
fn at_once<T>(answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    answer.now_or_never().unwrap_or_else(|| Err(failure(FailureKind::Other, "the account in memory waited")))
}

/// The account behind the domain's port.
#[derive(Clone, Copy)]
pub struct Account<'w>(pub &'w World);

impl ReadAccount for Account<'_> {
    async fn look(&self, look: &Look) -> Result<Observation, Failure> {
        let (world, action) = (self.0, look.action());
        let (subject, name) = match look {
            Look::Caller => (None, None),
            Look::Role(name)
            | Look::RoleTags(name)
            | Look::Attached(name)
            | Look::Inline(name)
            | Look::Profiles(name)
            | Look::Simulation(RoleArn { name, .. }, _) => (Some(Subject::Role(name)), Some(name.as_str())),
            Look::Policy(arn) | Look::Versions(arn) | Look::Document(arn, _) | Look::PolicyEntities(arn, _) => {
                (Some(Subject::Policy(arn)), Some(arn.name()))
            }
            Look::BucketRegion(name, _) | Look::BucketKey(Bucket { name, .. }) | Look::Cors(Bucket { name, .. }) => {
                (Some(Subject::Bucket(name)), Some(name.as_str()))
            }
        };
        let what = || match (action, name) {
            (Some(action), Some(name)) => format!("{action:?} {name}"),
            _ => "GetCallerIdentity".to_owned(),
        };
        let effect = || {
            if action.is_some() {
                world.look();
            }
            at_once(world.account.look(look))
        };
        world.call(action, subject, &what, effect).await
    }
}

impl Port for Account<'_> {
    async fn apply(&self, change: &Change) -> Result<Receipt, Failure> {
        let world = self.0;
        let effect = || world.change(change);
        world.call(Some(change.action()), Some(Subject::Change(change)), &|| change.to_string(), effect).await
    }
}

/// Recorder of the answer of one attempt.
#[derive(Clone, Copy)]
pub struct AnswerRecorder<'w> {
    /// The world.
    pub world: &'w World,
    /// Which attempt it is.
    pub attempt: u32,
}

impl Post for AnswerRecorder<'_> {
    async fn put(&self, _url: &Secret, body: String) -> Result<u16, String> {
        let posting = self.world.lock().postings.pop();
        sleep(Duration::from_millis(30)).await;
        let lost = || Err("the connection could not be made or broke".to_owned());
        match posting {
            Some(AnswerFault::Status(status)) => Ok(status),
            Some(AnswerFault::Lost) => lost(),
            posting => {
                self.world.settle();
                self.world.tell(|| {
                    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
                    let (id, reason) = (&answer["PhysicalResourceId"], answer["Reason"].as_str().unwrap_or_default());
                    format!("answered by attempt {}: {} {id} {reason}", self.attempt, answer["Status"])
                });
                let state = self.world.account.snapshot();
                let mut inner = self.world.lock();
                // CloudFormation takes the first.
                if inner.answers.is_empty() {
                    inner.invariants.answered(&body, &state);
                }
                inner.answers.push((self.attempt, body));
                drop(inner);
                if posting.is_some() { lost() } else { Ok(200) }
            }
        }
    }
}
