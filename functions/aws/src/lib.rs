//! Adapters of the domain's ports: IAM, S3 and STS over one connector, and time.
//!
//! The Lambda changes an account through them; the command line only reads.

mod change;
pub mod clock;
pub mod failure;
pub mod http;
mod iam;
mod s3;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector, http_client_fn};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region as SdkRegion;
use cavatica_access::names::AccountId;
use cavatica_access::port::{Account, Answer as _, Change, Failure, Look, Observation, ReadAccount, Receipt};
use cavatica_access::waits::{AWS_ATTEMPT, AWS_CONNECTION};

/// The account that the credentials belong to.
#[derive(Debug, Clone)]
pub struct AwsAccount {
    iam: iam::Iam,
    sts: aws_sdk_sts::Client,
    buckets: s3::Buckets,
}

/// One connector for IAM, S3, STS and the answer to CloudFormation: one TLS setup, one pool of connections.
#[must_use]
pub fn connector() -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder().connect_timeout(AWS_CONNECTION).read_timeout(AWS_ATTEMPT).build();
    let connector = Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .connector_settings(settings)
        .sleep_impl(TokioSleep::new())
        .build();
    SharedHttpConnector::new(connector)
}

/// Region, credentials and endpoint, as Lambda's environment variables say them.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// `AWS_REGION`.
    pub region: Option<String>,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: Option<String>,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Option<String>,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<String>,
    /// `AWS_ENDPOINT_URL`, for an emulator.
    pub endpoint_url: Option<String>,
}

/// Returns the function's configuration. Lambda gives it all by environment variables, and for as long as the
/// function's process lives, so that files, other services and the machine's metadata need not be asked. Retries are
/// the domain's: it knows what a failure means.
#[must_use]
pub fn configuration(connector: SharedHttpConnector, surroundings: Surroundings) -> SdkConfig {
    let Surroundings { region, access_key_id, secret_access_key, session_token, endpoint_url } = surroundings;
    let credentials = access_key_id.zip(secret_access_key).map(|(id, secret)| {
        SharedCredentialsProvider::new(Credentials::new(id, secret, session_token, None, "environment"))
    });
    let timeouts = TimeoutConfig::builder().connect_timeout(AWS_CONNECTION).operation_attempt_timeout(AWS_ATTEMPT);
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(SystemTimeSource::new())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .region(region.map(SdkRegion::new));
    config.set_credentials_provider(credentials).set_endpoint_url(endpoint_url);
    config.build()
}

impl AwsAccount {
    /// Returns the account that the configuration's credentials belong to.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            iam: iam::Iam(aws_sdk_iam::Client::new(config)),
            sts: aws_sdk_sts::Client::new(config),
            buckets: s3::Buckets::new(config),
        }
    }

    async fn caller(&self) -> Result<AccountId, Failure> {
        let identity = self.sts.get_caller_identity().send().await.map_err(failure::of)?;
        identity.account().unwrap_or_default().parse().map_err(|_| failure::unexpected("an account without an ID"))
    }
}

impl ReadAccount for AwsAccount {
    async fn look(&self, look: &Look) -> Result<Observation, Failure> {
        // On the heap: the futures of all calls within those of the domain would nest deeper than the compiler follows.
        Box::pin(self.answer(look)).await
    }
}

impl AwsAccount {
    async fn answer(&self, look: &Look) -> Result<Observation, Failure> {
        let (iam, buckets) = (&self.iam, &self.buckets);
        Ok(match look {
            Look::Caller => self.caller().await?.into_observation(),
            Look::Role(name) => iam.role(name).await?.into_observation(),
            Look::RoleTags(name) => iam.role_tags(name).await?.into_observation(),
            Look::Policy(arn) => iam.policy(arn).await?.into_observation(),
            Look::Attached(role) => iam.attached_policies(role).await?.into_observation(),
            Look::Inline(role) => iam.inline_policies(role).await?.into_observation(),
            Look::Profiles(role) => iam.instance_profiles(role).await?.into_observation(),
            Look::Versions(arn) => iam.policy_versions(arn).await?.into_observation(),
            Look::Document(arn, version) => iam.policy_document(arn, version).await?.into_observation(),
            Look::PolicyEntities(arn, usage) => iam.policy_carriers(arn, *usage).await?.into_observation(),
            Look::Simulation(role, question) => iam.simulate(role, question).await?.into_observation(),
            Look::BucketRegion(name, owner) => buckets.region(name, owner).await?.into_observation(),
            Look::BucketKey(bucket) => buckets.key(bucket).await?.into_observation(),
            Look::Cors(bucket) => buckets.cors(bucket).await?.into_observation(),
        })
    }
}

impl Account for AwsAccount {
    async fn apply(&self, change: &Change) -> Result<Receipt, Failure> {
        self.change(change).await
    }
}
