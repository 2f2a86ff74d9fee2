//! The permission policy that a template makes of parameters.

use std::collections::BTreeMap;

use cavatica_access::blueprint;
use cavatica_access::request::Request;
use serde_json::Value;

use crate::cfn::{Evaluator, Template};

/// Parameters of a stack; stars replace the values of hidden ones.
pub type Parameters = BTreeMap<String, String>;

/// Returns the permission policy that a template makes of parameters; `None` where they are not all known.
#[must_use]
pub fn permissions(template: &Template, parameters: &Parameters, account: &str, region: &str) -> Option<Value> {
    let mut parameters = parameters.clone();
    // CloudFormation shows stars for the external ID, which is in no permission policy.
    parameters.insert("ExternalId".to_owned(), "none".to_owned());
    let stack = format!("arn:aws:cloudformation:{region}:{account}:stack/planned/00000000-0000-0000-0000-000000000000");
    let evaluator = Evaluator::of_planned_stack(template.to_value(), parameters, &stack);
    match evaluator.properties("VolumeAccess").ok()? {
        Some(properties) => {
            let request = Request::parse(&properties).ok()?;
            Some(blueprint::permissions(&request, &"aws".parse().ok()?).to_value())
        }
        None => evaluator.properties("VolumePolicy").ok()?.map(|mut policy| policy["PolicyDocument"].take()),
    }
}
