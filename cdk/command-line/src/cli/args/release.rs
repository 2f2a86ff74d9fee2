//! The arguments of what a publisher does, and of what is done with a release.

use std::path::PathBuf;

use cavatica_access::owner::StackId;
use cavatica_access::volume::BucketName;
use cavatica_generator::regions;
use cavatica_generator::stack_name::StackName;
use cavatica_generator::wording::excerpt;
use clap::Args;

use super::{OutputForm, pair, ruled};
use crate::link::Form;
use crate::publish::Place;
use crate::publish::audience::Audience;
use crate::publish::naming::BucketNaming;
use crate::publish::plan::DesiredBucket;
use crate::source::ListAt;
use crate::verify::deployed::Target;

/// Arguments of `package`.
#[derive(Debug, Args)]
pub struct PackageArgs {
    /// Folder to write to [default: package in cargo's target directory]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Build a copy of the source tree in another folder too, and fail if its zip differs; takes as long again
    #[arg(long)]
    pub reproduce: bool,
}

/// Arguments of `publish`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("buckets").required(true).args(["bucket_prefix", "bucket"]))]
pub struct PublishArgs {
    /// Folder that `package` wrote [default: package in cargo's target directory]
    #[arg(long, value_name = "DIR")]
    pub package: Option<PathBuf>,
    /// Beginning of the buckets' names: a new bucket is PREFIX-ACCOUNT-REGION-an, which only your account can own;
    /// where your account has none of that name but has PREFIX-REGION, that one is used
    #[arg(long, value_name = "PREFIX")]
    bucket_prefix: Option<String>,
    /// Name of the bucket, for a single region
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// Regions to publish in, with commas between them; all of them each time, since the template names them
    #[arg(long, value_name = "REGION,…", required = true, value_delimiter = ',', value_parser = regions::commercial)]
    regions: Vec<&'static str>,
    /// Make the buckets that are missing: versioned, encrypted, without ACLs
    #[arg(long)]
    create_buckets: bool,
    /// Readers of the release, who may so launch it; written as the buckets' policy [default: private for a new bucket,
    /// otherwise the readers stay the same]
    #[arg(long, value_name = "private|public|org:ID|accounts:ID,…", value_parser = ruled::<Audience>)]
    audience: Option<Audience>,
    /// Look at the buckets and print what there is to do; write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `page`.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// List of the releases to link to one of, a file or an address in S3: versions.json, as `publish` names it
    #[arg(long, value_name = "FILE|URL", value_parser = ruled::<ListAt>)]
    pub release: Option<ListAt>,
    /// Release in the list [default: the newest]
    #[arg(long = "version", value_name = "VERSION", requires = "release")]
    pub release_version: Option<String>,
    /// Folder to write launch.html to
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

/// Arguments of `launch-url`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("template").required(true).args(["release", "template_url"]))]
pub struct LaunchUrlArgs {
    /// List of the release's bucket, a file or an address in S3: versions.json, as `publish` names it
    #[arg(long, value_name = "FILE|URL", value_parser = ruled::<ListAt>)]
    pub release: Option<ListAt>,
    /// Release to launch [default: the newest in the list]
    #[arg(long = "version", value_name = "VERSION", requires = "release")]
    pub release_version: Option<String>,
    /// Address of a template that you publish yourself: https://BUCKET.s3.REGION.amazonaws.com/KEY
    #[arg(long, value_name = "URL")]
    pub template_url: Option<String>,
    /// Region in which the console opens [default: the region of the list's bucket]
    #[arg(long, required_unless_present_any = ["release", "update"], value_parser = regions::commercial)]
    pub region: Option<&'static str>,
    /// Name of the stack [default: cavatica-volume- and six random characters, so that another launch makes another
    /// stack]
    #[arg(long, value_name = "NAME", value_parser = ruled::<StackName>)]
    pub stack_name: Option<StackName>,
    /// The template is the one without a function
    #[arg(long)]
    pub native: bool,
    /// Parameter to fill in; can be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    pub parameters: Vec<(String, String)>,
    /// Stack to update to the template, in place of creating one; its parameters stay as they are
    #[arg(long, value_name = "STACK-ARN", value_parser = ruled::<StackId>,
          conflicts_with_all = ["region", "stack_name", "parameters"])]
    pub update: Option<StackId>,
    /// Form of the link
    #[arg(long, value_enum, default_value = "url")]
    pub format: Form,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("released").required(true).args(["release", "package"]))]
