//! The names of buckets for code and templates. A new bucket belongs to the account regional namespace, so that nobody
//! else can ever own its name: a template that names it after it was deleted finds no code of somebody else there.
//!
//! Source: S3, "Namespaces for general purpose buckets".

use super::Place;
use crate::account::{Account, AwsError};

/// Regions without account regional namespaces. Source: S3, "Namespaces for general purpose buckets".
const GLOBAL_NAMES_ONLY: [&str; 2] = ["me-central-1", "me-south-1"];

/// The bucket of a region, as far as its name is known before the account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketNaming {
    /// A name that somebody chose.
    Chosen(Place),
    /// A name that begins with a prefix.
    Prefixed {
        /// The region.
        region: String,
        /// The prefix.
        prefix: String,
        /// The name in the global namespace, which earlier releases gave to a bucket.
        global: String,
    },
}

impl BucketNaming {
    /// Returns the region.
    #[must_use]
    pub fn region(&self) -> &str {
        match self {
            Self::Chosen(place) => &place.region,
            Self::Prefixed { region, .. } => region,
        }
    }

    /// Returns the names that a bucket may have in an account, in the order in which they are looked for.
    #[must_use]
    pub fn candidates(&self, account: &str) -> Vec<Place> {
        match self {
            Self::Chosen(place) => vec![place.clone()],
            Self::Prefixed { region, prefix, global } => {
                let place = |bucket: String| Place { region: region.clone(), bucket };
                let regional = account_regional(prefix, account, region);
                regional.into_iter().chain([global.clone()]).map(place).collect()
            }
        }
    }

    /// Chooses the first candidate that the account owns; where it owns none, the one to create.
    ///
    /// # Errors
    ///
    /// S3 did not answer. A bucket that may not be looked at is none of the account's.
    pub async fn choose(&self, account: &Account) -> Result<Place, AwsError> {
        let mut candidates = self.candidates(&account.id);
        if candidates.len() > 1 {
            for place in &candidates {
                if is_own(account, place).await? {
                    return Ok(place.clone());
                }
            }
        }
        Ok(candidates.swap_remove(0))
    }
}

/// Returns the name in the account regional namespace; `None` where the region has none.
fn account_regional(prefix: &str, account: &str, region: &str) -> Option<String> {
    (!GLOBAL_NAMES_ONLY.contains(&region)).then(|| format!("{prefix}{}", suffix(account, region)))
}

fn suffix(account: &str, region: &str) -> String {
    format!("-{account}-{region}-an")
}

/// True if only the account can own a bucket of this name.
#[must_use]
pub fn is_account_regional(place: &Place, account: &str) -> bool {
    place.bucket.ends_with(&suffix(account, &place.region))
}

async fn is_own(account: &Account, place: &Place) -> Result<bool, AwsError> {
    let call = account.s3(&place.region).head_bucket().bucket(&place.bucket).expected_bucket_owner(&account.id);
    match call.send().await {
        Ok(_) => Ok(true),
        Err(error) => match error.raw_response().map(|response| response.status().as_u16()) {
            Some(301 | 403 | 404) => Ok(false),
            _ => {
                let call = account.call("look at", "s3:ListBucket", format!("bucket {}", place.bucket), &place.region);
                Err(call.failed(error))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(region: &str) -> BucketNaming {
        let (prefix, global) = ("releases".to_owned(), format!("releases-{region}"));
        BucketNaming::Prefixed { region: region.to_owned(), prefix, global }
    }

    #[test]
    fn a_new_bucket_has_a_name_that_only_the_account_can_own() {
        let names = |region: &str| -> Vec<String> {
            naming(region).candidates("123456789012").into_iter().map(|place| place.bucket).collect()
        };
        assert_eq!(names("eu-west-1"), ["releases-123456789012-eu-west-1-an", "releases-eu-west-1"]);
        for region in GLOBAL_NAMES_ONLY {
            assert_eq!(names(region), [format!("releases-{region}")]);
        }
    }

    #[test]
    fn a_name_of_another_account_or_region_is_global() {
        let is = |bucket: &str| {
            let place = Place { region: "eu-west-1".to_owned(), bucket: bucket.to_owned() };
            is_account_regional(&place, "123456789012")
        };
        assert!(is("releases-123456789012-eu-west-1-an"));
        for bucket in [
            "releases-210987654321-eu-west-1-an",
            "releases-123456789012-us-east-1-an",
            "releases-eu-west-1",
            "123456789012-eu-west-1-an",
        ] {
            assert!(!is(bucket), "{bucket}");
        }
    }
}
