//! CORS rules of buckets: read, merge, write, and read back.
//!
//! # Flow
//!
//! S3 replaces a bucket's whole CORS configuration and has no compare-and-swap. So the function reads the rules, merges
//! its own ([`merged`]), writes all of them and reads them back. If somebody else wrote meanwhile, it merges again.
//!
//! # Guarantees
//!
//! - Rules of others stay as they are. The rule's ID names stack and role, so that each role removes only its own.
//! - The rule stands before any rule that would answer its requests.
//! - The rule is set before the role says that it is in use.
//!
//! # Assumptions
//!
//! - S3 shows a new configuration within [`UNTIL_SHOWN`].
//!
//! # Errors
//!
//! A rule gives nobody a right. So a failure is a finding, except on an enforced Create and on a Delete, where nothing
//! is lost by trying again ([`FailureConsequence`]). If a Delete may no longer read the bucket, the rule stays, and the
//! log says so.

use futures_util::future::join_all;

use super::Context;
use crate::checks::Finding;
use crate::cors::{merged, rule, rule_id};
use crate::desired::{Deletion, Desired};
use crate::owner::Owner;
use crate::port::{Account, Bucket, Change, Clock, CorsRule, Failure, FailureKind, Look, ReadAccount};
use crate::refusal::Refusal;
use crate::request::Checks;
use crate::retry::Attempt;
use crate::s3_time::{S3Share, S3Time, within};
use crate::volume::BucketName;
use crate::waits::{MOST_CORS_WRITES, UNTIL_SHOWN};

/// Desired state of the stack's rule in one bucket.
struct DesiredRules {
    bucket: BucketName,
    /// Rule of this stack; `None` to remove it.
    wanted: Option<CorsRule>,
    /// IDs of this stack's rules; that of the event's role is last.
    ours: Vec<String>,
    /// True if the old properties request the same rule.
    is_as_before: bool,
    consequence: FailureConsequence,
}

/// Consequence of a failure to set or remove a rule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FailureConsequence {
    /// The event fails: nothing is created yet.
    Creation,
    /// The failure is a finding: a rollback must not fail here.
    Update,
    /// The event fails, to be tried again, unless the function may no longer read the bucket.
    Deletion,
}

/// Reason why a rule is not as desired.
enum CorsFailure {
    /// The function may not read the bucket, now or later.
    Hidden(Refusal),
    /// Any other reason.
    Passing(Refusal),
}

/// Sets the requested rules and removes old ones; returns the changes, and findings about those that failed.
pub(super) async fn ensure<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    desired: &Desired,
    s3_time: &S3Time<'_, C>,
) -> Result<(Vec<String>, Vec<Finding>), Refusal> {
    set_all(context, &desired.blueprint.owner, desired_rules(desired), s3_time).await
}

/// Returns the changes that [`ensure`] would make, and findings about buckets that cannot be read. Reads each bucket
/// once.
pub(super) async fn preview<I: ReadAccount, C: Clock>(
    context: &Context<'_, I, C>,
    desired: &Desired,
    s3_time: &S3Time<'_, C>,
) -> (Vec<Change>, Vec<Finding>) {
    let owner = &desired.blueprint.owner;
    let desired_rules = desired_rules(desired);
    let observed = |share: S3Share| {
        join_all(desired_rules.iter().map(move |desired| observe(context, owner, desired, share.known())))
    };
    let (mut changes, mut findings) = (Vec::new(), Vec::new());
    for (desired, result) in desired_rules.iter().zip(s3_time.spend(observed).await) {
        let bucket = desired.bucket.clone();
        match result.map(|observed| (merged(&observed.rules, desired.wanted.as_ref(), &desired.ours), observed)) {
            Ok((Ok(rules), observed)) if rules != observed.rules => {
                changes.push(Change::PutCors { bucket: Box::new(observed.bucket), rules });
            }
            Ok((Ok(_), _)) => {}
            Ok((Err(_), _)) => findings.push(Finding::reported(Refusal::CorsIsFull { bucket }.to_string())),
            // With a bucket goes its configuration; that it should be there, the preflight says.
            Err((_, failure)) if failure.kind == FailureKind::NotFound => {}
            Err((look, failure)) => {
                findings.push(Finding::reported(Refusal::while_looking(&look, failure).to_string()));
            }
        }
    }
    (changes, findings)
}

