//! Server of the platform's API on this machine, over the local engine.
//!
//! The server answers as the vendor documents it, and really uses AWS: to create, list or read a volume it evaluates the role's
//! documents with the given external ID, assumes the role, and calls S3 with its session. A refusal has the vendor's code,
//! which does not tell the causes apart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_config::SdkConfig;
use cavatica_api::model::is_name;
use cavatica_aws::http::Secret;
use cavatica_local::engine::Engine;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::role::RoleDocuments;
use super::{LocalPlatformError, PlatformCaller};

/// Name under which a page carries its total, which goes into a header.
const TOTAL: &str = "x-total-matching-query";

/// Account of the customer on the engine.
const CUSTOMER: &str = "123456789012";

/// Running server. It ends when this is dropped.
#[derive(Debug)]
pub struct LocalPlatform {
    address: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for LocalPlatform {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// State of the server.
#[derive(Debug)]
struct State {
    /// Users by their token.
    users: BTreeMap<String, String>,
    /// Principal that assumes the roles.
    principal: String,
    caller: PlatformCaller,
    /// Customer's account on the engine, in which the roles are.
    customer: SdkConfig,
    volumes: Mutex<BTreeMap<String, StoredVolume>>,
    /// Imported files: project, file ID and volume.
    files: Mutex<Vec<ImportedFile>>,
    /// Requests so far.
    requests: Mutex<Vec<ReceivedRequest>>,
    /// Address of the server.
    address: String,
}

/// Request that the server received, without token.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedRequest {
    /// Method and path, such as `GET /user`.
    pub operation: String,
    /// Parameters of the query.
    pub query: BTreeMap<String, String>,
    /// Body; null if there is none.
    pub body: Value,
    /// True if the request has the header for advance access.
    pub has_advance_access: bool,
}

/// Volume of a user.
#[derive(Debug, Clone)]
struct StoredVolume {
    name: String,
    mode: String,
    description: String,
    bucket: String,
    prefix: String,
    properties: Value,
    role: String,
    external_id: Option<Secret>,
    is_active: bool,
    members: BTreeMap<String, Value>,
}

/// File of a project that points into a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedFile {
    /// Project.
    pub project: String,
    /// ID of the file.
    pub id: String,
    /// ID of the volume.
    pub volume: String,
}

/// Refusal with the vendor's status and code.
struct Refused(u16, u32, String);

type Answer = Result<(u16, Value), Refused>;

impl From<LocalPlatformError> for Refused {
    /// An access that fails for whatever cause has one code.
    fn from(_: LocalPlatformError) -> Self {
        no_read_access()
    }
}

fn no_read_access() -> Refused {
    Refused(400, 9001, "Unable to access the volume with the provided credentials.".to_owned())
}

fn unknown(id: &str) -> Refused {
    Refused(404, 9007, format!("Volume {id} not found."))
}

