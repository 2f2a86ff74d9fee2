//! Plan of a publication: (observed buckets, desired buckets) → the steps in each region, or the obstacle. Pure.
//!
//! # Flow
//!
//! 1. `bucket` reads each region's bucket: owner, region, versioning, policy, objects, list of releases
//!    ([`BucketState`]).
//! 2. [`PublicationPlan::of`] compares that with the desired bucket and the release. The result is a plan, or an
//!    [`Obstacle`].
//! 3. The command prints all plans and obstacles. Only if there is no obstacle does `execute` carry the plans out.
//!
//! # Guarantees
//!
//! - A bucket of another owner, or one that cannot be read, is an obstacle: a template names all buckets of its
//!   release, and in a foreign bucket a stack would find foreign code.
//! - An object that exists has to have the released bytes; a plan never overwrites one.
//! - A policy that this program did not write is never changed.
//! - The plan after a complete publication has no steps.
//!
//! # Assumptions
//!
//! - Others may publish at the same time. So `execute` writes conditionally, and does not rely on the plan.
//!
//! # Errors
//!
//! [`Obstacle`]: a sentence that names the bucket or key, and the remedy.

use std::collections::BTreeMap;

use serde_json::Value;

use super::audience::{Audience, KnownPolicy, lacks_versions};
use super::versions::{self, Versions, VersionsError};
use super::{CodeVersions, FOLDER, Place, Publication, ReleaseParts};
use crate::account::AwsError;
use crate::release::package::VERSION;

/// A publisher's wishes for the buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DesiredBucket {
    /// Buckets that are missing are to be made.
    pub create_buckets: bool,
    /// Their readers; nothing is changed when absent.
    pub audience: Option<Audience>,
}

/// The state of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketState {
    /// There is none.
    Missing,
    /// In another region, which S3 names.
    Elsewhere(String),
    /// Owned by another account, or not readable.
    Closed,
    /// Owned by the publisher.
    OwnBucket(OwnBucket),
}

/// The content of a bucket of the publisher's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnBucket {
    /// True if nothing is in it. Not looked at unless buckets are to be made.
    pub is_empty: bool,
    /// Its policy.
    pub policy: Option<Value>,
    /// True if S3's Block Public Access stops a public policy here. Not looked at unless everyone is to be let in.
    pub blocks_public: bool,
    /// True if it keeps what is written over.
    pub keeps_versions: bool,
    /// The objects of the release that are there, by key.
    pub found: BTreeMap<String, Found>,
    /// The content of `versions.json`.
    pub versions: Option<Vec<u8>>,
}

/// An object in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// SHA-256 of its bytes, 64 hexadecimal digits in lower case.
    pub sha256: String,
    /// The ID of this version of it, if the bucket keeps versions.
    pub version: Option<String>,
}

/// The work on a bucket itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketSetup {
    /// Create the bucket and set it up.
    Create,
    /// Set up an existing bucket, which is empty and without policy, as an interrupted run leaves it.
    SetUp,
}

/// The plan for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationPlan {
    /// Region and bucket.
    pub place: Place,
    /// The work on the bucket, if there is any.
    pub making: Option<BucketSetup>,
    /// The audience, if that changes.
    pub letting_in: Option<PolicyChange>,
    /// The objects that are there already, by key.
    pub found: BTreeMap<String, Found>,
    /// The number of objects of the release.
    pub count: usize,
    /// True if `versions.json` does not list the release yet.
    pub listing: bool,
    /// True if everyone is to read the release: it is read as anybody does before it is called published.
    pub is_public: bool,
}

/// A change of a bucket's audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyChange {
    /// The policy before, if it was one of ours.
    pub before: Option<KnownPolicy>,
    /// The audience then.
    pub after: Audience,
}

