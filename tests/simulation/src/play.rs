//! Plays a history: carries CloudFormation's steps out, and ends every stack.
//!
//! Runs of the function are in `lambda`, what people do by hand in `hands`.

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

use super::history::{Act, History, Trouble};
use super::published::{Deployment, Published, owner as our_owner};
use super::watch::{Expected, Watch};
use super::world::World;
use super::{BUCKETS, ORGANISATIONS_BOUNDARY, OWN_BOUNDARY};
use crate::cloudformation::{self, Asked, Operation, Stack, Status, Step};
use crate::{Error, events};

/// How long CloudFormation waits for an answer, as the template says.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(720);
/// Nothing is sent there.
const URL: &str = "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/answer";
/// What a refusal says that no rollback could take back; an administrator may ask for it all the same.
const REFUSED_BY_RULE: [&str; 4] = [
    "may change only together with RoleName",
    "IAM ignores letter case",
    "names are unique across paths",
    "this function was deployed to trust",
];

/// What has to be allowed for a CORS rule to be seen.
const LOOKS_AT_BUCKETS: [Action; 2] = [Action::GetBucketLocation, Action::GetBucketCORS];

/// What was seen of a history.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What must not be.
    pub violations: Vec<String>,
    /// Everything that happened, if it was to be told.
    pub story: Vec<String>,
    /// How many events were sent.
    pub events: u32,
}

/// Plays a history from an empty account to a deleted stack, in virtual time.
pub fn play(history: &History, published: &Published, is_told: bool) -> Result<Seen, Error> {
    // The provider's own jitter comes from here.
    fastrand::seed(history.dice);
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
        let watch = account.read(|state| Ok::<_, Error>(Watch::over(our_owner()?, state)))?;
        let world = World::new(account, history.weather.clone(), history.dice, watch, is_told);
        let mut player = Player {
            world: &world,
            published,
            stack: Stack::new(URL),
            deployed: None,
            is_touched: false,
            returns: false,
            events: 0,
        };
        // Longer than anything lags: what was there before is seen.
        sleep(Duration::from_secs(100)).await;
        for act in &history.acts {
            player.act(act).await?;
        }
        player.end(history.dice.is_multiple_of(2)).await?;
        let violations = world.watch(|watch| watch.violations().to_vec());
        Ok(Seen { violations, story: world.story(), events: player.events })
    })
}

/// Plays the acts of a history, one after the other.
pub(super) struct Player<'w> {
    pub(super) world: &'w World,
    pub(super) published: &'w Published,
    pub(super) stack: Stack<Deployment>,
    pub(super) deployed: Option<Arc<Asked<Deployment>>>,
    /// Whether somebody else did something: what fails then may have to.
    pub(super) is_touched: bool,
    /// Whether the last update went back to a name that had been in use before.
    pub(super) returns: bool,
    pub(super) events: u32,
}

