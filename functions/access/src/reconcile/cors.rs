//! Buckets' CORS rules as an event wants them: read, merge, write, and read back.

use futures_util::future::join_all;

use super::{Setting, UNTIL_SHOWN};
use crate::checks::Finding;
use crate::cors::{merged, rule, rule_id};
use crate::owner::Owner;
use crate::port::{Account, Change, Clock, CorsRule, FailureKind};
use crate::refusal::{Look, Refusal};
use crate::retry::Attempt;
use crate::volume::BucketName;
use crate::wanted::{Absent, Present};

/// Most times that the rules are written. Two of us at once need two.
const MOST_WRITES: u32 = 5;

/// How a bucket's CORS rules should be.
struct Wish {
    bucket: BucketName,
    /// Our rule, or none of ours.
    wanted: Option<CorsRule>,
    /// The IDs that are ours, that of the role meant last.
    ours: Vec<String>,
    /// Whether it was asked for like this before too.
    is_as_before: bool,
    /// Whether it is asked for the first time.
    is_new: bool,
    /// Whether nothing more comes after this event.
    is_last: bool,
}

/// What went wrong, and whether anything can have been changed.
enum Trouble {
    Looking(Refusal),
    Changing(Refusal),
}

/// Sets the rules that a request wants, and takes out those of the one before; what was done, and what could not be.
pub(super) async fn establish<I: Account, C: Clock>(
    setting: &Setting<'_, I, C>,
    present: &Present,
) -> Result<(Vec<String>, Vec<Finding>), Refusal> {
    let blueprint = &present.blueprint;
    let owner = &blueprint.owner;
    let (stack, role) = (&owner.stack, &blueprint.role.name);
    let earlier = present.former.role_name.iter().chain(present.from.as_ref().map(|from| &from.name));
    let is_same_role = earlier.clone().all(|earlier| earlier == role);
    let ours: Vec<_> = earlier.chain([role]).map(|role| rule_id(stack, role)).collect();

    let volumes = blueprint.request.volumes.iter().filter(|_| blueprint.request.configure_cors);
    let wanted: Vec<_> = volumes.map(|volume| &volume.bucket).collect();
    let former = &present.former.cors_buckets;
    let mut buckets: Vec<_> = wanted.iter().copied().chain(former).collect();
    buckets.sort_unstable();
    buckets.dedup();
    let wishes = buckets.into_iter().map(|bucket| Wish {
        bucket: bucket.clone(),
        wanted: wanted.contains(&bucket).then(|| rule(stack, role)),
        ours: ours.clone(),
        is_as_before: is_same_role && wanted.contains(&bucket) && former.contains(bucket),
        is_new: present.is_new,
        is_last: false,
    });
    settle_all(setting, owner, wishes.collect()).await
}

/// Takes the rules of a role out; what was done, and what could not be.
pub(super) async fn remove<I: Account, C: Clock>(
    setting: &Setting<'_, I, C>,
    absent: &Absent,
) -> Result<(Vec<String>, Vec<Finding>), Refusal> {
    let Some(target) = &absent.target else { return Ok(Default::default()) };
    let roles = target.beside.iter().map(|beside| &beside.role).chain([&target.name]);
    let ours: Vec<_> = roles.map(|role| rule_id(&absent.owner.stack, role)).collect();
    let wish = |bucket: &BucketName| Wish {
        bucket: bucket.clone(),
        wanted: None,
        ours: ours.clone(),
        is_as_before: false,
        is_new: false,
        is_last: true,
    };
    settle_all(setting, &absent.owner, absent.cors_buckets.iter().map(wish).collect()).await
}

async fn settle_all<I: Account, C: Clock>(
    setting: &Setting<'_, I, C>,
    owner: &Owner,
    wishes: Vec<Wish>,
) -> Result<(Vec<String>, Vec<Finding>), Refusal> {
    let (mut applied, mut findings) = (Vec::new(), Vec::new());
    let results = join_all(wishes.iter().map(|wish| settle(setting, owner, wish))).await;
    for (wish, result) in wishes.iter().zip(results) {
        let id = wish.ours.last().cloned().unwrap_or_default();
        match result {
            Ok(done) => applied.extend(done),
            Err(Trouble::Changing(cause)) if wish.is_last => {
                let (cause, bucket) = (Box::new(cause), wish.bucket.clone());
                return Err(Refusal::CorsRuleStays { cause, id, bucket, resource: owner.resource.clone() });
            }
            // A rule gives nobody a right. Neither a rollback nor a Delete may be stuck for one that cannot be looked at, be
            // it that a bucket policy forbids it by now, or that it was never set because of that.
            Err(Trouble::Looking(cause)) if !wish.is_new => {
                let bucket = &wish.bucket;
                findings.push(Finding::reported(format!(
                    "{cause}. Look after the CORS rule {id} of bucket {bucket} by hand: it should {}",
                    if wish.wanted.is_some() { "be there" } else { "be gone" }
                )));
            }
            Err(Trouble::Looking(cause) | Trouble::Changing(cause)) => return Err(cause),
        }
    }
    Ok((applied, findings))
}

/// Brings one bucket's rules to what is wished.
async fn settle<I: Account, C: Clock>(
    setting: &Setting<'_, I, C>,
    owner: &Owner,
    wish: &Wish,
) -> Result<Option<String>, Trouble> {
    let observer = setting.observer(owner);
    let name = &wish.bucket;
    let looking = |look: Look| move |failure| Trouble::Looking(Refusal::while_looking(&look, failure));
    let bucket = match observer.bucket(name, owner.stack.account.clone(), Attempt::LookAtBucket).await {
        // With a bucket goes its configuration; that it should be there, the preflight says.
        Err(failure) if failure.kind == FailureKind::NotFound => return Ok(None),
        bucket => bucket.map_err(looking(Look::BucketRegion(name.clone())))?,
    };
    let mut applied = None;
    let mut is_doubtful = !wish.is_as_before;
    let mut written: Option<Vec<CorsRule>> = None;
    for _ in 0..2 * MOST_WRITES {
        let there = match observer.cors(&bucket).await {
            Err(failure) if failure.kind == FailureKind::NotFound => return Ok(applied),
            there => there.map_err(looking(Look::Cors(name.clone())))?,
        };
        let rules = merged(&there, wish.wanted.as_ref(), &wish.ours)
            .map_err(|_| Trouble::Changing(Refusal::CorsIsFull { bucket: name.clone() }))?;
        if rules == there {
            // What an earlier try or the update that is taken back did may not show yet.
            if written.is_some() || !is_doubtful {
                return Ok(applied);
            }
            is_doubtful = false;
            setting.clock.sleep(UNTIL_SHOWN.min(setting.clock.remaining())).await;
            continue;
        }
        is_doubtful = false;
        if written.as_ref() == Some(&there) {
            // Exactly what was there before: what was written does not show yet, as far as one can tell.
            written = None;
            setting.clock.sleep(UNTIL_SHOWN.min(setting.clock.remaining())).await;
            continue;
        }
        let change = Change::PutCors { bucket: Box::new(bucket.clone()), rules };
        match setting.apply(&change, Attempt::Change).await {
            Ok(_) => applied = Some(change.to_string()),
            Err(failure) => return Err(Trouble::Changing(Refusal::while_changing(&change, failure))),
        }
        written = Some(there);
    }
    Err(Trouble::Changing(Refusal::CorsIsContested { bucket: bucket.name }))
}
