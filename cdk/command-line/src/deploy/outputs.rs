//! A stack's outputs, as people are shown them.

use std::collections::BTreeMap;

use cavatica_access::platform::Platform;
use cavatica_generator::template::{Config, provided};
use serde_json::Value;

use crate::console::Console;

/// The outputs that have the external ID, which is for a terminal or a program that asks for it, and for no log.
const WITH_EXTERNAL_ID: [&str; 2] = ["ExternalId", "CreateVolumeRequest"];

/// Prints the outputs in the template's order, and where the external ID is not for this place, a remark in its place.
pub fn tell(platform: &Platform, outputs: &BTreeMap<String, String>, hidden: Option<&str>, console: &Console) {
    for output in &provided::template(&Config::of(platform)).outputs {
        let Some(value) = outputs.get(output.name) else { continue };
        match (hidden.filter(|_| WITH_EXTERNAL_ID.contains(&output.name)), serde_json::from_str(value)) {
            (Some(remark), _) => console.field(output.name, remark),
            (None, Ok(json @ Value::Object(_))) => console.json_field(output.name, &json),
            (None, _) => console.field(output.name, value),
        }
    }
}
