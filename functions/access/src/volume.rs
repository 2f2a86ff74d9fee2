//! A volume: the part of one bucket that Cavatica gets to see, and how.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::Serialize;

use crate::copied;
use crate::limits;
use crate::names::{AccountId, Partition, Rule, text};

/// Part of a bucket that Cavatica may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The bucket.
    pub bucket: BucketName,
    /// Prefix of its objects; the whole bucket when absent.
    pub prefix: Option<Prefix>,
    /// The access mode.
    pub access: AccessMode,
    /// The customer managed KMS key that encrypts the bucket, if one does.
    pub kms_key: Option<KmsKeyArn>,
    /// The account that owns the bucket when it is not the stack's own.
    pub bucket_owner: Option<AccountId>,
}

/// The rights of Cavatica on a volume's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum AccessMode {
    /// List and read.
    ReadOnly,
    /// List, read and write.
    ReadWrite,
}

impl AccessMode {
    /// The rule in words.
    pub const RULE: Rule = "ReadOnly or ReadWrite, spelled like that";

    /// Both modes, as they are spelled in properties and parameters.
    pub const ALL: [(Self, &str); 2] = [(Self::ReadOnly, "ReadOnly"), (Self::ReadWrite, "ReadWrite")];

    /// Returns the mode as it is spelled there.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => Self::ALL[0].1,
            Self::ReadWrite => Self::ALL[1].1,
        }
    }
}

impl FromStr for AccessMode {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(mode, _)| *mode).ok_or(Self::RULE)
    }
}

text! {
    /// The name of a general purpose bucket, by the S3 rules.
    BucketName
}

impl BucketName {
    /// The rule in words. Source: S3, "General purpose bucket naming rules".
    pub const RULE: Rule = "a bucket's name: 3 to 63 lower case letters, digits, dots and hyphens, \
         a letter or digit at both ends, no two dots side by side, not an IP address and none of S3's reserved forms";
    /// The part of the rule that a pattern can see, for CloudFormation, without anchors.
    pub const PATTERN: &str = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]";

    /// Beginnings that S3 keeps for itself.
    pub const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
    /// Endings of access point aliases, object Lambda aliases, multi-region access points, directory and table buckets.
    pub const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

    /// Reads a bucket's name; says of one that was copied with something else what to give instead.
    pub fn read(text: &str) -> Result<Self, Cow<'static, str>> {
        text.parse().map_err(|rule| copied::instead_of_bucket(text).map_or(Cow::Borrowed(rule), Cow::Owned))
    }
}

impl FromStr for BucketName {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let fits = (3..=63).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-')
            && is_edge(text.chars().next())
            && is_edge(text.chars().last())
            && !text.contains("..")
            && text.parse::<Ipv4Addr>().is_err()
            && !Self::RESERVED_PREFIXES.iter().any(|reserved| text.starts_with(reserved))
            && !Self::RESERVED_SUFFIXES.iter().any(|reserved| text.ends_with(reserved));
        fits.then(|| Self(text.to_owned())).ok_or(Self::RULE)
    }
}

text! {
    /// An AWS region, such as `us-east-1`.
    Region
}

impl Region {
    /// The rule in words.
    pub const RULE: Rule = "an AWS region, such as us-east-1";

    /// The regions that every account has. All others, and every new one since March 2019, have to be opted in to, and
    /// S3's global endpoint does not serve them. Source: "AWS Regions", Account Management Reference; S3, "Request
    /// redirection and the REST API".
    const OF_EVERY_ACCOUNT: [&str; 17] = [
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ca-central-1",
        "eu-central-1",
        "eu-north-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    ];

    /// True if an account has to opt in to it.
    #[must_use]
    pub fn is_opt_in(&self) -> bool {
        !Self::OF_EVERY_ACCOUNT.contains(&self.as_str())
    }
}

impl FromStr for Region {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let is_word =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let fits = text.split('-').count() >= 3 && text.split('-').all(is_word);
        fits.then(|| Self(text.to_owned())).ok_or(Self::RULE)
    }
}

text! {
    /// A prefix in a bucket, without slashes at its ends and never empty.
    Prefix
}

