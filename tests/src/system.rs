//! The whole system on this machine: local engine, published Lambda and template, and what IAM holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_sdk_iam::types::PolicyScopeType;
use cavatica_access::platform::CAVATICA;
use cavatica_connect::account::Account;
use cavatica_connect::deploy::client::{Definition, Pace, Stacks};
use cavatica_connect::deploy::follow::{KnownEvents, Operation, first_cause};
use cavatica_connect::publish::plan::Wish;
use cavatica_connect::publish::versions::Published;
use cavatica_connect::publish::{Place, ReleaseParts, carry_out};
use cavatica_connect::release::build::{self, Profile};
use cavatica_connect::release::package;
use cavatica_connect::release::zip::{Asset, Compression};
use cavatica_local::engine::Engine;
use cavatica_local::workspace::Workspace;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::Error;

/// The bucket that the fixtures are about.
pub const BUCKET: &str = "genomics-lab-data";
/// Where zip and templates are.
const ASSETS: &str = "cavatica-connect-assets";

/// The Lambda's binary for the local engine; built when need be, once for all tests of a process.
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
    pub stacks: Stacks,
    release: Published,
}

/// How an operation on a stack ended.
#[derive(Debug)]
pub struct Ended {
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
        let wish = Wish { create_buckets: true, audience: None };
        let publication = carry_out::all(&Account::of(config.clone()).await?, &parts, &wish).await?;
        Ok(Self {
            iam: aws_sdk_iam::Client::new(&config),
            stacks: Stacks::new(aws_sdk_cloudformation::Client::new(&config), Pace::EMULATOR),
            release: publication.entry,
            s3,
            engine,
        })
    }

    /// Returns the stack of the template with parameters.
    #[must_use]
    pub fn definition(&self, parameters: &[(&str, &str)]) -> Definition {
        Definition {
            template_url: self.address("cavatica-volume.template.yaml"),
            parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            names_iam: false,
        }
    }

    /// Creates a stack of the native template and waits for its end.
    pub async fn create_native(&self, parameters: &[(&str, &str)]) -> Result<Ended, Error> {
        let template_url = self.address("cavatica-volume-native.template.yaml");
        let definition = Definition { template_url, names_iam: true, ..self.definition(parameters) };
        let operation = self.stacks.create("my-native-volume", &definition).await?;
        self.end(operation).await
    }

    /// Creates a stack and waits for its end.
    pub async fn create(&self, parameters: &[(&str, &str)]) -> Result<Ended, Error> {
        let operation = self.stacks.create("my-volume", &self.definition(parameters)).await?;
        self.end(operation).await
    }

    /// Updates a stack and waits for its end.
    pub async fn update(&self, id: &str, parameters: &[(&str, &str)]) -> Result<Ended, Error> {
        let operation = self.stacks.update(id, &self.definition(parameters)).await?;
        self.end(operation.ok_or("there was nothing to update")?).await
    }

    /// Deletes a stack and waits for its end.
    pub async fn delete(&self, id: &str) -> Result<Ended, Error> {
        let operation = self.stacks.delete(id).await?;
        self.end(operation).await
    }

    async fn end(&self, operation: Operation) -> Result<Ended, Error> {
        let mut known = KnownEvents::default();
        let status = self.stacks.follow(&operation, &mut known, |_| {}).await?.status;
        let own: Vec<_> = known.all.into_iter().filter(|event| event.token == operation.token).collect();
        Ok(Ended { id: operation.stack_id, status, cause: first_cause(&own).unwrap_or_default() })
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

    /// A role and a policy of somebody else.
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

    /// The key of the function's code.
    #[must_use]
    pub fn code_key(&self) -> &str {
        self.key_of(&package::zip_name())
    }

    fn key_of(&self, name: &str) -> &str {
        self.release.file(name).map(|file| file.key.as_str()).unwrap_or_default()
    }

    /// The engine's address of a file of the release.
    fn address(&self, name: &str) -> String {
        format!("{}/{ASSETS}/{}", self.engine.url(), self.key_of(name))
    }
}

/// A document as IAM gives it, percent-encoded.
#[must_use]
pub fn decoded(document: Option<String>) -> Value {
    let text = document.unwrap_or_default();
    serde_json::from_str(&percent_decode_str(&text).decode_utf8_lossy()).unwrap_or_default()
}
