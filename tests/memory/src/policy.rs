//! As much of IAM's reading of a policy document as ours use: texts or lists of them, and patterns with one `*` at the end.

use serde_json::Value;

/// The texts of an element that is one text or a list of them.
pub fn texts(element: &Value) -> impl Iterator<Item = &str> {
    let one = element.as_str().into_iter();
    one.chain(element.as_array().into_iter().flatten().filter_map(Value::as_str))
}

/// True if a pattern with at most one `*`, at its end, matches.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |beginning| text.starts_with(beginning))
}

/// True if a document has a statement that allows an action on a resource. A condition on the owner of the resource holds
/// only with the context that says so; all others are taken to hold.
pub(crate) fn allows(document: &Value, action: &str, resource: &str, context: &[(&str, String)]) -> bool {
    const OWNER: &str = "aws:ResourceAccount";
    let given = || context.iter().find(|(key, _)| *key == OWNER).map(|(_, account)| account.as_str());
    let is_owned = |statement: &Value| {
        let mut asked = texts(&statement["Condition"]["StringEquals"][OWNER]).peekable();
        asked.peek().is_none() || asked.any(|account| given() == Some(account))
    };
    let has = |element: &Value, text: &str| texts(element).any(|pattern| matches(pattern, text));
    let statements = document["Statement"].as_array().into_iter().flatten();
    statements
        .filter(|statement| statement["Effect"] == "Allow" && is_owned(statement))
        .any(|statement| has(&statement["Action"], action) && has(&statement["Resource"], resource))
}
