//! Task of an event: the desired state, or a refusal before any call. Pure.

use cavatica_access::blueprint::Blueprint;
use cavatica_access::desired::{Deletion, Desired, RoleToDelete};
use cavatica_access::names::{PolicyName, RoleArn};
use cavatica_access::owner::{Owner, StackId};
use cavatica_access::recognition::Evidence;
use cavatica_access::request::{Invalid, OldProperties, RESOURCE_TYPE, Request};

use crate::envelope::Envelope;

/// The physical ID of a Create that was refused before anything was made; its Delete has nothing to look for.
pub const NOTHING_MADE: &str = "cavatica-connect-nothing-was-made";

/// The physical ID of a Create that found a foreign role under its name. Its Delete removes what an earlier try of the
/// Create made, by the names in the properties, and does not take the foreign role for one that lost its tags.
pub const ROLE_IS_FOREIGN: &str = "cavatica-connect-role-belongs-to-another";

/// The pins of the function's environment, set by the template.
#[derive(Debug, Clone)]
pub struct Pins {
    /// The one stack it serves.
    pub stack: StackId,
    /// The one principal it may trust.
    pub principal: RoleArn,
}

/// Task of an event.
#[derive(Debug, Clone)]
pub enum Task {
    /// Create or update a role and its policy.
    Ensure(Box<Desired>),
    /// Delete a role and its policy.
    Delete(Box<Deletion>),
}

/// Reason to refuse an event before any call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// The event is not JSON.
    #[error("The event could not be read: {0}. Nothing was done.")]
    Malformed(String),
    /// The event is from another stack.
    #[error("The event is of stack {event}, but this function serves only {pinned}. Nothing was done.")]
    ForeignStack {
        /// Stack of the event.
        event: String,
        /// Stack of the function.
        pinned: String,
    },
    /// The resource type is another.
    #[error("The resource type {0} is not {RESOURCE_TYPE}, the only one this function serves. Nothing was done.")]
    ResourceType(String),
    /// The request type is unknown.
    #[error("The request type {0} is none of Create, Update and Delete. Nothing was done.")]
    RequestType(String),
    /// The event names no logical ID, and so no owner.
    #[error("The event has no LogicalResourceId, which says whose the role is. Nothing was done.")]
    NoLogicalId,
    /// The properties are not valid.
    #[error("{0} Nothing was done.")]
    Invalid(#[from] Invalid),
    /// The function's environment is not what the template sets.
    #[error("{0}. Nothing was done. Deploy the function with the template of cavatica-connect.")]
    Environment(String),
}

impl Task {
    /// Returns the task of an event.
    pub fn of(envelope: &Envelope, pins: &Pins) -> Result<Self, InvalidEvent> {
        if let Some(error) = &envelope.malformed {
            return Err(InvalidEvent::Malformed(error.clone()));
        }
        if envelope.stack_id != pins.stack.as_str() {
            let (event, pinned) = (envelope.stack_id.clone(), pins.stack.to_string());
            return Err(InvalidEvent::ForeignStack { event, pinned });
        }
        let owner = Owner { stack: pins.stack.clone(), resource: envelope.logical_id.clone() };
        match envelope.request_type.as_str() {
            // A Delete is never refused for what it says of itself: only what is ours by its tags is removed anyway.
            // One that does not say whose it is means nothing that can have been made.
            "Delete" if owner.resource.is_empty() => Ok(Self::Delete(Box::new(Deletion {
                role: None,
                cors_buckets: Vec::new(),
                is_abandoned: false,
                owner,
            }))),
            "Delete" => Ok(Self::Delete(Box::new(deletion(envelope, owner)))),
            "Create" | "Update" if owner.resource.is_empty() => Err(InvalidEvent::NoLogicalId),
            "Create" | "Update" if envelope.resource_type != RESOURCE_TYPE => {
                Err(InvalidEvent::ResourceType(envelope.resource_type.clone()))
            }
            "Create" | "Update" => Ok(Self::Ensure(Box::new(desired(envelope, pins, owner)?))),
            other => Err(InvalidEvent::RequestType(other.to_owned())),
        }
    }
}

