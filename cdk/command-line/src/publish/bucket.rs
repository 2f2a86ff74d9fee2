//! One bucket of a publisher: reads, creation, and writes of objects that never change.
//!
//! Every call but the one that makes it names the account that has to own it (`ExpectedBucketOwner`), so that nothing
//! is read from or written to a bucket of the same name that somebody else made meanwhile.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::client::Waiters as _;
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::operation::head_bucket::HeadBucketError;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketNamespace, BucketVersioningStatus, ChecksumMode, CreateBucketConfiguration,
    ObjectOwnership, PublicAccessBlockConfiguration, ServerSideEncryption, VersioningConfiguration,
};
use aws_smithy_types::base64;
use sha2::{Digest as _, Sha256};

use super::audience::Audience;
use super::naming::is_account_regional;
use super::plan::{BucketState, DesiredBucket, Found, Obstacle, OwnBucket};
use super::versions::{self, Published, Versions};
use super::{Object, Place};
use crate::account::{Account, AwsError, Call};
use crate::release::package::Content;
use crate::release::zip::hex;
use crate::waits::{BUCKET_SHOWN_WITHIN, Retry};

/// Cache control of objects that never change.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Cache control of `versions.json`, which changes.
const NEVER_CACHED: &str = "no-cache";

/// S3's codes for a condition that does not hold, or did not hold while somebody else wrote.
const LOST: [&str; 3] = ["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"];

/// A bucket, and the account that has to own it.
#[derive(Debug, Clone)]
pub struct PublisherBucket {
    place: Place,
    owner: String,
    sign_in: String,
    client: Client,
}

/// An object as it is after a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// True if it was written now; otherwise it was there already, with the same bytes.
    pub is_new: bool,
    /// The ID of this version of it, if the bucket keeps versions.
    pub version: Option<String>,
}

/// An object that was read.
struct Read {
    bytes: Vec<u8>,
    tag: String,
    version: Option<String>,
}

impl PublisherBucket {
    /// Returns the bucket in a place.
    #[must_use]
    pub fn new(account: &Account, place: &Place) -> Self {
        Self {
            client: account.s3(&place.region),
            owner: account.id.clone(),
            sign_in: account.invocation.sign_in(),
            place: place.clone(),
        }
    }

    /// Returns a call, for the sentence that says why it failed.
    fn call(&self, doing: &'static str, action: &'static str, on: &str) -> Call {
        let on = format!("{on}bucket {}", self.place.bucket);
        Call { doing, action, on, region: self.place.region.clone(), sign_in: self.sign_in.clone() }
    }

    /// Looks at everything that the plan needs to know.
    pub async fn look(
        &self,
        objects: impl Iterator<Item = &Object>,
        desired: &DesiredBucket,
    ) -> Result<BucketState, Obstacle> {
        let head = self.client.head_bucket().bucket(&self.place.bucket).expected_bucket_owner(&self.owner).send().await;
        let region = match &head {
            Ok(answer) => answer.bucket_region().map(str::to_owned),
            Err(error) => region_in(error),
        };
        let status = head.as_ref().err().and_then(|error| Some(error.raw_response()?.status().as_u16()));
        match (head, status, region) {
            // An answer to HEAD does not say why: somebody else's bucket, a right that is missing, or the credentials.
            (Err(_), Some(403), _) => {
                return match self.is_empty().await {
                    Ok(_) | Err(AwsError::Denied { .. }) => Ok(BucketState::Closed),
                    Err(error) => Err(error.into()),
                };
            }
            (_, _, Some(region)) if region != self.place.region => return Ok(BucketState::Elsewhere(region)),
            (Err(_), Some(404), _) => return Ok(BucketState::Missing),
            (Err(error), ..) => return Err(self.call("look at", "s3:ListBucket", "").failed(error).into()),
            (Ok(_), ..) => {}
        }
        let mut own = OwnBucket { versions: self.versions().await?.map(|list| list.bytes), ..OwnBucket::default() };
        if desired.create_buckets {
            own.is_empty = self.is_empty().await?;
        }
        own.policy = self.policy().await?;
        own.keeps_versions = self.keeps_versions().await?;
        if desired.audience.as_ref().is_some_and(Audience::is_public) {
            own.blocks_public = self.blocks_public().await?;
        }
        own.found = self.find(objects).await?;
        Ok(BucketState::OwnBucket(own))
    }

    /// Finds those of some objects that are there.
    pub async fn find(&self, objects: impl Iterator<Item = &Object>) -> Result<BTreeMap<String, Found>, AwsError> {
        let mut found = BTreeMap::new();
        for object in objects {
            found.extend(self.found_at(&object.key).await?.map(|it| (object.key.clone(), it)));
        }
        Ok(found)
    }

