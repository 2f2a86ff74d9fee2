//! Requests to the API: one method for each. Source: Seven Bridges, "API reference"; the vendor's Python client.

use std::time::Duration;

use cavatica_aws::http::{Exchange, HttpFailure, Secret};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::credentials::{Credentials, Endpoint};
use crate::model::{File, Item, Listing, NewVolume, Page, Project, Transfer, User, Volume, VolumeId};
use crate::refusal::Refusal;
use crate::retry::{Attempts, pause};
use crate::transport::Transport;

/// Header with the token.
const TOKEN_HEADER: &str = "x-sbg-auth-token";
/// Header that calls on volumes need.
const ADVANCE_HEADER: (&str, &str) = ("x-sbg-advance-access", "advance");
/// Largest page. Source: Seven Bridges, "API overview", pagination.
const PAGE: usize = 100;
/// Most pages of one collection that are read: a server that repeats a page must not be read for ever.
const MOST_PAGES: usize = 1_000;

/// Failure of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The API refused.
    #[error("the API refuses to {doing}: {refusal}")]
    Refused {
        /// Request, as part of the sentence.
        doing: String,
        /// Answer.
        refusal: Box<Refusal>,
    },
    /// No connection, or no answer, to a request that can be repeated.
    #[error("cannot {doing}: {host} does not answer ({failure}); check the network, and try again")]
    Unreachable {
        /// Request, as part of the sentence.
        doing: String,
        /// Host of the endpoint.
        host: String,
        /// Failure of the connection.
        failure: HttpFailure,
    },
    /// The answer to a request that creates something was lost: the effect may have happened.
    #[error("cannot see whether {host} did {doing}: the answer was lost ({failure})")]
    Lost {
        /// Request, as part of the sentence.
        doing: String,
        /// Host of the endpoint.
        host: String,
        /// Failure of the connection.
        failure: String,
    },
    /// The answer is not as documented.
    #[error("cannot {doing}: {host} answers something that this program does not understand ({why})")]
    Unreadable {
        /// Request, as part of the sentence.
        doing: String,
        /// Host of the endpoint.
        host: String,
        /// Difference from the documentation.
        why: String,
    },
    /// The next page is at another host, to which the token is not sent.
    #[error("cannot {doing}: the next page is said to be at {found}, and the token is sent to {host} alone")]
    OtherHost {
        /// Request, as part of the sentence.
        doing: String,
        /// Host of the endpoint.
        host: String,
        /// Address without its query.
        found: String,
    },
}

impl ApiError {
    /// Returns the API's refusal, if there is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }
}

/// Client of the API with a user's token.
pub struct Api<T> {
    transport: T,
    endpoint: Endpoint,
    token: Secret,
    /// Seconds since 1970, for rate limits.
    now: fn() -> u64,
    /// Receiver of each exchange, without secrets.
    trace: Box<dyn Fn(&str) + Send + Sync>,
}

/// One request.
struct Call<'c> {
    method: &'static str,
    /// Path and query below the endpoint, or a whole address at its origin.
    address: String,
    body: Option<Value>,
    /// Verb and object, as part of a sentence.
    doing: &'c str,
}

impl<T: Transport> Api<T> {
    /// Returns a client.
    pub fn new(
        transport: T,
        credentials: &Credentials,
        now: fn() -> u64,
        trace: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let (endpoint, token) = (credentials.endpoint.clone(), credentials.token.clone());
        Self { transport, endpoint, token, now, trace: Box::new(trace) }
    }

    /// Returns the host of the endpoint.
    #[must_use]
    pub fn host(&self) -> String {
        let address = self.endpoint.as_str();
        address.split('/').nth(2).unwrap_or(address).to_owned()
    }

    /// Returns the user of the token.
    pub async fn user(&self) -> Result<User, ApiError> {
        self.get("/user", "tell whose token this is").await
    }

    /// Returns all volumes that the user sees.
    pub async fn volumes(&self) -> Result<Vec<Volume>, ApiError> {
        self.all("/storage/volumes?fields=_all", "list the volumes").await
    }

    /// Returns a volume; `None` if there is none of this ID.
    pub async fn volume(&self, id: &VolumeId) -> Result<Option<Volume>, ApiError> {
        let found: Result<Volume, _> = self.get(&volume_path(id), &format!("read volume {id}")).await;
        absent(found)
    }

    /// Creates a volume.
    ///
    /// # Errors
    ///
    /// [`ApiError::Lost`] if it is not known whether the volume was created.
    pub async fn create(&self, volume: &NewVolume) -> Result<Volume, ApiError> {
        let doing = format!("create volume {}", volume.name);
        let call = Call {
            method: "POST",
            address: self.endpoint.address("/storage/volumes"),
            body: Some(volume.body()),
            doing: &doing,
        };
        self.read(&call, self.send(&call).await?)
    }

