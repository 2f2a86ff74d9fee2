//! `versions.json`: the releases that a bucket has, in the order in which they were published.
//!
//! The only object that changes, and it only grows: whatever a link was made from can be found again.

use std::collections::BTreeMap;

use cavatica_generator::page;
use cavatica_generator::template::Release;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CodeVersions, Object, Place};
use crate::release::package::{Content, zip_name};

/// Its key.
pub const KEY: &str = "cavatica-connect/versions.json";

/// The form that this program writes and understands.
const FORMAT: u32 = 1;

/// The releases of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The form of this file.
    pub format: u32,
    /// The bucket's region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The releases, the one published last at the end. Of several with one version the last one counts: it was
    /// published in other regions than those before.
    pub releases: Vec<Published>,
    /// Whatever else there is; it is kept.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A release in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The release, such as `0.1.0`.
    pub version: String,
    /// The git commit that it was built from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The SHA-256 of the Lambda's zip, 64 hexadecimal digits in lower case.
    pub code_sha256: String,
    /// All regions that the templates work in, with the bucket there.
    pub buckets: BTreeMap<String, String>,
    /// The version of the code in each of these buckets, which the templates name. Absent from releases of earlier
    /// programs.
    #[serde(default, skip_serializing_if = "CodeVersions::is_empty")]
    pub code_versions: CodeVersions,
    /// The objects in this bucket.
    pub files: Vec<PublishedFile>,
    /// Whatever else there is; it is kept.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

impl Published {
    /// Returns the release as its templates name it.
    #[must_use]
    pub fn release(&self) -> Release {
        let key = self.file(&zip_name()).map(|zip| zip.key.clone()).unwrap_or_default();
        let buckets = self.buckets.clone().into_iter().collect();
        Release { key, buckets, code_versions: self.code_versions.clone() }
    }

    /// Returns the place of the release, for the launch page.
    #[must_use]
    pub fn at(&self) -> page::At {
        let templates = self.files.iter().map(|file| (file.name.clone(), file.key.clone())).collect();
        page::At { release: self.release(), templates, list: KEY.to_owned() }
    }

    /// Returns a file by its name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&PublishedFile> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// An object of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedFile {
    /// Its name in the package.
    pub name: String,
    /// Its key.
    pub key: String,
    /// Its size and digest.
    #[serde(flatten)]
    pub content: Content,
}

impl PublishedFile {
    /// Returns the entry of an object.
    #[must_use]
    pub fn of(object: &Object) -> Self {
        Self { name: object.name.clone(), key: object.key.clone(), content: object.content.clone() }
    }
}

/// A mistake in a list of releases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionsError {
    /// Unreadable list.
    #[error(
        "it is no list of releases ({0}): restore an earlier version of the object, or publish into another bucket"
    )]
    Form(String),
    /// A later program wrote it.
    #[error("a later cavatica-connect wrote it (format {0}, and this one understands {FORMAT}): use that one")]
    Later(u64),
    /// List of another bucket.
    #[error("it is that of bucket {bucket} in {region}: remove it here, or publish there")]
    OfAnother {
        /// The bucket that it names.
        bucket: String,
        /// The region that it names.
        region: String,
    },
    /// The version has other code already.
    #[error(
        "release {version} is published there with the SHA-256 {there}, and this one has {here}: a release never changes, \
         so give this one a version of its own"
    )]
    OtherCode {
        /// The version.
        version: String,
        /// The SHA-256 of the published zip.
        there: String,
        /// The SHA-256 of the one to be.
        here: String,
    },
    /// There is no such release.
    #[error("there is no release {version} in it: it has {known}")]
    NoSuchVersion {
        /// The version.
        version: String,
        /// The known ones.
        known: String,
    },
    /// There is no release at all.
    #[error("there is no release in it yet: publish one")]
    Empty,
}

impl Versions {
    /// Returns the list of a bucket without releases.
    #[must_use]
    pub fn empty(place: &Place) -> Self {
        let Place { region, bucket } = place.clone();
        Self { format: FORMAT, region, bucket, releases: Vec::new(), other: BTreeMap::new() }
    }

    /// Reads one.
    pub fn read(text: &[u8]) -> Result<Self, VersionsError> {
        let form = |error: serde_json::Error| VersionsError::Form(error.to_string());
        let value: Value = serde_json::from_slice(text).map_err(form)?;
        match value["format"].as_u64() {
            Some(format) if format > u64::from(FORMAT) => Err(VersionsError::Later(format)),
            _ => serde_json::from_value(value).map_err(form),
        }
    }

    /// Reads that of a place.
    pub fn read_of(place: &Place, text: &[u8]) -> Result<Self, VersionsError> {
        let versions = Self::read(text)?;
        if (&versions.region, &versions.bucket) != (&place.region, &place.bucket) {
            let Self { bucket, region, .. } = versions;
            return Err(VersionsError::OfAnother { bucket, region });
        }
        Ok(versions)
    }

