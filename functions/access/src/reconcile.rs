//! Look, decide, apply, until nothing is left to do or something stands in the way.
//!
//! Nothing is decided here but whether another round is worth it: when somebody else, or an earlier try of ours,
//! changed what was looked at.

mod cors;
mod verify;

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{join_all, ready, try_join};
use serde_json::Value;

use crate::activity::Activities;
use crate::budget::Budget;
use crate::checks::{Finding, preflight, told};
use crate::document::same_meaning;
use crate::names::AccountId;
use crate::observe::{Observer, Remnant, Site};
use crate::owner::Owner;
use crate::plan::Plan;
use crate::port::{Account, Change, Clock, Failure, FailureKind, Receipt};
use crate::refusal::Refusal;
use crate::request::Checks;
use crate::retry::{Attempt, may_come_into_force, persist};
use crate::wanted::{Absent, Present};
use verify::verify;

/// Most rounds of looking and applying. Two of us at once converge in three; a removal that is denied, because the provider
/// role is not in force or because it is done, is looked at again every 15 seconds.
const MOST_ROUNDS: u32 = 8;
/// How long IAM may take to show what was done, as far as we wait for it. IAM promises no bound; what is known of it is
/// seconds. When IAM says that something is there and does not show it, the second and third wait are longer.
const UNTIL_SHOWN: Duration = Duration::from_secs(5);
/// Rounds spent on finding what IAM says is there but does not show yet.
const ROUNDS_FOR_THE_SAME_FAILURE: u32 = 3;

/// How long nothing must have shown of a Create that CloudFormation gave up before it answered. It may run still: a
/// function that waits for its role to be in force does so for 100 seconds, and then it has some calls to make.
const UNTIL_QUIET: Duration = Duration::from_secs(115);
/// Time between two looks for it.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);
/// What has to be left for one of them.
const FOR_ONE_LOOK: Duration = Duration::from_secs(20);
/// What has to be left for taking CORS rules out.
const FOR_CORS_RULES: Duration = Duration::from_secs(20);

/// What an event has to do with.
pub struct Setting<'a, I, C> {
    /// The account.
    pub iam: &'a I,
    /// The time there is.
    pub clock: &'a C,
    /// Where to say what is being waited for.
    pub activities: &'a Activities,
}

/// How it ended well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// The unique ID of the role that is there now.
    pub role_id: Option<String>,
    /// What was done, in order.
    pub applied: Vec<String>,
    /// What was seen and left alone.
    pub notes: Vec<String>,
    /// What an administrator should know about the volume.
    pub findings: Vec<Finding>,
}

/// What is there of what a request wants, and what is to be said of its buckets.
struct Looked {
    site: Site,
    findings: Vec<Finding>,
    /// What the policy said before; looked at only if something was found.
    older: Vec<Value>,
}

