//! IAM documents as typed values: one canonical JSON form to write, and what they mean to compare.
//!
//! Which statements a document has is not decided here but in [`crate::permissions`].

use std::fmt::Write as _;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

/// A policy document. `T` is the text of resources and conditions: plain in the Lambda, CloudFormation expressions in
/// a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document<T = String> {
    version: &'static str,
    statement: Vec<Statement<T>>,
}

/// One statement; everything we write allows, nothing denies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement<T = String> {
    /// Tells a person which part of the vendor's page it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<Cow<'static, str>>,
    /// Always `Allow`.
    pub effect: Effect,
    /// The principal, in a trust policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal<T>>,
    /// The allowed actions.
    pub action: Vec<&'static str>,
    /// On what, except in a trust policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<T>,
    /// Only if, in the order given.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "conditions")]
    pub condition: Vec<Condition<T>>,
}

/// The only effect we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Effect {
    /// `Allow`.
    Allow,
}

/// A principal that may assume a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Principal<T> {
    /// An AWS principal by its ARN.
    #[serde(rename = "AWS")]
    Aws(T),
    /// An AWS service by its host name.
    Service(&'static str),
}

/// `OPERATOR: { KEY: VALUE }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition<T> {
    /// Such as `StringEquals`.
    pub operator: &'static str,
    /// Such as `sts:ExternalId`.
    pub key: &'static str,
    /// The values, of which the key has to have one.
    pub values: Vec<T>,
}

/// Writes conditions as IAM nests them: one object an operator, with its keys.
fn conditions<T: Serialize, S: serde::Serializer>(
    conditions: &[Condition<T>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    struct Keys<'a, T>(&'a [Condition<T>], &'static str);
    impl<T: Serialize> Serialize for Keys<'_, T> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().filter(|c| c.operator == self.1).map(|c| (c.key, Values(&c.values))))
        }
    }
    struct Values<'a, T>(&'a [T]);
    impl<T: Serialize> Serialize for Values<'_, T> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                [single] => single.serialize(serializer),
                several => several.serialize(serializer),
            }
        }
    }
    let mut operators: Vec<&'static str> = Vec::new();
    for condition in conditions {
        if !operators.contains(&condition.operator) {
            operators.push(condition.operator);
        }
    }
    serializer.collect_map(operators.into_iter().map(|operator| (operator, Keys(conditions, operator))))
}

impl<T> Document<T> {
    /// Returns a document of these statements.
    #[must_use]
    pub fn new(statement: Vec<Statement<T>>) -> Self {
        Self { version: "2012-10-17", statement }
    }

    /// Returns the statements, in order.
    #[must_use]
    pub fn statements(&self) -> &[Statement<T>] {
        &self.statement
    }
}

impl<T> Statement<T> {
    /// Returns a statement that allows actions on resources.
    #[must_use]
    pub fn allow(sid: impl Into<Cow<'static, str>>, action: &[&'static str], resource: Vec<T>) -> Self {
        Self {
            sid: Some(sid.into()),
            effect: Effect::Allow,
            principal: None,
            action: action.to_vec(),
            resource,
            condition: Vec::new(),
        }
    }

    /// Returns a statement that lets a principal do something, as trust policies have them.
    #[must_use]
    pub fn trust(principal: Principal<T>, action: &'static str) -> Self {
        Self {
            sid: None,
            effect: Effect::Allow,
            principal: Some(principal),
            action: vec![action],
            resource: Vec::new(),
            condition: Vec::new(),
        }
    }

    /// Returns the same, only if the key has the value.
    #[must_use]
    pub fn only_if(self, operator: &'static str, key: &'static str, value: T) -> Self {
        self.only_if_any(operator, key, vec![value])
    }

    /// Returns the same, only if the key has one of the values.
    #[must_use]
    pub fn only_if_any(mut self, operator: &'static str, key: &'static str, values: Vec<T>) -> Self {
        self.condition.push(Condition { operator, key, values });
        self
    }
}

