//! Between the function and the local engine: passes calls on, keeps count of them, and spoils the one it is told to.

use std::collections::BTreeMap;
use std::net::TcpStream as StdStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::Error;

/// A call: its action and which of that action's calls it is, from 1 on.
pub type Call = (String, u32);

/// Fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `Throttling`, once.
    ThrottledOnce,
    /// `Throttling`, three times in a row.
    ThrottledThrice,
    /// A 500.
    Server,
    /// The connection is reset before the call reaches the engine.
    ResetBefore,
    /// The connection is reset after the call took effect.
    ResetAfter,
    /// Silence for 30 seconds.
    Silence,
    /// `AccessDenied`, for every call of the action from this one on.
    Denied,
    /// The process is killed before the call reaches the engine.
    KilledBefore,
    /// The process is killed after the call took effect.
    KilledAfter,
}

impl Fault {
    /// All of them, with their columns' names.
    pub const ALL: [(Self, &str); 9] = [
        (Self::ThrottledOnce, "throttled"),
        (Self::ThrottledThrice, "3 x thr."),
        (Self::Server, "500"),
        (Self::ResetBefore, "reset <"),
        (Self::ResetAfter, "reset >"),
        (Self::Silence, "silence"),
        (Self::Denied, "denied"),
        (Self::KilledBefore, "killed <"),
        (Self::KilledAfter, "killed >"),
    ];
}

/// Duration of a silent call.
const SILENCE: Duration = Duration::from_secs(30);

/// A proxy on a free port; ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Address.
    pub url: String,
    state: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    engine: String,
    client: Client<HttpConnector, Full<Bytes>>,
    inner: Mutex<Inner>,
    /// Told when the process has to die.
    dying: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    counts: BTreeMap<String, u32>,
    calls: Vec<Call>,
    spoilt: Option<(Call, Fault)>,
    is_spoilt: bool,
}

/// Action on a call.
enum ProxyAction {
    Pass,
    Answer(u16, &'static str),
    Reset,
    PassAndReset,
    Silence,
    Die,
    PassAndDie,
}

impl Proxy {
    /// Starts one in front of an engine.
    pub async fn start(engine: &str) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Shared {
            engine: engine.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            inner: Mutex::default(),
            dying: Notify::new(),
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { url, state, server })
    }

    /// Begins an event, with the call that is to be spoilt in it.
    pub fn begin(&self, spoilt: Option<(Call, Fault)>) {
        *self.state.lock() = Inner { spoilt, ..Inner::default() };
    }

