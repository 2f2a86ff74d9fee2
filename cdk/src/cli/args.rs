//! The arguments: clap reads into domain values, so that commands see only valid ones.

use std::path::PathBuf;

use cavatica_access::names::{Partition, RoleArn};
use cavatica_access::owner::StackId;
use cavatica_access::request::ExternalId;
use cavatica_access::volume::{AccessMode, BucketName, KmsKeyArn, Prefix, ProjectLocation, Volume};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::account::Access;
use crate::documents::{Subject, read_volume};
use crate::launch::form::Form;
use crate::launch::source::ListAt;
use crate::launch::url;
use crate::publish::Place;
use crate::publish::audience::Audience;
use crate::publish::plan::Wish;
use crate::regions;
use crate::verify::deployed::Target;
use crate::wording::excerpt;

/// Connects S3 buckets to Cavatica: writes the CloudFormation template, its launch links, and the IAM documents alone.
#[derive(Debug, Parser)]
#[command(name = "cavatica-connect", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The way to AWS.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// Arguments of all commands that ask AWS.
#[derive(Debug, Args)]
pub struct AccessArgs {
    /// Profile of the AWS configuration [default: AWS_PROFILE, or the environment's credentials]
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// Address at which AWS's services answer, for an emulator [default: AWS itself, or AWS_ENDPOINT_URL]
    #[arg(long, global = true, value_name = "URL")]
    endpoint_url: Option<String>,
}

impl From<AccessArgs> for Access {
    fn from(args: AccessArgs) -> Self {
        Self { profile: args.profile, endpoint_url: args.endpoint_url }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the CloudFormation templates
    Synth(SynthArgs),
    /// Print the permission and trust policies that the stack would create
    ///
    /// For those who follow Cavatica's manual by hand: prints one JSON object {"permissions": …, "trust": …}, and with
    /// --kms-key-arn also what the key's policy has to say where it does not leave permissions to IAM.
    Documents(DocumentsArgs),
    /// Build the Lambda and write a release: its zip, bill of materials, templates, manifest and checksums
    ///
    /// The same source and compiler make the same bytes on every machine. Needs the source tree, and x86-64 Linux whose C
    /// library makes programs that start with glibc 2.34, as Debian 12's does.
    Package(PackageArgs),
    /// Publish a packaged release: one bucket a region, under keys that never change, for links to launch from
    ///
    /// Looks at every bucket first and prints what there is to do. The credentials are those that AWS's own command line
    /// would take. Interrupted, the same command finishes.
    Publish(PublishArgs),
    /// Print the link that opens the CloudFormation console with everything filled in
    LaunchUrl(LaunchUrlArgs),
    /// Create or update a stack, after showing what would change
    ///
    /// Without --release or --zip, builds the function from the source tree. Code and template go to a private bucket of
    /// the account, which is made the first time: cavatica-connect-assets-ACCOUNT-REGION. What is not given on an update
    /// stays as the stack has it.
    Deploy(DeployArgs),
    /// Delete a stack, and prove that nothing of it is left
    Destroy(DestroyArgs),
    /// Show a stack, what IAM holds for it, and what differs from what it asks for
    ///
    /// Only looks. Exits with code 3 if something differs, or if Cavatica could not use the bucket.
    Status(StatusArgs),
    /// Compare what a stack runs with what was released
    ///
    /// One line a comparison: code, settings and template. Exits with code 3 if anything differs.
    Verify(VerifyArgs),
    /// Print what completes this command line in a shell
    ///
    /// For bash: cavatica-connect completions bash > ~/.local/share/bash-completion/completions/cavatica-connect
    Completions(CompletionsArgs),
    /// Write the manual pages
    ///
    /// With --out ~/.local/share/man/man1, `man cavatica-connect` shows them.
    Man(ManArgs),
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Arguments of `synth`.
#[derive(Debug, Args)]
pub struct SynthArgs {
    /// Folder to write to [default: templates in the checkout, from wherever this is called]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write nothing; exit with code 3 if a file differs from what would be written
    #[arg(long)]
    pub check: bool,
    /// Role that may assume the volume roles, for a platform other than Cavatica on the same engine [default: Cavatica's]
    #[arg(long, value_name = "ARN", value_parser = commercial_role)]
    pub trusted_principal: Option<RoleArn>,
}

/// Arguments of `documents`.
#[derive(Debug, Args)]
pub struct DocumentsArgs {
    /// Name of the S3 bucket
    #[arg(long, value_name = "BUCKET", value_parser = ruled::<BucketName>, required_unless_present_any = ["volume", "operator"])]
    bucket: Option<BucketName>,
    /// Folder whose objects Cavatica may use; the names of all objects in the bucket stay visible to it
    #[arg(long, value_name = "PREFIX", value_parser = prefix, requires = "bucket")]
    prefix: Option<OptionalPrefix>,
    /// What Cavatica may do with the objects
    #[arg(long, value_enum, default_value = "read-only", requires = "bucket")]
    access: Mode,
    /// A volume in place of --bucket, --prefix, --access and --kms-key-arn; can be given several times
    #[arg(long, value_name = "BUCKET[/PREFIX][:ro|:rw]", value_parser = read_volume,
          conflicts_with_all = ["bucket", "prefix", "access", "kms_key_arn"])]
    volume: Vec<Volume>,
    /// Region where your projects run, for read-write volumes; can be given several times [default: all of them]
    #[arg(long, value_name = "REGION", value_parser = ruled::<ProjectLocation>)]
    location: Vec<ProjectLocation>,
    /// ARN of the KMS key that encrypts the bucket
    #[arg(long, value_name = "ARN", value_parser = ruled::<KmsKeyArn>, requires = "bucket")]
    kms_key_arn: Option<KmsKeyArn>,
    /// External ID that Cavatica has to give, at least 6 characters, or none (not recommended: it is what keeps other users
    /// of Cavatica out) [default: a random one]
    #[arg(long, value_name = "ID|none", value_parser = external_id)]
    pub external_id: Option<GivenExternalId>,
    /// Role that may assume yours [default: Cavatica's]
    #[arg(long, value_name = "ARN", value_parser = ruled::<RoleArn>)]
    trusted_principal: Option<RoleArn>,
    /// AWS partition of the buckets; another than aws needs a --trusted-principal there
    #[arg(long, default_value = "aws", value_parser = ruled::<Partition>)]
    partition: Partition,
    /// Print instead the policy for whoever creates, updates and deletes the stack: nobody needs more rights for that
    #[arg(long, conflicts_with_all = ["bucket", "prefix", "access", "volume", "location", "kms_key_arn", "external_id",
          "trusted_principal", "partition", "restrict_listing", "omit_object_acls"])]
    pub operator: bool,
    /// With --operator: for the template without a function; names of your own for role and policy have to be added
    #[arg(long, requires = "operator")]
    pub native: bool,
    /// With --operator: what the names of the stacks begin with
    #[arg(long, value_name = "NAME", default_value = url::STACK_NAME, requires = "operator")]
    pub stack_name: String,
    /// Let Cavatica list only names that begin with the prefix; goes beyond Cavatica's own policy
    #[arg(long)]
    restrict_listing: bool,
    /// Give Cavatica no rights on objects' ACLs; only for buckets with ACLs disabled
    #[arg(long)]
    omit_object_acls: bool,
}

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
    /// Beginning of the buckets' names: that of a region is PREFIX-REGION
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
    /// Readers of the release, who may so launch it; written as the buckets' policy [default: the policy stays as it is]
    #[arg(long, value_name = "public|org:ID|accounts:ID,…", value_parser = ruled::<Audience>)]
    audience: Option<Audience>,
    /// Look at the buckets and print what there is to do; write nothing
    #[arg(long)]
    pub dry_run: bool,
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
    /// Name of the stack [default: cavatica-volume- and six random characters, so that another launch makes another stack]
    #[arg(long)]
    pub stack_name: Option<String>,
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

