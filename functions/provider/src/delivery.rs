//! Delivery of the answer to CloudFormation.
//!
//! # Flow
//!
//! 1. The address has to be one of CloudFormation's buckets for answers; nothing is sent to any other.
//! 2. One PUT is sent. Any status but 2xx, and any failed connection, is repeated after a pause, until time runs out.
//!
//! # Guarantees
//!
//! - The address grants the right to answer, and is in no error and no log.
//! - An answer that was delivered is not sent again.
//!
//! # Assumptions
//!
//! - A repeated PUT of the same answer has no further effect: CloudFormation takes the first.
//!
//! # Errors
//!
//! [`DeliveryFailure`]. Lambda then runs the event again.

use std::future::Future;
use std::net::IpAddr;

use cavatica_access::port::Clock;
use cavatica_access::retry::Backoff;
use cavatica_access::waits::{FIRST_DELIVERY_RETRY, LONGEST_DELIVERY_RETRY};
pub use cavatica_aws::http::Secret;
use cavatica_aws::http::{HttpClient, Request};
use url::{Host, Url};

/// Reason why an answer was not delivered. Never shows the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryFailure {
    /// The event has no address.
    #[error("the event has no ResponseURL, so nobody can be answered: it does not come from CloudFormation")]
    NoUrl,
    /// The address is not one of CloudFormation's.
    #[error("the ResponseURL is not https to one of CloudFormation's buckets in S3, so nothing was sent to it")]
    Forbidden,
    /// No attempt succeeded before time ran out.
    #[error("CloudFormation did not take the answer in {attempts} attempts; last: {last}")]
    Refused {
        /// Number of attempts.
        attempts: u32,
        /// Last answer.
        last: String,
    },
}

/// Sender of one PUT; a port, so that tests need no network.
pub trait Post: Sync {
    /// Sends the body once; returns the status.
    fn put(&self, url: &Secret, body: String) -> impl Future<Output = Result<u16, String>> + Send;
}

/// Delivers an answer: every status but 2xx is tried again, until time runs out.
// Five parameters: how, by when, to where (two), and what.
pub async fn deliver<P: Post, C: Clock>(
    post: &P,
    clock: &C,
    url: Option<&Secret>,
    is_local: bool,
    body: &str,
) -> Result<(), DeliveryFailure> {
    let url = url.ok_or(DeliveryFailure::NoUrl)?;
    if !is_allowed(url, is_local) {
        return Err(DeliveryFailure::Forbidden);
    }
    let mut backoff = Backoff::new(FIRST_DELIVERY_RETRY, LONGEST_DELIVERY_RETRY);
    for attempts in 1.. {
        let last = match post.put(url, body.to_owned()).await {
            Ok(200..=299) => return Ok(()),
            Ok(status) => format!("status {status}"),
            Err(error) => error,
        };
        tracing::warn!(attempts, last, "the answer was not taken");
        let pause = backoff.pause(clock.chance());
        if pause >= clock.remaining() {
            return Err(DeliveryFailure::Refused { attempts, last });
        }
        clock.sleep(pause).await;
    }
    Ok(())
}

/// The beginning of the name of a bucket for answers; the region without hyphens follows. Source: "Setting up VPC
/// endpoints for CloudFormation", custom resources and wait conditions.
const BUCKET: &str = "cloudformation-custom-resource-response-";

/// `https` to one of CloudFormation's buckets, in the forms that S3's virtual-hosted addresses have; CloudFormation
/// uses no others. Where the function's own AWS is on this machine, as the local engine is, so may the answer's place
/// be.
fn is_allowed(url: &Secret, is_local: bool) -> bool {
    let Ok(url) = Url::parse(url.reveal()) else { return false };
    if is_this_machine(&url) {
        return is_local;
    }
    let Some(Host::Domain(domain)) = url.host() else { return false };
    let is_plain = url.username().is_empty() && url.password().is_none() && matches!(url.port(), None | Some(443));
    url.scheme() == "https" && is_plain && is_bucket_for_answers(domain.trim_end_matches('.'))
}