    async fn is_empty(&self) -> Result<bool, AwsError> {
        let call = self.client.list_objects_v2().bucket(&self.place.bucket).expected_bucket_owner(&self.owner);
        let answer = call.max_keys(1).send().await;
        let answer = answer.map_err(|error| self.call("list", "s3:ListBucket", "").failed(error))?;
        Ok(answer.contents().is_empty())
    }

    async fn policy(&self) -> Result<Option<serde_json::Value>, AwsError> {
        let call = self.client.get_bucket_policy().bucket(&self.place.bucket).expected_bucket_owner(&self.owner);
        match call.send().await {
            // One that is not JSON is not ours either.
            Ok(answer) => Ok(answer.policy.map(|text| serde_json::from_str(&text).unwrap_or(text.into()))),
            Err(error) if error.code() == Some("NoSuchBucketPolicy") => Ok(None),
            Err(error) => Err(self.call("read", "s3:GetBucketPolicy", "the policy of ").failed(error)),
        }
    }

    async fn keeps_versions(&self) -> Result<bool, AwsError> {
        let call = self.client.get_bucket_versioning().bucket(&self.place.bucket).expected_bucket_owner(&self.owner);
        let answer = call
            .send()
            .await
            .map_err(|error| self.call("see the versioning of", "s3:GetBucketVersioning", "").failed(error))?;
        Ok(answer.status() == Some(&BucketVersioningStatus::Enabled))
    }

    /// True if Block Public Access of the bucket keeps it from being public.
    async fn blocks_public(&self) -> Result<bool, AwsError> {
        let call = self.client.get_public_access_block().bucket(&self.place.bucket).expected_bucket_owner(&self.owner);
        match call.send().await {
            Ok(answer) => Ok(answer.public_access_block_configuration.is_some_and(|block| {
                block.block_public_policy == Some(true) || block.restrict_public_buckets == Some(true)
            })),
            Err(error) if error.code() == Some("NoSuchPublicAccessBlockConfiguration") => Ok(false),
            Err(error) => {
                let call = self.call("read", "s3:GetBucketPublicAccessBlock", "the Block Public Access of ");
                Err(call.failed(error))
            }
        }
    }

