//! The account's buckets, and what IAM's simulator would say: as much of both as the port asks for.

use super::failure;
use super::policy::{self, Policies, Request};
use super::state::State;
use cavatica_access::limits;
use cavatica_access::names::{AccountId, RoleArn};
use cavatica_access::port::{Bucket, CorsRule, Failure, FailureKind, Layer, PolicyEntity, Question, Verdict};
use cavatica_access::volume::{BucketName, Region};

/// A bucket as S3 holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBucket {
    /// Owner.
    pub owner: AccountId,
    /// Region.
    pub region: Region,
    /// KMS key that encrypts it, if there is one.
    pub key: Option<String>,
    /// CORS rules.
    pub cors: Vec<CorsRule>,
}

impl State {
    /// Returns a bucket, if it is there and the owner's.
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

    /// Returns the verdict of the role's attached policies and its boundary. A KMS key of another account is denied,
    /// since its key policy is not given. Source: `SimulatePrincipalPolicy`, parameter `ResourcePolicy`; "Policy
    /// evaluation logic", cross-account requests.
    pub(super) fn simulate(&self, role: &RoleArn, question: &Question) -> Result<Vec<Verdict>, Failure> {
        let invalid = |error: policy::Error| failure(FailureKind::Other, &error.to_string());
        let held = &self.role(&role.name)?.role;
        let carrier = PolicyEntity::Role(held.arn.name.to_string());
        let attached = self.attachments.iter().filter(|(holder, _)| *holder == carrier);
        let attached = Policies::read(attached.filter_map(|(_, arn)| self.document(arn))).map_err(invalid)?;
        let boundary = held.boundary.as_ref().and_then(|arn| self.document(arn));
        let boundary = boundary.map(|document| Policies::read([document])).transpose().map_err(invalid)?;
        let context = question.context.iter().map(|(key, value)| ((*key).to_owned(), vec![value.clone()])).collect();
        let mut request = Request { action: String::new(), resource: String::new(), context };
        let mut verdicts = Vec::new();
        for action in &question.actions {
            for resource in &question.resources {
                (request.action, request.resource) = ((*action).to_owned(), resource.clone());
                let forbidden_by = if is_foreign_key(resource, role) || !attached.allow(&request).map_err(invalid)? {
                    Some(Layer::Statement)
                } else if let Some(boundary) = &boundary
                    && !boundary.allow(&request).map_err(invalid)?
                {
                    Some(Layer::Boundary)
                } else {
                    None
                };
                verdicts.push(Verdict { action: request.action.clone(), resource: resource.clone(), forbidden_by });
            }
        }
        Ok(verdicts)
    }

    /// Returns every bucket.
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
