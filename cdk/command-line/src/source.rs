//! The origin of a link's template: a release that is published, or an address that somebody gives.

use std::fs;
use std::io;
use std::path::PathBuf;

use cavatica_access::platform::Platform;
use cavatica_generator::address::Address;
use cavatica_generator::cfn::Template;
use cavatica_generator::template::{Config, files, native, provided};

use crate::account::{AwsConnection, AwsError, read_published};
use crate::publish::Place;
use crate::publish::versions::{self, Published, Versions, VersionsError};
use crate::release::package::{Content, VERSION};

/// A list of releases, as somebody names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListAt {
    /// A file.
    File(PathBuf),
    /// An object in S3.
    Object(Address),
}

/// A template, and where it is.
#[derive(Debug, Clone)]
pub struct Source {
    /// The template.
    pub template: Template,
    /// Its address.
    pub template_url: String,
    /// The region of the bucket that it is in, if that is known.
    pub region: Option<String>,
    /// Its release, if it is one that was published.
    pub version: Option<String>,
}

/// Why a release has no template to link to.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No such file.
    #[error(
        "cannot read {path}: give the file or the address of a versions.json, as `cavatica-connect publish` names it"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No such object.
    #[error("there is no object at {0}: give the address of a versions.json, as `cavatica-connect publish` names it")]
    NoObject(String),
    /// AWS does not give it.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// List without the release.
    #[error("{at} cannot be used: {source}")]
    Versions {
        /// The list.
        at: String,
        /// The mistake in it.
        source: VersionsError,
    },
    /// The release is not there.
    #[error("release {version} is not published in {region}: take {published}")]
    NotInRegion {
        /// The release.
        version: String,
        /// The region that is asked for.
        region: String,
        /// The regions that it is in.
        published: String,
    },
    /// Release in another bucket.
    #[error("this list is that of {found}, and that of {asked} is at {address}")]
    OtherRegion {
        /// The region of this list.
        found: String,
        /// The region that is asked for.
        asked: String,
        /// The address of its list.
        address: String,
    },
    /// The regions' lists differ.
    #[error(
        "{address} does not have release {version} as the given list has it: ask its publisher to publish it there again"
    )]
    NotTheSame {
        /// The release.
        version: String,
        /// The other region's list.
        address: String,
    },
    /// This program makes another template.
    #[error(
        "release {version} has a template that this program (release {VERSION}) does not make, and so cannot check \
         parameters for: use the cavatica-connect of that release"
    )]
    OtherTemplate {
        /// The release.
        version: String,
    },
}

impl std::str::FromStr for ListAt {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Address::read(text) {
            Some(address) => Ok(Self::Object(address)),
            None if text.contains("://") => {
                Err("a file, or the https address of an object in S3: https://BUCKET.s3.REGION.amazonaws.com/KEY")
            }
            None => Ok(Self::File(text.into())),
        }
    }
}

impl std::fmt::Display for ListAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Object(address) => write!(f, "{address}"),
        }
    }
}

impl Source {
    /// Returns a template at an address that somebody vouches for.
    #[must_use]
    pub fn at_address(platform: &Platform, template_url: String, is_native: bool) -> Self {
        let region = Address::read(&template_url).and_then(|address| address.region);
        Self { template: template(&Config::of(platform), is_native), template_url, region, version: None }
    }

    /// Returns the template of a published release, for a region if one is asked for; the list's own region otherwise.
    pub async fn of_release(
        connection: &AwsConnection,
        at: &ListAt,
        version: Option<&str>,
        region: Option<&str>,
        is_native: bool,
    ) -> Result<Self, SourceError> {
        let (place, release) = find(connection, at, version, region).await?;
        let config = Config::released(connection.platform(), release.release());
        let template = template(&config, is_native);
        let name = files::name(connection.platform(), is_native);
        // Parameters are checked against the template that the link opens, and no other.
        match release.file(&name) {
            Some(file) if file.content == Content::of(template.to_yaml().as_bytes()) => Ok(Self {
                template,
                template_url: place.object(&file.key).to_string(),
                region: Some(place.region),
                version: Some(release.version.clone()),
            }),
            _ => Err(SourceError::OtherTemplate { version: release.version.clone() }),
        }
    }
}

fn template(config: &Config, is_native: bool) -> Template {
    if is_native { native::template(config) } else { provided::template(config) }
}

/// Returns a release, if its templates are those that this program makes.
pub async fn release(connection: &AwsConnection, at: &ListAt, version: Option<&str>) -> Result<Published, SourceError> {
    let (_, release) = find(connection, at, version, None).await?;
    let is_ours = |template: files::File| {
        let published = release.file(&template.name).map(|file| &file.content);
        published == Some(&Content::of(template.text.as_bytes()))
    };
    match files::generate(&Config::released(connection.platform(), release.release())).into_iter().all(is_ours) {
        true => Ok(release),
        false => Err(SourceError::OtherTemplate { version: release.version }),
    }
}

/// Returns a release and where it is, in the asked region or that of the list. From an object in S3 the lists of the
/// release's other regions can be reached.
async fn find(
    connection: &AwsConnection,
    at: &ListAt,
    version: Option<&str>,
    region: Option<&str>,
) -> Result<(Place, Published), SourceError> {
    let list = read(connection, at).await?;
    let found = list.find(version).map_err(|source| SourceError::Versions { at: at.to_string(), source })?.clone();
    let Some(asked) = region.filter(|region| **region != list.region) else { return Ok((list.place(), found)) };
    let Some(bucket) = found.buckets.get(asked) else {
        let published = found.buckets.keys().cloned().collect::<Vec<_>>().join(" or ");
        return Err(SourceError::NotInRegion { version: found.version, region: asked.to_owned(), published });
    };
    let place = Place { region: asked.to_owned(), bucket: bucket.clone() };
    let there = place.object(versions::KEY);
    if let ListAt::File(_) = at {
        let (found, asked, address) = (list.region, asked.to_owned(), there.to_string());
        return Err(SourceError::OtherRegion { found, asked, address });
    }
    // Only what the given list has too: a bucket there may have gone to somebody else.
    let others = read(connection, &ListAt::Object(there.clone())).await?;
    match others.releases.contains(&found) {
        true => Ok((place, found)),
        false => Err(SourceError::NotTheSame { version: found.version, address: there.to_string() }),
    }
}

/// Reads a list of releases.
pub async fn read(connection: &AwsConnection, at: &ListAt) -> Result<Versions, SourceError> {
    let failed = |source| SourceError::Versions { at: at.to_string(), source };
    match at {
        ListAt::File(path) => {
            let text = fs::read(path).map_err(|source| SourceError::File { path: path.clone(), source })?;
            Versions::read(&text).map_err(failed)
        }
        ListAt::Object(address) => {
            let text = read_published(connection, address).await?;
            let text = text.ok_or_else(|| SourceError::NoObject(at.to_string()))?;
            let list = Versions::read(&text).map_err(failed)?;
            // The address says where the list is; a copy of it elsewhere would lead to objects that are not there.
            let place = list.place();
            if place.bucket != address.bucket || address.region.as_ref().is_some_and(|region| *region != place.region) {
                let Place { region, bucket } = place;
                return Err(failed(VersionsError::OfAnother { bucket, region }));
            }
            Ok(list)
        }
    }
}