/// Why a release cannot be published in a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// There is no bucket.
    #[error("there is no bucket {0}: add --create-buckets to have it made, or make it")]
    NoBucket(String),
    /// The name is taken.
    #[error("bucket {0} belongs to another account: choose another --bucket-prefix or --bucket")]
    Taken(String),
    /// Somebody else's, or no right to look.
    #[error(
        "bucket {0} belongs to another account, or these credentials may not look at it: allow them s3:ListBucket, or \
         choose another --bucket-prefix or --bucket"
    )]
    Closed(String),
    /// Lambda would refuse it.
    #[error(
        "bucket {bucket} is in {found}, and Lambda takes code only from a bucket in its own region: choose another \
         --bucket-prefix or --bucket"
    )]
    Elsewhere {
        /// The bucket.
        bucket: String,
        /// Its region.
        found: String,
    },
    /// The policy stays.
    #[error(
        "bucket {bucket} has a policy that this program did not write, and does not touch: leave out --audience, and add \
         these statements to the policy: {statements}"
    )]
    ForeignPolicy {
        /// The bucket.
        bucket: String,
        /// The statements that this program would write.
        statements: Value,
    },
    /// Links would open, and end in an error.
    #[error(
        "bucket {0} has a policy that this program did not write, and it lets others read objects and not their versions, \
         by which templates name the code: add s3:GetObjectVersion wherever it allows s3:GetObject"
    )]
    ReadersLackVersions(String),
    /// No template could name the code that was released.
    #[error(
        "bucket {} keeps no versions, so that what is written over is lost and a template cannot name the code that was \
         released: run `aws s3api put-bucket-versioning --bucket {} --region {} --versioning-configuration Status=Enabled`, \
         or choose another --bucket-prefix or --bucket", .0.bucket, .0.bucket, .0.region
    )]
    KeepsNoVersions(Place),
    /// Nobody would get in.
    #[error(
        "Block Public Access of bucket {0} keeps it from being public: see that nothing in it is secret, switch off \
         BlockPublicPolicy and RestrictPublicBuckets there, or choose another --audience"
    )]
    BlocksPublic(String),
    /// The same, for every bucket.
    #[error(
        "Block Public Access of account {0}, set there or by an S3 policy of its organization, keeps every bucket from being \
         public: publish from another account, have BlockPublicPolicy and RestrictPublicBuckets switched off at that level, \
         or choose another --audience"
    )]
    AccountBlocksPublic(String),
    /// Written, but not publicly readable.
    #[error(
        "the release is written, but {key} in bucket {bucket} could not be read without credentials: {why}",
        key = versions::KEY
    )]
    NotPublic {
        /// The bucket.
        bucket: String,
        /// Why not.
        why: String,
    },
    /// A key has other bytes than it says.
    #[error(
        "{key} in bucket {bucket} has the SHA-256 {found}, and should have {expected}: find out who overwrote it, and \
         delete it"
    )]
    OtherBytes {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The digest that is there.
        found: String,
        /// The digest that should be there.
        expected: String,
    },
    /// The list of releases cannot be continued.
    #[error("{} of bucket {bucket} cannot be continued: {source}", versions::KEY)]
    Versions {
        /// The bucket.
        bucket: String,
        /// Why not.
        source: VersionsError,
    },
    /// Somebody else publishes.
    #[error(
        "{key} in bucket {bucket} keeps changing: somebody else publishes there; try again when they have finished"
    )]
    Contended {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// AWS refused.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl PublicationPlan {
    /// Decides on the plan, or names the obstacle. There is a publication if the code is in every bucket already;
    /// otherwise its objects are all to be written, and their keys are not known yet.
    pub fn of(
        parts: &ReleaseParts,
        publication: Option<&Publication>,
        place: &Place,
        desired: &DesiredBucket,
        state: BucketState,
    ) -> Result<Self, Obstacle> {
        let bucket = place.bucket.clone();
        let (making, own) = match state {
            BucketState::Missing if desired.create_buckets => (Some(BucketSetup::Create), OwnBucket::default()),
            BucketState::Missing => return Err(Obstacle::NoBucket(bucket)),
            BucketState::Elsewhere(found) => return Err(Obstacle::Elsewhere { bucket, found }),
            BucketState::Closed => return Err(Obstacle::Closed(bucket)),
            BucketState::OwnBucket(own) if desired.create_buckets && own.is_empty && own.policy.is_none() => {
                (Some(BucketSetup::SetUp), own)
            }
            BucketState::OwnBucket(own) => (None, own),
        };
        if making.is_none() && !own.keeps_versions {
            return Err(Obstacle::KeepsNoVersions(place.clone()));
        }
        let letting_in = letting_in(place, desired.audience.as_ref(), making, &own)?;
        let generated = publication.map(|publication| publication.generated.as_slice()).unwrap_or_default();
        for object in parts.objects().chain(generated) {
            if let Some(found) = own.found.get(&object.key).filter(|found| found.sha256 != object.content.sha256) {
                let (key, found, expected) = (object.key.clone(), found.sha256.clone(), object.content.sha256.clone());
                return Err(Obstacle::OtherBytes { bucket, key, found, expected });
            }
        }
        let list = match &own.versions {
            Some(text) => Versions::read_of(place, text),
            None => Ok(Versions::empty(place)),
        };
        // What a release of other code stands in the way of, it does whatever the templates will be.
        let entry = publication.map_or_else(|| parts.publication(CodeVersions::new()).entry, |it| it.entry.clone());
        let longer = list.and_then(|list| list.with(&entry));
        let longer = longer.map_err(|source| Obstacle::Versions { bucket, source })?;
        let listing = longer.is_some() || publication.is_none();
        let is_public = desired.audience.as_ref().is_some_and(Audience::is_public);
        let count = parts.objects().count() + parts.count_of_generated();
        Ok(Self { place: place.clone(), making, letting_in, found: own.found, count, listing, is_public })
    }

    /// Returns the steps, each as a verb and what it is about.
    #[must_use]
    pub fn steps(&self) -> Vec<(&'static str, String)> {
        let bucket = &self.place.bucket;
        let mut steps = Vec::new();
        match self.making {
            Some(BucketSetup::Create) => {
                steps.push(("create", format!("bucket {bucket}: versioned, encrypted, without ACLs")))
            }
            Some(BucketSetup::SetUp) => {
                steps.push(("set up", format!("bucket {bucket}, which is empty: versioned, encrypted")));
            }
            None => {}
        }
        if let Some(PolicyChange { before, after }) = &self.letting_in {
            let former = before.as_ref().map(|before| &before.audience);
            if former == Some(after) {
                let what = "the policy: versions can be read too, and what is there cannot be replaced";
                steps.push(("renew", what.to_owned()));
            } else {
                let before = former.map(|former| format!(" (until now {former})")).unwrap_or_default();
                steps.push(("let in", format!("{after}, to read {FOLDER}{before}")));
            }
        }
        if self.letting_in.as_ref().is_some_and(PolicyChange::restores_block) {
            steps.push(("block", format!("public access to bucket {bucket}")));
        }
        for (verb, count) in [("keep", self.found.len()), ("write", self.count - self.found.len())] {
            if count > 0 {
                steps.push((verb, format!("{count} object{}", if count == 1 { "" } else { "s" })));
            }
        }
        let verb = if self.listing { "list" } else { "keep" };
        steps.push((verb, format!("release {VERSION} in {}", versions::KEY)));
        steps
    }
}

