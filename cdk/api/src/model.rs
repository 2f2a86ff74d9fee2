//! Requests and answers of the API. Fields that are not needed here are ignored, and absent ones mean unknown.

use std::fmt;

use cavatica_aws::http::Secret;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// ID of a volume, `OWNER/NAME`. Existing ones are not checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct VolumeId(String);

impl VolumeId {
    /// Returns the ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for VolumeId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<_> = text.split('/').collect();
        match parts.as_slice() {
            [owner, name] if !owner.is_empty() && !name.is_empty() => Ok(Self(text.to_owned())),
            _ => Err("OWNER/NAME, such as lab/genomics_data"),
        }
    }
}

/// Mode of a volume: read-only or read-write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Mode {
    /// Read-only.
    #[serde(rename = "RO", alias = "ro")]
    ReadOnly,
    /// Read-write.
    #[serde(rename = "RW", alias = "rw")]
    ReadWrite,
}

impl Mode {
    /// Returns the mode as the API spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "RO",
            Self::ReadWrite => "RW",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read-only",
            Self::ReadWrite => "read-write",
        })
    }
}

/// Volume.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Volume {
    /// ID.
    pub id: VolumeId,
    /// Mode.
    #[serde(default)]
    pub access_mode: Option<Mode>,
    /// Bucket and credentials; absent for members who are not owners.
    #[serde(default)]
    pub service: Option<Service>,
    /// False if the volume is deactivated.
    #[serde(default)]
    pub active: Option<bool>,
}

/// Storage behind a volume.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Service {
    /// Kind, `S3` in upper case in answers.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Bucket.
    #[serde(default)]
    pub bucket: Option<String>,
    /// Prefix, without a slash at its end.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Credentials, as far as the API returns them.
    #[serde(default)]
    pub credentials: Option<ServiceCredentials>,
}

/// Credentials of a volume, as far as the API returns them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ServiceCredentials {
    /// ARN of the role.
    #[serde(default)]
    pub role_arn: Option<String>,
    /// External ID.
    #[serde(default, deserialize_with = "secret")]
    pub external_id: Option<Secret>,
    /// ID of an IAM user's key.
    #[serde(default)]
    pub access_key_id: Option<String>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}

impl Volume {
    /// Returns bucket and prefix, the prefix without slashes at its ends; `None` if the API does not say.
    #[must_use]
    pub fn place(&self) -> Option<(&str, &str)> {
        let service = self.service.as_ref()?;
        Some((service.bucket.as_deref()?, service.prefix.as_deref().unwrap_or_default().trim_matches('/')))
    }

    /// Returns the ARN of the role, if the API says.
    #[must_use]
    pub fn role_arn(&self) -> Option<&str> {
        self.service.as_ref()?.credentials.as_ref()?.role_arn.as_deref()
    }

    /// Returns the external ID, if the API says.
    #[must_use]
    pub fn external_id(&self) -> Option<&Secret> {
        self.service.as_ref()?.credentials.as_ref()?.external_id.as_ref()
    }
}

/// Volume to create.
#[derive(Debug, Clone)]
pub struct NewVolume {
    /// Name, see [`is_name`].
    pub name: String,
    /// Description.
    pub description: String,
    /// Mode.
    pub mode: Mode,
    /// Bucket.
    pub bucket: String,
    /// Prefix; empty for the whole bucket.
    pub prefix: String,
    /// ARN of the role.
    pub role_arn: String,
    /// External ID.
    pub external_id: Option<Secret>,
    /// ARN of the KMS key that encrypts the bucket.
    pub kms_key: Option<String>,
}

/// Returns role and external ID as the API takes them.
#[must_use]
pub fn credentials(role_arn: &str, external_id: Option<&Secret>) -> Value {
    let mut credentials = json!({"role_arn": role_arn});
    if let Some(id) = external_id {
        credentials["external_id"] = json!(id.reveal());
    }
    credentials
}

impl NewVolume {
    /// Returns the body of the request. It contains the external ID.
    #[must_use]
    pub fn body(&self) -> Value {
        let properties = match &self.kms_key {
            Some(key) => json!({"sse_algorithm": "aws:kms", "sse_aws_kms_key_id": key}),
            None => json!({"sse_algorithm": "AES256"}),
        };
        let mut service = json!({
            "type": "s3", "bucket": self.bucket, "endpoint": "s3.amazonaws.com", "properties": properties,
            "credentials": credentials(&self.role_arn, self.external_id.as_ref()),
        });
        if !self.prefix.is_empty() {
            service["prefix"] = json!(self.prefix);
        }
        json!({"name": self.name, "description": self.description, "access_mode": self.mode.name(), "service": service})
    }
}

