//! Buckets' CORS rules as an event wants them: read, merge, write, and read back.

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

/// How a bucket's CORS rules should be.
struct Wish {
    bucket: BucketName,
    /// Our rule, or none of ours.
    wanted: Option<CorsRule>,
    /// The IDs that are ours, that of the role meant last.
    ours: Vec<String>,
    /// True if it was asked for like this before too.
    is_as_before: bool,
    at_stake: AtStake,
}

/// The consequence of a failure. A rule gives nobody a right, so it ends only what can be tried again and loses
/// nothing by that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtStake {
    /// The event fails: nothing was made yet.
    Creation,
    /// It is reported: an update that goes back to what was must not end here.
    Update,
    /// The event fails, to be tried again, unless nobody may look at the bucket any more.
    Deletion,
}

/// A reason why a rule is not as asked.
enum Trouble {
    /// The function may not look at the bucket, so nobody here can ever tell.
    Hidden(Refusal),
    /// Anything else.
    Passing(Refusal),
}

/// Sets the rules that a request wants, and takes out those of the one before; what was done, and what could not be.
pub(super) async fn ensure<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    desired: &Desired,
    s3_time: &S3Time<'_, C>,
) -> Result<(Vec<String>, Vec<Finding>), Refusal> {
    settle_all(context, &desired.blueprint.owner, wishes(desired), s3_time).await
}

