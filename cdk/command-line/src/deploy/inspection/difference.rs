//! Differences between what AWS holds and what a stack asks for, in words. Pure.

use cavatica_access::document::same_meaning;
use serde_json::{Value, json};

/// Longest statement that a line repeats, in characters.
const MOST_CHARACTERS: usize = 600;

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Observed and desired state, as a sentence.
    pub text: String,
    /// Remedy.
    pub remedy: Remedy,
}

/// Remedy of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// The stack's function, by an update.
    Repair,
    /// A user, by this command.
    Command(String),
}

/// Describes a value that differs; `None` if it does not.
#[must_use]
pub fn value(what: &str, found: &str, expected: &str) -> Option<String> {
    let quoted = |text: &str| if text.is_empty() { "empty".to_owned() } else { format!("\"{text}\"") };
    (found != expected).then(|| format!("{what} is {} and should be {}", quoted(found), quoted(expected)))
}

/// Describes each statement that a document has too many or too few.
#[must_use]
pub fn document(what: &str, found: &Value, expected: &Value) -> Vec<String> {
    if same_meaning(found, expected) {
        return Vec::new();
    }
    let (has, should_have) = (statements(found), statements(expected));
    let is_in = |statement: &Value, list: &[Value]| {
        let alone = |statement: &Value| json!({"Version": "2012-10-17", "Statement": [statement]});
        list.iter().any(|other| same_meaning(&alone(statement), &alone(other)))
    };
    let extra: Vec<_> = has.iter().filter(|statement| !is_in(statement, &should_have)).map(shown).collect();
    let lacking: Vec<_> = should_have.iter().filter(|statement| !is_in(statement, &has)).map(shown).collect();
    if extra.is_empty() && lacking.is_empty() {
        return vec![format!("{what} differs outside its statements: Version is {}", found["Version"])];
    }
    if extra == lacking {
        return vec![format!("{what} asks for another external ID than the stack's")];
    }
    let extra = extra.into_iter().map(|it| format!("{what} has a statement that should not be there: {it}"));
    extra.chain(lacking.into_iter().map(|it| format!("{what} lacks the statement {it}"))).collect()
}

fn statements(document: &Value) -> Vec<Value> {
    match &document["Statement"] {
        Value::Array(list) => list.clone(),
        Value::Null => Vec::new(),
        single => vec![single.clone()],
    }
}

/// Returns a statement as a line shows it: without external ID, and cut where it is long.
fn shown(statement: &Value) -> String {
    let text = without_external_id(statement).to_string();
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Returns a document whose external IDs are stars: for logs, where a foreign principal has to be visible.
#[must_use]
pub fn without_external_id(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| {
                let is_id = name.eq_ignore_ascii_case("sts:ExternalId");
                (name.clone(), if is_id { json!("****") } else { without_external_id(value) })
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(without_external_id).collect(),
        plain => plain.clone(),
    }
}

/// Returns the items of the first list that the second lacks, ignoring order.
#[must_use]
pub fn beside<'a>(items: &'a [String], others: &[String]) -> Vec<&'a String> {
    items.iter().filter(|item| !others.contains(item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(principal: &str, id: &str) -> Value {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": principal},
            "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": id}}}]})
    }

    #[test]
    fn a_document_is_compared_by_statement_and_meaning() {
        let one =
            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["b", "a"], "Resource": "*"}]});
        let same =
            json!({"Version": "2012-10-17", "Statement": {"Resource": ["*"], "Effect": "Allow", "Action": ["a", "b"]}});
        assert!(document("it", &one, &same).is_empty());
        let mut wider = one.clone();
        wider["Statement"] = json!([one["Statement"][0], {"Effect": "Allow", "Action": "*", "Resource": "*"}]);
        let texts = document("the boundary", &wider, &one);
        assert_eq!(texts.len(), 1);
        assert!(
            texts[0].starts_with("the boundary has a statement that should not be there: {")
                && texts[0].contains("\"*\"")
        );
        assert!(document("it", &one, &wider)[0].starts_with("it lacks the statement"));
        let texts = document("the trust", &trust("arn:aws:iam::999:root", "secret-1"), &trust("arn:p", "secret-1"));
        assert!(texts.concat().contains("999:root") && !texts.concat().contains("secret"), "{texts:?}");
        let texts = document("the trust", &trust("arn:p", "secret-2"), &trust("arn:p", "secret-1"));
        assert_eq!(texts, ["the trust asks for another external ID than the stack's"]);
    }
}
