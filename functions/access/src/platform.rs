//! The platform that uses the volumes: everything that depends on its vendor.
//!
//! Platforms on the vendor's engine differ in the fields of [`Platform`]. The engine itself decides which actions a
//! volume needs ([`crate::permissions`]) and how its web interface reads objects ([`CORS_HEADERS`],
//! [`CORS_EXPOSED_HEADERS`]).

use std::borrow::Cow;

use serde::Deserialize;

use crate::names::{RoleArn, Rule};
use crate::volume::{BucketName, Region};

/// A platform on the vendor's engine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Platform {
    /// Name in texts, such as `Cavatica`.
    pub name: Cow<'static, str>,
    /// Beginning of the names of stacks, roles and template files, such as `cavatica`.
    pub slug: Cow<'static, str>,
    /// ARN of the role that assumes the volume roles.
    pub principal: Cow<'static, str>,
    /// Regions of the projects.
    pub locations: Cow<'static, [ProjectLocation]>,
    /// Origin of the web interface, which is also what a bucket's CORS rule admits.
    pub web: Cow<'static, str>,
    /// Base address of the API, without a slash at its end.
    pub api: Cow<'static, str>,
}

/// A region where a platform runs projects. A read-write volume is written from the platform's bucket there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProjectLocation {
    /// Region, such as `us-east-1`.
    pub region: Cow<'static, str>,
    /// Bucket of the platform that results are copied from.
    pub copy_bucket: Cow<'static, str>,
}

/// Returns the regions of locations, as a choice in a sentence.
#[must_use]
pub fn regions(locations: &[ProjectLocation]) -> String {
    locations.iter().map(|location| location.region.as_ref()).collect::<Vec<_>>().join(" or ")
}

/// Returns the copy buckets of the locations in some regions, of all locations where no region is named.
#[must_use]
pub fn copy_buckets(locations: &[ProjectLocation], regions: &[String]) -> Vec<String> {
    let is_asked = |location: &&ProjectLocation| regions.is_empty() || regions.iter().any(|it| *it == location.region);
    locations.iter().filter(is_asked).map(|location| location.copy_bucket.to_string()).collect()
}

/// Cavatica. Source: Cavatica's manual, trust policy, read-write policy and additional configuration; its API.
pub static CAVATICA: Platform = Platform {
    name: Cow::Borrowed("Cavatica"),
    slug: Cow::Borrowed("cavatica"),
    principal: Cow::Borrowed("arn:aws:iam::151136852077:role/volume-connection"),
    locations: Cow::Borrowed(&[
        ProjectLocation { region: Cow::Borrowed("us-east-1"), copy_bucket: Cow::Borrowed("sbg-main") },
        ProjectLocation { region: Cow::Borrowed("us-west-2"), copy_bucket: Cow::Borrowed("sbg-main-us-west-2") },
    ]),
    web: Cow::Borrowed("https://cavatica.sbgenomics.com"),
    api: Cow::Borrowed("https://cavatica-api.sbgenomics.com/v2"),
};

/// Headers that a browser may send to a bucket. Source: Cavatica's manual, additional configuration.
pub const CORS_HEADERS: [&str; 6] = ["Authorization", "Content-Range", "Accept", "Content-Type", "Origin", "Range"];
/// Headers of an answer that a page may see. Source: as above.
pub const CORS_EXPOSED_HEADERS: [&str; 3] = ["Content-Range", "Content-Length", "ETag"];
/// Longest time that a browser keeps an answer to a preflight request, in seconds. Source: as above.
pub const CORS_MAX_AGE: i32 = 3_000;

/// Most project locations. A condition of the template names each, and `Fn::And` takes ten. Source: CloudFormation,
/// "Condition functions".
const MOST_LOCATIONS: usize = 10;

impl Platform {
    /// Checks every field by its rule; names the first that breaks it.
    pub fn check(&self) -> Result<(), String> {
        let breaks = |field: &str, value: &str, rule: &str| Err(format!("{field} is \"{value}\" but must be {rule}"));
        if !is_name(&self.name) {
            return breaks("name", &self.name, NAME_RULE);
        }
        if !is_slug(&self.slug) {
            return breaks("slug", &self.slug, SLUG_RULE);
        }
        if self.principal.parse::<RoleArn>().is_err() {
            return breaks("principal", &self.principal, RoleArn::RULE);
        }
        if self.locations.is_empty() || self.locations.len() > MOST_LOCATIONS {
            return breaks("locations", &self.locations.len().to_string(), "a list of 1 to 10 locations");
        }
        for (at, location) in self.locations.iter().enumerate() {
            let field = |name: &str| format!("locations[{at}].{name}");
            if location.region.parse::<Region>().is_err() {
                return breaks(&field("region"), &location.region, Region::RULE);
            }
            if self.locations[..at].iter().any(|earlier| earlier.region == location.region) {
                return breaks(&field("region"), &location.region, "a region that no other location has");
            }
            if location.copy_bucket.parse::<BucketName>().is_err() {
                return breaks(&field("copy-bucket"), &location.copy_bucket, BucketName::RULE);
            }
        }
        if !is_origin(&self.web) {
            return breaks("web", &self.web, ORIGIN_RULE);
        }
        if !is_origin(self.api.split_inclusive('/').take(3).collect::<String>().trim_end_matches('/'))
            || self.api.ends_with('/')
            || !self.api.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/.-_".contains(&byte))
        {
            return breaks("api", &self.api, "an https address without a slash at its end");
        }
        Ok(())
    }

