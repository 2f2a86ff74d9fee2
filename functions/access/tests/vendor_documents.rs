//! Our documents mean what the documents of Cavatica's manual mean, for every variant the manual knows.
//!
//! `vendor/` holds the manual's four documents as they are printed there, placeholders included.

use cavatica_access::blueprint;
use cavatica_access::document::same_meaning;
use cavatica_access::request::Request;
use serde_json::{Value, json};

const READ_ONLY: &str = include_str!("vendor/read-only.json");
const READ_WRITE: &str = include_str!("vendor/read-write.json");
const TRUST: &str = include_str!("vendor/trust.json");
const TRUST_WITH_EXTERNAL_ID: &str = include_str!("vendor/trust-with-external-id.json");

#[test]
fn every_variant_of_the_manual_has_the_same_meaning() -> Result<(), Box<dyn std::error::Error>> {
    for (access, vendor) in [("ReadOnly", READ_ONLY), ("ReadWrite", READ_WRITE)] {
        for prefix in [None, Some("raw/2026")] {
            for (external_id, vendor_trust) in [(None, TRUST), (Some("lab-1234"), TRUST_WITH_EXTERNAL_ID)] {
                let mut properties =
                    json!({"RoleName": "r", "Volumes": [{"BucketName": "my-bucket", "AccessMode": access}]});
                if let Some(prefix) = prefix {
                    properties["Volumes"][0]["Prefix"] = json!(prefix);
                }
                if let Some(id) = external_id {
                    properties["ExternalId"] = json!(id);
                }
                let request = Request::parse(&properties)?;

                // The manual says to leave <ROOT> out for a whole bucket. Its "arn:aws:s3:::BUCKET" as the resource of
                // object actions would match nothing: IAM needs the objects, BUCKET/*.
                let root = prefix.map(|prefix| format!("/{prefix}")).unwrap_or_default();
                let vendor = vendor.replace("/<ROOT>", &root).replace("<BUCKET_NAME>", "my-bucket");
                let vendor: Value = serde_json::from_str(&vendor)?;
                let vendor_trust: Value = serde_json::from_str(&vendor_trust.replace("<EXTERNAL_ID>", "lab-1234"))?;

                let permissions = blueprint::permissions(&request, &"aws".parse()?).to_value();
                let trust = blueprint::trust(&request).to_value();
                assert!(same_meaning(&permissions, &vendor), "{properties}: {permissions:#}");
                assert!(same_meaning(&trust, &vendor_trust), "{properties}: {trust:#}");
            }
        }
    }
    Ok(())
}
