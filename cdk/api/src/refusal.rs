//! Refusals of the API: its codes, their meaning, and the remedy.

use std::fmt;

use serde::Deserialize;

/// Meaning of a code, as far as it decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The service is in maintenance.
    Maintenance,
    /// Too many requests.
    RateLimit,
    /// The platform could not reach its own services.
    Service,
    /// The role does not let the platform read the bucket.
    NoReadAccess,
    /// The role does not let the platform write, or bucket and prefix are attached already.
    NoWriteAccess,
    /// There is no such volume, file or object, or it is not the user's.
    NotFound,
    /// The volume belongs to somebody else.
    NotYours,
    /// The name is taken.
    NameTaken,
    /// The token is invalid, or the user may not use roles.
    Unauthorized,
    /// Any other refusal.
    Other,
}

/// Codes with their meaning and remedy. Source: Seven Bridges, "API status codes"; CAVATICA's own answers.
const CODES: &[(u32, Kind, &str)] = &[
    (9000, Kind::Service, "try again"),
    (9100, Kind::Service, "try again"),
    (9001, Kind::NoReadAccess, ""),
    (
        9002,
        Kind::NoWriteAccess,
        "either the role may not read the platform's own buckets, or the bucket is in another region, or bucket and prefix are attached already",
    ),
    (9007, Kind::NotFound, "list the volumes that this user sees with `volumes`"),
    (9104, Kind::NotFound, "list the volumes that this user sees with `volumes`"),
    (9020, Kind::NotYours, "ask its owner, or use the owner's token"),
    (9010, Kind::NameTaken, "give another --volume-name"),
    (9022, Kind::Other, "see the property aws_canned_acl of the volume"),
    (9024, Kind::Other, "see the storage class of the volume"),
    (9032, Kind::Other, "see the property sse_algorithm of the volume"),
    (9026, Kind::Other, "the volume is read-only: deploy the stack with --access read-write, and attach again"),
    (9057, Kind::Other, "this environment allows read-only volumes alone: deploy the stack with --access read-only"),
    (9058, Kind::Other, "this environment allows read-only volumes alone: deploy the stack with --access read-only"),
    (9103, Kind::NoReadAccess, ""),
    (9105, Kind::NotFound, "no such object in the volume"),
    (90001, Kind::Unauthorized, "get a new token on the platform's website (Developer, Authentication token)"),
    (90002, Kind::Unauthorized, "ask the platform's support whether IAM role authentication is enabled for this user"),
];

/// Refusal of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Code of the API; 0 if there is none.
    pub code: u32,
    /// Words of the API.
    pub message: String,
    /// Further words of the API, or an address.
    pub more: String,
    /// ID for the platform's support.
    pub request_id: Option<String>,
}

/// Body of a refusal.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    code: Option<u32>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    more_info: Option<String>,
}

impl Refusal {
    /// Reads a refusal. A gateway answers with HTML, which is cut to nothing.
    #[must_use]
    pub fn read(status: u16, body: &[u8], request_id: Option<String>) -> Self {
        let body: Body = serde_json::from_slice(body).unwrap_or(Body { code: None, message: None, more_info: None });
        let (message, more) = (body.message.unwrap_or_default(), body.more_info.unwrap_or_default());
        Self { status, code: body.code.unwrap_or_default(), message, more, request_id }
    }

    /// Returns the meaning.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let known = CODES.iter().find(|(code, ..)| *code == self.code).map(|(_, kind, _)| *kind);
        known.unwrap_or(match self.status {
            429 => Kind::RateLimit,
            503 => Kind::Maintenance,
            500.. => Kind::Service,
            401 => Kind::Unauthorized,
            404 => Kind::NotFound,
            _ => Kind::Other,
        })
    }

    /// Returns the remedy; empty if it depends on AWS.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        let known = CODES.iter().find(|(code, ..)| *code == self.code).map(|(_, _, remedy)| *remedy);
        known.unwrap_or(match self.kind() {
            Kind::RateLimit => "wait five minutes, and try again",
            Kind::Maintenance => "the platform is in maintenance: try again later",
            Kind::Service => "try again",
            Kind::Unauthorized => "get a new token on the platform's website (Developer, Authentication token)",
            _ => "",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message.trim_end_matches('.') {
            "" => write!(f, "status {}", self.status)?,
            message => f.write_str(message)?,
        }
        let mut details = Vec::new();
        if self.code != 0 {
            details.push(format!("code {}", self.code));
        }
        if !self.more.is_empty() {
            details.push(self.more.clone());
        }
        if let Some(id) = &self.request_id {
            details.push(format!("request ID {id}"));
        }
        if !details.is_empty() {
            write!(f, " ({})", details.join(", "))?;
        }
        match self.remedy() {
            "" => Ok(()),
            remedy => write!(f, ": {remedy}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_carry_meaning_words_and_remedy() {
        let id = || Some("r-1".to_owned());
        for (status, body, kind, said) in [
            (
                400,
                r#"{"status":400,"code":9010,"message":"Volume exists.","more_info":"https://x"}"#,
                Kind::NameTaken,
                "Volume exists (code 9010, https://x, request ID r-1): give another --volume-name",
            ),
            (504, "<html>gateway</html>", Kind::Service, "status 504 (request ID r-1): try again"),
            (
                503,
                r#"{"code":0,"message":"maintenance"}"#,
                Kind::Maintenance,
                "maintenance (request ID r-1): the platform is in maintenance: try again later",
            ),
            (
                401,
                r#"{"code":90001,"message":"Unauthorized"}"#,
                Kind::Unauthorized,
                "Unauthorized (code 90001, request ID r-1): get a new token",
            ),
            (
                400,
                r#"{"code":9001,"message":"no access"}"#,
                Kind::NoReadAccess,
                "no access (code 9001, request ID r-1)",
            ),
        ] {
            let refusal = Refusal::read(status, body.as_bytes(), id());
            assert_eq!(refusal.kind(), kind, "{body}");
            assert!(refusal.to_string().starts_with(said), "{refusal}");
        }
    }
}