/// True if a text can be the name of a new volume.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (3..=32).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Returns a volume's name for a bucket, with the end of a hash of `distinct` if given, for a name that is taken.
#[must_use]
pub fn name_for(bucket: &str, distinct: Option<&str>) -> String {
    const LONGEST: usize = 31;
    const HASH: usize = 6;
    let plain: String = bucket.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let cut = |length: usize| plain.chars().take(length).collect::<String>().trim_end_matches('_').to_owned();
    let name = match distinct {
        None => cut(LONGEST),
        Some(text) => {
            // FNV-1a, to tell names apart. Source: RFC 9923.
            let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
            format!("{}_{:06x}", cut(LONGEST - HASH - 1), (hash ^ (hash >> 24)) & 0xff_ffff)
        }
    };
    format!("{name:_<3}")
}

/// User of a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Name.
    pub username: String,
}

/// Object or folder of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Item {
    /// Location, relative to the volume's prefix.
    pub location: String,
}

/// Folder of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Folder {
    /// Prefix, relative to the volume's.
    pub prefix: String,
}

/// One level of a volume's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Listing {
    /// Objects.
    #[serde(default)]
    pub items: Vec<Item>,
    /// Folders.
    #[serde(default)]
    pub prefixes: Vec<Folder>,
    /// Addresses of further pages.
    #[serde(default)]
    pub links: Vec<NextLink>,
}

/// Link of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NextLink {
    /// Address of the next page.
    pub next: Option<String>,
}

/// Link of a collection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Link {
    /// Relation, such as `next`.
    #[serde(default)]
    pub rel: String,
    /// Address.
    #[serde(default)]
    pub href: String,
}

/// Page of a collection.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub struct Page<T> {
    /// Items.
    #[serde(default = "Vec::new")]
    pub items: Vec<T>,
    /// Links, among them the next page.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// Import or export, as far as it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Transfer {
    /// ID.
    pub id: String,
}

/// Project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Project {
    /// ID, `OWNER/NAME`.
    pub id: String,
}

/// File or folder of a project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct File {
    /// ID.
    pub id: String,
    /// `file` or `folder`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Storage of the content.
    #[serde(default)]
    pub storage: Option<Storage>,
}

/// Storage of a file's content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Storage {
    /// `VOLUME` or `PLATFORM`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Volume.
    #[serde(default)]
    pub volume: Option<VolumeId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_platforms_rule_for_any_bucket() {
        for (bucket, expected) in [
            ("my-bucket", "my_bucket"),
            ("a.b-c", "a_b_c"),
            ("abc-", "abc"),
            ("this-is-a-bucket-with-a-very-long-name-indeed", "this_is_a_bucket_with_a_very_lo"),
            ("this-is-a-bucket-with-a-very-l--x", "this_is_a_bucket_with_a_very_l"),
        ] {
            let (plain, distinct) = (name_for(bucket, None), name_for(bucket, Some("raw")));
            assert_eq!(plain, expected);
            assert!(is_name(&plain) && is_name(&distinct) && distinct != plain, "{plain} {distinct}");
            assert_ne!(distinct, name_for(bucket, Some("cooked")));
        }
        assert!(!is_name("a-b") && !is_name("ab") && !is_name(&"a".repeat(33)));
    }

    #[test]
    fn a_volume_is_read_with_unknown_and_without_optional_fields() -> Result<(), serde_json::Error> {
        let owner: Volume = serde_json::from_str(
            r#"{"href":"x","id":"lab/my_bucket","name":"my_bucket","access_mode":"RW","active":true,"new":1,
                "service":{"type":"S3","bucket":"my-bucket","prefix":"raw/2026","credentials":{"role_arn":"arn","external_id":"secret-1"}}}"#,
        )?;
        assert_eq!((owner.place(), owner.role_arn()), (Some(("my-bucket", "raw/2026")), Some("arn")));
        assert!(!format!("{owner:?}").contains("secret-1"), "{owner:?}");
        let member: Volume = serde_json::from_str(r#"{"id":"lab/other"}"#)?;
        assert_eq!((member.place(), member.access_mode, member.active), (None, None, None));
        Ok(())
    }
}