impl Player<'_> {
    async fn act(&mut self, act: &Act) -> Result<(), Error> {
        let (operation, troubles) = match act {
            Act::Hand(hand) => return self.hand(*hand).await,
            Act::Create { asked, sibling_fails, troubles } => {
                let asked = self.published.asked(asked)?;
                (Operation::Create { asked, sibling_fails: *sibling_fails }, troubles)
            }
            Act::Update { asked, sibling_fails, rollback, troubles } => {
                let asked = self.published.asked(asked)?;
                (Operation::Update { asked, sibling_fails: *sibling_fails, rollback: *rollback }, troubles)
            }
            Act::ContinueRollback { troubles } => (Operation::ContinueRollback, troubles),
            Act::Delete { .. } if self.is_open() => return Ok(()),
            Act::Delete { retain, troubles } => (Operation::Delete { retain: *retain }, troubles),
        };
        self.operate(operation, troubles).await.map(drop)
    }

    /// Whether a rollback that failed has to be continued before the stack is deleted, because nothing tells any more what
    /// the update that failed had made. ARCHITECTURE.md says so.
    fn is_open(&self) -> bool {
        let is_failed = self.stack.status() == Status::UpdateRollbackFailed;
        self.stack.is_open()
            || (is_failed && (self.is_touched || self.returns || self.has_unnamed_policy() || self.has_lost_rule()))
    }

    /// Whether there is a policy of ours that nothing names: its role was never made, and its name is not the role's.
    fn has_unnamed_policy(&self) -> bool {
        self.world.account.read(|state| {
            state.policies().any(|(arn, tags, _)| {
                let role = tags.get(owner::ROLE).map_or("", String::as_str);
                state.role_named(role).is_none() && !arn.name().eq_ignore_ascii_case(role) && !role.is_empty()
            })
        })
    }

    /// Whether a bucket has a CORS rule of ours that the stack's properties do not tell of, or that the provider role of the
    /// update that failed may not take out: without `ConfigureCors` it reaches its own bucket only.
    fn has_lost_rule(&self) -> bool {
        let former = |asked: &Arc<Asked<Deployment>>| OldProperties::read(&asked.properties);
        let mut known = self.stack.now().map(former).map(|former| former.cors_buckets).unwrap_or_default();
        if let Some(deployed) = self.deployed.as_ref().filter(|asked| former(asked).cors_buckets.is_empty()) {
            let reached = &deployed.deployment.blueprint.request.volumes;
            known.retain(|bucket| reached.iter().any(|volume| volume.bucket == *bucket));
        }
        let is_ours = |rule: &CorsRule| rule.id.as_ref().is_some_and(|id| id.starts_with("cavatica-connect:"));
        let has_one = |held: &HeldBucket| held.cors.iter().any(is_ours);
        self.world.account.read(|state| state.buckets().any(|(name, held)| has_one(held) && !known.contains(name)))
    }

    /// Whether the policy's name that an event asks for is taken by what an update that failed left of ours under another
    /// path. ARCHITECTURE.md says so.
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

    /// Whether a role says that it replaced another one.
    fn replaced(&self, role: &RoleArn, other: &RoleArn) -> bool {
        self.world.account.read(|state| {
            let role = state.role_named(role.name.as_str());
            role.is_some_and(|role| Lineage::of(&role.tags).names(&other.name))
        })
    }

    /// Carries an operation out; the first failure that an event was answered with.
    async fn operate(
        &mut self,
        operation: Operation<Deployment>,
        troubles: &[Trouble],
    ) -> Result<Option<String>, Error> {
        let world = self.world;
        let before = self.stack.now().map(|asked| Arc::clone(&asked.deployment.blueprint));
        let next = match &operation {
            Operation::Create { asked, .. } | Operation::Update { asked, .. } => {
                Some(Arc::clone(&asked.deployment.blueprint))
            }
            _ => None,
        };
        let is_update = matches!(operation, Operation::Update { .. });
        if !self.stack.begin(operation) {
            return Ok(None);
        }
        if let (true, Some(before), Some(next)) = (is_update, &before, &next) {
            self.returns = self.replaced(&before.role, &next.role);
        }
        let goals: Vec<_> = before.iter().chain(&next).collect();
        if next.is_some() {
            world.settle();
            world.account.read(|state| world.watch(|watch| watch.operation(state, &goals)));
        }
        let mut troubles = troubles.iter();
        let mut first_failure = None;
        while let Some(step) = self.stack.step() {
            match step {
                Step::Deploy(asked) => {
                    world.deploy(&asked.deployment.authority);
                    self.deployed = Some(asked);
                }
                Step::Send(event) => {
                    let calm = Trouble::default();
                    let trouble = troubles.next().unwrap_or(&calm);
                    if let Some(after) = trouble.cancelled.filter(|_| event["RequestType"] == "Create") {
                        self.cancel(&event, trouble, after).await?;
                        continue;
                    }
                    let failure = self.send(&event, trouble).await?;
                    first_failure = first_failure.or(failure);
                }
            }
            sleep(Duration::from_millis(1_000 + world.roll(4_000))).await;
        }
        if self.stack.status() == Status::Gone {
            world.settle();
            world.watch(|watch| watch.event(&Value::Null, Expected::AllGone));
            world.account.read(|state| world.watch(|watch| watch.claims(state)));
        }
        Ok(first_failure)
    }

    /// Sends a Create and, without waiting for it, the Delete of an ID that CloudFormation makes up.
    async fn cancel(&mut self, create: &Value, trouble: &Trouble, after: Duration) -> Result<(), Error> {
        let world = self.world;
        world.begin(trouble);
        world.watch(|watch| watch.event(&Value::Null, Expected::Nothing));
        world.tell(|| told(create));
        if let Err(broken) = self.stack.take(None) {
            world.watch(|watch| watch.violation(format!("(a) {broken}")));
        }
        let Some(Step::Send(delete)) = self.stack.step() else {
            return Err("no Delete after a cancelled Create".into());
        };
        self.events += 2;
        let cancelling = async {
            sleep(after).await;
            world.tell(|| format!("cancelled: {}", told(&delete)));
            self.deliver(&delete, &Trouble::default()).await
        };
        let (created, deleted) = tokio::join!(self.deliver(create, trouble), cancelling);
        created.and(deleted)?;
        world.settle();
        let answers = world.answers();
        let answer =
            answers.iter().map(|(_, body)| body.as_str()).find(|body| cloudformation::read(&delete, body).is_ok());
        if let Err(broken) = self.stack.take(answer) {
            world.watch(|watch| watch.violation(format!("(a) {broken}")));
        }
        Ok(())
    }

    /// Sends an event and hands the answer back; the failure it was answered with.
    async fn send(&mut self, event: &Value, trouble: &Trouble) -> Result<Option<String>, Error> {
        let world = self.world;
        self.events += 1;
        world.begin(trouble);
        let is_delete = event["RequestType"] == "Delete";
        // A Delete says so only in its log.
        if is_delete && trouble.denied.is_some_and(|action| LOOKS_AT_BUCKETS.contains(&action)) {
            world.watch(Watch::blind);
        }
        world.watch(|watch| watch.event(event, self.expected(event)));
        world.watch(|watch| watch.goes_on_with(self.in_use(event)));
        world.tell(|| told(event));
        let sent = world.now();
        self.deliver(event, trouble).await?;
        world.settle();
        let answers = world.answers();
        let first = answers.first().map(|(_, body)| body.as_str()).filter(|_| !trouble.too_late);
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
            world.watch(Watch::blind);
        }
        match &failure {
            None if first.is_some() => {
                world.account.read(|state| world.watch(|watch| watch.claims(state)));
            }
            Some(reason)
                if !(trouble.may_fail() || self.is_touched || is_by_rule(reason) || self.is_own_way(event)) =>
            {
                world.watch(|watch| watch.violation(format!("(g) failed without need: {reason}")));
            }
            _ => {}
        }
        if let Err(broken) = self.stack.take(first) {
            world.watch(|watch| watch.violation(format!("(a) {broken}")));
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
        let asked = [self.deployed.as_ref(), self.stack.now()].into_iter().flatten();
        let asked = asked.chain(self.stack.next()).find(|asked| asked.properties == event["ResourceProperties"]);
        asked.map_or(Expected::Nothing, |asked| Expected::AsAsked(Arc::clone(&asked.deployment.blueprint)))
    }

    /// Ends the stack in calm weather: whatever happened, it must not be stuck.
    async fn end(&mut self, continues: bool) -> Result<(), Error> {
        let world = self.world;
        world.calm();
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

    /// Tries an operation until the stack leaves a status or reaches it, and meanwhile does what the Reasons say.
    async fn until_done(&mut self, operation: impl Fn() -> Operation<Deployment>, status: Status) -> Result<(), Error> {
        for _ in 0..8 {
            match self.operate(operation(), &[]).await? {
                None => return Ok(()),
                Some(reason) if reason.contains("aws iam tag-role") => self.tag_again(&reason)?,
                Some(reason) if reason.contains("aws iam tag-policy") => self.tag_policy_again(&reason)?,
                Some(reason) if reason.contains("aws iam detach-") => self.detach_by_hand(&reason)?,
                Some(reason) if reason.contains("aws iam attach-") => self.attach_by_hand(&reason)?,
                Some(_) if status == Status::UpdateRollbackFailed && self.is_touched => return Ok(()),
                Some(reason) => {
                    self.world.watch(|watch| watch.violation(format!("(g) the stack is stuck: {reason}")));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Returns an event in a line.
fn told(event: &Value) -> String {
    let id = event["PhysicalResourceId"].as_str().unwrap_or("nothing");
    let asked = |properties: &Value| {
        let named = |(name, value): (&String, &Value)| match value {
            Value::String(text) if text.is_empty() => None,
            _ if ["ServiceToken", "ServiceTimeout", "Release", "ProjectLocations"].contains(&name.as_str()) => None,
            value => Some(format!("{name}={value}")),
        };
        properties.as_object().into_iter().flatten().filter_map(named).collect::<Vec<_>>().join(" ")
    };
    format!("── {} of {id}: {}", event["RequestType"], asked(&event["ResourceProperties"]))
}

/// Whether a rule of ours refused what was asked for.
fn is_by_rule(reason: &str) -> bool {
    REFUSED_BY_RULE.iter().any(|rule| reason.contains(rule))
}
