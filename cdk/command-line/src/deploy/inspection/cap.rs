//! An organisation's boundary beside a volume: whether it allows less than Cavatica needs, or more than the volume.
//! Pure.
//!
//! A reading of statements without conditions and variables: enough for a note, and no replacement for IAM's simulator,
//! which the checks ask.

use serde_json::Value;

use crate::pattern::matches;

/// Actions on things beside any volume, which a boundary that caps the role at it denies.
const BESIDE: [(&str, &str); 4] = [
    ("s3:GetObject", "arn:aws:s3:::another-bucket/any-object"),
    ("s3:DeleteObject", "arn:aws:s3:::another-bucket/any-object"),
    ("iam:CreateUser", "arn:aws:iam::123456789012:user/any"),
    ("sts:AssumeRole", "arn:aws:iam::123456789012:role/any"),
];

/// Verdict of a document on one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Denied,
    /// A statement with conditions decides.
    Conditional,
}

/// Describes where a boundary allows less than a permission policy needs, and where it allows more than the volume.
#[must_use]
pub fn notes(boundary: &Value, permissions: &Value) -> Vec<String> {
    let needed = list(&permissions["Statement"]).into_iter().flat_map(|statement| {
        let resources = list(&statement["Resource"]);
        let actions = list(&statement["Action"]);
        actions.into_iter().flat_map(move |action| resources.clone().into_iter().map(move |on| (action.clone(), on)))
    });
    let mut less = Vec::new();
    let mut unknown = false;
    for (action, resource) in needed {
        let (action, resource) = (text(&action), text(&resource).replace('*', "any-object"));
        match verdict(boundary, &action, &resource) {
            Verdict::Allowed => {}
            Verdict::Denied => less.push(format!("{action} on {resource}")),
            Verdict::Conditional => unknown = true,
        }
    }
    let more = BESIDE.iter().filter(|(action, resource)| verdict(boundary, action, resource) == Verdict::Allowed);
    let more: Vec<_> = more.map(|(action, resource)| format!("{action} on {resource}")).collect();
    let mut notes = Vec::new();
    if !less.is_empty() {
        notes.push(format!("it does not allow {}, which Cavatica needs", less.join(", ")));
    }
    if unknown {
        notes.push("conditions decide whether it allows all that Cavatica needs".to_owned());
    }
    if !more.is_empty() {
        notes.push(format!("it allows more than this volume, such as {}", more.join(", ")));
    }
    notes
}

fn verdict(document: &Value, action: &str, resource: &str) -> Verdict {
    let mut found = Verdict::Denied;
    for statement in list(&document["Statement"]) {
        let names = |key: &str, text: &str, ignores_case: bool| {
            list(&statement[key]).iter().any(|pattern| matches(&self::text(pattern), text, ignores_case))
        };
        let is_about = |key: &str, not: &str, text: &str, ignores_case: bool| {
            if statement[not].is_null() { names(key, text, ignores_case) } else { !names(not, text, ignores_case) }
        };
        if !is_about("Action", "NotAction", action, true) || !is_about("Resource", "NotResource", resource, false) {
            continue;
        }
        let is_conditional = !statement["Condition"].is_null();
        match (statement["Effect"].as_str(), is_conditional) {
            (Some("Deny"), false) => return Verdict::Denied,
            (Some("Deny"), true) => found = Verdict::Conditional,
            (_, true) if found == Verdict::Denied => found = Verdict::Conditional,
            (_, true) => {}
            (_, false) if found == Verdict::Denied => found = Verdict::Allowed,
            (_, false) => {}
        }
    }
    found
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        single => vec![single.clone()],
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(statements: Value) -> Value {
        json!({"Version": "2012-10-17", "Statement": statements})
    }

    #[test]
    fn a_boundary_that_allows_less_or_more_is_noted() {
        let volume = document(json!([
            {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::lab"]},
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lab/raw/*"},
        ]));
        for (boundary, expected) in [
            (
                json!([{"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::lab", "arn:aws:s3:::lab/*"]}]),
                &[][..],
            ),
            (
                json!([{"Effect": "Allow", "Action": "S3:getobject", "Resource": "arn:aws:s3:::lab/*"}]),
                &["does not allow s3:ListBucket on arn:aws:s3:::lab,"],
            ),
            (
                json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]),
                &["more than this volume, such as s3:GetObject"],
            ),
            (
                json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"}]),
                &["such as s3:GetObject on arn:aws:s3:::another-bucket/any-object, s3:DeleteObject"],
            ),
            (
                json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::la?*",
                        "Condition": {"StringEquals": {"aws:ResourceAccount": "1"}}}]),
                &["conditions decide"],
            ),
        ] {
            let notes = notes(&document(boundary.clone()), &volume);
            assert_eq!(notes.len(), expected.len(), "{boundary}: {notes:?}");
            assert!(notes.iter().zip(expected).all(|(note, part)| note.contains(part)), "{boundary}: {notes:?}");
        }
    }
}
