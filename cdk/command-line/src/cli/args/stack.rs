//! The arguments of what is done with a stack.

use std::path::PathBuf;

use cavatica_access::volume::{AccessMode, BucketName};
use cavatica_generator::regions;
use cavatica_generator::stack_name::StackName;
use clap::{Args, ValueEnum};

use super::{Mode, OptionalPrefix, bucket, pair, prefix, ruled};
use crate::rehearse::fixture::Name;
use crate::source::ListAt;

/// The origin of the function's code; without any of these it is built.
#[derive(Debug, Args)]
pub struct CodeArgs {
    /// List of the releases to take one of, a file or an address in S3: versions.json, as `publish` names it
    #[arg(long, value_name = "FILE|URL", value_parser = ruled::<ListAt>, conflicts_with = "zip")]
    pub release: Option<ListAt>,
    /// Release in the list [default: the newest]
    #[arg(long = "version", value_name = "VERSION", requires = "release")]
    pub release_version: Option<String>,
    /// The function's zip, as `package` wrote it
    #[arg(long, value_name = "FILE")]
    pub zip: Option<PathBuf>,
}

/// Arguments of `deploy`.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// Name of the S3 bucket that Cavatica may use
    #[arg(long, value_name = "BUCKET", value_parser = bucket)]
    bucket: Option<BucketName>,
    /// Prefix (folder) of the objects that Cavatica may use, such as raw/2026; the names of all objects in the bucket
    /// stay visible to it
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    prefix: Option<OptionalPrefix>,
    /// Access to the objects
    #[arg(long, value_enum)]
    access: Option<Mode>,
    /// Any other parameter of the template; can be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    further: Vec<(String, String)>,
    /// Name of the stack [default: cavatica-volume]
    #[arg(long, value_name = "NAME", value_parser = ruled::<StackName>)]
    pub stack_name: Option<StackName>,
    /// Region of the stack [default: that of the AWS configuration]
    #[arg(long, value_parser = regions::commercial)]
    pub region: Option<&'static str>,
    /// The code.
    #[command(flatten)]
    pub code: CodeArgs,
    /// Bucket for the function's code, in place of the account's own; it is created if there is none of this name
    #[arg(long, value_name = "BUCKET", value_parser = ruled::<BucketName>, conflicts_with_all = ["release", "native"])]
    pub assets_bucket: Option<BucketName>,
    /// Deploy the template without a function
    #[arg(long, conflicts_with = "zip")]
    pub native: bool,
    /// Give Cavatica the bucket in place of the one that the stack has; it loses the other
    #[arg(long)]
    pub replace_bucket: bool,
    /// Print what would change, and change nothing; exits with code 3 if there is a change
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do not ask, neither before the changes are carried out nor before a stack whose creation failed is deleted
    #[arg(long)]
    pub yes: bool,
    /// Form of the result; with json everything else goes to standard error
    #[arg(long, value_enum, default_value = "text")]
    pub output: OutputForm,
}

/// Arguments of `destroy`.
#[derive(Debug, Args)]
pub struct DestroyArgs {
    /// Name of the stack [default: cavatica-volume]
    #[arg(long, value_name = "NAME", value_parser = ruled::<StackName>)]
    pub stack_name: Option<StackName>,
    /// Region of the stack [default: that of the AWS configuration]
    #[arg(long, value_parser = regions::commercial)]
    pub region: Option<&'static str>,
    /// Remove the bucket too that `deploy` made for the function's code, if no other stack here may use it
    #[arg(long)]
    pub assets: bool,
    /// Name of that bucket, if `deploy` was given one
    #[arg(long, value_name = "BUCKET", value_parser = ruled::<BucketName>, requires = "assets")]
    pub assets_bucket: Option<BucketName>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Form of the result; with json everything else goes to standard error
    #[arg(long, value_enum, default_value = "text")]
    pub output: OutputForm,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Region [default: that of the AWS configuration]
    #[arg(long, value_parser = regions::commercial)]
    pub region: Option<&'static str>,
    /// Look in every commercial region that the account has enabled
    #[arg(long, conflicts_with = "region")]
    pub all_regions: bool,
    /// Form of the result; with json everything else goes to standard error
    #[arg(long, value_enum, default_value = "text")]
    pub output: OutputForm,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Name of the stack [default: cavatica-volume]
    #[arg(long, value_name = "NAME", value_parser = ruled::<StackName>)]
    pub stack_name: Option<StackName>,
    /// Region of the stack [default: that of the AWS configuration]
    #[arg(long, value_parser = regions::commercial)]
    pub region: Option<&'static str>,
    /// Follow an operation that goes on to its end first
    #[arg(long)]
    pub watch: bool,
    /// Have the function put back what somebody changed by hand, after showing it and asking
    #[arg(long)]
    pub repair: bool,
    /// Do not ask before a repair
    #[arg(long, requires = "repair")]
    pub yes: bool,
    /// Form of the result; with json everything else goes to standard error
    #[arg(long, value_enum, default_value = "text")]
    pub output: OutputForm,
}

/// Arguments of `rehearse`.
#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// Play it on this machine, on an AWS account that is emulated; needs the source tree and Python 3.11
    #[arg(long, conflicts_with_all = ["region", "profile", "endpoint_url", "release", "clean_up"])]
    pub local: bool,
    /// Beginning of all names: of stacks, bucket and roles [default: cavatica-rehearsal- and eight random characters]
    #[arg(long, value_parser = ruled::<Name>)]
    pub name: Option<Name>,
    /// Region [default: that of the AWS configuration]
    #[arg(long, value_parser = regions::commercial)]
    pub region: Option<&'static str>,
    /// The code.
    #[command(flatten)]
    pub code: CodeArgs,
    /// Show events, outputs and documents on the screen, not in a file
    #[arg(long)]
    pub detail: bool,
    /// Go on after a step that failed
    #[arg(long)]
    pub keep_going: bool,
    /// Only remove what an interrupted rehearsal of this --name left
    #[arg(long, requires = "name", conflicts_with_all = ["keep_going", "zip"])]
    pub clean_up: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// For people; the external ID only in a terminal
    Text,
    /// For programs, with the external ID
    Json,
}

impl DeployArgs {
    /// Returns the parameters that are given, by their names in the template.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, String)> {
        let bucket = self.bucket.as_ref().map(ToString::to_string);
        // The whole bucket is the empty prefix.
        let prefix = self.prefix.as_ref().map(|prefix| prefix.0.as_ref().map(ToString::to_string).unwrap_or_default());
        let access = self.access.map(|access| AccessMode::from(access).name().to_owned());
        let named = [("BucketName", bucket), ("Prefix", prefix), ("AccessMode", access)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        named.chain(self.further.iter().cloned()).collect()
    }
}
