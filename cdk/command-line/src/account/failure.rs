//! Failed calls to AWS: the cause, the object and the remedy as one sentence.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use cavatica_access::port::{Failure, FailureKind};
use cavatica_aws::failure::{self, sentence};
use cavatica_generator::regions::has_to_be_enabled;

/// A call to AWS, as part of a sentence. Made by [`super::Account::call`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Verb, such as `write`.
    pub doing: &'static str,
    /// IAM action, such as `s3:PutObject`.
    pub action: &'static str,
    /// Object of the verb.
    pub on: String,
    /// Region of the endpoint.
    pub region: String,
    /// Command that renews the caller's session.
    pub sign_in: String,
}

/// Cause of a failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// The profile is in neither file.
    #[error("there is no profile {name} in {files}: {}", known_profiles(.known))]
    NoProfile {
        /// The profile that was asked for.
        name: String,
        /// Files that were read.
        files: String,
        /// Profiles in these files.
        known: Vec<String>,
    },
    /// A configuration file or certificate file cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// Cause.
        why: String,
    },
    /// No credentials, or none that work.
    #[error(
        "there are no AWS credentials{}: sign in, for example with `{sign_in}`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY", in_brackets(.why)
    )]
    NoCredentials {
        /// Cause; empty if nothing offers credentials.
        why: String,
        /// Command that renews the caller's session.
        sign_in: String,
    },
    /// The session has ended.
    #[error("the AWS credentials have expired: sign in again, for example with `{sign_in}`")]
    Expired {
        /// Command that renews the caller's session.
        sign_in: String,
    },
    /// AWS does not know the credentials.
    #[error(
        "AWS does not accept these credentials ({0}): see that AWS_PROFILE or the keys in the environment are right"
    )]
    Unaccepted(String),
    /// The region is an opt-in region that the account has not enabled.
    #[error(
        "region {0} does not accept these credentials, as it does not before it is enabled for the account: enable it under \
         Account, AWS Regions, or leave it out"
    )]
    RegionNotEnabled(String),
    /// A right is missing.
    #[error("these credentials may not {} {}: allow them {} there{}", .call.doing, .call.on, .call.action, in_brackets(.message))]
    Denied {
        /// The call.
        call: Box<Call>,
        /// AWS's words; empty if there are none.
        message: String,
    },
    /// No answer.
    #[error("cannot {} {}: AWS does not answer ({why}); check the network, and try again", .call.doing, .call.on)]
    Unreachable {
        /// The call.
        call: Box<Call>,
        /// Failure of the connection.
        why: String,
    },
    /// AWS asks to wait, or fails itself.
    #[error("AWS cannot {} {} now ({answer}): try again", .call.doing, .call.on)]
    Busy {
        /// The call.
        call: Box<Call>,
        /// AWS's answer.
        answer: Box<Failure>,
    },
    /// Any other refusal.
    #[error("AWS refuses to {} {}: {answer}", .call.doing, .call.on)]
    Refused {
        /// The call.
        call: Box<Call>,
        /// AWS's answer.
        answer: Box<Failure>,
    },
}

fn in_brackets(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({message})") }
}

fn known_profiles(known: &[String]) -> String {
    if known.is_empty() {
        "these files have no profiles; create one with `aws configure sso`".to_owned()
    } else {
        format!("choose one of {}", known.join(", "))
    }
}

