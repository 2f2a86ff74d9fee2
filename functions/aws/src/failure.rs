//! AWS errors as the domain's kinds of failures, by code and transport error: for the function and the command line.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use cavatica_access::port::{Failure, FailureKind};

/// AWS's codes and what they mean for us. Source: "IAM common errors", S3's "Error responses" and each call's own
/// errors; the codes come with and without `Exception`.
const CODES: &[(&str, FailureKind)] = &[
    ("NoSuchEntity", FailureKind::NotFound),
    ("NoSuchBucket", FailureKind::NotFound),
    ("EntityAlreadyExists", FailureKind::AlreadyExists),
    ("AccessDenied", FailureKind::Denied),
    ("AllAccessDisabled", FailureKind::Denied),
    ("UnauthorizedOperation", FailureKind::Denied),
    // Credentials of a role that was made a moment ago may not be known everywhere yet.
    ("InvalidClientTokenId", FailureKind::Denied),
    ("InvalidAccessKeyId", FailureKind::Denied),
    ("ConcurrentModification", FailureKind::ConcurrentModification),
    ("OperationAborted", FailureKind::ConcurrentModification),
    ("EntityTemporarilyUnmodifiable", FailureKind::TemporarilyUnmodifiable),
    ("DeleteConflict", FailureKind::DeleteConflict),
    ("LimitExceeded", FailureKind::LimitExceeded),
    ("MalformedPolicyDocument", FailureKind::MalformedDocument),
    ("Throttling", FailureKind::Throttled),
    ("ThrottledException", FailureKind::Throttled),
    ("RequestThrottled", FailureKind::Throttled),
    ("TooManyRequests", FailureKind::Throttled),
    ("RequestLimitExceeded", FailureKind::Throttled),
    ("SlowDown", FailureKind::Throttled),
    ("ServiceFailure", FailureKind::Server),
    ("ServiceUnavailable", FailureKind::Server),
    ("InternalFailure", FailureKind::Server),
    ("InternalError", FailureKind::Server),
];

/// Returns the domain's view of an SDK error.
pub fn of<E>(error: SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let response = error.raw_response();
    let status = response.map(|response| response.status().as_u16());
    let header = |name| response.and_then(|response| response.headers().get(name)).map(str::to_owned);
    let request_id = header("x-amzn-requestid").or_else(|| header("x-amz-request-id"));
    if let Some(error) = error.as_service_error() {
        // Answers to HEAD have no body, and so no code.
        let code = error.code().map_or_else(|| status.unwrap_or_default().to_string(), str::to_owned);
        let message = error.message().unwrap_or_default().to_owned();
        return Failure { kind: kind(&code, status), code, message, request_id };
    }
    let is_answered = status.is_some();
    let code = if is_answered { "UnreadableAnswer" } else { "ConnectionError" }.to_owned();
    let message = sentence(&error);
    let is_ours = matches!(error, SdkError::ConstructionFailure(_));
    let kind = match status {
        Some(500..) => FailureKind::Server,
        Some(_) => FailureKind::Other,
        None if is_ours => FailureKind::Other,
        None => FailureKind::Connection,
    };
    Failure { kind, code, message, request_id }
}

fn kind(code: &str, status: Option<u16>) -> FailureKind {
    let stem = code.strip_suffix("Exception").unwrap_or(code);
    let known = CODES.iter().find(|(name, _)| *name == code || *name == stem).map(|(_, kind)| *kind);
    known.unwrap_or(match status {
        Some(403) if code == "403" => FailureKind::Denied,
        Some(429) => FailureKind::Throttled,
        Some(500..) => FailureKind::Server,
        _ => FailureKind::Other,
    })
}

/// Returns an error and its causes as one sentence: the causes of a transport error say more than its head.
#[must_use]
pub fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_said = cause.to_string();
        // Some errors repeat their cause.
        if !sentence.ends_with(&cause_said) {
            sentence = format!("{sentence}: {cause_said}");
        }
        source = cause.source();
    }
    sentence
}

/// Returns an answer that AWS should not give.
pub(super) fn unexpected(what: &str) -> Failure {
    Failure {
        kind: FailureKind::Other,
        code: "UnexpectedAnswer".to_owned(),
        message: format!("AWS answered with {what}"),
        request_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_known_with_and_without_their_ending() {
        for (code, status, meaning) in [
            ("NoSuchEntity", 404, FailureKind::NotFound),
            ("NoSuchEntityException", 404, FailureKind::NotFound),
            ("AccessDeniedException", 403, FailureKind::Denied),
            ("Throttling", 400, FailureKind::Throttled),
            ("ThrottlingException", 400, FailureKind::Throttled),
            ("TooManyRequestsException", 429, FailureKind::Throttled),
            ("Whatever", 503, FailureKind::Server),
            ("InvalidInput", 400, FailureKind::Other),
            ("403", 403, FailureKind::Denied),
            ("SignatureDoesNotMatch", 403, FailureKind::Other),
        ] {
            assert_eq!(kind(code, Some(status)), meaning, "{code}");
        }
    }
}
