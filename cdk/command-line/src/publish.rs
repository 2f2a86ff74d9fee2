//! Publication of a release: into one bucket for each region, under keys that contain the digest of their content.
//!
//! ```text
//! package + places ──> ReleaseParts     the code and its bill of materials: the same bytes in each bucket
//! bucket (S3) ──> survey ──> plan       what is there, and what there is to do; all of it is told before anything is done
//! code in every bucket ──> Publication  the templates, which name the version of the code in each bucket, and the page
//! execute                               carries the plans out, concurrently by region
//! ```
//!
//! Owns: the order, which is the code first, the templates that name it next, and last `versions.json`, which is where
//! links begin. So nothing half-published can be reached, and the same command finishes what an interrupted one began.
//!
//! A template names the buckets of all its regions. So nothing is written before every one of these buckets is known to
//! be the publisher's own: in one that somebody else could make, a stack would find their code. And it names the
//! version of the code in each of them: another object that is written there under the same key is not the one that a
//! stack runs.

pub mod audience;
pub mod bucket;
pub mod execute;
pub mod naming;
pub mod plan;
pub mod versions;

use std::collections::BTreeMap;

use cavatica_access::platform::Platform;
use cavatica_generator::address::Address;
use cavatica_generator::page;
use cavatica_generator::template::{Config, files};

use self::versions::{Published, PublishedFile};
use crate::release::package::{self, Content, File, Package, VERSION};
use crate::release::zip::Asset;

/// Beginning of all keys; the policy for the audience names it.
pub const FOLDER: &str = "cavatica-connect/";

/// A bucket in a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The region.
    pub region: String,
    /// The bucket there.
    pub bucket: String,
}

impl Place {
    /// Returns an object in the bucket.
    #[must_use]
    pub fn object(&self, key: &str) -> Address {
        Address { bucket: self.bucket.clone(), region: Some(self.region.clone()), key: key.to_owned() }
    }
}

/// The version ID that S3 gave the code in each region's bucket.
pub type CodeVersions = BTreeMap<String, String>;

/// An object that never changes: its key says what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name in the package.
    pub name: String,
    /// Its key.
    pub key: String,
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their size and digest.
    pub content: Content,
}

impl Object {
    /// Returns the function's code under its own key.
    #[must_use]
    pub fn of_code(asset: &Asset) -> Self {
        let (bytes, content) = (asset.bytes.clone(), Content::of(&asset.bytes));
        Self { name: package::zip_name(), key: asset.key.clone(), media_type: "application/zip", bytes, content }
    }

    fn of_file(File { name, bytes }: File) -> Self {
        let content = Content::of(&bytes);
        let key = format!("{FOLDER}{}/{name}", content.sha256);
        Self { key, media_type: media_type(&name), name, bytes, content }
    }
}

/// A release before S3 has its code, and the places that it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseParts {
    /// Platform that the templates are for.
    pub platform: Platform,
    /// The places, all of which the templates name.
    pub places: Vec<Place>,
    /// The git commit that the code was built from.
    pub commit: Option<String>,
    /// The function's code.
    pub code: Object,
    /// The other objects that do not depend on a bucket.
    pub others: Vec<Object>,
}

impl ReleaseParts {
    /// Returns a package in these places.
    #[must_use]
    pub fn of(package: &Package, platform: &Platform, places: Vec<Place>) -> Self {
        Self::of_code(platform, &package.zip, package.manifest.commit.clone(), package.sbom().cloned(), places)
    }

    /// Returns a Lambda in these places.
    #[must_use]
    pub fn of_code(
        platform: &Platform,
        zip: &Asset,
        commit: Option<String>,
        sbom: Option<File>,
        places: Vec<Place>,
    ) -> Self {
        let (platform, others) = (platform.clone(), sbom.into_iter().map(Object::of_file).collect());
        Self { platform, places, commit, code: Object::of_code(zip), others }
    }

