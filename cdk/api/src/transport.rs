//! Transport of one exchange with the API: a port, so that tests need no network.

use std::future::Future;

use cavatica_aws::http::{Exchange, HttpClient, HttpFailure, Request, Secret};

/// Sender of one request.
pub trait Transport: Sync {
    /// Sends a request once, and returns the whole answer.
    fn exchange(
        &self,
        method: &'static str,
        address: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> impl Future<Output = Result<Exchange, HttpFailure>> + Send;
}

impl Transport for HttpClient {
    async fn exchange(
        &self,
        method: &'static str,
        address: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Result<Exchange, HttpFailure> {
        let url = Secret::new(address.to_owned());
        self.exchange(Request { method, url: &url, headers, body: body.to_owned() }).await
    }
}
