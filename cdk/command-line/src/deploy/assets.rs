//! The bucket that `deploy` makes for the function's code: one for an account and region, and the way to remove it.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::RequestId as _;
use aws_sdk_s3::types::{Delete, DeleteMarkerEntry, ObjectIdentifier, ObjectVersion};
use cavatica_access::port::{Failure, FailureKind};
use cavatica_access::volume::BucketName;

use super::stack::TemplateKind;
use super::stacks::{StackError, Stacks};
use crate::account::{Account, AwsError, Call};
use crate::publish::naming::BucketNaming;
use crate::publish::{FOLDER, Place};

/// Beginning of the bucket's name.
const PREFIX: &str = "cavatica-connect-assets";

/// Returns the bucket's naming: the name that the user chose, or the account's own.
#[must_use]
pub fn naming(account: &Account, region: &str, chosen: Option<&BucketName>) -> BucketNaming {
    let region = region.to_owned();
    match chosen {
        Some(bucket) => BucketNaming::Chosen(Place { region, bucket: bucket.to_string() }),
        None => {
            // Earlier releases made this one.
            let global = format!("{PREFIX}-{}-{region}", account.id);
            BucketNaming::Prefixed { region, prefix: PREFIX.to_owned(), global }
        }
    }
}

/// The state of the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There is none.
    Absent,
    /// Owned by another account, or not readable with these credentials.
    Closed,
    /// Something else is in it, or was and can still be restored, such as this key.
    Shared(String),
    /// Only code and templates are in it.
    Ours,
}

/// Looks at the bucket. What `deploy` writes begins with [`FOLDER`]; a bucket with other keys is somebody's, also where
/// only an earlier version of them is left.
pub async fn state(account: &Account, place: &Place) -> Result<State, AwsError> {
    let (s3, bucket, owner) = (account.s3(&place.region), &place.bucket, &account.id);
    if let Err(error) = s3.head_bucket().bucket(bucket).expected_bucket_owner(owner).send().await {
        return match error.raw_response().map(|response| response.status().as_u16()) {
            Some(404) => Ok(State::Absent),
            Some(403) => Ok(State::Closed),
            _ => Err(call(account, place, "look at", "s3:ListBucket").failed(error)),
        };
    }
    let mut after = (None, None);
    loop {
        let listed = s3.list_object_versions().bucket(bucket).expected_bucket_owner(owner);
        let listed = listed.set_key_marker(after.0).set_version_id_marker(after.1).send().await;
        let listed = listed.map_err(|error| call(account, place, "list", "s3:ListBucketVersions").failed(error))?;
        let versions = listed.versions.unwrap_or_default().into_iter().filter_map(|version| version.key);
        let markers = listed.delete_markers.unwrap_or_default().into_iter().filter_map(|marker| marker.key);
        if let Some(other) = versions.chain(markers).find(|key| !key.starts_with(FOLDER)) {
            return Ok(State::Shared(other));
        }
        if listed.is_truncated != Some(true) {
            return Ok(State::Ours);
        }
        after = (listed.next_key_marker, listed.next_version_id_marker);
    }
}

impl Stacks {
    /// Returns the names of the stacks of ours in the region, of whatever platform: all may be updated from the code in
    /// the bucket.
    pub async fn ours(&self) -> Result<Vec<String>, StackError> {
        let mut ours = Vec::new();
        for stack in self.all().await? {
            let description = match stack.description {
                Some(description) => description,
                None => match self.description(&stack.id).await {
                    Ok(description) => description,
                    // A stack that is only proposed has no template, or is gone meanwhile.
                    Err(error) if matches!(error.aws(), Some(AwsError::Refused { .. })) => continue,
                    Err(error) => return Err(error),
                },
            };
            if TemplateKind::of_any_platform(&description).is_some() {
                ours.push(stack.name);
            }
        }
        Ok(ours)
    }
}

/// Removes a bucket with every version of every object in it.
pub async fn remove(account: &Account, place: &Place) -> Result<(), AwsError> {
    let (s3, bucket, owner) = (account.s3(&place.region), &place.bucket, &account.id);
    loop {
        let listed = s3.list_object_versions().bucket(bucket).expected_bucket_owner(owner).send().await;
        let listed = listed.map_err(|error| call(account, place, "list", "s3:ListBucketVersions").failed(error))?;
        let versions = listed.versions.unwrap_or_default().into_iter().filter_map(of_version);
        let markers = listed.delete_markers.unwrap_or_default().into_iter().filter_map(of_marker);
        let objects: Vec<_> = versions.chain(markers).collect();
        if objects.is_empty() {
            break;
        }
        delete(&s3, account, place, objects).await?;
    }
    let deleted = s3.delete_bucket().bucket(bucket).expected_bucket_owner(owner).send().await;
    deleted.map(drop).map_err(|error| call(account, place, "delete", "s3:DeleteBucket").failed(error))
}

async fn delete(s3: &Client, account: &Account, place: &Place, objects: Vec<ObjectIdentifier>) -> Result<(), AwsError> {
    let action = "s3:DeleteObjectVersion";
    let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().ok();
    let call_s3 = s3.delete_objects().bucket(&place.bucket).expected_bucket_owner(&account.id).set_delete(delete);
    let answer = call_s3.send().await.map_err(|error| call(account, place, "empty", action).failed(error))?;
    let request_id = answer.request_id().map(str::to_owned);
    match answer.errors.unwrap_or_default().into_iter().next() {
        None => Ok(()),
        Some(error) => Err(AwsError::Refused {
            call: Box::new(call(account, place, "empty", action)),
            answer: Box::new(Failure {
                kind: FailureKind::Other,
                code: error.code.unwrap_or_default(),
                message: error.message.unwrap_or_default(),
                request_id,
            }),
        }),
    }
}

fn of_version(version: ObjectVersion) -> Option<ObjectIdentifier> {
    ObjectIdentifier::builder().key(version.key?).set_version_id(version.version_id).build().ok()
}

fn of_marker(marker: DeleteMarkerEntry) -> Option<ObjectIdentifier> {
    ObjectIdentifier::builder().key(marker.key?).set_version_id(marker.version_id).build().ok()
}

fn call(account: &Account, place: &Place, doing: &'static str, action: &'static str) -> Call {
    account.call(doing, action, format!("bucket {}", place.bucket), &place.region)
}
