//! The readers of a release: the policy of its buckets.
//!
//! Console, CloudFormation and Lambda read template and code with the rights of the administrator who launches the stack.
//! So whoever is to launch it needs to be let in here, and nothing else does.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::FOLDER;

/// The administrators who may launch a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Everyone, with an AWS account or without.
    Public,
    /// The accounts of an organization, such as `o-a1b2c3d4e5`.
    Organization(String),
    /// Some accounts, by their IDs, in their order.
    Accounts(Vec<String>),
}

/// The policy's name, by which a later run knows it.
const ID: &str = "cavatica-connect publish";

impl FromStr for Audience {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "public, org: and an organization's ID (org:o-a1b2c3d4e5), or accounts: and the IDs of accounts \
                            with commas between them (accounts:111122223333,444455556666)";
        let is_account = |id: &str| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
        // Source: AWS Organizations API Reference, `Organization`, `Id`.
        let is_organization = |id: &str| {
            let rest = id.strip_prefix("o-").unwrap_or_default();
            (10..=32).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        match text.split_once(':') {
            None if text == "public" => Ok(Self::Public),
            Some(("org", id)) if is_organization(id) => Ok(Self::Organization(id.to_owned())),
            Some(("accounts", ids)) if ids.split(',').all(is_account) => {
                let mut ids: Vec<_> = ids.split(',').map(str::to_owned).collect();
                ids.sort();
                ids.dedup();
                Ok(Self::Accounts(ids))
            }
            _ => Err(RULE),
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => write!(f, "everyone"),
            Self::Organization(id) => write!(f, "the accounts of organization {id}"),
            Self::Accounts(ids) if ids.len() == 1 => write!(f, "account {}", ids.join(", ")),
            Self::Accounts(ids) => write!(f, "accounts {}", ids.join(", ")),
        }
    }
}

impl Audience {
    /// True if S3's Block Public Access has to let the policy pass.
    #[must_use]
    pub fn is_public(&self) -> bool {
        *self == Self::Public
    }

    /// The statement that lets the audience read.
    #[must_use]
    pub fn statement(&self, bucket: &str) -> Value {
        let principal = match self {
            Self::Accounts(ids) => {
                json!({"AWS": ids.iter().map(|id| format!("arn:aws:iam::{id}:root")).collect::<Vec<_>>()})
            }
            Self::Public | Self::Organization(_) => json!("*"),
        };
        let mut statement = json!({
            "Sid": "ReadReleases",
            "Effect": "Allow",
            "Principal": principal,
            "Action": "s3:GetObject",
            "Resource": format!("arn:aws:s3:::{bucket}/{FOLDER}*"),
        });
        if let Self::Organization(id) = self {
            statement["Condition"] = json!({"StringEquals": {"aws:PrincipalOrgID": id}});
        }
        statement
    }

    /// The policy of a bucket of releases. Whatever is read from it, is read over TLS.
    #[must_use]
    pub fn policy(&self, bucket: &str) -> Value {
        let encrypted_only = json!({
            "Sid": "EncryptedConnectionsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        });
        json!({"Version": "2012-10-17", "Id": ID, "Statement": [self.statement(bucket), encrypted_only]})
    }

    /// The audience of a bucket's policy, if it is exactly as this program writes it.
    #[must_use]
    pub fn of_policy(policy: &Value, bucket: &str) -> Option<Self> {
        let reading = &policy["Statement"][0];
        let organization = reading["Condition"]["StringEquals"]["aws:PrincipalOrgID"].as_str();
        let root = |arn: &Value| Some(arn.as_str()?.strip_prefix("arn:aws:iam::")?.strip_suffix(":root")?.to_owned());
        let audience = match (&reading["Principal"]["AWS"], organization) {
            (_, Some(id)) => Self::Organization(id.to_owned()),
            (Value::Array(roots), _) => {
                let mut ids = roots.iter().map(root).collect::<Option<Vec<_>>>()?;
                ids.sort();
                Self::Accounts(ids)
            }
            (Value::String(id), _) if id != "*" => Self::Accounts(vec![root(&json!(id))?]),
            _ => Self::Public,
        };
        (normal(policy) == normal(&audience.policy(bucket))).then_some(audience)
    }
}

/// A policy in one of the forms that mean the same: S3 may give lists back in another order, or one value without its list.
fn normal(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.len() == 1 => normal(&items[0]),
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(normal).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(name, value)| (name.clone(), normal(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            // Everyone, in the longer spelling.
            match entries.as_slice() {
                [(name, value)] if name == "AWS" && *value == json!("*") => json!("*"),
                _ => Value::Object(entries.into_iter().collect()),
            }
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: &str = "releases-us-east-1";

    fn audiences() -> Vec<Audience> {
        ["public", "org:o-a1b2c3d4e5", "accounts:111122223333", "accounts:444455556666,111122223333"]
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect()
    }

    #[test]
    fn an_audience_is_read_and_what_is_none_is_refused() {
        assert_eq!(audiences().len(), 4);
        for text in [
            "",
            "everyone",
            "org:",
            "org:a1b2c3d4e5",
            "org:o-short",
            "accounts:",
            "accounts:1",
            "accounts:111122223333,",
            "account:111122223333",
        ] {
            assert!(text.parse::<Audience>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_policy_of_ours_is_known_again_in_whatever_form_s3_gives_it_back() {
        for audience in audiences() {
            let mut policy = audience.policy(BUCKET);
            assert_eq!(Audience::of_policy(&policy, BUCKET), Some(audience.clone()));
            if let Some(Value::Array(roots)) = policy.pointer_mut("/Statement/0/Principal/AWS") {
                roots.reverse();
            }
            if policy["Statement"][0]["Principal"] == json!("*") {
                policy["Statement"][0]["Principal"] = json!({"AWS": "*"});
            }
            policy["Statement"][0]["Action"] = json!(["s3:GetObject"]);
            assert_eq!(Audience::of_policy(&policy, BUCKET), Some(audience));
        }
    }

    #[test]
    fn a_policy_that_somebody_changed_is_not_ours() {
        let changes: [fn(&mut Value); 6] = [
            |policy| policy["Id"] = json!("mine"),
            |policy| policy["Statement"][0]["Action"] = json!("s3:*"),
            |policy| policy["Statement"][0]["Condition"] = json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
            |policy| policy["Statement"][1]["Effect"] = json!("Allow"),
            |policy| policy["Statement"] = policy["Statement"][0].clone(),
            |policy| policy["Statement"].as_array_mut().into_iter().for_each(|all| all.push(json!({"Sid": "More"}))),
        ];
        for (audience, change) in audiences().iter().flat_map(|audience| changes.iter().map(move |c| (audience, c))) {
            let mut policy = audience.policy(BUCKET);
            change(&mut policy);
            assert_eq!(Audience::of_policy(&policy, BUCKET), None, "{policy}");
        }
        for policy in [json!(null), json!({}), json!([]), json!({"Statement": [{"Principal": {"AWS": ["x"]}}]})] {
            assert_eq!(Audience::of_policy(&policy, BUCKET), None);
        }
        let elsewhere = Audience::Public.policy("other-bucket");
        assert_eq!(Audience::of_policy(&elsewhere, BUCKET), None);
    }
}
