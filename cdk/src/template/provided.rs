//! The stack that connects one bucket: what is in it and how it hangs together.
//!
//! ```text
//! parameters ─> VolumeAccess (custom resource) ─> ProviderFunction ─ runs as ─> ProviderRole
//!                  makes the volume role, capped by Boundary         ProviderInvokeConfig, ProviderLogGroup
//! ```
//!
//! Frozen for ever, since old code, old role and old properties meet new ones during an update and its rollback: the
//! logical IDs of function, custom resource and provider role (its unique ID is the external ID), and the boundary's name
//! (CloudFormation's choice) and description.

mod boundary;
pub mod native;
mod outputs;
mod parameters;
mod provider_role;

use cavatica_access::document::Document;
use cavatica_access::names::RoleArn;
use cavatica_access::request::{self, CAVATICA_PRINCIPAL, RESOURCE_TYPE};
use cavatica_access::volume::{BucketName, Prefix};
use serde_json::Value;

use self::outputs::Made;
use crate::cfn::{Expr as E, Function};
use crate::cfn::{Expr, Mapping, Resource, Rule, Template};
use crate::regions::OTHER_PARTITIONS;

/// Longest run of the function, in seconds. A changed provider role is waited for up to 100 s, and an uncontended event
/// takes two.
const FUNCTION_TIMEOUT: i64 = 180;

/// How long CloudFormation waits for an answer, in seconds: three runs of the function (Lambda retries twice) and the
/// one and two minutes that Lambda waits in between.
const SERVICE_TIMEOUT: i64 = 3 * FUNCTION_TIMEOUT + 180;

/// Oldest event that Lambda may still run, in seconds: none may run after CloudFormation has given up, for a late
/// Create would undo a Delete.
const EVENT_AGE: i64 = SERVICE_TIMEOUT - FUNCTION_TIMEOUT;

/// The rule that CORS is configured only in buckets of one's own.
const CORS_RULE: &str = "CorsOfOwnBucketOnly";

/// The mapping that says where the Lambda's zip is, and its keys.
const RELEASE: &str = "Release";
const RELEASE_BUCKET: &str = "Bucket";
const RELEASE_KEY: &str = "Key";

/// What a template is made for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Place of the Lambda's zip; `None` leaves it to parameters, for whoever hosts it.
    pub release: Option<Release>,
    /// Principal that may assume the volume role; Cavatica when absent. Not a parameter: a link could override it.
    pub trusted_principal: Option<RoleArn>,
}

/// A published Lambda. Its place is in the template and in no parameter, so that no link can put other code in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The key of its zip, which says what is in it.
    pub key: String,
    /// The regions it is published in, each with the bucket there: Lambda takes code only from its own region.
    pub buckets: Vec<(String, String)>,
}

impl Release {
    /// One that is published in a single region.
    #[must_use]
    pub fn in_one(region: &str, bucket: &str, key: &str) -> Self {
        Self { key: key.to_owned(), buckets: vec![(region.to_owned(), bucket.to_owned())] }
    }
}

impl Config {
    /// The template of a release, for Cavatica.
    #[must_use]
    pub fn published(release: Release) -> Self {
        Self { release: Some(release), ..Self::default() }
    }

    /// The role that may assume the volume role.
    fn principal(&self) -> Expr {
        E::text(self.trusted_principal.as_ref().map_or_else(|| CAVATICA_PRINCIPAL.to_owned(), ToString::to_string))
    }

    /// The bucket of the function's code.
    fn code_bucket(&self) -> Expr {
        match self.release {
            Some(_) => E::of_this_region(RELEASE, RELEASE_BUCKET),
            None => E::reference("AssetBucket"),
        }
    }

    /// The key of the function's code, which names the release.
    fn code_key(&self) -> Expr {
        match self.release {
            Some(_) => E::of_this_region(RELEASE, RELEASE_KEY),
            None => E::reference("AssetKey"),
        }
    }
}

/// Makes the template.
#[must_use]
pub fn template(config: &Config) -> Template {
    Template {
        description:
            "Connects an S3 bucket to Cavatica: makes the IAM policy and role that let Cavatica use it, and removes \
                      them when the stack is deleted."
                .to_owned(),
        groups: parameters::groups(config),
        rules: rules(config),
        mappings: config.release.iter().map(mapping).collect(),
        conditions: by_function_conditions(),
        resources: vec![
            volume_access(config),
            function(config),
            provider_role::resource(),
            invoke_config(),
            log_group(),
            boundary::resource(),
        ],
        outputs: Made::by_function(config.code_key()).outputs(),
    }
}