impl Document {
    /// Returns the document as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Returns the one form in which the document is sent to IAM: no white space, stable order, ASCII only (IAM's own
    /// character set ends at U+00FF, so anything beyond is escaped).
    #[must_use]
    pub fn to_json(&self) -> String {
        in_ascii(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// JSON text with everything beyond ASCII escaped, as IAM takes it.
#[must_use]
pub fn in_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

/// True if two documents mean the same: the order of statements and lists, and a list of one written as a single
/// value, do not count.
#[must_use]
pub fn same_meaning(one: &Value, other: &Value) -> bool {
    one == other || normal_form(one) == normal_form(other)
}

/// Returns a document with every list sorted and every single value a list.
fn normal_form(document: &Value) -> Value {
    let mut normal = document.clone();
    if let Some(statements) = normal.get_mut("Statement") {
        let mut list = take_list(statements);
        for statement in list.iter_mut().filter_map(Value::as_object_mut) {
            for (key, value) in statement.iter_mut() {
                match key.as_str() {
                    "Action" | "NotAction" | "Resource" | "NotResource" => *value = sorted(take_list(value)),
                    "Principal" | "NotPrincipal" => values_sorted(value),
                    "Condition" => {
                        value.as_object_mut().into_iter().flat_map(|o| o.values_mut()).for_each(values_sorted)
                    }
                    _ => {}
                }
            }
        }
        *statements = sorted(list);
    }
    normal
}

fn values_sorted(map: &mut Value) {
    for value in map.as_object_mut().into_iter().flat_map(|o| o.values_mut()) {
        *value = sorted(take_list(value));
    }
}

fn take_list(value: &mut Value) -> Vec<Value> {
    match value.take() {
        Value::Array(list) => list,
        single => vec![single],
    }
}

fn sorted(mut list: Vec<Value>) -> Value {
    // Object keys keep the order they were read in, so they are sorted here too before they are compared as text.
    list.sort_by_cached_key(|value| {
        let mut value = value.clone();
        value.sort_all_objects();
        value.to_string()
    });
    list.dedup();
    Value::Array(list)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_nested_by_operator() {
        let statement = Statement::allow("S", &["s3:GetObject"], vec!["r".to_owned()])
            .only_if("StringEquals", "a", "1".to_owned())
            .only_if("StringLike", "b", "2".to_owned())
            .only_if("StringEquals", "c", "3".to_owned());
        assert_eq!(
            Document::new(vec![statement]).to_value()["Statement"][0]["Condition"],
            json!({"StringEquals": {"a": "1", "c": "3"}, "StringLike": {"b": "2"}})
        );
    }

    #[test]
    fn order_and_single_values_do_not_change_the_meaning() {
        let one = json!({"Version": "v", "Statement": [
            {"Sid": "A", "Effect": "Allow", "Action": ["a", "b"], "Resource": "r"},
            {"Effect": "Allow", "Principal": {"AWS": "p"}, "Action": "c", "Condition": {"StringEquals": {"k": "v"}}},
        ]});
        let other = json!({"Statement": [
            {"Condition": {"StringEquals": {"k": ["v"]}}, "Principal": {"AWS": ["p"]}, "Action": ["c"], "Effect": "Allow"},
            {"Effect": "Allow", "Resource": ["r"], "Action": ["b", "a"], "Sid": "A"},
        ], "Version": "v"});
        assert!(same_meaning(&one, &other));
    }

    #[test]
    fn another_resource_condition_or_effect_changes_the_meaning() {
        let base = json!({"Version": "v", "Statement": {"Effect": "Allow", "Action": "a", "Resource": "r"}});
        for (key, value) in [
            ("Resource", json!("s")),
            ("Effect", json!("Deny")),
            ("Condition", json!({"Bool": {"k": "true"}})),
            ("Action", json!("*")),
        ] {
            let mut other = base.clone();
            other["Statement"][key] = value;
            assert!(!same_meaning(&base, &other), "{key}");
        }
    }

    #[test]
    fn escapes_characters_that_iam_cannot_read() {
        let document = Document::new(vec![Statement::allow("S", &["s3:GetObject"], vec!["β/日本/😀".to_owned()])]);
        let json = document.to_json();
        assert!(json.is_ascii(), "{json}");
        assert_eq!(serde_json::from_str::<Value>(&json).ok(), Some(document.to_value()));
    }
}
