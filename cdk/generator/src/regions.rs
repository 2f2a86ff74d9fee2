//! The regions that AWS's SDKs know, by whether Cavatica's role can be trusted from there. A test compares both lists
//! with the SDK for Python.

use cavatica_access::volume::Region;

use crate::wording::{did_you_mean, excerpt, most_alike};

/// Regions of the commercial partition, in which Cavatica's role lives.
pub const COMMERCIAL: [&str; 36] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "me-west-1",
    "mx-central-1",
    "sa-east-1",
    "sa-west-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// Regions of the other partitions, from which it cannot be trusted. They are listed because CloudFormation's documents
/// show `AWS::Region` in rules, but not `AWS::Partition`.
pub const OTHER_PARTITIONS: [&str; 12] = [
    "us-gov-east-1",
    "us-gov-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eusc-de-east-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "us-isob-west-1",
    "eu-isoe-west-1",
    "us-isof-east-1",
    "us-isof-south-1",
];

/// True for a region that an account does not have before somebody enables it.
#[must_use]
pub fn has_to_be_enabled(region: &str) -> bool {
    region.parse::<Region>().is_ok_and(|region| region.is_opt_in())
}

/// Why nothing can be done in a region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// Cavatica cannot be trusted from there.
    #[error(
        "the platform's role cannot be trusted from {0}, which is in another AWS partition: use a commercial region"
    )]
    OtherPartition(String),
    /// There is no such region.
    #[error("\"{}\" is not a region of AWS{}", excerpt(.region), did_you_mean(*.meant, || ", such as us-east-1".to_owned()))]
    Unknown {
        /// As it was given.
        region: String,
        /// The known word that is most like it.
        meant: Option<&'static str>,
    },
}

/// Returns the region of the commercial partition that a text names.
pub fn commercial(text: &str) -> Result<&'static str, RegionError> {
    if let Some(region) = COMMERCIAL.iter().find(|region| **region == text) {
        return Ok(region);
    }
    Err(if OTHER_PARTITIONS.contains(&text) {
        RegionError::OtherPartition(text.to_owned())
    } else {
        RegionError::Unknown { region: text.to_owned(), meant: most_alike(text, &COMMERCIAL) }
    })
}
