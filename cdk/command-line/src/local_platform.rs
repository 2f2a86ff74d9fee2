//! The platform on the local engine: its role in another account, its access to volumes, and its API.
//!
//! The engine enforces no policies. So each access is decided by evaluating the documents that IAM holds at that moment
//! (`role`), and what they allow is done by calls of the platform's own role (`caller`). `server` speaks the API as the vendor
//! documents it. It runs only with `--local`, and in tests.

mod caller;
pub mod role;
pub mod server;

pub use self::caller::PlatformCaller;

use std::sync::Arc;
use std::time::Duration;

use cavatica_access::platform::Platform;
use cavatica_access::port::Failure;
use cavatica_api::credentials::Places;
use cavatica_api::{Api, Credentials};
use cavatica_aws::http::{HttpClient, Secret};
use cavatica_local::engine::Engine;

use self::server::LocalPlatform;

/// User of the local platform in a rehearsal.
const USER: &str = "researcher";
/// Token of that user.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The platform on the local engine, and its API with the token of a user.
#[derive(Clone)]
pub struct LocalAccess {
    /// Platform's role.
    pub caller: PlatformCaller,
    /// Platform's API.
    pub api: Arc<Api<HttpClient>>,
    /// Server of the API, which ends with the last user of it.
    _server: Arc<LocalPlatform>,
}

impl std::fmt::Debug for LocalAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalAccess")
    }
}

impl LocalAccess {
    /// Starts the platform on an engine.
    pub async fn start(engine: &Engine, platform: &Platform) -> Result<Self, LocalPlatformError> {
        let caller = PlatformCaller::on(engine, platform).await?;
        let server = LocalPlatform::start(engine, &platform.principal, caller.clone(), &[(TOKEN, USER)]).await?;
        let places = Places {
            endpoint: Some(server.address().to_owned()),
            token: Some(Secret::new(TOKEN.to_owned())),
            ..Places::default()
        };
        let credentials =
            Credentials::choose(&places, platform).map_err(|error| LocalPlatformError::Server(error.to_string()))?;
        // No proxy leads to this machine.
        let http = HttpClient::new(cavatica_aws::connector(), Duration::from_secs(30));
        let api = Arc::new(Api::new(http, &credentials, || 0, |_| {}));
        Ok(Self { caller, api, _server: Arc::new(server) })
    }
}

/// Failure of the local platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalPlatformError {
    /// A call to the engine failed.
    #[error("AWS refuses to {doing}: {source}")]
    Aws {
        /// Call, as part of the sentence.
        doing: &'static str,
        /// Answer of AWS.
        source: Failure,
    },
    /// A document cannot be read or evaluated.
    #[error("a document in IAM cannot be evaluated: {0}")]
    Document(String),
    /// The principal of the platform is no role.
    #[error("the platform's principal must be {0}")]
    Principal(&'static str),
    /// The server cannot be started.
    #[error("the platform's API cannot be started on this machine: {0}")]
    Server(String),
}
