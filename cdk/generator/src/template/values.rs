//! The values that both templates are made of: conditions, names, ARNs and policy documents.

use std::borrow::Cow;

use cavatica_access::document::Document;
use cavatica_access::platform::{Platform, ProjectLocation};
use serde_json::Value;

use crate::cfn::Expr as E;

/// The conditions of the templates, by their names there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TemplateCondition {
    HasPrefix,
    IsReadWrite,
    HasKmsKey,
    HasRoleName,
    HasPolicyName,
    HasExternalId,
    HasOwnBoundary,
    OmitsObjectAcls,
    /// Of the template with the function only, as are the next two.
    HasBucketOwner,
    HasAutoExternalId,
    ConfiguresCors,
    HasRepair,
    /// Of the native template only, as is the next one.
    HasDescription,
    RestrictsListing,
}

impl TemplateCondition {
    fn name(self) -> &'static str {
        match self {
            Self::HasPrefix => "HasPrefix",
            Self::IsReadWrite => "IsReadWrite",
            Self::HasKmsKey => "HasKmsKey",
            Self::HasRoleName => "HasRoleName",
            Self::HasPolicyName => "HasPolicyName",
            Self::HasExternalId => "HasExternalId",
            Self::HasOwnBoundary => "HasOwnBoundary",
            Self::OmitsObjectAcls => "OmitsObjectAcls",
            Self::HasBucketOwner => "HasBucketOwner",
            Self::HasAutoExternalId => "HasAutoExternalId",
            Self::ConfiguresCors => "ConfiguresCors",
            Self::HasRepair => "HasRepair",
            Self::HasDescription => "HasDescription",
            Self::RestrictsListing => "RestrictsListing",
        }
    }

    fn definition(self) -> E {
        let is = |parameter: &str, value: &str| E::equals(E::reference(parameter), E::text(value));
        let is_given = |parameter: &str| E::negated(is(parameter, ""));
        match self {
            Self::HasPrefix => is_given("Prefix"),
            Self::IsReadWrite => is("AccessMode", "ReadWrite"),
            Self::HasKmsKey => is_given("KmsKeyArn"),
            Self::HasRoleName => is_given("RoleName"),
            Self::HasPolicyName => is_given("PolicyName"),
            Self::HasExternalId => E::negated(is("ExternalId", "none")),
            Self::HasOwnBoundary => is("PermissionsBoundaryArn", ""),
            Self::OmitsObjectAcls => is("OmitObjectAcls", "true"),
            Self::HasBucketOwner => is_given("BucketOwnerAccountId"),
            Self::HasAutoExternalId => is("ExternalId", "auto"),
            Self::ConfiguresCors => is("ConfigureCors", "true"),
            Self::HasRepair => is_given("Repair"),
            Self::HasDescription => is_given("Description"),
            Self::RestrictsListing => E::all(vec![is("RestrictListing", "true"), Self::HasPrefix.into()]),
        }
    }
}

impl From<TemplateCondition> for Cow<'static, str> {
    fn from(condition: TemplateCondition) -> Self {
        Cow::Borrowed(condition.name())
    }
}

impl From<TemplateCondition> for &'static str {
    fn from(condition: TemplateCondition) -> Self {
        condition.name()
    }
}

impl From<TemplateCondition> for E {
    fn from(condition: TemplateCondition) -> Self {
        E::Condition(condition.into())
    }
}

/// The conditions that both templates have.
const SHARED: [TemplateCondition; 8] = [
    TemplateCondition::HasPrefix,
    TemplateCondition::IsReadWrite,
    TemplateCondition::HasKmsKey,
    TemplateCondition::HasRoleName,
    TemplateCondition::HasPolicyName,
    TemplateCondition::HasExternalId,
    TemplateCondition::HasOwnBoundary,
    TemplateCondition::OmitsObjectAcls,
];

/// Returns the conditions of a template with their definitions: those that both templates have, then the further ones.
pub(super) fn conditions(platform: &Platform, further: &[TemplateCondition]) -> Vec<(Cow<'static, str>, E)> {
    let defined = |condition: &TemplateCondition| ((*condition).into(), condition.definition());
    let copies = platform.locations.iter().map(|location| {
        let others = platform.locations.iter().filter(|other| *other != location).map(|other| other.region.as_ref());
        // Of a single location there is no other; no value is the empty one.
        let others: Vec<_> = if platform.locations.len() == 1 { vec![""] } else { others.collect() };
        let is_not = |other: &str| E::negated(E::equals(E::reference("ProjectLocations"), E::text(other)));
        let definition = [E::from(TemplateCondition::IsReadWrite)].into_iter().chain(others.into_iter().map(is_not));
        (copies_from(location).into(), E::all(definition.collect()))
    });
    SHARED.iter().map(defined).chain(copies).chain(further.iter().map(defined)).collect()
}

/// Name of the condition that the role may copy from the platform's bucket in a location, such as `CopiesFromUsEast1`.
pub(super) fn copies_from(location: &ProjectLocation) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    };
    format!("CopiesFrom{}", location.region.split('-').map(word).collect::<String>())
}

/// Returns a policy document whose statements are expressions.
pub(super) fn document(statements: Vec<E>) -> E {
    let mut document = E::json(&Document::<E>::new(Vec::new()));
    if let E::Json(Value::Object(document)) = &mut document {
        document.insert("Statement".to_owned(), serde_json::to_value(statements).unwrap_or_default());
    }
    document
}

pub(super) fn s3_arn(resource: &str) -> E {
    E::sub(format!("arn:${{AWS::Partition}}:s3:::{resource}"))
}

/// Returns the UUID at the end of the stack's ID.
pub(super) fn stack_uuid() -> E {
    E::select(2, E::split("/", E::reference("AWS::StackId")))
}

/// Returns a name that only this stack has, which no update changes.
pub(super) fn own_name() -> E {
    E::join("-", E::List(vec![E::text("{slug}-volume"), E::select(0, E::split("-", stack_uuid()))]))
}

pub(super) fn role_name() -> E {
    E::when(TemplateCondition::HasRoleName, E::reference("RoleName"), own_name())
}

/// Returns the policy's name, by default the role's.
pub(super) fn policy_name() -> E {
    E::when(TemplateCondition::HasPolicyName, E::reference("PolicyName"), role_name())
}

/// Returns the external ID, or nothing when there is to be none.
///
/// The automatic one is the unique ID of the provider role: 17 random characters that stay the same for the stack's
/// whole life and stand in no ARN. Cavatica's users type the ID themselves, so that it is all that keeps another of
/// them out; the stack's own ID is no secret, since it stands in every ARN of the stack and is made of the time.
pub(super) fn external_id() -> E {
    let given = E::when(TemplateCondition::HasExternalId, E::reference("ExternalId"), E::no_value());
    E::when(TemplateCondition::HasAutoExternalId, E::GetAtt("ProviderRole", "RoleId"), given)
}

/// Returns the permissions boundary of the volume role.
pub(super) fn boundary_arn() -> E {
    E::when(TemplateCondition::HasOwnBoundary, E::reference("Boundary"), E::reference("PermissionsBoundaryArn"))
}
