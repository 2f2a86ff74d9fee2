//! Main loop of the simulator: runs a history from an empty account to a deleted stack.
//!
//! # Flow
//!
//! 1. Each step of the history is an operation on the stack, or a manual change by another person (`manual_changes`).
//! 2. An operation is a sequence of CloudFormation's steps (`cloudformation`): deploy the provider role, or send an
//!    event.
//! 3. An event runs the real function (`lambda`) on the account in memory (`world`), with the event's faults.
//! 4. The answer goes back to `cloudformation`, which decides the next step.
//! 5. At the end no faults happen any more. The stack is deleted, and nothing of it may remain.
//!
//! # Guarantees
//!
//! - The same history gives the same result, to the last call: time is virtual, and random numbers come from the seed.
//! - `invariants` checks the account at every change and at every answer.

use std::sync::Arc;
use std::time::Duration;

use cavatica_access::lineage::Lineage;
use cavatica_access::names::{PolicyArn, RoleArn, RoleName};
use cavatica_access::owner;
use cavatica_access::port::{Action, CorsRule};
use cavatica_access::request::OldProperties;
use cavatica_memory::{HeldBucket, MemoryAccount, foreign_cors_rule, foreign_role, wide_boundary};
use serde_json::Value;
use tokio::time::sleep;

use super::history::{EventFaults, History, HistoryStep};
use super::invariants::{Expected, InvariantChecker};
use super::published::{Deployment, Published, owner as our_owner};
use super::world::World;
use super::{BUCKETS, ORGANISATIONS_BOUNDARY, OWN_BOUNDARY};
use crate::cloudformation::{self, Operation, Stack, StackRequest, Status, Step};
use crate::{Error, events};

/// Time that CloudFormation waits for an answer, as in the template.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(720);
/// Nothing is sent there.
const URL: &str = "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/answer";
/// Words of refusals of changes that no rollback could undo. A history may contain such changes.
const REFUSED_BY_RULE: [&str; 4] = [
    "may change only together with RoleName",
    "IAM ignores letter case",
    "names are unique across paths",
    "this function was deployed to trust",
];

/// Actions that the function needs to find a CORS rule.
const LOOKS_AT_BUCKETS: [Action; 2] = [Action::GetBucketLocation, Action::GetBucketCORS];

/// Result of a history.
#[derive(Debug, Clone, Default)]
pub struct HistoryResult {
    /// Violated invariants.
    pub violations: Vec<String>,
    /// Lines about everything that happened, if they were requested.
    pub trace: Vec<String>,
    /// Number of events.
    pub events: u32,
}

/// Simulates a history in virtual time.
pub fn simulate(history: &History, published: &Published, is_traced: bool) -> Result<HistoryResult, Error> {
    // The provider's own jitter comes from here.
    fastrand::seed(history.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let account = MemoryAccount::new("123456789012".parse()?);
        for arn in [OWN_BOUNDARY, ORGANISATIONS_BOUNDARY] {
            account.by_hand(&wide_boundary(arn.parse()?))?;
        }
        for name in BUCKETS {
            // The portal's rules are somebody else's.
            let (owner, region) = ("123456789012".parse()?, "us-east-1".parse()?);
            let cors = vec![foreign_cors_rule("portal")];
            account.hold(name.parse()?, Some(HeldBucket { owner, region, key: None, cors }));
        }
        account.by_hand(&foreign_role("arn:aws:iam::123456789012:role/bystander".parse()?))?;
        let invariants = account.read(|state| Ok::<_, Error>(InvariantChecker::over(our_owner()?, state)))?;
        let world = World::new(account, history.delays.clone(), history.seed, invariants, is_traced);
        let mut simulator = Simulator {
            world: &world,
            published,
            stack: Stack::new(URL),
            deployed: None,
            has_manual_changes: false,
            returns_to_old_name: false,
            events: 0,
        };
        // Longer than anything lags: what was there before is seen.
        sleep(Duration::from_secs(100)).await;
        for step in &history.steps {
            simulator.step(step).await?;
        }
        simulator.end(history.seed.is_multiple_of(2)).await?;
        let violations = world.invariants(|invariants| invariants.violations().to_vec());
        Ok(HistoryResult { violations, trace: world.trace(), events: simulator.events })
    })
}

/// State of a simulation.
pub(super) struct Simulator<'w> {
    pub(super) world: &'w World,
    pub(super) published: &'w Published,
    pub(super) stack: Stack<Deployment>,
    pub(super) deployed: Option<Arc<StackRequest<Deployment>>>,
    /// True after a manual change. Events may fail because of it.
    pub(super) has_manual_changes: bool,
    /// True if the last update went back to an earlier name.
    pub(super) returns_to_old_name: bool,
    pub(super) events: u32,
}

