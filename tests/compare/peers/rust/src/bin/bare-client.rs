//! A function that sends the calls it is given as they are, signed, and reads nothing of what comes back but the
//! status.

use std::collections::HashMap;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use cavatica_peers::{Https, client, send, succeed};
use futures_util::future::try_join_all;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::Value;

/// A call that another function made.
#[derive(Debug, Deserialize)]
struct Call {
    service: String,
    body: String,
    fails: bool,
}

struct Function {
    client: Https,
    endpoint: String,
    region: String,
    credentials: Credentials,
    /// The stages of each request type; the calls of a stage are made at once.
    plans: HashMap<String, Vec<Vec<Call>>>,
}

impl Function {
    #[allow(clippy::disallowed_methods, reason = "this is where the environment is read")]
    fn new() -> Result<Self, Error> {
        let read = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
        Ok(Self {
            client: client()?,
            endpoint: read("AWS_ENDPOINT_URL")?,
            region: read("AWS_REGION")?,
            credentials: Credentials::new(
                read("AWS_ACCESS_KEY_ID")?,
                read("AWS_SECRET_ACCESS_KEY")?,
                None,
                None,
                "environment",
            ),
            plans: serde_json::from_str(&std::fs::read_to_string(read("COMPARE_CALLS")?)?)?,
        })
    }

    async fn serve(&self, event: &Value) -> Result<(), Error> {
        let kind = event["RequestType"].as_str().unwrap_or_default();
        for stage in self.plans.get(kind).ok_or("no plan for this request type")? {
            try_join_all(stage.iter().map(|call| self.make(call))).await?;
        }
        succeed(&self.client, event).await
    }

    #[allow(clippy::disallowed_methods, reason = "a signature has the time in it")]
    async fn make(&self, call: &Call) -> Result<(), Error> {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let uri = format!("{}/", self.endpoint);
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&call.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let body = SignableBody::Bytes(call.body.as_bytes());
        let signable = SignableRequest::new("POST", &uri, headers.into_iter(), body)?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        let mut request =
            Request::post(&uri).header(headers[0].0, headers[0].1).body(Full::<Bytes>::from(call.body.clone()))?;
        instructions.apply_to_request_http1x(&mut request);
        let (status, _) = send(&self.client, request).await?;
        if status.is_success() != call.fails { Ok(()) } else { Err(format!("{status}: {}", call.body).into()) }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = &Function::new()?;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| function.serve(&event.payload).await)).await
}