/// Codes of expired credentials.
const EXPIRED: [&str; 4] = ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"];
/// Codes of credentials that AWS does not know, or not in this region.
const UNKNOWN: [&str; 5] = [
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];
impl Call {
    /// Returns the meaning of AWS's answer to the call.
    pub fn failed<E: ProvideErrorMetadata + std::error::Error + 'static>(self, error: SdkError<E>) -> AwsError {
        if error.raw_response().is_none() {
            return self.unanswered(&error);
        }
        let answer = Box::new(failure::of(error));
        let call = Box::new(self);
        match answer.kind {
            _ if EXPIRED.contains(&answer.code.as_str()) => AwsError::Expired { sign_in: call.sign_in },
            _ if UNKNOWN.contains(&answer.code.as_str()) && has_to_be_enabled(&call.region) => {
                AwsError::RegionNotEnabled(call.region)
            }
            _ if UNKNOWN.contains(&answer.code.as_str()) => AwsError::Unaccepted(answer.code),
            FailureKind::Denied => AwsError::Denied { call, message: answer.message },
            FailureKind::Throttled | FailureKind::Server => AwsError::Busy { call, answer },
            _ => AwsError::Refused { call, answer },
        }
    }

    /// Returns the error of a call whose answer did not arrive, or not to its end.
    #[must_use]
    pub fn unanswered(self, error: &(dyn std::error::Error + 'static)) -> AwsError {
        let why = sentence(error);
        // The SDK takes the credentials again for each call; a session may end between two of them.
        if why.contains("credentials") && why.contains("expired") {
            return AwsError::Expired { sign_in: self.sign_in };
        }
        let is_refused_by_proxy = why.contains("tunnel error");
        let why = if is_refused_by_proxy { format!("the proxy that HTTPS_PROXY names refused: {why}") } else { why };
        AwsError::Unreachable { call: Box::new(self), why }
    }
}

impl AwsError {
    /// True if the same call may succeed later without anybody doing something.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. })
    }

    /// True if signing in again helps.
    #[must_use]
    pub fn is_about_credentials(&self) -> bool {
        matches!(self, Self::Expired { .. } | Self::Unaccepted(_) | Self::NoCredentials { .. })
    }

    /// AWS's code and words, if AWS refused.
    #[must_use]
    pub fn refusal(&self) -> Option<(&str, &str)> {
        match self {
            Self::Refused { answer, .. } => Some((&answer.code, &answer.message)),
            Self::Denied { message, .. } => Some(("AccessDenied", message)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::error::ErrorMetadata;
    use aws_sdk_s3::operation::put_object::PutObjectError;
    use aws_sdk_s3::primitives::SdkBody;
    use aws_smithy_runtime_api::http::{Response, StatusCode};

    use super::*;

    fn message(status: u16, code: Option<&str>, region: &str) -> Result<String, Box<dyn std::error::Error>> {
        let mut metadata = ErrorMetadata::builder().message("AWS's words");
        if let Some(code) = code {
            metadata = metadata.code(code);
        }
        let response = Response::new(StatusCode::try_from(status)?, SdkBody::empty());
        let error = SdkError::service_error(PutObjectError::generic(metadata.build()), response);
        let call = Call {
            doing: "write",
            action: "s3:PutObject",
            on: "k in bucket b".to_owned(),
            region: region.to_owned(),
            sign_in: "aws sso login --profile lab".to_owned(),
        };
        Ok(call.failed(error).to_string())
    }

    #[test]
    fn each_refusal_of_aws_is_a_sentence_with_the_remedy() -> Result<(), Box<dyn std::error::Error>> {
        for (status, code, region, expected) in [
            (
                403,
                Some("AccessDenied"),
                "us-east-1",
                "these credentials may not write k in bucket b: allow them s3:PutObject there (AWS's words)",
            ),
            (403, None, "us-east-1", "these credentials may not write k in bucket b"),
            (
                400,
                Some("ExpiredToken"),
                "us-east-1",
                "have expired: sign in again, for example with `aws sso login --profile lab`",
            ),
            (
                403,
                Some("InvalidAccessKeyId"),
                "us-east-1",
                "AWS does not accept these credentials (InvalidAccessKeyId)",
            ),
            (403, Some("InvalidAccessKeyId"), "il-central-1", "enable it under Account, AWS Regions, or leave it out"),
            (
                503,
                Some("SlowDown"),
                "us-east-1",
                "AWS cannot write k in bucket b now (SlowDown: AWS's words): try again",
            ),
            (400, Some("Throttling"), "us-east-1", "AWS cannot write k in bucket b now"),
            (400, Some("MalformedXML"), "us-east-1", "AWS refuses to write k in bucket b: MalformedXML: AWS's words"),
        ] {
            let message = message(status, code, region)?;
            assert!(message.contains(expected), "{message}");
        }
        Ok(())
    }
}