/// Arguments of `deploy`.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// Name of the S3 bucket that Cavatica may use
    #[arg(long, value_name = "BUCKET")]
    bucket: Option<String>,
    /// Folder whose objects Cavatica may use; the names of all objects in the bucket stay visible to it
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// What Cavatica may do with the objects
    #[arg(long, value_enum)]
    access: Option<Mode>,
    /// Any other parameter of the template; can be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    further: Vec<(String, String)>,
    /// Name of the stack
    #[arg(long, default_value = url::STACK_NAME)]
    pub stack_name: String,
    /// Region of the stack [default: that of the AWS configuration]
    #[arg(long, value_parser = regions::commercial)]
    pub region: Option<&'static str>,
    /// List of the release to deploy, a file or an address in S3: versions.json, as `publish` names it
    #[arg(long, value_name = "FILE|URL", value_parser = ruled::<ListAt>, conflicts_with = "zip")]
    pub release: Option<ListAt>,
    /// Release in the list [default: the newest]
    #[arg(long = "version", value_name = "VERSION", requires = "release")]
    pub release_version: Option<String>,
    /// The function's zip, as `package` wrote it
    #[arg(long, value_name = "FILE")]
    pub zip: Option<PathBuf>,
    /// Deploy the template without a function
    #[arg(long, conflicts_with = "zip")]
    pub native: bool,
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
    /// Name of the stack
    #[arg(long, default_value = url::STACK_NAME)]
    pub stack_name: String,
    /// Region of the stack [default: that of the AWS configuration]
    #[arg(long, value_parser = regions::commercial)]
    pub region: Option<&'static str>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Name of the stack
    #[arg(long, default_value = url::STACK_NAME)]
    pub stack_name: String,
    /// Region of the stack [default: that of the AWS configuration]
    #[arg(long, value_parser = regions::commercial)]
    pub region: Option<&'static str>,
    /// Follow an operation that goes on to its end first
    #[arg(long)]
    pub watch: bool,
    /// Form of the result; with json everything else goes to standard error
    #[arg(long, value_enum, default_value = "text")]
    pub output: OutputForm,
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
    /// The parameters that are given, by their names in the template.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, String)> {
        let access = self.access.map(|access| match access {
            Mode::ReadOnly => "ReadOnly".to_owned(),
            Mode::ReadWrite => "ReadWrite".to_owned(),
        });
        let named = [("BucketName", self.bucket.clone()), ("Prefix", self.prefix.clone()), ("AccessMode", access)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        named.chain(self.further.iter().cloned()).collect()
    }
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
}

