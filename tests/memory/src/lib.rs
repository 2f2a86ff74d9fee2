//! An AWS account in memory, as strict as IAM: the domain's tests and the simulator stand on it.
//!
//! Stricter than local emulators where IAM is: name uniqueness across paths and letter case, five versions, delete
//! conflicts, documents that make no sense, boundaries that do not exist. Reads can lag behind writes.

mod buckets;
pub mod policy;
mod reads;
mod rules;
mod state;
mod view;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::buckets::{HeldBucket, foreign_cors_rule};
pub use self::state::State;
use self::state::key;
use cavatica_access::names::{AccountId, PolicyArn, RoleArn, RoleName, Rule};
use cavatica_access::owner::Tags;
use cavatica_access::port::{
    Account, Action, Answer as _, Change, Clock, Failure, FailureKind, Look, NewPolicy, NewRole, Observation,
    PolicyEntity, ReadAccount, Receipt,
};
use cavatica_access::volume::BucketName;

/// Longest that a change can take to show.
pub const LONGEST_LAG: Duration = Duration::from_secs(60);

/// The account: its state, what was called, and what is to go wrong.
#[derive(Debug)]
pub struct MemoryAccount {
    id: AccountId,
    clock: VirtualClock,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Arc<State>,
    /// Age of the state that reads show.
    lag: Duration,
    /// Earlier states with the time at which each was changed, oldest first.
    past: Vec<(Duration, Arc<State>)>,
    calls: Vec<Action>,
    faults: Vec<(Action, FailureKind)>,
    /// Number of CORS configurations that another principal will overwrite at once.
    rivals: u32,
    made: u64,
}

impl MemoryAccount {
    /// Returns an empty account.
    #[must_use]
    pub fn new(id: AccountId) -> Self {
        Self { id, clock: VirtualClock::new(Duration::from_secs(170)), inner: Mutex::default() }
    }

    /// Returns the same with a bucket of its own in `us-east-1`, encrypted by S3.
    pub fn with_bucket(self, name: &str) -> Result<Self, Rule> {
        let held = HeldBucket { owner: self.id.clone(), region: "us-east-1".parse()?, key: None, cors: Vec::new() };
        self.hold(name.parse()?, Some(held));
        Ok(self)
    }

    /// Somebody else's hand: makes a bucket, changes it, or deletes it.
    pub fn hold(&self, name: BucketName, bucket: Option<HeldBucket>) {
        let mut inner = self.lock();
        let buckets = &mut Arc::make_mut(&mut inner.state).buckets;
        match bucket {
            Some(bucket) => buckets.insert(name, bucket),
            None => buckets.remove(&name),
        };
    }

    /// Returns the same, whose reads see writes only so much later on its clock.
    #[must_use]
    pub fn lagging(self, lag: Duration) -> Self {
        self.look_back(lag);
        self
    }

    /// From now on calls see the account as it was so long ago, at most [`LONGEST_LAG`].
    pub fn look_back(&self, lag: Duration) {
        self.lock().lag = lag.min(LONGEST_LAG);
    }

    /// Asks something of the account as it is.
    pub fn read<T>(&self, ask: impl FnOnce(&State) -> T) -> T {
        ask(&self.lock().state)
    }

    /// Asks something of the account as calls see it now.
    pub fn read_shown<T>(&self, ask: impl FnOnce(&State) -> T) -> T {
        ask(self.lock().seen_at(self.clock.now()))
    }

    /// Returns the clock that its lag goes by.
    #[must_use]
    pub fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// Everything it holds now, to compare.
    #[must_use]
    pub fn snapshot(&self) -> Arc<State> {
        Arc::clone(&self.lock().state)
    }

    /// Returns the calls made so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Action> {
        self.lock().calls.clone()
    }

    /// Lets the next call of an action fail; several add up.
    pub fn fail_next(&self, action: Action, kind: FailureKind) {
        self.lock().faults.push((action, kind));
    }

    /// Lets somebody else, who read before, write right after each of the next CORS configurations: what was there
    /// before, and a rule of theirs.
    pub fn overwrite_next_cors(&self, times: u32) {
        self.lock().rivals = times;
    }

    /// Makes a change, as a call does.
    pub fn change(&self, change: &Change) -> Result<Receipt, Failure> {
        let now = self.clock.now();
        let mut inner = self.enter(change.action())?;
        let seen = Arc::clone(inner.seen_at(now));
        inner.remember(now);
        inner.made += 1;
        let made = inner.made;
        let before = Arc::clone(&inner.state);
        let receipt = Arc::make_mut(&mut inner.state).change(change, &seen, made)?;
        if let Change::PutCors { bucket, .. } = change
            && inner.rivals > 0
        {
            inner.rivals -= 1;
            Arc::make_mut(&mut inner.state).overwrite_cors(&bucket.name, &before, made);
        }
        Ok(receipt)
    }

    /// Somebody else's hand: makes a change that no fault and no rule of ownership concerns.
    pub fn by_hand(&self, change: &Change) -> Result<Receipt, Failure> {
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.remember(now);
        inner.made += 1;
        let made = inner.made;
        let seen = Arc::clone(&inner.state);
        Arc::make_mut(&mut inner.state).change(change, &seen, made)
    }

    /// Somebody else's hand: attaches a policy to anyone.
    pub fn attach_by_hand(&self, carrier: PolicyEntity, arn: PolicyArn) {
        Arc::make_mut(&mut self.lock().state).attachments.insert((carrier, arn));
    }

    /// Somebody else's hand: puts an inline policy on a role.
    pub fn put_inline_by_hand(&self, role: &RoleName, name: &str) {
        if let Some(held) = Arc::make_mut(&mut self.lock().state).roles.get_mut(&key(role.as_str())) {
            Arc::make_mut(held).inline.insert(name.to_owned());
        }
    }

    /// Somebody else's hand: puts a role in an instance profile, or takes it out again.
    pub fn set_instance_profile_by_hand(&self, profile: &str, role: &RoleName, is_in: bool) {
        let entry = (profile.to_owned(), role.clone());
        let mut inner = self.lock();
        let profiles = &mut Arc::make_mut(&mut inner.state).instance_profiles;
        if is_in {
            profiles.insert(entry);
        } else {
            profiles.remove(&entry);
        }
    }

    /// Somebody else's hand: replaces a role's tags.
    pub fn set_role_tags_by_hand(&self, name: &RoleName, tags: Tags) {
        if let Some(held) = Arc::make_mut(&mut self.lock().state).roles.get_mut(&key(name.as_str())) {
            Arc::make_mut(held).role.tags = tags;
        }
    }

    /// Somebody else's hand: replaces a policy's tags.
    pub fn set_policy_tags_by_hand(&self, arn: &PolicyArn, tags: Tags) {
        if let Some(held) = Arc::make_mut(&mut self.lock().state).policies.get_mut(&key(arn.name())) {
            Arc::make_mut(held).tags = tags;
        }
    }

    /// Lets IAM not find a principal.
    pub fn forget_principal(&self, arn: &str) {
        Arc::make_mut(&mut self.lock().state).unknown_principals.insert(arn.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and answers with a fault if one is due.
    fn enter(&self, action: Action) -> Result<MutexGuard<'_, Inner>, Failure> {
        let mut inner = self.lock();
        inner.calls.push(action);
        match inner.faults.iter().position(|(due, _)| *due == action) {
            Some(at) => {
                let (_, kind) = inner.faults.remove(at);
                Err(failure(kind, "injected by the test"))
            }
            None => Ok(inner),
        }
    }
}

