//! A request in IAM's terms: names, documents and tags, computed before any call is made.

use crate::document::Document;
use crate::limits;
use crate::names::{Partition, PolicyArn, RoleArn};
use crate::owner::{self, Owner, TagKeys, Tags};
use crate::permissions::{self, Grants};
use crate::request::{Invalid, Problem, Request};
use crate::requested_tags;
use crate::volume::{AccessMode, Volume};

/// Everything about a role and its policy that a request decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blueprint {
    /// The custom resource that makes them.
    pub owner: Owner,
    /// The role; its ARN is also the physical resource ID.
    pub role: RoleArn,
    /// The policy.
    pub policy: PolicyArn,
    /// The permission policy.
    pub permissions: Document,
    /// The trust policy.
    pub trust: Document,
    /// The rest, as asked.
    pub request: Request,
}

impl Blueprint {
    /// Draws it; refuses documents that are larger than AWS takes.
    pub fn new(request: Request, owner: Owner) -> Result<Self, Invalid> {
        let role = RoleArn {
            partition: owner.stack.partition.clone(),
            account: owner.stack.account.clone(),
            path: request.path.clone(),
            name: request.role_name.clone(),
        };
        let permissions = permissions(&request, &role.partition);
        let trust = trust(&request);
        let sizes = [
            ("permission policy", permissions.to_json().len(), limits::MANAGED_POLICY),
            ("trust policy", trust.to_json().len(), limits::TRUST_POLICY),
        ];
        let problems: Vec<_> = sizes
            .into_iter()
            .filter(|(_, size, limit)| size > limit)
            .map(|(what, size, limit)| Problem::TooLarge { what, size, limit })
            .collect();
        if !problems.is_empty() {
            return Err(Invalid { problems });
        }
        Ok(Self { owner, policy: role.beside(&request.policy_name), role, permissions, trust, request })
    }

    /// Returns the tags that the role has to have, less [`owner::REPLACES`], which depends on what is there.
    #[must_use]
    pub fn role_tags(&self) -> Tags {
        let mut tags = self.requested_tags(TagKeys::OfRole);
        tags.extend(self.owner.tags());
        tags.insert(owner::POLICY.to_owned(), owner::policy_tag(self.request.policy_name.as_str()));
        tags
    }

    /// Returns the tags that were asked for, with the note of that.
    fn requested_tags(&self, of: TagKeys) -> Tags {
        let mut tags = self.request.requested_tags();
        if !tags.is_empty() {
            tags.insert(requested_tags::REQUESTED.to_owned(), requested_tags::digests(of, tags.keys()));
        }
        tags
    }

    /// Returns the tags that the policy has to have.
    #[must_use]
    pub fn policy_tags(&self) -> Tags {
        let mut tags = self.requested_tags(TagKeys::OfPolicy);
        tags.extend(self.owner.tags());
        tags.insert(owner::ROLE.to_owned(), owner::role_tag(&self.role.name));
        tags
    }
}

/// Returns the permission policy of a request, whoever makes the role.
#[must_use]
pub fn permissions(request: &Request, partition: &Partition) -> Document {
    let bucket = |volume: &Volume| format!("arn:{partition}:s3:::{}", volume.bucket);
    let objects = |volume: &Volume| match &volume.prefix {
        Some(prefix) => format!("{}/{prefix}/*", bucket(volume)),
        None => format!("{}/*", bucket(volume)),
    };
    let writes = |volume: &&Volume| volume.access == AccessMode::ReadWrite;
    let key = |volume: &Volume| volume.kms_key.as_ref().map(ToString::to_string);

    let volumes = &request.volumes;
    let is_listed_whole = |name: &str| {
        !request.restrict_listing || volumes.iter().any(|volume| bucket(volume) == name && volume.prefix.is_none())
    };
    let (whole, restricted): (Vec<_>, Vec<_>) =
        distinct(volumes.iter().map(bucket)).into_iter().partition(|name| is_listed_whole(name));
    let listed_under = |name: String| {
        let prefixes =
            volumes.iter().filter(|volume| bucket(volume) == name).filter_map(|volume| volume.prefix.as_ref());
        let patterns = distinct(prefixes.flat_map(|prefix| [prefix.to_string(), format!("{prefix}/*")]));
        (name, patterns)
    };
    let encrypt_keys = distinct(volumes.iter().filter(writes).filter_map(key));
    permissions::permissions(Grants {
        buckets: whole,
        listed_under: restricted.into_iter().map(listed_under).collect(),
        readable: distinct(volumes.iter().map(objects)),
        writable: distinct(volumes.iter().filter(writes).map(objects)),
        copy_sources: match volumes.iter().find(writes) {
            None => Vec::new(),
            Some(_) => {
                let sources = request.copy_buckets.iter();
                sources.map(|bucket| format!("arn:{partition}:s3:::{bucket}/*")).collect()
            }
        },
        decrypt_keys: {
            let keys = distinct(volumes.iter().filter(|volume| !writes(volume)).filter_map(key));
            keys.into_iter().filter(|key| !encrypt_keys.contains(key)).collect()
        },
        encrypt_keys,
        omit_acls: request.omit_object_acls,
    })
}

