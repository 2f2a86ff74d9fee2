//! HTTP requests that are not calls of AWS: the answer to CloudFormation, and the API of a platform.
//!
//! # Guarantees
//!
//! - A [`Secret`] has no `Display`, and its `Debug` shows nothing.
//! - No error names an address, a header or a body: errors of connectors can contain the address.
//! - A request that is not answered within the limit fails.
//!
//! Nothing is repeated here. A caller that may repeat a request takes its pauses from
//! [`cavatica_access::retry::Backoff`].

use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

/// Text that must not reach a log, a message or a terminal, such as a presigned URL or a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text, for the place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// Request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Method in capital letters.
    pub method: &'static str,
    /// Address, which may grant rights by itself.
    pub url: &'a Secret,
    /// Headers, some of which are secret.
    pub headers: &'a [(&'static str, &'a str)],
    /// Body; empty for none.
    pub body: String,
}

/// Longest answer, in bytes. A page of a hundred items has some tens of thousands.
pub const LONGEST_ANSWER: usize = 8 << 20;

/// Answer with its whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Status.
    pub status: u16,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Exchange {
    /// Returns the value of a header, whose name is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Failure to send a request or to get an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    /// Address, method or headers that HTTP does not allow.
    #[error("the request cannot be sent to this address")]
    Unusable,
    /// No connection in time.
    #[error("the connection timed out")]
    ConnectionTimeout,
    /// Failed or broken connection.
    #[error("the connection could not be made or broke")]
    Connection,
    /// Any other failure of the connector.
    #[error("the request could not be sent")]
    NotSent,
    /// Answer beyond [`LONGEST_ANSWER`].
    #[error("the answer is longer than any that this program expects")]
    TooLong,
    /// No answer within the limit.
    #[error("no answer within {} s", .0.as_secs())]
    Silence(Duration),
}

/// Client over the connector that the AWS clients use too.
#[derive(Debug, Clone)]
pub struct HttpClient {
    connector: SharedHttpConnector,
    limit: Duration,
}

impl HttpClient {
    /// Returns a client whose requests have to be answered within a limit.
    #[must_use]
    pub fn new(connector: SharedHttpConnector, limit: Duration) -> Self {
        Self { connector, limit }
    }

    /// Sends a request once, and reads the whole answer.
    ///
    /// # Errors
    ///
    /// Those of [`HttpClient::send`], and an answer that breaks off or is longer than [`LONGEST_ANSWER`].
    pub async fn exchange(&self, request: Request<'_>) -> Result<Exchange, HttpFailure> {
        let response = self.send(request).await?;
        let status = response.status().as_u16();
        let headers = response.headers().iter().map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let mut stream = ByteStream::new(response.into_body());
        let read = async {
            let mut body = Vec::new();
            while let Some(part) = stream.try_next().await.map_err(|_| HttpFailure::Connection)? {
                body.extend_from_slice(&part);
                if body.len() > LONGEST_ANSWER {
                    return Err(HttpFailure::TooLong);
                }
            }
            Ok(body)
        };
        let body = tokio::time::timeout(self.limit, read).await.map_err(|_| HttpFailure::Silence(self.limit))??;
        Ok(Exchange { status, headers, body })
    }

    /// Sends a request once.
    ///
    /// # Errors
    ///
    /// An address that HTTP does not allow, a failed connection, and no answer within the limit.
    pub async fn send(&self, request: Request<'_>) -> Result<HttpResponse, HttpFailure> {
        let mut sent = HttpRequest::new(SdkBody::from(request.body));
        sent.set_method(request.method).map_err(|_| HttpFailure::Unusable)?;
        sent.set_uri(request.url.reveal()).map_err(|_| HttpFailure::Unusable)?;
        for (name, value) in request.headers {
            sent.headers_mut().try_insert(*name, (*value).to_owned()).map_err(|_| HttpFailure::Unusable)?;
        }
        match tokio::time::timeout(self.limit, self.connector.call(sent)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_timeout() => Err(HttpFailure::ConnectionTimeout),
            Ok(Err(error)) if error.is_io() => Err(HttpFailure::Connection),
            Ok(Err(_)) => Err(HttpFailure::NotSent),
            Err(_) => Err(HttpFailure::Silence(self.limit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let secret = Secret::new("https://bucket.s3.amazonaws.com/x?Signature=abc".to_owned());
        let request = Request { method: "PUT", url: &secret, headers: &[], body: String::new() };
        assert!(!format!("{secret:?} {request:?}").contains("Signature"), "{request:?}");
    }
}
