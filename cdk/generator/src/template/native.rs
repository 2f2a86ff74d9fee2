//! The same role without a function: policy and role as CloudFormation makes them itself.
//!
//! For accounts whose organisation lets only CloudFormation change IAM, or forbids a standing function with rights over
//! it. It decides exactly as the other one; what a function can do besides, checks, CORS, tags by parameter and clear
//! refusals, it does not.

use cavatica_access::permissions;
use cavatica_access::platform::{Platform, policy_description};

use super::outputs::Made;
use super::values::{self, TemplateCondition, boundary_arn, conditions, policy_name, role_name, s3_arn};
use super::{Config, boundary, parameters, rules};
use crate::cfn::{Expr as E, Resource, Template};

/// Description of the template. Frozen but for the platform's name: a stack of ours is known by it.
pub const DESCRIPTION: &str = "Connects an S3 bucket to {platform}: the IAM policy and role that let {platform} use it, made by \
                      CloudFormation itself.";

/// Makes the template.
#[must_use]
pub fn template(config: &Config) -> Template {
    let made = Made {
        role_arn: E::GetAtt("VolumeRole", "Arn"),
        role_name: E::reference("VolumeRole"),
        policy_arn: E::reference("VolumePolicy"),
        external_id: E::reference("ExternalId"),
        release: None,
    };
    Template {
        description: DESCRIPTION.to_owned(),
        groups: parameters::native_groups(config),
        rules: vec![rules::commercial_partition(), rules::prefix_without_bucket()],
        mappings: Vec::new(),
        conditions: conditions(
            &config.platform,
            &[TemplateCondition::HasDescription, TemplateCondition::RestrictsListing],
        ),
        resources: vec![
            boundary::resource(&config.platform, &E::reference("AWS::AccountId")),
            policy(&config.platform),
            role(config),
        ],
        outputs: made.outputs(&config.platform),
    }
    .map_texts(&|text| config.platform.fill(text))
}

fn policy(platform: &Platform) -> Resource {
    Resource {
        logical_id: "VolumePolicy",
        kind: "AWS::IAM::ManagedPolicy",
        condition: None,
        depends_on: Vec::new(),
        goes_with_stack: false,
        properties: vec![
            ("ManagedPolicyName", policy_name()),
            ("Path", E::reference("IamPath")),
            ("Description", E::text(policy_description("{platform}"))),
            ("PolicyDocument", permission_document(platform)),
        ],
    }
}

fn role(config: &Config) -> Resource {
    let trust = |external_id| E::json(&permissions::trust(config.principal(), external_id));
    Resource {
        logical_id: "VolumeRole",
        kind: "AWS::IAM::Role",
        condition: None,
        depends_on: Vec::new(),
        goes_with_stack: false,
        properties: vec![
            ("RoleName", role_name()),
            ("Path", E::reference("IamPath")),
            ("Description", E::when(TemplateCondition::HasDescription, E::reference("Description"), E::no_value())),
            (
                "AssumeRolePolicyDocument",
                E::when(TemplateCondition::HasExternalId, trust(Some(E::reference("ExternalId"))), trust(None)),
            ),
            ("MaxSessionDuration", E::reference("MaxSessionDuration")),
            ("PermissionsBoundary", boundary_arn()),
            ("ManagedPolicyArns", E::List(vec![E::reference("VolumePolicy")])),
        ],
    }
}

fn permission_document(platform: &Platform) -> E {
    let bucket = || vec![boundary::bucket()];
    let objects = E::when(TemplateCondition::HasPrefix, s3_arn("${BucketName}/${Prefix}/*"), s3_arn("${BucketName}/*"));
    let prefixes = vec![E::reference("Prefix"), E::sub("${Prefix}/*")];
    let listing = vec![
        E::when(
            TemplateCondition::RestrictsListing,
            E::json(&permissions::read_bucket_settings(bucket())),
            E::json(&permissions::read_buckets(bucket())),
        ),
        E::when(
            TemplateCondition::RestrictsListing,
            E::json(&permissions::list_under(boundary::bucket(), prefixes)),
            E::no_value(),
        ),
    ];
    values::document([listing, boundary::on_objects(platform, &objects, &boundary::UNLIMITED)].concat())
}
