//! Bringing the answer to CloudFormation: where it may go, and trying until it is there. The only file that sends HTTP to
//! CloudFormation.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use cavatica_access::port::Clock;
use url::{Host, Url};

use crate::secret::ResponseUrl;

/// Longest wait for one PUT. S3 takes it within a second; a connection that hangs is better made again.
const ATTEMPT: Duration = Duration::from_secs(5);
/// First wait between two tries; doubles from there.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Why an answer did not arrive. Never shows the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undeliverable {
    /// There is nowhere to send it.
    #[error("the event has no ResponseURL, so nobody can be answered: it does not come from CloudFormation")]
    NoUrl,
    /// The URL is not CloudFormation's.
    #[error("the ResponseURL is not https to a host under amazonaws.com, so nothing was sent to it")]
    Forbidden,
    /// It was tried until time ran out.
    #[error("CloudFormation did not take the answer in {attempts} attempts; last: {last}")]
    Refused {
        /// How often it was tried.
        attempts: u32,
        /// What came back last.
        last: String,
    },
}

/// Sends one PUT and tells the status that came back. The port behind which tests stand.
pub trait Post: Sync {
    /// Sends the body once.
    fn put(&self, url: &ResponseUrl, body: String) -> impl Future<Output = Result<u16, String>> + Send;
}

/// Delivers an answer: every status but 2xx is tried again, until time runs out.
pub async fn deliver<P: Post, C: Clock>(
    post: &P,
    clock: &C,
    url: Option<&ResponseUrl>,
    body: &str,
) -> Result<(), Undeliverable> {
    let url = url.ok_or(Undeliverable::NoUrl)?;
    if !is_allowed(url) {
        return Err(Undeliverable::Forbidden);
    }
    let mut wait = FIRST_WAIT;
    for attempts in 1.. {
        let last = match post.put(url, body.to_owned()).await {
            Ok(200..=299) => return Ok(()),
            Ok(status) => format!("status {status}"),
            Err(error) => error,
        };
        tracing::warn!(attempts, last, "the answer was not taken");
        if wait >= clock.remaining() {
            return Err(Undeliverable::Refused { attempts, last });
        }
        clock.sleep(wait.mul_f64(0.5 + 0.5 * clock.chance())).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    Ok(())
}

/// `https` to a host under `amazonaws.com`, or anything on this machine (the local engine).
fn is_allowed(url: &ResponseUrl) -> bool {
    let Ok(url) = Url::parse(url.reveal()) else { return false };
    match url.host() {
        Some(Host::Domain("localhost")) => true,
        Some(Host::Domain(domain)) => {
            let domain = domain.trim_end_matches('.');
            let is_aws = [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|suffix| domain.ends_with(suffix));
            url.scheme() == "https" && is_aws && url.username().is_empty() && matches!(url.port(), None | Some(443))
        }
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    }
}

/// Sends over the connector that the AWS clients use too.
#[derive(Debug, Clone)]
pub struct HttpPost {
    connector: SharedHttpConnector,
}

impl HttpPost {
    /// Sends over this connector.
    #[must_use]
    pub fn new(connector: SharedHttpConnector) -> Self {
        Self { connector }
    }
}

impl Post for HttpPost {
    async fn put(&self, url: &ResponseUrl, body: String) -> Result<u16, String> {
        let mut request = HttpRequest::new(SdkBody::from(body));
        let unusable = |_| "the ResponseURL cannot be sent to".to_owned();
        request.set_method("PUT").map_err(unusable)?;
        request.set_uri(url.reveal()).map_err(unusable)?;
        // The URL is signed for an empty content type; any other is answered with 403.
        request.headers_mut().insert("content-type", "");
        match tokio::time::timeout(ATTEMPT, self.connector.call(request)).await {
            Ok(Ok(response)) => Ok(response.status().as_u16()),
            // A connector error can carry the URL, so only its kind is told.
            Ok(Err(error)) if error.is_timeout() => Err("the connection timed out".to_owned()),
            Ok(Err(error)) if error.is_io() => Err("the connection could not be made or broke".to_owned()),
            Ok(Err(_)) => Err("the request could not be sent".to_owned()),
            Err(_) => Err(format!("no answer within {} s", ATTEMPT.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_goes_to_aws_or_stays_on_this_machine() {
        for (url, allowed) in [
            ("https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/x?y", true),
            ("https://bucket.s3.cn-north-1.amazonaws.com.cn/x", true),
            ("http://127.0.0.1:4566/x", true),
            ("http://localhost:4566/x", true),
            ("http://[::1]:4566/x", true),
            ("http://bucket.s3.amazonaws.com/x", false),
            ("https://amazonaws.com.evil.example/x", false),
            ("https://evilamazonaws.com/x", false),
            ("https://user@bucket.s3.amazonaws.com/x", false),
            ("https://10.0.0.1/x", false),
            ("https://169.254.169.254/x", false),
            ("file:///etc/passwd", false),
            ("not a url", false),
        ] {
            assert_eq!(is_allowed(&ResponseUrl::new(url.to_owned())), allowed, "{url}");
        }
    }
}