pub struct VerifyArgs {
    /// Name or ARN of the stack, or ARN of its function
    #[arg(value_name = "STACK|ARN", value_parser = ruled::<Target>)]
    pub target: Target,
    /// Region of a stack that is given by name [default: that of the AWS configuration]
    #[arg(long, value_parser = regions::commercial)]
    pub region: Option<&'static str>,
    /// List of the releases to compare with, a file or an address in S3: versions.json, as `publish` names it
    #[arg(long, value_name = "FILE|URL", value_parser = ruled::<ListAt>)]
    pub release: Option<ListAt>,
    /// Release in the list [default: the one that runs, or else the newest]
    #[arg(long = "version", value_name = "VERSION", requires = "release")]
    pub release_version: Option<String>,
    /// Folder that `package` wrote, to compare with in place of a list
    #[arg(long, value_name = "DIR")]
    pub package: Option<PathBuf>,
    /// Build the source tree too and compare the code; takes minutes
    #[arg(long)]
    pub rebuild: bool,
    /// Form of the result; with json everything else goes to standard error
    #[arg(long, value_enum, default_value = "text")]
    pub output: OutputForm,
}

/// Why the buckets cannot be named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacesError {
    /// A bucket is in one region.
    #[error(
        "--bucket is for a single region, and --regions has {0}: use --bucket-prefix, with a bucket for each of them"
    )]
    OneBucket(usize),
    /// S3 takes no such name.
    #[error("\"{}\" cannot be a bucket's name: it must be {rule}", excerpt(.name))]
    Name {
        /// The name.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

impl PublishArgs {
    /// Returns the naming of the bucket of each region, every region once.
    pub fn buckets(&self) -> Result<Vec<BucketNaming>, PlacesError> {
        let mut regions: Vec<_> = self.regions.clone();
        regions.sort_unstable();
        regions.dedup();
        if self.bucket.is_some() && regions.len() > 1 {
            return Err(PlacesError::OneBucket(regions.len()));
        }
        let naming = |region: &&str| match (&self.bucket, &self.bucket_prefix) {
            (Some(bucket), _) => BucketNaming::Chosen(Place { region: (*region).to_owned(), bucket: bucket.clone() }),
            (None, prefix) => {
                let prefix = prefix.clone().unwrap_or_default();
                let global = format!("{prefix}-{region}");
                BucketNaming::Prefixed { region: (*region).to_owned(), prefix, global }
            }
        };
        let namings: Vec<_> = regions.iter().map(naming).collect();
        // The names of every account are as long.
        const SOME_ACCOUNT: &str = "123456789012";
        for place in namings.iter().flat_map(|naming| naming.candidates(SOME_ACCOUNT)) {
            let name = place.bucket;
            let rule = match name.parse::<BucketName>() {
                Err(rule) => rule,
                // The certificate of S3 covers no further dot.
                Ok(_) if name.contains('.') => "without dots, so that its address can be read over https",
                Ok(_) => continue,
            };
            return Err(PlacesError::Name { name: name.replace(SOME_ACCOUNT, "ACCOUNT"), rule });
        }
        Ok(namings)
    }

    /// Returns the wishes for the buckets.
    #[must_use]
    pub fn desired(&self) -> DesiredBucket {
        DesiredBucket { create_buckets: self.create_buckets, audience: self.audience.clone() }
    }
}
