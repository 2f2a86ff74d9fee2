//! Publishing: every place is looked at before anything is written, and then all are worked on side by side.

use futures_util::future::join_all;

use super::Publication;
use super::audience::Audience;
use super::bucket::{self, Bucket, Written};
use super::plan::{LettingIn, Making, Obstacle, Plan, Wish};
use crate::account::Account;

/// News of a place while it is worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News<'a> {
    /// This is being done.
    Doing(&'a str),
    /// The release is in the bucket.
    Written {
        /// Objects that were written now.
        count: usize,
        /// True if `versions.json` was read without credentials.
        is_public: bool,
    },
    /// It cannot.
    Failed,
}

/// Refuses a public audience where Block Public Access of the account keeps every bucket from being public. Where that may
/// not be read, returns the sentence that says so: at the end the release is read as anybody reads it.
pub async fn check_account(
    account: &Account,
    publication: &Publication,
    wish: &Wish,
) -> Result<Option<String>, Obstacle> {
    let (Some(Audience::Public), Some(place)) = (&wish.audience, publication.places.first()) else { return Ok(None) };
    match bucket::account_blocks_public(account, &place.region).await {
        Ok(false) => Ok(None),
        Ok(true) => Err(Obstacle::AccountBlocksPublic(account.id.clone())),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Makes the plan of every place, in their order.
pub async fn survey(account: &Account, publication: &Publication, wish: &Wish) -> Vec<Result<Plan, Obstacle>> {
    let plans = publication.places.iter().map(|place| async move {
        let standing = Bucket::new(account, place).look(&publication.objects, wish).await?;
        Plan::of(publication, place, wish, standing)
    });
    join_all(plans).await
}

/// All of it without a word, up to the first obstacle.
pub async fn all(account: &Account, publication: &Publication, wish: &Wish) -> Result<(), Obstacle> {
    let plans = survey(account, publication, wish).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    prepare(account, &plans, &|_, _| {}).await.into_iter().collect::<Result<(), _>>()?;
    write(account, publication, &plans, &|_, _| {}).await.into_iter().collect()
}

/// Makes and opens the buckets that need it. The release may be written when this went well everywhere, and not before:
/// its templates name all buckets.
pub async fn prepare(account: &Account, plans: &[Plan], tell: &impl Fn(usize, News<'_>)) -> Vec<Result<(), Obstacle>> {
    let all = plans.iter().enumerate().map(|(i, plan)| async move {
        let result = prepare_one(&Bucket::new(account, &plan.place), plan, &|doing| tell(i, News::Doing(doing))).await;
        if result.is_err() {
            tell(i, News::Failed);
        }
        result
    });
    join_all(all).await
}

async fn prepare_one(bucket: &Bucket, plan: &Plan, tell: &impl Fn(&str)) -> Result<(), Obstacle> {
    let audience = plan.letting_in.as_ref().map(|change| &change.after);
    if plan.making.is_some() || audience.is_some() {
        tell("preparing the bucket");
    }
    if plan.making == Some(Making::Create) {
        bucket.create().await?;
    }
    if plan.making.is_some() {
        bucket.set_up(audience.is_some_and(|audience| audience.is_public())).await?;
    }
    if plan.letting_in.as_ref().is_some_and(LettingIn::restores_block) {
        // First: if the policy is not written, it is still that of a public bucket, and the next run finds both to do.
        bucket.block_public_access(false).await?;
    }
    if let Some(audience) = audience {
        bucket.let_in(audience).await?;
    }
    Ok(())
}

/// Writes the release into every place. What fails in one leaves the others as they are.
pub async fn write(
    account: &Account,
    publication: &Publication,
    plans: &[Plan],
    tell: &impl Fn(usize, News<'_>),
) -> Vec<Result<(), Obstacle>> {
    let all = plans.iter().enumerate().map(|(i, plan)| async move {
        let bucket = Bucket::new(account, &plan.place);
        let tell_doing = |doing: &str| tell(i, News::Doing(doing));
        let result = write_one(account, &bucket, publication, plan, &tell_doing).await;
        match &result {
            Ok(count) => tell(i, News::Written { count: *count, is_public: plan.is_public }),
            Err(_) => tell(i, News::Failed),
        }
        result.map(|_| ())
    });
    join_all(all).await
}

async fn write_one(
    account: &Account,
    bucket: &Bucket,
    publication: &Publication,
    plan: &Plan,
    tell: &impl Fn(&str),
) -> Result<usize, Obstacle> {
    let mut written = 0;
    if plan.writing.contains(&true) {
        tell("writing the release");
    }
    for (object, _) in publication.objects.iter().zip(&plan.writing).filter(|(_, is_missing)| **is_missing) {
        written += usize::from(bucket.write(object).await? == Written::Now);
    }
    if plan.listing {
        bucket.list(&publication.entry).await?;
    }
    if plan.is_public {
        tell("reading it without credentials");
        bucket.check_public(account, &publication.entry).await?;
    }
    Ok(written)
}
