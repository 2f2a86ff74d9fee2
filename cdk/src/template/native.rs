//! The same role without a function: policy and role as CloudFormation makes them itself.
//!
//! For accounts whose organisation lets only CloudFormation change IAM, or forbids a standing function with rights over
//! it. It decides exactly as the other one; what a function can do besides, checks, CORS, tags by parameter and clear
//! refusals, it does not.

use cavatica_access::permissions;
use cavatica_access::port::POLICY_DESCRIPTION;

use super::outputs::Made;
use super::{Config, boundary, boundary_arn, parameters, policy_name, role_name, rules, s3_arn};
use crate::cfn::Expr as E;
use crate::cfn::{Resource, Template};

/// Makes the template.
#[must_use]
pub fn template(config: &Config) -> Template {
    // It has no code, wherever it is published.
    let config = Config { release: None, ..config.clone() };
    let mut conditions = super::conditions();
    conditions.extend([
        ("HasDescription", E::negated(E::equals(E::reference("Description"), E::text("")))),
        (
            "RestrictsListing",
            E::both(E::equals(E::reference("RestrictListing"), E::text("true")), E::Condition("HasPrefix")),
        ),
    ]);
    let made = Made {
        role_arn: E::GetAtt("VolumeRole", "Arn"),
        role_name: E::reference("VolumeRole"),
        policy_arn: E::reference("VolumePolicy"),
        external_id: E::reference("ExternalId"),
        release: None,
    };
    Template {
        description: "Connects an S3 bucket to Cavatica: the IAM policy and role that let Cavatica use it, made by \
                      CloudFormation itself."
            .to_owned(),
        groups: parameters::native_groups(),
        rules: rules(&config).into_iter().filter(|rule| rule.name != super::CORS_RULE).collect(),
        mappings: Vec::new(),
        conditions,
        resources: vec![boundary::resource(), policy(), role(&config)],
        outputs: made.outputs(),
    }
}

fn policy() -> Resource {
    Resource {
        logical_id: "VolumePolicy",
        kind: "AWS::IAM::ManagedPolicy",
        condition: None,
        depends_on: Vec::new(),
        goes_with_stack: false,
        properties: vec![
            ("ManagedPolicyName", policy_name()),
            ("Path", E::reference("IamPath")),
            ("Description", E::text(POLICY_DESCRIPTION)),
            ("PolicyDocument", permission_document()),
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
            ("Description", E::when("HasDescription", E::reference("Description"), E::no_value())),
            (
                "AssumeRolePolicyDocument",
                E::when("HasExternalId", trust(Some(E::reference("ExternalId"))), trust(None)),
            ),
            ("MaxSessionDuration", E::reference("MaxSessionDuration")),
            ("PermissionsBoundary", boundary_arn()),
            ("ManagedPolicyArns", E::List(vec![E::reference("VolumePolicy")])),
        ],
    }
}

fn permission_document() -> E {
    let bucket = || vec![boundary::bucket()];
    let objects = E::when("HasPrefix", s3_arn("${BucketName}/${Prefix}/*"), s3_arn("${BucketName}/*"));
    let prefixes = vec![E::reference("Prefix"), E::sub("${Prefix}/*")];
    let listing = vec![
        E::when(
            "RestrictsListing",
            E::json(&permissions::read_bucket_settings(bucket())),
            E::json(&permissions::read_buckets(bucket())),
        ),
        E::when("RestrictsListing", E::json(&permissions::list_under(boundary::bucket(), prefixes)), E::no_value()),
    ];
    super::document([listing, boundary::on_objects(&objects, |statement| statement)].concat())
}