    /// As it is written.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Returns the place that it is about.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { region: self.region.clone(), bucket: self.bucket.clone() }
    }

    /// Returns the list with a release more, or nothing if it is there already.
    pub fn with(&self, release: &Published) -> Result<Option<Self>, VersionsError> {
        let same_version = |there: &&Published| there.version == release.version;
        if let Some(there) = self.releases.iter().filter(same_version).find(|it| it.code_sha256 != release.code_sha256)
        {
            return Err(VersionsError::OtherCode {
                version: release.version.clone(),
                there: there.code_sha256.clone(),
                here: release.code_sha256.clone(),
            });
        }
        let is_same = |there: &Published| Published { other: BTreeMap::new(), ..there.clone() } == *release;
        if self.releases.iter().rfind(same_version).is_some_and(is_same) {
            return Ok(None);
        }
        let mut longer = self.clone();
        longer.releases.push(release.clone());
        Ok(Some(longer))
    }

    /// Returns a release: the asked one, or the newest by the rules of semantic versioning; one that is no pre-release
    /// if there is any.
    pub fn find(&self, version: Option<&str>) -> Result<&Published, VersionsError> {
        let found = match version {
            Some(asked) => self.releases.iter().rfind(|it| it.version == asked),
            None => self.releases.iter().max_by_key(|it| {
                let version = Version::parse(&it.version).ok();
                (version.as_ref().is_some_and(|version| version.pre.is_empty()), version)
            }),
        };
        found.ok_or_else(|| match version {
            Some(version) if !self.releases.is_empty() => {
                let mut known: Vec<_> = self.releases.iter().map(|it| it.version.as_str()).collect();
                known.dedup();
                VersionsError::NoSuchVersion { version: version.to_owned(), known: known.join(", ") }
            }
            _ => VersionsError::Empty,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{place, publication};
    use super::*;

    fn release(version: &str, code: &str) -> Published {
        let entry = publication(&["us-east-1"]).unwrap().entry;
        Published { version: version.to_owned(), code_sha256: code.to_owned(), ..entry }
    }

    fn list(releases: &[(&str, &str)]) -> Versions {
        let empty = Versions::empty(&place("us-east-1"));
        releases.iter().fold(empty, |list, (version, code)| list.with(&release(version, code)).unwrap().unwrap())
    }

    #[test]
    fn it_only_grows_and_the_same_release_twice_is_one() {
        let one = list(&[("0.1.0", "a")]);
        assert_eq!(one.with(&release("0.1.0", "a")), Ok(None));
        let two = one.with(&release("0.2.0", "b")).unwrap().unwrap();
        assert_eq!(two.releases[..1], one.releases);
        assert_eq!(Versions::read_of(&place("us-east-1"), two.to_json().as_bytes()), Ok(two));
    }

    #[test]
    fn a_version_with_other_code_is_refused_with_both_digests() {
        let said = list(&[("0.1.0", "aa"), ("0.2.0", "bb")]).with(&release("0.1.0", "cc")).unwrap_err().to_string();
        assert!(said.contains("0.1.0") && said.contains("aa") && said.contains("cc"), "{said}");
    }

    #[test]
    fn the_same_code_in_more_regions_counts_from_then_on() {
        let entry = |regions: &[&str]| publication(regions).unwrap().entry;
        let (few, many) = (entry(&["us-east-1"]), entry(&["us-east-1", "eu-west-1"]));
        let list = Versions::empty(&place("us-east-1")).with(&few).unwrap().unwrap();
        let list = list.with(&many).unwrap().unwrap();
        assert_eq!((list.releases.len(), list.find(None).unwrap()), (2, &many));
        assert_eq!(list.with(&many), Ok(None));
    }

    #[test]
    fn the_newest_is_the_highest_version_and_no_pre_release_if_there_is_another() {
        for (releases, newest) in [
            (&[("0.9.0", "a"), ("0.10.0", "b"), ("0.9.1", "c")][..], "0.10.0"),
            (&[("1.0.0", "a"), ("2.0.0-rc.1", "b")], "1.0.0"),
            (&[("1.0.0-rc.1", "a"), ("1.0.0-rc.2", "b")], "1.0.0-rc.2"),
        ] {
            assert_eq!(list(releases).find(None).unwrap().version, newest);
        }
    }

    #[test]
    fn names_a_list_that_belongs_to_another_bucket() {
        let said = |text: &str| Versions::read_of(&place("us-east-1"), text.as_bytes()).unwrap_err().to_string();
        let other = Versions::empty(&place("eu-west-1")).to_json();
        for (text, expected) in [
            ("", "no list of releases"),
            ("[]", "no list of releases"),
            ("{\"format\": 1}", "no list of releases (missing field"),
            ("{\"format\": 2}", "a later cavatica-connect wrote it (format 2"),
            (other.as_str(), "that of bucket releases-eu-west-1 in eu-west-1"),
        ] {
            assert!(said(text).contains(expected), "{}", said(text));
        }
        let list = list(&[("0.1.0", "a"), ("0.2.0", "b")]);
        assert!(list.find(Some("0.3.0")).unwrap_err().to_string().contains("it has 0.1.0, 0.2.0"));
        assert_eq!(Versions::empty(&place("us-east-1")).find(None), Err(VersionsError::Empty));
    }

    #[test]
    fn keeps_fields_that_a_later_version_added() {
        let text = list(&[("0.1.0", "a")])
            .to_json()
            .replacen('{', "{\"page\": \"x\",", 1)
            .replace("\"version\"", "\"note\": \"y\", \"version\"");
        let kept = Versions::read(text.as_bytes()).unwrap().with(&release("0.2.0", "b")).unwrap().unwrap().to_json();
        assert!(kept.contains("\"page\": \"x\"") && kept.contains("\"note\": \"y\""), "{kept}");
    }
}
