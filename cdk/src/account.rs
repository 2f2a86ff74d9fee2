//! The AWS account of whoever calls: configuration, identity, and what AWS's refusals mean.

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use cavatica_aws::AwsAccount;

use crate::address::Address;
use crate::regions::has_to_be_enabled;
use crate::wording::sentence;

/// The account that the credentials belong to.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its ID, 12 digits.
    pub id: String,
    /// The way to it.
    pub access: Access,
    config: SdkConfig,
}

/// The way to AWS, as far as a command line says it; environment and profile say the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The profile of AWS's configuration.
    pub profile: Option<String>,
    /// The address at which AWS's services answer, for emulators.
    pub endpoint_url: Option<String>,
}

/// A call to AWS, as part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its verb, such as `write`.
    pub doing: &'static str,
    /// The right that it needs, such as `s3:PutObject`.
    pub action: &'static str,
    /// Its object.
    pub on: String,
    /// The region that is asked.
    pub region: String,
}

/// Why AWS did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// The standard chain finds none.
    #[error(
        "there are no AWS credentials ({0}): sign in, for example with `aws sso login`, or set AWS_PROFILE or \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials(String),
    /// They are too old.
    #[error("the AWS credentials have expired: sign in again, for example with `aws sso login`")]
    Expired,
    /// AWS knows no such credentials.
    #[error(
        "AWS does not accept these credentials ({0}): see that AWS_PROFILE or the keys in the environment are right"
    )]
    Unaccepted(String),
    /// The region is one that has to be enabled, and is not.
    #[error(
        "region {0} does not accept these credentials, as it does not before it is enabled for the account: enable it under \
         Account, AWS Regions, or leave it out"
    )]
    RegionNotEnabled(String),
    /// A right is missing.
    #[error("these credentials may not {} {}: allow them {} there{}", .call.doing, .call.on, .call.action, in_brackets(.message))]
    Denied {
        /// The call.
        call: Box<Call>,
        /// AWS's words; empty if there are none.
        message: String,
    },
    /// There was no answer.
    #[error("cannot {} {}, for AWS does not answer ({why}): see that the network reaches it, and try again", .call.doing, .call.on)]
    Unreachable {
        /// The call.
        call: Box<Call>,
        /// The failure of the connection.
        why: String,
    },
    /// Anything else.
    #[error("AWS refuses to {} {}: {code}{}", .call.doing, .call.on, after_colon(.message))]
    Refused {
        /// The call.
        call: Box<Call>,
        /// AWS's code.
        code: String,
        /// AWS's words; empty if there are none.
        message: String,
    },
}

fn in_brackets(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({message})") }
}

/// The chain's words without the list of all places that it looked at, one a line.
fn in_one_line(words: &str) -> String {
    let words = words.split(" Attempted:").next().unwrap_or_default();
    words.trim_end_matches('.').lines().collect::<Vec<_>>().join(" ")
}

fn after_colon(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// Codes of AWS for credentials that have expired.
const EXPIRED: [&str; 4] = ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"];
/// Codes of AWS for credentials that it does not know, or not in the region that is asked.
const UNKNOWN: [&str; 5] = [
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];
/// Codes of AWS for a right that is missing.
const DENIED: [&str; 4] = ["AccessDenied", "AccessDeniedException", "AllAccessDisabled", "UnauthorizedOperation"];

impl Call {
    /// The meaning of AWS's answer to the call.
    pub fn failed<E: ProvideErrorMetadata + std::error::Error + 'static>(self, error: SdkError<E>) -> AwsError {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let Some(status) = status else {
            return self.unanswered(&error);
        };
        let code = error.code().map_or_else(|| status.to_string(), str::to_owned);
        let message = error.message().unwrap_or_default().to_owned();
        match code.as_str() {
            code if EXPIRED.contains(&code) => AwsError::Expired,
            code if UNKNOWN.contains(&code) && has_to_be_enabled(&self.region) => {
                AwsError::RegionNotEnabled(self.region)
            }
            code if UNKNOWN.contains(&code) => AwsError::Unaccepted(code.to_owned()),
            // Answers to HEAD have no body, and so no code.
            code if DENIED.contains(&code) || code == "403" => AwsError::Denied { call: Box::new(self), message },
            _ => AwsError::Refused { call: Box::new(self), code, message },
        }
    }

    /// There was no answer, or none to its end.
    #[must_use]
    pub fn unanswered(self, error: &(dyn std::error::Error + 'static)) -> AwsError {
        AwsError::Unreachable { call: Box::new(self), why: sentence(error) }
    }
}

impl Account {
    /// The account of the credentials that AWS's standard chain finds: environment, profile, single sign-on, workload.
    pub async fn of_caller(access: &Access) -> Result<Self, AwsError> {
        let account = Self::of(access.configuration().load().await).await?;
        Ok(Self { access: access.clone(), ..account })
    }