/// `BUCKET.s3.amazonaws.com`, `BUCKET.s3-REGION.amazonaws.com`, `BUCKET.s3[.dualstack].REGION.amazonaws.com`, and the
/// same in China. Source: S3, "Virtual hosting of buckets"; "Dual-stack endpoints".
fn is_bucket_for_answers(domain: &str) -> bool {
    let suffixes = [".amazonaws.com", ".amazonaws.com.cn"];
    let Some(service) = suffixes.iter().find_map(|suffix| domain.strip_suffix(suffix)) else { return false };
    let Some((bucket, place)) = service.split_once('.') else { return false };
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_region = |text: &str| text.split('-').count() >= 3 && text.split('-').all(is_word);
    let is_of_s3 = place == "s3"
        || place.strip_prefix("s3-").is_some_and(is_region)
        || place.strip_prefix("s3.").is_some_and(|rest| is_region(rest.strip_prefix("dualstack.").unwrap_or(rest)));
    is_of_s3 && bucket.strip_prefix(BUCKET).is_some_and(is_word)
}

/// True if an address is on this machine.
#[must_use]
pub fn is_loopback(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| is_this_machine(&url))
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    }
}

impl Post for HttpClient {
    async fn put(&self, url: &Secret, body: String) -> Result<u16, String> {
        // The URL is signed for an empty content type; any other is answered with 403.
        let request = Request { method: "PUT", url, headers: &[("content-type", "")], body };
        let answer = self.send(request).await.map_err(|failure| failure.to_string())?;
        Ok(answer.status().as_u16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed_to(url: &str, is_local: bool) -> bool {
        is_allowed(&Secret::new(url.to_owned()), is_local)
    }

    #[test]
    fn the_answer_goes_to_cloudformations_buckets_and_nowhere_else() {
        for (url, allowed) in [
            ("https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/x?y", true),
            ("https://cloudformation-custom-resource-response-uswest2.s3-us-west-2.amazonaws.com/x", true),
            ("https://cloudformation-custom-resource-response-apeast2.s3.ap-east-2.amazonaws.com:443/x", true),
            ("https://cloudformation-custom-resource-response-euwest1.s3.dualstack.eu-west-1.amazonaws.com/x", true),
            ("https://cloudformation-custom-resource-response-cnnorth1.s3.cn-north-1.amazonaws.com.cn/x", true),
            ("http://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/x", false),
            ("https://bucket.s3.amazonaws.com/x", false),
            ("https://s3.amazonaws.com/cloudformation-custom-resource-response-useast1/x", false),
            ("https://my-cloudformation-custom-resource-response-useast1.s3.amazonaws.com/x", false),
            ("https://cloudformation-custom-resource-response-useast1.evil.s3.amazonaws.com/x", false),
            ("https://cloudformation-custom-resource-response-useast1.s3.evil.amazonaws.com/x", false),
            ("https://cloudformation-custom-resource-response-useast1.execute-api.us-east-1.amazonaws.com/x", false),
            ("https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com.evil.example/x", false),
            ("https://cloudformation-custom-resource-response-useast1.s3.evilamazonaws.com/x", false),
            ("https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com@evil.example/x", false),
            ("https://user@cloudformation-custom-resource-response-useast1.s3.amazonaws.com/x", false),
            ("https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com:8443/x", false),
            ("https://cloudformation-custom-resource-response-.s3.amazonaws.com/x", false),
            ("https://10.0.0.1/x", false),
            ("https://169.254.169.254/x", false),
            ("file:///etc/passwd", false),
            ("not a url", false),
        ] {
            assert_eq!(is_allowed_to(url, false), allowed, "{url}");
            assert_eq!(is_allowed_to(url, true), allowed, "{url}");
        }
    }

    #[test]
    fn this_machine_is_answered_only_where_aws_itself_is_on_it() {
        for url in ["http://127.0.0.1:4566/x", "http://localhost:4566/x", "http://[::1]:4566/x"] {
            assert!(is_allowed_to(url, true) && !is_allowed_to(url, false), "{url}");
            assert!(is_loopback(url));
        }
        assert!(!is_loopback("https://iam.amazonaws.com") && !is_loopback("http://localhost.evil.example"));
    }
}
