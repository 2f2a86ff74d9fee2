//! The two IAM documents alone, exactly as the Lambda would create them: for those who follow the manual procedure.

use std::collections::BTreeMap;

use cavatica_access::blueprint;
use cavatica_access::limits;
use cavatica_access::names::{Partition, RoleArn};
use cavatica_access::owner::Tags;
use cavatica_access::permissions;
use cavatica_access::platform::{self, Platform};
use cavatica_access::request::{Checks, ExternalId, Request};
use cavatica_access::volume::{AccessMode, BucketName, KmsKeyArn, Prefix, Volume};
use serde_json::{Value, json};

/// Subject of the documents.
#[derive(Debug, Clone)]
pub struct Subject {
    /// At least one.
    pub volumes: Vec<Volume>,
    /// Platform that uses them.
    pub platform: Platform,
    /// Regions of the projects; all of the platform's when empty.
    pub locations: Vec<String>,
    /// External ID that the platform has to give.
    pub external_id: Option<ExternalId>,
    /// Principal in place of the platform's.
    pub trusted_principal: Option<RoleArn>,
    /// Partition of the buckets.
    pub partition: Partition,
    /// True if only names under the volumes' prefixes may be listed.
    pub restrict_listing: bool,
    /// True if the platform gets no rights on objects' ACLs.
    pub omit_object_acls: bool,
}

/// Why there are no documents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentsError {
    /// A document is larger than AWS takes.
    #[error("the {what} would have {size} characters but AWS takes at most {limit}: ask for fewer volumes at once")]
    TooLarge {
        /// Which.
        what: &'static str,
        /// In characters.
        size: usize,
        /// In characters.
        limit: usize,
    },
    /// A principal or key of another partition means nothing.
    #[error(
        "{what} {arn} is not in partition {partition}, and nothing reaches from one partition to another: {remedy}"
    )]
    OtherPartition {
        /// Name of the value.
        what: &'static str,
        /// Its ARN.
        arn: String,
        /// The remedy, as a sentence.
        remedy: String,
        /// Required partition.
        partition: Partition,
    },
    /// A prefix that was copied with its bucket.
    #[error("the prefix {prefix} must be {rule}")]
    Prefix {
        /// As it was given.
        prefix: Prefix,
        /// The rule that it breaks.
        rule: String,
    },
    /// The platform has no projects there.
    #[error("--location {0} is not one of {1}, the regions where {2} runs projects")]
    Location(String, String, String),
    /// Never, as long as the constants of this program are right.
    #[error("{0} is not a valid name: this is an error of cavatica-connect; please report it")]
    Constant(&'static str),
}

/// Returns the parties who may assume the role of a stack with these parameters, in words: the external ID is in no
/// text.
#[must_use]
pub fn trust_of_stack(platform: &Platform, parameters: &BTreeMap<String, String>) -> String {
    let name = &platform.name;
    let condition = match parameters.get("ExternalId").map_or("auto", String::as_str) {
        "none" => &format!("without an external ID: any other user of {name} could name this role too"),
        "auto" => "with an external ID that the stack makes",
        _ => "with the external ID that is given",
    };
    format!("{}, {condition}", platform.principal)
}

/// `{"permissions": …, "trust": …}`, and where there are KMS keys `"keyPolicyStatements": [{"key": …, "statement":
/// …}]`: what a key's policy needs where it does not leave permissions to IAM.
pub fn documents(subject: Subject) -> Result<Value, DocumentsError> {
    for volume in &subject.volumes {
        if let Some(prefix) = &volume.prefix {
            let wrong = |rule| DocumentsError::Prefix { prefix: prefix.clone(), rule };
            prefix.check_beside(&volume.bucket).map_err(wrong)?;
        }
    }
    let locations = &subject.platform.locations;
    let is_known = |region: &&String| locations.iter().any(|location| location.region == **region);
    if let Some(unknown) = subject.locations.iter().find(|region| !is_known(region)) {
        let name = subject.platform.name.to_string();
        return Err(DocumentsError::Location(unknown.clone(), platform::regions(locations), name));
    }
    let constant = |name| move |_| DocumentsError::Constant(name);
    let request = Request {
        // Neither name is in the documents.
        role_name: "cavatica".parse().map_err(constant("cavatica"))?,
        policy_name: "cavatica".parse().map_err(constant("cavatica"))?,
        path: Default::default(),
        volumes: subject.volumes,
        copy_buckets: platform::copy_buckets(&subject.platform.locations, &subject.locations),
        platform: subject.platform.name.to_string(),
        cors_origin: subject.platform.web.to_string(),
        trusted_principal: match subject.trusted_principal {
            Some(principal) => principal,
            None => subject.platform.principal.parse().map_err(constant("the platform's principal"))?,
        },
        external_id: subject.external_id,
        permissions_boundary: None,
        max_session_duration: *limits::SESSION_SECONDS.start(),
        description: None,
        tags: Tags::new(),
        restrict_listing: subject.restrict_listing,
        omit_object_acls: subject.omit_object_acls,
        checks: Checks::Off,
        configure_cors: false,
    };
    let partition = &subject.partition;
    let key = request.volumes.iter().filter_map(|volume| volume.kms_key.as_ref());
    let key = key.map(|key| ("the KMS key", key.to_string(), format!("name a key in {partition}")));
    let pass = format!("pass --trusted-principal with a role in {partition}");
    let named = key.chain([("the trusted role", request.trusted_principal.to_string(), pass)]);
    for (what, arn, remedy) in named {
        if !arn.starts_with(&format!("arn:{partition}:")) {
            return Err(DocumentsError::OtherPartition { what, arn, remedy, partition: subject.partition });
        }
    }
    let permissions = blueprint::permissions(&request, &subject.partition);
    let trust = blueprint::trust(&request);
    for (what, document, limit) in
        [("permission policy", &permissions, limits::MANAGED_POLICY), ("trust policy", &trust, limits::TRUST_POLICY)]
    {
        let size = document.to_json().len();
        if size > limit {
            return Err(DocumentsError::TooLarge { what, size, limit });
        }
    }
    let mut documents = json!({"permissions": permissions, "trust": trust});
    let statement = |volume| key_policy_statement(&subject.platform, volume);
    let statements: Vec<_> = request.volumes.iter().filter_map(statement).collect();
    if !statements.is_empty() {
        documents["keyPolicyStatements"] = Value::from(statements);
    }
    Ok(documents)
}

