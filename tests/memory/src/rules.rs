//! IAM's rules for documents, tags and descriptions.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::failure;
use cavatica_access::limits;
use cavatica_access::owner::{TagKeys, Tags};
use cavatica_access::port::{Failure, FailureKind};

/// Returns a trust policy: who, how, and on nothing; every principal known.
pub(super) fn check_trust(text: &str, unknown: &BTreeSet<String>) -> Result<Value, Failure> {
    if text.len() > limits::TRUST_POLICY {
        return Err(failure(FailureKind::LimitExceeded, "Cannot exceed quota for ACLSizePerRole: 2048"));
    }
    let document = check_document(text, "Principal", "Resource")?;
    match unknown.iter().find(|arn| text.contains(arn.as_str())) {
        Some(arn) => Err(malformed(&format!("Invalid principal in policy: \"AWS\":\"{arn}\""))),
        None => Ok(document),
    }
}

/// Returns a permission policy: what, on what, and nobody named.
pub(super) fn check_permissions(text: &str) -> Result<Value, Failure> {
    if text.chars().filter(|c| !c.is_whitespace()).count() > limits::MANAGED_POLICY {
        return Err(failure(FailureKind::LimitExceeded, "Cannot exceed quota for PolicySize: 6144"));
    }
    check_document(text, "Resource", "Principal")
}

fn check_document(text: &str, needed: &str, forbidden: &str) -> Result<Value, Failure> {
    // IAM's own character set for documents ends at U+00FF.
    if !text.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}')) {
        return Err(malformed("Syntax errors in policy"));
    }
    let document: Value = serde_json::from_str(text).map_err(|_| malformed("Syntax errors in policy"))?;
    let statements = match &document["Statement"] {
        Value::Array(list) => list.as_slice(),
        single @ Value::Object(_) => std::slice::from_ref(single),
        _ => &[],
    };
    let is_sound = |statement: &Value| {
        ["Effect", "Action", needed].iter().all(|key| !is_blank(&statement[*key])) && statement.get(forbidden).is_none()
    };
    let mut sids: Vec<_> = statements.iter().filter_map(|statement| statement["Sid"].as_str()).collect();
    let count = sids.len();
    sids.sort_unstable();
    sids.dedup();
    if document["Version"] != "2012-10-17"
        || statements.is_empty()
        || !statements.iter().all(is_sound)
        || sids.len() != count
    {
        return Err(malformed("Syntax errors in policy"));
    }
    Ok(document)
}

fn is_blank(value: &Value) -> bool {
    value.is_null()
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Returns a role's description and session duration.
pub(super) fn check_role(description: &str, max_session_duration: u32) -> Result<(), Failure> {
    if description.chars().count() > limits::DESCRIPTION || !limits::SESSION_SECONDS.contains(&max_session_duration) {
        return Err(failure(FailureKind::Other, "1 validation error detected"));
    }
    Ok(())
}

/// More tags in one request than there can be at all are refused as such.
pub(super) fn check_tag_count(tags: &Tags) -> Result<(), Failure> {
    if tags.len() > limits::TAGS {
        return Err(failure(FailureKind::Other, "1 validation error detected: tags"));
    }
    Ok(())
}

/// AWS: `TagRole`, `Tag`, pattern of `Key` and `Value`.
static TAG_TEXT: LazyLock<Result<Regex, regex::Error>> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$"));

/// Sets tags.
pub(super) fn merge_tags(of: TagKeys, there: &mut Tags, new: &Tags) -> Result<(), Failure> {
    let pattern = TAG_TEXT.as_ref().map_err(|error| failure(FailureKind::Other, &error.to_string()))?;
    let is_text = |text: &str, longest: usize| text.chars().count() <= longest && pattern.is_match(text);
    let is_tag = |key: &str, value: &str| {
        !key.is_empty()
            && is_text(key, limits::TAG_KEY)
            && is_text(value, limits::TAG_VALUE)
            && !key.to_lowercase().starts_with("aws:")
    };
    if !new.iter().all(|(key, value)| is_tag(key, value)) {
        return Err(failure(FailureKind::Other, "1 validation error detected: tags"));
    }
    let mut merged = there.clone();
    for (key, value) in new {
        remove_tags(of, &mut merged, std::slice::from_ref(key));
        merged.insert(key.clone(), value.clone());
    }
    if merged.len() > limits::TAGS {
        return Err(failure(FailureKind::LimitExceeded, "The number of tags has reached the maximum limit"));
    }
    *there = merged;
    Ok(())
}

/// Takes tags off; absent ones do not matter.
pub(super) fn remove_tags(of: TagKeys, there: &mut Tags, keys: &[String]) {
    there.retain(|known, _| !keys.iter().any(|key| of.normal(key) == of.normal(known)));
}

fn malformed(message: &str) -> Failure {
    failure(FailureKind::MalformedDocument, message)
}
