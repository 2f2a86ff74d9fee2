//! Answer to CloudFormation: content, and its fit into 4,096 bytes.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::envelope::Envelope;

/// Whole answer, in bytes. Source: "CloudFormation quotas", custom resource response.
pub const LARGEST: usize = 4_096;

/// The end of a shortened reason.
const CUT: &str = " … (cut; the whole text is in the function's log)";

/// Values for `Fn::GetAtt`.
pub type Attributes = BTreeMap<&'static str, String>;

/// The one attribute that may be cut: it is for people.
pub const FINDINGS: &str = "Findings";

/// Answer to one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Result of the event.
    pub outcome: EventResult,
    /// Physical ID from now on.
    pub physical_id: String,
}

/// Result of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventResult {
    /// `SUCCESS`, with attributes.
    Success(Attributes),
    /// `FAILED`, with the reason for the administrator.
    Failed(String),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    physical_resource_id: &'a str,
    stack_id: &'a str,
    request_id: &'a str,
    logical_resource_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Attributes>,
}

impl Answer {
    /// Returns the body of the PUT. The reason, or what was found, is cut where it does not fit; the other attributes
    /// never are.
    #[must_use]
    pub fn body(&self, envelope: &Envelope) -> String {
        let whole = self.write(envelope, None);
        if whole.len() <= LARGEST {
            return whole;
        }
        let text = match &self.outcome {
            EventResult::Success(attributes) => attributes.get(FINDINGS).map_or("", String::as_str),
            EventResult::Failed(reason) => reason,
        };
        // Escaping makes a character longer than one byte, so the longest beginning that fits is searched for.
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let cut = |end: usize| self.write(envelope, Some(&format!("{}{CUT}", &text[..end])));
        let end = ends[..ends.partition_point(|end| cut(*end).len() <= LARGEST)].last().copied().unwrap_or(0);
        cut(end)
    }

    /// Returns the body, with another text in place of the reason or of what was found.
    fn write(&self, envelope: &Envelope, cut: Option<&str>) -> String {
        let (status, reason, mut data) = match &self.outcome {
            EventResult::Success(attributes) => ("SUCCESS", None, attributes.clone()),
            EventResult::Failed(reason) => ("FAILED", Some(cut.unwrap_or(reason)), Attributes::new()),
        };
        if let (Some(cut), Some(findings)) = (cut, data.get_mut(FINDINGS)) {
            cut.clone_into(findings);
        }
        let body = Body {
            status,
            reason,
            physical_resource_id: &self.physical_id,
            stack_id: &envelope.stack_id,
            request_id: &envelope.request_id,
            logical_resource_id: &envelope.logical_id,
            data: Some(&data).filter(|data| !data.is_empty()),
        };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn envelope() -> Envelope {
        Envelope { stack_id: "s".into(), request_id: "r".into(), logical_id: "l".into(), ..Envelope::default() }
    }

    #[test]
    fn every_id_is_echoed() -> Result<(), serde_json::Error> {
        let attributes = Attributes::from([("RoleArn", "arn".to_owned())]);
        let answer = Answer { outcome: EventResult::Success(attributes), physical_id: "p".to_owned() };
        let body: Value = serde_json::from_str(&answer.body(&envelope()))?;
        assert_eq!(
            body,
            serde_json::json!({"Status": "SUCCESS", "PhysicalResourceId": "p", "StackId": "s", "RequestId": "r",
                               "LogicalResourceId": "l", "Data": {"RoleArn": "arn"}})
        );
        Ok(())
    }

    #[test]
    fn a_reason_of_any_length_and_characters_fits_and_begins_as_it_was() {
        for c in ["x", "\"", "\u{1}", "é", "😀"] {
            let answer = Answer { outcome: EventResult::Failed(c.repeat(9_000)), physical_id: "p".repeat(1_024) };
            let body = answer.body(&envelope());
            assert!(body.len() <= LARGEST && body.len() > LARGEST - 20, "{} bytes of {c:?}", body.len());
            let reason =
                serde_json::from_str::<Value>(&body).ok().and_then(|b| b["Reason"].as_str().map(str::to_owned));
            assert!(reason.is_some_and(|reason| reason.starts_with(c) && reason.ends_with(CUT)));
        }
    }

    #[test]
    fn the_longest_attributes_there_can_be_fit() {
        let attributes = Attributes::from([
            ("RoleArn", "a".repeat(29 + 64 + 64)),
            ("RoleName", "a".repeat(64)),
            ("RoleId", "a".repeat(21)),
            ("PolicyArn", "a".repeat(31 + 64 + 128)),
            ("PolicyName", "a".repeat(128)),
            ("ExternalId", "a".repeat(1_224)),
            ("AccountId", "a".repeat(12)),
            (FINDINGS, "\u{e4}".repeat(4_000)),
        ]);
        let mut envelope = envelope();
        (envelope.stack_id, envelope.logical_id) = ("s".repeat(250), "l".repeat(255));
        let answer = Answer { outcome: EventResult::Success(attributes), physical_id: "p".repeat(29 + 64 + 64) };
        let body = answer.body(&envelope);
        assert!(body.len() <= LARGEST && body.len() > LARGEST - 20, "{} bytes", body.len());
        let findings =
            serde_json::from_str::<Value>(&body).ok().and_then(|b| b["Data"][FINDINGS].as_str().map(str::to_owned));
        assert!(findings.is_some_and(|findings| findings.len() > 500 && findings.ends_with(CUT)));
    }
}
