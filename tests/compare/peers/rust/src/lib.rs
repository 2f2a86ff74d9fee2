//! Shared by both floors: a client over HTTPS, and the answer to CloudFormation.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lambda_runtime::Error;
use serde_json::{Value, json};

/// A client with a pool of connections.
pub type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Returns a client that trusts whom the machine trusts.
pub fn client() -> Result<Https, Error> {
    let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// Sends a request and reads all of what comes back.
pub async fn send(client: &Https, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Error> {
    let response = client.request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

/// Answers an event with success.
pub async fn succeed(client: &Https, event: &Value) -> Result<(), Error> {
    let field = |name: &str| event[name].as_str().unwrap_or_default();
    let answer = json!({
        "Status": "SUCCESS",
        "PhysicalResourceId": "arn:aws:iam::123456789012:role/measured",
        "StackId": field("StackId"),
        "RequestId": field("RequestId"),
        "LogicalResourceId": field("LogicalResourceId"),
    });
    let request = Request::put(field("ResponseURL")).body(Full::from(answer.to_string()))?;
    let (status, _) = send(client, request).await?;
    if status.is_success() { Ok(()) } else { Err(format!("the answer was refused: {status}").into()) }
}
