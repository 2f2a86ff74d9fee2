//! Events as CloudFormation sends them, from `tests/fixtures/`.

use cavatica_local::workspace::Workspace;
use serde_json::Value;

use crate::Error;

/// The stack that the fixtures are of.
pub const STACK: &str =
    "arn:aws:cloudformation:us-east-1:123456789012:stack/my-volume/5e1b8ce0-1111-11f0-8000-0a1b2c3d4e5f";
/// The unique ID of the stack's provider role: its automatic external ID.
pub const PROVIDER_ROLE_ID: &str = "AROA5EXAMPLE7PROVIDER";
/// The role that the fixtures ask for.
pub const ROLE: &str = "cavatica-volume-5e1b8ce0";
/// The external ID that somebody gave in the fixtures: a secret.
pub const EXTERNAL_ID: &str = "given-lab-secret-42";

/// Returns a fixture's text, with the address to answer to.
pub fn text(name: &str, response_url: &str) -> Result<String, Error> {
    let path = Workspace::root()?.join("tests/fixtures").join(name);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.replace("{{RESPONSE_URL}}", response_url))
}

/// Returns a fixture as a value, to be changed.
pub fn event(name: &str, response_url: &str) -> Result<Value, Error> {
    Ok(serde_json::from_str(&text(&format!("{name}.json"), response_url)?)?)
}

/// Returns an event with one property changed; `/Volumes/0/Prefix` and the like name it.
pub fn with(mut event: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    if let Some(parent) = event["ResourceProperties"].pointer_mut(parent) {
        parent[name] = value;
    }
    event
}