/// Bucket and its rules.
struct ObservedRules {
    bucket: Bucket,
    rules: Vec<CorsRule>,
}

async fn observe<I: ReadAccount, C: Clock>(
    context: &Context<'_, I, C>,
    owner: &Owner,
    desired: &DesiredRules,
    attempt: Attempt,
) -> Result<ObservedRules, (Look, Failure)> {
    let (observer, account) = (context.observer(owner), owner.stack.account.clone());
    let bucket = observer.bucket(&desired.bucket, account.clone(), attempt).await;
    let bucket = bucket.map_err(|failure| (Look::BucketRegion(desired.bucket.clone(), account), failure))?;
    let rules = observer.cors(&bucket, attempt).await;
    let rules = rules.map_err(|failure| (Look::Cors(bucket.clone()), failure))?;
    Ok(ObservedRules { bucket, rules })
}

/// Returns the desired rules of all buckets of the new and old properties.
fn desired_rules(desired: &Desired) -> Vec<DesiredRules> {
    let blueprint = &desired.blueprint;
    let (stack, role) = (&blueprint.owner.stack, &blueprint.role.name);
    let earlier = desired.old_properties.role_name.iter().chain(desired.replaced_role.as_ref().map(|from| &from.name));
    let is_same_role = earlier.clone().all(|earlier| earlier == role);
    let ours: Vec<_> = earlier.chain([role]).map(|role| rule_id(stack, role)).collect();

    let volumes = blueprint.request.volumes.iter().filter(|_| blueprint.request.configure_cors);
    let wanted: Vec<_> = volumes.map(|volume| &volume.bucket).collect();
    let old_properties = &desired.old_properties.cors_buckets;
    let mut buckets: Vec<_> = wanted.iter().copied().chain(old_properties).collect();
    buckets.sort_unstable();
    buckets.dedup();
    let desired = |bucket: &BucketName| DesiredRules {
        bucket: bucket.clone(),
        wanted: wanted.contains(&bucket).then(|| rule(stack, role, &blueprint.request.cors_origin)),
        ours: ours.clone(),
        is_as_before: is_same_role && wanted.contains(&bucket) && old_properties.contains(bucket),
        consequence: match blueprint.request.checks {
            Checks::Enforce if desired.is_new => FailureConsequence::Creation,
            _ => FailureConsequence::Update,
        },
    };
    buckets.into_iter().map(desired).collect()
}

/// Takes the rules of a role out; what was done, and what could not be.
pub(super) async fn delete<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    deletion: &Deletion,
    s3_time: &S3Time<'_, C>,
) -> Result<(Vec<String>, Vec<Finding>), Refusal> {
    let Some(role_to_delete) = &deletion.role else { return Ok(Default::default()) };
    let roles = role_to_delete.other_role.iter().map(|other| &other.role).chain([&role_to_delete.name]);
    let ours: Vec<_> = roles.map(|role| rule_id(&deletion.owner.stack, role)).collect();
    let desired = |bucket: &BucketName| DesiredRules {
        bucket: bucket.clone(),
        wanted: None,
        ours: ours.clone(),
        is_as_before: false,
        consequence: FailureConsequence::Deletion,
    };
    set_all(context, &deletion.owner, deletion.cors_buckets.iter().map(desired).collect(), s3_time).await
}

