//! The plan for a release in one place, or the obstacle: decided before anything is written.

use serde_json::Value;

use super::audience::Audience;
use super::versions::{self, Versions, VersionsError};
use super::{FOLDER, Place, Publication};
use crate::account::AwsError;

/// A publisher's wishes for the buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Buckets that are missing are to be made.
    pub create_buckets: bool,
    /// Their readers; nothing is changed when absent.
    pub audience: Option<Audience>,
}

/// The state of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Missing,
    /// It is in another region, where S3 says which.
    Elsewhere(String),
    /// It is somebody else's, or not to be looked at.
    Closed,
    /// It is the publisher's own.
    Own(Own),
}

/// The content of a bucket of the publisher's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// True if nothing is in it. Not looked at unless buckets are to be made.
    pub is_empty: bool,
    /// Its policy. Not looked at unless an audience is asked for, as is the next one.
    pub policy: Option<Value>,
    /// True if S3's Block Public Access stops a public policy here.
    pub blocks_public: bool,
    /// For each object of the publication the SHA-256 of what is at its key, 64 hexadecimal digits in lower case.
    pub found: Vec<Option<String>>,
    /// The content of `versions.json`.
    pub versions: Option<Vec<u8>>,
}

/// The work on a bucket itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// It is made and set up.
    Create,
    /// It is there, empty and without policy, as an interrupted run leaves it: it is set up.
    SetUp,
}

/// The plan for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where.
    pub place: Place,
    /// The work on the bucket, if there is any.
    pub making: Option<Making>,
    /// The audience, if that changes.
    pub letting_in: Option<LettingIn>,
    /// For each object of the publication: true if it has to be written.
    pub writing: Vec<bool>,
    /// True if `versions.json` does not list the release yet.
    pub listing: bool,
    /// True if everyone is to read the release: it is read as anybody does before it is called published.
    pub is_public: bool,
}

/// A change of a bucket's audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LettingIn {
    /// The audience before, by a policy of ours.
    pub before: Option<Audience>,
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
         this statement to the policy: {statement}"
    )]
    ForeignPolicy {
        /// The bucket.
        bucket: String,
        /// The statement to add.
        statement: Value,
    },
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
    /// It is written, and nobody can read it.
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

impl Plan {
    /// Decides on the plan, or names the obstacle.
    pub fn of(publication: &Publication, place: &Place, wish: &Wish, standing: Standing) -> Result<Self, Obstacle> {
        let bucket = place.bucket.clone();
        let (making, own) = match standing {
            Standing::Missing if wish.create_buckets => (Some(Making::Create), Own::default()),
            Standing::Missing => return Err(Obstacle::NoBucket(bucket)),
            Standing::Elsewhere(found) => return Err(Obstacle::Elsewhere { bucket, found }),
            Standing::Closed => return Err(Obstacle::Closed(bucket)),
            Standing::Own(own) if wish.create_buckets && own.is_empty && own.policy.is_none() => {
                (Some(Making::SetUp), own)
            }
            Standing::Own(own) => (None, own),
        };
        let letting_in = match &wish.audience {
            None => None,
            Some(audience) => letting_in(place, audience, making, &own)?,
        };
        let mut writing = Vec::new();
        for (i, object) in publication.objects.iter().enumerate() {
            let expected = &object.content.sha256;
            match own.found.get(i).and_then(Option::as_ref) {
                Some(found) if found != expected => {
                    let (key, found, expected) = (object.key.clone(), found.clone(), expected.clone());
                    return Err(Obstacle::OtherBytes { bucket, key, found, expected });
                }
                found => writing.push(found.is_none()),
            }
        }
        let list = match &own.versions {
            Some(text) => Versions::read_of(place, text),
            None => Ok(Versions::empty(place)),
        };
        let longer = list.and_then(|list| list.with(&publication.entry));
        let listing = longer.map_err(|source| Obstacle::Versions { bucket, source })?.is_some();
        let is_public = wish.audience.as_ref().is_some_and(Audience::is_public);
        Ok(Self { place: place.clone(), making, letting_in, writing, listing, is_public })
    }

    /// The steps, each as a verb and what it is about.
    #[must_use]
    pub fn steps(&self, publication: &Publication) -> Vec<(&'static str, String)> {
        let bucket = &self.place.bucket;
        let mut steps = Vec::new();
        match self.making {
            Some(Making::Create) => {
                steps.push(("create", format!("bucket {bucket}: versioned, encrypted, without ACLs")))
            }
            Some(Making::SetUp) => {
                steps.push(("set up", format!("bucket {bucket}, which is empty: versioned, encrypted")));
            }
            None => {}
        }
        if let Some(LettingIn { before, after }) = &self.letting_in {
            let before = before.as_ref().map(|before| format!(" (until now {before})")).unwrap_or_default();
            steps.push(("let in", format!("{after}, to read {FOLDER}{before}")));
        }
        if self.letting_in.as_ref().is_some_and(LettingIn::restores_block) {
            steps.push(("block", format!("public access to bucket {bucket}")));
        }
        let missing = self.writing.iter().filter(|is_missing| **is_missing).count();
        for (verb, count) in [("keep", self.writing.len() - missing), ("write", missing)] {
            if count > 0 {
                steps.push((verb, format!("{count} object{}", if count == 1 { "" } else { "s" })));
            }
        }
        let verb = if self.listing { "list" } else { "keep" };
        steps.push((verb, format!("release {} in {}", publication.entry.version, versions::KEY)));
        steps
    }
}

