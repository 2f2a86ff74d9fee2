//! The stack whose function makes the volume role: what is in it and how it hangs together.
//!
//! ```text
//! parameters ─> VolumeAccess (custom resource) ─> ProviderFunction ─ runs as ─> ProviderRole
//!                  makes the volume role, capped by Boundary         ProviderInvokeConfig, ProviderLogGroup
//! ```
//!
//! Frozen for ever, since old code, old role and old properties meet new ones during an update and its rollback: the
//! logical IDs of function, custom resource and provider role (its unique ID is the external ID), and the boundary's
//! name (CloudFormation's choice) and description.

use cavatica_access::platform::{CAVATICA, Platform};
use cavatica_access::request::RESOURCE_TYPE;

use super::outputs::Made;
use super::values::{TemplateCondition, boundary_arn, conditions, external_id, policy_name, role_name};
use super::{Config, Release, boundary, parameters, provider_role, rules};
use crate::cfn::{Expr as E, Mapping, Resource, Template};

/// Longest run of the function, in seconds. A changed provider role is waited for up to 100 s, and an uncontended event
/// takes two.
const FUNCTION_TIMEOUT: i64 = 180;

/// Time that CloudFormation waits for an answer, in seconds: three runs of the function (Lambda retries twice) and the
/// one and two minutes that Lambda waits in between.
const SERVICE_TIMEOUT: i64 = 3 * FUNCTION_TIMEOUT + 180;

/// Oldest event that Lambda may still run, in seconds: none may run after CloudFormation has given up, for a late
/// Create would undo a Delete.
const EVENT_AGE: i64 = SERVICE_TIMEOUT - FUNCTION_TIMEOUT;

/// The function's runtime: an operating system, and the binary brings the rest.
pub const RUNTIME: &str = "provided.al2023";

/// Its handler; this runtime runs the file of this name and ignores the setting.
pub const HANDLER: &str = "bootstrap";

/// The environment variables with the function's pins: the stack that it works for, and the role that it may let in.
pub const STACK_VARIABLE: &str = "CAVATICA_STACK_ID";
/// See [`STACK_VARIABLE`].
pub const PRINCIPAL_VARIABLE: &str = "CAVATICA_TRUSTED_PRINCIPAL_ARN";

/// The mapping that says where the Lambda's zip is, and its keys.
const RELEASE: &str = "Release";
const RELEASE_BUCKET: &str = "Bucket";
const RELEASE_KEY: &str = "Key";
const RELEASE_VERSION: &str = "Version";

/// Description of the template. Frozen but for the platform's name: a stack of ours is known by it.
pub const DESCRIPTION: &str = "Connects an S3 bucket to {platform}: makes the IAM policy and role that let {platform} use it, and removes \
                      them when the stack is deleted.";

/// Makes the template.
#[must_use]
pub fn template(config: &Config) -> Template {
    Template {
        description: DESCRIPTION.to_owned(),
        groups: parameters::groups(config),
        rules: [rules::commercial_partition(), rules::prefix_without_bucket(), rules::cors_of_own_bucket_only()]
            .into_iter()
            .chain(config.release.as_ref().map(rules::published_region))
            .collect(),
        mappings: config.release.iter().map(mapping).collect(),
        conditions: conditions(
            &config.platform,
            &[
                TemplateCondition::HasBucketOwner,
                TemplateCondition::HasAutoExternalId,
                TemplateCondition::ConfiguresCors,
                TemplateCondition::HasRepair,
            ],
        ),
        resources: vec![
            volume_access(config),
            function(config),
            provider_role::resource(),
            invoke_config(),
            log_group(),
            boundary::resource(&config.platform, &bucket_owner()),
        ],
        outputs: Made::by_function(code_key(config)).outputs(&config.platform),
    }
    .map_texts(&|text| config.platform.fill(text))
}

/// Returns the bucket of the function's code.
fn code_bucket(config: &Config) -> E {
    match config.release {
        Some(_) => E::of_this_region(RELEASE, RELEASE_BUCKET),
        None => E::reference("AssetBucket"),
    }
}

/// Returns the key of the function's code, which names the release.
fn code_key(config: &Config) -> E {
    match config.release {
        Some(_) => E::of_this_region(RELEASE, RELEASE_KEY),
        None => E::reference("AssetKey"),
    }
}

/// Returns the place of the function's code, with the version of the object where the release has one.
fn code(config: &Config) -> E {
    let mut code = vec![("S3Bucket", code_bucket(config)), ("S3Key", code_key(config))];
    if config.release.as_ref().is_some_and(Release::is_pinned) {
        code.push(("S3ObjectVersion", E::of_this_region(RELEASE, RELEASE_VERSION)));
    }
    E::map(code)
}

fn mapping(release: &Release) -> Mapping {
    let regions = release.buckets.iter().map(|(region, bucket)| {
        let mut values = vec![(RELEASE_BUCKET, bucket.clone()), (RELEASE_KEY, release.key.clone())];
        let version = release.code_versions.get(region).filter(|_| release.is_pinned());
        values.extend(version.map(|version| (RELEASE_VERSION, version.clone())));
        (region.clone(), values)
    });
    Mapping { name: RELEASE, regions: regions.collect() }
}