/// Returns the statement for the policy of a volume's key. The role has no ARN yet.
fn key_policy_statement(platform: &Platform, volume: &Volume) -> Option<Value> {
    let key = volume.kms_key.as_ref()?;
    let through = format!("s3.{}.amazonaws.com", key.region());
    let statement = permissions::key_policy(&platform.name, "ARN-OF-THE-ROLE".to_owned(), through, volume.access);
    Some(json!({"key": key.as_str(), "statement": statement}))
}

/// Reads `BUCKET[/PREFIX][:ro|:rw]`.
pub fn read_volume(text: &str) -> Result<Volume, String> {
    let text = text.trim();
    if text.contains("://") || text.get(..4).is_some_and(|start| ["s3:/", "arn:"].contains(&&*start.to_lowercase())) {
        return Err("must be BUCKET/PREFIX without an address or ARN, such as my-bucket/raw:rw".to_owned());
    }
    let (place, access) = match text.rsplit_once(':') {
        None => (text, AccessMode::ReadOnly),
        Some((place, "ro")) => (place, AccessMode::ReadOnly),
        Some((place, "rw")) => (place, AccessMode::ReadWrite),
        // A colon further in front belongs to the prefix.
        Some((_, rest)) if rest.contains('/') => (text, AccessMode::ReadOnly),
        Some((_, other)) => return Err(format!("\"{other}\" after the colon is unknown: write :ro or :rw")),
    };
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let bucket: BucketName = bucket.parse().map_err(|rule| format!("the bucket must be {rule}"))?;
    let prefix = Prefix::read(prefix).map_err(|rule| format!("the prefix must be {rule}"))?;
    Ok(Volume { bucket, prefix, access, kms_key: None::<KmsKeyArn>, bucket_owner: None })
}

#[cfg(test)]
mod tests {
    use cavatica_access::platform::CAVATICA;

    use super::*;

    #[test]
    fn the_trust_is_told_without_the_external_id() {
        for (given, expected) in [
            (None, "with an external ID that the stack makes"),
            (Some("auto"), "with an external ID that the stack makes"),
            (Some("none"), "without an external ID"),
            (Some("lab-secret-1234"), "with the external ID that is given"),
        ] {
            let parameters = given.map(|given| ("ExternalId".to_owned(), given.to_owned())).into_iter().collect();
            let told = trust_of_stack(&CAVATICA, &parameters);
            assert!(told.starts_with(CAVATICA.principal.as_ref()) && told.contains(expected), "{told}");
            assert!(!told.contains("lab-secret"), "{told}");
        }
    }

    #[test]
    fn a_volume_is_a_bucket_a_prefix_and_a_mode() {
        for (text, bucket, prefix, access) in [
            ("my-bucket", "my-bucket", None, AccessMode::ReadOnly),
            ("my-bucket/raw/2026/:rw", "my-bucket", Some("raw/2026"), AccessMode::ReadWrite),
            ("my-bucket:ro", "my-bucket", None, AccessMode::ReadOnly),
        ] {
            let volume = read_volume(text).map(|v| (v.bucket.to_string(), v.prefix.map(|p| p.to_string()), v.access));
            assert_eq!(volume, Ok((bucket.to_owned(), prefix.map(str::to_owned), access)));
        }
        assert!(read_volume("My-Bucket").is_err_and(|said| said.contains("bucket")));
        assert!(read_volume("my-bucket:rx").is_err_and(|said| said.contains("write :ro or :rw")));
        assert!(read_volume("my-bucket/a*").is_err_and(|said| said.contains("prefix")));
    }
}
