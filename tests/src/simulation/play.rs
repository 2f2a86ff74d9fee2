//! Plays a history: carries CloudFormation's steps out, runs the function as Lambda does, and ends every stack.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use cavatica_access::blueprint::Blueprint;
use cavatica_access::names::{PolicyArn, RoleArn, RoleName};
use cavatica_access::owner::{self, Lineage, Owner, Tags};
use cavatica_access::port::{Action, Carrier, Change, CorsRule};
use cavatica_access::request::{Former, Request};
use cavatica_access::volume::BucketName;
use cavatica_connect::template::{Config, provided};
use cavatica_memory::{HeldBucket, MemoryAccount, foreign_cors_rule, foreign_policy, foreign_role, wide_boundary};
use cavatica_provider::provider::Provider;
use cavatica_provider::task::Pins;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::authority::{Authority, Record};
use super::history::{Act, Hand, History, Parameters, Trouble};
use super::watch::{Expected, Watch};
use super::world::{Account, Desk, World};
use super::{BUCKETS, ORGANISATIONS_BOUNDARY, OWN_BOUNDARY};
use crate::cloudformation::{self, Asked, Operation, Stack, Status, Step};
use crate::evaluation::{self, Evaluation};
use crate::{Error, events};

/// How long Lambda lets the function run, as the template says.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(180);
/// How long CloudFormation waits for an answer, as the template says.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(720);
/// How long Lambda waits before it runs an event again. Source: "How Lambda handles errors and retries with asynchronous
/// invocation".
const LAMBDA_WAITS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// Nothing is sent there.
const URL: &str = "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/answer";
/// What a refusal says that no rollback could take back; an administrator may ask for it all the same.
const REFUSED_BY_RULE: [&str; 4] = [
    "may change only together with RoleName",
    "IAM ignores letter case",
    "names are unique across paths",
    "this function was deployed to trust",
];

/// The role of a platform beside Cavatica.
const SIBLING: &str = "arn:aws:iam::999999999999:role/sibling";
/// What stands among the parameters for a template that is made for that platform.
pub const TRUSTS_SIBLING: &str = "(trusted principal)";

/// What has to be allowed for a CORS rule to be seen.
const LOOKS_AT_BUCKETS: [Action; 2] = [Action::GetBucketLocation, Action::GetBucketCORS];

/// What a stack's other resources are.
#[derive(Debug)]
pub struct Deployment {
    authority: Arc<Authority>,
    pins: Pins,
    blueprint: Arc<Blueprint>,
}

/// The template, evaluated for whatever parameters are asked for.
#[derive(Debug)]
pub struct Published {
    template: Evaluation,
    /// The same made for a platform beside Cavatica.
    sibling: Evaluation,
    known: Mutex<HashMap<Parameters, Arc<Asked<Deployment>>>>,
    record: Option<Record>,
}

impl Published {
    /// The template of a release.
    #[must_use]
    pub fn new() -> Self {
        let of = |trusted_principal| {
            let config = Config { trusted_principal, ..evaluation::published() };
            Evaluation::of(&provided::template(&config), &[("BucketName", "my-bucket")])
        };
        Self { template: of(None), sibling: of(SIBLING.parse().ok()), known: Mutex::default(), record: None }
    }

    /// The same, with every question that is asked of the provider role written down.
    #[must_use]
    pub fn recorded(record: &Record) -> Self {
        Self { record: Some(Arc::clone(record)), ..Self::new() }
    }

    fn asked(&self, parameters: &Parameters) -> Result<Arc<Asked<Deployment>>, Error> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(parameters).cloned();
        if let Some(asked) = known {
            return Ok(asked);
        }
        let template = if parameters.contains_key(TRUSTS_SIBLING) { &self.sibling } else { &self.template };
        let given = parameters.iter().filter(|(name, _)| **name != TRUSTS_SIBLING);
        let evaluation = template.with(given.map(|(name, value)| (*name, *value)));
        let properties = evaluation.custom_resource()?;
        let environment = evaluation.property("ProviderFunction", "/Environment/Variables")?;
        let pin = |name: &str| environment[name].as_str().unwrap_or_default().to_owned();
        let document = evaluation.property("ProviderRole", "/Policies/0/PolicyDocument")?;
        let authority = Authority::read(&document)?;
        let authority = match &self.record {
            Some(record) => authority.recorded(document, record),
            None => authority,
        };
        let deployment = Deployment {
            authority: Arc::new(authority),
            pins: Pins {
                stack: pin("CAVATICA_STACK_ID").parse()?,
                principal: pin("CAVATICA_TRUSTED_PRINCIPAL_ARN").parse()?,
            },
            blueprint: Arc::new(Blueprint::draw(Request::parse(&properties)?, owner()?)?),
        };
        let asked = Arc::new(Asked { properties, deployment });
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(parameters.clone(), Arc::clone(&asked));
        Ok(asked)
    }
}

