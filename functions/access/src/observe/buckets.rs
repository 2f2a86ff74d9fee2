//! Looking at buckets, and at what the role may do with them.

use futures_util::future::join_all;

use super::Observer;
use crate::blueprint::Blueprint;
use crate::checks::preflight::Facts;
use crate::names::AccountId;
use crate::port::{Account, Bucket, Clock, CorsRule, Failure, Question, Verdict};
use crate::refusal::Look;
use crate::retry::{Attempt, persist};
use crate::volume::{BucketName, Volume};

impl<I: Account, C: Clock> Observer<'_, I, C> {
    /// What can be found out about the buckets of a request: two round trips.
    pub async fn facts(&self, blueprint: &Blueprint) -> Vec<Facts> {
        let mut buckets: Vec<&Volume> = Vec::new();
        for volume in &blueprint.request.volumes {
            if !buckets.iter().any(|known| known.bucket == volume.bucket) {
                buckets.push(volume);
            }
        }
        let owner = |volume: &Volume| volume.bucket_owner.as_ref().unwrap_or(&blueprint.role.account).clone();
        join_all(buckets.into_iter().map(|volume| self.facts_of(&volume.bucket, owner(volume)))).await
    }

    async fn facts_of(&self, name: &BucketName, owner: AccountId) -> Facts {
        let (region, key) = match self.bucket(name, owner, Attempt::Check).await {
            Ok(bucket) => {
                let look = Look::BucketKey(name.clone());
                let key = check!(self, Attempt::Check, look, self.iam.bucket_key(&bucket));
                (Ok(bucket.region), key)
            }
            Err(failure) => (Err(failure), Ok(None)),
        };
        Facts { bucket: name.clone(), region, key }
    }

    /// A bucket of an account.
    pub async fn bucket(&self, name: &BucketName, owner: AccountId, attempt: Attempt) -> Result<Bucket, Failure> {
        let look = Look::BucketRegion(name.clone());
        let region = check!(self, attempt, look, self.iam.bucket_region(name, &owner))?;
        Ok(Bucket { name: name.clone(), owner, region })
    }

    /// A bucket's CORS rules.
    pub async fn cors(&self, bucket: &Bucket) -> Result<Vec<CorsRule>, Failure> {
        check!(self, Attempt::LookAtBucket, Look::Cors(bucket.name.clone()), self.iam.cors(bucket))
    }

    /// What IAM's simulator says of a role.
    pub async fn verdicts(&self, blueprint: &Blueprint, question: &Question) -> Result<Vec<Verdict>, Failure> {
        let role = &blueprint.role;
        check!(self, Attempt::Check, Look::Simulation(role.name.clone()), self.iam.simulate(role, question))
    }
}