    /// Returns the object at a key, if there is one.
    async fn found_at(&self, key: &str) -> Result<Option<Found>, AwsError> {
        let call = self.client.head_object().bucket(&self.place.bucket).expected_bucket_owner(&self.owner).key(key);
        let answer = match call.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(answer) => answer,
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404) => {
                return Ok(None);
            }
            Err(error) => return Err(self.call("look at", "s3:GetObject", &format!("{key} in ")).failed(error)),
        };
        let version = answer.version_id().map(str::to_owned);
        let stored = answer.checksum_sha256().and_then(|text| base64::decode(text).ok());
        if let Some(digest) = stored {
            return Ok(Some(Found { sha256: hex(&digest), version }));
        }
        // Somebody put it there without a checksum.
        let read = self.read(key).await?;
        Ok(read.map(|read| Found { sha256: Content::of(&read.bytes).sha256, version: read.version }))
    }

    /// Returns the object at a key with its bytes, if there is one.
    async fn read(&self, key: &str) -> Result<Option<Read>, AwsError> {
        let call = || self.call("read", "s3:GetObject", &format!("{key} in "));
        let request = self.client.get_object().bucket(&self.place.bucket).expected_bucket_owner(&self.owner).key(key);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(call().failed(error)),
        };
        let tag = answer.e_tag().unwrap_or_default().to_owned();
        let version = answer.version_id().map(str::to_owned);
        let body = answer.body.collect().await;
        let bytes = body.map_err(|error| call().unanswered(&error))?.to_vec();
        Ok(Some(Read { bytes, tag, version }))
    }

    async fn versions(&self) -> Result<Option<Read>, AwsError> {
        self.read(versions::KEY).await
    }

    /// Makes the bucket. One that is the publisher's own already is as good.
    pub async fn create(&self) -> Result<(), Obstacle> {
        let region = self.place.region.as_str();
        // S3 takes the name of every region here but that of its first one.
        let elsewhere = (region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(region)).build()
        });
        let namespace = is_account_regional(&self.place, &self.owner).then_some(BucketNamespace::AccountRegional);
        let call = self.client.create_bucket().bucket(&self.place.bucket).set_create_bucket_configuration(elsewhere);
        let call = call.set_bucket_namespace(namespace);
        match call.object_ownership(ObjectOwnership::BucketOwnerEnforced).send().await {
            Ok(_) => {}
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => {}
            Err(error) if error.code() == Some("BucketAlreadyExists") => {
                return Err(Obstacle::Taken(self.place.bucket.clone()));
            }
            Err(error) => return Err(self.call("make", "s3:CreateBucket", "").failed(error).into()),
        }
        let appeared = self.client.wait_until_bucket_exists().bucket(&self.place.bucket);
        let appeared = appeared.expected_bucket_owner(&self.owner).wait(BUCKET_SHOWN_WITHIN).await;
        appeared.map_err(|error| self.call("find", "s3:ListBucket", "the new ").unanswered(&error))?;
        Ok(())
    }

    /// Sets a new bucket up: versions are kept, and only a policy can make anything public. S3 encrypts all there is in
    /// it anyway ("Default encryption", since January 2023).
    pub async fn set_up(&self, is_public: bool) -> Result<(), Obstacle> {
        let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let request = self.client.put_bucket_versioning().bucket(&self.place.bucket).expected_bucket_owner(&self.owner);
        let sent = request.versioning_configuration(versioning).send().await;
        sent.map_err(|error| self.call("keep versions in", "s3:PutBucketVersioning", "").failed(error))?;
        Ok(self.block_public_access(is_public).await?)
    }

    /// Sets the Block Public Access of the bucket: all of it, or all but what keeps a public policy out.
    pub async fn block_public_access(&self, is_public: bool) -> Result<(), AwsError> {
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .ignore_public_acls(true)
            .block_public_policy(!is_public)
            .restrict_public_buckets(!is_public)
            .build();
        let request =
            self.client.put_public_access_block().bucket(&self.place.bucket).expected_bucket_owner(&self.owner);
        let sent = request.public_access_block_configuration(block).send().await;
        let call = || self.call("set", "s3:PutBucketPublicAccessBlock", "the Block Public Access of ");
        sent.map_err(|error| call().failed(error))?;
        Ok(())
    }

    /// Reads `versions.json` as anybody does, and finds the release in it. S3 takes seconds to notice a new policy.
    pub async fn check_public(&self, account: &Account, release: &Published) -> Result<(), Obstacle> {
        let mut attempts = Retry::PUBLIC_POLICY.attempts();
        loop {
            let read = account.read_without_credentials(&self.place.object(versions::KEY)).await;
            let why = match read {
                Ok(Some(bytes)) => match Versions::read(&bytes) {
                    Ok(list) if matches!(list.with(release), Ok(None)) => return Ok(()),
                    Ok(_) => format!("it does not list release {} as it was written", release.version),
                    Err(error) => error.to_string(),
                },
                Ok(None) => "S3 answered that it does not exist".to_owned(),
                Err(AwsError::Denied { .. }) => {
                    "S3 denied it, as it does where Block Public Access of the account or its \
                                                 organization forbids a public bucket"
                        .to_owned()
                }
                Err(error) => return Err(error.into()),
            };
            if !attempts.next().await {
                return Err(Obstacle::NotPublic { bucket: self.place.bucket.clone(), why });
            }
        }
    }

    /// Writes the policy that lets an audience in.
    pub async fn let_in(&self, audience: &Audience) -> Result<(), AwsError> {
        let policy = audience.policy(&self.place.bucket).to_string();
        let mut attempts = Retry::PUBLIC_POLICY.attempts();
        loop {
            let request = self.client.put_bucket_policy().bucket(&self.place.bucket).expected_bucket_owner(&self.owner);
            let error = match request.policy(&policy).send().await {
                Ok(_) => return Ok(()),
                Err(error) => self.call("write", "s3:PutBucketPolicy", "the policy of ").failed(error),
            };
            let may_pass = audience.is_public() && matches!(error, AwsError::Denied { .. });
            if !may_pass || !attempts.next().await {
                return Err(error);
            }
        }
    }

    /// Writes an object where there is none. One that is there has to have the same bytes.
    pub async fn write(&self, object: &Object) -> Result<Written, Obstacle> {
        let mut attempts = Retry::CONDITIONAL_WRITE.attempts();
        loop {
            let request = self.put(&object.key, &object.bytes).if_none_match("*").content_type(object.media_type);
            match request.cache_control(FOR_EVER).send().await {
                Ok(answer) => return Ok(Written { is_new: true, version: answer.version_id }),
                Err(error) if error.code().is_some_and(|code| LOST.contains(&code)) => {}
                Err(error) => {
                    return Err(self
                        .call("write", "s3:PutObject", &format!("{} in ", object.key))
                        .failed(error)
                        .into());
                }
            }
            match self.found_at(&object.key).await? {
                Some(found) if found.sha256 == object.content.sha256 => {
                    return Ok(Written { is_new: false, version: found.version });
                }
                Some(found) => {
                    return Err(Obstacle::OtherBytes {
                        bucket: self.place.bucket.clone(),
                        key: object.key.clone(),
                        found: found.sha256,
                        expected: object.content.sha256.clone(),
                    });
                }
                // Somebody else's write of the same key has not ended, or failed.
                None if attempts.next().await => {}
                None => return Err(Obstacle::Contended { bucket: self.place.bucket.clone(), key: object.key.clone() }),
            }
        }
    }

    /// Adds a release to `versions.json`, whatever others add meanwhile.
    pub async fn list(&self, release: &Published) -> Result<(), Obstacle> {
        let bucket = || self.place.bucket.clone();
        let mut attempts = Retry::CONDITIONAL_WRITE.attempts();
        loop {
            let (list, tag) = match self.versions().await? {
                Some(list) => (Versions::read_of(&self.place, &list.bytes), Some(list.tag)),
                None => (Ok(Versions::empty(&self.place)), None),
            };
            let longer = list.and_then(|list| list.with(release));
            let Some(longer) = longer.map_err(|source| Obstacle::Versions { bucket: bucket(), source })? else {
                return Ok(());
            };
            let is_first = tag.is_none().then(|| "*".to_owned());
            let request = self.put(versions::KEY, longer.to_json().as_bytes()).content_type("application/json");
            let request = request.cache_control(NEVER_CACHED).set_if_match(tag).set_if_none_match(is_first);
            match request.send().await {
                Ok(_) => return Ok(()),
                Err(error) if error.code().is_some_and(|code| LOST.contains(&code)) => {
                    if !attempts.next().await {
                        return Err(Obstacle::Contended { bucket: bucket(), key: versions::KEY.to_owned() });
                    }
                }
                Err(error) => {
                    let call = self.call("write", "s3:PutObject", &format!("{} in ", versions::KEY));
                    return Err(call.failed(error).into());
                }
            }
        }
    }

    /// Returns a request that writes an object, with the checksum that S3 has to find.
    fn put(&self, key: &str, bytes: &[u8]) -> aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder {
        self.client
            .put_object()
            .bucket(&self.place.bucket)
            .expected_bucket_owner(&self.owner)
            .key(key)
            .checksum_sha256(base64::encode(Sha256::digest(bytes)))
            // The bucket's own default may be a key of KMS, which readers in other accounts could not use.
            .server_side_encryption(ServerSideEncryption::Aes256)
            .body(bytes.to_vec().into())
    }
}

