//! Policy documents as IAM reads them: by an evaluator that was not written here.

use std::collections::BTreeMap;

use iam_rs::{Arn, Context, ContextValue, Decision, IAMPolicy, IAMRequest, PolicyEvaluator, Principal, PrincipalId};
use serde_json::Value;

/// Error of an evaluation: an unreadable document, resource or context.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A request as IAM sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// IAM action, such as `iam:CreateRole`.
    pub action: String,
    /// ARN of the resource.
    pub resource: String,
    /// Condition keys of the request: `aws:TagKeys` is a list, every other key has one value.
    pub context: BTreeMap<String, Vec<String>>,
}

/// The documents that decide together: a request is allowed if one of them allows it and none denies it.
#[derive(Debug)]
pub struct Policies(PolicyEvaluator);

impl Request {
    /// Creates a request without condition keys.
    #[must_use]
    pub fn new(action: &str, resource: &str) -> Self {
        Self { action: action.to_owned(), resource: resource.to_owned(), context: BTreeMap::new() }
    }

    /// Adds a value of a condition key.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.context.entry(key.to_owned()).or_default().push(value.to_owned());
        self
    }
}

impl Policies {
    /// Reads policy documents.
    pub fn read<'d>(documents: impl IntoIterator<Item = &'d Value>) -> Result<Self, Error> {
        let documents = documents.into_iter().map(|document| serde_json::from_value::<IAMPolicy>(document.clone()));
        Ok(Self(PolicyEvaluator::with_policies(documents.collect::<Result<_, _>>()?)))
    }

    /// Returns true if the documents allow a request.
    pub fn allow(&self, request: &Request) -> Result<bool, Error> {
        let mut context = Context::new();
        for (key, values) in &request.context {
            let value = match (key.as_str(), values.as_slice()) {
                ("aws:TagKeys", keys) => ContextValue::StringList(keys.to_vec()),
                (_, [value]) => ContextValue::String(value.clone()),
                _ => return Err(format!("{key} has {} values", values.len()).into()),
            };
            context.insert(key.clone(), value);
        }
        let caller = Principal::Aws(PrincipalId::String("arn:aws:iam::123456789012:role/caller".to_owned()));
        let request = IAMRequest::new_with_context(caller, &request.action, Arn::parse(&request.resource)?, context);
        Ok(self.0.evaluate(&request)?.decision == Decision::Allow)
    }
}
