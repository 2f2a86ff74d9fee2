//! The answers of the account to reads.

use cavatica_access::port::{
    Answer as _, Failure, FailureKind, Look, Observation, Policy, PolicyEntity, Usage, Version,
};

use super::failure;
use super::state::{State, key};

impl State {
    /// Returns the answer to a read of IAM or S3.
    pub(super) fn look(&self, look: &Look) -> Result<Observation, Failure> {
        Ok(match look {
            Look::Caller => return Err(failure(FailureKind::Other, "whose account it is, its state does not tell")),
            Look::Role(name) => self.roles.get(&key(name.as_str())).map(|held| held.role.clone()).into_observation(),
            Look::RoleTags(name) => {
                self.roles.get(&key(name.as_str())).map(|held| held.role.tags.clone()).into_observation()
            }
            Look::Policy(arn) => {
                // IAM takes the ARN's path into account here, unlike a name's uniqueness.
                let held = self.policies.get(&key(arn.name())).filter(|held| held.arn.is_same(arn));
                let policy = held.map(|held| Policy {
                    arn: held.arn.clone(),
                    tags: held.tags.clone(),
                    default_version: format!("v{}", held.default),
                });
                policy.into_observation()
            }
            Look::Attached(role) => {
                let carrier = PolicyEntity::Role(self.role(role)?.role.arn.name.to_string());
                let attached = self.attachments.iter().filter(|(held, _)| *held == carrier);
                attached.map(|(_, arn)| arn.clone()).collect::<Vec<_>>().into_observation()
            }
            Look::Inline(role) => self.role(role)?.inline.iter().cloned().collect::<Vec<_>>().into_observation(),
            Look::Profiles(role) => {
                self.role(role)?;
                let holding = self.instance_profiles.iter().filter(|(_, held)| held.is_same(role));
                holding.map(|(profile, _)| profile.clone()).collect::<Vec<_>>().into_observation()
            }
            Look::Versions(arn) => {
                let held = self.held_policy(arn)?;
                let version = |number| Version { id: format!("v{number}"), is_default: number == held.default };
                held.versions.keys().copied().map(version).collect::<Vec<_>>().into_observation()
            }
            Look::Document(arn, version) => {
                let number = version.strip_prefix('v').and_then(|number| number.parse().ok()).unwrap_or(0);
                let document = self.held_policy(arn)?.versions.get(&number).cloned();
                document.ok_or_else(|| failure(FailureKind::NotFound, version))?.into_observation()
            }
            Look::PolicyEntities(arn, Usage::Permissions) => {
                let arn = &self.held_policy(arn)?.arn;
                let entities = self.attachments.iter().filter(|(_, attached)| attached == arn);
                entities.map(|(carrier, _)| carrier.clone()).collect::<Vec<_>>().into_observation()
            }
            Look::PolicyEntities(arn, Usage::Boundary) => {
                self.capped_by(&self.held_policy(arn)?.arn).into_observation()
            }
            Look::Simulation(role, question) => self.simulate(role, question)?.into_observation(),
            Look::BucketRegion(name, owner) => self.bucket(name, owner)?.region.clone().into_observation(),
            Look::BucketKey(bucket) => self.bucket(&bucket.name, &bucket.owner)?.key.clone().into_observation(),
            Look::Cors(bucket) => self.bucket(&bucket.name, &bucket.owner)?.cors.clone().into_observation(),
        })
    }
}
