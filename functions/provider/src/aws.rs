//! The account as it really is: IAM, S3 and STS behind the domain's port, over one connector.

mod failure;
mod iam;
mod s3;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector, http_client_fn};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use cavatica_access::names::AccountId;
use cavatica_access::patience::{AWS_ATTEMPT, AWS_CONNECTION};
use cavatica_access::port::Failure;

/// The account that the function runs in.
#[derive(Debug, Clone)]
pub struct AwsAccount {
    iam: aws_sdk_iam::Client,
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

/// Region, credentials and endpoint as Lambda gives them. Retries are the domain's: it knows what a failure means.
pub async fn configuration(connector: SharedHttpConnector) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder().connect_timeout(AWS_CONNECTION).operation_attempt_timeout(AWS_ATTEMPT).build(),
        )
        .load()
        .await
}

impl AwsAccount {
    /// The account that the configuration's credentials belong to.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            iam: aws_sdk_iam::Client::new(config),
            sts: aws_sdk_sts::Client::new(config),
            buckets: s3::Buckets::new(config),
        }
    }

    async fn caller(&self) -> Result<AccountId, Failure> {
        let identity = self.sts.get_caller_identity().send().await.map_err(failure::of)?;
        identity.account().unwrap_or_default().parse().map_err(|_| failure::unexpected("an account without an ID"))
    }
}
