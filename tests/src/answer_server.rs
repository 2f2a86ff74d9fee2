//! Server behind the presigned `ResponseURL`, which checks answers as strictly as
//! CloudFormation and S3 do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::Error;

/// A server on a free port; ends when it is dropped.
#[derive(Debug)]
pub struct AnswerServer {
    address: String,
    state: Arc<Mutex<Inner>>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Inner {
    statuses: VecDeque<u16>,
    /// Target of the first redirect.
    elsewhere: Option<String>,
    requests: Vec<Request>,
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub target: String,
    /// Its content type; `None` when the header is absent.
    pub content_type: Option<String>,
    /// Its body.
    pub body: String,
    /// Answers so far.
    pub status: u16,
}

impl AnswerServer {
    /// Starts one that takes everything.
    pub async fn start() -> Result<Self, Error> {
        Self::answering([]).await
    }

    /// Starts one that answers with these statuses first.
    pub async fn answering(statuses: impl IntoIterator<Item = u16>) -> Result<Self, Error> {
        Self::serving(Inner { statuses: statuses.into_iter().collect(), ..Inner::default() }).await
    }

    /// Starts one that sends the first request elsewhere.
    pub async fn redirecting_once(elsewhere: &str) -> Result<Self, Error> {
        let (statuses, elsewhere) = (VecDeque::from([307]), Some(format!("{elsewhere}/elsewhere")));
        Self::serving(Inner { statuses, elsewhere, ..Inner::default() }).await
    }

    async fn serving(inner: Inner) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(inner));
        let router = Router::new().fallback(receive).with_state(Arc::clone(&state));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, state, server })
    }

    /// Returns the server's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns an address to answer to, with a signature that must not be seen anywhere.
    #[must_use]
    pub fn response_url(&self) -> String {
        format!("{}/response?X-Amz-Signature=do-not-log-me", self.address)
    }

    /// Everything that arrived so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).requests.clone()
    }

    /// Returns the one answer that was accepted, checked: method, content type, size, words.
    pub fn only_answer(&self) -> Result<Value, Error> {
        let accepted: Vec<_> = self.requests().into_iter().filter(|request| request.status == 200).collect();
        let [answer] = accepted.as_slice() else { return Err(format!("{} answers accepted", accepted.len()).into()) };
        if answer.method != Method::PUT || !answer.content_type.as_deref().unwrap_or_default().is_empty() {
            return Err(format!("{} with content type {:?}", answer.method, answer.content_type).into());
        }
        if answer.body.len() > 4_096 {
            return Err(format!("{} bytes", answer.body.len()).into());
        }
        let body: Value = serde_json::from_str(&answer.body)?;
        let physical_id = body["PhysicalResourceId"].as_str().unwrap_or_default();
        let is_sound = match body["Status"].as_str() {
            Some("SUCCESS") => true,
            Some("FAILED") => body["Reason"].as_str().is_some_and(|reason| !reason.is_empty()),
            _ => false,
        };
        if !is_sound || physical_id.is_empty() || physical_id.len() > 1_024 {
            return Err(format!("not an answer: {body}").into());
        }
        Ok(body)
    }
}

impl Drop for AnswerServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(
    State(state): State<Arc<Mutex<Inner>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap) {
    let mut inner = state.lock().unwrap_or_else(PoisonError::into_inner);
    let status = inner.statuses.pop_front().unwrap_or(200);
    inner.requests.push(Request {
        method,
        target: uri.to_string(),
        content_type: headers.get("content-type").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        body: String::from_utf8_lossy(&body).into_owned(),
        status,
    });
    let mut answer = HeaderMap::new();
    if let Some(elsewhere) = inner.elsewhere.take().and_then(|elsewhere| elsewhere.parse().ok()) {
        answer.insert("location", elsewhere);
    }
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), answer)
}
