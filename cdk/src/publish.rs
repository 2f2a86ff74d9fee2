//! Putting a release where links can reach it: in one bucket for each region, under keys that say their content.
//!
//! ```text
//! package + places ──> Publication      what is to be in each bucket, the same everywhere but for versions.json
//! bucket (S3) ──> survey ──> plan       what is there, and what there is to do; all of it is told before anything is done
//! carry_out                             doing it, region beside region
//! ```
//!
//! Owns: the order, which is the zip first, the templates that name it next, and last `versions.json`, which is where links
//! begin. So nothing half-published can be reached, and the same command finishes what an interrupted one began.
//!
//! A template names the buckets of all its regions. So nothing is written before every one of these buckets is known to be
//! the publisher's own: in one that somebody else could make, a stack would find their code.

pub mod audience;
pub mod bucket;
pub mod carry_out;
pub mod naming;
pub mod plan;
pub mod versions;

use std::collections::BTreeMap;

use crate::address::Address;
use crate::page;
use crate::release::package::{self, Content, File, Package, VERSION};
use crate::release::zip::Asset;
use crate::template::{Config, Release, files};

use self::versions::{Published, PublishedFile};

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
    /// An object in the bucket.
    #[must_use]
    pub fn object(&self, key: &str) -> Address {
        Address { bucket: self.bucket.clone(), region: Some(self.region.clone()), key: key.to_owned() }
    }
}

/// An object that never changes: its key says what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
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
    /// The function's code under its own key.
    #[must_use]
    pub fn of_code(asset: &Asset) -> Self {
        let (bytes, content) = (asset.bytes.clone(), Content::of(&asset.bytes));
        Self { key: asset.key.clone(), media_type: "application/zip", bytes, content }
    }
}

/// A release as it is published in some places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The places, all of which the template names.
    pub places: Vec<Place>,
    /// The objects, in the order in which they are written.
    pub objects: Vec<Object>,
    /// The entry in `versions.json`.
    pub entry: Published,
}

impl Publication {
    /// A package in these places.
    #[must_use]
    pub fn of(package: &Package, places: Vec<Place>) -> Self {
        Self::of_code(&package.zip, package.manifest.commit.clone(), package.sbom().cloned(), places)
    }

    /// A Lambda in these places, with the templates that name them; everything is named by its content.
    #[must_use]
    pub fn of_code(zip: &Asset, commit: Option<String>, sbom: Option<File>, places: Vec<Place>) -> Self {
        let buckets: BTreeMap<_, _> = places.iter().map(|place| (place.region.clone(), place.bucket.clone())).collect();
        let release = Release { key: zip.key.clone(), buckets: buckets.clone().into_iter().collect() };
        let templates = files::generate(&Config::published(release));
        let code = File { name: package::zip_name(), bytes: zip.bytes.clone() };
        let templates = templates.into_iter().map(|it| File { name: it.name.to_owned(), bytes: it.text.into_bytes() });
        let mut made = Self {
            places,
            objects: Vec::new(),
            entry: Published {
                version: VERSION.to_owned(),
                commit,
                code_sha256: zip.sha256.clone(),
                buckets,
                files: Vec::new(),
                other: BTreeMap::new(),
            },
        };
        for file in [code].into_iter().chain(sbom).chain(templates) {
            made.add(file, zip);
        }
        // The page links to the templates by their keys, so it comes after them.
        let page = page::html(VERSION, Some(&made.entry.at()));
        made.add(File { name: page::FILE.to_owned(), bytes: page.into_bytes() }, zip);
        made
    }

    fn add(&mut self, File { name, bytes }: File, zip: &Asset) {
        let (content, media_type) = (Content::of(&bytes), media_type(&name));
        let is_code = content.sha256 == zip.sha256;
        let key = if is_code { zip.key.clone() } else { format!("{FOLDER}{}/{name}", content.sha256) };
        self.entry.files.push(PublishedFile { name, key: key.clone(), content: content.clone() });
        self.objects.push(Object { key, media_type, bytes, content });
    }

    /// The release that the templates name.
    #[must_use]
    pub fn release(&self) -> Release {
        self.entry.release()
    }
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
    use super::*;

    pub(crate) fn place(region: &str) -> Place {
        Place { region: region.to_owned(), bucket: format!("releases-{region}") }
    }

    /// A publication around a small program of this machine.
    pub(crate) fn publication(regions: &[&str]) -> Result<Publication, Box<dyn std::error::Error>> {
        let zip = Asset::from_binary("/bin/true".as_ref())?;
        let places = regions.iter().map(|region| place(region)).collect();
        Ok(Publication::of_code(&zip, Some("0a9211e".to_owned()), None, places))
    }

    #[test]
    fn every_key_says_the_content_and_the_code_comes_before_the_templates_that_name_it()
    -> Result<(), Box<dyn std::error::Error>> {
        let publication = publication(&["us-east-1", "eu-west-1"])?;
        for object in &publication.objects {
            assert!(object.key.starts_with(FOLDER) && object.key.contains(&object.content.sha256), "{}", object.key);
            assert_eq!(object.content, Content::of(&object.bytes));
        }
        let code = &publication.objects[0];
        assert_eq!(code.content.sha256, publication.entry.code_sha256);
        for template in publication.objects.iter().filter(|it| it.key.ends_with("/cavatica-volume.template.json")) {
            let text = String::from_utf8_lossy(&template.bytes);
            for part in [code.key.as_str(), "releases-us-east-1", "releases-eu-west-1"] {
                assert!(text.contains(part), "{part}");
            }
        }
        let names: Vec<_> = publication.entry.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names.len(), publication.objects.len());
        assert!(names.contains(&"cavatica-volume-native.template.yaml"), "{names:?}");
        Ok(())
    }

    #[test]
    fn the_order_of_the_regions_changes_nothing() -> Result<(), Box<dyn std::error::Error>> {
        let (one, other) = (publication(&["us-east-1", "eu-west-1"])?, publication(&["eu-west-1", "us-east-1"])?);
        assert_eq!((one.objects, one.entry), (other.objects, other.entry));
        Ok(())
    }
}
