//! The whole system on this machine: local engine, published Lambda and template, and what IAM holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_sdk_cloudformation::error::ProvideErrorMetadata as _;
use aws_sdk_cloudformation::types::{Capability, Parameter};
use aws_sdk_iam::types::PolicyScopeType;
use cavatica_access::platform::CAVATICA;
use cavatica_connect::account::Account;
use cavatica_connect::deploy::follow::{KnownEvents, Operation, OperationKind, first_cause};
use cavatica_connect::deploy::stacks::{Stacks, new_token};
use cavatica_connect::publish::plan::DesiredBucket;
use cavatica_connect::publish::versions::Published;
use cavatica_connect::publish::{Place, ReleaseParts, execute};
use cavatica_connect::release::build::{self, Profile};
use cavatica_connect::release::package;
use cavatica_connect::release::zip::{Asset, Compression};
use cavatica_connect::waits::Pace;
use cavatica_generator::template::files;
use cavatica_local::engine::Engine;
use cavatica_local::workspace::Workspace;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::Error;

/// The bucket that the fixtures are about.
pub const BUCKET: &str = "genomics-lab-data";
/// Folder of zip and templates.
const ASSETS: &str = "cavatica-connect-assets";

/// Returns the Lambda's binary for the local engine; built when need be, once for all tests of a process.
pub async fn binary() -> Result<PathBuf, Error> {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    let build = || Ok::<_, Error>(build::build(&Workspace::locate()?, Profile::Local, |_| {})?.binary);
    Ok(BINARY.get_or_try_init(async || tokio::task::spawn_blocking(build).await?).await?.clone())
}

/// Its zip, packed once for all tests of a process.
async fn code() -> Result<&'static Asset, Error> {
    static CODE: OnceCell<Asset> = OnceCell::const_new();
    CODE.get_or_try_init(|| async { Ok(Asset::packed(&binary().await?, Compression::Fast)?) }).await
}

/// A local engine with our release on it.
#[derive(Debug)]
pub struct System {
    /// The engine.
    pub engine: Engine,
    /// Its IAM.
    pub iam: aws_sdk_iam::Client,
    /// Its S3.
    pub s3: aws_sdk_s3::Client,
    /// Its CloudFormation.
    pub cloudformation: aws_sdk_cloudformation::Client,
    /// The same as the commands use it.
    pub stacks: Stacks,
    release: Published,
}

/// A template of the release, and parameters; those that are missing take their defaults.
#[derive(Debug, Clone, Copy)]
pub struct Definition<'d> {
    /// True for the template without a function.
    pub is_native: bool,
    /// Names and values.
    pub parameters: &'d [(&'d str, &'d str)],
}

impl Definition<'_> {
    fn parameters(self) -> Vec<Parameter> {
        let parameter =
            |(name, value): &(&str, &str)| Parameter::builder().parameter_key(*name).parameter_value(*value).build();
        self.parameters.iter().map(parameter).collect()
    }

    fn capability(self) -> Capability {
        if self.is_native { Capability::CapabilityNamedIam } else { Capability::CapabilityIam }
    }
}

/// Result of an operation on a stack.
#[derive(Debug)]
pub struct OperationResult {
    /// The stack's ID.
    pub id: String,
    /// Its status.
    pub status: String,
    /// Why it failed, if it did.
    pub cause: String,
}

impl System {
    /// Starts an engine of its own.
    pub async fn start() -> Result<Self, Error> {
        let (code, engine) = (code().await?, Engine::start(&Workspace::locate()?).await?);
        let config = engine.sdk_config();
        let s3 = aws_sdk_s3::Client::new(&config);
        s3.create_bucket().bucket(BUCKET).send().await?;
        let place = Place { region: Engine::REGION.to_owned(), bucket: ASSETS.to_owned() };
        let parts = ReleaseParts::of_code(&CAVATICA, code, None, None, vec![place]);
        let desired = DesiredBucket { create_buckets: true, audience: None };
        let publication = execute::all(&Account::of(config.clone()).await?, &parts, &desired).await?;
        Ok(Self {
            iam: aws_sdk_iam::Client::new(&config),
            stacks: Stacks::new(aws_sdk_cloudformation::Client::new(&config), Pace::EMULATOR),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            release: publication.entry,
            s3,
            engine,
        })
    }

    /// Creates a stack of the native template and waits for its end.
    pub async fn create_native(&self, parameters: &[(&str, &str)]) -> Result<OperationResult, Error> {
        let operation = self.start_create("my-native-volume", Definition { is_native: true, parameters }).await?;
        self.end(operation).await
    }

    /// Creates a stack and waits for its end.
    pub async fn create(&self, parameters: &[(&str, &str)]) -> Result<OperationResult, Error> {
        let operation = self.start_create("my-volume", Definition { is_native: false, parameters }).await?;
        self.end(operation).await
    }

