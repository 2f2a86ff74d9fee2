//! Authorization requests of AWS calls: action, resource and context.
//!
//! Source: "Actions, resources, and condition keys for AWS Identity and Access Management", Service Authorization
//! Reference, and the same for Amazon S3.

use cavatica_access::names::{PolicyArn, RoleName};
use cavatica_access::owner::Tags;
use cavatica_access::port::{Action, Change, PolicyEntity};
use cavatica_access::volume::BucketName;
use cavatica_memory::State;

/// The account that everything is in.
pub const ACCOUNT: &str = "arn:aws:iam::123456789012";

/// One question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Action.
    pub action: Action,
    /// On what.
    pub resource: &'a str,
    /// Tags of what is there; `None` when nothing is.
    pub resource_tags: Option<&'a Tags>,
    /// Tags that the call sets.
    pub request_tags: Option<&'a Tags>,
    /// Keys of the tags that the call removes.
    pub tag_keys: &'a [String],
    /// The boundary that is there or is set.
    pub boundary: Option<&'a str>,
    /// The policy that is attached or detached.
    pub policy: Option<&'a str>,
    /// The account that owns the bucket that is there.
    pub account: Option<&'a str>,
}

/// Resource of a call.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A read of a role.
    Role(&'a RoleName),
    /// A read of a policy.
    Policy(&'a PolicyArn),
    /// A read of a bucket.
    Bucket(&'a BucketName),
    /// A change.
    Change(&'a Change),
}

/// Asks everything that IAM asks about a call in an account as it sees it; whether all of it is allowed.
pub fn ask(action: Action, subject: Subject<'_>, seen: &State, allows: impl Fn(&Question<'_>) -> bool) -> bool {
    let question = Question {
        action,
        resource: "",
        resource_tags: None,
        request_tags: None,
        tag_keys: &[],
        boundary: None,
        policy: None,
        account: None,
    };
    let on_role = |name: &str, question: Question<'_>| {
        let role = seen.role_named(name);
        let resource = role.map_or_else(|| format!("{ACCOUNT}:role/{name}"), |role| role.arn.to_string());
        let boundary = question.boundary.or(role.and_then(|role| Some(role.boundary.as_ref()?.as_str())));
        let resource_tags = role.map(|role| &role.tags);
        allows(&Question { resource: &resource, resource_tags, boundary, ..question })
    };
    let on_policy = |arn: &PolicyArn, question: Question<'_>| {
        allows(&Question { resource: arn.as_str(), resource_tags: seen.policy_tags(arn), ..question })
    };
    let on_bucket = |name: &BucketName, question: Question<'_>| {
        let owner = seen.buckets().find(|(held, _)| *held == name).map(|(_, held)| held.owner.as_str());
        allows(&Question { resource: &format!("arn:aws:s3:::{name}"), account: owner, ..question })
    };
    let change = match subject {
        Subject::Role(name) => return on_role(name.as_str(), question),
        Subject::Policy(arn) => return on_policy(arn, question),
        Subject::Bucket(name) => return on_bucket(name, question),
        Subject::Change(change) => change,
    };
    match change {
        // Tags on create are a second request, on something that has none yet.
        Change::CreateRole(new) => {
            let resource = new.arn.to_string();
            let request_tags = Some(&new.tags);
            let boundary = new.boundary.as_ref().map(PolicyArn::as_str);
            let create = Question { resource: &resource, request_tags, boundary, ..question };
            allows(&create) && allows(&Question { action: Action::TagRole, ..create })
        }
        Change::CreatePolicy(new) => {
            let create = Question { resource: new.arn.as_str(), request_tags: Some(&new.tags), ..question };
            allows(&create) && allows(&Question { action: Action::TagPolicy, ..create })
        }
        Change::TagRole { role, tags } => on_role(role.as_str(), Question { request_tags: Some(tags), ..question }),
        Change::UntagRole { role, keys } => on_role(role.as_str(), Question { tag_keys: keys, ..question }),
        Change::PutBoundary { role, boundary } => {
            on_role(role.as_str(), Question { boundary: Some(boundary.as_str()), ..question })
        }
        Change::UpdateRole { role, .. }
        | Change::UpdateTrust { role, .. }
        | Change::DeleteInlinePolicy { role, .. }
        | Change::DeleteRole { role } => on_role(role.as_str(), question),
        Change::Attach { role, arn } => on_role(role.as_str(), Question { policy: Some(arn.as_str()), ..question }),
        Change::Detach { from: PolicyEntity::Role(name), arn } => {
            on_role(name, Question { policy: Some(arn.as_str()), ..question })
        }
        Change::Detach { from: PolicyEntity::User(name), arn } => {
            let resource = format!("{ACCOUNT}:user/{name}");
            allows(&Question { resource: &resource, policy: Some(arn.as_str()), ..question })
        }
        Change::Detach { from: PolicyEntity::Group(name), arn } => {
            let resource = format!("{ACCOUNT}:group/{name}");
            allows(&Question { resource: &resource, policy: Some(arn.as_str()), ..question })
        }
        Change::PutCors { bucket, .. } => on_bucket(&bucket.name, question),
        Change::TagPolicy { arn, tags } => on_policy(arn, Question { request_tags: Some(tags), ..question }),
        Change::UntagPolicy { arn, keys } => on_policy(arn, Question { tag_keys: keys, ..question }),
        Change::CreatePolicyVersion { arn, .. }
        | Change::DeletePolicyVersion { arn, .. }
        | Change::DeletePolicy { arn } => on_policy(arn, question),
    }
}