/// True if Block Public Access of the account keeps every bucket in it from being public. S3 returns what is in force,
/// which the organization may have decided. Source: S3 Control, `GetPublicAccessBlock`.
///
/// S3 Control's call has the form of the one about a bucket but for its address, and its own SDK would be a sixth of
/// all that is compiled here.
pub async fn account_blocks_public(account: &Account, region: &str) -> Result<bool, AwsError> {
    let id = account.id.clone();
    let at_aws = format!("https://{id}.s3-control.{region}.amazonaws.com");
    let url = format!("{}/v20180820/configuration/publicAccessBlock", account.endpoint_url().unwrap_or(&at_aws));
    let call = account.s3(region).get_public_access_block().bucket("of-the-account").customize();
    let call = call.mutate_request(move |request| {
        // An address that cannot be one stays as it was, and S3 finds no such bucket.
        let _ = request.set_uri(url.clone());
        request.headers_mut().insert("x-amz-account-id", id.clone());
    });
    match call.send().await {
        Ok(answer) => Ok(answer.public_access_block_configuration.is_some_and(|block| {
            block.block_public_policy == Some(true) || block.restrict_public_buckets == Some(true)
        })),
        // NoSuchPublicAccessBlockConfiguration, within an element that this parser does not know.
        Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404) => Ok(false),
        Err(error) => {
            let (action, on) = ("s3:GetAccountPublicAccessBlock", "the account's Block Public Access");
            Err(account.call("read", action, on.to_owned(), region).failed(error))
        }
    }
}

/// Returns the region of a bucket that is not where it was looked for.
fn region_in(error: &SdkError<HeadBucketError>) -> Option<String> {
    error.raw_response()?.headers().get("x-amz-bucket-region").map(str::to_owned)
}