    /// Starts creating a stack. A failed one stays, so that its events can be read.
    pub async fn start_create(&self, name: &str, definition: Definition<'_>) -> Result<Operation, Error> {
        let token = new_token();
        let call = self.cloudformation.create_stack().stack_name(name).template_url(self.template_url(definition));
        let call = call.set_parameters(Some(definition.parameters())).capabilities(definition.capability());
        let created = call.client_request_token(&token).send().await;
        let created = created.map_err(|error| error.message().unwrap_or("no answer").to_owned())?;
        let stack_id = created.stack_id.ok_or("no stack ID")?;
        Ok(Operation { stack_id, token: Some(token), kind: OperationKind::Create })
    }

    /// Updates a stack and waits for its end.
    pub async fn update(&self, id: &str, parameters: &[(&str, &str)]) -> Result<OperationResult, Error> {
        let (token, definition) = (new_token(), Definition { is_native: false, parameters });
        let call = self.cloudformation.update_stack().stack_name(id).template_url(self.template_url(definition));
        let call = call.set_parameters(Some(definition.parameters())).capabilities(definition.capability());
        call.client_request_token(&token).send().await?;
        self.end(Operation { stack_id: id.to_owned(), token: Some(token), kind: OperationKind::Update }).await
    }

    fn template_url(&self, definition: Definition<'_>) -> String {
        self.address(&files::name(&CAVATICA, definition.is_native))
    }

    /// Deletes a stack and waits for its end.
    pub async fn delete(&self, id: &str) -> Result<OperationResult, Error> {
        let operation = self.stacks.delete(id).await?;
        self.end(operation).await
    }

    async fn end(&self, operation: Operation) -> Result<OperationResult, Error> {
        let mut known = KnownEvents::default();
        let status = self.stacks.follow(&operation, &mut known, |_| {}).await?.status;
        let own: Vec<_> = known.all.into_iter().filter(|event| event.token == operation.token).collect();
        Ok(OperationResult { id: operation.stack_id, status, cause: first_cause(&own).unwrap_or_default() })
    }

    /// Everything IAM holds that somebody could miss: roles, their trust and attachments, policies and their documents.
    pub async fn account(&self) -> Result<BTreeMap<String, Value>, Error> {
        let mut account = BTreeMap::new();
        for role in self.iam.list_roles().into_paginator().items().send().try_collect().await? {
            let held = self.iam.get_role().role_name(&role.role_name).send().await?.role;
            let held = held.ok_or("a role without content")?;
            let attached = self.iam.list_attached_role_policies().role_name(&role.role_name).send().await?;
            let attached: Vec<_> =
                attached.attached_policies.unwrap_or_default().into_iter().filter_map(|p| p.policy_arn).collect();
            let tags: BTreeMap<_, _> =
                held.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect();
            account.insert(
                role.arn,
                json!({
                    "id": held.role_id, "trust": decoded(held.assume_role_policy_document), "attached": attached, "tags": tags,
                    "description": held.description, "max_session_duration": held.max_session_duration,
                }),
            );
        }
        let policies = self.iam.list_policies().scope(PolicyScopeType::Local).into_paginator().items().send();
        for policy in policies.try_collect().await? {
            let (arn, version) = (policy.arn.unwrap_or_default(), policy.default_version_id.unwrap_or_default());
            let document = self.iam.get_policy_version().policy_arn(&arn).version_id(&version).send().await?;
            let document = document.policy_version.and_then(|version| version.document);
            account.insert(arn, json!({"version": version, "document": decoded(document)}));
        }
        Ok(account)
    }

    /// Returns a role and a policy of somebody else.
    pub async fn add_foreign(&self, role: Option<&str>, policy: Option<&str>) -> Result<(), Error> {
        if let Some(name) = role {
            let trust = json!({"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
            let call = self.iam.create_role().role_name(name).assume_role_policy_document(trust.to_string());
            call.description("somebody else's").send().await?;
        }
        if let Some(name) = policy {
            let document = json!({"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]});
            self.iam.create_policy().policy_name(name).policy_document(document.to_string()).send().await?;
        }
        Ok(())
    }

    /// Returns the key of the function's code.
    #[must_use]
    pub fn code_key(&self) -> &str {
        self.key_of(&package::zip_name())
    }

    fn key_of(&self, name: &str) -> &str {
        self.release.file(name).map(|file| file.key.as_str()).unwrap_or_default()
    }

    /// Returns the engine's address of a file of the release.
    fn address(&self, name: &str) -> String {
        format!("{}/{ASSETS}/{}", self.engine.url(), self.key_of(name))
    }
}

/// Returns a document as IAM gives it, percent-encoded.
#[must_use]
pub fn decoded(document: Option<String>) -> Value {
    let text = document.unwrap_or_default();
    serde_json::from_str(&percent_decode_str(&text).decode_utf8_lossy()).unwrap_or_default()
}
