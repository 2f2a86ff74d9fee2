//! Values of a template: plain, or computed by CloudFormation.

use std::borrow::Cow;
use std::fmt;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A value in a template: plain, or computed by CloudFormation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Text as it is.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A list.
    List(Vec<Expr>),
    /// An object, in order.
    Map(Vec<(String, Expr)>),
    /// `Ref`.
    Ref(String),
    /// `Fn::GetAtt`.
    GetAtt(&'static str, &'static str),
    /// `Fn::Sub`, with variables of its own.
    Sub(String, Vec<(&'static str, Expr)>),
    /// Any other function, with its arguments.
    Call(Function, Vec<Expr>),
    /// A condition by name.
    Condition(Cow<'static, str>),
    /// A JSON value from elsewhere, such as an IAM document.
    Json(Value),
}

/// Functions with a list of arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are CloudFormation's")]
pub enum Function {
    And,
    Contains,
    Equals,
    FindInMap,
    If,
    Join,
    Not,
    Select,
    Split,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fn::{self:?}")
    }
}

impl Expr {
    /// Text as it is.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Returns the value of a parameter or a resource's main attribute.
    pub fn reference(name: impl Into<String>) -> Self {
        Self::Ref(name.into())
    }

    /// Text with `${…}` in it.
    pub fn sub(text: impl Into<String>) -> Self {
        Self::Sub(text.into(), Vec::new())
    }

    /// One of two values.
    #[must_use]
    pub fn when(condition: impl Into<Cow<'static, str>>, then: Self, otherwise: Self) -> Self {
        Self::Call(Function::If, vec![Self::text(condition.into()), then, otherwise])
    }

    /// Nothing at all: the property or item is left out.
    #[must_use]
    pub fn no_value() -> Self {
        Self::reference("AWS::NoValue")
    }

    /// True if two values are equal.
    #[must_use]
    pub fn equals(one: Self, other: Self) -> Self {
        Self::Call(Function::Equals, vec![one, other])
    }

    /// Returns the opposite.
    #[must_use]
    pub fn negated(condition: Self) -> Self {
        Self::Call(Function::Not, vec![condition])
    }

    /// True if 2 to 10 conditions hold.
    #[must_use]
    pub fn all(conditions: Vec<Self>) -> Self {
        Self::Call(Function::And, conditions)
    }

    /// One item of a list.
    #[must_use]
    pub fn select(index: i64, list: Self) -> Self {
        Self::Call(Function::Select, vec![Self::Number(index), list])
    }

    /// Returns a text cut at each separator.
    #[must_use]
    pub fn split(separator: &str, text: Self) -> Self {
        Self::Call(Function::Split, vec![Self::text(separator), text])
    }

    /// Returns a list put together with a separator.
    #[must_use]
    pub fn join(separator: &str, list: Self) -> Self {
        Self::Call(Function::Join, vec![Self::text(separator), list])
    }

    /// Returns the value of a mapping for the region of the stack.
    #[must_use]
    pub fn of_this_region(mapping: &str, key: &str) -> Self {
        Self::Call(Function::FindInMap, vec![Self::text(mapping), Self::reference("AWS::Region"), Self::text(key)])
    }

    /// Returns an object, in order.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// Anything that serializes, such as an IAM document of expressions.
    pub fn json(value: &impl Serialize) -> Self {
        Self::Json(serde_json::to_value(value).unwrap_or_default())
    }
}

impl Expr {
    /// Applies a function to every text.
    pub(super) fn map_texts(&mut self, map: &dyn Fn(&str) -> String) {
        fn in_json(value: &mut Value, map: &dyn Fn(&str) -> String) {
            match value {
                Value::String(text) => *text = map(text),
                Value::Array(items) => items.iter_mut().for_each(|item| in_json(item, map)),
                Value::Object(entries) => entries.values_mut().for_each(|value| in_json(value, map)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        match self {
            Self::Text(text) => *text = map(text),
            Self::Sub(text, variables) => {
                *text = map(text);
                variables.iter_mut().for_each(|(_, value)| value.map_texts(map));
            }
            Self::List(items) | Self::Call(_, items) => items.iter_mut().for_each(|item| item.map_texts(map)),
            Self::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.map_texts(map)),
            Self::Json(value) => in_json(value, map),
            Self::Number(_) | Self::Ref(_) | Self::GetAtt(..) | Self::Condition(_) => {}
        }
    }
}

impl From<&str> for Expr {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn call<S: Serializer>(serializer: S, name: &str, arguments: &impl Serialize) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(name, arguments)?;
            map.end()
        }
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
            Self::Ref(name) => call(serializer, "Ref", name),
            Self::GetAtt(resource, attribute) => call(serializer, "Fn::GetAtt", &[resource, attribute]),
            Self::Sub(text, variables) if variables.is_empty() => call(serializer, "Fn::Sub", text),
            Self::Sub(text, variables) => {
                let variables = Self::map(variables.clone());
                call(serializer, "Fn::Sub", &[Self::text(text), variables])
            }
            Self::Call(function, arguments) => call(serializer, &function.to_string(), arguments),
            Self::Condition(name) => call(serializer, "Condition", name),
            Self::Json(value) => value.serialize(serializer),
        }
    }
}
