//! Reader of named values in a JSON object that collects all problems.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use crate::names::Rule;

/// Invalid request: all problems that were found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// The problems, at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}.", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// Problem of a request: the property, its value, and the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A value breaks its rule.
    Breaks {
        /// Such as `Volumes[0].Prefix`.
        property: String,
        /// As it was given, cut when long.
        value: String,
        /// Completes "must be …".
        rule: Cow<'static, str>,
    },
    /// There is no such property.
    Unknown {
        /// Such as `Volumes[0].Mode`.
        property: String,
    },
    /// The properties together make something that AWS does not take.
    TooLarge {
        /// Such as "the permission policy".
        what: &'static str,
        /// In characters.
        size: usize,
        /// In characters.
        limit: usize,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Breaks { property, value, rule } => write!(f, "{property} is {value} but must be {rule}"),
            Self::Unknown { property } => write!(f, "{property} is not a property of {}", super::RESOURCE_TYPE),
            Self::TooLarge { what, size, limit } => {
                write!(
                    f,
                    "The {what} would have {size} characters but AWS takes at most {limit}: spread the volumes over several stacks"
                )
            }
        }
    }
}

/// A JSON object being read. Names that were asked for are known; the rest is reported at the end.
pub(super) struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    place: String,
    known: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// Returns a reader; `place` precedes every property's name in a problem.
    pub(super) fn of(value: &'a Value, place: &str) -> Self {
        let mut fields =
            Self { object: value.as_object(), place: place.to_owned(), known: Vec::new(), problems: Vec::new() };
        if fields.object.is_none() {
            let property = place.strip_suffix('.').filter(|p| !p.is_empty()).unwrap_or("ResourceProperties").to_owned();
            fields.problems.push(Problem::Breaks {
                property,
                value: shown(value),
                rule: "an object of properties".into(),
            });
        }
        fields
    }

    /// Marks names as known without reading them.
    pub(super) fn known(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// Returns a value that may be absent.
    pub(super) fn optional<T, E: Into<Cow<'static, str>>>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let text = scalar(value);
        match text.as_deref().map(read) {
            Some(Ok(value)) => Some(value),
            Some(Err(rule)) => self.broken(name, value, rule),
            None => self.broken(name, value, "a single value"),
        }
    }

    /// Returns a value that has to be there.
    pub(super) fn required<T, E: Into<Cow<'static, str>>>(
        &mut self,
        name: &'static str,
        rule: Rule,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        if self.object.is_some_and(|object| !object.contains_key(name)) {
            self.refuse(name, "nothing", rule);
        }
        self.optional(name, read)
    }

    /// Returns a value of its own shape that may be absent.
    pub(super) fn optional_value<T>(
        &mut self,
        name: &'static str,
        rule: Rule,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        match read(value) {
            Some(read) => Some(read),
            None => self.broken(name, value, rule),
        }
    }

    /// Returns a list whose items are read by themselves; they are told their place.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        rule: Rule,
        read: impl Fn(&Value, &str) -> Result<T, Vec<Problem>>,
    ) -> Option<Vec<T>> {
        let value = self.take(name)?;
        let Some(items) = value.as_array() else { return self.broken(name, value, rule) };
        let mut list = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            match read(item, &format!("{}{name}[{i}].", self.place)) {
                Ok(value) => list.push(value),
                Err(problems) => self.problems.extend(problems),
            }
        }
        Some(list)
    }

    /// Returns a list of single values.
    pub(super) fn list_of_scalars<T, E: Into<Cow<'static, str>>>(
        &mut self,
        name: &'static str,
        rule: Rule,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        self.list(name, rule, |item, place| {
            let value = match scalar(item) {
                Some(text) => read(&text).map_err(Into::into),
                None => Err(rule.into()),
            };
            value.map_err(|rule| {
                let property = place.trim_end_matches('.').to_owned();
                vec![Problem::Breaks { property, value: shown(item), rule }]
            })
        })
    }

    /// Reports a value that breaks a rule only seen from outside.
    pub(super) fn refuse(&mut self, name: &str, value: &str, rule: impl Into<Cow<'static, str>>) {
        let property = format!("{}{name}", self.place);
        self.problems.push(Problem::Breaks { property, value: value.to_owned(), rule: rule.into() });
    }

    /// True while there is no problem.
    pub(super) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Reports unknown names. `Ok` if there is no problem at all.
    pub(super) fn finish(&mut self) -> Result<(), ()> {
        let names = self.object.into_iter().flat_map(Map::keys);
        let unknown = names.filter(|name| !self.known.contains(&name.as_str()));
        self.problems.extend(unknown.map(|name| Problem::Unknown { property: format!("{}{name}", self.place) }));
        if self.problems.is_empty() { Ok(()) } else { Err(()) }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn into_invalid(self) -> Invalid {
        Invalid { problems: self.problems }
    }

    fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.object?.get(name)
    }

    fn broken<T>(&mut self, name: &str, value: &Value, rule: impl Into<Cow<'static, str>>) -> Option<T> {
        self.refuse(name, &shown(value), rule);
        None
    }
}

/// Returns a single value as text, whether CloudFormation made a string of it or not.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns a value as a person should see it: as JSON, so that blanks and empty text show, and not longer than a line.
pub fn shown(value: &Value) -> String {
    /// Characters of a value that are worth showing; every valid name fits.
    const LONGEST: usize = 160;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
