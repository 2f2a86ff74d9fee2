//! Uploading a release, zip and templates, into one bucket. Not here: making the bucket.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::zip::Asset;
use crate::template::{Config, Release, files};

/// S3 did not take an object.
#[derive(Debug, thiserror::Error)]
#[error("S3 refused to take {key} into bucket {bucket}: {reason}")]
pub struct UploadError {
    key: String,
    bucket: String,
    reason: String,
}

/// Uploads the zip and then, since they name it, the templates of its release.
pub async fn upload(s3: &Client, region: &str, bucket: &str, asset: Asset) -> Result<Release, UploadError> {
    let release = Release::in_one(region, bucket, &asset.key);
    put(s3, bucket, &release.key, asset.bytes).await?;
    for file in files::generate(&Config::published(release.clone())) {
        put(s3, bucket, file.name, file.text.into_bytes()).await?;
    }
    Ok(release)
}

async fn put(s3: &Client, bucket: &str, key: &str, body: Vec<u8>) -> Result<(), UploadError> {
    let sent = s3.put_object().bucket(bucket).key(key).body(body.into()).send().await;
    sent.map(|_| ()).map_err(|error: SdkError<_, _>| UploadError {
        key: key.to_owned(),
        bucket: bucket.to_owned(),
        reason: error.message().or(error.code()).unwrap_or("the connection failed").to_owned(),
    })
}
