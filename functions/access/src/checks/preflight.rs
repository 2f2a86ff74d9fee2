//! Checks of buckets before anything is created: existence, owner, region, encryption.

use std::time::Duration;

use crate::blueprint::Blueprint;
use crate::checks::Finding;
use crate::names::RoleArn;
use crate::permissions;
use crate::port::{Failure, FailureKind};
use crate::volume::{AccessMode, BucketName, KmsKeyArn, Region, Volume};

/// Facts about a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Name of the bucket.
    pub bucket: BucketName,
    /// True if the old properties name it too. Then a denied read says nothing new about its owner.
    pub is_known: bool,
    /// Region.
    pub region: Result<Region, Failure>,
    /// The key that it encrypts new objects with, if that needs a permission: an ARN, an ID or an alias.
    pub key: Result<Option<String>, Failure>,
}

impl Facts {
    /// Of a bucket of which nothing could be found out in the time there was.
    #[must_use]
    pub fn unknown(bucket: &BucketName, limit: Duration) -> Self {
        let late = Failure {
            kind: FailureKind::Connection,
            code: "TimedOut".to_owned(),
            message: format!("S3 took longer than {} s", limit.as_secs()),
            request_id: None,
        };
        Self { bucket: bucket.clone(), is_known: false, region: Err(late), key: Ok(None) }
    }
}

/// Returns the findings about the buckets of a request.
#[must_use]
pub fn judge(blueprint: &Blueprint, facts: &[Facts]) -> Vec<Finding> {
    let volumes = &blueprint.request.volumes;
    let of_buckets = facts.iter().flat_map(|facts| {
        let of_it: Vec<_> = volumes.iter().filter(|volume| volume.bucket == facts.bucket).collect();
        let mut findings = Vec::new();
        findings.extend(existence(blueprint, facts, &of_it));
        if let Ok(region) = &facts.region {
            findings.extend(place(&blueprint.request.platform, facts, region));
            findings.extend(encryption(blueprint, facts, region, &of_it));
        }
        findings
    });
    of_buckets.chain(foreign_keys(blueprint)).collect()
}

/// Returns the findings about keys of another account, whose key policies cannot be read from here.
fn foreign_keys(blueprint: &Blueprint) -> Vec<Finding> {
    let volumes = &blueprint.request.volumes;
    let is_foreign = |key: &&KmsKeyArn| key.account() != blueprint.role.account.as_str();
    let mut keys: Vec<_> = volumes.iter().filter_map(|volume| volume.kms_key.as_ref()).filter(is_foreign).collect();
    keys.sort_unstable();
    keys.dedup();
    let finding = |key: &KmsKeyArn| {
        let with_it = volumes.iter().filter(|volume| volume.kms_key.as_ref() == Some(key));
        let access = with_it.map(|volume| volume.access).max().unwrap_or(AccessMode::ReadOnly);
        let through = format!("s3.{}.amazonaws.com", key.region());
        let statement =
            permissions::key_policy(&blueprint.request.platform, blueprint.role.to_string(), through, access);
        Finding::reported(format!(
            "KMS key {key} is account {}'s, and only there can be seen whether its key policy lets the role in. It has to have this \
             statement: {}.",
            key.account(),
            serde_json::to_string(&statement).unwrap_or_default()
        ))
    };
    keys.into_iter().map(finding).collect()
}

/// Checks existence and owner.
fn existence(blueprint: &Blueprint, facts: &Facts, volumes: &[&Volume]) -> Option<Finding> {
    let bucket = &facts.bucket;
    let role = &blueprint.role;
    let owner = volumes.iter().find_map(|volume| volume.bucket_owner.as_ref());
    match (&facts.region, owner) {
        (Ok(_), None) => None,
        (Ok(_), Some(owner)) => Some(Finding::reported(format!(
            "Bucket {bucket} belongs to account {owner}, whose bucket policy has to allow {role} what the role's policy does; it \
             cannot be seen from here whether it does."
        ))),
        (Err(failure), _) if failure.kind == FailureKind::NotFound => Some(Finding::fails(format!(
            "Bucket {bucket} does not exist. Check BucketName letter by letter against the list of buckets in the S3 console."
        ))),
        (Err(failure), Some(owner)) if failure.kind == FailureKind::Denied => Some(Finding::reported(format!(
            "Bucket {bucket} could not be looked at from here: if account {owner} owns it, its bucket policy has to allow {role} what \
             the role's policy does; if not, correct BucketOwnerAccountId."
        ))),
        (Err(failure), None) if failure.kind == FailureKind::Denied && !facts.is_known => {
            Some(Finding::fails(format!(
                "Bucket {bucket} is not one that this account may use (s3:GetBucketLocation was answered with {failure}): most likely it \
             belongs to another account. Check BucketName; if another account shares it with you, set BucketOwnerAccountId to that \
             account's ID and have its owner allow {role} in the bucket policy; if it is yours, a bucket policy or your organisation \
             forbids the function that look."
            )))
        }
        (Err(failure), _) => Some(Finding::reported(format!("Bucket {bucket} could not be checked: {failure}."))),
    }
}