/// Checks a parameter's value by the domain's own rule, where a pattern cannot see all of it.
pub fn check(parameter: &str, value: &str) -> Result<(), String> {
    let must_be = |rule: &str| format!("it must be {rule}");
    match parameter {
        "BucketName" => value.parse::<BucketName>().map(|_| ()).map_err(must_be),
        "Prefix" => Prefix::read(value).map(|_| ()).map_err(must_be),
        "Tags" => match value.split(',').find(|pair| !pair.is_empty() && !pair.contains('=')) {
            Some(pair) => Err(format!("\"{pair}\" has no \"=\": write {pair}=value")),
            None => request::check_tags(value.split(',')).map_err(must_be),
        },
        _ => Ok(()),
    }
}

/// Checks a prefix beside the bucket it is in, by the domain's own rule.
pub fn check_prefix_beside(bucket: &str, prefix: &str) -> Result<(), String> {
    match (bucket.parse(), Prefix::read(prefix)) {
        (Ok(bucket), Ok(Some(prefix))) => prefix.check_beside(&bucket).map_err(|rule| format!("it must be {rule}")),
        _ => Ok(()),
    }
}

fn mapping(release: &Release) -> Mapping {
    let values = |bucket: &String| vec![(RELEASE_BUCKET, bucket.clone()), (RELEASE_KEY, release.key.clone())];
    let regions = release.buckets.iter().map(|(region, bucket)| (region.clone(), values(bucket)));
    Mapping { name: RELEASE, regions: regions.collect() }
}

fn rules(config: &Config) -> Vec<Rule> {
    let is_one_of =
        |regions: Vec<Expr>| E::Call(Function::Contains, vec![E::List(regions), E::reference("AWS::Region")]);
    let published = config.release.iter().map(|release| {
        let regions: Vec<_> = release.buckets.iter().map(|(region, _)| region.as_str()).collect();
        Rule {
            name: "PublishedRegion",
            assertion: is_one_of(regions.iter().copied().map(E::text).collect()),
            sentence: format!(
                "This release is not published in this region: launch the stack in {}. Its role works for buckets in other \
                 regions too.",
                regions.join(" or ")
            ),
        }
    });
    let always = [
        Rule {
            name: "CommercialPartition",
            assertion: E::negated(is_one_of(OTHER_PARTITIONS.map(E::text).to_vec())),
            sentence:
                "Cavatica's role lives in the commercial AWS partition and cannot be trusted from GovCloud, China, \
                       the European Sovereign Cloud or ISO: use a commercial region."
                    .to_owned(),
        },
        // More than its equality to the bucket's name no rule can see; the function and the command line do.
        Rule {
            name: "PrefixWithoutBucket",
            assertion: E::negated(E::equals(E::reference("Prefix"), E::reference("BucketName"))),
            sentence:
                "Prefix must be the folder alone: leave out the bucket's name, or leave it empty for the whole bucket."
                    .to_owned(),
        },
        Rule {
            name: CORS_RULE,
            assertion: E::negated(E::both(
                E::equals(E::reference("ConfigureCors"), E::text("true")),
                E::negated(E::equals(E::reference("BucketOwnerAccountId"), E::text(""))),
            )),
            sentence:
                "ConfigureCors must be false for a bucket of another account: its owner has to configure CORS there."
                    .to_owned(),
        },
    ];
    always.into_iter().chain(published).collect()
}

/// Those that only the template with the function has a use for.
fn by_function_conditions() -> Vec<(&'static str, Expr)> {
    let is = |parameter: &str, value: &str| E::equals(E::reference(parameter), E::text(value));
    let mut conditions = conditions();
    conditions.extend([
        ("HasBucketOwner", E::negated(is("BucketOwnerAccountId", ""))),
        ("HasAutoExternalId", is("ExternalId", "auto")),
        ("ConfiguresCors", is("ConfigureCors", "true")),
    ]);
    conditions
}

