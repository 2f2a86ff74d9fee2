//! A faulty network between the command line and the local engine: it delays, drops, throttles and answers stale.
//!
//! Also an HTTP proxy: requests in absolute form go to the engine, whatever host they name, and are counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Fault of a call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection is closed, and AWS has not seen the call.
    Lost,
    /// AWS carries the call out, and the answer is lost.
    AnswerLost,
    /// AWS refuses, with a code and words.
    Refused(&'static str, &'static str),
    /// The server takes the call and stays silent.
    Silent,
    /// For this long AWS answers as it did to the first such call; later ones are fresh.
    Stale(Duration),
    /// AWS answers with this XML.
    Answer(String),
}

/// A fault of one action, for a number of its calls.
#[derive(Debug)]
struct Rule {
    action: String,
    fault: Fault,
    skip: usize,
    times: usize,
    since: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    answers: HashMap<String, Vec<u8>>,
    calls: Vec<String>,
    requests: Vec<Request>,
}

/// A request as AWS sees it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The service that it is signed for, such as `iam`.
    pub service: String,
    /// The action of services that name it in the request; empty for those with paths.
    pub action: String,
    pub method: String,
    /// With its query.
    pub path: String,
}

/// A running one; it ends with the runtime of its test.
pub struct FaultyAws {
    pub url: String,
    state: Arc<Mutex<State>>,
    proxied: Arc<AtomicUsize>,
}

impl FaultyAws {
    /// Starts one in front of an engine.
    pub async fn start(engine: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let engine = engine.trim_start_matches("http://").to_owned();
        let (state, proxied) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicUsize::new(0)));
        let (for_task, counter) = (state.clone(), proxied.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (engine, state, counter) = (engine.clone(), for_task.clone(), counter.clone());
                tokio::spawn(async move { drop(serve(stream, &engine, &state, &counter).await) });
            }
        });
        Ok(Self { url, state, proxied })
    }

    /// Spoils calls of an action after the first `skip` ones.
    pub fn spoil(&self, action: &str, skip: usize, times: usize, fault: Fault) {
        self.lock().rules.push(Rule { action: action.to_owned(), fault, skip, times, since: None });
    }

    /// Returns the actions that were called, in order.
    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// Returns the requests, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// Returns the number of requests in a proxy's form.
    pub fn proxied(&self) -> usize {
        self.proxied.load(Ordering::SeqCst)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn fault(state: &Mutex<State>, action: &str) -> Option<Fault> {
    let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    state.calls.push(action.to_owned());
    let rule = state.rules.iter_mut().find(|rule| rule.action == action && rule.times > 0)?;
    if rule.skip > 0 {
        rule.skip -= 1;
        return None;
    }
    if let Fault::Stale(lasts) = &rule.fault {
        return (rule.since.get_or_insert_with(Instant::now).elapsed() < *lasts).then(|| rule.fault.clone());
    }
    rule.times -= 1;
    Some(rule.fault.clone())
}

async fn serve(
    stream: TcpStream,
    engine: &str,
    state: &Mutex<State>,
    proxied: &AtomicUsize,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut client = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while client.read_line(&mut head).await? > 2 {}
        let Some((first, headers)) = head.split_once("\r\n") else { return Ok(()) };
        let (method, target) = (first.split(' ').next().unwrap_or_default(), first.split(' ').nth(1).unwrap_or("/"));
        if method == "CONNECT" {
            client.get_mut().write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await?;
            return Ok(());
        }
        let header = |name: &str| {
            headers.lines().filter_map(|line| line.split_once(": ")).find(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        let length = header("content-length").and_then(|(_, length)| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        client.read_exact(&mut body).await?;
        let path = match target.strip_prefix("http://") {
            Some(absolute) => {
                proxied.fetch_add(1, Ordering::SeqCst);
                absolute.find('/').map_or("/", |at| &absolute[at..])
            }
            None => target,
        };
        let form = String::from_utf8_lossy(&body);
        let named = form.split('&').find_map(|pair| pair.strip_prefix("Action="));
        let target_action = header("x-amz-target").and_then(|(_, target)| target.split('.').nth(1));
        // Credential=KEY/DATE/REGION/SERVICE/aws4_request
        let service = header("authorization").and_then(|(_, signed)| signed.split('/').nth(3)).unwrap_or_default();
        state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).requests.push(Request {
            service: service.to_owned(),
            action: named.or(target_action).unwrap_or_default().to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
        });
        let action = named.map_or_else(
            || format!("{method} /{}", path.split('?').next().unwrap_or_default().trim_matches('/')),
            str::to_owned,
        );
        let fault = fault(state, &action);
        match &fault {
            Some(Fault::Lost) => return Ok(()),
            Some(Fault::Silent) => {
                tokio::time::sleep(Duration::from_secs(600)).await;
                return Ok(());
            }
            Some(Fault::Refused(code, words)) => {
                let body = format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error>\
                     <RequestId>0</RequestId></ErrorResponse>"
                );
                // S3 has no list of errors, and tells a denial by its status.
                let error = format!("<Error><Code>{code}</Code><Message>{words}</Message></Error>");
                let is_rest = action.contains(' ') && !action.contains(" /v20180820/");
                let status = if *code == "AccessDenied" { 403 } else { 400 };
                client.get_mut().write_all(&answer(status, if is_rest { &error } else { &body })).await?;
                continue;
            }
            Some(Fault::Answer(body)) => {
                client.get_mut().write_all(&answer(200, body)).await?;
                continue;
            }
            Some(Fault::AnswerLost | Fault::Stale(_)) | None => {}
        }
        let mut upstream = TcpStream::connect(engine).await?;
        let kept = headers.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let headers: String = kept.filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
        upstream
            .write_all(format!("{method} {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n").as_bytes())
            .await?;
        upstream.write_all(&body).await?;
        let mut fresh = Vec::new();
        upstream.read_to_end(&mut fresh).await?;
        if let Some(Fault::AnswerLost) = fault {
            return Ok(());
        }
        let bytes = {
            let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match fault {
                Some(Fault::Stale(_)) => state.answers.entry(action).or_insert(fresh).clone(),
                _ => fresh,
            }
        };
        client.get_mut().write_all(&bytes).await?;
        // The engine's answer says that the connection ends.
        return Ok(());
    }
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body.as_bytes()].concat()
}