/// Makes a request true.
pub async fn establish<I: Account, C: Clock>(setting: &Setting<'_, I, C>, present: &Present) -> Result<Done, Refusal> {
    let blueprint = &present.blueprint;
    let owner = &blueprint.owner;
    let observer = setting.observer(owner);
    let checks = blueprint.request.checks;
    let asks_anew = (blueprint.request.configure_cors && !present.knows_cors())
        || blueprint.request.volumes.iter().any(|volume| !present.knows_bucket(volume));
    let budget =
        if asks_anew { Budget::of_new_buckets(setting.clock) } else { Budget::of_known_buckets(setting.clock) };
    // Something done since the last answer, by another try or by an update that is being taken back, may not show yet.
    let expected = present.before.as_ref().map(|before| Plan::for_present(present, &Site::expected(before, present)));
    let is_doubtful = |looked: &Looked, plan: &Plan| {
        let misses_the_former = present.from.is_some() && looked.site.from.is_none();
        misses_the_former || expected.as_ref().is_some_and(|it| it.as_ref().map_or(true, |it| plan.lacks(it)))
    };
    // Looked at once, side by side with the first look at IAM.
    let facts = async {
        match checks {
            Checks::Off => Vec::new(),
            Checks::Enforce | Checks::Report => budget.spend(|share| observer.facts(present, share)).await,
        }
    };
    let facts = facts.shared();
    let look = || async {
        let begun = setting.clock.elapsed();
        let (mut site, facts) = try_join(observer.site(present), facts.clone().map(Ok)).await?;
        // S3 may have taken its time: nothing is decided on a picture that is old by then.
        if setting.clock.elapsed().saturating_sub(begun) > UNTIL_SHOWN {
            site = observer.site(present).await?;
        }
        let findings = preflight::judge(blueprint, &facts);
        let older = older(&observer, &site, &findings).await;
        Ok(Looked { site, findings, older })
    };
    let decide = |looked: &Looked| {
        let plan = Plan::for_present(present, &looked.site)?;
        if is_enforced(present, &plan, &looked.older) {
            refuse(&looked.findings)?;
        }
        Ok(plan)
    };
    let role_id = |looked: &Looked| looked.site.role.as_ref().map(|role| role.id.clone());
    // Before the role, since the last step on that says which one is in use from then on.
    let cors = OnceLock::new();
    let prepare = || async {
        let _ = cors.set(cors::establish(setting, present, &budget).await?);
        Ok(())
    };
    let (mut done, looked, plan) = rounds(setting, owner, look, decide, is_doubtful, role_id, prepare).await?;
    let (set, unset) = cors.into_inner().unwrap_or_default();
    done.applied.extend(set);

    let forbidden = match checks {
        Checks::Off => Vec::new(),
        Checks::Enforce | Checks::Report => verify(setting, blueprint, present.is_new || !plan.is_empty()).await,
    };
    if is_enforced(present, &plan, &older(&observer, &looked.site, &forbidden).await) {
        refuse(&forbidden)?;
    }
    done.findings = [looked.findings, forbidden, unset].concat();
    if !done.notes.is_empty() {
        // A Delete that comes at once has to see who remembers what is left of older roles.
        setting.clock.sleep(UNTIL_SHOWN.min(setting.clock.remaining())).await;
    }
    Ok(done)
}

/// What the policy said before, if it matters.
async fn older<I: Account, C: Clock>(observer: &Observer<'_, I, C>, site: &Site, findings: &[Finding]) -> Vec<Value> {
    if findings.iter().any(Finding::is_failure) { observer.older_documents(site).await } else { Vec::new() }
}

/// Whether what was found makes the event fail: only where it opens something that was not open before. What goes back
/// to how it was, as a rollback does, must not fail for what is no better and no worse than before.
fn is_enforced(present: &Present, plan: &Plan, older: &[Value]) -> bool {
    let is_older = |document: &str| {
        let document: Value = serde_json::from_str(document).unwrap_or_default();
        older.iter().any(|older| same_meaning(older, &document))
    };
    let opens = |change: &Change| match change {
        Change::CreateRole(_) => present.from.is_some(),
        Change::CreatePolicyVersion { document, .. } => !is_older(document),
        _ => false,
    };
    present.blueprint.request.checks == Checks::Enforce && (present.is_new || plan.changes().any(opens))
}

fn refuse(findings: &[Finding]) -> Result<(), Refusal> {
    let failures: Vec<_> = findings.iter().filter(|finding| finding.is_failure()).cloned().collect();
    if failures.is_empty() { Ok(()) } else { Err(Refusal::Unusable { found: told(&failures) }) }
}

/// Makes a role and its policy go and, where a Create may still be at work on them, stay away.
pub async fn remove<I: Account, C: Clock>(setting: &Setting<'_, I, C>, absent: &Absent) -> Result<Done, Refusal> {
    let mut done = remove_now(setting, absent).await?;
    let mut quiet = Duration::ZERO;
    let reserve = if absent.cors_buckets.is_empty() { FOR_ONE_LOOK } else { FOR_ONE_LOOK + FOR_CORS_RULES };
    while absent.is_abandoned() && quiet < UNTIL_QUIET && setting.clock.remaining() > reserve {
        let before = setting.clock.remaining();
        setting.clock.sleep(BETWEEN_LOOKS).await;
        let more = remove_now(setting, absent).await?;
        quiet = if more.applied.is_empty() { quiet + (before - setting.clock.remaining()) } else { Duration::ZERO };
        done.applied.extend(more.applied);
    }
    // Whoever sets a rule makes a role after it: by now it shows.
    let budget = Budget::of_the_rest(setting.clock);
    let (taken_out, left) = cors::remove(setting, absent, &budget).await?;
    done.applied.extend(taken_out);
    done.findings.extend(left);
    Ok(done)
}