/// Returns the trust policy of a request.
#[must_use]
pub fn trust(request: &Request) -> Document {
    permissions::trust(request.trusted_principal.to_string(), request.external_id.as_ref().map(ToString::to_string))
}

/// Returns the texts in order of first appearance, each once.
fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    texts.filter(|text| seen.insert(text.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn blueprint(properties: &Value) -> Result<Blueprint, Box<dyn std::error::Error>> {
        let stack = "arn:aws:cloudformation:us-east-1:123456789012:stack/s/5e1b8ce0-0000".parse()?;
        let owner = Owner { stack, resource: "VolumeAccess".to_owned() };
        Ok(Blueprint::new(Request::parse(properties)?, owner)?)
    }

    /// One that is not noted would stay for ever once it is not asked for any more.
    #[test]
    fn every_tag_that_is_not_ours_is_noted_as_asked_for() -> Result<(), Box<dyn std::error::Error>> {
        let blueprint = blueprint(&json!({
            "RoleName": "r", "PolicyName": "p", "Path": "/lab/", "Volumes": [{"BucketName": "one-bucket"}],
            "ExternalId": "lab-1234", "Description": "for the lab", "Tags": ["team=a", "Cost Centre=4"],
            "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/b", "MaxSessionDuration": "7200",
            "RestrictListing": "true", "OmitObjectAcls": "true", "Checks": "Report", "ConfigureCors": "true",
        }))?;
        let both = [(TagKeys::OfRole, blueprint.role_tags()), (TagKeys::OfPolicy, blueprint.policy_tags())];
        for (of, tags) in both {
            let asked: Vec<_> = tags.keys().filter(|key| !key.starts_with(owner::RESERVED)).collect();
            assert_eq!(asked.len(), 2, "{tags:?}");
            assert!(asked.iter().all(|key| requested_tags::is_requested(of, &tags, key)), "{tags:?}");
        }
        Ok(())
    }

    #[test]
    fn volumes_share_statements() -> Result<(), Box<dyn std::error::Error>> {
        let blueprint = blueprint(&json!({"RoleName": "r", "ProjectLocations": ["us-west-2"], "Volumes": [
            {"BucketName": "one-bucket", "Prefix": "a", "AccessMode": "ReadWrite"},
            {"BucketName": "one-bucket", "Prefix": "b"},
            {"BucketName": "two-bucket"},
        ]}))?;
        assert_eq!(
            blueprint.permissions.to_value()["Statement"],
            json!([
                {"Sid": "GrantReadOnBuckets", "Effect": "Allow",
                 "Action": ["s3:ListBucket", "s3:GetBucketCORS", "s3:GetBucketLocation"],
                 "Resource": ["arn:aws:s3:::one-bucket", "arn:aws:s3:::two-bucket"]},
                {"Sid": "GrantReadOnObjects", "Effect": "Allow", "Action": ["s3:GetObject"],
                 "Resource": ["arn:aws:s3:::one-bucket/a/*", "arn:aws:s3:::one-bucket/b/*", "arn:aws:s3:::two-bucket/*"]},
                {"Sid": "GrantWriteOnObjects", "Effect": "Allow",
                 "Action": ["s3:PutObject", "s3:GetObjectAcl", "s3:PutObjectAcl", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
                 "Resource": ["arn:aws:s3:::one-bucket/a/*"]},
                {"Sid": "RequestReadOnCopySourceObjects", "Effect": "Allow", "Action": ["s3:GetObject"],
                 "Resource": ["arn:aws:s3:::sbg-main-us-west-2/*"]},
            ])
        );
        Ok(())
    }

    #[test]
    fn listing_is_restricted_by_bucket_unless_a_volume_is_the_whole_of_it() -> Result<(), Box<dyn std::error::Error>> {
        let blueprint = blueprint(&json!({"RoleName": "r", "RestrictListing": "true", "Volumes": [
            {"BucketName": "one-bucket", "Prefix": "a"}, {"BucketName": "one-bucket", "Prefix": "b/c"},
            {"BucketName": "two-bucket", "Prefix": "d"}, {"BucketName": "two-bucket"},
        ]}))?;
        let settings = json!(["s3:GetBucketCORS", "s3:GetBucketLocation"]);
        let prefixes = json!({"StringLike": {"s3:prefix": ["a", "a/*", "b/c", "b/c/*"]}});
        assert_eq!(
            blueprint.permissions.to_value()["Statement"].as_array().map(|all| all[..3].to_vec()),
            json!([
                {"Sid": "GrantReadOnBuckets", "Effect": "Allow", "Action": permissions::READ_BUCKETS,
                 "Resource": ["arn:aws:s3:::two-bucket"]},
                {"Sid": "GrantReadOnBucketSettings", "Effect": "Allow", "Action": settings,
                 "Resource": ["arn:aws:s3:::one-bucket"]},
                {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::one-bucket"],
                 "Condition": prefixes},
            ])
            .as_array()
            .cloned()
        );
        Ok(())
    }

    #[test]
    fn only_the_keys_of_read_write_volumes_encrypt() -> Result<(), Box<dyn std::error::Error>> {
        let key = |id: &str| format!("arn:aws:kms:us-east-1:123456789012:key/{id}");
        let kms = |volumes: Value| -> Result<Vec<Value>, Box<dyn std::error::Error>> {
            let document = blueprint(&json!({"RoleName": "r", "Volumes": volumes}))?.permissions.to_value();
            let statements = document["Statement"].as_array().cloned().unwrap_or_default();
            Ok(statements.into_iter().filter(|s| s["Action"].to_string().contains("kms:")).collect())
        };
        let reads = json!({"BucketName": "aaa", "KmsKeyArn": key("r")});
        let writes = json!({"BucketName": "bbb", "KmsKeyArn": key("w"), "AccessMode": "ReadWrite"});
        let use_of = |actions: Value, id: &str| json!({"Sid": "GrantUseOfKmsKeys", "Effect": "Allow", "Action": actions, "Resource": [key(id)]});
        assert_eq!(kms(json!([reads]))?, [use_of(json!(["kms:Decrypt"]), "r")]);
        assert_eq!(kms(json!([writes]))?, [use_of(json!(["kms:Decrypt", "kms:GenerateDataKey"]), "w")]);
        assert_eq!(
            kms(json!([reads, writes]))?,
            [
                use_of(json!(["kms:Decrypt", "kms:GenerateDataKey"]), "w"),
                json!({"Sid": "GrantDecryptWithKmsKeys", "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [key("r")]}),
            ]
        );
        Ok(())
    }

    #[test]
    fn a_document_larger_than_aws_takes_is_refused_before_any_call() {
        let volumes: Vec<_> =
            (0..60).map(|i| json!({"BucketName": format!("a-long-bucket-name-of-the-laboratory-{i}")})).collect();
        let said = blueprint(&json!({"RoleName": "r", "Volumes": volumes}))
            .map_err(|e| e.to_string())
            .err()
            .unwrap_or_default();
        assert!(
            said.contains("permission policy") && said.contains("6144") && said.contains("several stacks"),
            "{said}"
        );
    }

    #[test]
    fn a_long_external_id_still_fits_the_trust_policy() -> Result<(), Box<dyn std::error::Error>> {
        let blueprint =
            blueprint(&json!({"RoleName": "r", "ExternalId": "x".repeat(1224), "Volumes": [{"BucketName": "aaa"}]}))?;
        assert!(blueprint.trust.to_json().len() <= limits::TRUST_POLICY);
        Ok(())
    }
}