/// Checks the region, which S3's global endpoint has to serve.
fn place(platform: &str, facts: &Facts, region: &Region) -> Option<Finding> {
    let bucket = &facts.bucket;
    region.is_opt_in().then(|| {
        Finding::fails(format!(
            "Bucket {bucket} is in {region}, a region that accounts have to opt in to: S3's global endpoint, which {platform}'s volumes \
             use, does not serve it. Use a bucket in another region; or, if {platform}'s support confirms that it works, set Checks \
             to Report and give the volume the endpoint s3.{region}.amazonaws.com."
        ))
    })
}

/// Checks the key, which the role has to be allowed to use.
fn encryption(blueprint: &Blueprint, facts: &Facts, region: &Region, volumes: &[&Volume]) -> Vec<Finding> {
    let bucket = &facts.bucket;
    let named: Vec<&KmsKeyArn> = volumes.iter().filter_map(|volume| volume.kms_key.as_ref()).collect();
    let mut findings: Vec<_> = named
        .iter()
        .filter(|key| key.region() != region.as_str())
        .map(|key| {
            Finding::fails(format!(
                "KmsKeyArn {key} is in {}, but bucket {bucket} is in {region}, and S3 uses only keys of a bucket's own region: set \
                 KmsKeyArn to the key there.",
                key.region()
            ))
        })
        .collect();
    findings.extend(match &facts.key {
        Ok(Some(key)) => {
            let id = key.rsplit_once("key/").map_or(key.as_str(), |(_, id)| id);
            let is_named = named.iter().any(|named| named.as_str().ends_with(&format!(":key/{id}")));
            (!is_named).then(|| unnamed(blueprint, bucket, region, key))
        }
        Ok(None) => named.first().map(|key| {
            Finding::reported(format!(
                "Bucket {bucket} does not encrypt new objects with {key}: that is right only if the key is named for each object."
            ))
        }),
        // Another account's is not shown.
        Err(_) if volumes.iter().any(|volume| volume.bucket_owner.is_some()) => None,
        Err(failure) => Some(Finding::reported(format!(
            "The encryption of bucket {bucket} could not be read ({failure}): if it uses a KMS key, KmsKeyArn has to be its ARN."
        ))),
    });
    findings
}

