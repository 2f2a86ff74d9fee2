//! The address of an object in S3, in any of the forms that S3 has for it.
//!
//! Source: "Virtual hosting of general purpose buckets", "Methods for accessing a general purpose bucket".

use std::fmt;

use cavatica_access::volume::BucketName;
use url::{Host, Url};

use crate::regions::COMMERCIAL;

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
    /// Reads an https address; `None` unless it names an object in a general purpose bucket, through an endpoint of S3
    /// itself and in a region that exists. Acceleration, websites, access points and FIPS have hosts of their own.
    #[must_use]
    pub fn read(address: &str) -> Option<Self> {
        let url = Url::parse(address).ok().filter(|url| url.scheme() == "https")?;
        if url.port().is_some() || !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let Host::Domain(host) = url.host()? else { return None };
        let labels: Vec<&str> = host.strip_suffix(".amazonaws.com")?.split('.').collect();
        let (by_host, region) = match labels.as_slice() {
            [bucket @ .., "s3"] => (bucket, None),
            [bucket @ .., "s3", "dualstack", region] | [bucket @ .., "s3", region] => (bucket, Some(*region)),
            [bucket @ .., older] => (bucket, Some(older.strip_prefix("s3-")?)),
            [] => return None,
        };
        if region.is_some_and(|region| !COMMERCIAL.contains(&region)) {
            return None;
        }
        let path = percent_encoding::percent_decode_str(url.path().strip_prefix('/')?).decode_utf8().ok()?;
        let (bucket, key) = match by_host {
            [] => path.split_once('/').map(|(bucket, key)| (bucket.to_owned(), key.to_owned()))?,
            by_host => (by_host.join("."), path.into_owned()),
        };
        let is_object = bucket.parse::<BucketName>().is_ok() && !key.is_empty();
        is_object.then(|| Self { bucket, region: region.map(str::to_owned), key })
    }
}

impl Address {
    /// Returns the address with the bucket in its path, which CloudFormation takes too, and emulators of it alone.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_every_url_form_of_an_object_and_rejects_others() {
        let object = |bucket: &str, region: Option<&str>, key: &str| {
            Some(Address { bucket: bucket.to_owned(), region: region.map(str::to_owned), key: key.to_owned() })
        };
        for (address, expected) in [
            ("https://bkt.s3.amazonaws.com/k.yaml", object("bkt", None, "k.yaml")),
            ("https://bkt.s3.amazonaws.com//k", object("bkt", None, "/k")),
            ("https://b.c.s3.eu-central-1.amazonaws.com/v1/k.yaml", object("b.c", Some("eu-central-1"), "v1/k.yaml")),
            ("https://s3.us-west-2.amazonaws.com/bkt/k.yaml", object("bkt", Some("us-west-2"), "k.yaml")),
            ("https://s3-us-west-2.amazonaws.com/bkt/k.yaml", object("bkt", Some("us-west-2"), "k.yaml")),
            ("https://bkt.s3-us-west-2.amazonaws.com/k", object("bkt", Some("us-west-2"), "k")),
            (
                "https://bkt.s3.dualstack.us-east-1.amazonaws.com/a%20b.yaml",
                object("bkt", Some("us-east-1"), "a b.yaml"),
            ),
            ("HTTPS://BKT.S3.AMAZONAWS.COM/K", object("bkt", None, "K")),
        ] {
            assert_eq!(Address::read(address), expected, "{address}");
        }
        for address in [
            "http://bkt.s3.amazonaws.com/k.yaml",
            "https://s3.amazonaws.com/k.yaml",
            "https://bkt.s3.amazonaws.com/",
            "https://bkt.s3.amazonaws.com:8443/k",
            "https://me:secret@bkt.s3.amazonaws.com/k",
            "https://example.org/k.yaml",
            "https://bkt.s3.amazonaws.com.example.org/k.yaml",
            "https://ec2.us-east-1.amazonaws.com/k.yaml",
            "s3://bkt/k.yaml",
            // Hosts of S3 that serve something else, or objects in another way.
            "https://bkt.s3-accelerate.amazonaws.com/k",
            "https://bkt.s3-accelerate.dualstack.amazonaws.com/k",
            "https://bkt.s3-website-us-east-1.amazonaws.com/k",
            "https://bkt.s3-website.eu-central-1.amazonaws.com/k",
            "https://s3-fips.us-east-1.amazonaws.com/bkt/k",
            "https://bkt.s3-fips.dualstack.us-east-1.amazonaws.com/k",
            "https://point-123456789012.s3-accesspoint.us-east-1.amazonaws.com/k",
            "https://point-123456789012.s3-object-lambda.us-east-1.amazonaws.com/k",
            "https://123456789012.s3-control.us-east-1.amazonaws.com/v20180820/k",
            "https://bkt--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com/k",
            "https://point-abcdef-s3alias.s3.us-east-1.amazonaws.com/k",
            "https://bkt.s3.us-east-9.amazonaws.com/k",
            "https://bkt.s3.cn-north-1.amazonaws.com/k",
            "https://bkt.s3.us-gov-west-1.amazonaws.com/k",
            "https://bkt.s3.dualstack.amazonaws.com/k",
            "https://bkt.s3-external-1.amazonaws.com/k",
        ] {
            assert_eq!(Address::read(address), None, "{address}");
        }
    }
}