    /// Fills `{platform}`, `{slug}`, `{web}` and `{api}` in a text.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (placeholder, value) in
            [("{platform}", &self.name), ("{slug}", &self.slug), ("{web}", &self.web), ("{api}", &self.api)]
        {
            if filled.contains(placeholder) {
                filled = filled.replace(placeholder, value);
            }
        }
        filled
    }

    /// Name of a stack unless another is given; also the beginning of the role's name.
    #[must_use]
    pub fn stack_name(&self) -> String {
        format!("{}-volume", self.slug)
    }
}

/// Rule for a platform's name in words. Texts of CloudFormation, JSON and HTML take it as it is.
const NAME_RULE: &str = "1 to 40 ASCII letters, digits, blanks, dots and hyphens, beginning with a letter";
/// Rule for a slug in words: `SLUG-volume-` and eight digits have to fit into a role's name and a bucket's.
const SLUG_RULE: &str = "1 to 20 lower case ASCII letters, digits and hyphens, beginning with a letter";
/// Rule for an origin in words. Source: RFC 6454, "ASCII Serialization of an Origin".
pub const ORIGIN_RULE: Rule = "an origin such as https://example.org, without a path";

/// Returns true if a text can be a platform's name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || " .-".contains(c))
}

fn is_slug(text: &str) -> bool {
    text.len() <= 20
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Returns true if a text is an origin whose scheme is https.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.strip_prefix("https://").is_some_and(|host| host.contains('.') && host.split('.').all(is_label))
}

/// Description of a managed policy. IAM never changes it, so it is fixed text.
#[must_use]
pub fn policy_description(platform: &str) -> String {
    format!("Lets {platform} use an S3 bucket. Made by cavatica-connect; delete its CloudFormation stack to remove it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cavatica_follows_its_own_rules() {
        assert_eq!(CAVATICA.check(), Ok(()));
    }

    #[test]
    fn a_field_that_breaks_its_rule_is_named_with_value_and_rule() {
        let changed = |change: fn(&mut Platform)| {
            let mut platform = CAVATICA.clone();
            change(&mut platform);
            platform.check().err().unwrap_or_default()
        };
        let location = |region: &'static str, bucket: &'static str| ProjectLocation {
            region: Cow::Borrowed(region),
            copy_bucket: Cow::Borrowed(bucket),
        };
        let (same, wrong) = (location("us-east-1", "other-main"), location("us-east-2", "Other"));
        for (said, parts) in [
            (changed(|it| it.name = "<b>".into()), ["name is", "<b>"]),
            (changed(|it| it.name = "A{platform}".into()), ["name is", "ASCII letters"]),
            (changed(|it| it.slug = "Other".into()), ["slug is", "lower case"]),
            (changed(|it| it.principal = "*".into()), ["principal is", RoleArn::RULE]),
            (changed(|it| it.locations = Cow::Borrowed(&[])), ["locations is", "1 to 10"]),
            (changed(|it| it.web = "https://example.org/".into()), ["web is", "without a path"]),
            (changed(|it| it.web = "http://example.org".into()), ["web is", "https"]),
            (changed(|it| it.web = "https://*.example.org".into()), ["web is", "https"]),
            (changed(|it| it.api = "https://example.org/v2/".into()), ["api is", "without a slash"]),
            (changed(|it| it.api = "http://example.org/v2".into()), ["api is", "https"]),
            (changed(|it| it.api = "https://example.org/v2?x={y}".into()), ["api is", "https"]),
        ] {
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
        for (locations, part) in [(same, "no other location"), (wrong, "locations[2].copy-bucket")] {
            let mut platform = CAVATICA.clone();
            platform.locations.to_mut().push(locations);
            let said = platform.check().err().unwrap_or_default();
            assert!(said.contains(part), "{said}");
        }
    }
}