    /// The account of a configuration.
    pub async fn of(config: SdkConfig) -> Result<Self, AwsError> {
        let provider =
            config.credentials_provider().ok_or_else(|| AwsError::NoCredentials("none are set".to_owned()))?;
        let found = provider.provide_credentials().await;
        found.map_err(|error| AwsError::NoCredentials(in_one_line(&sentence(&error))))?;
        let region = config.region().map_or("us-east-1", Region::as_ref).to_owned();
        let in_region = config.to_builder().region(Region::new(region.clone())).build();
        let call = Call {
            doing: "ask",
            action: "sts:GetCallerIdentity",
            on: "whose credentials these are".to_owned(),
            region,
        };
        let answer = aws_sdk_sts::Client::new(&in_region).get_caller_identity().send().await;
        let id = answer.map_err(|error| call.failed(error))?.account.unwrap_or_default();
        Ok(Self { id, access: Access::default(), config })
    }

    /// The region that the configuration names.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }

    /// S3 in a region.
    #[must_use]
    pub fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(&self.within(region))
    }

    /// CloudFormation in a region.
    #[must_use]
    pub fn cloudformation(&self, region: &str) -> aws_sdk_cloudformation::Client {
        aws_sdk_cloudformation::Client::new(&self.within(region))
    }

    /// Lambda in a region.
    #[must_use]
    pub fn lambda(&self, region: &str) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.within(region))
    }

    /// IAM.
    #[must_use]
    pub fn iam(&self, region: &str) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.within(region))
    }

    /// CloudWatch Logs in a region.
    #[must_use]
    pub fn logs(&self, region: &str) -> aws_sdk_cloudwatchlogs::Client {
        aws_sdk_cloudwatchlogs::Client::new(&self.within(region))
    }

    /// The account behind the domain's port, to be looked at.
    #[must_use]
    pub fn port(&self, region: &str) -> AwsAccount {
        AwsAccount::new(&self.within(region))
    }

    fn within(&self, region: &str) -> SdkConfig {
        self.config.to_builder().region(Region::new(region.to_owned())).build()
    }
}

impl Access {
    /// The findings of the standard chain.
    fn configuration(&self) -> ConfigLoader {
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        match &self.endpoint_url {
            Some(url) => loader.endpoint_url(url),
            None => loader,
        }
    }
}

/// Reads what is published: without credentials, and where that is not allowed with those that there are.
pub async fn read_published(access: &Access, address: &Address) -> Result<Option<Vec<u8>>, AwsError> {
    let denied = match read(access.configuration().no_credentials().load().await, address).await {
        Err(error @ AwsError::Denied { .. }) => error,
        result => return result,
    };
    let config = access.configuration().load().await;
    match config.credentials_provider() {
        Some(provider) if provider.provide_credentials().await.is_ok() => read(config, address).await,
        _ => Err(denied),
    }
}

/// The bytes of an object, if there is one.
async fn read(config: SdkConfig, address: &Address) -> Result<Option<Vec<u8>>, AwsError> {
    let region = address.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
    let s3 = aws_sdk_s3::Client::new(&config.to_builder().region(Region::new(region.clone())).build());
    let call = || Call {
        doing: "read",
        action: "s3:GetObject",
        on: format!("{} in bucket {}", address.key, address.bucket),
        region: region.clone(),
    };
    let answer = match s3.get_object().bucket(&address.bucket).key(&address.key).send().await {
        Ok(answer) => answer,
        Err(error) if matches!(error.code(), Some("NoSuchKey" | "NoSuchBucket")) => return Ok(None),
        Err(error) => return Err(call().failed(error)),
    };
    let body = answer.body.collect().await.map_err(|error| call().unanswered(&error))?;
    Ok(Some(body.to_vec()))
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::error::ErrorMetadata;
    use aws_sdk_s3::operation::put_object::PutObjectError;
    use aws_sdk_s3::primitives::SdkBody;
    use aws_smithy_runtime_api::http::{Response, StatusCode};

    use super::*;

    fn said(status: u16, code: Option<&str>, region: &str) -> Result<String, Box<dyn std::error::Error>> {
        let mut metadata = ErrorMetadata::builder().message("AWS's words");
        if let Some(code) = code {
            metadata = metadata.code(code);
        }
        let response = Response::new(StatusCode::try_from(status)?, SdkBody::empty());
        let error = SdkError::service_error(PutObjectError::generic(metadata.build()), response);
        let call =
            Call { doing: "write", action: "s3:PutObject", on: "k in bucket b".to_owned(), region: region.to_owned() };
        Ok(call.failed(error).to_string())
    }

    #[test]
    fn each_refusal_of_aws_is_a_sentence_with_the_remedy() -> Result<(), Box<dyn std::error::Error>> {
        for (status, code, region, expected) in [
            (
                403,
                Some("AccessDenied"),
                "us-east-1",
                "these credentials may not write k in bucket b: allow them s3:PutObject there (AWS's words)",
            ),
            (403, None, "us-east-1", "these credentials may not write k in bucket b"),
            (400, Some("ExpiredToken"), "us-east-1", "have expired: sign in again"),
            (
                403,
                Some("InvalidAccessKeyId"),
                "us-east-1",
                "AWS does not accept these credentials (InvalidAccessKeyId)",
            ),
            (403, Some("InvalidAccessKeyId"), "il-central-1", "enable it under Account, AWS Regions, or leave it out"),
            (503, Some("SlowDown"), "us-east-1", "AWS refuses to write k in bucket b: SlowDown: AWS's words"),
        ] {
            let said = said(status, code, region)?;
            assert!(said.contains(expected), "{said}");
        }
        Ok(())
    }
}
