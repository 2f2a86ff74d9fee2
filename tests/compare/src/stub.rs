//! AWS as every measured function meets it: over TLS on this machine, with the same answer to the same call after the
//! same time.
//!
//! Owns: recording an engine's answers, giving them again, and what is seen of a function on the way: its calls with
//! their times, its TLS handshakes, its answer. Not here: what a call means (`calls`).

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::calls::{Exchange, Recording, action, key};

/// Two servers on free ports, one for AWS and one for CloudFormation's answers, as these are two hosts in AWS, too.
/// They end when this is dropped.
#[derive(Debug)]
pub struct Stub {
    /// Address of AWS.
    pub aws: String,
    /// Address of the answer.
    pub response_url: String,
    /// The authority that the servers' certificate is signed by, as a file.
    pub authority: PathBuf,
    shared: Arc<Shared>,
    servers: Vec<JoinHandle<()>>,
}

/// Origin of the answers.
#[derive(Debug)]
pub enum Source {
    /// An engine, at this address: each answer is recorded.
    Engine(String),
    /// A recording.
    Recording(Recording),
}

/// An event as it is seen from outside the function.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The calls: when each began and ended, since the event was handed over.
    pub calls: Vec<(Duration, Duration)>,
    /// The calls that the measured function did not make.
    pub unknown: Vec<String>,
    /// When the answer to CloudFormation was there, and the answer.
    pub answer: Option<(Duration, Value)>,
    /// TLS handshakes.
    pub handshakes: usize,
    /// The calls with their answers, where they come from an engine.
    pub recording: Recording,
}

#[derive(Debug)]
struct Shared {
    client: Client<HttpConnector, Full<Bytes>>,
    event: Mutex<Event>,
}

#[derive(Debug)]
struct Event {
    began: Instant,
    delay: Duration,
    engine: Option<String>,
    answers: HashMap<String, Vec<Exchange>>,
    counts: HashMap<String, usize>,
    seen: Seen,
}

impl Event {
    fn new(source: Source, delay: Duration) -> Self {
        let (engine, answers) = match source {
            Source::Engine(address) => (Some(address), HashMap::new()),
            Source::Recording(recording) => (None, recording.answers()),
        };
        let seen = Seen {
            calls: Vec::new(),
            unknown: Vec::new(),
            answer: None,
            handshakes: 0,
            recording: Recording::default(),
        };
        Self { began: Instant::now(), delay, engine, answers, counts: HashMap::new(), seen }
    }
}

impl Stub {
    /// Starts both servers; the folder gets the file of the authority.
    pub async fn start(folder: &Path) -> Result<Self, Error> {
        let (config, authority) = identity()?;
        let path = folder.join("authority.pem");
        std::fs::write(&path, authority)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let shared = Arc::new(Shared {
            client: Client::builder(TokioExecutor::new()).build_http(),
            event: Mutex::new(Event::new(Source::Recording(Recording::default()), Duration::ZERO)),
        });
        let (mut ports, mut servers) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            ports.push(listener.local_addr()?);
            servers.push(tokio::spawn(serve(listener, acceptor.clone(), Arc::clone(&shared))));
        }
        let (aws, answers) = (format!("https://{}", ports[0]), format!("https://{}/answer?signature=x", ports[1]));
        Ok(Self { aws, response_url: answers, authority: path, shared, servers })
    }

    /// Begins an event.
    pub fn begin(&self, source: Source, delay: Duration) {
        *self.shared.lock() = Event::new(source, delay);
    }

    /// Returns the event so far, as it was seen.
    pub fn seen(&self) -> Seen {
        self.shared.lock().seen.clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

/// Returns a certificate for this machine, and the authority that signed it.
fn identity() -> Result<(ServerConfig, String), Error> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Not rcgen's default name, which the certificate has: it would count as signed by itself.
    parameters.distinguished_name.push(DnType::CommonName, "cargo compare");
    let key = KeyPair::generate()?;
    let authority = parameters.self_signed(&key)?;
    let issuer = rcgen::Issuer::new(parameters, key);
    let key = KeyPair::generate()?;
    let names = ["127.0.0.1", "localhost"].map(str::to_owned);
    let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der())?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((config, authority.pem()))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    // The connections end with the server.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            // As servers do: without it a small answer waits for the other side's acknowledgement.
            let _ = stream.set_nodelay(true);
            let Ok(stream) = acceptor.accept(stream).await else { return };
            shared.lock().seen.handshakes += 1;
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(shared.answer(request).await.unwrap_or_else(unanswerable)) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn unanswerable(error: Error) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(error.to_string()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Event> {
        self.event.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let (arrived, delay, engine) = {
            let event = self.lock();
            (event.began.elapsed(), event.delay, event.engine.clone())
        };
        if head.method == Method::PUT && head.uri.path() == "/answer" {
            self.lock().seen.answer = Some((arrived, serde_json::from_slice(&body)?));
            tokio::time::sleep(delay).await;
            return Ok(Response::default());
        }

        let service = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let service = service.and_then(|value| value.split('/').nth(3)).unwrap_or_default().to_owned();
        let target = format!("{} {}", head.method, head.uri);
        let text = String::from_utf8_lossy(&body).into_owned();
        let exchange = if let Some(engine) = engine {
            let mut request = Request::from_parts(head.clone(), Full::new(body));
            *request.uri_mut() = format!("{engine}{}", head.uri).parse()?;
            let response = self.client.request(request).await?;
            let status = response.status().as_u16();
            let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let content_type = content_type.unwrap_or("text/xml").to_owned();
            let answer = String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()).into_owned();
            let exchange = Exchange { service, target, body: text, status, content_type, answer, arrived };
            self.lock().seen.recording.0.push(exchange.clone());
            exchange
        } else {
            self.lock().recorded(&target, &text)?
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut event = self.lock();
        let ended = event.began.elapsed();
        event.seen.calls.push((arrived, ended));
        Ok(Response::builder()
            .status(exchange.status)
            .header(CONTENT_TYPE, exchange.content_type)
            .body(Full::from(exchange.answer))?)
    }
}

impl Event {
    /// Returns the recorded answer; the second time a call is made, the second one, where there is one.
    fn recorded(&mut self, target: &str, body: &str) -> Result<Exchange, Error> {
        let key = key(target, body);
        let count = self.counts.entry(key.clone()).or_default();
        let answer = self.answers.get(&key).and_then(|answers| answers.get(*count).or(answers.last())).cloned();
        *count += 1;
        answer.ok_or_else(|| {
            self.seen.unknown.push(action(target, body));
            format!("nothing was recorded for {key}").into()
        })
    }
}