    /// Changes properties of a volume.
    pub async fn change(&self, id: &VolumeId, properties: Value, force: bool) -> Result<(), ApiError> {
        let doing = format!("change volume {id}");
        let query = if force { "?force=true" } else { "" };
        let address = self.endpoint.address(&format!("{}{query}", volume_path(id)));
        let call = Call { method: "PATCH", address, body: Some(properties), doing: &doing };
        self.send(&call).await.map(drop)
    }

    /// Deletes a volume. One that does not exist is deleted.
    pub async fn delete(&self, id: &VolumeId) -> Result<(), ApiError> {
        let doing = format!("delete volume {id}");
        let address = self.endpoint.address(&volume_path(id));
        let call = Call { method: "DELETE", address, body: None, doing: &doing };
        absent(self.send(&call).await).map(drop)
    }

    /// Lists one page of a volume's content below a prefix.
    pub async fn browse(&self, id: &VolumeId, prefix: &str, limit: usize) -> Result<Listing, ApiError> {
        let query = query(&[("prefix", prefix), ("limit", &limit.to_string()), ("fields", "_all")]);
        self.get(&format!("{}/list?{query}", volume_path(id)), &format!("list volume {id}")).await
    }

    /// Returns an object of a volume; `None` if there is none at this location.
    pub async fn object(&self, id: &VolumeId, location: &str) -> Result<Option<Item>, ApiError> {
        let query = query(&[("location", location)]);
        let found =
            self.get(&format!("{}/object?{query}", volume_path(id)), &format!("look at an object of {id}")).await;
        absent(found)
    }

    /// Shares a volume with a user.
    pub async fn share(&self, id: &VolumeId, username: &str, permissions: &[&str]) -> Result<(), ApiError> {
        let doing = format!("share volume {id} with {username}");
        let has = |name: &str| permissions.contains(&name);
        let body = json!({"username": username, "type": "USER", "permissions":
            {"read": has("read"), "copy": has("copy"), "write": has("write"), "admin": has("admin")}});
        let address = self.endpoint.address(&format!("{}/members", volume_path(id)));
        let call = Call { method: "POST", address, body: Some(body), doing: &doing };
        self.send(&call).await.map(drop)
    }

    /// Returns the imports from a volume, or the exports to it, that are in a state.
    pub async fn transfers(&self, kind: TransferKind, id: &VolumeId, state: &str) -> Result<Vec<Transfer>, ApiError> {
        let query = query(&[("volume", id.as_str()), ("state", state)]);
        self.all(&format!("/storage/{}?{query}", kind.path()), &format!("list the {} of volume {id}", kind.path()))
            .await
    }

    /// Returns all projects of the user.
    pub async fn projects(&self) -> Result<Vec<Project>, ApiError> {
        self.all("/projects", "list the projects").await
    }

    /// Returns the files and folders of a project.
    pub async fn files_of_project(&self, project: &Project) -> Result<Vec<File>, ApiError> {
        let query = query(&[("project", &project.id), ("fields", "_all")]);
        self.all(&format!("/files?{query}"), &format!("list the files of project {}", project.id)).await
    }

    /// Returns the files and folders of a folder.
    pub async fn files_of_folder(&self, folder: &str) -> Result<Vec<File>, ApiError> {
        let query = query(&[("parent", folder), ("fields", "_all")]);
        self.all(&format!("/files?{query}"), "list the files of a folder").await
    }

    /// Deletes a file of a project. One that does not exist is deleted.
    pub async fn delete_file(&self, id: &str) -> Result<(), ApiError> {
        let address = self.endpoint.address(&format!("/files/{}", encoded(id)));
        let call = Call { method: "DELETE", address, body: None, doing: "delete an imported file" };
        absent(self.send(&call).await).map(drop)
    }

    async fn get<A: DeserializeOwned>(&self, path: &str, doing: &str) -> Result<A, ApiError> {
        let call = Call { method: "GET", address: self.endpoint.address(path), body: None, doing };
        self.read(&call, self.send(&call).await?)
    }

