//! Rights of the provider role at a moment: the template's own policy, evaluated for each call.
//!
//! As much of IAM's evaluation as that policy uses; anything else in it is an error, so that nothing is taken for
//! allowed by oversight. Source: "Policy evaluation logic", "IAM JSON policy elements: condition operators".

use std::sync::{Arc, Mutex, PoisonError};

use cavatica_access::owner::Tags;
use cavatica_access::port::Action;
use cavatica_memory::State;
use cavatica_memory::policy::Request;
use serde_json::Value;

use crate::Error;
use crate::authorization::{Question, Subject, ask};

/// Rights of a role.
#[derive(Debug)]
pub struct ProviderRights {
    statements: Vec<Statement>,
    /// The policy, and what was asked of it with the answers, to be judged by others.
    record: Option<(Arc<Value>, Record)>,
}

/// Every question that was asked, with the policy that it was asked of and the answer.
pub type Record = Arc<Mutex<Vec<(Arc<Value>, Request, bool)>>>;

#[derive(Debug)]
struct Statement {
    actions: Vec<Action>,
    resources: Vec<String>,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    operator: Operator,
    key: Key,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    StringEquals,
    StringEqualsIfExists,
    ArnEquals,
    NoneOfIgnoringCase,
    AnyOf,
}

#[derive(Debug)]
enum Key {
    ResourceTag(String),
    RequestTag(String),
    TagKeys,
    Boundary,
    Policy,
    ResourceAccount,
}

impl ProviderRights {
    /// Reads a policy document.
    pub fn read(document: &Value) -> Result<Self, Error> {
        let statements = document["Statement"].as_array().ok_or("no statements")?;
        let statements = statements.iter().map(Statement::read).collect::<Result<_, _>>()?;
        Ok(Self { statements, record: None })
    }

    /// Returns the same, with everything that is asked written down.
    #[must_use]
    pub fn recorded(mut self, document: Value, record: &Record) -> Self {
        self.record = Some((Arc::new(document), Arc::clone(record)));
        self
    }

    /// True if a call is allowed in an account as IAM sees it.
    #[must_use]
    pub fn allows(&self, action: Action, subject: Subject<'_>, seen: &State) -> bool {
        ask(action, subject, seen, |question| self.answer(question))
    }

    fn answer(&self, question: &Question<'_>) -> bool {
        let is_allowed = self.statements.iter().any(|statement| statement.allows(question));
        if let Some((document, record)) = &self.record {
            let entry = (Arc::clone(document), request_of(question), is_allowed);
            record.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        }
        is_allowed
    }
}

impl Statement {
    fn read(statement: &Value) -> Result<Self, Error> {
        if statement["Effect"] != "Allow" {
            return Err("only Allow is evaluated".into());
        }
        let named = |name: &str| Action::ALL.iter().copied().find(|action| action.name() == name);
        let mut conditions = Vec::new();
        for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
            for (key, values) in keys.as_object().into_iter().flatten() {
                let (operator, key) = (Operator::read(operator)?, Key::read(key)?);
                conditions.push(Condition { operator, key, values: texts(values).map(str::to_owned).collect() });
            }
        }
        Ok(Self {
            actions: texts(&statement["Action"]).filter_map(named).collect(),
            resources: texts(&statement["Resource"]).map(str::to_owned).collect(),
            conditions,
        })
    }

    fn allows(&self, question: &Question<'_>) -> bool {
        self.actions.contains(&question.action)
            && self.resources.iter().any(|pattern| matches(pattern, question.resource))
            && self.conditions.iter().all(|condition| condition.holds(question))
    }
}

impl Operator {
    fn read(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "StringEquals" => Self::StringEquals,
            "StringEqualsIfExists" => Self::StringEqualsIfExists,
            "ArnEquals" => Self::ArnEquals,
            "ForAllValues:StringNotEqualsIgnoreCase" => Self::NoneOfIgnoringCase,
            "ForAnyValue:StringEquals" => Self::AnyOf,
            other => return Err(format!("{other} is not evaluated").into()),
        })
    }
}

impl Key {
    fn read(name: &str) -> Result<Self, Error> {
        Ok(match name.split_once('/') {
            Some(("aws:ResourceTag", key)) => Self::ResourceTag(key.to_owned()),
            Some(("aws:RequestTag", key)) => Self::RequestTag(key.to_owned()),
            None if name == "aws:TagKeys" => Self::TagKeys,
            None if name == "iam:PermissionsBoundary" => Self::Boundary,
            None if name == "iam:PolicyARN" => Self::Policy,
            None if name == "aws:ResourceAccount" => Self::ResourceAccount,
            _ => return Err(format!("{name} is not evaluated").into()),
        })
    }
}

impl Condition {
    fn holds(&self, question: &Question<'_>) -> bool {
        let value = match &self.key {
            Key::ResourceTag(key) => question.resource_tags.and_then(|tags| tag(tags, key)),
            Key::RequestTag(key) => question.request_tags.and_then(|tags| tag(tags, key)),
            Key::Boundary => question.boundary,
            Key::Policy => question.policy,
            Key::ResourceAccount => question.account,
            Key::TagKeys if matches!(self.operator, Operator::AnyOf) => {
                let set = question.request_tags.into_iter().flat_map(Tags::keys);
                return set.chain(question.tag_keys).any(|key| self.values.contains(key));
            }
            Key::TagKeys => {
                let is_named = |key: &String| self.values.iter().any(|value| value.eq_ignore_ascii_case(key));
                return !question.tag_keys.iter().any(is_named);
            }
        };
        let equals = |value: &str| self.values.iter().any(|wanted| wanted == value);
        match self.operator {
            Operator::StringEquals => value.is_some_and(equals),
            Operator::StringEqualsIfExists => value.is_none_or(equals),
            Operator::ArnEquals => value.is_some_and(|value| self.values.iter().any(|wanted| matches(wanted, value))),
            Operator::NoneOfIgnoringCase | Operator::AnyOf => false,
        }
    }
}

/// Returns a tag's value by its key, whose case does not count. Source: "IAM and AWS STS condition context keys",
/// `aws:ResourceTag/tag-key`.
fn tag<'t>(tags: &'t Tags, key: &str) -> Option<&'t str> {
    tags.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
}

/// Returns the request behind a question.
fn request_of(question: &Question<'_>) -> Request {
    let mut request = Request::new(question.action.name(), question.resource);
    for (kind, tags) in [("aws:ResourceTag", question.resource_tags), ("aws:RequestTag", question.request_tags)] {
        for (key, value) in tags.into_iter().flatten() {
            request = request.with(&format!("{kind}/{key}"), value);
        }
    }
    for key in question.request_tags.into_iter().flat_map(|tags| tags.keys()).chain(question.tag_keys) {
        request = request.with("aws:TagKeys", key);
    }
    let known = [
        ("iam:PermissionsBoundary", question.boundary),
        ("iam:PolicyARN", question.policy),
        ("aws:ResourceAccount", question.account),
    ];
    known
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .fold(request, |request, (key, value)| request.with(key, value))
}

/// Returns the texts of an element that is one text or a list of them.
fn texts(element: &Value) -> impl Iterator<Item = &str> {
    let one = element.as_str().into_iter();
    one.chain(element.as_array().into_iter().flatten().filter_map(Value::as_str))
}

/// Returns true if a pattern with at most one `*`, at its end, matches.
fn matches(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |beginning| text.starts_with(beginning))
}