impl LocalPlatform {
    /// Starts the server, with users by their token.
    pub async fn start(
        engine: &Engine,
        principal: &str,
        caller: PlatformCaller,
        users: &[(&str, &str)],
    ) -> Result<Self, LocalPlatformError> {
        let failed = |error: std::io::Error| LocalPlatformError::Server(error.to_string());
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = format!("http://{}/v2", listener.local_addr().map_err(failed)?);
        let users = users.iter().map(|(token, user)| ((*token).to_owned(), (*user).to_owned())).collect();
        let state = Arc::new(State {
            users,
            principal: principal.to_owned(),
            caller,
            customer: engine.sdk_config(),
            volumes: Mutex::default(),
            files: Mutex::default(),
            requests: Mutex::default(),
            address: address.clone(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, task })
    }

    /// Returns the base address of the API.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the requests so far, and forgets them.
    #[must_use]
    pub fn take_requests(&self) -> Vec<ReceivedRequest> {
        std::mem::take(&mut *lock(&self.state.requests))
    }

    /// Adds imported files, as a user's imports leave them in a project.
    pub fn import(&self, files: impl IntoIterator<Item = ImportedFile>) {
        lock(&self.state.files).extend(files);
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, std::convert::Infallible>(state.respond(request).await) }
            });
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, mut body) = match self.answer(request).await {
            Ok(answer) => answer,
            Err(Refused(status, code, message)) => (
                status,
                json!({"status": status, "code": code, "message": message, "more_info": "https://docs.cavatica.org/"}),
            ),
        };
        let total = body.as_object_mut().and_then(|body| body.remove(TOTAL));
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let mut response = Response::new(Full::new(bytes));
        *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
        if let Some(total) = total.and_then(|total| total.to_string().parse().ok()) {
            headers.insert("x-total-matching-query", total);
        }
        headers.insert("x-request-id", hyper::header::HeaderValue::from_static("local-request"));
        response
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let token = request.headers().get("x-sbg-auth-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let user = self.users.get(token).cloned();
        let Some(user) = user else { return Err(Refused(401, 90001, "Unauthorized".to_owned())) };
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let advance = request.headers().get("x-sbg-advance-access").and_then(|value| value.to_str().ok());
        let has_advance_access = advance.is_some_and(|value| value.eq_ignore_ascii_case("advance"));
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let body: Value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).map_err(|_| Refused(400, 1001, "The body is not JSON.".to_owned()))?
        };
        lock(&self.requests).push(ReceivedRequest {
            operation: format!("{method} {}", uri.path().trim_start_matches("/v2")),
            query: query.clone(),
            body: body.clone(),
            has_advance_access,
        });
        let path: Vec<String> = uri.path().trim_start_matches("/v2/").split('/').map(decoded).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (&method, path.as_slice()) {
            (&Method::GET, ["user"]) => Ok((200, json!({"username": user}))),
            (&Method::GET, ["storage", "volumes"]) => {
                Ok((200, self.page("storage/volumes", &query, self.visible(&user))))
            }
            (&Method::POST, ["storage", "volumes"]) => self.create(&user, &body).await,
            (_, ["storage", "volumes", owner, name]) => {
                self.volume(&method, &user, &format!("{owner}/{name}"), &query, &body).await
            }
            (&Method::GET, ["storage", "volumes", owner, name, "list"]) => {
                let id = format!("{owner}/{name}");
                self.list(&id, &self.seen(&user, &id)?, &query).await
            }
            (&Method::GET, ["storage", "volumes", owner, name, "object"]) => {
                self.object(&self.seen(&user, &format!("{owner}/{name}"))?, &query).await
            }
            (&Method::POST, ["storage", "volumes", owner, name, "members"]) => {
                let id = format!("{owner}/{name}");
                self.owned(&user, &id)?;
                let member = body["username"].as_str().unwrap_or_default().to_owned();
                if let Some(volume) = lock(&self.volumes).get_mut(&id) {
                    volume.members.insert(member, body["permissions"].clone());
                }
                Ok((201, body))
            }
            (&Method::GET, ["storage", kind @ ("imports" | "exports")]) => {
                Ok((200, self.page(&format!("storage/{kind}"), &query, Vec::new())))
            }
            (&Method::GET, ["projects"]) => {
                let mut projects: Vec<_> = lock(&self.files).iter().map(|file| file.project.clone()).collect();
                projects.sort();
                projects.dedup();
                let items = projects.into_iter().map(|id| json!({"id": id})).collect();
                Ok((200, self.page("projects", &query, items)))
            }
            (&Method::GET, ["files"]) => {
                let project = query.get("project").map(String::as_str).unwrap_or_default();
                let files = lock(&self.files).clone().into_iter().filter(|file| file.project == project);
                let item = |file: ImportedFile| json!({"id": file.id, "type": "file", "storage": {"type": "VOLUME", "volume": file.volume}});
                Ok((200, self.page("files", &query, files.map(item).collect())))
            }
            (&Method::DELETE, ["files", id]) => {
                lock(&self.files).retain(|file| file.id != *id);
                Ok((204, Value::Null))
            }
            _ => Err(Refused(404, 1002, "Requested resource does not exist.".to_owned())),
        }
    }

    /// Returns one page of items, with a link to the next.
    fn page(&self, path: &str, query: &BTreeMap<String, String>, items: Vec<Value>) -> Value {
        let number = |name: &str, default: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
        let (offset, limit) = (number("offset", 0), number("limit", 50).clamp(1, 100));
        let total = items.len();
        let shown: Vec<_> = items.into_iter().skip(offset).take(limit).collect();
        let mut links = Vec::new();
        if offset + limit < total {
            let mut next: BTreeMap<_, _> = query.clone();
            next.insert("offset".to_owned(), (offset + limit).to_string());
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(next).finish();
            links.push(json!({"rel": "NEXT", "href": format!("{}/{path}?{query}", self.address), "method": "GET"}));
        }
        json!({"href": format!("{}/{path}", self.address), "items": shown, "links": links, TOTAL: total})
    }

    fn visible(&self, user: &str) -> Vec<Value> {
        let volumes = lock(&self.volumes);
        let is_seen =
            |id: &str, volume: &StoredVolume| id.starts_with(&format!("{user}/")) || volume.members.contains_key(user);
        volumes.iter().filter(|(id, volume)| is_seen(id, volume)).map(|(id, volume)| self.shown(id, volume)).collect()
    }

    /// Returns a volume as the API shows it: without external ID.
    fn shown(&self, id: &str, volume: &StoredVolume) -> Value {
        json!({
            "href": format!("{}/storage/volumes/{id}", self.address), "id": id, "name": volume.name,
            "description": volume.description, "access_mode": volume.mode, "active": volume.is_active,
            "service": {"type": "S3", "bucket": volume.bucket, "prefix": volume.prefix, "endpoint": "s3.amazonaws.com",
                "properties": volume.properties, "credentials": {"role_arn": volume.role}},
        })
    }

    fn seen(&self, user: &str, id: &str) -> Result<StoredVolume, Refused> {
        let volume = lock(&self.volumes).get(id).cloned().ok_or_else(|| unknown(id))?;
        let is_seen = id.starts_with(&format!("{user}/")) || volume.members.contains_key(user);
        if is_seen { Ok(volume) } else { Err(unknown(id)) }
    }

    fn owned(&self, user: &str, id: &str) -> Result<StoredVolume, Refused> {
        let volume = self.seen(user, id)?;
        if id.starts_with(&format!("{user}/")) {
            Ok(volume)
        } else {
            Err(Refused(403, 9020, format!("Volume {id} is not yours.")))
        }
    }

    async fn create(&self, user: &str, body: &Value) -> Answer {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let service = &body["service"];
        let (name, mode) = (text(&body["name"]), text(&body["access_mode"]));
        if !is_name(&name) {
            return Err(Refused(400, 9011, "Volume name is malformed.".to_owned()));
        }
        if !["RO", "RW"].contains(&mode.as_str())
            || !text(&service["type"]).eq_ignore_ascii_case("s3")
            || service["bucket"].is_null()
        {
            return Err(Refused(400, 9013, "Volume service is malformed.".to_owned()));
        }
        let id = format!("{user}/{name}");
        let volume = StoredVolume {
            name,
            mode,
            description: text(&body["description"]),
            bucket: text(&service["bucket"]),
            prefix: text(&service["prefix"]).trim_matches('/').to_owned(),
            properties: service["properties"].clone(),
            role: text(&service["credentials"]["role_arn"]),
            external_id: service["credentials"]["external_id"].as_str().map(|id| Secret::new(id.to_owned())),
            is_active: true,
            members: BTreeMap::new(),
        };
        if lock(&self.volumes).contains_key(&id) {
            return Err(Refused(409, 9010, "Volume with the same name exists.".to_owned()));
        }
        let is_same = |other: &StoredVolume| other.bucket == volume.bucket && other.prefix == volume.prefix;
        if lock(&self.volumes).values().any(is_same) {
            return Err(Refused(400, 9002, "Cross-write access cannot be verified.".to_owned()));
        }
        self.prove(&volume).await?;
        let shown = self.shown(&id, &volume);
        lock(&self.volumes).insert(id, volume);
        Ok((201, shown))
    }

    async fn volume(
        &self,
        method: &Method,
        user: &str,
        id: &str,
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> Answer {
        match *method {
            Method::GET => self.seen(user, id).map(|volume| (200, self.shown(id, &volume))),
            Method::PATCH => {
                let mut volume = self.owned(user, id)?;
                if let Some(is_active) = body["active"].as_bool() {
                    volume.is_active = is_active;
                }
                if let Some(mode) = body["access_mode"].as_str() {
                    volume.mode = mode.to_owned();
                }
                let credentials = &body["service"]["credentials"];
                if let Some(role) = credentials["role_arn"].as_str() {
                    volume.role = role.to_owned();
                    volume.external_id = credentials["external_id"].as_str().map(|id| Secret::new(id.to_owned()));
                    self.prove(&volume).await?;
                }
                let _ = query;
                let shown = self.shown(id, &volume);
                lock(&self.volumes).insert(id.to_owned(), volume);
                Ok((200, shown))
            }
            Method::DELETE => {
                if self.owned(user, id)?.is_active {
                    return Err(Refused(400, 9019, "Volume is active: deactivate it first.".to_owned()));
                }
                lock(&self.volumes).remove(id);
                Ok((204, Value::Null))
            }
            _ => Err(Refused(405, 1003, "Method not allowed.".to_owned())),
        }
    }

    /// Assumes the volume's role, if its trust policy lets the platform in.
    async fn assumed(&self, volume: &StoredVolume) -> Result<(RoleDocuments, SdkConfig), Refused> {
        let iam = aws_sdk_iam::Client::new(&self.customer);
        let name = volume.role.rsplit('/').next().unwrap_or_default();
        let documents = RoleDocuments::read(&iam, name).await?.ok_or_else(no_read_access)?;
        let id = volume.external_id.as_ref().map(Secret::reveal);
        if documents.arn != volume.role || !documents.lets_in(&self.principal, id)? {
            return Err(no_read_access());
        }
        let config = self.caller.assume(&volume.role, id).await?;
        Ok((documents, config))
    }

    fn require(documents: &RoleDocuments, action: &str, bucket: &str, key: Option<&str>) -> Result<(), Refused> {
        let resource = match key {
            Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
            None => format!("arn:aws:s3:::{bucket}"),
        };
        if documents.allows(action, &resource, CUSTOMER)? { Ok(()) } else { Err(no_read_access()) }
    }

    /// Proves that the platform can list the volume, and write to it if the mode says so.
    async fn prove(&self, volume: &StoredVolume) -> Result<(), Refused> {
        let (documents, config) = self.assumed(volume).await?;
        Self::require(&documents, "s3:ListBucket", &volume.bucket, None)?;
        let key = format!("{}/object", volume.prefix);
        let key = Some(key.trim_start_matches('/'));
        Self::require(&documents, "s3:GetObject", &volume.bucket, key)?;
        if volume.mode == "RW" && Self::require(&documents, "s3:PutObject", &volume.bucket, key).is_err() {
            return Err(Refused(400, 9002, "Cross-write access cannot be verified.".to_owned()));
        }
        let s3 = aws_sdk_s3::Client::new(&config);
        let listed = s3.list_objects_v2().bucket(&volume.bucket).prefix(&volume.prefix).max_keys(1).send().await;
        listed.map(drop).map_err(|_| no_read_access())
    }

    async fn list(&self, id: &str, volume: &StoredVolume, query: &BTreeMap<String, String>) -> Answer {
        if !volume.is_active {
            return Err(Refused(400, 9017, "Volume is not active.".to_owned()));
        }
        let (documents, config) = self.assumed(volume).await?;
        Self::require(&documents, "s3:ListBucket", &volume.bucket, None)?;
        let below = if volume.prefix.is_empty() { String::new() } else { format!("{}/", volume.prefix) };
        let asked = query.get("prefix").map(String::as_str).unwrap_or_default();
        let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(50);
        let s3 = aws_sdk_s3::Client::new(&config);
        let call = s3.list_objects_v2().bucket(&volume.bucket).prefix(format!("{below}{asked}")).delimiter("/");
        let listed = call.max_keys(limit).send().await.map_err(|_| no_read_access())?;
        let relative = |key: &str| key.strip_prefix(&below).unwrap_or(key).to_owned();
        let items: Vec<_> = listed
            .contents()
            .iter()
            .filter_map(|object| object.key())
            .map(|key| json!({"location": relative(key), "type": "s3"}))
            .collect();
        let folders: Vec<_> = listed
            .common_prefixes()
            .iter()
            .filter_map(|folder| folder.prefix())
            .map(|prefix| json!({"prefix": relative(prefix)}))
            .collect();
        let href = format!("{}/storage/volumes/{id}/list", self.address);
        Ok((200, json!({"href": href, "items": items, "prefixes": folders, "links": []})))
    }

    async fn object(&self, volume: &StoredVolume, query: &BTreeMap<String, String>) -> Answer {
        let location = query.get("location").map(String::as_str).unwrap_or_default();
        let key = format!("{}/{location}", volume.prefix);
        let key = key.trim_start_matches('/');
        let (documents, config) = self.assumed(volume).await?;
        let denied = || Refused(403, 9103, format!("Location {location} is not accessible."));
        Self::require(&documents, "s3:GetObject", &volume.bucket, Some(key)).map_err(|_| denied())?;
        match aws_sdk_s3::Client::new(&config).head_object().bucket(&volume.bucket).key(key).send().await {
            Ok(_) => Ok((200, json!({"location": location, "type": "s3"}))),
            Err(_) => Err(Refused(404, 9105, format!("Location {location} not found."))),
        }
    }
}

/// Decodes a part of a path.
fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}
