//! The function's code: built, and put where CloudFormation reads it.

use cavatica_access::platform::Platform;
use cavatica_generator::cfn::Template;
use cavatica_generator::template::{Config, Release, provided};
use cavatica_local::workspace::{Workspace, WorkspaceError};
use tokio::task::{JoinError, spawn_blocking};

use crate::account::Account;
use crate::console::Console;
use crate::publish::audience::Audience;
use crate::publish::bucket::PublisherBucket;
use crate::publish::plan::{BucketState, DesiredBucket, Obstacle};
use crate::publish::{Object, Place};
use crate::release::build::{self, BuildError, Profile};
use crate::release::zip::{Asset, Compression, ZipError};

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// There is no source tree.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// Failed build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Failed packing.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// The bucket for the code cannot be used.
    #[error("bucket {bucket} cannot hold the function's code: {why}")]
    PublisherBucket {
        /// The bucket.
        bucket: String,
        /// Cause.
        why: String,
    },
    /// S3 refused.
    #[error(transparent)]
    Upload(#[from] Obstacle),
    /// The async runtime shuts down.
    #[error("the program is ending")]
    Ending(#[from] JoinError),
}

/// Builds the function. Blocks while another process does.
pub async fn built(profile: Profile, said: &Console) -> Result<Asset, CodeError> {
    let workspace = Workspace::locate()?;
    said.start_waiting(match profile {
        Profile::Release => "building the Lambda as it is released (minutes, the first time)",
        Profile::Local => "building the Lambda",
    });
    let for_build = said.clone();
    let build = move || build::build(&workspace, profile, |line| for_build.progress(line));
    let binary = spawn_blocking(build).await?;
    said.stop_waiting();
    let binary = binary?.binary;
    let compression = match profile {
        Profile::Release => Compression::Best,
        Profile::Local => Compression::Fast,
    };
    Ok(spawn_blocking(move || Asset::packed(&binary, compression)).await??)
}

/// Returns the template that runs the code from its place.
#[must_use]
pub fn template_of(platform: &Platform, asset: &Asset, place: &Place) -> Template {
    let release = Release::in_one(&place.region, &place.bucket, &asset.key);
    provided::template(&Config::released(platform, release))
}

/// Puts the code into a private bucket of the account, which is created if there is none.
///
/// The key is the content's digest: code of other versions and builds lies beside it.
///
/// # Errors
///
/// A bucket of this name that is somebody else's or in another region, and refusals of S3.
pub async fn upload(account: &Account, asset: &Asset, place: &Place) -> Result<(), CodeError> {
    let bucket = PublisherBucket::new(account, place);
    let unusable = |why: &str| CodeError::PublisherBucket { bucket: place.bucket.clone(), why: why.to_owned() };
    match bucket.look([].into_iter(), &DesiredBucket { create_buckets: true, audience: None }).await? {
        BucketState::Missing => {
            bucket.create().await?;
            set_up(&bucket).await?;
        }
        // As an interrupted run leaves it.
        BucketState::OwnBucket(own) if own.is_empty && own.policy.is_none() => set_up(&bucket).await?,
        BucketState::OwnBucket(_) => {}
        BucketState::Elsewhere(region) => return Err(unusable(&format!("it is in {region}"))),
        BucketState::Closed => {
            return Err(unusable("it belongs to another account, or these credentials may not look at it"));
        }
    }
    bucket.write(&Object::of_code(asset)).await?;
    Ok(())
}

/// Sets up a bucket that nobody else reads, and in which no code can be replaced by other code.
async fn set_up(bucket: &PublisherBucket) -> Result<(), Obstacle> {
    bucket.set_up(false).await?;
    Ok(bucket.let_in(&Audience::Private).await?)
}
