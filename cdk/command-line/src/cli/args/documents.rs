//! The arguments of the generators: templates and IAM documents.

use std::path::PathBuf;

use cavatica_access::names::{Partition, RoleArn};
use cavatica_access::platform::Platform;
use cavatica_access::request::ExternalId;
use cavatica_access::volume::{AccessMode, BucketName, KmsKeyArn, Volume};
use cavatica_generator::documents::{Subject, read_volume};
use cavatica_generator::stack_name::StackName;
use clap::Args;

use super::{Mode, OptionalPrefix, bucket, prefix, ruled};

/// Arguments of `synth`.
#[derive(Debug, Args)]
pub struct SynthArgs {
    /// Folder to write to [default: templates in the checkout, from wherever this is called]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write nothing; exit with code 3 if a file differs from what would be written
    #[arg(long)]
    pub check: bool,
    /// Print a template instead of writing files
    #[arg(long, value_enum, conflicts_with_all = ["out", "check"])]
    pub format: Option<TemplateFormat>,
    /// With --format: the template without a function
    #[arg(long, requires = "format")]
    pub native: bool,
}

/// Notation of a printed template.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum TemplateFormat {
    /// As in the templates' folder
    Yaml,
    /// On one line
    Json,
}

/// Arguments of `documents`.
#[derive(Debug, Args)]
pub struct DocumentsArgs {
    /// Name of the S3 bucket
    #[arg(long, value_name = "BUCKET", value_parser = bucket, required_unless_present_any = ["volume", "operator"])]
    bucket: Option<BucketName>,
    /// Prefix (folder) of the objects that Cavatica may use; the names of all objects in the bucket stay visible to it
    #[arg(long, value_name = "PREFIX", value_parser = prefix, requires = "bucket")]
    prefix: Option<OptionalPrefix>,
    /// Access to the objects
    #[arg(long, value_enum, default_value = "read-only", requires = "bucket")]
    access: Mode,
    /// A volume in place of --bucket, --prefix, --access and --kms-key-arn; can be given several times
    #[arg(long, value_name = "BUCKET[/PREFIX][:ro|:rw]", value_parser = read_volume,
          conflicts_with_all = ["bucket", "prefix", "access", "kms_key_arn"])]
    volume: Vec<Volume>,
    /// Region where your projects run, for read-write volumes; can be given several times [default: all of them]
    #[arg(long, value_name = "REGION")]
    location: Vec<String>,
    /// ARN of the KMS key that encrypts the bucket
    #[arg(long, value_name = "ARN", value_parser = ruled::<KmsKeyArn>, requires = "bucket")]
    kms_key_arn: Option<KmsKeyArn>,
    /// External ID that Cavatica has to give, at least 6 characters, or none (not recommended: it is what keeps other
    /// users of Cavatica out) [default: a random one]
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
    /// With --operator: beginning of the stacks' names [default: cavatica-volume]
    #[arg(long, value_name = "NAME", value_parser = ruled::<StackName>, requires = "operator")]
    pub stack_name: Option<StackName>,
    /// Let Cavatica list only names that begin with the prefix; goes beyond Cavatica's own policy
    #[arg(long)]
    restrict_listing: bool,
    /// Give Cavatica no rights on objects' ACLs; only for buckets with ACLs disabled
    #[arg(long)]
    omit_object_acls: bool,
}

/// An external ID, or none by choice.
#[derive(Debug, Clone)]
pub struct GivenExternalId(Option<ExternalId>);

impl DocumentsArgs {
    /// Returns the request of the documents, with this external ID where none was given.
    #[must_use]
    pub fn subject(self, platform: &Platform, otherwise: ExternalId) -> Subject {
        let (prefix, kms_key) = (self.prefix.and_then(|prefix| prefix.0), self.kms_key_arn);
        let access = AccessMode::from(self.access);
        let single = self.bucket.map(|bucket| Volume { bucket, prefix, access, kms_key, bucket_owner: None });
        Subject {
            volumes: single.into_iter().chain(self.volume).collect(),
            platform: platform.clone(),
            locations: self.location,
            external_id: self.external_id.map_or(Some(otherwise), |given| given.0),
            trusted_principal: self.trusted_principal,
            partition: self.partition,
            restrict_listing: self.restrict_listing,
            omit_object_acls: self.omit_object_acls,
        }
    }
}

fn external_id(text: &str) -> Result<GivenExternalId, String> {
    match text {
        "none" => Ok(GivenExternalId(None)),
        text => ruled(text).map(|id| GivenExternalId(Some(id))),
    }
}