    /// Reads all pages of a collection.
    async fn all<A: DeserializeOwned>(&self, path: &str, doing: &str) -> Result<Vec<A>, ApiError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut address = self.endpoint.address(&format!("{path}{separator}offset=0&limit={PAGE}"));
        let mut items = Vec::new();
        for _ in 0..MOST_PAGES {
            let call = Call { method: "GET", address, body: None, doing };
            let page: Page<A> = self.read(&call, self.send(&call).await?)?;
            items.extend(page.items);
            let next =
                page.links.into_iter().find(|link| link.rel.eq_ignore_ascii_case("next") && !link.href.is_empty());
            let Some(next) = next.map(|link| link.href).filter(|next| *next != call.address) else { return Ok(items) };
            if !self.endpoint.is_origin_of(&next) {
                let found = next.split('?').next().unwrap_or_default().to_owned();
                return Err(ApiError::OtherHost { doing: doing.to_owned(), host: self.host(), found });
            }
            address = next;
        }
        let why = format!("a collection of more than {MOST_PAGES} pages");
        Err(ApiError::Unreadable { doing: doing.to_owned(), host: self.host(), why })
    }

    /// Sends a request, again where that is allowed, and returns an answer of success.
    async fn send(&self, call: &Call<'_>) -> Result<Exchange, ApiError> {
        let creates = call.method == "POST";
        let body = call.body.as_ref().map(ToString::to_string).unwrap_or_default();
        let headers = [(TOKEN_HEADER, self.token.reveal()), ("content-type", "application/json"), ADVANCE_HEADER];
        let (mut made, mut waited) = (0, Duration::ZERO);
        let result = loop {
            made += 1;
            let result = self.transport.exchange(call.method, &call.address, &headers, &body).await;
            (self.trace)(&traced(call, &result));
            match pause(creates, &result, Attempts { made, waited, now: (self.now)() }) {
                Some(pause) => {
                    tokio::time::sleep(pause).await;
                    waited += pause;
                }
                None => break result,
            }
        };
        let (doing, host) = (call.doing.to_owned(), self.host());
        match result {
            Ok(exchange) if exchange.status < 400 => Ok(exchange),
            // A gateway that gave up does not say whether the request was carried out.
            Ok(exchange) if creates && exchange.status >= 500 && exchange.status != 503 => {
                Err(ApiError::Lost { doing, host, failure: format!("status {}", exchange.status) })
            }
            Ok(exchange) => {
                let request_id = exchange.header("x-request-id").map(str::to_owned);
                let refusal = Box::new(Refusal::read(exchange.status, &exchange.body, request_id));
                Err(ApiError::Refused { doing, refusal })
            }
            Err(failure @ HttpFailure::Unusable) => Err(ApiError::Unreachable { doing, host, failure }),
            Err(failure) if creates => Err(ApiError::Lost { doing, host, failure: failure.to_string() }),
            Err(failure) => Err(ApiError::Unreachable { doing, host, failure }),
        }
    }

    fn read<A: DeserializeOwned>(&self, call: &Call<'_>, exchange: Exchange) -> Result<A, ApiError> {
        serde_json::from_slice(&exchange.body).map_err(|error| {
            let (doing, host) = (call.doing.to_owned(), self.host());
            // The parser's words can contain the answer; its place cannot.
            let why = format!("status {}, line {}, column {}", exchange.status, error.line(), error.column());
            ApiError::Unreadable { doing, host, why }
        })
    }
}

/// Kind of transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferKind {
    /// From a volume into a project.
    Import,
    /// From a project to a volume.
    Export,
}

impl TransferKind {
    fn path(self) -> &'static str {
        match self {
            Self::Import => "imports",
            Self::Export => "exports",
        }
    }
}

/// Returns the path of a volume. The slash within its ID is not encoded.
fn volume_path(id: &VolumeId) -> String {
    let parts: Vec<_> = id.as_str().split('/').map(encoded).collect();
    format!("/storage/volumes/{}", parts.join("/"))
}

/// Returns pairs as a query, encoded as forms are.
fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Turns the answer that something does not exist into `None`.
fn absent<A>(result: Result<A, ApiError>) -> Result<Option<A>, ApiError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(ApiError::Refused { refusal, .. }) if refusal.status == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns an exchange in one line, without token and external ID.
fn traced(call: &Call<'_>, result: &Result<Exchange, HttpFailure>) -> String {
    let mut body = call.body.clone().unwrap_or_default();
    redact(&mut body);
    let sent = if body.is_null() { String::new() } else { format!(" {body}") };
    let answer = match result {
        Ok(exchange) => {
            let mut body = serde_json::from_slice(&exchange.body).unwrap_or(Value::Null);
            redact(&mut body);
            let id = exchange.header("x-request-id").map(|id| format!(" (request ID {id})")).unwrap_or_default();
            let body =
                if body.is_null() { format!("{} bytes, not JSON", exchange.body.len()) } else { body.to_string() };
            format!("{}{id} {body}", exchange.status)
        }
        Err(failure) => failure.to_string(),
    };
    format!("{} {}{sent} -> {answer}", call.method, call.address)
}

/// Replaces secrets in a body.
fn redact(value: &mut Value) {
    const SECRETS: [&str; 4] = ["external_id", "secret_access_key", "auth_token", "url"];
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if SECRETS.contains(&name.as_str()) && !value.is_null() {
                    *value = json!("[redacted]");
                } else {
                    redact(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