fn desired(envelope: &Envelope, pins: &Pins, owner: Owner) -> Result<Desired, Invalid> {
    let blueprint = Blueprint::new(Request::parse(&envelope.properties)?, owner)?;
    let replaced_role = physical_role(envelope, &blueprint.owner).filter(|role| *role != blueprint.role);
    let old_request = Request::parse(&envelope.old_properties).ok();
    Ok(Desired {
        old_blueprint: old_request.and_then(|request| Blueprint::new(request, blueprint.owner.clone()).ok()),
        old_properties: match envelope.request_type.as_str() {
            "Update" => OldProperties::read(&envelope.old_properties),
            _ => OldProperties::default(),
        },
        pinned_principal: pins.principal.clone(),
        is_new: envelope.request_type == "Create",
        replaced_role,
        blueprint,
    })
}

fn deletion(envelope: &Envelope, owner: Owner) -> Deletion {
    let role = role_to_delete(envelope, &owner);
    let is_made_up = role.as_ref().is_some_and(|role| role.arn.is_none());
    Deletion {
        is_abandoned: is_made_up && envelope.physical_id.as_deref() != Some(ROLE_IS_FOREIGN),
        cors_buckets: OldProperties::read(&envelope.properties).cors_buckets,
        role,
        owner,
    }
}

/// Returns the role that a Delete means: at the physical ID, or under the name in the properties where CloudFormation
/// made the ID up for a Create that never answered.
fn role_to_delete(envelope: &Envelope, owner: &Owner) -> Option<RoleToDelete> {
    if envelope.physical_id.as_deref() == Some(NOTHING_MADE) {
        return None;
    }
    let mut properties = OldProperties::read(&envelope.properties);
    let arn = physical_role(envelope, owner);
    let name = arn.as_ref().map(|arn| arn.name.clone()).or(properties.role_name.clone())?;
    let other_role = properties.replaced().filter(|other| !other.role.is_same(&name));
    let mut policies: Vec<PolicyName> = properties.policy_name.take().into_iter().collect();
    policies.push(PolicyName::from(&name));
    let evidence = Evidence::from(&properties);
    let path = arn.as_ref().map_or(properties.path, |arn| arn.path.clone());
    Some(RoleToDelete { path, name, arn, other_role, policies, evidence })
}

/// Returns the role that the physical ID names, if it is one of the stack's account.
fn physical_role(envelope: &Envelope, owner: &Owner) -> Option<RoleArn> {
    let arn: RoleArn = envelope.physical_id.as_deref()?.parse().ok()?;
    (arn.account == owner.stack.account && arn.partition == owner.stack.partition).then_some(arn)
}

#[cfg(test)]
mod tests {
    use cavatica_access::names::Rule;

    use super::*;

    const STACK: &str = "arn:aws:cloudformation:us-east-1:123456789012:stack/s/5e1b8ce0-0000";

    fn task(request: &str, logical_id: &str) -> Result<Result<Task, InvalidEvent>, Rule> {
        let event = format!(
            r#"{{"RequestType": "{request}", "StackId": "{STACK}", "ResourceType": "{RESOURCE_TYPE}", {logical_id}
                "PhysicalResourceId": "arn:aws:iam::123456789012:role/vol",
                "ResourceProperties": {{"RoleName": "vol", "Volumes": [{{"BucketName": "my-bucket"}}]}}}}"#
        );
        let principal = cavatica_access::platform::CAVATICA.principal.parse()?;
        Ok(Task::of(&Envelope::read(&event), &Pins { stack: STACK.parse()?, principal }))
    }

    #[test]
    fn an_event_without_owner_creates_and_deletes_nothing() -> Result<(), Rule> {
        for logical_id in ["", r#""LogicalResourceId": "","#, r#""LogicalResourceId": null,"#] {
            for request in ["Create", "Update"] {
                assert_eq!(task(request, logical_id)?.err(), Some(InvalidEvent::NoLogicalId), "{request} {logical_id}");
            }
            let delete = task("Delete", logical_id)?;
            assert!(matches!(delete, Ok(Task::Delete(deletion)) if deletion.role.is_none()), "{logical_id}");
        }
        assert!(matches!(task("Create", r#""LogicalResourceId": "VolumeAccess","#)?, Ok(Task::Ensure(_))));
        Ok(())
    }
}
