//! The account's buckets, and what IAM's simulator would say: as much of both as the port asks for.

use serde_json::Value;

use super::failure;
use super::policy::allows;
use super::state::State;
use cavatica_access::limits;
use cavatica_access::names::{AccountId, RoleArn};
use cavatica_access::port::{Bucket, Carrier, CorsRule, Failure, FailureKind, Layer, Question, Verdict};
use cavatica_access::volume::{BucketName, Region};

/// A bucket as S3 holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBucket {
    /// Whose it is.
    pub owner: AccountId,
    /// Where it is.
    pub region: Region,
    /// What it encrypts with, if that is a KMS key.
    pub key: Option<String>,
    /// Its CORS rules.
    pub cors: Vec<CorsRule>,
}

impl State {
    /// A bucket, if it is there and the owner's.
    pub(super) fn bucket(&self, name: &BucketName, owner: &AccountId) -> Result<&HeldBucket, Failure> {
        match self.buckets.get(name) {
            None => Err(Failure {
                code: "NoSuchBucket".to_owned(),
                ..failure(FailureKind::NotFound, &format!("The bucket {name} does not exist"))
            }),
            Some(held) if held.owner != *owner => Err(failure(FailureKind::Denied, "Access Denied")),
            Some(held) => Ok(held),
        }
    }

    pub(super) fn put_cors(&mut self, bucket: &Bucket, rules: &[CorsRule], seen: &Self) -> Result<(), Failure> {
        seen.bucket(&bucket.name, &bucket.owner)?;
        if rules.len() > limits::CORS_RULES {
            return Err(failure(
                FailureKind::Other,
                "The number of CORS rules should not exceed allowed limit of 100 rules",
            ));
        }
        self.bucket(&bucket.name, &bucket.owner)?;
        if let Some(held) = self.buckets.get_mut(&bucket.name) {
            held.cors = rules.to_vec();
        }
        Ok(())
    }

    /// Somebody else writes what they read before, with a rule of theirs.
    pub(super) fn overwrite_cors(&mut self, name: &BucketName, before: &Self, number: u64) {
        let earlier = before.buckets.get(name).map(|held| held.cors.clone()).unwrap_or_default();
        if let Some(held) = self.buckets.get_mut(name) {
            held.cors = earlier;
            held.cors.push(foreign_cors_rule(&format!("rival-{number}")));
        }
    }

    /// The verdict of the role's attached policies and its boundary. Statements' conditions are taken to hold. A KMS key of
    /// another account is denied, since its key policy is not given. Source: `SimulatePrincipalPolicy`, parameter
    /// `ResourcePolicy`; "Policy evaluation logic", cross-account requests.
    pub(super) fn simulate(&self, role: &RoleArn, question: &Question) -> Result<Vec<Verdict>, Failure> {
        let held = &self.role(&role.name)?.role;
        let carrier = Carrier::Role(held.arn.name.to_string());
        let attached = self.attachments.iter().filter(|(holder, _)| *holder == carrier);
        let documents: Vec<&Value> = attached.filter_map(|(_, arn)| self.document(arn)).collect();
        let boundary = held.boundary.as_ref().and_then(|arn| self.document(arn));
        let verdict = |action: &str, resource: &str| Verdict {
            action: action.to_owned(),
            resource: resource.to_owned(),
            forbidden_by: if is_foreign_key(resource, role)
                || !documents.iter().any(|document| allows(document, action, resource, &question.context))
            {
                Some(Layer::Statement)
            } else if boundary.is_some_and(|document| !allows(document, action, resource, &question.context)) {
                Some(Layer::Boundary)
            } else {
                None
            },
        };
        let of_action = |action: &&'static str| {
            let action = *action;
            question.resources.iter().map(move |resource| (action, resource))
        };
        Ok(question.actions.iter().flat_map(of_action).map(|(action, resource)| verdict(action, resource)).collect())
    }

    /// Every bucket.
    pub fn buckets(&self) -> impl Iterator<Item = (&BucketName, &HeldBucket)> {
        self.buckets.iter()
    }
}

fn is_foreign_key(resource: &str, role: &RoleArn) -> bool {
    resource.contains(":kms:") && !resource.contains(&format!(":{}:key/", role.account))
}

/// Somebody else's CORS rule.
#[must_use]
pub fn foreign_cors_rule(id: &str) -> CorsRule {
    CorsRule {
        id: Some(id.to_owned()),
        allowed_origins: vec!["*".to_owned()],
        allowed_methods: vec!["GET".to_owned(), "PUT".to_owned()],
        allowed_headers: vec!["*".to_owned()],
        expose_headers: Vec::new(),
        max_age_seconds: None,
    }
}
