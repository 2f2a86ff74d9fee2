//! Where an emulator and the account in memory differ, and how it is known that AWS agrees with the account in memory: in
//! every case here it does; where it did not, the account was mended.
//!
//! A difference that is not here fails the suite, and so does one here that no sequence meets any more.

/// An emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The local engine.
    Engine,
    /// moto's server.
    Moto,
}

/// A known difference. AWS agrees with the account in memory.
#[derive(Debug)]
pub struct Difference {
    /// Who differs from the account in memory.
    pub side: Side,
    /// In which call.
    pub action: &'static str,
    /// How the account in memory's answer begins.
    pub memory: &'static str,
    /// How the emulator's answer begins.
    pub emulator: &'static str,
    /// How it is known that AWS does as the account in memory.
    pub source: &'static str,
}

const fn row(
    side: Side,
    action: &'static str,
    memory: &'static str,
    emulator: &'static str,
    source: &'static str,
) -> Difference {
    Difference { side, action, memory, emulator, source }
}

const UNIQUE: &str = "IAM User Guide, quotas: names are unique within the account, and case does not tell them apart";
const QUOTAS: &str = "IAM User Guide, IAM and AWS STS quotas";
const GRAMMAR: &str = "IAM User Guide, grammar of the policy language; what breaks it is MalformedPolicyDocument";
const TAG_RULES: &str = "IAM API Reference, Tag: pattern and length of Key and Value; keys under aws: are reserved";
const TAG_CASE: &str =
    "IAM User Guide, tagging rules: keys that differ by case are the same key, the later one replaces";
const SESSION: &str = "IAM API Reference, CreateRole: MaxSessionDuration is 3600 to 43200";
const BOUNDARY: &str =
    "IAM API Reference, PutRolePermissionsBoundary, Errors: NoSuchEntity; CreateRole does the same, observed";
const DELETE_POLICY: &str = "IAM API Reference, DeletePolicy: detach it and delete its versions first; DeleteConflict";
const ATTACH: &str = "IAM API Reference, AttachRolePolicy, Errors: NoSuchEntity";
const ABSENT: &str = "IAM API Reference, ListEntitiesForPolicy and ListInstanceProfilesForRole, Errors: NoSuchEntity";
const FILTER: &str = "IAM API Reference, ListEntitiesForPolicy: PolicyUsageFilter tells permissions from boundaries";
const DESCRIPTION: &str = "IAM API Reference, UpdateRole: Description has no least length; an empty one is set";

use Side::{Engine, Moto};

/// Every known difference.
pub const DIFFERENCES: &[Difference] = &[
    row(Engine, "CreateRole", "EntityAlreadyExists", "done", UNIQUE),
    row(Engine, "CreatePolicy", "EntityAlreadyExists", "done", UNIQUE),
    row(Engine, "CreatePolicy", "LimitExceeded", "done", QUOTAS),
    row(Engine, "TagRole", "LimitExceeded", "done", QUOTAS),
    row(Engine, "UpdateAssumeRolePolicy", "LimitExceeded", "done", QUOTAS),
    row(Engine, "CreatePolicy", "MalformedPolicyDocument", "done", GRAMMAR),
    row(Engine, "CreatePolicyVersion", "MalformedPolicyDocument", "done", GRAMMAR),
    row(Engine, "UpdateAssumeRolePolicy", "MalformedPolicyDocument", "done", GRAMMAR),
    row(Engine, "TagRole", "ValidationError", "done", TAG_RULES),
    row(Engine, "Policy", r#"arn:aws:iam::123456789012:policy/p {"Team""#, "arn:aws:iam", TAG_CASE),
    row(Engine, "CreateRole", "ValidationError", "done", SESSION),
    row(Engine, "CreateRole", "NoSuchEntity", "done", BOUNDARY),
    row(Engine, "PutRolePermissionsBoundary", "NoSuchEntity", "done", BOUNDARY),
    row(Engine, "DeletePolicy", "DeleteConflict", "done", DELETE_POLICY),
    row(Engine, "AttachRolePolicy", "NoSuchEntity", "done", ATTACH),
    row(Engine, "Role", "arn:aws:iam", "arn:aws:iam", DESCRIPTION),
    row(Moto, "CreateRole", "EntityAlreadyExists", "done", UNIQUE),
    row(Moto, "CreatePolicy", "EntityAlreadyExists", "done", UNIQUE),
    row(Moto, "CreatePolicy", "LimitExceeded", "done", QUOTAS),
    row(Moto, "TagRole", "LimitExceeded", "done", QUOTAS),
    row(Moto, "UpdateAssumeRolePolicy", "LimitExceeded", "done", QUOTAS),
    row(Moto, "CreatePolicy", "MalformedPolicyDocument", "done", GRAMMAR),
    row(Moto, "CreatePolicyVersion", "MalformedPolicyDocument", "done", GRAMMAR),
    row(Moto, "TagRole", "ValidationError", "done", TAG_RULES),
    row(Moto, "Role", "arn:aws:iam", "arn:aws:iam", TAG_CASE),
    row(Moto, "CreateRole", "ValidationError", "done", SESSION),
    row(Moto, "CreateRole", "NoSuchEntity", "done", BOUNDARY),
    row(Moto, "PutRolePermissionsBoundary", "NoSuchEntity", "done", BOUNDARY),
    row(Moto, "DeletePolicy", "DeleteConflict", "done", DELETE_POLICY),
    row(Moto, "Profiles", "NoSuchEntity", "[]", ABSENT),
    row(Moto, "Carriers", "NoSuchEntity", "[]", ABSENT),
    row(Moto, "Carriers", "[", "[", FILTER),
];