impl PolicyChange {
    /// True if the bucket was public and is not to be any more.
    #[must_use]
    pub fn restores_block(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.audience.is_public()) && !self.after.is_public()
    }
}

/// Returns the change of a bucket's policy. Without an audience that is asked for, a new bucket is private, and a
/// policy of an earlier release becomes the present one of the same audience: its readers could not read the versions
/// of the code.
fn letting_in(
    place: &Place,
    asked: Option<&Audience>,
    making: Option<BucketSetup>,
    own: &OwnBucket,
) -> Result<Option<PolicyChange>, Obstacle> {
    let bucket = &place.bucket;
    let before = own.policy.as_ref().map(|policy| (policy, Audience::of_policy(policy, bucket)));
    let before = match (before, asked) {
        (Some((policy, None)), None) if lacks_versions(policy) => {
            return Err(Obstacle::ReadersLackVersions(bucket.clone()));
        }
        (Some((_, None)), None) => return Ok(None),
        (Some((_, None)), Some(audience)) => {
            let statements = audience.policy(bucket)["Statement"].take();
            return Err(Obstacle::ForeignPolicy { bucket: bucket.clone(), statements });
        }
        (Some((_, Some(known))), _) => Some(known),
        (None, _) => None,
    };
    let after = match (asked, &before) {
        (Some(audience), _) => audience.clone(),
        (None, Some(known)) => known.audience.clone(),
        (None, None) if making.is_some() => Audience::Private,
        (None, None) => return Ok(None),
    };
    if asked.is_some_and(Audience::is_public) && own.blocks_public && making.is_none() {
        return Err(Obstacle::BlocksPublic(bucket.clone()));
    }
    let is_there = before.as_ref().is_some_and(|known| known.is_current && known.audience == after);
    Ok((!is_there).then_some(PolicyChange { before, after }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{parts, place, publication};
    use super::*;

    fn desired(create_buckets: bool, audience: Option<&str>) -> DesiredBucket {
        DesiredBucket { create_buckets, audience: audience.map(|text| text.parse().unwrap()) }
    }

    /// Returns a bucket that somebody uses.
    fn used() -> OwnBucket {
        OwnBucket { keeps_versions: true, ..OwnBucket::default() }
    }

    /// Returns the plan where nobody has the code yet.
    fn plan(desired: &DesiredBucket, state: BucketState) -> Result<PublicationPlan, Obstacle> {
        PublicationPlan::of(&parts(&["us-east-1"]).unwrap(), None, &place("us-east-1"), desired, state)
    }

    #[test]
    fn a_bucket_is_made_only_if_that_is_asked_for() {
        let said = plan(&desired(false, None), BucketState::Missing).unwrap_err().to_string();
        assert!(said.contains("no bucket releases-us-east-1: add --create-buckets"), "{said}");
        let made = plan(&desired(true, Some("public")), BucketState::Missing).unwrap();
        assert_eq!((made.making, made.listing, made.found.len()), (Some(BucketSetup::Create), true, 0));
        let empty = OwnBucket { is_empty: true, blocks_public: true, ..OwnBucket::default() };
        let set_up = plan(&desired(true, Some("public")), BucketState::OwnBucket(empty.clone())).unwrap();
        assert_eq!(set_up.making, Some(BucketSetup::SetUp), "as an interrupted run leaves it");
        let versioned = OwnBucket { keeps_versions: true, ..empty };
        assert_eq!(plan(&desired(false, None), BucketState::OwnBucket(versioned)).unwrap().making, None);
    }

    #[test]
    fn a_new_bucket_is_private_until_somebody_is_let_in() {
        let made = plan(&desired(true, None), BucketState::Missing).unwrap();
        assert_eq!(made.letting_in, Some(PolicyChange { before: None, after: Audience::Private }));
        assert_eq!(
            plan(&desired(false, None), BucketState::OwnBucket(used())).unwrap().letting_in,
            None,
            "nobody asked"
        );
    }

    #[test]
    fn a_policy_of_somebody_else_is_reported_and_one_of_ours_changed() {
        let ours = |audience: &str| audience.parse::<Audience>().unwrap().policy("releases-us-east-1");
        let foreign = serde_json::json!({"Version": "2012-10-17", "Statement": []});
        let letting_in = |audience, policy: Value| {
            let own = OwnBucket { policy: Some(policy), ..used() };
            plan(&desired(false, audience), BucketState::OwnBucket(own)).map(|plan| plan.letting_in)
        };
        let said = letting_in(Some("org:o-a1b2c3d4e5"), foreign.clone()).unwrap_err().to_string();
        assert!(said.contains("does not touch") && said.contains("\"aws:PrincipalOrgID\":\"o-a1b2c3d4e5\""), "{said}");
        assert_eq!(letting_in(None, foreign), Ok(None), "nobody asked for an audience");
        assert_eq!(letting_in(Some("public"), ours("public")), Ok(None));
        let changed = letting_in(Some("public"), ours("org:o-a1b2c3d4e5")).unwrap().unwrap();
        assert!(changed.before.is_some() && changed.after.is_public() && !changed.restores_block());
        let narrowed = letting_in(Some("private"), ours("public")).unwrap().unwrap();
        assert!(narrowed.restores_block());
    }

    #[test]
    fn readers_of_an_earlier_release_can_read_the_versions_of_this_one() {
        let mut former = Audience::Public.policy("releases-us-east-1");
        former["Statement"][0]["Action"] = "s3:GetObject".into();
        former["Statement"].as_array_mut().unwrap().pop();
        let plan_with = |policy: &Value| {
            plan(&desired(false, None), BucketState::OwnBucket(OwnBucket { policy: Some(policy.clone()), ..used() }))
        };
        let renewed = plan_with(&former).unwrap();
        assert!(renewed.steps().iter().any(|(verb, _)| *verb == "renew"), "{:?}", renewed.steps());
        assert_eq!(renewed.letting_in.unwrap().after, Audience::Public);
        former["Id"] = "theirs".into();
        let said = plan_with(&former).unwrap_err().to_string();
        assert!(said.contains("add s3:GetObjectVersion wherever it allows s3:GetObject"), "{said}");
        former["Statement"][0]["Action"] = "s3:Get*".into();
        assert_eq!(plan_with(&former).unwrap().letting_in, None);
    }

    #[test]
    fn names_an_obstacle_with_its_remedy() {
        let (parts, publication) = (parts(&["us-east-1"]).unwrap(), publication(&["us-east-1"]).unwrap());
        let found = |key: &str| {
            let other = Found { sha256: "0a1b".to_owned(), version: None };
            BucketState::OwnBucket(OwnBucket { found: BTreeMap::from([(key.to_owned(), other)]), ..used() })
        };
        let versions =
            |text: &str| BucketState::OwnBucket(OwnBucket { versions: Some(text.as_bytes().to_vec()), ..used() });
        let blocked = BucketState::OwnBucket(OwnBucket { blocks_public: true, ..used() });
        for (state, expected) in [
            (BucketState::Closed, "allow them s3:ListBucket"),
            (BucketState::Elsewhere("eu-west-1".to_owned()), "is in eu-west-1, and Lambda takes code only from"),
            (found(&parts.code.key), ".zip in bucket releases-us-east-1 has the SHA-256 0a1b, and should have"),
            (found(&publication.generated[0].key), "cavatica-volume.template"),
            (versions("{}"), "versions.json of bucket releases-us-east-1 cannot be continued: it is no list"),
            (blocked, "Block Public Access of bucket releases-us-east-1"),
            (
                BucketState::OwnBucket(OwnBucket::default()),
                "put-bucket-versioning --bucket releases-us-east-1 --region us-east-1 --versioning-configuration",
            ),
        ] {
            let desired = desired(true, Some("public"));
            let plan = PublicationPlan::of(&parts, Some(&publication), &place("us-east-1"), &desired, state);
            let said = plan.unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn keeps_objects_that_exist() {
        let (parts, publication) = (parts(&["us-east-1"]).unwrap(), publication(&["us-east-1"]).unwrap());
        let list = Versions::empty(&place("us-east-1")).with(&publication.entry).unwrap().unwrap();
        let found = parts
            .objects()
            .chain(&publication.generated)
            .map(|object| (object.key.clone(), Found { sha256: object.content.sha256.clone(), version: None }));
        let own = OwnBucket { found: found.collect(), versions: Some(list.to_json().into_bytes()), ..used() };
        let (place, desired) = (place("us-east-1"), desired(true, None));
        let plan =
            PublicationPlan::of(&parts, Some(&publication), &place, &desired, BucketState::OwnBucket(own)).unwrap();
        assert!(plan.steps().iter().all(|(verb, _)| *verb == "keep"), "{:?}", plan.steps());
    }
}
