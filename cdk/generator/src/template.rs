//! The two CloudFormation templates.
//!
//! ```text
//! provided   the stack whose function makes Cavatica's role      native   the stack without a function
//!     └── parameters, rules, values (names, ARNs, conditions), boundary, outputs: what both are made of
//! ```

mod boundary;
pub mod files;
pub mod native;
mod outputs;
mod parameters;
pub mod permissions;
pub mod provided;
mod provider_role;
mod rules;
mod values;

use std::collections::BTreeMap;

use cavatica_access::platform::{CAVATICA, Platform};

pub use self::rules::check_prefix_beside;
use crate::cfn::Expr as E;

/// The settings of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Place of the Lambda's zip; `None` leaves it to parameters, for whoever hosts it.
    pub release: Option<Release>,
    /// Platform that uses the volumes. Not a parameter: a link could override it.
    pub platform: Platform,
}

impl Default for Config {
    fn default() -> Self {
        Self { release: None, platform: CAVATICA.clone() }
    }
}

/// A published Lambda. Its place is in the template and in no parameter, so that no link can put other code in its
/// place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The key of its zip, which says what is in it.
    pub key: String,
    /// The regions it is published in, each with the bucket there: Lambda takes code only from its own region.
    pub buckets: Vec<(String, String)>,
    /// The version of the zip in each region's bucket. Empty where the template takes the current one.
    pub code_versions: BTreeMap<String, String>,
}

impl Release {
    /// One that is published in a single region.
    #[must_use]
    pub fn in_one(region: &str, bucket: &str, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            buckets: vec![(region.to_owned(), bucket.to_owned())],
            code_versions: BTreeMap::new(),
        }
    }

    /// True if the template names the version of the zip in every region.
    fn is_pinned(&self) -> bool {
        self.buckets.iter().all(|(region, _)| self.code_versions.contains_key(region))
    }
}

impl Config {
    /// Returns the settings of a release, for Cavatica.
    #[must_use]
    pub fn published(release: Release) -> Self {
        Self { release: Some(release), ..Self::default() }
    }

    /// Returns the settings for a platform, without a release.
    #[must_use]
    pub fn of(platform: &Platform) -> Self {
        Self { release: None, platform: platform.clone() }
    }

    /// Returns the settings of a release for a platform.
    #[must_use]
    pub fn released(platform: &Platform, release: Release) -> Self {
        Self { release: Some(release), platform: platform.clone() }
    }

    /// Returns the role that may assume the volume role.
    fn principal(&self) -> E {
        E::text(self.platform.principal.clone())
    }
}
