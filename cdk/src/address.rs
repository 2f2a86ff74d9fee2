//! The address of an object in S3, in any of the forms that S3 has for it.
//!
//! Source: "Virtual hosting of general purpose buckets", "Methods for accessing a general purpose bucket".

use std::fmt;

use url::{Host, Url};

/// Longest address of a template, in characters. Source: `CreateStack`, parameter `TemplateURL`.
pub const LONGEST: usize = 1_024;

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Its bucket.
    pub bucket: String,
    /// The region that the address names; the older forms name none.
    pub region: Option<String>,
    /// Its key.
    pub key: String,
}

impl Address {
    /// Reads an https address; nothing if it is not one of an object in S3.
    #[must_use]
    pub fn read(address: &str) -> Option<Self> {
        let url = Url::parse(address).ok().filter(|url| url.scheme() == "https")?;
        let Host::Domain(host) = url.host()? else { return None };
        let parts: Vec<&str> = host.strip_suffix(".amazonaws.com")?.split('.').collect();
        // [BUCKET.]s3[.dualstack][.REGION], or the older s3-REGION.
        let at = parts.iter().rposition(|part| *part == "s3" || part.starts_with("s3-"))?;
        let rest = || parts[at + 1..].iter().filter(|part| **part != "dualstack");
        if !rest().all(|part| is_region_shaped(part)) {
            return None;
        }
        let region = parts[at].strip_prefix("s3-").or(rest().next().copied()).map(str::to_owned);
        let path = percent_encoding::percent_decode_str(url.path().trim_start_matches('/')).decode_utf8().ok()?;
        let (bucket, key) = match at {
            0 => path.split_once('/').map(|(bucket, key)| (bucket.to_owned(), key.to_owned()))?,
            _ => (parts[..at].join("."), path.into_owned()),
        };
        (!bucket.is_empty() && !key.is_empty()).then_some(Self { bucket, region, key })
    }
}

impl Address {
    /// The address with the bucket in its path, which CloudFormation takes too, and emulators of it alone.
    #[must_use]
    pub fn by_path(&self) -> String {
        let Self { bucket, region, key } = self;
        let region = region.as_ref().map(|region| format!(".{region}")).unwrap_or_default();
        format!("https://s3{region}.amazonaws.com/{bucket}/{key}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, region, key } = self;
        match region {
            Some(region) => write!(f, "https://{bucket}.s3.{region}.amazonaws.com/{key}"),
            None => write!(f, "https://{bucket}.s3.amazonaws.com/{key}"),
        }
    }
}

fn is_region_shaped(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match parts.split_last() {
        Some((number, words)) => words.len() >= 2 && words.iter().all(is_word) && is_number(number),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_found_in_every_form_and_what_is_none_in_no() {
        for (address, expected) in [
            ("https://b.s3.amazonaws.com/k.yaml", Some(("b", None, "k.yaml"))),
            ("https://b.c.s3.eu-central-1.amazonaws.com/v1/k.yaml", Some(("b.c", Some("eu-central-1"), "v1/k.yaml"))),
            ("https://s3.us-west-2.amazonaws.com/b/k.yaml", Some(("b", Some("us-west-2"), "k.yaml"))),
            ("https://s3-us-west-2.amazonaws.com/b/k.yaml", Some(("b", Some("us-west-2"), "k.yaml"))),
            ("https://b.s3.dualstack.us-east-1.amazonaws.com/a%20b.yaml", Some(("b", Some("us-east-1"), "a b.yaml"))),
            ("http://b.s3.amazonaws.com/k.yaml", None),
            ("https://s3.amazonaws.com/k.yaml", None),
            ("https://b.s3.amazonaws.com/", None),
            ("https://example.org/k.yaml", None),
            ("https://b.s3.amazonaws.com.example.org/k.yaml", None),
            ("https://ec2.us-east-1.amazonaws.com/k.yaml", None),
            ("s3://b/k.yaml", None),
        ] {
            let expected = expected.map(|(bucket, region, key)| Address {
                bucket: bucket.to_owned(),
                region: region.map(str::to_owned),
                key: key.to_owned(),
            });
            assert_eq!(Address::read(address), expected, "{address}");
        }
    }
}
