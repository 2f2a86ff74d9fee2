//! Reads bucket names and prefixes that were copied together with something else: an address, an ARN, a folder behind
//! the bucket, the bucket before the folder, blanks. Says what to give instead.
//!
//! The page does the same in the browser (`cdk/generator/src/page/copied.js`); a test compares both.

use crate::volume::{BucketName, Prefix};

/// The sentences, each completing "must be …", with `{bucket}` and `{folder}` in place of what was read.
pub const SENTENCES: [(&str, &str); 7] = [
    ("bucket_with_folder", "the bucket's name alone: the bucket is {bucket}; give {folder} as Prefix"),
    ("bucket_alone", "the bucket's name alone: give {bucket}"),
    ("bucket_unknown", "the bucket's name alone, such as my-bucket, and not an address or an ARN"),
    ("folder_alone", "the prefix alone: give {folder}"),
    ("whole_bucket", "the prefix alone: leave it empty for the whole bucket"),
    ("folder_unknown", "the prefix alone, such as raw/2026, and not an address or an ARN"),
    ("folder_without_blanks", "without blanks at its ends: give {folder}"),
];

fn sentence(name: &str, bucket: &str, folder: &str) -> String {
    let text = SENTENCES.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
    text.replace("{bucket}", bucket).replace("{folder}", folder)
}

/// Removes blanks and slashes at both ends.
#[must_use]
pub fn tidied(text: &str) -> &str {
    text.trim_matches(|c: char| c == '/' || c.is_whitespace())
}

/// The parts of an address or ARN, as far as they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Parts<'t> {
    bucket: Option<&'t str>,
    folder: Option<&'t str>,
}

/// Returns the parts of an address of any scheme, or of an ARN; nothing for any other text.
fn parts(text: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    let scheme = scheme.to_ascii_lowercase();
    if scheme == "arn" {
        // arn:PARTITION:s3:::BUCKET/FOLDER
        let parts: Vec<_> = rest.splitn(5, ':').collect();
        return Some(match parts.as_slice() {
            [_, "s3", _, _, resource] => bucket_and_folder(resource),
            _ => Parts::default(),
        });
    }
    let is_s3 = ["s3", "s3a", "s3n"].contains(&scheme.as_str()) && rest.starts_with('/');
    if !is_scheme || !(is_s3 || rest.starts_with("//")) {
        return None;
    }
    let place = rest.trim_start_matches('/');
    Some(match scheme.as_str() {
        "http" | "https" => of_web_address(place),
        "file" => Parts::default(),
        _ => bucket_and_folder(place),
    })
}

/// `BUCKET/FOLDER`.
fn bucket_and_folder(place: &str) -> Parts<'_> {
    let (bucket, folder) = place.split_once('/').unwrap_or((place, ""));
    if bucket.parse::<BucketName>().is_err() {
        return Parts::default();
    }
    Parts { bucket: Some(bucket), folder: folder_of(folder) }
}

/// Returns the folder of a path; nothing where none is left, or one that cannot be a prefix.
fn folder_of(path: &str) -> Option<&str> {
    let folder = tidied(path);
    (!folder.is_empty() && Prefix::fits(folder)).then_some(folder)
}

/// Returns an object's address by host or by path, or the page of a bucket in the S3 console, without its scheme.
fn of_web_address(place: &str) -> Parts<'_> {
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let (host, path) = place.split_once('/').unwrap_or((place, ""));
    // A folder that is written with escapes is not what is to be given.
    let path = if path.contains(['%', '+']) { "" } else { path };
    if host.ends_with("console.aws.amazon.com") {
        let bucket = ["s3/buckets/", "s3/object/"].iter().find_map(|page| path.strip_prefix(page)).unwrap_or_default();
        let folder = query.split('&').find_map(|part| part.strip_prefix("prefix=")).unwrap_or_default();
        let folder = if folder.contains(['%', '+']) { "" } else { folder };
        return Parts { folder: folder_of(folder), ..bucket_and_folder(bucket) };
    }
    let Some(labels) = host.strip_suffix(".amazonaws.com") else { return Parts::default() };
    if labels == "s3" || labels.starts_with("s3.") || labels.starts_with("s3-") {
        return bucket_and_folder(path);
    }
    match labels.find(".s3.").or(labels.find(".s3-")).or(labels.strip_suffix(".s3").map(str::len)) {
        Some(at) => Parts { folder: folder_of(path), ..bucket_and_folder(&labels[..at]) },
        None => Parts::default(),
    }
}

/// Returns the value to give instead of a copied text that contains a bucket's name, as the end of "must be …"; `None`
/// for any other text.
#[must_use]
pub fn instead_of_bucket(text: &str) -> Option<String> {
    let tidy = tidied(text);
    let parts = match parts(tidy) {
        Some(parts) => parts,
        None if tidy.len() < text.len() || tidy.contains('/') => {
            Some(bucket_and_folder(tidy)).filter(|parts| parts.bucket.is_some())?
        }
        None => return None,
    };
    Some(match parts {
        Parts { bucket: Some(bucket), folder: Some(folder) } => sentence("bucket_with_folder", bucket, folder),
        Parts { bucket: Some(bucket), folder: None } => sentence("bucket_alone", bucket, ""),
        Parts { bucket: None, .. } => sentence("bucket_unknown", "", ""),
    })
}

