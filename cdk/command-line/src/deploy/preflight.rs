//! The look at a bucket before anything is proposed, with the caller's rights: existence, owner, region, key, prefix.
//!
//! A mistyped bucket costs a few reads here, and a rollback later. The caller may see less than the function will: what
//! was not seen is reported as that, and never as fine.

use cavatica_access::names::AccountId;
use cavatica_access::port::{Bucket, Failure, FailureKind, Look, ReadAccount as _};
use cavatica_access::volume::{BucketName, KmsKeyArn, Prefix, Region};
use cavatica_generator::template::permissions::Parameters;

use crate::account::Account;

/// Result of one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The read shows that this is as it has to be.
    Fine(String),
    /// The read shows that there is no such bucket, or that it is somebody else's.
    Absent(String),
    /// The read shows that Cavatica could not use the bucket.
    Wrong(String),
    /// Worth knowing, and no reason to stop.
    Note(String),
    /// The read failed.
    Unseen(String),
}

/// Looks at the bucket of these parameters.
pub async fn look(account: &Account, region: &str, parameters: &Parameters) -> Vec<Observation> {
    let text = |name: &str| parameters.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let named = text("BucketName").and_then(|name| name.parse::<BucketName>().ok());
    let (Some(name), Ok(caller)) = (named, account.id.parse::<AccountId>()) else { return Vec::new() };
    let other_owner = text("BucketOwnerAccountId").and_then(|id| id.parse::<AccountId>().ok());
    let owner = other_owner.clone().unwrap_or_else(|| caller.clone());
    let (port, platform) = (account.port(region), &account.platform().name);
    let bucket_region = match port.read::<Region>(&Look::BucketRegion(name.clone(), owner.clone())).await {
        Ok(region) => region,
        Err(failure) => return vec![unreached(account, region, &name, other_owner.as_ref(), &failure).await],
    };
    let mut observations =
        vec![Observation::Fine(format!("bucket {name} exists in {bucket_region} and belongs to account {owner}"))];
    if bucket_region.is_opt_in() {
        observations.push(Observation::Wrong(format!(
            "bucket {name} is in {bucket_region}, which S3's global endpoint, used by {platform}'s volumes, does not serve: use a \
             bucket in another region, or set Checks=Report if {platform}'s support confirms that it works"
        )));
    }
    let given_key = text("KmsKeyArn").and_then(|arn| arn.parse::<KmsKeyArn>().ok());
    let bucket = Bucket { name: name.clone(), owner: owner.clone(), region: bucket_region };
    observations.push(match port.read::<Option<String>>(&Look::BucketKey(bucket.clone())).await {
        Ok(key) => judge_key(&name, key.as_deref(), given_key.as_ref()),
        Err(failure) => Observation::Unseen(format!("the encryption of bucket {name} ({failure})")),
    });
    if let Some(key) = given_key.filter(|key| key.account() != caller.as_str()) {
        observations.push(Observation::Note(format!(
            "KMS key {key} belongs to account {}: whether its key policy lets the role in cannot be seen from here",
            key.account()
        )));
    }
    if let Some(prefix) = Prefix::read(text("Prefix").unwrap_or_default()).ok().flatten() {
        observations.push(prefix_content(account, &bucket, &prefix).await);
    }
    observations
}

fn judge_key(bucket: &BucketName, found: Option<&str>, given: Option<&KmsKeyArn>) -> Observation {
    let id = |key: &str| key.rsplit_once("key/").map_or(key, |(_, id)| id).to_owned();
    match (found, given) {
        (None, None) => Observation::Fine(format!("bucket {bucket} encrypts without a KMS key of yours")),
        (None, Some(key)) => Observation::Note(format!(
            "bucket {bucket} does not encrypt new objects with {key}: right only if objects name the key themselves"
        )),
        (Some(found), Some(given)) if id(given.as_str()) == id(found) => {
            Observation::Fine(format!("bucket {bucket} encrypts with the KMS key that is given"))
        }
        (Some(found), _) => Observation::Wrong(format!(
            "bucket {bucket} encrypts new objects with KMS key {found}, which the role may not use: give its ARN with --param \
             KmsKeyArn=ARN"
        )),
    }
}

async fn prefix_content(account: &Account, bucket: &Bucket, prefix: &Prefix) -> Observation {
    let (place, platform) = (format!("s3://{}/{prefix}/", bucket.name), &account.platform().name);
    let client = account.s3(&bucket.region.to_string());
    let call = client.list_objects_v2().bucket(bucket.name.to_string()).expected_bucket_owner(bucket.owner.to_string());
    match call.prefix(format!("{prefix}/")).max_keys(1).send().await {
        Ok(answer) if answer.contents().is_empty() => Observation::Note(format!(
            "no object is under {place}: {platform} will find it empty. See that the prefix is spelled as in the bucket"
        )),
        Ok(_) => Observation::Fine(format!("there are objects under {place}")),
        Err(error) => {
            let on = format!("the objects under {place}");
            let error = account.call("list", "s3:ListBucket", on.clone(), &bucket.region.to_string()).failed(error);
            Observation::Unseen(format!("{on} ({error})"))
        }
    }
}

/// Explains a bucket of which not even the region can be read.
async fn unreached(
    account: &Account,
    region: &str,
    name: &BucketName,
    other_owner: Option<&AccountId>,
    failure: &Failure,
) -> Observation {
    match (failure.kind, other_owner) {
        (FailureKind::NotFound, _) => Observation::Absent(format!(
            "bucket {name} does not exist: check --bucket letter by letter against the list of buckets in the S3 console"
        )),
        (FailureKind::Denied, None) => match owns(account, region, name).await {
            Some(false) => Observation::Absent(format!(
                "bucket {name} belongs to another account than {}: check --bucket, or give --param BucketOwnerAccountId=ACCOUNT if \
                 that account shares it with you",
                account.id
            )),
            _ => Observation::Unseen(format!("bucket {name} ({failure})")),
        },
        _ => Observation::Unseen(format!("bucket {name} ({failure})")),
    }
}

/// True if the account's list of buckets has this one; `None` if the list cannot be read.
async fn owns(account: &Account, region: &str, name: &BucketName) -> Option<bool> {
    let listed = account.s3(region).list_buckets().into_paginator().items().send().try_collect().await.ok()?;
    Some(listed.iter().any(|bucket| bucket.name() == Some(name.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_that_cavatica_could_not_use_is_wrong() -> Result<(), Box<dyn std::error::Error>> {
        let bucket = "lab-data".parse()?;
        let arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        let given: KmsKeyArn = arn.parse()?;
        let kind = |found: Option<&str>, given: Option<&KmsKeyArn>| match judge_key(&bucket, found, given) {
            Observation::Fine(_) => "fine",
            Observation::Absent(_) => "absent",
            Observation::Wrong(_) => "wrong",
            Observation::Note(_) => "note",
            Observation::Unseen(_) => "unseen",
        };
        assert_eq!(kind(None, None), "fine");
        assert_eq!(kind(None, Some(&given)), "note");
        assert_eq!(kind(Some(arn), Some(&given)), "fine");
        assert_eq!(kind(Some("1234abcd-12ab-34cd-56ef-1234567890ab"), Some(&given)), "fine");
        assert_eq!(kind(Some(arn), None), "wrong");
        assert_eq!(kind(Some("alias/lab"), Some(&given)), "wrong");
        Ok(())
    }
}
