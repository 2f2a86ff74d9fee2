//! Envelope of an event: sender and address of the answer. It is read first, and leniently, so that any other problem
//! can be answered.

use cavatica_access::request::shown;
use cavatica_aws::http::Secret;
use serde_json::Value;

use crate::redaction::Redactor;

/// The part of an event that is CloudFormation's; the properties are still unread.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// The address of the answer.
    pub response_url: Option<Secret>,
    /// `Create`, `Update` or `Delete`, if it is one of them.
    pub request_type: String,
    /// Such as `Custom::CavaticaVolumeAccess`.
    pub resource_type: String,
    /// Echoed in the answer.
    pub stack_id: String,
    /// Echoed in the answer.
    pub request_id: String,
    /// Echoed in the answer.
    pub logical_id: String,
    /// The physical ID so far; absent in a Create.
    pub physical_id: Option<String>,
    /// The properties.
    pub properties: Value,
    /// The old properties; only in an Update.
    pub old_properties: Value,
    /// Problem that keeps the event from being read as JSON.
    pub malformed: Option<String>,
}

impl Envelope {
    /// Reads whatever can be read.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let (mut event, malformed) = match serde_json::from_str::<Value>(text) {
            Ok(event @ Value::Object(_)) => (event, None),
            Ok(_) => (Value::Null, Some("the event is not a JSON object".to_owned())),
            Err(error) => (Value::Null, Some(format!("the event is not JSON: {error}"))),
        };
        let get = |name: &str| match &malformed {
            None => match event.get(name) {
                Some(Value::String(text)) => Some(text.clone()),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
                _ => None,
            },
            Some(_) => salvage(text, name),
        };
        let envelope = Self {
            response_url: get("ResponseURL").map(Secret::new),
            request_type: get("RequestType").unwrap_or_default(),
            resource_type: get("ResourceType").unwrap_or_default(),
            stack_id: get("StackId").unwrap_or_default(),
            request_id: get("RequestId").unwrap_or_default(),
            logical_id: get("LogicalResourceId").unwrap_or_default(),
            physical_id: get("PhysicalResourceId").filter(|id| !id.is_empty()),
            malformed: malformed.clone(),
            ..Self::default()
        };
        let mut take = |name| event.get_mut(name).map(Value::take).unwrap_or_default();
        Self { properties: take("ResourceProperties"), old_properties: take("OldResourceProperties"), ..envelope }
    }

    /// Returns the redactor for everything that is logged about this event.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        let properties = [&self.properties, &self.old_properties].into_iter();
        let external_ids = properties.filter_map(|properties| properties.get("ExternalId")).flat_map(|id| {
            // As it is, and as a finding about it shows it.
            let plain = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            [plain, shown(id).trim_matches('"').to_owned()]
        });
        let url = self.response_url.iter().map(|url| url.reveal().to_owned());
        Redactor::of(external_ids.chain(url))
    }
}

/// Finds the value of a string property in a text that is not JSON as a whole.
fn salvage(text: &str, name: &str) -> Option<String> {
    let after = text.split_once(&format!("\"{name}\""))?.1;
    let value = after.trim_start().strip_prefix(':')?.trim_start();
    let mut values = serde_json::Deserializer::from_str(value).into_iter::<String>();
    values.next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_cut_in_the_middle_can_still_be_answered() {
        let envelope = Envelope::read(
            r#"{"RequestType": "Create", "ResponseURL" : "https://x/\"y", "StackId":"s", "ResourceProperties": {"Volumes": ["#,
        );
        assert_eq!(envelope.response_url.as_ref().map(Secret::reveal), Some("https://x/\"y"));
        assert_eq!((envelope.request_type.as_str(), envelope.stack_id.as_str()), ("Create", "s"));
        assert!(envelope.malformed.is_some());
    }

    #[test]
    fn nothing_in_an_event_makes_reading_fail() {
        for text in
            ["", "null", "[]", "42", "{", r#"{"ResponseURL": 3, "StackId": {}, "PhysicalResourceId": ""}"#, "\u{0}"]
        {
            let envelope = Envelope::read(text);
            assert_eq!(envelope.physical_id, None, "{text}");
        }
    }

    #[test]
    fn redacts_given_and_automatic_external_ids() {
        let event = |id: &str| {
            format!(
                r#"{{"StackId": "arn:aws:cloudformation:r:1:stack/n/uu-id", "ResourceProperties": {{"ExternalId": "{id}"}}}}"#
            )
        };
        assert_eq!(Envelope::read(&event("lab-1234")).redactor().redact("lab-1234"), "[redacted]");
        for odd in [r#"my\"lab secret"#.to_owned(), "x".repeat(1_300)] {
            let envelope = Envelope::read(&event(&odd));
            let said = format!("ExternalId is {} but must be", shown(&envelope.properties["ExternalId"]));
            assert!(!envelope.redactor().redact(&said).contains(&odd[3..100.min(odd.len())]), "{said}");
        }
        let automatic = "AROA5E1B8CE0111111F00";
        assert_eq!(Envelope::read(&event(automatic)).redactor().redact(&format!("is {automatic}")), "is [redacted]");
    }
}
