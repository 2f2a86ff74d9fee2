//! The patterns that the launch page knows, beside the domain's own rules.

use cavatica_access::copied;
use fancy_regex::Regex;

use super::*;

/// Returns the launch page knows the patterns alone, and has to say what the domain says.
#[test]
fn the_refusals_are_the_domains() -> Result<(), Box<dyn std::error::Error>> {
    let long = "a".repeat(64);
    let buckets = [
        "my-bucket",
        "a.b",
        "ab",
        "a",
        "",
        "My_Bucket",
        "my..bucket",
        "-ab",
        "ab-",
        ".ab",
        "ab.",
        "1.2.3.4",
        "255.255.255.255",
        "256.1.1.1",
        "01.2.3.4",
        "xn--abc",
        "sthree-abc",
        "amzn-s3-demo-x",
        "abc-s3alias",
        "abc--ol-s3",
        "abc.mrap",
        "abc--x-s3",
        "abc--table-s3",
        "abcxmrap",
        "s3://b/x",
        "S3:/b",
        "arn:aws:s3:::b",
        "ARN:x",
        "bücket",
        "b\nc",
        &long,
        &long[1..],
    ];
    let folders = [
        "",
        "raw/2026",
        "/raw/",
        "raw*",
        "a?",
        "${x}",
        "$x",
        "a\u{7}b",
        "a\u{9f}",
        "s3://b/x",
        "//S3:/x",
        "arn:x",
        "/ARN:",
        "β/日本",
        "raw\"",
        "a\\b",
        "s3/x",
    ];
    let [bucket, folder, _] = bucket(PREFIX, "").try_into().map_err(|_| "three parameters")?;
    for (parameter, values) in [(&bucket, &buckets[..]), (&folder, &folders[..])] {
        for value in values {
            // What was copied with something else the page reads by a script of its own, and a browser compares both.
            if copied::instead_of_bucket(value).is_some() || copied::instead_of_prefix(value).is_some() {
                continue;
            }
            let mut said = Ok(());
            for (pattern, rule) in &parameter.refusals {
                if said.is_ok() && Regex::new(pattern)?.is_match(value)? {
                    said = Err(rule.clone());
                }
            }
            assert_eq!(said, (parameter.domain_rule)(value), "{value:?}");
        }
    }
    Ok(())
}