async fn set_all<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    owner: &Owner,
    desired_rules: Vec<DesiredRules>,
    s3_time: &S3Time<'_, C>,
) -> Result<(Vec<String>, Vec<Finding>), Refusal> {
    let (mut applied, mut findings) = (Vec::new(), Vec::new());
    let settled = |share: S3Share| {
        join_all(desired_rules.iter().map(move |desired| async move {
            let attempt = match desired.consequence {
                FailureConsequence::Creation => share.decisive(),
                // A rule that goes was set with the provider role of then, and may be out of reach by now.
                FailureConsequence::Update if desired.wanted.is_some() && !desired.is_as_before => share.unknown(),
                FailureConsequence::Deletion => share.unknown(),
                FailureConsequence::Update => share.known(),
            };
            let (bucket, limit) = (desired.bucket.clone(), share.limit);
            let late = || Err(CorsFailure::Passing(Refusal::CorsTookTooLong { bucket, limit }));
            within(context.clock, share.limit, set(context, owner, desired, attempt)).await.unwrap_or_else(late)
        }))
    };
    for (desired, result) in desired_rules.iter().zip(s3_time.spend(settled).await) {
        let (id, bucket) = (desired.ours.last().cloned().unwrap_or_default(), desired.bucket.clone());
        match (result, desired.consequence) {
            (Ok(done), _) => applied.extend(done),
            (Err(CorsFailure::Hidden(cause) | CorsFailure::Passing(cause)), FailureConsequence::Creation) => {
                return Err(cause);
            }
            (Err(CorsFailure::Passing(cause)), FailureConsequence::Deletion) => {
                return Err(Refusal::CorsRuleStays {
                    cause: Box::new(cause),
                    id,
                    bucket,
                    resource: owner.resource.clone(),
                });
            }
            (
                Err(CorsFailure::Hidden(cause) | CorsFailure::Passing(cause)),
                FailureConsequence::Deletion | FailureConsequence::Update,
            ) => {
                let should = if desired.wanted.is_some() { "be there" } else { "be gone" };
                findings.push(Finding::reported(format!(
                    "{cause} Look after the CORS rule {id} of bucket {bucket} by hand: it should {should}. `aws s3api \
                     get-bucket-cors --bucket {bucket}` shows all rules, `aws s3api put-bucket-cors` replaces all of them."
                )));
            }
        }
    }
    Ok((applied, findings))
}

/// Brings one bucket's rules to what is wished.
async fn set<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    owner: &Owner,
    desired: &DesiredRules,
    attempt: Attempt,
) -> Result<Option<String>, CorsFailure> {
    let observer = context.observer(owner);
    let name = &desired.bucket;
    let looking = |look: Look| {
        move |failure: Failure| match failure.kind {
            FailureKind::Denied => CorsFailure::Hidden(Refusal::while_looking(&look, failure)),
            _ => CorsFailure::Passing(Refusal::while_looking(&look, failure)),
        }
    };
    let bucket = match observer.bucket(name, owner.stack.account.clone(), attempt).await {
        // With a bucket goes its configuration; that it should be there, the preflight says.
        Err(failure) if failure.kind == FailureKind::NotFound => return Ok(None),
        bucket => bucket.map_err(looking(Look::BucketRegion(name.clone(), owner.stack.account.clone())))?,
    };
    let mut applied = None;
    let mut is_doubtful = !desired.is_as_before;
    let mut written: Option<Vec<CorsRule>> = None;
    for _ in 0..2 * MOST_CORS_WRITES {
        let there = match observer.cors(&bucket, attempt).await {
            Err(failure) if failure.kind == FailureKind::NotFound => return Ok(applied),
            there => there.map_err(looking(Look::Cors(bucket.clone())))?,
        };
        let rules = merged(&there, desired.wanted.as_ref(), &desired.ours)
            .map_err(|_| CorsFailure::Passing(Refusal::CorsIsFull { bucket: name.clone() }))?;
        if rules == there {
            // What an earlier try or the update that is taken back did may not show yet.
            if written.is_some() || !is_doubtful {
                return Ok(applied);
            }
            is_doubtful = false;
            context.pause(UNTIL_SHOWN).await;
            continue;
        }
        is_doubtful = false;
        if written.as_ref() == Some(&there) {
            // Exactly what was there before: what was written does not show yet, as far as one can tell.
            written = None;
            context.pause(UNTIL_SHOWN).await;
            continue;
        }
        let change = Change::PutCors { bucket: Box::new(bucket.clone()), rules };
        match context.apply(&change, attempt).await {
            Ok(_) => applied = Some(change.to_string()),
            Err(failure) => return Err(CorsFailure::Passing(Refusal::while_changing(&change, failure))),
        }
        written = Some(there);
    }
    Err(CorsFailure::Passing(Refusal::CorsIsContested { bucket: bucket.name }))
}