impl Inner {
    /// State that calls read at a time.
    fn seen_at(&self, now: Duration) -> &Arc<State> {
        let changed_since = |(changed, _): &&(Duration, Arc<State>)| now < *changed + self.lag;
        self.past.iter().find(changed_since).map_or(&self.state, |(_, state)| state)
    }

    /// Keeps the state before a change.
    fn remember(&mut self, now: Duration) {
        self.past.retain(|(changed, _)| now < *changed + LONGEST_LAG);
        self.past.push((now, Arc::clone(&self.state)));
    }
}

impl ReadAccount for MemoryAccount {
    async fn look(&self, look: &Look) -> Result<Observation, Failure> {
        match look.action() {
            None => Ok(self.id.clone().into_observation()),
            Some(action) => self.enter(action)?.seen_at(self.clock.now()).look(look),
        }
    }
}

impl Account for MemoryAccount {
    async fn apply(&self, change: &Change) -> Result<Receipt, Failure> {
        self.change(change)
    }
}

/// Returns a boundary that caps nothing of what Cavatica needs.
#[must_use]
pub fn wide_boundary(arn: PolicyArn) -> Change {
    let document =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","kms:*"],"Resource":"*"}]}"#;
    untagged_policy(arn, document)
}

fn untagged_policy(arn: PolicyArn, document: &str) -> Change {
    Change::CreatePolicy(Box::new(NewPolicy {
        arn,
        path: Default::default(),
        document: document.to_owned(),
        description: String::new(),
        tags: Tags::new(),
    }))
}

/// Returns a role as somebody else would have made it.
#[must_use]
pub fn foreign_role(arn: RoleArn) -> Change {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    Change::CreateRole(Box::new(NewRole {
        arn,
        trust: trust.to_owned(),
        description: "somebody else's".to_owned(),
        max_session_duration: 3_600,
        boundary: None,
        tags: Tags::new(),
    }))
}

/// Returns a policy as somebody else would have made it.
#[must_use]
pub fn foreign_policy(arn: PolicyArn) -> Change {
    let document =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"*"}]}"#;
    untagged_policy(arn, document)
}

/// Returns a failure with the code that AWS has for it.
#[must_use]
pub fn failure(kind: FailureKind, message: &str) -> Failure {
    let code = match kind {
        FailureKind::NotFound => "NoSuchEntity",
        FailureKind::AlreadyExists => "EntityAlreadyExists",
        FailureKind::Denied => "AccessDenied",
        FailureKind::ConcurrentModification => "ConcurrentModification",
        FailureKind::TemporarilyUnmodifiable => "EntityTemporarilyUnmodifiable",
        FailureKind::DeleteConflict => "DeleteConflict",
        FailureKind::LimitExceeded => "LimitExceeded",
        FailureKind::MalformedDocument => "MalformedPolicyDocument",
        FailureKind::Throttled => "Throttling",
        FailureKind::Server => "ServiceFailure",
        FailureKind::Connection => "ConnectionError",
        FailureKind::Other => "ValidationError",
    };
    Failure { kind, code: code.to_owned(), message: message.to_owned(), request_id: None }
}

/// A clock that only sleeping moves, and that takes no time.
#[derive(Debug)]
pub struct VirtualClock {
    deadline: Duration,
    now: Mutex<Duration>,
}

impl VirtualClock {
    /// Returns a clock with so much time until work has to stop.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        Self { deadline, now: Mutex::default() }
    }

    /// Time since it was made.
    #[must_use]
    pub fn now(&self) -> Duration {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves it to a time, for those who keep time elsewhere.
    pub fn set(&self, now: Duration) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Clock for VirtualClock {
    fn elapsed(&self) -> Duration {
        self.now()
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_sub(self.now())
    }

    async fn sleep(&self, duration: Duration) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += duration;
    }

    fn chance(&self) -> f64 {
        0.5
    }
}
