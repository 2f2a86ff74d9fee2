//! The content of IAM for a stack, and its difference from what the stack asks for: the function's own plan, made with
//! the caller's rights and carried out by nobody.

use cavatica_access::activity::Activities;
use cavatica_access::blueprint::Blueprint;
use cavatica_access::desired::Desired;
use cavatica_access::reconcile::{self, Context};
use cavatica_access::refusal::Refusal;
use cavatica_access::request::OldProperties;
use cavatica_aws::clock::Deadline;
use serde_json::Value;

use crate::account::Account;
use crate::waits::PLAN_WITHIN;

/// The custom resource's name in the template.
pub const RESOURCE: &str = "VolumeAccess";

/// The content of IAM, and its differences from what it should be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Looked {
    /// Each change that the function would make.
    pub drift: Vec<String>,
    /// Why the function would change nothing of what differs.
    pub refusal: Option<String>,
    /// The reasons why Cavatica could not use the bucket.
    pub findings: Vec<String>,
}

/// Plans with the caller's rights what the function would do with its own, for the request that the stack's template
/// makes.
///
/// # Errors
///
/// An account that is not the stack's, and a read that AWS refuses, as a sentence.
pub async fn look(account: &Account, region: &str, blueprint: Blueprint, properties: &Value) -> Result<Looked, String> {
    let desired = Desired {
        pinned_principal: account.platform().principal.parse().map_err(|rule: &str| rule.to_owned())?,
        replaced_role: None,
        old_properties: OldProperties::read(properties),
        old_blueprint: Some(blueprint.clone()),
        is_new: false,
        blueprint,
    };
    let (port, clock, activities) =
        (account.port(region), Deadline::after(PLAN_WITHIN).of_old_rights(), Activities::default());
    let context = Context { account: &port, clock: &clock, activities: &activities };
    let preview = match reconcile::preview(&context, &desired).await {
        Ok(preview) => preview,
        Err(refusal @ (Refusal::Aws { .. } | Refusal::WrongAccount { .. })) => return Err(refusal.to_string()),
        // What the function would refuse to touch is a difference, too.
        Err(refusal) => return Ok(Looked { refusal: Some(refusal.to_string()), ..Looked::default() }),
    };
    Ok(Looked {
        refusal: None,
        drift: preview.drift().map(ToString::to_string).collect(),
        findings: preview.findings.into_iter().map(|finding| finding.sentence).collect(),
    })
}
