//! The content of IAM for a stack, and its difference from what the stack asks for: the function's own plan, made with the
//! caller's rights and carried out by nobody.

use std::time::Duration;

use cavatica_access::activity::Activities;
use cavatica_access::blueprint::Blueprint;
use cavatica_access::owner::Owner;
use cavatica_access::reconcile::{self, Context};
use cavatica_access::refusal::Refusal;
use cavatica_access::request::{CAVATICA_PRINCIPAL, OldProperties, Request};
use cavatica_access::wanted::Present;
use cavatica_aws::clock::Deadline;
use serde_json::Value;

use super::request::{Made, properties};
use super::standing::Stack;
use crate::account::Account;

/// The custom resource's name in the template.
pub const RESOURCE: &str = "VolumeAccess";

/// Longest look at an account.
const PATIENCE: Duration = Duration::from_secs(60);

/// A document as IAM holds it, and as it should be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// The document in IAM; null if there is none.
    pub held: Value,
    /// The document that the stack asks for.
    pub wanted: Value,
}

/// The content of IAM, and its differences from what it should be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Looked {
    /// Each change that the function would make.
    pub drift: Vec<String>,
    /// Why the function would change nothing of what differs.
    pub refusal: Option<String>,
    /// The reasons why Cavatica could not use the bucket.
    pub findings: Vec<String>,
    /// The two documents; nothing where IAM holds what the function would refuse to touch.
    pub documents: Option<Documents>,
}

/// The documents of a role.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Documents {
    /// The policy.
    pub permissions: Document,
    /// The trust policy, which has the external ID.
    pub trust: Document,
}

/// Why there is nothing to tell.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// Its ID is not one.
    #[error("CloudFormation gives stack {0} an ID that this program does not understand: please report it")]
    Id(String),
    /// Its parameters are not valid.
    #[error(
        "stack {name} asks for something that this program does not understand, as one of another release may: {why}"
    )]
    Request {
        /// The stack.
        name: String,
        /// The part that is not understood.
        why: String,
    },
    /// The account could not be looked at.
    #[error("{0}")]
    Refused(Refusal),
}

/// Looks at the account with the caller's rights, as the function would with its own.
///
/// # Errors
///
/// A stack that this program does not understand, an account that is not the stack's, and a read that AWS refuses.
pub async fn look(account: &Account, region: &str, stack: &Stack, boundary: &str) -> Result<Looked, LookError> {
    let id = stack.id.parse().map_err(|_| LookError::Id(stack.id.clone()))?;
    let made = Made {
        stack: id,
        external_id: stack.outputs.get("ExternalId").filter(|id| *id != "none").cloned(),
        boundary: boundary.to_owned(),
        release: stack.outputs.get("Release").cloned().unwrap_or_default(),
    };
    let properties = properties(&stack.parameters, &made);
    let not_understood = |why: String| LookError::Request { name: stack.id.clone(), why };
    let request = Request::parse(&properties).map_err(|invalid| not_understood(invalid.to_string()))?;
    let owner = Owner { stack: made.stack, resource: RESOURCE.to_owned() };
    let blueprint = Blueprint::draw(request, owner).map_err(|invalid| not_understood(invalid.to_string()))?;
    let present = Present {
        pinned_principal: CAVATICA_PRINCIPAL.parse().map_err(|rule: &str| not_understood(rule.to_owned()))?,
        from: None,
        former: OldProperties::read(&properties),
        before: Some(blueprint.clone()),
        is_new: false,
        blueprint,
    };
    let (port, clock, activities) =
        (account.port(region), Deadline::after(PATIENCE).of_old_rights(), Activities::default());
    let context = Context { account: &port, clock: &clock, activities: &activities };
    let preview = match reconcile::preview(&context, &present).await {
        Ok(preview) => preview,
        Err(refusal @ (Refusal::Aws { .. } | Refusal::WrongAccount { .. })) => return Err(LookError::Refused(refusal)),
        // What the function would refuse to touch is a difference, too.
        Err(refusal) => return Ok(Looked { refusal: Some(refusal.to_string()), ..Looked::default() }),
    };
    let blueprint = &present.blueprint;
    Ok(Looked {
        refusal: None,
        drift: preview.drift().map(ToString::to_string).collect(),
        findings: preview.findings.into_iter().map(|finding| finding.sentence).collect(),
        documents: Some(Documents {
            permissions: Document {
                held: preview.observed.document.unwrap_or_default(),
                wanted: blueprint.permissions.to_value(),
            },
            trust: Document {
                held: preview.observed.role.map(|role| role.trust).unwrap_or_default(),
                wanted: blueprint.trust.to_value(),
            },
        }),
    })
}
