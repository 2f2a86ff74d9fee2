//! The platform's role on the engine, in an account of its own.

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use cavatica_access::names::RoleArn;
use cavatica_access::platform::Platform;
use cavatica_aws::failure;
use cavatica_local::engine::Engine;
use serde_json::json;

use super::LocalPlatformError;

/// Credentials of the platform's role.
#[derive(Debug, Clone)]
pub struct PlatformCaller {
    config: SdkConfig,
}

impl PlatformCaller {
    /// Creates the platform's role on the engine, and assumes it.
    pub async fn on(engine: &Engine, platform: &Platform) -> Result<Self, LocalPlatformError> {
        let role: RoleArn = platform.principal.parse().map_err(LocalPlatformError::Principal)?;
        let config = engine.sdk_config_of(role.account.as_str());
        let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": format!("arn:aws:iam::{}:root", role.account)}}]});
        let call = aws_sdk_iam::Client::new(&config).create_role().role_name(role.name.as_str());
        let created = call.assume_role_policy_document(trust.to_string()).send().await;
        let doing = "create the platform's role";
        created.map_err(|error| LocalPlatformError::Aws { doing, source: failure::of(error) })?;
        Ok(Self { config: assume(&config, &platform.principal, None).await? })
    }

    /// Assumes a role as the platform, and returns the configuration for its clients.
    pub async fn assume(&self, role: &str, external_id: Option<&str>) -> Result<SdkConfig, LocalPlatformError> {
        assume(&self.config, role, external_id).await
    }
}

async fn assume(config: &SdkConfig, role: &str, external_id: Option<&str>) -> Result<SdkConfig, LocalPlatformError> {
    let doing = "assume the role";
    let call = aws_sdk_sts::Client::new(config).assume_role().role_arn(role).role_session_name("platform");
    let answer = call.set_external_id(external_id.map(str::to_owned)).send().await;
    let answer = answer.map_err(|error| LocalPlatformError::Aws { doing, source: failure::of(error) })?;
    let given =
        answer.credentials.ok_or_else(|| LocalPlatformError::Document("no credentials of the role".to_owned()))?;
    let token = Some(given.session_token);
    let credentials = Credentials::new(given.access_key_id, given.secret_access_key, token, None, "platform");
    Ok(config.to_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build())
}