async fn remove_now<I: Account, C: Clock>(setting: &Setting<'_, I, C>, absent: &Absent) -> Result<Done, Refusal> {
    let observer = setting.observer(&absent.owner);
    // What a Create made a moment ago may not show yet, and a Delete that misses it is the last one. And what an update
    // that was taken back says of an older role, or of the role that a policy serves, decides what is removed.
    let is_doubtful = |remnants: &Vec<Remnant>, _: &Plan| match remnants.split_last() {
        Some((last, older)) => {
            let misses = last.role.is_none() || last.lacks_policy(&absent.owner);
            misses || last.shares_policy() || older.iter().any(|remnant| !remnant.is_nothing(&absent.owner))
        }
        None => false,
    };
    let decide = |remnants: &Vec<Remnant>| Plan::for_absent(absent, remnants);
    let look = || observer.remnants(absent);
    let (done, ..) = rounds(setting, &absent.owner, look, decide, is_doubtful, |_| None, || ready(Ok(()))).await?;
    Ok(done)
}

/// Looks, decides and applies until nothing is left to do; what the first decision was about, and the decision. What has
/// to be prepared is, between the first decision and the first change.
async fn rounds<I: Account, C: Clock, S: Send, F, P>(
    setting: &Setting<'_, I, C>,
    owner: &Owner,
    look: impl Fn() -> F,
    decide: impl Fn(&S) -> Result<Plan, Refusal>,
    is_doubtful: impl Fn(&S, &Plan) -> bool,
    role_id: impl Fn(&S) -> Option<String>,
    prepare: impl Fn() -> P,
) -> Result<(Done, S, Plan), Refusal>
where
    F: Future<Output = Result<S, Refusal>> + Send,
    P: Future<Output = Result<(), Refusal>> + Send,
{
    let mut done = Done::default();
    let mut first: Option<(S, Plan)> = None;
    let mut last: Option<(Change, Failure)> = None;
    let mut same = 0;
    let mut round = 0;
    loop {
        let observed = if round == 0 {
            let (caller, observed) =
                try_join(setting.observer(owner).caller(), look_again(setting.clock, &look)).await?;
            check_account(caller, owner)?;
            observed
        } else {
            look_again(setting.clock, &look).await?
        };
        let plan = decide(&observed)?;
        if round == 0 && is_doubtful(&observed, &plan) {
            setting.clock.sleep(UNTIL_SHOWN.min(setting.clock.remaining())).await;
            round += 1;
            continue;
        }
        done.role_id = role_id(&observed).or(done.role_id);
        done.notes.clone_from(&plan.notes);
        if let Some((change, failure)) = last.take() {
            let is_still_due = plan.changes().any(|due| *due == change);
            let is_in_force = !may_come_into_force(setting.clock.elapsed());
            let is_enough = match failure.kind {
                FailureKind::Denied => !change.is_removal() || is_in_force,
                kind => same >= ROUNDS_FOR_THE_SAME_FAILURE || is_hopeless(&change, kind),
            };
            if is_still_due && (round >= MOST_ROUNDS || is_enough) {
                return Err(Refusal::while_changing(&change, failure));
            }
        }
        if first.is_none() {
            prepare().await?;
        }
        let result = apply(setting, &plan, &mut done).await;
        let (observed, plan) = first.take().unwrap_or((observed, plan));
        match result {
            Ok(()) => return Ok((done, observed, plan)),
            Err((change, failure)) if is_final(failure.kind) || round >= MOST_ROUNDS => {
                return Err(Refusal::while_changing(&change, failure));
            }
            Err((change, failure)) => {
                same += 1;
                if matches!(
                    failure.kind,
                    FailureKind::AlreadyExists | FailureKind::LimitExceeded | FailureKind::DeleteConflict
                ) {
                    // What IAM has but does not show yet needs a moment, and then a longer one.
                    setting.clock.sleep((UNTIL_SHOWN * same).min(setting.clock.remaining())).await;
                }
                last = Some((change, failure));
            }
        }
        first = Some((observed, plan));
        round += 1;
    }
}

