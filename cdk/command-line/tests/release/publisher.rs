//! A publisher: an engine for AWS, a package, and the command line on both.

use std::error::Error;
use std::path::Path;
use std::process::Output;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, VersioningConfiguration,
};
use cavatica_access::platform::CAVATICA;
use cavatica_connect::publish::versions::{self, Versions};
use cavatica_connect::publish::{Place, ReleaseParts};
use cavatica_connect::release::build::{self, Profile};
use cavatica_connect::release::package::{Package, Provenance};
use cavatica_connect::release::zip::{Asset, Compression};
use cavatica_local::engine::Engine;
use cavatica_local::workspace::Workspace;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

pub type Outcome = Result<(), Box<dyn Error>>;

pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-2"];

/// An engine, a package to publish, and the command line on both.
pub struct Publisher {
    pub engine: Engine,
    pub folder: TempDir,
}

impl Publisher {
    /// One with a small program of this machine in place of the Lambda: S3 does not look into a zip.
    pub async fn start() -> Result<Self, Box<dyn Error>> {
        let program = Path::new("/bin/true");
        let engine = Engine::start(&Workspace::locate()?).await?;
        let folder = tempfile::tempdir()?;
        let provenance = Provenance { commit: Some("0a9211e".to_owned()), toolchain: "rustc 1.95.0".to_owned() };
        let zip = Asset::from_binary(program)?;
        Package::of(zip, &std::fs::read(program)?, b"{}\n".to_vec(), &CAVATICA, provenance)?.write(folder.path())?;
        Ok(Self { engine, folder })
    }

    /// One with the Lambda's zip in its folder, and the zip's path.
    pub async fn with_zip() -> Result<(Self, String), Box<dyn Error>> {
        let code = lambda().await?;
        let publisher = Self::start().await?;
        let zip = publisher.folder.path().join("function.zip");
        std::fs::write(&zip, &code.bytes)?;
        Ok((publisher, zip.display().to_string()))
    }

    pub fn s3(&self, region: &str) -> Client {
        let region = aws_config::Region::new(region.to_owned());
        Client::new(&self.engine.sdk_config().to_builder().region(region).build())
    }

    /// Returns the command line, with the engine for AWS.
    pub fn connect(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cavatica-connect"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("AWS_ENDPOINT_URL", self.engine.url())
            .env("AWS_REGION", Engine::REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .kill_on_drop(true);
        command
    }

    pub fn command(&self, further: &[&str]) -> Command {
        let package = self.folder.path().display().to_string();
        let (prefix, regions) = ("--bucket-prefix=releases", format!("--regions={}", REGIONS.join(",")));
        let mut command = self.connect(&["publish", "--package", &package]);
        command.args(further);
        if !further.iter().any(|argument| argument.starts_with("--bucket=")) {
            command.args([prefix, &regions]);
        }
        command
    }

    pub async fn publish(&self, further: &[&str]) -> Result<Output, Box<dyn Error>> {
        Ok(self.command(further).output().await?)
    }

    pub async fn make_bucket(&self, name: &str, region: &str) -> Outcome {
        let elsewhere = (region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(region)).build()
        });
        let call = self.s3(region).create_bucket().bucket(name).set_create_bucket_configuration(elsewhere);
        call.send().await?;
        Ok(())
    }

    /// Returns a bucket that keeps what is written over, as one of releases has to.
    pub async fn make_versioned_bucket(&self, name: &str, region: &str) -> Outcome {
        self.make_bucket(name, region).await?;
        let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let call = self.s3(region).put_bucket_versioning().bucket(name).versioning_configuration(versioning);
        call.send().await?;
        Ok(())
    }

    /// Returns the release that the command publishes, before S3 has its code.
    pub fn parts(&self) -> Result<ReleaseParts, Box<dyn Error>> {
        Ok(ReleaseParts::of(&Package::read(self.folder.path(), &CAVATICA)?, &CAVATICA, self.places()))
    }

    /// Returns the places in which the command publishes it.
    pub fn places(&self) -> Vec<Place> {
        let place = |region: &&str| Place { region: (*region).to_owned(), bucket: bucket(region) };
        let mut places: Vec<_> = REGIONS.iter().map(place).collect();
        places.sort_by(|one, other| one.region.cmp(&other.region));
        places
    }

    pub async fn versions(&self, region: &str) -> Result<Versions, Box<dyn Error>> {
        let object = self.s3(region).get_object().bucket(bucket(region)).key(versions::KEY).send().await?;
        Ok(Versions::read(&object.body.collect().await?.to_vec())?)
    }
}

/// Returns the bucket that `publish --bucket-prefix releases` creates for the engine's account.
pub fn bucket(region: &str) -> String {
    format!("releases-123456789012-{region}-an")
}

pub fn said(output: &Output) -> String {
    [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat()
}

/// Returns the Lambda for the local engine, packed once for all tests.
pub async fn lambda() -> Result<&'static Asset, Box<dyn Error>> {
    static CODE: OnceCell<Asset> = OnceCell::const_new();
    let build = || {
        let workspace = Workspace::locate().map_err(|error| error.to_string())?;
        let built = build::build(&workspace, Profile::Local, |_| {}).map_err(|error| error.to_string())?;
        Asset::packed(&built.binary, Compression::Fast).map_err(|error| error.to_string())
    };
    CODE.get_or_try_init(async || Ok(tokio::task::spawn_blocking(build).await??)).await
}
