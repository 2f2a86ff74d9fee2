//! The connection to AWS: which credentials are used, and how HTTP gets out.
//!
//! # Credentials
//!
//! `--profile` decides alone, as in the AWS CLI: keys in the environment are ignored, and a profile that is in neither
//! configuration file is an error. Without `--profile`, the SDK's standard chain decides, which honours `AWS_PROFILE`.
//!
//! # HTTP
//!
//! `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are honoured. Certificates are the system's, and those of
//! `AWS_CA_BUNDLE` beside them. A server that accepts a request and stays silent is named after [`NOTICE_AFTER`].

use std::path::PathBuf;

use aws_config::profile::{self, ProfileFileCredentialsProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::os_shim_internal::{Env, Fs};
use cavatica_access::platform::Platform;
use cavatica_aws::failure::sentence;

use super::AwsError;
use crate::console::Console;
use crate::invocation::Invocation;
use crate::waits::{ANSWER_WITHIN, CREDENTIALS_WITHIN, NOTICE_AFTER};

/// Host of the instance metadata service. Source: Amazon EC2, "Access instance metadata for an EC2 instance".
const METADATA_HOST: &str = "169.254.169.254";

/// The way to AWS, as far as the command line says it; the environment and the configuration files say the rest.
#[derive(Debug, Clone)]
pub struct AwsConnection {
    /// The user's call of this program, with `--profile` and `--endpoint-url`.
    pub invocation: Invocation,
    /// File with further certificate authorities: the value of `AWS_CA_BUNDLE`.
    pub ca_bundle: Option<PathBuf>,
    /// Place for notices about a slow connection.
    pub console: Console,
}

impl AwsConnection {
    /// Returns the platform that the user chose.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.invocation.platform.platform
    }

    /// Returns a loader of the SDK's configuration, with the credentials of the profile if one is given.
    ///
    /// # Errors
    ///
    /// A profile that does not exist, and files that cannot be read.
    pub(super) async fn loader(&self) -> Result<ConfigLoader, AwsError> {
        let http = self.http_client()?;
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ANSWER_WITHIN).build();
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone()).timeout_config(timeouts);
        if let Some(name) = &self.invocation.profile {
            let region = region_of_profile(name).await?.map(Region::new);
            let timeouts = TimeoutConfig::builder().operation_attempt_timeout(CREDENTIALS_WITHIN).build();
            let provider = ProviderConfig::without_region()
                .with_http_client(http)
                .with_region(region)
                .with_timeout_config(timeouts);
            let provider = ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(name).build();
            loader = loader.profile_name(name).credentials_provider(provider);
        }
        Ok(match &self.invocation.endpoint_url {
            Some(url) => loader.endpoint_url(url),
            None => loader,
        })
    }

    /// Returns a client for an API that is not AWS's, with the same proxies, certificates and notices.
    ///
    /// # Errors
    ///
    /// A certificate file that cannot be read.
    pub fn http(&self) -> Result<cavatica_aws::http::HttpClient, AwsError> {
        let settings =
            HttpConnectorSettings::builder().connect_timeout(ANSWER_WITHIN).read_timeout(ANSWER_WITHIN).build();
        let sleep = SharedAsyncSleep::new(TokioSleep::new());
        let inner = SharedHttpConnector::new(connector(&self.tls()?, Some(&settings), Some(sleep)));
        let connector = SharedHttpConnector::new(ConnectorWithNotices { inner, console: self.console.clone() });
        Ok(cavatica_aws::http::HttpClient::new(connector, ANSWER_WITHIN))
    }

    fn http_client(&self) -> Result<SharedHttpClient, AwsError> {
        let tls = self.tls()?;
        let inner = Builder::new().build_with_connector_fn(move |settings, components| {
            connector(&tls, settings, components.and_then(RuntimeComponents::sleep_impl))
        });
        Ok(SharedHttpClient::new(WithNotices { inner, console: self.console.clone() }))
    }

    /// Returns the certificates that servers are trusted by.
    fn tls(&self) -> Result<TlsContext, AwsError> {
        let mut trusted = TrustStore::default();
        if let Some(path) = &self.ca_bundle {
            let unreadable = |why: String| AwsError::Unreadable { path: path.display().to_string(), why };
            let pem = std::fs::read(path).map_err(|error| unreadable(format!("{error}; see AWS_CA_BUNDLE")))?;
            if !pem.windows(BEGIN_CERTIFICATE.len()).any(|window| window == BEGIN_CERTIFICATE) {
                return Err(unreadable("it has no certificate in PEM form; see AWS_CA_BUNDLE".to_owned()));
            }
            trusted = trusted.with_pem_certificate(pem);
        }
        let tls = TlsContext::builder().with_trust_store(trusted).build();
        tls.map_err(|error| AwsError::Unreadable {
            path: "the certificates of this machine".to_owned(),
            why: sentence(&error),
        })
    }
}

/// Returns a connector that uses the proxies of the environment.
fn connector(tls: &TlsContext, settings: Option<&HttpConnectorSettings>, sleep: Option<SharedAsyncSleep>) -> Connector {
    let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
    connector.set_connector_settings(settings.cloned());
    connector.set_sleep_impl(sleep);
    connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls.clone()).build()
}

/// First line of a certificate. Source: RFC 7468, section 5.1.
const BEGIN_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Returns the region of a profile, which the environment's goes before, as in the AWS CLI.
///
/// # Errors
///
/// A profile that is in neither configuration file.
async fn region_of_profile(name: &str) -> Result<Option<String>, AwsError> {
    let env = Env::real();
    let file = |variable: &str, default: &str| env.get(variable).unwrap_or_else(|_| format!("~/.aws/{default}"));
    let files = [file("AWS_CONFIG_FILE", "config"), file("AWS_SHARED_CREDENTIALS_FILE", "credentials")].join(" or ");
    let profiles = profile::load(&Fs::real(), &env, &EnvConfigFiles::default(), Some(name.to_owned().into())).await;
    let profiles = profiles.map_err(|error| AwsError::Unreadable { path: files.clone(), why: sentence(&error) })?;
    if let Some(profile) = profiles.get_profile(name) {
        let of_environment = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| env.get(name).ok());
        return Ok(of_environment.or_else(|| profile.get("region").map(str::to_owned)));
    }
    let mut known: Vec<_> = profiles.profiles().map(str::to_owned).collect();
    known.sort();
    Err(AwsError::NoProfile { name: name.to_owned(), files, known })
}

/// An HTTP client that tells the user about a silent server.
#[derive(Debug)]
struct WithNotices {
    inner: SharedHttpClient,
    console: Console,
}

impl HttpClient for WithNotices {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(ConnectorWithNotices { inner, console: self.console.clone() })
    }
}

#[derive(Debug)]
struct ConnectorWithNotices {
    inner: SharedHttpConnector,
    console: Console,
}

impl HttpConnector for ConnectorWithNotices {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = request.uri().split('/').nth(2).unwrap_or_default().to_owned();
        let (console, answer) = (self.console.clone(), self.inner.call(request));
        HttpConnectorFuture::new(async move {
            tokio::pin!(answer);
            if host != METADATA_HOST {
                match tokio::time::timeout(NOTICE_AFTER, &mut answer).await {
                    Ok(answer) => return answer,
                    Err(_) => {
                        console.note(&format!("{host} has not answered for {} s; waiting on", NOTICE_AFTER.as_secs()))
                    }
                }
            }
            answer.await
        })
    }
}
