//! The real Lambda binary as a process, and the runtime API that hands it events.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use cavatica_simulation::events;
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinHandle;

use crate::Error;

/// A running function; it and its runtime API end when this is dropped.
#[derive(Debug)]
pub struct Function {
    events: mpsc::UnboundedSender<Invocation>,
    ends: mpsc::UnboundedReceiver<InvocationResult>,
    log: Arc<Mutex<String>>,
    server: JoinHandle<()>,
    _process: Child,
}

/// An event and the time there is for it.
#[derive(Debug)]
struct Invocation {
    event: String,
    time: Duration,
}

/// Result of an invocation, as Lambda sees it. After an error Lambda runs the event again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvocationResult {
    /// The function returned.
    Returned,
    /// The function reported an error.
    Failed(String),
}

/// Environment variables of the function.
#[derive(Debug, Clone)]
pub struct Environment(HashMap<&'static str, String>);

impl Environment {
    /// As the template sets it for the stack of the fixtures, with AWS at an address.
    #[must_use]
    pub fn of_the_fixtures(aws: &str) -> Self {
        Self(HashMap::from([
            ("AWS_ENDPOINT_URL", aws.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", "ProviderFunction".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("CAVATICA_STACK_ID", events::STACK.to_owned()),
            ("CAVATICA_TRUSTED_PRINCIPAL_ARN", cavatica_access::platform::CAVATICA.principal.to_string()),
        ]))
    }

    /// Returns the same without a variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }
}

/// State of the runtime API's handlers.
struct Api {
    events: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    ends: mpsc::UnboundedSender<InvocationResult>,
}

impl Function {
    /// Starts the binary.
    pub async fn start(binary: &Path, environment: Environment) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (events, received) = mpsc::unbounded_channel();
        let (ended, ends) = mpsc::unbounded_channel();
        let api = Arc::new(Api { events: AsyncMutex::new(received), ends: ended });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(returned))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failed))
            .with_state(api);
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        let mut process = Command::new(binary)
            .env_clear()
            .envs(&environment.0)
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let log = Arc::new(Mutex::new(String::new()));
        if let (Some(stdout), Some(stderr)) = (process.stdout.take(), process.stderr.take()) {
            tokio::spawn(collect(BufReader::new(stdout), Arc::clone(&log)));
            tokio::spawn(collect(BufReader::new(stderr), Arc::clone(&log)));
        }
        Ok(Self { events, ends, log, server, _process: process })
    }

    /// Runs one event, with so much time for it.
    pub async fn invoke(&mut self, event: impl ToString, time: Duration) -> Result<InvocationResult, Error> {
        self.events.send(Invocation { event: event.to_string(), time })?;
        let end = tokio::time::timeout(time + Duration::from_secs(10), self.ends.recv()).await;
        end?.ok_or_else(|| "the function ended".into())
    }

    /// Everything it logged so far.
    pub async fn log(&self) -> String {
        // What was written just before the end of an invocation is still in the pipe.
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn collect(mut from: impl tokio::io::AsyncRead + Unpin, log: Arc<Mutex<String>>) {
    let mut buffer = [0; 4_096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        log.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
}

#[allow(clippy::disallowed_methods, reason = "the runtime API tells the deadline in wall-clock time")]
async fn next(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let Some(invocation) = api.events.lock().await.recv().await else { return Err(StatusCode::GONE) };
    let deadline = SystemTime::now() + invocation.time;
    let millis = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", millis.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:f".to_owned()),
    ];
    Ok((headers, invocation.event))
}

async fn returned(State(api): State<Arc<Api>>, UrlPath(_id): UrlPath<String>) -> StatusCode {
    let _ = api.ends.send(InvocationResult::Returned);
    StatusCode::ACCEPTED
}

async fn failed(State(api): State<Arc<Api>>, UrlPath(_id): UrlPath<String>, error: String) -> StatusCode {
    let _ = api.ends.send(InvocationResult::Failed(error));
    StatusCode::ACCEPTED
}
