//! The meaning of a permission policy in sentences, read off the policy itself.
//!
//! Owns: which sentences of [`PERMISSIONS`] hold for a document of ours, whose actions are named one by one, without
//! patterns. The launch page does the same in `page/documents.js`, and a test compares both.

use cavatica_access::permissions::{NOTHING_ELSE, PERMISSIONS, Permission};
use cavatica_access::platform::Platform;
use serde_json::Value;

/// The sentences, each as the end of "PLATFORM can …" or "PLATFORM cannot …".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meaning {
    /// The rights.
    pub can: Vec<String>,
    /// The limits.
    pub cannot: Vec<String>,
}

/// Returns the meaning of a permission policy for a volume.
#[must_use]
pub fn meaning(document: &Value, platform: &Platform, bucket: &str, prefix: Option<&str>) -> Meaning {
    let filled = |text: &str| {
        let folder = prefix.map(|prefix| format!("{prefix}/")).unwrap_or_default();
        platform.fill(text).replace("{bucket}", bucket).replace("{folder}", &folder)
    };
    // A statement about the folder has `PREFIX/*` in a resource or in a condition.
    let is_in_folder = |statement: &Value| {
        let pattern = prefix.map(|prefix| Value::from(format!("{prefix}/*")).to_string());
        pattern.is_some_and(|pattern| statement.to_string().contains(pattern.trim_matches('"')))
    };
    let mut meaning = Meaning::default();
    let mut add = |list: fn(&mut Meaning) -> &mut Vec<String>, sentence: String| {
        let list = list(&mut meaning);
        if !list.contains(&sentence) {
            list.push(sentence);
        }
    };
    for permission in &PERMISSIONS {
        let not = match allowing(document, permission) {
            Some(statement) => {
                let is_in_folder = is_in_folder(statement);
                let can = permission.can_in_folder.filter(|_| is_in_folder).unwrap_or(permission.can);
                add(|it| &mut it.can, filled(can));
                permission.cannot_outside.filter(|_| is_in_folder)
            }
            None => permission.cannot,
        };
        not.into_iter().for_each(|not| add(|it| &mut it.cannot, filled(not)));
    }
    if is_confined(document, platform, bucket) {
        add(|it| &mut it.cannot, filled(NOTHING_ELSE));
    }
    meaning
}

/// Returns the first statement that allows an action.
fn allowing<'d>(document: &'d Value, permission: &Permission) -> Option<&'d Value> {
    statements(document).find(|statement| {
        let is_its = permission.statement.is_none_or(|id| statement["Sid"] == id);
        is_its && texts(&statement["Action"]).any(|action| action == permission.action)
    })
}

/// Returns true if every statement is about the bucket, its objects, a KMS key or the platform's own buckets.
fn is_confined(document: &Value, platform: &Platform, bucket: &str) -> bool {
    let buckets: Vec<_> =
        platform.locations.iter().map(|location| location.copy_bucket.as_ref()).chain([bucket]).collect();
    statements(document).flat_map(|statement| texts(&statement["Resource"])).all(|resource| {
        let parts: Vec<_> = resource.splitn(6, ':').collect();
        match parts.as_slice() {
            [_, _, "s3", _, _, name] => buckets.contains(&name.split('/').next().unwrap_or_default()),
            [_, _, "kms", _, _, key] => key.starts_with("key/"),
            _ => false,
        }
    })
}

fn statements(document: &Value) -> impl Iterator<Item = &Value> {
    document["Statement"].as_array().into_iter().flatten()
}

fn texts(element: &Value) -> impl Iterator<Item = &str> {
    element.as_str().into_iter().chain(element.as_array().into_iter().flatten().filter_map(Value::as_str))
}

#[cfg(test)]
mod tests {
    use cavatica_access::platform::CAVATICA;
    use serde_json::json;

    use super::*;
    use crate::template::permissions::permissions;
    use crate::template::{Config, native};

    fn document(access: &str, prefix: Option<&str>) -> Value {
        let given = [("BucketName", "lab"), ("AccessMode", access), ("Prefix", prefix.unwrap_or_default())];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        permissions(&native::template(&Config::default()), &given, "123456789012", "us-east-1").unwrap_or_default()
    }

    #[test]
    fn an_action_that_is_granted_is_said_and_no_longer_denied() {
        let mut document = document("ReadWrite", Some("raw"));
        let before = meaning(&document, &CAVATICA, "lab", Some("raw"));
        assert!(before.cannot.contains(&"delete anything".to_owned()), "{before:?}");
        let write = document["Statement"].as_array_mut().into_iter().flatten();
        for statement in write.filter(|statement| statement["Sid"] == "GrantWriteOnObjects") {
            statement["Action"].as_array_mut().into_iter().for_each(|actions| actions.push(json!("s3:DeleteObject")));
        }
        let after = meaning(&document, &CAVATICA, "lab", Some("raw"));
        assert!(after.can.contains(&"delete objects there".to_owned()), "{after:?}");
        assert!(!after.cannot.contains(&"delete anything".to_owned()), "{after:?}");
    }

    #[test]
    fn a_folder_is_named_and_what_is_outside_denied() {
        let read_only = meaning(&document("ReadOnly", Some("raw")), &CAVATICA, "lab", Some("raw"));
        assert!(read_only.can.contains(&"read the objects under raw/ in lab".to_owned()), "{read_only:?}");
        assert!(read_only.can.contains(&"list the names of all objects in lab".to_owned()), "{read_only:?}");
        for sentence in ["write or replace anything", "delete anything", "read objects outside raw/"] {
            assert!(read_only.cannot.contains(&sentence.to_owned()), "{read_only:?}");
        }
        let whole = meaning(&document("ReadWrite", None), &CAVATICA, "lab", None);
        assert!(whole.can.contains(&"copy from Cavatica's own storage into the bucket".to_owned()), "{whole:?}");
        assert!(!whole.cannot.iter().any(|it| it.contains("outside") || it.contains("write")), "{whole:?}");
    }

    #[test]
    fn another_bucket_takes_away_the_sentence_that_there_is_none() {
        let mut document = document("ReadOnly", None);
        let is_said = |document: &Value| {
            meaning(document, &CAVATICA, "lab", None).cannot.iter().any(|it| it.contains("another bucket"))
        };
        assert!(is_said(&document));
        document["Statement"][0]["Resource"] = json!(["arn:aws:s3:::lab", "arn:aws:s3:::other"]);
        assert!(!is_said(&document));
    }
}