/// Says which key is missing, with the value to set.
fn unnamed(blueprint: &Blueprint, bucket: &BucketName, region: &Region, key: &str) -> Finding {
    let RoleArn { partition, account, .. } = &blueprint.role;
    let platform = &blueprint.request.platform;
    let says = format!("Bucket {bucket} encrypts new objects with the KMS key {key}, which {platform} may not use");
    Finding::fails(if key.contains("alias/") {
        format!(
            "{says}. It is an alias: set KmsKeyArn to what `aws kms describe-key --region {region} --key-id {key} --query \
             KeyMetadata.Arn --output text` prints."
        )
    } else if key.starts_with("arn:") {
        format!("{says}: set KmsKeyArn to {key}.")
    } else {
        format!("{says}: set KmsKeyArn to arn:{partition}:kms:{region}:{account}:key/{key}.")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::told;
    use crate::owner::Owner;
    use crate::request::Request;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    const FOREIGN_KEY: &str = "arn:aws:kms:us-east-1:210987654321:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn failure(kind: FailureKind) -> Failure {
        Failure { kind, code: "Code".to_owned(), message: "message".to_owned(), request_id: None }
    }

    fn judged(
        volume: Value,
        region: Result<&str, FailureKind>,
        key: Result<Option<&str>, FailureKind>,
    ) -> Result<(bool, String), Box<dyn std::error::Error>> {
        let mut volume = volume;
        if volume["BucketName"].is_null() {
            volume["BucketName"] = json!("my-bucket");
        }
        let bucket = volume["BucketName"].as_str().unwrap_or_default().parse()?;
        let stack = "arn:aws:cloudformation:us-east-1:123456789012:stack/s/5e1b8ce0-0000".parse()?;
        let owner = Owner { stack, resource: "VolumeAccess".to_owned() };
        let request = Request::parse(&json!({"RoleName": "cavatica", "Volumes": [volume.clone()]}))?;
        let blueprint = Blueprint::new(request, owner)?;
        let facts = Facts {
            bucket,
            is_known: volume["BucketName"] == "known-bucket",
            region: match region {
                Ok(region) => Ok(region.parse()?),
                Err(kind) => Err(failure(kind)),
            },
            key: key.map(|key| key.map(str::to_owned)).map_err(failure),
        };
        let findings = judge(&blueprint, &[facts]);
        Ok((findings.iter().any(Finding::is_failure), told(&findings)))
    }

    #[test]
    fn each_finding_names_the_thing_and_the_remedy() -> Outcome {
        type Row<'a> = (Value, Result<&'a str, FailureKind>, Result<Option<&'a str>, FailureKind>, bool, &'a [&'a str]);
        let here = Ok("us-east-1");
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        let shared = json!({"BucketOwnerAccountId": "210987654321"});
        let with_key = json!({"KmsKeyArn": KEY});
        let table: &[Row] = &[
            (json!({}), here, Ok(None), false, &["none"]),
            (json!({}), Err(FailureKind::NotFound), Ok(None), true, &["my-bucket does not exist", "Check BucketName"]),
            (
                json!({}),
                Err(FailureKind::Denied),
                Ok(None),
                true,
                &["another account", "BucketOwnerAccountId", "bucket policy"],
            ),
            (
                json!({"BucketName": "known-bucket"}),
                Err(FailureKind::Denied),
                Ok(None),
                false,
                &["known-bucket could not be checked"],
            ),
            (
                shared.clone(),
                here,
                Ok(None),
                false,
                &["210987654321", "bucket policy has to allow arn:aws:iam::123456789012:role/cavatica"],
            ),
            (shared.clone(), Err(FailureKind::Denied), Ok(None), false, &["bucket policy", "BucketOwnerAccountId"]),
            (shared, here, Err(FailureKind::Denied), false, &["bucket policy has to allow"]),
            (json!({}), Err(FailureKind::Connection), Ok(None), false, &["could not be checked", "Code: message"]),
            (json!({}), Ok("me-south-1"), Ok(None), true, &["me-south-1", "opt in", "s3.me-south-1.amazonaws.com"]),
            (json!({}), here, Ok(Some(KEY)), true, &[&format!("set KmsKeyArn to {KEY}")]),
            (json!({}), here, Ok(Some(id)), true, &[&format!("set KmsKeyArn to {KEY}")]),
            (
                json!({}),
                here,
                Ok(Some("alias/lab")),
                true,
                &["It is an alias", "aws kms describe-key --region us-east-1 --key-id alias/lab"],
            ),
            (with_key.clone(), here, Ok(Some(KEY)), false, &["none"]),
            (with_key.clone(), here, Ok(Some(id)), false, &["none"]),
            (with_key.clone(), here, Ok(None), false, &["does not encrypt new objects with"]),
            (with_key, Ok("eu-west-1"), Ok(Some(KEY)), true, &["is in us-east-1", "bucket my-bucket is in eu-west-1"]),
            (json!({}), here, Err(FailureKind::Denied), false, &["The encryption of bucket", "KmsKeyArn"]),
            (
                json!({"KmsKeyArn": FOREIGN_KEY}),
                here,
                Ok(Some(FOREIGN_KEY)),
                false,
                &[
                    "account 210987654321's",
                    r#""Principal":{"AWS":"arn:aws:iam::123456789012:role/cavatica"}"#,
                    "kms:Decrypt",
                ],
            ),
        ];
        for (volume, region, key, fails, parts) in table {
            let (is_failure, said) = judged(volume.clone(), *region, *key)?;
            assert_eq!(is_failure, *fails, "{said}");
            for part in *parts {
                assert!(said.contains(part), "{part} is not in: {said}");
            }
        }
        Ok(())
    }
}