impl Default for Published {
    fn default() -> Self {
        Self::new()
    }
}

fn owner() -> Result<Owner, Error> {
    Ok(Owner { stack: events::STACK.parse()?, resource: "VolumeAccess".to_owned() })
}

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
        let watch = account.read(|state| Ok::<_, Error>(Watch::over(owner()?, state)))?;
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

struct Player<'w> {
    world: &'w World,
    published: &'w Published,
    stack: Stack<Deployment>,
    deployed: Option<Arc<Asked<Deployment>>>,
    /// Whether somebody else did something: what fails then may have to.
    is_touched: bool,
    /// Whether the last update went back to a name that had been in use before.
    returns: bool,
    events: u32,
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
        let former = |asked: &Arc<Asked<Deployment>>| Former::read(&asked.properties);
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

    /// The role that the stack goes on with after an event that is not the last one.
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

    /// Runs the function as Lambda does: again after an error or a death, up to twice, and at times twice at once.
    async fn deliver(&self, event: &Value, trouble: &Trouble) -> Result<(), Error> {
        let text = event.to_string();
        let first = async {
            for attempt in 0..=LAMBDA_WAITS.len() {
                if self.attempt(attempt, &text, trouble).await? {
                    break;
                }
                if let Some(wait) = LAMBDA_WAITS.get(attempt) {
                    sleep(*wait).await;
                }
            }
            Ok::<_, Error>(())
        };
        let second = async {
            if let Some(after) = trouble.duplicate {
                sleep(after).await;
                self.attempt(LAMBDA_WAITS.len() + 1, &text, trouble).await?;
            }
            Ok::<_, Error>(())
        };
        let (first, second) = tokio::join!(first, second);
        first.and(second)
    }

    /// One run of the function; whether it ended well.
    async fn attempt(&self, attempt: usize, event: &str, trouble: &Trouble) -> Result<bool, Error> {
        let world = self.world;
        let number = u32::try_from(attempt)?;
        let id = serde_json::from_str::<Value>(event)?["RequestId"].take();
        let pins = self.deployed.as_ref().map(|asked| asked.deployment.pins.clone()).ok_or("nothing is deployed")?;
        let provider =
            Provider { iam: Account(world), post: Desk { world, attempt: number }, pins: Ok(pins), is_local: false };
        let polls = trouble.kills.get(attempt).copied().unwrap_or(u32::MAX);
        let served = killed_after(polls, provider.serve(event, FUNCTION_TIMEOUT));
        match timeout(FUNCTION_TIMEOUT, served).await {
            Err(_elapsed) => {
                world.watch(|watch| watch.violation("(a) no end before Lambda's time-out".to_owned()));
                Ok(false)
            }
            Ok(None) => {
                world.tell(|| format!("attempt {number} is killed"));
                Ok(false)
            }
            Ok(Some(Err(error))) => {
                world.tell(|| format!("attempt {number} ends with: {error}"));
                if trouble.posts.is_empty() {
                    world.watch(|watch| watch.violation(format!("(a) undelivered without need: {error}")));
                }
                Ok(false)
            }
            Ok(Some(Ok(()))) => {
                let is_own = |body: &str| serde_json::from_str::<Value>(body).is_ok_and(|body| body["RequestId"] == id);
                let own = world.answers().iter().filter(|(by, body)| *by == number && is_own(body)).count();
                let most = if trouble.posts.is_empty() { 1 } else { 1 + trouble.posts.len() };
                if own == 0 || own > most {
                    world.watch(|watch| watch.violation(format!("(a) {own} answers of one attempt")));
                }
                Ok(true)
            }
        }
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
                Some(reason) if reason.contains("aws iam tag-role") => self.tag_again()?,
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

    /// Does what the Reason says: tags the role again.
    fn tag_again(&mut self) -> Result<(), Error> {
        let arn: RoleArn = self.stack.physical_id().parse()?;
        self.by_hand(&Change::TagRole { role: arn.name, tags: owner()?.tags() })
    }

    /// Does what the Reason says: tags the policy again.
    fn tag_policy_again(&mut self, reason: &str) -> Result<(), Error> {
        let arn: PolicyArn = option(reason, "--policy-arn").unwrap_or_default().parse()?;
        let tag = |pair: &str| {
            let (key, value) = pair.strip_prefix("Key=")?.split_once(",Value=")?;
            Some((key.to_owned(), value.to_owned()))
        };
        self.by_hand(&Change::TagPolicy {
            arn,
            tags: reason.trim_end_matches('.').split(' ').filter_map(tag).collect(),
        })
    }

    /// Does what the Reason says: detaches an older policy from where somebody attached it.
    fn detach_by_hand(&mut self, reason: &str) -> Result<(), Error> {
        let arn: PolicyArn = option(reason, "--policy-arn").unwrap_or_default().parse()?;
        let name = |kind| option(reason, kind).map(str::to_owned);
        let role = name("--role-name").map(Carrier::Role);
        let other = role.or(name("--user-name").map(Carrier::User)).or(name("--group-name").map(Carrier::Group));
        self.by_hand(&Change::Detach { from: other.ok_or("nobody to detach from")?, arn })
    }

    /// Does what the Reason says: attaches an older policy again.
    fn attach_by_hand(&mut self, reason: &str) -> Result<(), Error> {
        let arn: PolicyArn = option(reason, "--policy-arn").unwrap_or_default().parse()?;
        self.by_hand(&Change::Attach { role: option(reason, "--role-name").unwrap_or_default().parse()?, arn })
    }

    /// Does what the Reasons say: takes our role out of the profile and our policy off as boundary.
    fn clear_obstacles(&mut self) -> Result<(), Error> {
        let world = self.world;
        let profiles: Vec<_> = world.account.read(|state| {
            state.instance_profiles().map(|(profile, role)| (profile.to_owned(), role.to_owned())).collect()
        });
        for (profile, role) in profiles {
            world.account.set_instance_profile_by_hand(&profile, &role.parse()?, false);
        }
        if world.account.read(|state| state.role_named("capped").is_some()) {
            self.by_hand(&Change::DeleteRole { role: "capped".parse()? })?;
        }
        self.look_again();
        Ok(())
    }

    /// Makes a change that nobody of us makes, if it can be made.
    fn by_hand(&mut self, change: &Change) -> Result<(), Error> {
        let result = self.world.account.by_hand(change);
        self.world.tell(|| {
            format!("by hand: {change} -> {}", result.map_or_else(|failure| failure.code, |_| "done".to_owned()))
        });
        self.look_again();
        Ok(())
    }

    fn look_again(&self) {
        let world = self.world;
        world.account.read(|state| world.watch(|watch| watch.foreign_hand(state)));
    }

    /// The role that the stack has now, and its policy.
    fn ours(&self) -> Option<(RoleName, PolicyArn)> {
        let arn: RoleArn = self.stack.physical_id().parse().ok()?;
        self.world.account.read(|state| {
            let role = state.role_named(arn.name.as_str()).filter(|role| role.arn == arn)?;
            let policy = role.arn.beside(&owner::tagged_policy(&role.tags)?);
            state.document(&policy).map(|_| (role.arn.name.clone(), policy.clone()))
        })
    }

    fn has_leftovers(&self) -> Result<bool, Error> {
        let owner = owner()?;
        Ok(self.world.account.read(|state| {
            state.roles().filter(|role| owner.owns(&role.tags)).count() > 1
                || state.policies().filter(|(_, tags, _)| owner.owns(tags)).count() > 1
        }))
    }

    async fn hand(&mut self, hand: Hand) -> Result<(), Error> {
        let world = self.world;
        // What was done before shows by now, and what is done here will when the next event comes.
        sleep(Duration::from_secs(60)).await;
        world.settle();
        world.tell(|| format!("── somebody else: {hand:?}"));
        let changes = match (hand, self.ours()) {
            (Hand::MakesRole(name), _) => {
                vec![foreign_role(format!("arn:aws:iam::123456789012:role/{name}").parse()?)]
            }
            (Hand::MakesPolicy(name), _) => {
                vec![foreign_policy(format!("arn:aws:iam::123456789012:policy/{name}").parse()?)]
            }
            (Hand::ReplacesCors, _) => {
                for (name, held) in world.account.read(|state| state.buckets().map(owned).collect::<Vec<_>>()) {
                    let cors = vec![foreign_cors_rule("shop"), foreign_cors_rule("portal")];
                    world.account.hold(name, Some(HeldBucket { cors, ..held }));
                }
                Vec::new()
            }
            (Hand::DeletesBucket, _) => {
                world.account.hold(BUCKETS[1].parse()?, None);
                Vec::new()
            }
            (_, None) => Vec::new(),
            // Where a clean-up failed, the role in use is all that still tells of the older one.
            (Hand::UntagsRole | Hand::DeletesRole, Some(_)) if self.is_touched || self.has_leftovers()? => Vec::new(),
            (Hand::Detaches, Some((role, arn))) => vec![detach(&role, arn)],
            (Hand::DeletesPolicy, Some((_, arn))) => self.deletion_of_policy(&arn),
            (Hand::DeletesRole, Some((role, _))) => self.deletion_of_role(&role)?,
            (Hand::UntagsPolicy, Some((_, arn))) => {
                world.account.set_policy_tags_by_hand(&arn, Tags::new());
                Vec::new()
            }
            (Hand::UntagsRole, Some((role, _))) => {
                world.account.set_role_tags_by_hand(&role, Tags::new());
                Vec::new()
            }
            (Hand::AttachesOursToARole, Some((_, arn))) => {
                world.account.attach_by_hand(Carrier::Role("bystander".to_owned()), arn);
                Vec::new()
            }
            (Hand::AttachesOursToPeople, Some((_, arn))) => {
                for carrier in [Carrier::User("u".to_owned()), Carrier::Group("g".to_owned())] {
                    world.account.attach_by_hand(carrier, arn.clone());
                }
                Vec::new()
            }
            (Hand::AttachesAnotherToOurs, Some((role, _))) => {
                vec![Change::Attach { role, arn: "arn:aws:iam::aws:policy/ReadOnlyAccess".parse()? }]
            }
            (Hand::PutsInline, Some((role, _))) => {
                world.account.put_inline_by_hand(&role, "added-by-hand");
                Vec::new()
            }
            (Hand::PutsIntoProfile, Some((role, _))) => {
                world.account.set_instance_profile_by_hand("profile", &role, true);
                Vec::new()
            }
            (Hand::CapsWithOurs, Some((_, arn))) => {
                let Change::CreateRole(mut new) = foreign_role("arn:aws:iam::123456789012:role/capped".parse()?) else {
                    return Ok(());
                };
                new.boundary = Some(arn);
                vec![Change::CreateRole(new)]
            }
        };
        for change in changes {
            self.by_hand(&change)?;
        }
        self.is_touched = true;
        self.look_again();
        sleep(Duration::from_secs(60)).await;
        Ok(())
    }

    fn deletion_of_policy(&self, arn: &PolicyArn) -> Vec<Change> {
        let carriers: Vec<_> = self.world.account.read(|state| {
            state.attachments().filter(|(_, attached)| attached == arn).map(|(carrier, _)| carrier.clone()).collect()
        });
        let mut changes: Vec<_> = carriers.into_iter().map(|from| Change::Detach { from, arn: arn.clone() }).collect();
        let old = |number| Change::DeletePolicyVersion { arn: arn.clone(), version: format!("v{number}") };
        changes.extend((1..20).map(old));
        changes.push(Change::DeletePolicy { arn: arn.clone() });
        changes
    }

    fn deletion_of_role(&self, role: &RoleName) -> Result<Vec<Change>, Error> {
        let mut changes: Vec<_> = self.world.account.read(|state| {
            let is_its = |carrier: &Carrier| *carrier == Carrier::Role(role.to_string());
            let attached = state.attachments().filter(|(carrier, _)| is_its(carrier));
            let inline = state.inline_policies(role.as_str()).into_iter();
            let inline = inline.map(|name| Change::DeleteInlinePolicy { role: role.clone(), name: name.to_owned() });
            attached.map(|(_, arn)| detach(role, arn.clone())).chain(inline).collect()
        });
        self.world.account.set_instance_profile_by_hand("profile", role, false);
        changes.push(Change::DeleteRole { role: role.clone() });
        Ok(changes)
    }
}

/// What a command in a Reason says for an option.
fn option<'r>(reason: &'r str, name: &str) -> Option<&'r str> {
    let mut words = reason.trim_end_matches('.').split(' ');
    words.find(|word| *word == name).and_then(|_| words.next())
}

/// An event in a line.
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

fn owned((name, held): (&BucketName, &HeldBucket)) -> (BucketName, HeldBucket) {
    (name.clone(), held.clone())
}

fn detach(role: &RoleName, arn: PolicyArn) -> Change {
    Change::Detach { from: Carrier::Role(role.to_string()), arn }
}

/// Drops a future after so many polls, as a killed function's is.
async fn killed_after<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polled = 0;
    std::future::poll_fn(|context| {
        if polled >= polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Nobody would poll again before the next event of the future itself; that is when it dies.
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
