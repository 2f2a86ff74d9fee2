//! Execution of a publication: all buckets are read before anything is written, and then written concurrently.

use futures_util::future::join_all;

use super::audience::Audience;
use super::bucket::{self, PublisherBucket, Written};
use super::plan::{BucketSetup, BucketState, DesiredBucket, Obstacle, PolicyChange, PublicationPlan};
use super::{CodeVersions, Publication, ReleaseParts};
use crate::account::Account;

/// News of a place while it is worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicationProgress<'a> {
    /// This is being done.
    Doing(&'a str),
    /// The release is in the bucket.
    Written {
        /// Objects that were written now.
        count: usize,
        /// True if `versions.json` was read without credentials.
        is_public: bool,
    },
    /// Failed: the obstacle.
    Failed,
}

/// Refuses a public audience where Block Public Access of the account keeps every bucket from being public. Where that
/// may not be read, returns the sentence that says so: at the end the release is read as anybody reads it.
pub async fn check_account(
    account: &Account,
    parts: &ReleaseParts,
    desired: &DesiredBucket,
) -> Result<Option<String>, Obstacle> {
    let (Some(Audience::Public), Some(place)) = (&desired.audience, parts.places.first()) else { return Ok(None) };
    match bucket::account_blocks_public(account, &place.region).await {
        Ok(false) => Ok(None),
        Ok(true) => Err(Obstacle::AccountBlocksPublic(account.id.clone())),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// The plan of every place, in their order.
#[derive(Debug)]
pub struct BucketSurvey {
    /// The whole release, if its code is in every bucket already.
    pub publication: Option<Publication>,
    /// The plans and obstacles.
    pub plans: Vec<Result<PublicationPlan, Obstacle>>,
}

/// Makes the plan of every place.
pub async fn survey(account: &Account, parts: &ReleaseParts, desired: &DesiredBucket) -> BucketSurvey {
    let look = parts
        .places
        .iter()
        .map(|place| async { PublisherBucket::new(account, place).look(parts.objects(), desired).await });
    let standings = join_all(look).await;
    let publication = published_before(parts, &standings);
    let plans = parts.places.iter().zip(standings).map(|(place, state)| {
        let publication = publication.as_ref();
        async move {
            let mut state = state?;
            if let (BucketState::OwnBucket(own), Some(publication)) = (&mut state, publication) {
                own.found.extend(PublisherBucket::new(account, place).find(publication.generated.iter()).await?);
            }
            PublicationPlan::of(parts, publication, place, desired, state)
        }
    });
    let plans = join_all(plans).await;
    BucketSurvey { publication, plans }
}

/// Returns the release as its templates are, if every bucket has the code and keeps its versions.
fn published_before(parts: &ReleaseParts, standings: &[Result<BucketState, Obstacle>]) -> Option<Publication> {
    let code_version = |state: &Result<BucketState, Obstacle>| match state {
        Ok(BucketState::OwnBucket(own)) if own.keeps_versions => own.found.get(&parts.code.key)?.version.clone(),
        _ => None,
    };
    let versions =
        parts.places.iter().zip(standings).map(|(place, state)| Some((place.region.clone(), code_version(state)?)));
    Some(parts.publication(versions.collect::<Option<CodeVersions>>()?))
}

/// Returns all of it without a word, up to the first obstacle.
pub async fn all(account: &Account, parts: &ReleaseParts, desired: &DesiredBucket) -> Result<Publication, Obstacle> {
    let plans = survey(account, parts, desired).await.plans.into_iter().collect::<Result<Vec<_>, _>>()?;
    prepare(account, &plans, &|_, _| {}).await.into_iter().collect::<Result<(), _>>()?;
    let written = write_code(account, parts, &plans, &|_, _| {}).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let publication = publication_of(parts, &written);
    write(account, &publication, &plans, &written, &|_, _| {}).await.into_iter().collect::<Result<(), _>>()?;
    Ok(publication)
}

/// Makes and opens the buckets that need it. The release may be written when this went well everywhere, and not before:
/// its templates name all buckets.
pub async fn prepare(
    account: &Account,
    plans: &[PublicationPlan],
    tell: &impl Fn(usize, PublicationProgress<'_>),
) -> Vec<Result<(), Obstacle>> {
    let all = plans.iter().enumerate().map(|(i, plan)| async move {
        let result = prepare_one(&PublisherBucket::new(account, &plan.place), plan, &|doing| {
            tell(i, PublicationProgress::Doing(doing))
        })
        .await;
        if result.is_err() {
            tell(i, PublicationProgress::Failed);
        }
        result
    });
    join_all(all).await
}

async fn prepare_one(bucket: &PublisherBucket, plan: &PublicationPlan, tell: &impl Fn(&str)) -> Result<(), Obstacle> {
    let audience = plan.letting_in.as_ref().map(|change| &change.after);
    if plan.making.is_some() || audience.is_some() {
        tell("preparing the bucket");
    }
    if plan.making == Some(BucketSetup::Create) {
        bucket.create().await?;
    }
    if plan.making.is_some() {
        bucket.set_up(audience.is_some_and(|audience| audience.is_public())).await?;
    }
    if plan.letting_in.as_ref().is_some_and(PolicyChange::restores_block) {
        // First: if the policy is not written, it is still that of a public bucket, and the next run finds both to do.
        bucket.block_public_access(false).await?;
    }
    if let Some(audience) = audience {
        bucket.let_in(audience).await?;
    }
    Ok(())
}

/// The code in one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenCode {
    /// The ID of its version.
    pub version: String,
    /// Objects that were written now.
    pub count: usize,
}

/// Writes the code into every place. The templates may be made when this went well everywhere, and not before: they
/// name the version in every bucket.
pub async fn write_code(
    account: &Account,
    parts: &ReleaseParts,
    plans: &[PublicationPlan],
    tell: &impl Fn(usize, PublicationProgress<'_>),
) -> Vec<Result<WrittenCode, Obstacle>> {
    let all = plans.iter().enumerate().map(|(i, plan)| async move {
        tell(i, PublicationProgress::Doing("writing the code"));
        let result = write_code_into(&PublisherBucket::new(account, &plan.place), parts, plan).await;
        if result.is_err() {
            tell(i, PublicationProgress::Failed);
        }
        result
    });
    join_all(all).await
}

async fn write_code_into(
    bucket: &PublisherBucket,
    parts: &ReleaseParts,
    plan: &PublicationPlan,
) -> Result<WrittenCode, Obstacle> {
    let (mut version, mut count) = (None, 0);
    for object in parts.objects() {
        let written = match plan.found.get(&object.key) {
            Some(found) => Written { is_new: false, version: found.version.clone() },
            None => bucket.write(object).await?,
        };
        count += usize::from(written.is_new);
        if object.key == parts.code.key {
            version = written.version;
        }
    }
    let version = version.ok_or_else(|| Obstacle::KeepsNoVersions(plan.place.clone()))?;
    Ok(WrittenCode { version, count })
}

/// Returns the release whose code was written.
#[must_use]
pub fn publication_of(parts: &ReleaseParts, written: &[WrittenCode]) -> Publication {
    let versions = parts.places.iter().zip(written).map(|(place, code)| (place.region.clone(), code.version.clone()));
    parts.publication(versions.collect())
}

/// Writes the templates and the page into every place, and lists the release. What fails in one leaves the others as
/// they are.
pub async fn write(
    account: &Account,
    publication: &Publication,
    plans: &[PublicationPlan],
    code: &[WrittenCode],
    tell: &impl Fn(usize, PublicationProgress<'_>),
) -> Vec<Result<(), Obstacle>> {
    let all = plans.iter().zip(code).enumerate().map(|(i, (plan, code))| async move {
        let bucket = PublisherBucket::new(account, &plan.place);
        let tell_doing = |doing: &str| tell(i, PublicationProgress::Doing(doing));
        let result = write_one(account, &bucket, publication, plan, &tell_doing).await;
        match &result {
            Ok(count) => {
                tell(i, PublicationProgress::Written { count: code.count + *count, is_public: plan.is_public })
            }
            Err(_) => tell(i, PublicationProgress::Failed),
        }
        result.map(|_| ())
    });
    join_all(all).await
}

async fn write_one(
    account: &Account,
    bucket: &PublisherBucket,
    publication: &Publication,
    plan: &PublicationPlan,
    tell: &impl Fn(&str),
) -> Result<usize, Obstacle> {
    let mut written = 0;
    tell("writing the release");
    for object in publication.generated.iter().filter(|object| !plan.found.contains_key(&object.key)) {
        written += usize::from(bucket.write(object).await?.is_new);
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
