//! The world as the function meets it: an account whose calls take time, fail, lag and are denied, and a place for
//! answers. Everything it leaves open is decided by dice, so that the same history always runs the same way.

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

use super::authority::Authority;
use super::history::{Calls, Fault, Posting, Trouble, Weather};
use super::watch::Watch;
use crate::authorization::Subject;

/// When the AWS adapter gives a call up.
const CLIENT_GIVES_UP: Duration = Duration::from_secs(8);

/// An account, its weather, and who watches.
pub struct World {
    /// The account itself.
    pub account: MemoryAccount,
    begun: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    dice: Rng,
    weather: Weather,
    trouble: Trouble,
    /// Calls of the event so far, in all and by action.
    calls: u32,
    calls_of: BTreeMap<Action, u32>,
    /// What the provider role allows, from when on.
    authority: Vec<(Duration, Arc<Authority>)>,
    /// Changes whose sender died when they were on their way, with the time at which they arrive.
    on_their_way: Vec<(Duration, Change)>,
    /// Answers that were taken for the event: by which attempt, and what.
    answers: Vec<(u32, String)>,
    postings: Vec<Posting>,
    watch: Watch,
    trace: Option<Vec<String>>,
}

impl World {
    /// Returns a world; its story is told if asked for.
    #[must_use]
    pub fn new(account: MemoryAccount, weather: Weather, dice: u64, watch: Watch, is_told: bool) -> Self {
        let inner = Inner {
            dice: Rng::with_seed(dice),
            weather,
            trouble: Trouble::default(),
            calls: 0,
            calls_of: BTreeMap::new(),
            authority: Vec::new(),
            on_their_way: Vec::new(),
            answers: Vec::new(),
            postings: Vec::new(),
            watch,
            trace: is_told.then(Vec::new),
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
            self.tell(|| format!("(its sender is dead) {change} -> {}", told(&result)));
        }
        self.account.clock().set(now);
    }

    /// The provider role becomes another one, and is in force some time later.
    pub fn deploy(&self, authority: &Arc<Authority>) {
        let now = self.now();
        let mut inner = self.lock();
        let longest = inner.weather.authority;
        let delay = inner.between(longest);
        inner.authority.push((now + delay, Arc::clone(authority)));
        drop(inner);
        self.tell(|| format!("the provider role is changed, in force after {delay:?}"));
    }

    /// An event begins, with what goes wrong with it.
    pub fn begin(&self, trouble: &Trouble) {
        let mut inner = self.lock();
        inner.trouble = trouble.clone();
        inner.postings = trouble.posts.iter().rev().copied().collect();
        (inner.calls, inner.calls_of, inner.answers) = (0, BTreeMap::new(), Vec::new());
    }

    /// From now on nothing goes wrong.
    pub fn calm(&self) {
        let mut inner = self.lock();
        inner.weather = Weather { latency: Duration::from_millis(20), ..Weather::default() };
    }

    /// Returns the answers that were taken for the event.
    #[must_use]
    pub fn answers(&self) -> Vec<(u32, String)> {
        self.lock().answers.clone()
    }

    /// Asks or tells those who watch.
    pub fn watch<T>(&self, ask: impl FnOnce(&mut Watch) -> T) -> T {
        ask(&mut self.lock().watch)
    }

