//! The CloudFormation templates: what is in them, and the files that they are written to.
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
pub mod provided;
mod provider_role;
mod rules;
mod values;

use std::collections::BTreeMap;

use cavatica_access::names::RoleArn;
use cavatica_access::request::CAVATICA_PRINCIPAL;

pub use self::rules::check_prefix_beside;
use crate::cfn::Expr as E;

/// Beginning of a stack's name unless somebody wants another.
pub const STACK_NAME: &str = "cavatica-volume";

/// The settings of a template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Place of the Lambda's zip; `None` leaves it to parameters, for whoever hosts it.
    pub release: Option<Release>,
    /// Principal that may assume the volume role; Cavatica when absent. Not a parameter: a link could override it.
    pub trusted_principal: Option<RoleArn>,
}

/// A published Lambda. Its place is in the template and in no parameter, so that no link can put other code in its place.
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
    /// The template of a release, for Cavatica.
    #[must_use]
    pub fn published(release: Release) -> Self {
        Self { release: Some(release), ..Self::default() }
    }

    /// The role that may assume the volume role.
    fn principal(&self) -> E {
        E::text(self.trusted_principal.as_ref().map_or_else(|| CAVATICA_PRINCIPAL.to_owned(), ToString::to_string))
    }
}