fn conditions() -> Vec<(&'static str, Expr)> {
    let is = |parameter: &str, value: &str| E::equals(E::reference(parameter), E::text(value));
    let is_given = |parameter: &str| E::negated(is(parameter, ""));
    let only = |location: &str| is("ProjectLocations", location);
    vec![
        ("HasPrefix", is_given("Prefix")),
        ("IsReadWrite", is("AccessMode", "ReadWrite")),
        ("HasKmsKey", is_given("KmsKeyArn")),
        ("HasRoleName", is_given("RoleName")),
        ("HasPolicyName", is_given("PolicyName")),
        ("HasExternalId", E::negated(is("ExternalId", "none"))),
        ("HasOwnBoundary", is("PermissionsBoundaryArn", "")),
        ("OmitsObjectAcls", is("OmitObjectAcls", "true")),
        ("CopiesFromUsEast1", E::both(E::Condition("IsReadWrite"), E::negated(only("us-west-2")))),
        ("CopiesFromUsWest2", E::both(E::Condition("IsReadWrite"), E::negated(only("us-east-1")))),
    ]
}

/// A policy document whose statements are expressions.
fn document(statements: Vec<Expr>) -> Expr {
    let mut document = E::json(&Document::<Expr>::new(Vec::new()));
    if let E::Json(Value::Object(document)) = &mut document {
        document.insert("Statement".to_owned(), serde_json::to_value(statements).unwrap_or_default());
    }
    document
}

fn s3_arn(resource: &str) -> Expr {
    E::sub(format!("arn:${{AWS::Partition}}:s3:::{resource}"))
}

/// The UUID at the end of the stack's ID.
fn stack_uuid() -> Expr {
    E::select(2, E::split("/", E::reference("AWS::StackId")))
}

/// A name that only this stack has, which no update changes.
fn own_name() -> Expr {
    E::join("-", E::List(vec![E::text("cavatica-volume"), E::select(0, E::split("-", stack_uuid()))]))
}

fn role_name() -> Expr {
    E::when("HasRoleName", E::reference("RoleName"), own_name())
}

/// The policy's name, by default the role's.
fn policy_name() -> Expr {
    E::when("HasPolicyName", E::reference("PolicyName"), role_name())
}

/// The external ID, or nothing when there is to be none.
///
/// The automatic one is the unique ID of the provider role: 17 random characters that stay the same for the stack's whole
/// life and stand in no ARN. Cavatica's users type the ID themselves, so that it is all that keeps another of them out;
/// the stack's own ID is no secret, since it stands in every ARN of the stack and is made of the time.
fn external_id() -> Expr {
    let given = E::when("HasExternalId", E::reference("ExternalId"), E::no_value());
    E::when("HasAutoExternalId", E::GetAtt("ProviderRole", "RoleId"), given)
}

/// What caps the volume role.
fn boundary_arn() -> Expr {
    E::when("HasOwnBoundary", E::reference("Boundary"), E::reference("PermissionsBoundaryArn"))
}

/// A parameter's value, or nothing when it was left empty.
fn if_given(condition: &'static str, parameter: &str) -> Expr {
    E::when(condition, E::reference(parameter), E::no_value())
}

fn volume_access(config: &Config) -> Resource {
    let volume = E::map([
        ("BucketName", E::reference("BucketName")),
        ("Prefix", if_given("HasPrefix", "Prefix")),
        ("AccessMode", E::reference("AccessMode")),
        ("KmsKeyArn", if_given("HasKmsKey", "KmsKeyArn")),
        ("BucketOwnerAccountId", if_given("HasBucketOwner", "BucketOwnerAccountId")),
    ]);
    Resource {
        logical_id: "VolumeAccess",
        kind: RESOURCE_TYPE,
        condition: None,
        // Its Delete must find the function as it was made, with its limits on retries.
        depends_on: vec!["ProviderInvokeConfig"],
        goes_with_stack: false,
        properties: vec![
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
            ("Release", config.code_key()),
        ],
    }
}

fn function(config: &Config) -> Resource {
    let environment = E::map([
        ("CAVATICA_STACK_ID", E::reference("AWS::StackId")),
        ("CAVATICA_TRUSTED_PRINCIPAL_ARN", config.principal()),
    ]);
    Resource {
        logical_id: "ProviderFunction",
        kind: "AWS::Lambda::Function",
        condition: None,
        depends_on: Vec::new(),
        goes_with_stack: false,
        properties: vec![
            (
                "Description",
                E::sub("Makes and removes Cavatica's role for the stack ${AWS::StackName}; runs only for its events."),
            ),
            ("Runtime", E::text("provided.al2023")),
            ("Architectures", E::List(vec![E::text("x86_64")])),
            ("Handler", E::text("bootstrap")),
            ("Code", E::map([("S3Bucket", config.code_bucket()), ("S3Key", config.code_key())])),
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
