//! Differences between an emulator and the account in memory, each with the source that AWS agrees with the account in
//! memory: in every case here it does; where it did not, the account was mended.
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
    /// Emulator that differs.
    pub side: Side,
    /// In which call.
    pub action: &'static str,
    /// The account in memory's answer; `…` stands for anything.
    pub memory: &'static str,
    /// The emulator's answer; `…` stands for anything.
    pub emulator: &'static str,
    /// Source that AWS behaves like the account in memory.
    pub source: &'static str,
}

impl Difference {
    /// True if two answers differ in this way.
    #[must_use]
    pub fn is(&self, side: Side, action: &str, memory: &str, emulator: &str) -> bool {
        self.side == side && self.action == action && fits(self.memory, memory) && fits(self.emulator, emulator)
    }
}

/// True if a text matches a pattern in which `…` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('…') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| fits(after, &rest[at..]))
        }),
    }
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
    "IAM User Guide, rules for tagging, case sensitivity: a role's tag keys ignore case, a policy's do not";
const SESSION: &str = "IAM API Reference, CreateRole: MaxSessionDuration is 3600 to 43200";
const BOUNDARY: &str =
    "IAM API Reference, PutRolePermissionsBoundary, Errors: NoSuchEntity; CreateRole does the same, observed";
const DELETE_POLICY: &str = "IAM API Reference, DeletePolicy: detach it and delete its versions first; DeleteConflict";
const ATTACH: &str = "IAM API Reference, AttachRolePolicy, Errors: NoSuchEntity";
const ABSENT: &str = "IAM API Reference, ListEntitiesForPolicy and ListInstanceProfilesForRole, Errors: NoSuchEntity";
const FILTER: &str = "IAM API Reference, ListEntitiesForPolicy: PolicyUsageFilter tells permissions from boundaries";
const DESCRIPTION: &str = "IAM API Reference, UpdateRole: Description has no least length; an empty one is set";
const OWNER: &str = "S3 User Guide, verifying bucket ownership with bucket owner condition: another owner's is answered with AccessDenied";
const SIMULATE: &str = "IAM API Reference, SimulatePrincipalPolicy, Errors: NoSuchEntity; each resource is simulated";

use Side::{Engine, Moto};

/// Every known difference.
pub const DIFFERENCES: &[Difference] = &[
    row(Engine, "CreateRole", "EntityAlreadyExists", "done with an ID", UNIQUE),
    row(Engine, "CreatePolicy", "EntityAlreadyExists", "done", UNIQUE),
    row(Engine, "CreatePolicy", "LimitExceeded", "done", QUOTAS),
    row(Engine, "TagRole", "LimitExceeded", "done", QUOTAS),
    row(Engine, "UpdateAssumeRolePolicy", "LimitExceeded", "done", QUOTAS),
    row(Engine, "CreatePolicy", "MalformedPolicyDocument", "done", GRAMMAR),
    row(Engine, "CreatePolicyVersion", "MalformedPolicyDocument", "done", GRAMMAR),
    row(Engine, "UpdateAssumeRolePolicy", "MalformedPolicyDocument", "done", GRAMMAR),
    row(Engine, "TagRole", "ValidationError", "done", TAG_RULES),
    row(Engine, "CreateRole", "ValidationError", "done with an ID", SESSION),
    row(Engine, "CreateRole", "NoSuchEntity", "done with an ID", BOUNDARY),
    row(Engine, "PutRolePermissionsBoundary", "NoSuchEntity", "done", BOUNDARY),
    row(Engine, "DeletePolicy", "DeleteConflict", "done", DELETE_POLICY),
    row(Engine, "AttachRolePolicy", "NoSuchEntity", "done", ATTACH),
    row(Engine, "Role", "…} \"\" 3600 None", "…} \"described\" 3600 None", DESCRIPTION),
    row(Engine, "BucketRegion", "AccessDenied", "us-east-1", OWNER),
    row(Engine, "BucketKey", "AccessDenied", "None", OWNER),
    row(Engine, "Cors", "AccessDenied", "[]", OWNER),
    row(Engine, "PutBucketCORS", "AccessDenied", "done", OWNER),
    row(Engine, "Simulation", "NoSuchEntity", "arn:aws:s3:::b/object Some(Statement)", SIMULATE),
    row(
        Engine,
        "Simulation",
        "arn:aws:s3:::b/object …, arn:aws:s3:::other/object …",
        "arn:aws:s3:::b/object …",
        SIMULATE,
    ),
    row(Moto, "BucketRegion", "AccessDenied", "us-east-1", OWNER),
    row(Moto, "BucketKey", "AccessDenied", "None", OWNER),
    row(Moto, "Cors", "AccessDenied", "[]", OWNER),
    row(Moto, "PutBucketCORS", "AccessDenied", "done", OWNER),
    row(Moto, "Simulation", "…", "500", "moto's server does not have SimulatePrincipalPolicy"),
    row(Moto, "CreateRole", "EntityAlreadyExists", "done with an ID", UNIQUE),
    row(Moto, "CreatePolicy", "EntityAlreadyExists", "done", UNIQUE),
    row(Moto, "CreatePolicy", "LimitExceeded", "done", QUOTAS),
    row(Moto, "TagRole", "LimitExceeded", "done", QUOTAS),
    row(Moto, "UpdateAssumeRolePolicy", "LimitExceeded", "done", QUOTAS),
    row(Moto, "CreatePolicy", "MalformedPolicyDocument", "done", GRAMMAR),
    row(Moto, "CreatePolicyVersion", "MalformedPolicyDocument", "done", GRAMMAR),
    row(Moto, "TagRole", "ValidationError", "done", TAG_RULES),
    row(Moto, "Role", r#"…/r {"Team": "other"} …"#, r#"…/r {"Team": "other", "team": "genomics"} …"#, TAG_CASE),
    row(Moto, "Role", "…/r {} …", r#"…/r {"team": "genomics"} …"#, TAG_CASE),
    row(Moto, "Policy", r#"…/p {"Team": "other", "team": "genomics"} v1"#, r#"…/p {"Team": "other"} v1"#, TAG_CASE),
    row(Moto, "CreateRole", "ValidationError", "done with an ID", SESSION),
    row(Moto, "CreateRole", "NoSuchEntity", "done with an ID", BOUNDARY),
    row(Moto, "PutRolePermissionsBoundary", "NoSuchEntity", "done", BOUNDARY),
    row(Moto, "DeletePolicy", "DeleteConflict", "done", DELETE_POLICY),
    row(Moto, "Profiles", "NoSuchEntity", "[]", ABSENT),
    row(Moto, "Carriers as Permissions", "NoSuchEntity", "[]", ABSENT),
    row(Moto, "Carriers as Boundary", "NoSuchEntity", "[]", ABSENT),
    row(Moto, "Carriers as Boundary", "[…", "[…", FILTER),
];
