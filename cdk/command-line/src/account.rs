//! The AWS account of the caller: configuration, identity, and the clients of its services.

mod connection;
mod failure;

use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use cavatica_access::platform::Platform;
use cavatica_aws::AwsAccount;
use cavatica_aws::failure::sentence;
use cavatica_generator::address::Address;

pub use self::connection::AwsConnection;
pub use self::failure::{AwsError, Call};
use crate::invocation::Invocation;
use crate::waits::IDENTITY_WITHIN;

/// The account that the credentials belong to.
#[derive(Debug, Clone)]
pub struct Account {
    /// Account ID, 12 digits.
    pub id: String,
    /// ARN of the caller.
    pub caller: String,
    /// The user's call of this program.
    pub invocation: Invocation,
    config: SdkConfig,
}

/// Returns the words of a failed credential provider without the list of all places that it tried, in one line.
fn in_one_line(words: &str) -> String {
    let words = words.split(" Attempted:").next().unwrap_or_default();
    words.trim_end_matches('.').lines().collect::<Vec<_>>().join(" ")
}

impl Account {
    /// Returns the platform that the user chose.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.invocation.platform.platform
    }

    /// Returns the account of the credentials that `connection` finds.
    ///
    /// # Errors
    ///
    /// No credentials, credentials that AWS does not accept, and no answer within [`IDENTITY_WITHIN`].
    pub async fn of_caller(connection: &AwsConnection) -> Result<Self, AwsError> {
        let config = connection.loader().await?.load().await;
        Self::identified(config, connection.invocation.clone()).await
    }

    /// Returns the account of a configuration.
    ///
    /// # Errors
    ///
    /// Those of [`Account::of_caller`].
    pub async fn of(config: SdkConfig) -> Result<Self, AwsError> {
        Self::identified(config, Invocation::default()).await
    }

    async fn identified(config: SdkConfig, invocation: Invocation) -> Result<Self, AwsError> {
        let sign_in = invocation.sign_in();
        let none = |why: String| AwsError::NoCredentials { why, sign_in: sign_in.clone() };
        let provider = config.credentials_provider().ok_or_else(|| none(String::new()))?;
        provider.provide_credentials().await.map_err(|error| match error {
            // Nothing offers any: where the SDK has looked is of no use to the user.
            CredentialsError::CredentialsNotLoaded(_) if invocation.profile.is_none() => none(String::new()),
            error => {
                let why = in_one_line(&sentence(&error));
                // The instance metadata service is the chain's last resort, and says the same on every other machine.
                none(if why.contains("IMDS") { String::new() } else { why })
            }
        })?;
        let region = config.region().map_or("us-east-1", Region::as_ref).to_owned();
        let in_region = config.to_builder().region(Region::new(region.clone())).build();
        let mut account = Self { id: String::new(), caller: String::new(), invocation, config };
        let call = account.call("ask", "sts:GetCallerIdentity", "whose credentials these are", &region);
        let limits = TimeoutConfig::builder().operation_timeout(IDENTITY_WITHIN).build();
        let limits = aws_sdk_sts::config::Builder::default().timeout_config(limits);
        let answer = aws_sdk_sts::Client::new(&in_region).get_caller_identity().customize().config_override(limits);
        let answer = answer.send().await.map_err(|error| call.failed(error))?;
        account.id = answer.account.unwrap_or_default();
        account.caller = answer.arn.unwrap_or_default();
        Ok(account)
    }

    /// Describes a call to AWS for the case that it fails.
    #[must_use]
    pub fn call(&self, doing: &'static str, action: &'static str, on: impl Into<String>, region: &str) -> Call {
        Call { doing, action, on: on.into(), region: region.to_owned(), sign_in: self.invocation.sign_in() }
    }

    /// Returns the account's alias; `None` if there is none or the caller may not read it.
    pub async fn alias(&self, region: &str) -> Option<String> {
        let answer = self.iam(region).list_account_aliases().send().await.ok()?;
        answer.account_aliases.into_iter().next()
    }

    /// True if AWS is an emulator on this machine.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        let host = self.endpoint_url().and_then(|url| url::Url::parse(url).ok());
        match host.as_ref().and_then(url::Url::host) {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }

    /// Region of the configuration: of the environment or the profile.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }

    /// Client of S3 in a region.
    #[must_use]
    pub fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(&self.within(region))
    }

    /// Address that is asked in place of AWS's, for an emulator.
    #[must_use]
    pub fn endpoint_url(&self) -> Option<&str> {
        self.config.endpoint_url()
    }

    /// Returns the bytes of an object, if there is one, as anybody reads it: without credentials.
    ///
    /// # Errors
    ///
    /// No answer and a denial.
    pub async fn read_without_credentials(&self, address: &Address) -> Result<Option<Vec<u8>>, AwsError> {
        let mut config = self.config.to_builder();
        config.set_credentials_provider(None);
        read(config.build(), address, &self.invocation.sign_in()).await
    }

    /// Client of CloudFormation in a region.
    #[must_use]
    pub fn cloudformation(&self, region: &str) -> aws_sdk_cloudformation::Client {
        aws_sdk_cloudformation::Client::new(&self.within(region))
    }

    /// Client of Lambda in a region.
    #[must_use]
    pub fn lambda(&self, region: &str) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.within(region))
    }

    /// Client of IAM.
    #[must_use]
    pub fn iam(&self, region: &str) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.within(region))
    }

    /// Client of CloudWatch Logs in a region.
    #[must_use]
    pub fn logs(&self, region: &str) -> aws_sdk_cloudwatchlogs::Client {
        aws_sdk_cloudwatchlogs::Client::new(&self.within(region))
    }

    /// Returns the account behind the domain's port, with the caller's rights.
    #[must_use]
    pub fn port(&self, region: &str) -> AwsAccount {
        AwsAccount::new(&self.within(region))
    }

    fn within(&self, region: &str) -> SdkConfig {
        self.config.to_builder().region(Region::new(region.to_owned())).build()
    }
}