/// Returns a parameter's value, or nothing when it was left empty.
fn if_given(condition: TemplateCondition, parameter: &str) -> E {
    E::when(condition, E::reference(parameter), E::no_value())
}

fn volume_access(config: &Config) -> Resource {
    let volume = E::map([
        ("BucketName", E::reference("BucketName")),
        ("Prefix", if_given(TemplateCondition::HasPrefix, "Prefix")),
        ("AccessMode", E::reference("AccessMode")),
        ("KmsKeyArn", if_given(TemplateCondition::HasKmsKey, "KmsKeyArn")),
        ("BucketOwnerAccountId", if_given(TemplateCondition::HasBucketOwner, "BucketOwnerAccountId")),
    ]);
    let mut properties = vec![
        ("ServiceToken", E::GetAtt("ProviderFunction", "Arn")),
        ("ServiceTimeout", E::Number(SERVICE_TIMEOUT)),
        ("RoleName", role_name()),
        ("PolicyName", policy_name()),
        ("Path", E::reference("IamPath")),
        ("Volumes", E::List(vec![volume])),
        ("ProjectLocations", E::split(",", E::reference("ProjectLocations"))),
        ("TrustedPrincipalArn", config.principal()),
        ("ExternalId", external_id()),
        ("PermissionsBoundaryArn", boundary_arn()),
        ("MaxSessionDuration", E::reference("MaxSessionDuration")),
        ("Description", E::reference("Description")),
        ("Tags", E::reference("Tags")),
        ("RestrictListing", E::reference("RestrictListing")),
        ("OmitObjectAcls", E::reference("OmitObjectAcls")),
        ("Checks", E::reference("Checks")),
        ("ConfigureCors", E::reference("ConfigureCors")),
        ("Release", release_and_repair(config)),
    ];
    properties.extend(platform_properties(&config.platform));
    Resource {
        logical_id: "VolumeAccess",
        kind: RESOURCE_TYPE,
        condition: None,
        // Its Delete must find the function as it was made, with its limits on retries.
        depends_on: vec!["ProviderInvokeConfig"],
        goes_with_stack: false,
        properties,
    }
}

/// Properties that tell the function of another platform; Cavatica is compiled in.
fn platform_properties(platform: &Platform) -> Vec<(&'static str, E)> {
    if *platform == CAVATICA {
        return Vec::new();
    }
    let locations = platform.locations.iter();
    let copy_buckets = locations.map(|location| E::text(format!("{}={}", location.region, location.copy_bucket)));
    vec![
        ("PlatformName", E::text(platform.name.clone())),
        ("CorsOrigin", E::text(platform.web.clone())),
        ("CopyBuckets", E::List(copy_buckets.collect())),
    ]
}

/// Returns the property whose change makes the function look at role and policy again: the code, and what was typed for
/// a repair.
fn release_and_repair(config: &Config) -> E {
    let both = E::join(" ", E::List(vec![code_key(config), E::reference("Repair")]));
    E::when(TemplateCondition::HasRepair, both, code_key(config))
}

fn function(config: &Config) -> Resource {
    let environment =
        E::map([(STACK_VARIABLE, E::reference("AWS::StackId")), (PRINCIPAL_VARIABLE, config.principal())]);
    Resource {
        logical_id: "ProviderFunction",
        kind: "AWS::Lambda::Function",
        condition: None,
        depends_on: Vec::new(),
        goes_with_stack: false,
        properties: vec![
            (
                "Description",
                E::sub(
                    "Makes and removes {platform}'s role for the stack ${AWS::StackName}; runs only for its events.",
                ),
            ),
            ("Runtime", E::text(RUNTIME)),
            ("Architectures", E::List(vec![E::text("x86_64")])),
            ("Handler", E::text(HANDLER)),
            ("Code", code(config)),
            ("Role", E::GetAtt("ProviderRole", "Arn")),
            ("MemorySize", E::Number(128)),
            ("Timeout", E::Number(FUNCTION_TIMEOUT)),
            ("Environment", E::map([("Variables", environment)])),
            ("LoggingConfig", E::map([("LogGroup", E::reference("ProviderLogGroup"))])),
        ],
    }
}

fn invoke_config() -> Resource {
    Resource {
        logical_id: "ProviderInvokeConfig",
        kind: "AWS::Lambda::EventInvokeConfig",
        condition: None,
        depends_on: Vec::new(),
        goes_with_stack: false,
        properties: vec![
            ("FunctionName", E::reference("ProviderFunction")),
            ("Qualifier", E::text("$LATEST")),
            ("MaximumEventAgeInSeconds", E::Number(EVENT_AGE)),
            ("MaximumRetryAttempts", E::Number(2)),
        ],
    }
}

fn log_group() -> Resource {
    Resource {
        logical_id: "ProviderLogGroup",
        kind: "AWS::Logs::LogGroup",
        condition: None,
        depends_on: Vec::new(),
        goes_with_stack: true,
        properties: vec![("RetentionInDays", E::reference("LogRetentionDays"))],
    }
}

/// Returns the account that owns the bucket.
fn bucket_owner() -> E {
    E::when(TemplateCondition::HasBucketOwner, E::reference("BucketOwnerAccountId"), E::reference("AWS::AccountId"))
}
