//! From an event to what has to be done: pure, and refusing before any call is made.

use cavatica_access::blueprint::Blueprint;
use cavatica_access::names::{PolicyName, RoleArn};
use cavatica_access::owner::{Owner, StackId};
use cavatica_access::recognition::Evidence;
use cavatica_access::request::{Invalid, OldProperties, RESOURCE_TYPE, Request};
use cavatica_access::wanted::{Absent, Present, Target};

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

/// The work that an event asks for.
#[derive(Debug, Clone)]
pub enum Task {
    /// A role and its policy have to be as asked.
    Establish(Box<Present>),
    /// A role and its policy have to go.
    Remove(Box<Absent>),
}

/// Why an event is refused before any call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is not JSON.
    #[error("The event could not be read: {0}. Nothing was done.")]
    Malformed(String),
    /// It is not from our stack.
    #[error("The event is of stack {event}, but this function serves only {pinned}. Nothing was done.")]
    ForeignStack {
        /// Whose event it is.
        event: String,
        /// Whose function it is.
        pinned: String,
    },
    /// It is about something else.
    #[error("The resource type {0} is not {RESOURCE_TYPE}, the only one this function serves. Nothing was done.")]
    ResourceType(String),
    /// It wants something else.
    #[error("The request type {0} is none of Create, Update and Delete. Nothing was done.")]
    RequestType(String),
    /// It does not say which resource it is about, and so not whose what is made would be.
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
    /// Decides what an event asks for.
    pub fn of(envelope: &Envelope, pins: &Pins) -> Result<Self, Rejected> {
        if let Some(error) = &envelope.malformed {
            return Err(Rejected::Malformed(error.clone()));
        }
        if envelope.stack_id != pins.stack.as_str() {
            let (event, pinned) = (envelope.stack_id.clone(), pins.stack.to_string());
            return Err(Rejected::ForeignStack { event, pinned });
        }
        let owner = Owner { stack: pins.stack.clone(), resource: envelope.logical_id.clone() };
        match envelope.request_type.as_str() {
            // A Delete is never refused for what it says of itself: only what is ours by its tags is removed anyway.
            // One that does not say whose it is means nothing that can have been made.
            "Delete" if owner.resource.is_empty() => Ok(Self::Remove(Box::new(Absent {
                target: None,
                cors_buckets: Vec::new(),
                is_abandoned: false,
                owner,
            }))),
            "Delete" => Ok(Self::Remove(Box::new(absent(envelope, owner)))),
            "Create" | "Update" if owner.resource.is_empty() => Err(Rejected::NoLogicalId),
            "Create" | "Update" if envelope.resource_type != RESOURCE_TYPE => {
                Err(Rejected::ResourceType(envelope.resource_type.clone()))
            }
            "Create" | "Update" => Ok(Self::Establish(Box::new(present(envelope, pins, owner)?))),
            other => Err(Rejected::RequestType(other.to_owned())),
        }
    }
}

fn present(envelope: &Envelope, pins: &Pins, owner: Owner) -> Result<Present, Invalid> {
    let blueprint = Blueprint::draw(Request::parse(&envelope.properties)?, owner)?;
    let from = physical_role(envelope, &blueprint.owner).filter(|from| *from != blueprint.role);
    let before = Request::parse(&envelope.old_properties).ok();
    Ok(Present {
        before: before.and_then(|request| Blueprint::draw(request, blueprint.owner.clone()).ok()),
        former: match envelope.request_type.as_str() {
            "Update" => OldProperties::read(&envelope.old_properties),
            _ => OldProperties::default(),
        },
        pinned_principal: pins.principal.clone(),
        is_new: envelope.request_type == "Create",
        from,
        blueprint,
    })
}

fn absent(envelope: &Envelope, owner: Owner) -> Absent {
    let target = target(envelope, &owner);
    let is_made_up = target.as_ref().is_some_and(|target| target.arn.is_none());
    Absent {
        is_abandoned: is_made_up && envelope.physical_id.as_deref() != Some(ROLE_IS_FOREIGN),
        cors_buckets: OldProperties::read(&envelope.properties).cors_buckets,
        target,
        owner,
    }
}

/// The role that a Delete means: at the physical ID, or under the name in the properties when the ID is
/// one that CloudFormation made up for a Create that never answered.
fn target(envelope: &Envelope, owner: &Owner) -> Option<Target> {
    if envelope.physical_id.as_deref() == Some(NOTHING_MADE) {
        return None;
    }
    let mut former = OldProperties::read(&envelope.properties);
    let arn = physical_role(envelope, owner);
    let name = arn.as_ref().map(|arn| arn.name.clone()).or(former.role_name.clone())?;
    let beside = former.replaced().filter(|other| !other.role.is_same(&name));
    let mut policies: Vec<PolicyName> = former.policy_name.take().into_iter().collect();
    policies.push(PolicyName::from(&name));
    let evidence = Evidence::from(&former);
    let path = arn.as_ref().map_or(former.path, |arn| arn.path.clone());
    Some(Target { path, name, arn, beside, policies, evidence })
}

/// The role that the physical ID names, if it is one of the stack's account.
fn physical_role(envelope: &Envelope, owner: &Owner) -> Option<RoleArn> {
    let arn: RoleArn = envelope.physical_id.as_deref()?.parse().ok()?;
    (arn.account == owner.stack.account && arn.partition == owner.stack.partition).then_some(arn)
}

#[cfg(test)]
mod tests {
    use cavatica_access::names::Rule;

    use super::*;

    const STACK: &str = "arn:aws:cloudformation:us-east-1:123456789012:stack/s/5e1b8ce0-0000";

    fn task(request: &str, logical_id: &str) -> Result<Result<Task, Rejected>, Rule> {
        let event = format!(
            r#"{{"RequestType": "{request}", "StackId": "{STACK}", "ResourceType": "{RESOURCE_TYPE}", {logical_id}
                "PhysicalResourceId": "arn:aws:iam::123456789012:role/vol",
                "ResourceProperties": {{"RoleName": "vol", "Volumes": [{{"BucketName": "my-bucket"}}]}}}}"#
        );
        let principal = cavatica_access::platform::CAVATICA.principal.parse()?;
        Ok(Task::of(&Envelope::read(&event), &Pins { stack: STACK.parse()?, principal }))
    }

    #[test]
    fn what_does_not_say_whose_it_is_makes_nothing_and_removes_nothing() -> Result<(), Rule> {
        for logical_id in ["", r#""LogicalResourceId": "","#, r#""LogicalResourceId": null,"#] {
            for request in ["Create", "Update"] {
                assert_eq!(task(request, logical_id)?.err(), Some(Rejected::NoLogicalId), "{request} {logical_id}");
            }
            let delete = task("Delete", logical_id)?;
            assert!(matches!(delete, Ok(Task::Remove(absent)) if absent.target.is_none()), "{logical_id}");
        }
        assert!(matches!(task("Create", r#""LogicalResourceId": "VolumeAccess","#)?, Ok(Task::Establish(_))));
        Ok(())
    }
}