    /// Returns the objects, in the order in which they are written.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        [&self.code].into_iter().chain(&self.others)
    }

    /// Returns the release with the templates that name these versions of its code.
    #[must_use]
    pub fn publication(&self, code_versions: CodeVersions) -> Publication {
        let buckets = self.places.iter().map(|place| (place.region.clone(), place.bucket.clone())).collect();
        let mut entry = Published {
            version: VERSION.to_owned(),
            commit: self.commit.clone(),
            code_sha256: self.code.content.sha256.clone(),
            buckets,
            code_versions,
            files: self.objects().map(PublishedFile::of).collect(),
            other: BTreeMap::new(),
        };
        let templates = files::generate(&Config::released(&self.platform, entry.release())).into_iter();
        let templates = templates.map(|it| File { name: it.name, bytes: it.text.into_bytes() });
        let mut generated: Vec<_> = templates.map(Object::of_file).collect();
        entry.files.extend(generated.iter().map(PublishedFile::of));
        // The page links to the templates by their keys, so it comes after them.
        let page = page::html(VERSION, &self.platform, Some(&entry.at())).into_bytes();
        let page = Object::of_file(File { name: page::FILE.to_owned(), bytes: page });
        entry.files.push(PublishedFile::of(&page));
        generated.push(page);
        Publication { generated, entry }
    }

    /// Returns the number of objects that a publication adds.
    #[must_use]
    pub fn count_of_generated(&self) -> usize {
        files::generate(&Config::of(&self.platform)).len() + 1
    }
}

/// A release whose code is in every bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The templates and the page, in the order in which they are written.
    pub generated: Vec<Object>,
    /// The entry in `versions.json`.
    pub entry: Published,
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "zip")) => "application/zip",
        Some((_, "yaml")) => "application/yaml",
        Some((_, "html")) => "text/html; charset=utf-8",
        _ => "application/json",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use cavatica_access::platform::CAVATICA;

    use super::*;

    pub(crate) fn place(region: &str) -> Place {
        Place { region: region.to_owned(), bucket: format!("releases-{region}") }
    }

    /// Returns a release around a small program of this machine.
    pub(crate) fn parts(regions: &[&str]) -> Result<ReleaseParts, Box<dyn std::error::Error>> {
        let zip = Asset::from_binary("/bin/true".as_ref())?;
        let places = regions.iter().map(|region| place(region)).collect();
        Ok(ReleaseParts::of_code(&CAVATICA, &zip, Some("0a9211e".to_owned()), None, places))
    }

    /// Returns the same with its code in every bucket.
    pub(crate) fn publication(regions: &[&str]) -> Result<Publication, Box<dyn std::error::Error>> {
        let versions = regions.iter().map(|region| ((*region).to_owned(), format!("code-in-{region}")));
        Ok(parts(regions)?.publication(versions.collect()))
    }

    #[test]
    fn every_key_says_the_content_and_the_templates_name_the_version_of_the_code()
    -> Result<(), Box<dyn std::error::Error>> {
        let regions = ["us-east-1", "eu-west-1"];
        let (parts, publication) = (parts(&regions)?, publication(&regions)?);
        for object in parts.objects().chain(&publication.generated) {
            assert!(object.key.starts_with(FOLDER) && object.key.contains(&object.content.sha256), "{}", object.key);
            assert_eq!(object.content, Content::of(&object.bytes));
        }
        assert_eq!(parts.code.content.sha256, publication.entry.code_sha256);
        assert_eq!(parts.count_of_generated(), publication.generated.len());
        let templates: Vec<_> =
            publication.generated.iter().filter(|it| it.name.starts_with("cavatica-volume.template")).collect();
        assert_eq!(templates.len(), 1);
        for template in templates {
            let text = String::from_utf8_lossy(&template.bytes);
            let key = parts.code.key.as_str();
            for part in [
                key,
                "releases-us-east-1",
                "releases-eu-west-1",
                "code-in-us-east-1",
                "code-in-eu-west-1",
                "S3ObjectVersion",
            ] {
                assert!(text.contains(part), "{part}");
            }
        }
        let names: Vec<_> = publication.entry.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names.len(), parts.objects().count() + publication.generated.len());
        assert!(names.contains(&"cavatica-volume-native.template.yaml"), "{names:?}");
        Ok(())
    }

    #[test]
    fn the_order_of_the_regions_changes_nothing() -> Result<(), Box<dyn std::error::Error>> {
        let (one, other) = (publication(&["us-east-1", "eu-west-1"])?, publication(&["eu-west-1", "us-east-1"])?);
        assert_eq!(one, other);
        Ok(())
    }
}
