//! Looking at buckets, and at what the role may do with them.

use futures_util::future::join_all;

use super::Observer;
use crate::blueprint::Blueprint;
use crate::checks::preflight::Facts;
use crate::desired::Desired;
use crate::names::AccountId;
use crate::port::{Bucket, Clock, CorsRule, Failure, Look, Question, ReadAccount, Verdict};
use crate::request::Checks;
use crate::retry::Attempt;
use crate::s3_time::{S3Share, within};
use crate::volume::{BucketName, Volume};

impl<I: ReadAccount, C: Clock> Observer<'_, I, C> {
    /// Returns all that the time there is shows of the buckets of a request that has them checked: two round trips. One
    /// that was not asked for before may be denied for a while, because the provider role is not in force yet.
    pub(crate) async fn facts(&self, desired: &Desired, share: S3Share) -> Vec<Facts> {
        let blueprint = &desired.blueprint;
        if blueprint.request.checks == Checks::Off {
            return Vec::new();
        }
        let mut buckets: Vec<&Volume> = Vec::new();
        for volume in &blueprint.request.volumes {
            if !buckets.iter().any(|known| known.bucket == volume.bucket) {
                buckets.push(volume);
            }
        }
        let attempt = |volume: &Volume| match (&volume.bucket_owner, desired.knows_bucket(volume)) {
            (Some(_), true) => share.foreign(),
            (Some(_), false) | (None, true) => share.known(),
            (None, false) => share.unknown(),
        };
        let facts = buckets.into_iter().map(|volume| async move {
            let owner = volume.bucket_owner.as_ref().unwrap_or(&blueprint.role.account);
            let facts = self.facts_of(&volume.bucket, owner, attempt(volume));
            let facts = within(self.clock, share.limit, facts).await;
            let facts = facts.unwrap_or_else(|| Facts::unknown(&volume.bucket, share.limit));
            Facts { is_known: desired.knows_bucket(volume), ..facts }
        });
        join_all(facts).await
    }

    async fn facts_of(&self, name: &BucketName, owner: &AccountId, attempt: Attempt) -> Facts {
        let (region, key) = match self.bucket(name, owner.clone(), attempt).await {
            Ok(bucket) => {
                let key = self.check(attempt, &Look::BucketKey(bucket.clone())).await;
                (Ok(bucket.region), key)
            }
            Err(failure) => (Err(failure), Ok(None)),
        };
        Facts { bucket: name.clone(), is_known: false, region, key }
    }

    /// Returns a bucket of an account.
    pub async fn bucket(&self, name: &BucketName, owner: AccountId, attempt: Attempt) -> Result<Bucket, Failure> {
        let region = self.check(attempt, &Look::BucketRegion(name.clone(), owner.clone())).await?;
        Ok(Bucket { name: name.clone(), owner, region })
    }

    /// Returns a bucket's CORS rules.
    pub async fn cors(&self, bucket: &Bucket, attempt: Attempt) -> Result<Vec<CorsRule>, Failure> {
        self.check(attempt, &Look::Cors(bucket.clone())).await
    }

    /// Returns the verdicts of IAM's policy simulator on a role.
    pub async fn verdicts(&self, blueprint: &Blueprint, question: &Question) -> Result<Vec<Verdict>, Failure> {
        self.check(Attempt::Check, &Look::Simulation(blueprint.role.clone(), question.clone())).await
    }
}
