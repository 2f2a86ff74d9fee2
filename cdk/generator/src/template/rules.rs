//! The rules across parameters, checked before anything is created.

use cavatica_access::volume::Prefix;

use super::Release;
use crate::cfn::{Expr as E, Function, Rule};
use crate::regions::OTHER_PARTITIONS;

fn region_is_one_of<'a>(regions: impl IntoIterator<Item = &'a str>) -> E {
    let regions = regions.into_iter().map(E::text).collect();
    E::Call(Function::Contains, vec![E::List(regions), E::reference("AWS::Region")])
}

pub(super) fn commercial_partition() -> Rule {
    Rule {
        name: "CommercialPartition",
        assertion: E::negated(region_is_one_of(OTHER_PARTITIONS)),
        sentence:
            "{platform}'s role lives in the commercial AWS partition and cannot be trusted from GovCloud, China, \
                   the European Sovereign Cloud or ISO: use a commercial region."
                .to_owned(),
    }
}

/// Returns a rule sees no more than the prefix's equality to the bucket's name; the function and the command line see
/// the rest.
pub(super) fn prefix_without_bucket() -> Rule {
    Rule {
        name: "PrefixWithoutBucket",
        assertion: E::negated(E::equals(E::reference("Prefix"), E::reference("BucketName"))),
        sentence:
            "Prefix must be the prefix alone: leave out the bucket's name, or leave it empty for the whole bucket."
                .to_owned(),
    }
}

pub(super) fn cors_of_own_bucket_only() -> Rule {
    Rule {
        name: "CorsOfOwnBucketOnly",
        assertion: E::negated(E::all(vec![
            E::equals(E::reference("ConfigureCors"), E::text("true")),
            E::negated(E::equals(E::reference("BucketOwnerAccountId"), E::text(""))),
        ])),
        sentence: "ConfigureCors must be false for a bucket of another account: its owner has to configure CORS there."
            .to_owned(),
    }
}

pub(super) fn published_region(release: &Release) -> Rule {
    let regions: Vec<_> = release.buckets.iter().map(|(region, _)| region.as_str()).collect();
    Rule {
        name: "PublishedRegion",
        assertion: region_is_one_of(regions.iter().copied()),
        sentence: format!(
            "This release is not published in this region: launch the stack in {}. Its role works for buckets in other \
             regions too.",
            regions.join(" or ")
        ),
    }
}

/// Checks a prefix beside the bucket it is in, by the domain's own rule.
pub fn check_prefix_beside(bucket: &str, prefix: &str) -> Result<(), String> {
    match (bucket.parse(), Prefix::read(prefix)) {
        (Ok(bucket), Ok(Some(prefix))) => prefix.check_beside(&bucket).map_err(|rule| format!("it must be {rule}")),
        _ => Ok(()),
    }
}
