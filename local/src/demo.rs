//! The main job, watched: a stack comes up on a local engine, is looked into, changes and goes, and nothing is left.
//!
//! Every step checks what it shows: what differs from what was promised ends the demo with an error.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use cavatica_access::document::same_meaning;
use cavatica_access::volume::{AccessMode, Volume};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use cavatica_connect::account::{Account, AwsError};
use cavatica_connect::cli::console::Console;
use cavatica_connect::deploy::client::{Definition, StackError, Stacks};
use cavatica_connect::deploy::follow::{Seen, first_cause};
use cavatica_connect::documents::{DocumentsError, Subject, documents, read_volume};
use cavatica_connect::publish::plan::{Obstacle, Wish};
use cavatica_connect::publish::{Place, Publication, carry_out};
use cavatica_connect::release::build::{self, BuildError, Profile};
use cavatica_connect::release::workspace::{Workspace, WorkspaceError};
use cavatica_connect::release::zip::{Asset, ZipError};
use cavatica_connect::template::{Config, provided};

use crate::engine::{Engine, EngineError};

/// The lab's bucket and what is in it.
const BUCKET: &str = "genomics-lab-data";
const OBJECTS: [&str; 3] = ["raw/2026/sample-1.vcf", "raw/2026/sample-2.vcf", "notes/private.txt"];
/// Where a publisher would keep zip and template.
const ASSETS: &str = "cavatica-connect-assets";
const STACK: &str = "cavatica-volume";

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The source tree was not found.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The Lambda could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The Lambda cannot be packed.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// The engine's account is not to be had.
    #[error(transparent)]
    Account(#[from] AwsError),
    /// Zip and templates could not be published.
    #[error(transparent)]
    Publish(#[from] Obstacle),
    /// The engine could not be started.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The stack could not be handled.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The documents could not be computed.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    /// A call to the engine failed.
    #[error("the local engine refused while {doing}: {message}")]
    Call {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        message: String,
    },
    /// Something is not as it was promised.
    #[error("{what} is not as promised: {found}")]
    Mismatch {
        /// What was looked at.
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// The stack failed.
    #[error("the stack ended in {status}. First cause: {cause}")]
    Failed {
        /// Its status.
        status: String,
        /// The first failure among its events.
        cause: String,
    },
    /// The program is ending.
    #[error("the program is ending")]
    Ending(#[from] tokio::task::JoinError),
}

fn refused<E: ProvideErrorMetadata, R>(doing: &'static str) -> impl FnOnce(SdkError<E, R>) -> DemoError {
    move |error| {
        let message = error.message().or(error.code()).unwrap_or("no answer").to_owned();
        DemoError::Call { doing, message }
    }
}

/// Runs it.
pub async fn run(console: &Console) -> Result<(), DemoError> {
    let workspace = Workspace::locate()?;
    console.wait("preparing the local engine (the first time, this installs it)");
    let prepared = Engine::prepare(&workspace).await;
    console.rest();
    prepared?;

    console.part("The Lambda, as it is released");
    console.wait("cargo build --release (the first time takes some minutes)");
    let (for_build, for_console) = (workspace.clone(), console.clone());
    let binary =
        spawn_blocking(move || build::build(&for_build, Profile::Release, |line| for_console.goes_on(line))).await?;
    console.rest();
    let binary = binary?.binary;
    let asset = spawn_blocking(move || Asset::from_binary(&binary)).await??;
    console.holds(&format!("zip of {:.2} MB, SHA-256 {}…", asset.bytes.len() as f64 / 1e6, &asset.sha256[..12]));

    let begun = Instant::now();
    console.part("An AWS account on this machine");
    console.wait("starting the local engine");
    let engine = Engine::start(&workspace).await?;
    console.rest();
    console.say(&format!("account {} at {}", Engine::ACCOUNT, engine.url()));
    let result = play(&engine, console, &asset).await;
    console.rest();
    engine.stop().await?;
    result?;
    console.part("Done");
    console.holds(&format!("every step was checked; {:.1} s after compilation", begun.elapsed().as_secs_f64()));
    Ok(())
}

async fn play(engine: &Engine, console: &Console, asset: &Asset) -> Result<(), DemoError> {
    let account = Account::of(engine.sdk_config()).await?;
    Demo::new(engine, account, console).play(asset).await
}

struct Demo<'a> {
    console: &'a Console,
    url: &'a str,
    account: Account,
    s3: aws_sdk_s3::Client,
    iam: aws_sdk_iam::Client,
    stacks: Stacks,
}

/// Everything IAM holds in an account: roles with their trust, policies with their version in force.
#[derive(Debug, PartialEq, Eq)]
struct Inventory {
    roles: Vec<(String, Option<String>)>,
    policies: Vec<(String, Option<String>)>,
}

impl<'a> Demo<'a> {
    fn new(engine: &'a Engine, account: Account, console: &'a Console) -> Self {
        let config = engine.sdk_config();
        Self {
            console,
            url: engine.url(),
            account,
            s3: aws_sdk_s3::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            stacks: Stacks::new(aws_sdk_cloudformation::Client::new(&config)),
        }
    }

    async fn play(&self, asset: &Asset) -> Result<(), DemoError> {
        let console = self.console;
        self.bucket().await?;
        self.neighbours().await?;
        let template_url = self.publish(asset).await?;
        let before = self.inventory().await?;
        console.say(&format!(
            "IAM holds {} role and {} policy, both somebody else's",
            before.roles.len(),
            before.policies.len()
        ));

        console.part("Create: read-only, the whole bucket");
        let mut definition = Definition {
            template_url,
            parameters: vec![("BucketName".to_owned(), BUCKET.to_owned())],
            names_iam: false,
        };
        let mut seen = Seen::default();
        let stack = self.stacks.create(STACK, &definition).await?;
        self.follow(&stack, &mut seen, "CREATE_COMPLETE").await?;
        let outputs = self.stacks.outputs(&stack).await?;

        console.part("What the administrator copies into Cavatica");
        let template = provided::template(&Config::default());
        for output in &template.outputs {
            match outputs.get(output.name).map(|value| (value, serde_json::from_str(value))) {
                Some((_, Ok(json @ Value::Object(_)))) => console.json_entry(output.name, &json),
                Some((text, _)) => console.entry(output.name, text),
                None => {}
            }
        }
        self.check_outputs(&outputs)?;

        console.part("What Cavatica may do, read back from IAM");
        let whole =
            read_volume(BUCKET).map_err(|found| DemoError::Mismatch { what: "the demo's own volume", found })?;
        let first = self.documents_in_iam(&outputs).await?;
        console.json(&first);
        self.check_documents(&first, whole, &outputs)?;

        console.part("Update: read-write, one folder");
        for (name, value) in [("AccessMode", "ReadWrite"), ("Prefix", "raw/2026")] {
            definition.parameters.push((name.to_owned(), value.to_owned()));
        }
        self.stacks.update(&stack, &definition).await?;
        self.follow(&stack, &mut seen, "UPDATE_COMPLETE").await?;
        console.part("The difference, read back from IAM");
        let volume = read_volume(&format!("{BUCKET}/raw/2026"))
            .map_err(|found| DemoError::Mismatch { what: "the demo's own volume", found })?;
        let second = self.documents_in_iam(&outputs).await?;
        console.difference(&first, &second);
        self.check_documents(&second, Volume { access: AccessMode::ReadWrite, ..volume }, &outputs)?;
        let after_update = self.stacks.outputs(&stack).await?;
        check("the role's ARN after the update", after_update.get("RoleArn") == outputs.get("RoleArn"), &after_update)?;
        console.holds(&"the role is the same one: nothing to change in Cavatica");

        console.part("Delete");
        self.stacks.delete(&stack).await?;
        self.follow(&stack, &mut seen, "DELETE_COMPLETE").await?;
        let after = self.inventory().await?;
        check("the account after the delete", after == before, &after)?;
        console.holds(&"IAM holds exactly what it held before: nothing of ours is left, nothing of others was touched");
        let objects = self.objects().await?;
        check("the bucket after the delete", objects.len() == OBJECTS.len(), &objects)?;
        console.holds(&format!("the bucket and its {} objects were not touched", objects.len()));
        Ok(())
    }

    /// Makes the lab's bucket.
    async fn bucket(&self) -> Result<(), DemoError> {
        let doing = "making the bucket";
        self.s3.create_bucket().bucket(BUCKET).send().await.map_err(refused(doing))?;
        for key in OBJECTS {
            let body = format!("content of {key}").into_bytes();
            self.s3.put_object().bucket(BUCKET).key(key).body(body.into()).send().await.map_err(refused(doing))?;
        }
        self.console.say(&format!("bucket {BUCKET} with {} objects", OBJECTS.len()));
        Ok(())
    }

    /// What others have in the account, and must find as it was.
    async fn neighbours(&self) -> Result<(), DemoError> {
        let doing = "making somebody else's role and policy";
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
        let role = self.iam.create_role().role_name("sequencer-upload").assume_role_policy_document(trust.to_string());
        role.send().await.map_err(refused(doing))?;
        let document = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "s3:PutObject", "Resource": format!("arn:aws:s3:::{BUCKET}/raw/*")}]});
        let policy = self.iam.create_policy().policy_name("sequencer-upload").policy_document(document.to_string());
        policy.send().await.map_err(refused(doing))?;
        Ok(())
    }

    async fn objects(&self) -> Result<Vec<String>, DemoError> {
        let answer = self.s3.list_objects_v2().bucket(BUCKET).send().await.map_err(refused("listing the bucket"))?;
        Ok(answer.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect())
    }

    /// Publishes zip and template; returns the template's address.
    async fn publish(&self, asset: &Asset) -> Result<String, DemoError> {
        let place = Place { region: Engine::REGION.to_owned(), bucket: ASSETS.to_owned() };
        let publication = Publication::of_code(asset, None, None, vec![place]);
        carry_out::all(&self.account, &publication, &Wish { create_buckets: true, audience: None }).await?;
        self.console.say(&format!("zip and template in {ASSETS}"));
        let key = publication.entry.file("cavatica-volume.template.yaml").map(|file| file.key.as_str());
        Ok(format!("{}/{ASSETS}/{}", self.url, key.unwrap_or_default()))
    }

    async fn follow(&self, stack: &str, seen: &mut Seen, promised: &str) -> Result<(), DemoError> {
        self.console.wait("waiting for CloudFormation");
        let status = self.stacks.follow(stack, seen, |event| event.print(self.console)).await;
        self.console.rest();
        let status = status?;
        if status == promised {
            return Ok(());
        }
        let cause = first_cause(&seen.events).unwrap_or_else(|| "CloudFormation names none".to_owned());
        Err(DemoError::Failed { status, cause })
    }

    /// Every role and policy of the account.
    async fn inventory(&self) -> Result<Inventory, DemoError> {
        let doing = "listing roles and policies";
        let roles =
            self.iam.list_roles().into_paginator().items().send().try_collect().await.map_err(refused(doing))?;
        let policies = self.iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local);
        let policies = policies.into_paginator().items().send().try_collect().await.map_err(refused(doing))?;
        let mut inventory = Inventory {
            roles: roles.into_iter().map(|role| (role.arn, role.assume_role_policy_document)).collect(),
            policies: policies.into_iter().filter_map(|p| Some((p.arn?, p.default_version_id))).collect(),
        };
        inventory.roles.sort();
        inventory.policies.sort();
        Ok(inventory)
    }

    /// The two documents as IAM holds them.
    async fn documents_in_iam(&self, outputs: &BTreeMap<String, String>) -> Result<Value, DemoError> {
        let doing = "reading the documents back from IAM";
        let output = |name: &str| outputs.get(name).cloned().unwrap_or_default();
        let role = self.iam.get_role().role_name(output("RoleName")).send().await.map_err(refused(doing))?;
        let policy = self.iam.get_policy().policy_arn(output("PolicyArn")).send().await.map_err(refused(doing))?;
        let version = policy.policy.and_then(|policy| policy.default_version_id).unwrap_or_default();
        let call = self.iam.get_policy_version().policy_arn(output("PolicyArn")).version_id(version);
        let version = call.send().await.map_err(refused(doing))?.policy_version;
        let trust = role.role.and_then(|role| role.assume_role_policy_document);
        Ok(json!({"permissions": decoded(version.and_then(|v| v.document))?, "trust": decoded(trust)?}))
    }

    fn check_outputs(&self, outputs: &BTreeMap<String, String>) -> Result<(), DemoError> {
        let output = |name: &str| outputs.get(name).map(String::as_str).unwrap_or_default();
        check(
            "the output RoleArn",
            output("RoleArn").ends_with(output("RoleName")) && !output("RoleName").is_empty(),
            outputs,
        )?;
        let request: Option<Value> = serde_json::from_str(output("CreateVolumeRequest")).ok();
        let service = request.map(|request| request["service"].clone()).unwrap_or_default();
        let is_ready = service["credentials"]
            == json!({"role_arn": output("RoleArn"), "external_id": output("ExternalId")})
            && service["bucket"] == BUCKET;
        check("the output CreateVolumeRequest", is_ready, outputs)?;
        self.console
            .holds(&"CreateVolumeRequest is JSON with this role and external ID, ready to post to Cavatica's API");
        Ok(())
    }

    /// Compares what IAM holds with what `documents` prints for the same volume.
    fn check_documents(
        &self,
        held: &Value,
        volume: Volume,
        outputs: &BTreeMap<String, String>,
    ) -> Result<(), DemoError> {
        let mismatch = |found: &str| DemoError::Mismatch { what: "the demo's own request", found: found.to_owned() };
        let external_id = outputs.get("ExternalId").and_then(|id| id.parse().ok());
        let promised = documents(Subject {
            volumes: vec![volume],
            locations: Vec::new(),
            external_id,
            trusted_principal: None,
            partition: "aws".parse().map_err(mismatch)?,
            restrict_listing: false,
            omit_object_acls: false,
        })?;
        for (what, name) in [("the permission policy in IAM", "permissions"), ("the trust policy in IAM", "trust")] {
            check(what, same_meaning(&held[name], &promised[name]), &held[name])?;
        }
        self.console.holds(&"both documents are exactly those that `cavatica-connect documents` prints");
        Ok(())
    }
}

fn check(what: &'static str, holds: bool, found: &impl std::fmt::Debug) -> Result<(), DemoError> {
    if holds { Ok(()) } else { Err(DemoError::Mismatch { what, found: format!("{found:?}") }) }
}

/// IAM gives documents percent-encoded.
fn decoded(document: Option<String>) -> Result<Value, DemoError> {
    let text = document.unwrap_or_default();
    let text = percent_encoding::percent_decode_str(&text).decode_utf8_lossy();
    serde_json::from_str(&text)
        .map_err(|error| DemoError::Mismatch { what: "a document in IAM", found: error.to_string() })
}