    /// Returns the calls of the event so far, those of a stage in any order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone()
    }

    /// True if the call that gets the fault was made.
    #[must_use]
    pub fn has_spoilt(&self) -> bool {
        self.state.lock().is_spoilt
    }

    /// Returns when the process has to die.
    pub async fn dying(&self) {
        self.state.dying.notified().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Shared>) {
    // The connections end with the proxy.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let Ok((stream, handle)) = with_handle(stream) else { return };
            let service = service_fn(move |request| {
                let (state, handle) = (Arc::clone(&state), Arc::clone(&handle));
                async move { state.answer(request, &handle).await.ok_or(Reset) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Returns a stream, and a handle by which its end can be made a reset.
fn with_handle(stream: TcpStream) -> std::io::Result<(TcpStream, Arc<StdStream>)> {
    let stream = stream.into_std()?;
    let handle = Arc::new(stream.try_clone()?);
    Ok((TcpStream::from_std(stream)?, handle))
}

/// The connection is to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset")]
struct Reset;

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the answer to a call; `None` resets the connection.
    async fn answer(&self, request: Request<Incoming>, handle: &StdStream) -> Option<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        let action = text.split('&').find_map(|pair| pair.strip_prefix("Action="));
        let action = action.or_else(|| bucket_action(&head.method, head.uri.query()?)).unwrap_or_default().to_owned();
        let deed = self.lock().deed(&action);
        let pass = || async {
            let uri = format!("{}{}", self.engine, head.uri).parse().ok()?;
            let mut request = Request::from_parts(head.clone(), Full::new(body.clone()));
            *request.uri_mut() = uri;
            let response = self.client.request(request).await.ok()?;
            let (head, body) = response.into_parts();
            Some(Response::from_parts(head, Full::new(body.collect().await.ok()?.to_bytes())))
        };
        let reset = || {
            // Best effort: without it the connection ends in a friendlier way.
            let _ = SockRef::from(handle).set_linger(Some(Duration::ZERO));
            None
        };
        match deed {
            ProxyAction::Pass => pass().await,
            ProxyAction::Answer(status, code) => Some(error(status, code, head.method == Method::POST)),
            ProxyAction::Reset => reset(),
            ProxyAction::PassAndReset => {
                pass().await;
                reset()
            }
            ProxyAction::Silence => {
                tokio::time::sleep(SILENCE).await;
                None
            }
            ProxyAction::Die => {
                self.dying.notify_one();
                std::future::pending().await
            }
            ProxyAction::PassAndDie => {
                pass().await;
                self.dying.notify_one();
                std::future::pending().await
            }
        }
    }
}

/// Returns the IAM action of a request to S3.
fn bucket_action(method: &Method, query: &str) -> Option<&'static str> {
    let asks = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
    let table = [
        ("location", Method::GET, "GetBucketLocation"),
        ("encryption", Method::GET, "GetEncryptionConfiguration"),
        ("cors", Method::GET, "GetBucketCORS"),
        ("cors", Method::PUT, "PutBucketCORS"),
        ("cors", Method::DELETE, "PutBucketCORS"),
    ];
    table.into_iter().find(|(name, its, _)| asks(name) && its == method).map(|(.., action)| action)
}

impl Inner {
    fn deed(&mut self, action: &str) -> ProxyAction {
        let count = self.counts.entry(action.to_owned()).or_default();
        *count += 1;
        let number = *count;
        self.calls.push((action.to_owned(), number));
        let Some(((_, first), fault)) = self.spoilt.as_ref().filter(|((spoilt, _), _)| spoilt == action) else {
            return ProxyAction::Pass;
        };
        let since = number.checked_sub(*first);
        let deed = match (fault, since) {
            (Fault::ThrottledOnce, Some(0)) | (Fault::ThrottledThrice, Some(0..3)) => {
                ProxyAction::Answer(400, "Throttling")
            }
            (Fault::Server, Some(0)) => ProxyAction::Answer(500, "ServiceFailure"),
            (Fault::Denied, Some(_)) => ProxyAction::Answer(403, "AccessDenied"),
            (Fault::ResetBefore, Some(0)) => ProxyAction::Reset,
            (Fault::ResetAfter, Some(0)) => ProxyAction::PassAndReset,
            (Fault::Silence, Some(0)) => ProxyAction::Silence,
            (Fault::KilledBefore, Some(0)) => ProxyAction::Die,
            (Fault::KilledAfter, Some(0)) => ProxyAction::PassAndDie,
            _ => return ProxyAction::Pass,
        };
        self.is_spoilt = true;
        deed
    }
}

/// Returns an error as IAM and STS write it, which are called by POST, or as S3 does.
fn error(status: u16, code: &str, is_query: bool) -> Response<Full<Bytes>> {
    let error = format!("<Code>{code}</Code><Message>spoilt by the sweep</Message>");
    let request = "<RequestId>5c0ffee5-0000-4000-8000-000000000001</RequestId>";
    let body = if is_query {
        let space = "https://iam.amazonaws.com/doc/2010-05-08/";
        format!(r#"<ErrorResponse xmlns="{space}"><Error><Type>Sender</Type>{error}</Error>{request}</ErrorResponse>"#)
    } else {
        format!("<Error>{error}{request}</Error>")
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::BAD_REQUEST);
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/xml"));
    response
}