/// Looks; again when something vanished between finding it and looking into it. Under a tag condition IAM calls what
/// vanished denied.
async fn look_again<C: Clock, S, F>(clock: &C, look: impl Fn() -> F) -> Result<S, Refusal>
where
    F: Future<Output = Result<S, Refusal>>,
{
    let mut is_first = true;
    loop {
        match look().await {
            Err(Refusal::Aws { failure, .. })
                if (is_first && failure.kind == FailureKind::NotFound)
                    || (failure.kind == FailureKind::Denied && (is_first || may_come_into_force(clock.elapsed()))) => {}
            result => return result,
        }
        is_first = false;
    }
}

/// Whether looking again cannot help.
fn is_final(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::MalformedDocument | FailureKind::Other)
}

/// Whether trying the same again cannot help, once another look shows that it is still to be done.
fn is_hopeless(change: &Change, kind: FailureKind) -> bool {
    match kind {
        FailureKind::AlreadyExists | FailureKind::NotFound | FailureKind::DeleteConflict => false,
        // A version that another try made a moment ago did not show, so that none was removed before.
        FailureKind::LimitExceeded => !matches!(change, Change::CreatePolicyVersion { .. }),
        _ => true,
    }
}

fn check_account(caller: AccountId, owner: &Owner) -> Result<(), Refusal> {
    let stack = owner.stack.account.clone();
    if caller == stack { Ok(()) } else { Err(Refusal::WrongAccount { caller, stack }) }
}

/// Applies a plan; the changes of a stage go at once, and all of them end before the first failure is reported.
async fn apply<I: Account, C: Clock>(
    setting: &Setting<'_, I, C>,
    plan: &Plan,
    done: &mut Done,
) -> Result<(), (Change, Failure)> {
    for changes in &plan.stages {
        let attempt = |change: &Change| if change.is_removal() { Attempt::Removal } else { Attempt::Change };
        let results = join_all(changes.iter().map(|change| setting.apply(change, attempt(change)))).await;
        let mut failed = None;
        for (change, result) in changes.iter().zip(results) {
            match result {
                Ok(receipt) => {
                    done.applied.push(change.to_string());
                    done.role_id = receipt.role_id.or(done.role_id.take());
                }
                Err(failure) => failed = failed.or(Some((change.clone(), failure))),
            }
        }
        if let Some(failed) = failed {
            return Err(failed);
        }
    }
    for changes in &plan.clean_up {
        let results = join_all(changes.iter().map(|change| setting.apply(change, Attempt::CleanUp))).await;
        for (change, result) in changes.iter().zip(&results) {
            match result {
                Ok(_) => done.applied.push(change.to_string()),
                Err(failure) => done.notes.push(format!("{change} is left for the next time: {failure}")),
            }
        }
        if results.iter().any(Result::is_err) {
            break;
        }
    }
    Ok(())
}

impl<'a, I: Account, C: Clock> Setting<'a, I, C> {
    fn observer<'o>(&'o self, owner: &'o Owner) -> Observer<'o, I, C> {
        Observer { iam: self.iam, clock: self.clock, activities: self.activities, owner }
    }

    async fn apply(&self, change: &Change, attempt: Attempt) -> Result<Receipt, Failure> {
        let result = persist(self.clock, self.activities, attempt, change, || self.iam.apply(change)).await;
        match result {
            Err(failure) if change.is_removal() && failure.kind == FailureKind::NotFound => Ok(Receipt::default()),
            result => result,
        }
    }
}