/// Tells the changes that [`establish`] would make now, and what cannot be looked at. Looks once.
pub(super) async fn preview<I: ReadAccount, C: Clock>(
    context: &Context<'_, I, C>,
    desired: &Desired,
    s3_time: &S3Time<'_, C>,
) -> (Vec<Change>, Vec<Finding>) {
    let owner = &desired.blueprint.owner;
    let wishes = wishes(desired);
    let looked = |share: S3Share| join_all(wishes.iter().map(move |wish| look(context, owner, wish, share.known())));
    let (mut changes, mut findings) = (Vec::new(), Vec::new());
    for (wish, result) in wishes.iter().zip(s3_time.spend(looked).await) {
        let bucket = wish.bucket.clone();
        match result.map(|seen| (merged(&seen.rules, wish.wanted.as_ref(), &wish.ours), seen)) {
            Ok((Ok(rules), seen)) if rules != seen.rules => {
                changes.push(Change::PutCors { bucket: Box::new(seen.bucket), rules });
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

/// A bucket and its rules.
struct Seen {
    bucket: Bucket,
    rules: Vec<CorsRule>,
}

async fn look<I: ReadAccount, C: Clock>(
    context: &Context<'_, I, C>,
    owner: &Owner,
    wish: &Wish,
    attempt: Attempt,
) -> Result<Seen, (Look, Failure)> {
    let (observer, account) = (context.observer(owner), owner.stack.account.clone());
    let bucket = observer.bucket(&wish.bucket, account.clone(), attempt).await;
    let bucket = bucket.map_err(|failure| (Look::BucketRegion(wish.bucket.clone(), account), failure))?;
    let rules = observer.cors(&bucket, attempt).await;
    let rules = rules.map_err(|failure| (Look::Cors(bucket.clone()), failure))?;
    Ok(Seen { bucket, rules })
}

/// The rules that a request wants, and those of the one before that it does not.
fn wishes(desired: &Desired) -> Vec<Wish> {
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
    let wish = |bucket: &BucketName| Wish {
        bucket: bucket.clone(),
        wanted: wanted.contains(&bucket).then(|| rule(stack, role, &blueprint.request.cors_origin)),
        ours: ours.clone(),
        is_as_before: is_same_role && wanted.contains(&bucket) && old_properties.contains(bucket),
        at_stake: match blueprint.request.checks {
            Checks::Enforce if desired.is_new => AtStake::Creation,
            _ => AtStake::Update,
        },
    };
    buckets.into_iter().map(wish).collect()
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
    let wish = |bucket: &BucketName| Wish {
        bucket: bucket.clone(),
        wanted: None,
        ours: ours.clone(),
        is_as_before: false,
        at_stake: AtStake::Deletion,
    };
    settle_all(context, &deletion.owner, deletion.cors_buckets.iter().map(wish).collect(), s3_time).await
}

async fn settle_all<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    owner: &Owner,
    wishes: Vec<Wish>,
    s3_time: &S3Time<'_, C>,
) -> Result<(Vec<String>, Vec<Finding>), Refusal> {
    let (mut applied, mut findings) = (Vec::new(), Vec::new());
    let settled = |share: S3Share| {
        join_all(wishes.iter().map(move |wish| async move {
            let attempt = match wish.at_stake {
                AtStake::Creation => share.decisive(),
                // A rule that goes was set with the provider role of then, and may be out of reach by now.
                AtStake::Update if wish.wanted.is_some() && !wish.is_as_before => share.unknown(),
                AtStake::Deletion => share.unknown(),
                AtStake::Update => share.known(),
            };
            let (bucket, limit) = (wish.bucket.clone(), share.limit);
            let late = || Err(Trouble::Passing(Refusal::CorsTookTooLong { bucket, limit }));
            within(context.clock, share.limit, settle(context, owner, wish, attempt)).await.unwrap_or_else(late)
        }))
    };
    for (wish, result) in wishes.iter().zip(s3_time.spend(settled).await) {
        let (id, bucket) = (wish.ours.last().cloned().unwrap_or_default(), wish.bucket.clone());
        match (result, wish.at_stake) {
            (Ok(done), _) => applied.extend(done),
            (Err(Trouble::Hidden(cause) | Trouble::Passing(cause)), AtStake::Creation) => return Err(cause),
            (Err(Trouble::Passing(cause)), AtStake::Deletion) => {
                return Err(Refusal::CorsRuleStays {
                    cause: Box::new(cause),
                    id,
                    bucket,
                    resource: owner.resource.clone(),
                });
            }
            (Err(Trouble::Hidden(cause) | Trouble::Passing(cause)), AtStake::Deletion | AtStake::Update) => {
                let should = if wish.wanted.is_some() { "be there" } else { "be gone" };
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
async fn settle<I: Account, C: Clock>(
    context: &Context<'_, I, C>,
    owner: &Owner,
    wish: &Wish,
    attempt: Attempt,
) -> Result<Option<String>, Trouble> {
    let observer = context.observer(owner);
    let name = &wish.bucket;
    let looking = |look: Look| {
        move |failure: Failure| match failure.kind {
            FailureKind::Denied => Trouble::Hidden(Refusal::while_looking(&look, failure)),
            _ => Trouble::Passing(Refusal::while_looking(&look, failure)),
        }
    };
    let bucket = match observer.bucket(name, owner.stack.account.clone(), attempt).await {
        // With a bucket goes its configuration; that it should be there, the preflight says.
        Err(failure) if failure.kind == FailureKind::NotFound => return Ok(None),
        bucket => bucket.map_err(looking(Look::BucketRegion(name.clone(), owner.stack.account.clone())))?,
    };
    let mut applied = None;
    let mut is_doubtful = !wish.is_as_before;
    let mut written: Option<Vec<CorsRule>> = None;
    for _ in 0..2 * MOST_CORS_WRITES {
        let there = match observer.cors(&bucket, attempt).await {
            Err(failure) if failure.kind == FailureKind::NotFound => return Ok(applied),
            there => there.map_err(looking(Look::Cors(bucket.clone())))?,
        };
        let rules = merged(&there, wish.wanted.as_ref(), &wish.ours)
            .map_err(|_| Trouble::Passing(Refusal::CorsIsFull { bucket: name.clone() }))?;
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
            Err(failure) => return Err(Trouble::Passing(Refusal::while_changing(&change, failure))),
        }
        written = Some(there);
    }
    Err(Trouble::Passing(Refusal::CorsIsContested { bucket: bucket.name }))
}
