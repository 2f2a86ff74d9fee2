//! The request of a stack to its function: the properties of the custom resource, as the template makes them of parameters.
//!
//! CloudFormation tells nobody the properties that it sent. A test compares these with what the template says.

use std::collections::BTreeMap;

use cavatica_access::owner::StackId;
use cavatica_access::request::CAVATICA_PRINCIPAL;
use serde_json::{Value, json};

use crate::template::{Config, provided};

/// The sources of the properties beside the parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The stack.
    pub stack: StackId,
    /// The external ID, as the stack's output has it; none if there is to be none.
    pub external_id: Option<String>,
    /// The ARN of the stack's own boundary.
    pub boundary: String,
    /// The key of the function's code, as the output `Release` has it.
    pub release: String,
}

/// The properties. A parameter that is not known takes its default, as CloudFormation does.
#[must_use]
pub fn properties(parameters: &BTreeMap<String, String>, made: &Made) -> Value {
    let template = provided::template(&Config::default());
    let default = |name: &str| template.parameters().find(|it| it.name == name)?.default.clone();
    let text = |name: &str| parameters.get(name).cloned().or_else(|| default(name)).unwrap_or_default();
    let given = |name: &str| Some(text(name)).filter(|text| !text.is_empty());
    let list =
        |name: &str| text(name).split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let uuid = made.stack.uuid().split('-').next().unwrap_or_default();
    let role_name = given("RoleName").unwrap_or_else(|| format!("cavatica-volume-{uuid}"));
    let volume = object([
        ("BucketName", Some(json!(text("BucketName")))),
        ("Prefix", given("Prefix").map(Value::from)),
        ("AccessMode", Some(json!(text("AccessMode")))),
        ("KmsKeyArn", given("KmsKeyArn").map(Value::from)),
        ("BucketOwnerAccountId", given("BucketOwnerAccountId").map(Value::from)),
    ]);
    object([
        ("RoleName", Some(json!(role_name))),
        ("PolicyName", Some(json!(given("PolicyName").unwrap_or(role_name)))),
        ("Path", Some(json!(text("IamPath")))),
        ("Volumes", Some(json!([volume]))),
        ("ProjectLocations", Some(json!(list("ProjectLocations")))),
        ("TrustedPrincipalArn", Some(json!(CAVATICA_PRINCIPAL))),
        ("ExternalId", made.external_id.clone().map(Value::from)),
        (
            "PermissionsBoundaryArn",
            Some(json!(given("PermissionsBoundaryArn").unwrap_or_else(|| made.boundary.clone()))),
        ),
        ("MaxSessionDuration", Some(json!(text("MaxSessionDuration")))),
        ("Description", Some(json!(text("Description")))),
        ("Tags", Some(json!(list("Tags")))),
        ("RestrictListing", Some(json!(text("RestrictListing")))),
        ("OmitObjectAcls", Some(json!(text("OmitObjectAcls")))),
        ("Checks", Some(json!(text("Checks")))),
        ("ConfigureCors", Some(json!(text("ConfigureCors")))),
        (
            "Release",
            Some(json!(given("Repair").map_or_else(|| made.release.clone(), |it| format!("{} {it}", made.release)))),
        ),
    ])
}

fn object<const N: usize>(entries: [(&str, Option<Value>); N]) -> Value {
    let entries = entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(entries.collect())
}