impl LettingIn {
    /// True if the bucket was public and is not to be any more.
    #[must_use]
    pub fn restores_block(&self) -> bool {
        self.before.as_ref().is_some_and(Audience::is_public) && !self.after.is_public()
    }
}

fn letting_in(
    place: &Place,
    audience: &Audience,
    making: Option<Making>,
    own: &Own,
) -> Result<Option<LettingIn>, Obstacle> {
    let bucket = &place.bucket;
    let before = match &own.policy {
        None => None,
        Some(policy) => Some(Audience::of_policy(policy, bucket).ok_or_else(|| Obstacle::ForeignPolicy {
            bucket: bucket.clone(),
            statement: audience.statement(bucket),
        })?),
    };
    if audience.is_public() && own.blocks_public && making.is_none() {
        return Err(Obstacle::BlocksPublic(bucket.clone()));
    }
    let is_new = before.as_ref() != Some(audience);
    Ok(is_new.then(|| LettingIn { before, after: audience.clone() }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{place, publication};
    use super::*;

    fn wish(create_buckets: bool, audience: Option<&str>) -> Wish {
        Wish { create_buckets, audience: audience.map(|text| text.parse().unwrap()) }
    }

    /// A bucket that somebody uses, with this policy.
    fn used(policy: Option<Value>) -> Own {
        Own { policy, ..Own::default() }
    }

    fn plan(wish: &Wish, standing: Standing) -> Result<Plan, Obstacle> {
        Plan::of(&publication(&["us-east-1"]).unwrap(), &place("us-east-1"), wish, standing)
    }

    #[test]
    fn a_bucket_is_made_only_if_that_is_asked_for() {
        let said = plan(&wish(false, None), Standing::Missing).unwrap_err().to_string();
        assert!(said.contains("no bucket releases-us-east-1: add --create-buckets"), "{said}");
        let made = plan(&wish(true, Some("public")), Standing::Missing).unwrap();
        assert_eq!((made.making, made.listing), (Some(Making::Create), true));
        assert!(made.writing.iter().all(|is_written| *is_written));
        let empty = Own { is_empty: true, blocks_public: true, ..Own::default() };
        let set_up = plan(&wish(true, Some("public")), Standing::Own(empty.clone())).unwrap();
        assert_eq!(set_up.making, Some(Making::SetUp), "as an interrupted run leaves it");
        assert_eq!(plan(&wish(false, None), Standing::Own(empty)).unwrap().making, None);
    }

    #[test]
    fn a_policy_of_somebody_else_is_reported_and_one_of_ours_changed() {
        let ours = |audience: &str| audience.parse::<Audience>().unwrap().policy("releases-us-east-1");
        let foreign = Some(serde_json::json!({"Version": "2012-10-17", "Statement": []}));
        let letting_in =
            |audience, policy| plan(&wish(false, audience), Standing::Own(used(policy))).map(|it| it.letting_in);
        let said = letting_in(Some("org:o-a1b2c3d4e5"), foreign.clone()).unwrap_err().to_string();
        assert!(said.contains("does not touch") && said.contains("\"aws:PrincipalOrgID\":\"o-a1b2c3d4e5\""), "{said}");
        assert_eq!(letting_in(None, foreign), Ok(None), "nobody asked for an audience");
        assert_eq!(letting_in(Some("public"), Some(ours("public"))), Ok(None));
        let changed = letting_in(Some("public"), Some(ours("org:o-a1b2c3d4e5"))).unwrap().unwrap();
        assert!(changed.before.is_some() && changed.after.is_public() && !changed.restores_block());
        let narrowed = letting_in(Some("org:o-a1b2c3d4e5"), Some(ours("public"))).unwrap().unwrap();
        assert!(narrowed.restores_block());
    }

    #[test]
    fn what_stands_in_the_way_is_said_with_the_remedy() {
        let found = |i: usize| {
            let mut found = vec![None; publication(&["us-east-1"]).unwrap().objects.len()];
            found[i] = Some("0a1b".to_owned());
            Standing::Own(Own { found, ..Own::default() })
        };
        let versions = |text: &str| Standing::Own(Own { versions: Some(text.as_bytes().to_vec()), ..Own::default() });
        let blocked = Standing::Own(Own { blocks_public: true, ..Own::default() });
        for (standing, expected) in [
            (Standing::Closed, "allow them s3:ListBucket"),
            (Standing::Elsewhere("eu-west-1".to_owned()), "is in eu-west-1, and Lambda takes code only from"),
            (found(0), ".zip in bucket releases-us-east-1 has the SHA-256 0a1b, and should have"),
            (found(1), "cavatica-volume.template"),
            (versions("{}"), "versions.json of bucket releases-us-east-1 cannot be continued: it is no list"),
            (blocked, "Block Public Access of bucket releases-us-east-1"),
        ] {
            let said = plan(&wish(true, Some("public")), standing).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn what_is_there_already_is_kept() {
        let publication = publication(&["us-east-1"]).unwrap();
        let list = Versions::empty(&place("us-east-1")).with(&publication.entry).unwrap().unwrap();
        let found: Vec<_> = publication.objects.iter().map(|object| Some(object.content.sha256.clone())).collect();
        let own = Own { found, versions: Some(list.to_json().into_bytes()), ..Own::default() };
        let plan = Plan::of(&publication, &place("us-east-1"), &wish(true, None), Standing::Own(own)).unwrap();
        assert!(plan.steps(&publication).iter().all(|(verb, _)| *verb == "keep"));
    }
}