/// The access mode, as it is spelled on a command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// List and read
    ReadOnly,
    /// List, read and write
    ReadWrite,
}

/// An external ID, or none by choice.
#[derive(Debug, Clone)]
pub struct GivenExternalId(Option<ExternalId>);

/// A prefix, or the whole bucket when nothing but slashes was given.
#[derive(Debug, Clone)]
struct OptionalPrefix(Option<Prefix>);

impl DocumentsArgs {
    /// The request of the documents, with this external ID where none was given.
    #[must_use]
    pub fn subject(self, otherwise: ExternalId) -> Subject {
        let access = match self.access {
            Mode::ReadOnly => AccessMode::ReadOnly,
            Mode::ReadWrite => AccessMode::ReadWrite,
        };
        let (prefix, kms_key) = (self.prefix.and_then(|prefix| prefix.0), self.kms_key_arn);
        let single = self.bucket.map(|bucket| Volume { bucket, prefix, access, kms_key, bucket_owner: None });
        Subject {
            volumes: single.into_iter().chain(self.volume).collect(),
            locations: self.location,
            external_id: self.external_id.map_or(Some(otherwise), |given| given.0),
            trusted_principal: self.trusted_principal,
            partition: self.partition,
            restrict_listing: self.restrict_listing,
            omit_object_acls: self.omit_object_acls,
        }
    }
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
    /// The bucket of each region, every region once.
    pub fn places(&self) -> Result<Vec<Place>, PlacesError> {
        let mut regions: Vec<_> = self.regions.clone();
        regions.sort_unstable();
        regions.dedup();
        if self.bucket.is_some() && regions.len() > 1 {
            return Err(PlacesError::OneBucket(regions.len()));
        }
        let prefix = self.bucket_prefix.as_deref().unwrap_or_default();
        let name = |region: &str| self.bucket.clone().unwrap_or_else(|| format!("{prefix}-{region}"));
        let place = |region: &&str| {
            let name = name(region);
            let rule = match name.parse::<BucketName>() {
                Err(rule) => Some(rule),
                // The certificate of S3 covers no further dot.
                Ok(_) if name.contains('.') => Some("without dots, so that its address can be read over https"),
                Ok(_) => None,
            };
            match rule {
                Some(rule) => Err(PlacesError::Name { name, rule }),
                None => Ok(Place { region: (*region).to_owned(), bucket: name }),
            }
        };
        regions.iter().map(place).collect()
    }

    /// The wishes for the buckets.
    #[must_use]
    pub fn wish(&self) -> Wish {
        Wish { create_buckets: self.create_buckets, audience: self.audience.clone() }
    }
}

/// An error of clap's that repeats at most the beginning of a long value.
#[must_use]
pub fn with_short_values(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
        let short = excerpt(value);
        error.insert(ContextKind::InvalidValue, ContextValue::String(short));
    }
    error
}

/// Reads a domain value; what it breaks is said as its rule.
fn ruled<T: std::str::FromStr<Err = &'static str>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|rule| format!("must be {rule}"))
}

/// Reads a role that can be trusted from where the templates can be launched.
fn commercial_role(text: &str) -> Result<RoleArn, String> {
    let role: RoleArn = ruled(text)?;
    match role.partition.as_str() {
        "aws" => Ok(role),
        other => Err(format!("must be in the partition aws, where the templates can be launched, not in {other}")),
    }
}

fn prefix(text: &str) -> Result<OptionalPrefix, String> {
    Prefix::read(text).map(OptionalPrefix).map_err(|rule| format!("must be {rule}"))
}

fn external_id(text: &str) -> Result<GivenExternalId, String> {
    match text {
        "none" => Ok(GivenExternalId(None)),
        text => ruled(text).map(|id| GivenExternalId(Some(id))),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE, such as BucketName=my-bucket")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn a_long_value_is_repeated_in_part() {
        let arguments = ["cavatica-connect", "documents", "--bucket", &"B".repeat(900)];
        let said = with_short_values(Cli::try_parse_from(arguments).unwrap_err()).to_string();
        assert!(said.contains(&format!("'{}…'", "B".repeat(80))), "{said}");
        assert!(said.contains("3 to 63"), "{said}");
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