impl Simulator<'_> {
    async fn step(&mut self, step: &HistoryStep) -> Result<(), Error> {
        let (operation, event_faults) = match step {
            HistoryStep::ManualChange(manual_change) => return self.manual_change(*manual_change).await,
            HistoryStep::Create { requested, sibling_fails, event_faults } => {
                let requested = self.published.requested(requested)?;
                (Operation::Create { requested, sibling_fails: *sibling_fails }, event_faults)
            }
            HistoryStep::Update { requested, sibling_fails, rollback, event_faults } => {
                let requested = self.published.requested(requested)?;
                (Operation::Update { requested, sibling_fails: *sibling_fails, rollback: *rollback }, event_faults)
            }
            HistoryStep::ContinueRollback { event_faults } => (Operation::ContinueRollback, event_faults),
            HistoryStep::Delete { .. } if self.is_open() => return Ok(()),
            HistoryStep::Delete { retain, event_faults } => (Operation::Delete { retain: *retain }, event_faults),
        };
        self.operate(operation, event_faults).await.map(drop)
    }

    /// True if a failed rollback has to be continued before the stack is deleted, because no tag or property names the
    /// resources of the failed update. ARCHITECTURE.md has this limit.
    fn is_open(&self) -> bool {
        let is_failed = self.stack.status() == Status::UpdateRollbackFailed;
        self.stack.is_open()
            || (is_failed
                && (self.has_manual_changes
                    || self.returns_to_old_name
                    || self.has_unnamed_policy()
                    || self.has_lost_rule()))
    }

    /// True if no tag or property names a policy of the stack: its role was never created, and has another name.
    fn has_unnamed_policy(&self) -> bool {
        self.world.account.read(|state| {
            state.policies().any(|(arn, tags, _)| {
                let role = tags.get(owner::ROLE).map_or("", String::as_str);
                state.role_named(role).is_none() && !arn.name().eq_ignore_ascii_case(role) && !role.is_empty()
            })
        })
    }

    /// True if a bucket has a CORS rule of the stack that the stack's properties do not name, or that the provider role
    /// of the update that failed may not take out: without `ConfigureCors` it reaches its own bucket only.
    fn has_lost_rule(&self) -> bool {
        let old_properties = |requested: &Arc<StackRequest<Deployment>>| OldProperties::read(&requested.properties);
        let mut known =
            self.stack.now().map(old_properties).map(|old_properties| old_properties.cors_buckets).unwrap_or_default();
        if let Some(deployed) =
            self.deployed.as_ref().filter(|requested| old_properties(requested).cors_buckets.is_empty())
        {
            let reached = &deployed.deployment.blueprint.request.volumes;
            known.retain(|bucket| reached.iter().any(|volume| volume.bucket == *bucket));
        }
        let is_ours = |rule: &CorsRule| rule.id.as_ref().is_some_and(|id| id.starts_with("cavatica-connect:"));
        let has_one = |held: &HeldBucket| held.cors.iter().any(is_ours);
        self.world.account.read(|state| state.buckets().any(|(name, held)| has_one(held) && !known.contains(name)))
    }

    /// True if a policy that a failed update left under another path has the name that an event requests.
    /// ARCHITECTURE.md has this limit.
    fn is_own_way(&self, event: &Value) -> bool {
        let properties = &event["ResourceProperties"];
        let (name, path) = (properties["PolicyName"].as_str().unwrap_or_default(), &properties["Path"]);
        let is_elsewhere = |arn: &PolicyArn| {
            arn.name().eq_ignore_ascii_case(name)
                && !arn.as_str().ends_with(&format!(":policy{}{name}", path.as_str().unwrap_or("/")))
        };
        self.world.account.read(|state| {
            state.policies().any(|(arn, tags, _)| {
                tags.get(owner::STACK).is_some_and(|stack| stack == events::STACK) && is_elsewhere(arn)
            })
        })
    }

    /// True if a role's lineage names another role.
    fn replaced(&self, role: &RoleArn, other: &RoleArn) -> bool {
        self.world.account.read(|state| {
            let role = state.role_named(role.name.as_str());
            role.is_some_and(|role| Lineage::of(&role.tags).names(&other.name))
        })
    }

    /// Carries out an operation; returns the first failure among the answers.
    async fn operate(
        &mut self,
        operation: Operation<Deployment>,
        event_faults: &[EventFaults],
    ) -> Result<Option<String>, Error> {
        let world = self.world;
        let before = self.stack.now().map(|requested| Arc::clone(&requested.deployment.blueprint));
        let next = match &operation {
            Operation::Create { requested, .. } | Operation::Update { requested, .. } => {
                Some(Arc::clone(&requested.deployment.blueprint))
            }
            _ => None,
        };
        let is_update = matches!(operation, Operation::Update { .. });
        if !self.stack.begin(operation) {
            return Ok(None);
        }
        if let (true, Some(before), Some(next)) = (is_update, &before, &next) {
            self.returns_to_old_name = self.replaced(&before.role, &next.role);
        }
        let goals: Vec<_> = before.iter().chain(&next).collect();
        if next.is_some() {
            world.settle();
            world.account.read(|state| world.invariants(|invariants| invariants.operation(state, &goals)));
        }
        let mut event_faults = event_faults.iter();
        let mut first_failure = None;
        while let Some(step) = self.stack.step() {
            match step {
                Step::Deploy(requested) => {
                    world.deploy(&requested.deployment.provider_rights);
                    self.deployed = Some(requested);
                }
                Step::Send(event) => {
                    let no_faults = EventFaults::default();
                    let faults = event_faults.next().unwrap_or(&no_faults);
                    if let Some(after) = faults.cancelled.filter(|_| event["RequestType"] == "Create") {
                        self.cancel(&event, faults, after).await?;
                        continue;
                    }
                    let failure = self.send(&event, faults).await?;
                    first_failure = first_failure.or(failure);
                }
            }
            sleep(Duration::from_millis(1_000 + world.roll(4_000))).await;
        }
        if self.stack.status() == Status::Gone {
            world.settle();
            world.invariants(|invariants| invariants.event(&Value::Null, Expected::AllGone));
            world.account.read(|state| world.invariants(|invariants| invariants.check_success(state)));
        }
        Ok(first_failure)
    }

    /// Sends a Create and, before its answer, a Delete with an ID that CloudFormation makes up.
    async fn cancel(&mut self, create: &Value, faults: &EventFaults, after: Duration) -> Result<(), Error> {
        let world = self.world;
        world.begin(faults);
        world.invariants(|invariants| invariants.event(&Value::Null, Expected::Nothing));
        world.tell(|| described(create));
        if let Err(broken) = self.stack.take(None) {
            world.invariants(|invariants| invariants.violation(format!("(a) {broken}")));
        }
        let Some(Step::Send(delete)) = self.stack.step() else {
            return Err("no Delete after a cancelled Create".into());
        };
        self.events += 2;
        let cancelling = async {
            sleep(after).await;
            world.tell(|| format!("cancelled: {}", described(&delete)));
            self.deliver(&delete, &EventFaults::default()).await
        };
        let (created, deleted) = tokio::join!(self.deliver(create, faults), cancelling);
        created.and(deleted)?;
        world.settle();
        let answers = world.answers();
        let answer =
            answers.iter().map(|(_, body)| body.as_str()).find(|body| cloudformation::read(&delete, body).is_ok());
        if let Err(broken) = self.stack.take(answer) {
            world.invariants(|invariants| invariants.violation(format!("(a) {broken}")));
        }
        Ok(())
    }

    /// Sends an event and returns the failure of its answer.
    async fn send(&mut self, event: &Value, faults: &EventFaults) -> Result<Option<String>, Error> {
        let world = self.world;
        self.events += 1;
        world.begin(faults);
        let is_delete = event["RequestType"] == "Delete";
        // A Delete says so only in its log.
        if is_delete && faults.denied.is_some_and(|action| LOOKS_AT_BUCKETS.contains(&action)) {
            world.invariants(InvariantChecker::ignore_cors_rules);
        }
        world.invariants(|invariants| invariants.event(event, self.expected(event)));
        world.invariants(|invariants| invariants.set_role_in_use(self.in_use(event)));
        world.tell(|| described(event));
        let sent = world.now();
        self.deliver(event, faults).await?;
        world.settle();
        let answers = world.answers();
        let first = answers.first().map(|(_, body)| body.as_str()).filter(|_| !faults.too_late);
        if first.is_none() {
            sleep(SERVICE_TIMEOUT.saturating_sub(world.now() - sent)).await;
            world.settle();
            world.tell(|| "no answer: CloudFormation goes on without".to_owned());
        }
        let answer = first.and_then(|body| cloudformation::read(event, body).ok());
        let failure = answer.and_then(|answer| answer.failure);
        // A clean-up that fails is never sent again, and says what may be left.
        let is_clean_up = is_delete && event["PhysicalResourceId"] != self.stack.physical_id();
        if is_clean_up && failure.as_ref().is_some_and(|reason| reason.contains("but the CORS rule")) {
            world.invariants(InvariantChecker::ignore_cors_rules);
        }
        match &failure {
            None if first.is_some() => {
                world.account.read(|state| world.invariants(|invariants| invariants.check_success(state)));
            }
            Some(reason)
                if !(faults.may_fail() || self.has_manual_changes || is_by_rule(reason) || self.is_own_way(event)) =>
            {
                world.invariants(|invariants| invariants.violation(format!("(g) failed without need: {reason}")));
            }
            _ => {}
        }
        if let Err(broken) = self.stack.take(first) {
            world.invariants(|invariants| invariants.violation(format!("(a) {broken}")));
        }
        Ok(failure)
    }

    /// Returns the role that the stack goes on with after an event that is not the last one.
    fn in_use(&self, event: &Value) -> Option<RoleName> {
        let own: Option<RoleArn> = self.stack.physical_id().parse().ok();
        match event["RequestType"].as_str()? {
            "Update" => event["ResourceProperties"]["RoleName"].as_str()?.parse().ok(),
            "Delete" => own.filter(|own| event["PhysicalResourceId"] != own.to_string().as_str()).map(|own| own.name),
            _ => None,
        }
    }

    fn expected(&self, event: &Value) -> Expected {
        if event["RequestType"] == "Delete" {
            let id = event["PhysicalResourceId"].as_str().unwrap_or_default();
            return Expected::Gone(id.parse().ok());
        }
        let requested = [self.deployed.as_ref(), self.stack.now()].into_iter().flatten();
        let requested =
            requested.chain(self.stack.next()).find(|requested| requested.properties == event["ResourceProperties"]);
        requested.map_or(Expected::Nothing, |requested| Expected::AsAsked(Arc::clone(&requested.deployment.blueprint)))
    }

    /// Deletes the stack without further faults. Whatever happened before, it must not be stuck.
    async fn end(&mut self, continues: bool) -> Result<(), Error> {
        let world = self.world;
        world.no_faults();
        sleep(Duration::from_secs(120)).await;
        world.settle();
        world.tell(|| "── from here on nothing goes wrong".to_owned());
        self.clear_obstacles()?;
        if continues || self.is_open() {
            self.until_done(|| Operation::ContinueRollback, Status::UpdateRollbackFailed).await?;
        }
        if !self.is_open() {
            self.until_done(|| Operation::Delete { retain: false }, Status::Gone).await?;
        }
        Ok(())
    }

    /// Repeats an operation until the stack leaves or reaches a status, and follows the remedies in the Reasons.
    async fn until_done(&mut self, operation: impl Fn() -> Operation<Deployment>, status: Status) -> Result<(), Error> {
        for _ in 0..8 {
            match self.operate(operation(), &[]).await? {
                None => return Ok(()),
                Some(reason) if reason.contains("aws iam tag-role") => self.tag_again(&reason)?,
                Some(reason) if reason.contains("aws iam tag-policy") => self.tag_policy_again(&reason)?,
                Some(reason) if reason.contains("aws iam detach-") => self.detach_by_hand(&reason)?,
                Some(reason) if reason.contains("aws iam attach-") => self.attach_by_hand(&reason)?,
                Some(_) if status == Status::UpdateRollbackFailed && self.has_manual_changes => return Ok(()),
                Some(reason) => {
                    self.world
                        .invariants(|invariants| invariants.violation(format!("(g) the stack is stuck: {reason}")));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Returns an event in a line.
fn described(event: &Value) -> String {
    let id = event["PhysicalResourceId"].as_str().unwrap_or("nothing");
    let requested = |properties: &Value| {
        let named = |(name, value): (&String, &Value)| match value {
            Value::String(text) if text.is_empty() => None,
            _ if ["ServiceToken", "ServiceTimeout", "Release", "ProjectLocations"].contains(&name.as_str()) => None,
            value => Some(format!("{name}={value}")),
        };
        properties.as_object().into_iter().flatten().filter_map(named).collect::<Vec<_>>().join(" ")
    };
    format!("── {} of {id}: {}", event["RequestType"], requested(&event["ResourceProperties"]))
}

/// True if a rule of the function refused the request.
fn is_by_rule(reason: &str) -> bool {
    REFUSED_BY_RULE.iter().any(|rule| reason.contains(rule))
}