impl Prefix {
    /// The rule in words. IAM would read `*`, `?` and `${` in a resource as patterns and open more than one folder.
    pub const RULE: Rule = "a prefix in the bucket without *, ? and ${ (IAM would read them as patterns) \
         and without control characters, at most 1,024 bytes";
    /// Reads a prefix as people write it: slashes at its ends do not count, and nothing left is the whole bucket. Says
    /// of one that was copied with something else what to give instead.
    pub fn read(text: &str) -> Result<Option<Self>, Cow<'static, str>> {
        if let Some(instead) = copied::instead_of_prefix(text) {
            return Err(Cow::Owned(instead));
        }
        let trimmed = text.trim_matches('/');
        if !Self::fits(trimmed) {
            return Err(Cow::Borrowed(Self::RULE));
        }
        Ok((!trimmed.is_empty()).then(|| Self(trimmed.to_owned())))
    }

    /// True if a text follows [`Self::RULE`].
    #[must_use]
    pub fn fits(text: &str) -> bool {
        let is_pattern = text.contains(['*', '?']) || text.contains("${");
        !is_pattern && text.len() <= limits::PREFIX && !text.chars().any(char::is_control)
    }

    /// Refuses a prefix that begins with its bucket's own name, as one does that was copied with it.
    pub fn check_beside(&self, bucket: &BucketName) -> Result<(), String> {
        copied::instead_of_prefix_in(bucket, self).map_or(Ok(()), Err)
    }
}

text! {
    /// The ARN of a KMS key (not of an alias: a policy's resource has to be the key).
    KmsKeyArn
}

impl KmsKeyArn {
    /// The rule in words. Source: KMS, "Using IAM policies": an alias in `Resource` is the alias, not its key.
    pub const RULE: Rule = "the ARN of a KMS key, such as \
         arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab (an alias is not enough)";
    /// The rule as a pattern for CloudFormation, without anchors.
    pub const PATTERN: &str = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+";
}

impl KmsKeyArn {
    /// Returns the account that holds it.
    #[must_use]
    pub fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }

    /// Returns the region it is in.
    #[must_use]
    pub fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }
}

impl FromStr for KmsKeyArn {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let is_word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let fits = || {
            let mut parts = text.strip_prefix("arn:")?.split(':');
            parts.next()?.parse::<Partition>().ok()?;
            (parts.next()? == "kms" && is_word(parts.next()?)).then_some(())?;
            parts.next()?.parse::<AccountId>().ok()?;
            is_word(parts.next()?.strip_prefix("key/")?).then_some(())?;
            parts.next().is_none().then_some(())
        };
        fits().map(|()| Self(text.to_owned())).ok_or(Self::RULE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_s3() {
        for good in ["abc", "my-lab.data", "0bucket9", &"a".repeat(63)] {
            assert!(good.parse::<BucketName>().is_ok(), "{good}");
        }
        for bad in [
            "ab",
            "My-Bucket",
            "-abc",
            "abc-",
            "a..b",
            "192.168.1.1",
            "xn--abc",
            "data-s3alias",
            "data--x-s3",
            "bucket_name",
            "bucket/prefix",
            "",
            &"a".repeat(64),
        ] {
            assert_eq!(bad.parse::<BucketName>(), Err(BucketName::RULE), "{bad}");
        }
    }

    #[test]
    fn slashes_at_the_ends_of_a_prefix_do_not_count() {
        for (text, meant) in [("", None), ("/", None), ("raw", Some("raw")), ("/raw/2026/", Some("raw/2026"))] {
            assert_eq!(Prefix::read(text).map(|p| p.map(|p| p.to_string())), Ok(meant.map(str::to_owned)));
        }
    }

    #[test]
    fn a_prefix_that_iam_would_read_as_a_pattern_is_refused() {
        for text in ["*", "raw/*", "r?w", "home/${aws:username}", "a\nb"] {
            assert_eq!(Prefix::read(text), Err(Cow::Borrowed(Prefix::RULE)), "{text}");
        }
        assert!(Prefix::read("cost$/2026").is_ok());
    }

    #[test]
    fn a_kms_alias_is_not_a_key() {
        let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        assert!(key.parse::<KmsKeyArn>().is_ok());
        for bad in
            ["alias/lab", "arn:aws:kms:us-east-1:123456789012:alias/lab", "1234abcd", "arn:aws:kms:us-east-1:1:key/x"]
        {
            assert_eq!(bad.parse::<KmsKeyArn>(), Err(KmsKeyArn::RULE), "{bad}");
        }
    }
}
