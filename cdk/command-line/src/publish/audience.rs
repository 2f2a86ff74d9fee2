//! The readers of a release: the policy of its buckets.
//!
//! Console, CloudFormation and Lambda read template and code with the rights of the administrator who launches the
//! stack. So whoever is to launch it needs to be let in here, and nothing else does.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::FOLDER;
use crate::pattern::matches;

/// The administrators who may launch a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Those of the publisher's own account, by their own rights.
    Private,
    /// Everyone, with an AWS account or without.
    Public,
    /// The accounts of an organization, such as `o-a1b2c3d4e5`.
    Organization(String),
    /// Some accounts, by their IDs, in their order.
    Accounts(Vec<String>),
}

/// The policy's name, by which a later run knows it.
const ID: &str = "cavatica-connect publish";

/// The name of the statement that lets an audience read.
const READ_RELEASES: &str = "ReadReleases";

/// A bucket's policy of this program's making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPolicy {
    /// The audience.
    pub audience: Audience,
    /// True as this program writes it, false as an earlier one did: without the versions of the code, which templates
    /// name since then, and with releases that a write could replace.
    pub is_current: bool,
}

impl FromStr for Audience {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "private, public, org: and an organization's ID (org:o-a1b2c3d4e5), or accounts: and the IDs of accounts \
                            with commas between them (accounts:111122223333,444455556666)";
        let is_account = |id: &str| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
        // Source: AWS Organizations API Reference, `Organization`, `Id`.
        let is_organization = |id: &str| {
            let rest = id.strip_prefix("o-").unwrap_or_default();
            (10..=32).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        match text.split_once(':') {
            None if text == "private" => Ok(Self::Private),
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
            Self::Private => write!(f, "this account only"),
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

    /// Returns the statement that lets the audience read; a private release needs none.
    #[must_use]
    pub fn statement(&self, bucket: &str) -> Option<Value> {
        let principal = match self {
            Self::Private => return None,
            Self::Accounts(ids) => {
                json!({"AWS": ids.iter().map(|id| format!("arn:aws:iam::{id}:root")).collect::<Vec<_>>()})
            }
            Self::Public | Self::Organization(_) => json!("*"),
        };
        let mut statement = json!({
            "Sid": READ_RELEASES,
            "Effect": "Allow",
            "Principal": principal,
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": format!("arn:aws:s3:::{bucket}/{FOLDER}*"),
        });
        if let Self::Organization(id) = self {
            statement["Condition"] = json!({"StringEquals": {"aws:PrincipalOrgID": id}});
        }
        Some(statement)
    }

    /// Returns the policy of a bucket of releases: its readers, over TLS only, and nobody who replaces what is there.
    #[must_use]
    pub fn policy(&self, bucket: &str) -> Value {
        let statements: Vec<_> = self
            .statement(bucket)
            .into_iter()
            .chain([encrypted_connections_only(bucket), never_replaced(bucket)])
            .collect();
        json!({"Version": "2012-10-17", "Id": ID, "Statement": statements})
    }

    /// Returns the policy that this program wrote before its templates named the versions of the code.
    fn former_policy(&self, bucket: &str) -> Option<Value> {
        let mut statement = self.statement(bucket)?;
        statement["Action"] = json!("s3:GetObject");
        let statements = [statement, encrypted_connections_only(bucket)];
        Some(json!({"Version": "2012-10-17", "Id": ID, "Statement": statements}))
    }

    /// Returns the audience of a bucket's policy, if it is exactly as this program writes it or an earlier one did.
    #[must_use]
    pub fn of_policy(policy: &Value, bucket: &str) -> Option<KnownPolicy> {
        let statements = policy["Statement"].as_array().map(Vec::as_slice).unwrap_or_default();
        let audience = match statements.iter().find(|statement| statement["Sid"] == READ_RELEASES) {
            Some(reading) => Self::of_statement(reading)?,
            None => Self::Private,
        };
        let is = |other: &Value| normal(policy) == normal(other);
        let is_current = is(&audience.policy(bucket));
        let is_former = || audience.former_policy(bucket).is_some_and(|former| is(&former));
        (is_current || is_former()).then_some(KnownPolicy { audience, is_current })
    }

    /// Returns the audience that a statement lets in, if it is one of this program's.
    fn of_statement(reading: &Value) -> Option<Self> {
        let organization = reading["Condition"]["StringEquals"]["aws:PrincipalOrgID"].as_str();
        let root = |arn: &Value| Some(arn.as_str()?.strip_prefix("arn:aws:iam::")?.strip_suffix(":root")?.to_owned());
        Some(match (&reading["Principal"]["AWS"], organization) {
            (_, Some(id)) => Self::Organization(id.to_owned()),
            (Value::Array(roots), _) => {
                let mut ids = roots.iter().map(root).collect::<Option<Vec<_>>>()?;
                ids.sort();
                Self::Accounts(ids)
            }
            (Value::String(id), _) if id != "*" => Self::Accounts(vec![root(&json!(id))?]),
            _ => Self::Public,
        })
    }
}

fn encrypted_connections_only(bucket: &str) -> Value {
    json!({
        "Sid": "EncryptedConnectionsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    })
}

/// Statement: an object is written where there is none, or not at all. Its parts, if it comes in parts, have no such
/// header. Source: S3, "Enforce conditional writes on Amazon S3 buckets".
fn never_replaced(bucket: &str) -> Value {
    // All keys of releases, and not that of versions.json, which grows.
    let keys = ["*.zip", "*/*"].map(|keys| format!("arn:aws:s3:::{bucket}/{FOLDER}{keys}"));
    json!({
        "Sid": "ReleasesAreNeverReplaced",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": keys,
        "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    })
}

/// True if a policy of somebody else's lets others read objects and not their versions, which templates name.
#[must_use]
pub fn lacks_versions(policy: &Value) -> bool {
    let items = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    let statements = items(&policy["Statement"]);
    let allowed = statements.iter().filter(|it| it["Effect"] == "Allow").flat_map(|it| items(&it["Action"]));
    let allowed: Vec<_> = allowed.filter_map(|action| Some(action.as_str()?.to_owned())).collect();
    let allows = |action: &str| allowed.iter().any(|pattern| matches(pattern, action, true));
    allows("s3:GetObject") && !allows("s3:GetObjectVersion")
}

/// Returns a policy in one of the forms that mean the same: S3 may give lists back in another order, or one value
/// without its list.
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
        ["private", "public", "org:o-a1b2c3d4e5", "accounts:111122223333", "accounts:444455556666,111122223333"]
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect()
    }

    #[test]
    fn parses_audiences_and_refuses_other_texts() {
        assert_eq!(audiences().len(), 5);
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

    fn current(audience: Audience) -> Option<KnownPolicy> {
        Some(KnownPolicy { audience, is_current: true })
    }

    #[test]
    fn recognizes_its_bucket_policy_in_every_form_that_s3_returns() {
        for audience in audiences() {
            let mut policy = audience.policy(BUCKET);
            assert_eq!(Audience::of_policy(&policy, BUCKET), current(audience.clone()));
            if let Some(Value::Array(roots)) = policy.pointer_mut("/Statement/0/Principal/AWS") {
                roots.reverse();
            }
            if policy["Statement"][0]["Principal"] == json!("*") {
                policy["Statement"][0]["Principal"] = json!({"AWS": "*"});
            }
            if let Some(Value::Array(actions)) = policy.pointer_mut("/Statement/0/Action") {
                actions.reverse();
            }
            assert_eq!(Audience::of_policy(&policy, BUCKET), current(audience));
        }
    }

    #[test]
    fn the_policy_of_an_earlier_release_is_known_and_not_current() {
        let former = |principal: &Value, condition: Option<Value>| {
            let mut reading = json!({"Sid": "ReadReleases", "Effect": "Allow", "Principal": principal,
                "Action": "s3:GetObject", "Resource": "arn:aws:s3:::releases-us-east-1/cavatica-connect/*"});
            condition.into_iter().for_each(|condition| reading["Condition"] = condition);
            json!({"Version": "2012-10-17", "Id": "cavatica-connect publish", "Statement": [reading, {
                "Sid": "EncryptedConnectionsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
                "Resource": ["arn:aws:s3:::releases-us-east-1", "arn:aws:s3:::releases-us-east-1/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]})
        };
        let organization = json!({"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}});
        for (policy, text) in [
            (former(&json!("*"), None), "public"),
            (former(&json!("*"), Some(organization)), "org:o-a1b2c3d4e5"),
            (former(&json!({"AWS": "arn:aws:iam::111122223333:root"}), None), "accounts:111122223333"),
        ] {
            let audience = text.parse::<Audience>();
            let known = audience.ok().map(|audience| KnownPolicy { audience, is_current: false });
            assert!(known.is_some() && Audience::of_policy(&policy, BUCKET) == known, "{policy}");
        }
    }

    #[test]
    fn no_release_can_be_replaced_and_the_list_of_releases_can_grow() {
        for audience in audiences() {
            let policy = audience.policy(BUCKET);
            let denied = policy["Statement"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
            assert_eq!(denied["Effect"], "Deny");
            let is_kept = |key: &str| {
                let object = format!("arn:aws:s3:::{BUCKET}/{key}");
                let patterns = denied["Resource"].as_array().into_iter().flatten().filter_map(Value::as_str);
                patterns.into_iter().any(|pattern| matches(pattern, &object, false))
            };
            for key in ["cavatica-connect/0a1b.zip", "cavatica-connect/0a1b/launch.html"] {
                assert!(is_kept(key), "{key}");
            }
            for key in ["cavatica-connect/versions.json", "data/0a1b.zip", "data/0a1b/table.csv"] {
                assert!(!is_kept(key), "{key}");
            }
        }
    }

    #[test]
    fn a_policy_of_somebody_else_that_lets_in_to_objects_and_not_to_versions_is_seen() {
        for (statement, lacks) in [
            (json!([{"Effect": "Allow", "Action": "s3:GetObject"}]), true),
            (json!({"Effect": "Allow", "Action": ["s3:getobject", "s3:ListBucket"]}), true),
            (json!([{"Effect": "Allow", "Action": "s3:GetObject"}, {"Effect": "Deny", "Action": "s3:*"}]), true),
            (json!([{"Effect": "Allow", "Action": "s3:GetObject*"}]), false),
            (json!([{"Effect": "Allow", "Action": "s3:*"}]), false),
            (json!([{"Effect": "Allow", "Action": "s3:ListBucket"}]), false),
            (json!([{"Effect": "Deny", "Action": "s3:GetObject"}]), false),
            (json!([]), false),
        ] {
            assert_eq!(lacks_versions(&json!({"Statement": statement})), lacks, "{statement}");
        }
    }

    #[test]
    fn a_policy_that_somebody_changed_is_not_ours() {
        let changes: [fn(&mut Value); 7] = [
            |policy| policy["Id"] = json!("mine"),
            |policy| policy["Statement"][0]["Action"] = json!("s3:Put*"),
            |policy| policy["Statement"][0]["Condition"] = json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
            |policy| policy["Statement"][1]["Effect"] = json!("Audit"),
            |policy| policy["Statement"] = policy["Statement"][0].clone(),
            |policy| policy["Statement"].as_array_mut().into_iter().for_each(|all| all.push(json!({"Sid": "More"}))),
            |policy| drop(policy["Statement"].as_array_mut().and_then(Vec::pop)),
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