/// Returns the same for a prefix.
#[must_use]
pub fn instead_of_prefix(text: &str) -> Option<String> {
    if let Some(parts) = parts(tidied(text)) {
        return Some(match parts {
            Parts { folder: Some(folder), .. } => sentence("folder_alone", "", folder),
            Parts { bucket: Some(_), folder: None } => sentence("whole_bucket", "", ""),
            Parts { .. } => sentence("folder_unknown", "", ""),
        });
    }
    let (folder, without_slashes) = (tidied(text), text.trim_matches('/'));
    let has_blanks = folder != without_slashes && Prefix::fits(folder);
    has_blanks.then(|| match folder {
        "" => sentence("whole_bucket", "", ""),
        folder => sentence("folder_without_blanks", "", folder),
    })
}

/// Returns the same for a prefix that begins with its bucket's name.
#[must_use]
pub fn instead_of_prefix_in(bucket: &BucketName, prefix: &Prefix) -> Option<String> {
    let (first, rest) = prefix.as_str().split_once('/').unwrap_or((prefix.as_str(), ""));
    (first == bucket.as_str()).then(|| match folder_of(rest) {
        Some(folder) => sentence("folder_alone", "", folder),
        None => sentence("whole_bucket", "", ""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_bucket_and_folder_of_a_copied_address() {
        for (text, bucket, folder) in [
            ("s3://my-bucket/raw/2026/", "my-bucket", "raw/2026"),
            ("s3a://my-bucket/raw", "my-bucket", "raw"),
            ("S3N://my-bucket", "my-bucket", ""),
            ("s3:/my-bucket/raw", "my-bucket", "raw"),
            ("gs://my-bucket/a b/c", "my-bucket", "a b/c"),
            ("arn:aws:s3:::my-bucket/raw/x", "my-bucket", "raw/x"),
            ("ARN:aws-us-gov:s3:::my-bucket", "my-bucket", ""),
            ("https://my-bucket.s3.amazonaws.com/raw/x", "my-bucket", "raw/x"),
            ("https://my.bucket.s3.eu-west-1.amazonaws.com/raw", "my.bucket", "raw"),
            ("https://my-bucket.s3-eu-west-1.amazonaws.com/", "my-bucket", ""),
            ("HTTPS://s3.us-east-1.amazonaws.com/my-bucket/raw?versionId=1", "my-bucket", "raw"),
            (
                "https://us-east-1.console.aws.amazon.com/s3/buckets/my-bucket?prefix=raw/2026/&tab=objects",
                "my-bucket",
                "raw/2026",
            ),
            ("https://s3.console.aws.amazon.com/s3/buckets/my-bucket?region=us-east-1", "my-bucket", ""),
            ("https://lab.example/raw", "", ""),
            ("arn:aws:iam::123456789012:role/x", "", ""),
            ("file:///data/raw", "", ""),
        ] {
            let as_bucket = match (bucket, folder) {
                ("", _) => sentence("bucket_unknown", "", ""),
                (bucket, "") => sentence("bucket_alone", bucket, ""),
                (bucket, folder) => sentence("bucket_with_folder", bucket, folder),
            };
            let as_prefix = match (bucket, folder) {
                (_, folder) if !folder.is_empty() => sentence("folder_alone", "", folder),
                ("", _) => sentence("folder_unknown", "", ""),
                _ => sentence("whole_bucket", "", ""),
            };
            assert_eq!(instead_of_bucket(text).as_ref(), Some(&as_bucket), "{text}");
            assert_eq!(instead_of_prefix(text).as_ref(), Some(&as_prefix), "{text}");
            assert_eq!(instead_of_prefix(&format!("/ {text} ")).as_ref(), Some(&as_prefix), "{text} among blanks");
        }
    }

    #[test]
    fn leaves_other_texts_to_the_rules() {
        for text in ["my-bucket", "My_Bucket", "", "192.168.1.1", "My_Bucket/x", "a:b"] {
            assert_eq!(instead_of_bucket(text), None, "{text}");
        }
        for text in ["raw", "/raw/2026/", "", "/", "a:b/c", "C:/data", "chr1:1-100", "raw*", " raw*", "x:y://z"] {
            assert_eq!(instead_of_prefix(text), None, "{text}");
        }
    }

    #[test]
    fn names_the_value_without_blanks_or_bucket() -> Result<(), Box<dyn std::error::Error>> {
        for (text, said) in [
            (" my-bucket", "give my-bucket"),
            ("my-bucket\t", "give my-bucket"),
            ("my-bucket/", "give my-bucket"),
            ("my-bucket/app1", "the bucket is my-bucket; give app1 as Prefix"),
            ("/my-bucket/app1/x/ ", "the bucket is my-bucket; give app1/x as Prefix"),
        ] {
            assert!(
                instead_of_bucket(text).is_some_and(|it| it.contains(said)),
                "{text:?}: {:?}",
                instead_of_bucket(text)
            );
        }
        for (text, said) in [
            (" raw", "give raw"),
            ("raw/2026/ ", "give raw/2026"),
            ("/ raw", "give raw"),
            ("\u{a0}raw\u{3000}", "give raw"),
            (" ", "leave it empty"),
        ] {
            assert!(
                instead_of_prefix(text).is_some_and(|it| it.contains(said)),
                "{text:?}: {:?}",
                instead_of_prefix(text)
            );
        }
        let bucket = "my-bucket".parse()?;
        for (text, said) in [
            ("my-bucket", Some("leave it empty")),
            ("/my-bucket/raw/", Some("give raw")),
            ("my-bucket-2/raw", None),
            ("raw/my-bucket", None),
        ] {
            let Some(prefix) = Prefix::read(text)? else { continue };
            let told = instead_of_prefix_in(&bucket, &prefix);
            assert_eq!(told.is_some(), said.is_some(), "{text}");
            assert!(told.is_none_or(|told| said.is_some_and(|said| told.contains(said))), "{text}");
        }
        Ok(())
    }
}
