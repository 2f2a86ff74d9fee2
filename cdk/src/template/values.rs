//! The values that both templates are made of: conditions, names, ARNs and policy documents.

use cavatica_access::document::Document;
use serde_json::Value;

use crate::cfn::Expr as E;

/// The conditions of the templates, by their names there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    HasPrefix,
    IsReadWrite,
    HasKmsKey,
    HasRoleName,
    HasPolicyName,
    HasExternalId,
    HasOwnBoundary,
    OmitsObjectAcls,
    CopiesFromUsEast1,
    CopiesFromUsWest2,
    /// Of the template with the function only, as are the next two.
    HasBucketOwner,
    HasAutoExternalId,
    ConfiguresCors,
    HasRepair,
    /// Of the native template only, as is the next one.
    HasDescription,
    RestrictsListing,
}

impl Condition {
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
            Self::CopiesFromUsEast1 => "CopiesFromUsEast1",
            Self::CopiesFromUsWest2 => "CopiesFromUsWest2",
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
        let writes_from = |other: &str| E::both(Self::IsReadWrite.into(), E::negated(is("ProjectLocations", other)));
        match self {
            Self::HasPrefix => is_given("Prefix"),
            Self::IsReadWrite => is("AccessMode", "ReadWrite"),
            Self::HasKmsKey => is_given("KmsKeyArn"),
            Self::HasRoleName => is_given("RoleName"),
            Self::HasPolicyName => is_given("PolicyName"),
            Self::HasExternalId => E::negated(is("ExternalId", "none")),
            Self::HasOwnBoundary => is("PermissionsBoundaryArn", ""),
            Self::OmitsObjectAcls => is("OmitObjectAcls", "true"),
            Self::CopiesFromUsEast1 => writes_from("us-west-2"),
            Self::CopiesFromUsWest2 => writes_from("us-east-1"),
            Self::HasBucketOwner => is_given("BucketOwnerAccountId"),
            Self::HasAutoExternalId => is("ExternalId", "auto"),
            Self::ConfiguresCors => is("ConfigureCors", "true"),
            Self::HasRepair => is_given("Repair"),
            Self::HasDescription => is_given("Description"),
            Self::RestrictsListing => E::both(is("RestrictListing", "true"), Self::HasPrefix.into()),
        }
    }
}

impl From<Condition> for &'static str {
    fn from(condition: Condition) -> Self {
        condition.name()
    }
}

impl From<Condition> for E {
    fn from(condition: Condition) -> Self {
        E::Condition(condition.name())
    }
}

/// The conditions that both templates have.
const SHARED: [Condition; 10] = [
    Condition::HasPrefix,
    Condition::IsReadWrite,
    Condition::HasKmsKey,
    Condition::HasRoleName,
    Condition::HasPolicyName,
    Condition::HasExternalId,
    Condition::HasOwnBoundary,
    Condition::OmitsObjectAcls,
    Condition::CopiesFromUsEast1,
    Condition::CopiesFromUsWest2,
];

/// The conditions of a template, those that both have first, with their definitions.
pub(super) fn conditions(further: &[Condition]) -> Vec<(&'static str, E)> {
    SHARED.iter().chain(further).map(|condition| (condition.name(), condition.definition())).collect()
}

/// A policy document whose statements are expressions.
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

/// The UUID at the end of the stack's ID.
pub(super) fn stack_uuid() -> E {
    E::select(2, E::split("/", E::reference("AWS::StackId")))
}

/// A name that only this stack has, which no update changes.
pub(super) fn own_name() -> E {
    E::join("-", E::List(vec![E::text("cavatica-volume"), E::select(0, E::split("-", stack_uuid()))]))
}

pub(super) fn role_name() -> E {
    E::when(Condition::HasRoleName, E::reference("RoleName"), own_name())
}

/// The policy's name, by default the role's.
pub(super) fn policy_name() -> E {
    E::when(Condition::HasPolicyName, E::reference("PolicyName"), role_name())
}

/// The external ID, or nothing when there is to be none.
///
/// The automatic one is the unique ID of the provider role: 17 random characters that stay the same for the stack's whole
/// life and stand in no ARN. Cavatica's users type the ID themselves, so that it is all that keeps another of them out;
/// the stack's own ID is no secret, since it stands in every ARN of the stack and is made of the time.
pub(super) fn external_id() -> E {
    let given = E::when(Condition::HasExternalId, E::reference("ExternalId"), E::no_value());
    E::when(Condition::HasAutoExternalId, E::GetAtt("ProviderRole", "RoleId"), given)
}

/// The permissions boundary of the volume role.
pub(super) fn boundary_arn() -> E {
    E::when(Condition::HasOwnBoundary, E::reference("Boundary"), E::reference("PermissionsBoundaryArn"))
}