    /// Returns a number below a bound.
    #[must_use]
    pub fn roll(&self, below: u64) -> u64 {
        self.lock().dice.u64(..below.max(1))
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
    pub fn story(&self) -> Vec<String> {
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
            let latency = inner.weather.latency / 2;
            let (there, back) = (inner.between(latency), inner.between(latency));
            (there, back, inner.fault(action), number)
        };
        let lost = || failure(FailureKind::Connection, "the connection was lost");
        let told = |result: &str| self.tell(|| format!("call {number}: {} -> {result}", what()));
        match fault {
            Some(Fault::Silence) => {
                sleep(CLIENT_GIVES_UP).await;
                told("no answer");
                return Err(lost());
            }
            Some(Fault::LostBefore) => {
                sleep(there).await;
                told("lost before it took effect");
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
                told(&format!("{kind:?}"));
                return Err(failure(kind, "injected by the simulator"));
            }
            None | Some(Fault::LostAfter | Fault::SilenceAfter) => {}
        }
        let change = match subject {
            Some(Subject::Change(change)) => Some(change),
            _ => None,
        };
        let on_its_way = OnItsWay { world: self, change, arrives: self.now() + there };
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
            told(&failure.code);
        } else {
            told("done");
        }
        match fault {
            Some(Fault::LostAfter) => {
                told("its answer is lost");
                Err(lost())
            }
            Some(Fault::SilenceAfter) => {
                sleep(CLIENT_GIVES_UP).await;
                told("its answer never comes");
                Err(lost())
            }
            _ => {
                sleep(back).await;
                result
            }
        }
    }

    /// Whether the provider role of the moment allows a call, and nobody else denies it.
    fn is_allowed(&self, action: Action, subject: Subject<'_>) -> bool {
        let now = self.now();
        let mut inner = self.lock();
        if inner.trouble.denied == Some(action) {
            return false;
        }
        let in_force = inner.authority.iter().rev().find(|(from, _)| *from <= now).map(|(_, role)| Arc::clone(role));
        let Some(authority) = in_force else { return false };
        let lag = inner.lag();
        drop(inner);
        self.account.look_back(lag);
        self.account.read_shown(|seen| authority.allows(action, subject, seen))
    }

    /// What the next read sees.
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
            self.lock().watch.saw(change, &before, &after);
        }
        result
    }
}

impl Inner {
    /// Returns a duration up to the longest.
    fn between(&mut self, longest: Duration) -> Duration {
        Duration::from_millis(self.dice.u64(..=u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How old the view of a call is: half of the time it is fresh.
    fn lag(&mut self) -> Duration {
        let longest = self.weather.lag;
        if self.dice.bool() { Duration::ZERO } else { self.between(longest) }
    }

    fn fault(&mut self, action: Option<Action>) -> Option<Fault> {
        let of_its_action = action.map(|action| {
            let count = self.calls_of.entry(action).or_default();
            *count += 1;
            *count
        });
        if action.is_some() && self.trouble.silent == action {
            return Some(Fault::Silence);
        }
        let is_struck = |strike: &&super::history::Strike| match strike.call {
            Calls::All => strike.nth == self.calls,
            Calls::Of(struck) => Some(struck) == action && Some(strike.nth) == of_its_action,
        };
        self.trouble.strikes.iter().find(is_struck).map(|strike| strike.fault)
    }
}

/// A change on its way. Whoever sent it may die meanwhile; it may arrive all the same.
struct OnItsWay<'a> {
    world: &'a World,
    change: Option<&'a Change>,
    arrives: Duration,
}

impl OnItsWay<'_> {
    fn has_arrived(mut self) {
        self.change = None;
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(change) = self.change {
            let mut inner = self.world.lock();
            if inner.dice.bool() {
                inner.on_their_way.push((self.arrives, change.clone()));
            }
        }
    }
}

fn told<T>(result: &Result<T, Failure>) -> &str {
    result.as_ref().map_or_else(|failure| failure.code.as_str(), |_| "done")
}

/// What the account in memory answers: it never waits.
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

/// Where one attempt's answer goes.
#[derive(Clone, Copy)]
pub struct Desk<'w> {
    /// The world.
    pub world: &'w World,
    /// Which attempt it is.
    pub attempt: u32,
}

impl Post for Desk<'_> {
    async fn put(&self, _url: &Secret, body: String) -> Result<u16, String> {
        let posting = self.world.lock().postings.pop();
        sleep(Duration::from_millis(30)).await;
        let lost = || Err("the connection could not be made or broke".to_owned());
        match posting {
            Some(Posting::Status(status)) => Ok(status),
            Some(Posting::Lost) => lost(),
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
                    inner.watch.answered(&body, &state);
                }
                inner.answers.push((self.attempt, body));
                drop(inner);
                if posting.is_some() { lost() } else { Ok(200) }
            }
        }
    }
}