/// Reads a published object without credentials, and where that is denied with those of the caller.
///
/// # Errors
///
/// No answer, a denial of both reads, and credentials that do not exist if a profile is given.
pub async fn read_published(connection: &AwsConnection, address: &Address) -> Result<Option<Vec<u8>>, AwsError> {
    let sign_in = connection.invocation.sign_in();
    let without_credentials = connection.loader().await?.no_credentials().load().await;
    let denied = match read(without_credentials, address, &sign_in).await {
        Err(error @ AwsError::Denied { .. }) => error,
        result => return result,
    };
    let config = connection.loader().await?.load().await;
    match config.credentials_provider() {
        Some(provider) if provider.provide_credentials().await.is_ok() => read(config, address, &sign_in).await,
        _ => Err(denied),
    }
}

/// Returns the bytes of an object, if there is one.
async fn read(config: SdkConfig, address: &Address, sign_in: &str) -> Result<Option<Vec<u8>>, AwsError> {
    let region = address.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
    let s3 = aws_sdk_s3::Client::new(&config.to_builder().region(Region::new(region.clone())).build());
    let call = || Call {
        doing: "read",
        action: "s3:GetObject",
        on: format!("{} in bucket {}", address.key, address.bucket),
        region: region.clone(),
        sign_in: sign_in.to_owned(),
    };
    let answer = match s3.get_object().bucket(&address.bucket).key(&address.key).send().await {
        Ok(answer) => answer,
        Err(error) if matches!(error.code(), Some("NoSuchKey" | "NoSuchBucket")) => return Ok(None),
        Err(error) => return Err(call().failed(error)),
    };
    let body = answer.body.collect().await.map_err(|error| call().unanswered(&error))?;
    Ok(Some(body.to_vec()))
}
