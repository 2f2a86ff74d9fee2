//! Somebody with policies and a boundary, and what IAM would let them do: by an evaluator that was not written here.

use std::collections::BTreeMap;

use iam_rs::{Arn, Context, ContextValue, Decision, IAMPolicy, IAMRequest, PolicyEvaluator, Principal, PrincipalId};
use serde_json::Value;

use crate::Error;
use crate::authorization::Question;

/// A request as IAM sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Such as `iam:CreateRole`.
    pub action: String,
    /// On what.
    pub resource: String,
    /// What else is known of it: `aws:TagKeys` is a list, every other key has one value.
    pub context: BTreeMap<String, Vec<String>>,
}

impl Request {
    /// A request of which nothing else is known.
    #[must_use]
    pub fn new(action: &str, resource: &str) -> Self {
        Self { action: action.to_owned(), resource: resource.to_owned(), context: BTreeMap::new() }
    }

    /// The same with something known of it.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.context.entry(key.to_owned()).or_default().push(value.to_owned());
        self
    }

    /// The request behind a question.
    #[must_use]
    pub fn of(question: &Question<'_>) -> Self {
        let mut request = Self::new(question.action.name(), question.resource);
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
        for (key, value) in known {
            if let Some(value) = value {
                request = request.with(key, value);
            }
        }
        request
    }
}

/// Somebody who makes requests.
pub struct Identity {
    permissions: PolicyEvaluator,
    boundary: Option<PolicyEvaluator>,
}

impl Identity {
    /// With a policy and, unless it is nobody's, under a boundary.
    pub fn new(permissions: &Value, boundary: Option<&Value>) -> Result<Self, Error> {
        let read = |document: &Value| -> Result<PolicyEvaluator, Error> {
            Ok(PolicyEvaluator::with_policies(vec![serde_json::from_value::<IAMPolicy>(document.clone())?]))
        };
        Ok(Self { permissions: read(permissions)?, boundary: boundary.map(read).transpose()? })
    }

    /// Whether a request is allowed: by the policy, and by the boundary if there is one.
    pub fn may(&self, request: &Request) -> Result<bool, Error> {
        let mut context = Context::new();
        for (key, values) in &request.context {
            let value = match (key.as_str(), values.as_slice()) {
                ("aws:TagKeys", keys) => ContextValue::StringList(keys.to_vec()),
                (_, [value]) => ContextValue::String(value.clone()),
                _ => return Err(format!("{key} has {} values", values.len()).into()),
            };
            context.insert(key.clone(), value);
        }
        let somebody = Principal::Aws(PrincipalId::String("arn:aws:iam::123456789012:role/somebody".to_owned()));
        let asked = IAMRequest::new_with_context(somebody, &request.action, Arn::parse(&request.resource)?, context);
        for evaluator in [Some(&self.permissions), self.boundary.as_ref()].into_iter().flatten() {
            if evaluator.evaluate(&asked)?.decision != Decision::Allow {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
