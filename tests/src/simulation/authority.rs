//! What the provider role of the moment allows: the template's own policy, evaluated for each call.
//!
//! As much of IAM's evaluation as that policy uses; anything else in it is an error, so that nothing is taken for
//! allowed by oversight. Source: "Policy evaluation logic", "IAM JSON policy elements: condition operators".

use cavatica_access::memory::State;
use cavatica_access::names::{PolicyArn, RoleName};
use cavatica_access::owner::Tags;
use cavatica_access::port::{Action, Carrier, Change};
use serde_json::Value;

use crate::Error;

/// The account that everything is in.
const ACCOUNT: &str = "arn:aws:iam::123456789012";

/// What a role may do.
#[derive(Debug)]
pub struct Authority {
    statements: Vec<Statement>,
}

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
}

#[derive(Debug)]
enum Key {
    ResourceTag(String),
    RequestTag(String),
    TagKeys,
    Boundary,
    Policy,
}

/// One request, with what IAM knows of it when it decides.
#[derive(Debug, Clone, Copy)]
struct Question<'a> {
    action: Action,
    resource: &'a str,
    resource_tags: Option<&'a Tags>,
    request_tags: Option<&'a Tags>,
    tag_keys: &'a [String],
    boundary: Option<&'a str>,
    policy: Option<&'a str>,
}

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A read of a role.
    Role(&'a RoleName),
    /// A read of a policy.
    Policy(&'a PolicyArn),
    /// A change.
    Change(&'a Change),
}

impl Authority {
    /// Reads a policy document.
    pub fn read(document: &Value) -> Result<Self, Error> {
        let statements = document["Statement"].as_array().ok_or("no statements")?;
        let statements = statements.iter().map(Statement::read).collect::<Result<_, _>>()?;
        Ok(Self { statements })
    }

    /// Whether a call is allowed in an account as IAM sees it.
    #[must_use]
    pub fn allows(&self, action: Action, subject: Subject<'_>, seen: &State) -> bool {
        let question = Question {
            action,
            resource: "",
            resource_tags: None,
            request_tags: None,
            tag_keys: &[],
            boundary: None,
            policy: None,
        };
        let on_role = |name: &str, question: Question<'_>| {
            let role = seen.role_named(name);
            let resource = role.map_or_else(|| format!("{ACCOUNT}:role/{name}"), |role| role.arn.to_string());
            let boundary = question.boundary.or(role.and_then(|role| Some(role.boundary.as_ref()?.as_str())));
            let resource_tags = role.map(|role| &role.tags);
            self.answer(&Question { resource: &resource, resource_tags, boundary, ..question })
        };
        let on_policy = |arn: &PolicyArn, question: Question<'_>| {
            self.answer(&Question { resource: arn.as_str(), resource_tags: seen.policy_tags(arn), ..question })
        };
        let change = match subject {
            Subject::Role(name) => return on_role(name.as_str(), question),
            Subject::Policy(arn) => return on_policy(arn, question),
            Subject::Change(change) => change,
        };
        match change {
            // Tags on create are a second request, on something that has none yet.
            Change::CreateRole(new) => {
                let resource = new.arn.to_string();
                let request_tags = Some(&new.tags);
                let boundary = new.boundary.as_ref().map(PolicyArn::as_str);
                let create = Question { resource: &resource, request_tags, boundary, ..question };
                self.answer(&create) && self.answer(&Question { action: Action::TagRole, ..create })
            }
            Change::CreatePolicy { arn, tags, .. } => {
                let create = Question { resource: arn.as_str(), request_tags: Some(tags), ..question };
                self.answer(&create) && self.answer(&Question { action: Action::TagPolicy, ..create })
            }
            Change::TagRole { role, tags } => on_role(role.as_str(), Question { request_tags: Some(tags), ..question }),
            Change::UntagRole { role, keys } => on_role(role.as_str(), Question { tag_keys: keys, ..question }),
            Change::PutBoundary { role, boundary } => {
                on_role(role.as_str(), Question { boundary: Some(boundary.as_str()), ..question })
            }
            Change::UpdateRole { role, .. }
            | Change::UpdateTrust { role, .. }
            | Change::DeleteInlinePolicy { role, .. }
            | Change::DeleteRole { role } => on_role(role.as_str(), question),
            Change::Attach { role, arn } => on_role(role.as_str(), Question { policy: Some(arn.as_str()), ..question }),
            Change::Detach { from: Carrier::Role(name), arn } => {
                on_role(name, Question { policy: Some(arn.as_str()), ..question })
            }
            Change::Detach { from: Carrier::User(name), arn } => {
                let resource = format!("{ACCOUNT}:user/{name}");
                self.answer(&Question { resource: &resource, policy: Some(arn.as_str()), ..question })
            }
            Change::Detach { from: Carrier::Group(name), arn } => {
                let resource = format!("{ACCOUNT}:group/{name}");
                self.answer(&Question { resource: &resource, policy: Some(arn.as_str()), ..question })
            }
            Change::TagPolicy { arn, tags } => on_policy(arn, Question { request_tags: Some(tags), ..question }),
            Change::UntagPolicy { arn, keys } => on_policy(arn, Question { tag_keys: keys, ..question }),
            Change::CreatePolicyVersion { arn, .. }
            | Change::DeletePolicyVersion { arn, .. }
            | Change::DeletePolicy { arn } => on_policy(arn, question),
        }
    }

    fn answer(&self, question: &Question<'_>) -> bool {
        self.statements.iter().any(|statement| statement.allows(question))
    }
}

impl Statement {
    fn read(statement: &Value) -> Result<Self, Error> {
        if statement["Effect"] != "Allow" {
            return Err("only Allow is evaluated".into());
        }
        let named = |name: &String| Action::ALL.iter().copied().find(|action| action.iam_name() == name);
        let mut conditions = Vec::new();
        for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
            for (key, values) in keys.as_object().into_iter().flatten() {
                let (operator, key) = (Operator::read(operator)?, Key::read(key)?);
                conditions.push(Condition { operator, key, values: texts(values) });
            }
        }
        Ok(Self {
            actions: texts(&statement["Action"]).iter().filter_map(named).collect(),
            resources: texts(&statement["Resource"]),
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
            _ => return Err(format!("{name} is not evaluated").into()),
        })
    }
}

impl Condition {
    fn holds(&self, question: &Question<'_>) -> bool {
        let value = match &self.key {
            Key::ResourceTag(key) => question.resource_tags.and_then(|tags| tags.get(key)).map(String::as_str),
            Key::RequestTag(key) => question.request_tags.and_then(|tags| tags.get(key)).map(String::as_str),
            Key::Boundary => question.boundary,
            Key::Policy => question.policy,
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
            Operator::NoneOfIgnoringCase => false,
        }
    }
}

/// Whether a pattern with at most one `*`, at its end, matches.
fn matches(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |beginning| text.starts_with(beginning))
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}
