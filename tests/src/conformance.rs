//! Conformance of the account in memory: the same calls on it, on the local engine and on moto's server, through the
//! domain's own port, answer by answer.

pub mod differences;
pub mod sequences;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_iam::Client as IamClient;
use aws_sdk_iam::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::Client as S3Client;
use cavatica_access::port::{Account, Failure, Look, Observation, PolicyEntity, Verdict, Version};
use cavatica_aws::{AwsAccount, connector};
use cavatica_local::engine::Engine;
use cavatica_local::python;
use cavatica_local::workspace::Workspace;
use cavatica_memory::{HeldBucket, MemoryAccount};
use serde_json::Value;

use self::differences::{DIFFERENCES, Side};
use self::sequences::{Hand, Sequence, Step};
use crate::Error;

/// Pinned requirements of moto's server.
const REQUIREMENTS: &str = include_str!("conformance/requirements.txt");
/// Launcher of the server, which ends with this process.
const MOTO: &str = include_str!("conformance/moto.py");

/// Result of the comparison.
#[derive(Debug, Default)]
pub struct Compared {
    /// Sequences that were played.
    pub sequences: usize,
    /// Answers that were compared.
    pub answers: usize,
    /// Known differences that were met, as often as they were.
    pub met: Vec<usize>,
    /// Differences that nobody knows.
    pub unknown: Vec<String>,
}

/// Plays sequences on everything and compares.
pub async fn compare(sequences: &[Sequence]) -> Result<Compared, Error> {
    let workspace = Workspace::locate()?;
    let engine = Engine::start(&workspace).await?;
    let moto = Moto::start(&workspace)?;
    let reference = memory(sequences).await?;
    let engine_side = Server::new(&engine.sdk_config(), format!("{}/_ministack/reset", engine.url()));
    let moto_side = Server::new(&config(&moto.url), format!("{}/moto-api/reset", moto.url));
    let (on_engine, on_moto) = tokio::try_join!(engine_side.play(sequences), moto_side.play(sequences))?;
    engine.stop().await?;

    let mut compared = Compared { sequences: sequences.len(), met: vec![0; DIFFERENCES.len()], ..Compared::default() };
    for (side, answers) in [(Side::Engine, on_engine), (Side::Moto, on_moto)] {
        for ((sequence, reference), answers) in sequences.iter().zip(&reference).zip(&answers) {
            compared.sequence(side, sequence, reference, answers);
        }
    }
    Ok(compared)
}

impl Compared {
    /// Compares a sequence up to the first change that ended differently: from there on the accounts are not the same.
    fn sequence(&mut self, side: Side, sequence: &Sequence, reference: &[String], answers: &[String]) {
        for ((step, memory), emulator) in sequence.steps.iter().zip(reference).zip(answers) {
            self.answers += 1;
            if memory == emulator {
                continue;
            }
            let action = name(step);
            let known = DIFFERENCES.iter().position(|known| known.is(side, &action, memory, emulator));
            match known {
                Some(known) => self.met[known] += 1,
                None => self.unknown.push(format!(
                    "{side:?}, {}: {action}\n  memory:   {memory}\n  emulator: {emulator}",
                    sequence.name
                )),
            }
            if matches!(step, Step::Change(_)) {
                return;
            }
        }
    }
}

/// Returns the name of a step.
fn name(step: &Step) -> String {
    match step {
        Step::Change(change) => format!("{:?}", change.action()),
        Step::Read(Look::PolicyEntities(_, usage)) => format!("Carriers as {usage:?}"),
        Step::Read(read) => {
            let text = format!("{read:?}");
            text.split('(').next().unwrap_or_default().to_owned()
        }
        Step::Hand(_) => "by hand".to_owned(),
    }
}

/// Returns the answers of the account in memory, a fresh one for each sequence.
async fn memory(sequences: &[Sequence]) -> Result<Vec<Vec<String>>, Error> {
    let mut all = Vec::new();
    for sequence in sequences {
        let account = MemoryAccount::new("123456789012".parse()?);
        account.apply(&sequences::cap()?).await?;
        let mut answers = Vec::new();
        for step in &sequence.steps {
            answers.push(match step {
                Step::Hand(hand) => {
                    match hand {
                        Hand::PutInline(role) => account.put_inline_by_hand(role, "inline"),
                        Hand::Profile(role) => account.set_instance_profile_by_hand("profile", role, true),
                        Hand::MakeBucket(name) => {
                            let (owner, region) = ("123456789012".parse()?, "us-east-1".parse()?);
                            let held = HeldBucket { owner, region, key: None, cors: Vec::new() };
                            account.hold(name.clone(), Some(held));
                        }
                        Hand::AttachUser(arn) => {
                            account.attach_by_hand(PolicyEntity::User("u".to_owned()), arn.clone())
                        }
                        Hand::AttachGroup(arn) => {
                            account.attach_by_hand(PolicyEntity::Group("g".to_owned()), arn.clone())
                        }
                    }
                    String::new()
                }
                step => ask(&account, step).await,
            });
        }
        all.push(answers);
    }
    Ok(all)
}

/// An emulator behind the adapter that the function uses.
struct Server {
    account: AwsAccount,
    iam: IamClient,
    s3: S3Client,
    reset: String,
}

impl Server {
    fn new(config: &SdkConfig, reset: String) -> Self {
        Self { account: AwsAccount::new(config), iam: IamClient::new(config), s3: S3Client::new(config), reset }
    }

    async fn play(&self, sequences: &[Sequence]) -> Result<Vec<Vec<String>>, Error> {
        let mut all = Vec::new();
        for sequence in sequences {
            post(&self.reset).await?;
            self.account.apply(&sequences::cap()?).await?;
            let mut answers = Vec::new();
            for step in &sequence.steps {
                answers.push(match step {
                    Step::Hand(hand) => {
                        self.by_hand(hand).await?;
                        String::new()
                    }
                    step => ask(&self.account, step).await,
                });
            }
            all.push(answers);
        }
        Ok(all)
    }

    async fn by_hand(&self, hand: &Hand) -> Result<(), Error> {
        let iam = &self.iam;
        match hand {
            Hand::PutInline(role) => {
                let document =
                    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
                let call = iam.put_role_policy().role_name(role.as_str()).policy_name("inline");
                call.policy_document(document).send().await?;
            }
            Hand::Profile(role) => {
                iam.create_instance_profile().instance_profile_name("profile").send().await?;
                let call = iam.add_role_to_instance_profile().instance_profile_name("profile");
                call.role_name(role.as_str()).send().await?;
            }
            Hand::MakeBucket(name) => {
                // Emulators keep buckets over a reset or not.
                let _ = self.s3.create_bucket().bucket(name.as_str()).send().await;
            }
            Hand::AttachUser(arn) => {
                iam.create_user().user_name("u").send().await?;
                iam.attach_user_policy().user_name("u").policy_arn(arn.as_str()).send().await?;
            }
            Hand::AttachGroup(arn) => {
                iam.create_group().group_name("g").send().await?;
                iam.attach_group_policy().group_name("g").policy_arn(arn.as_str()).send().await?;
            }
        }
        Ok(())
    }
}

/// One answer as text: what was read with lists in order and made-up IDs left out, or the code of the failure.
async fn ask<I: Account>(account: &I, step: &Step) -> String {
    let answer: Result<String, Failure> = async {
        Ok(match step {
            Step::Change(change) => {
                let receipt = account.apply(change).await?;
                format!("done{}", if receipt.role_id.is_some() { " with an ID" } else { "" })
            }
            Step::Read(look) => shown(account.look(look).await?),
            Step::Hand(_) => String::new(),
        })
    }
    .await;
    answer.unwrap_or_else(|failure| failure.code)
}

/// Returns the answer to a read, in an order of its own where AWS promises none.
fn shown(observation: Observation) -> String {
    fn sorted<T: Ord + std::fmt::Debug>(mut list: Vec<T>) -> String {
        list.sort_unstable();
        format!("{list:?}")
    }
    match observation {
        Observation::Role(Some(role)) => format!(
            "{} {:?} {} {:?} {} {:?}",
            role.arn,
            role.tags,
            canonical(&role.trust),
            role.description,
            role.max_session_duration,
            role.boundary
        ),
        Observation::Policy(Some(policy)) => format!("{} {:?} {}", policy.arn, policy.tags, policy.default_version),
        Observation::Role(None) | Observation::Policy(None) | Observation::Tags(None) => "none".to_owned(),
        Observation::Policies(policies) => sorted(policies),
        Observation::Names(names) => sorted(names),
        Observation::Versions(versions) => {
            let version = |it: &Version| format!("{}{}", it.id, if it.is_default { "*" } else { "" });
            versions.iter().map(version).collect::<Vec<_>>().join(" ")
        }
        Observation::Document(document) => canonical(&document),
        Observation::PolicyEntities(entities) => sorted(entities),
        Observation::Region(region) => region.to_string(),
        Observation::Verdicts(mut verdicts) => {
            verdicts.sort_by(|one, other| one.resource.cmp(&other.resource));
            let verdict = |it: &Verdict| format!("{} {:?}", it.resource, it.forbidden_by);
            verdicts.iter().map(verdict).collect::<Vec<_>>().join(", ")
        }
        Observation::Account(id) => id.to_string(),
        Observation::Tags(Some(tags)) => format!("{tags:?}"),
        Observation::Key(key) => format!("{key:?}"),
        Observation::CorsRules(rules) => format!("{rules:?}"),
    }
}

/// JSON with its keys in order.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let sorted: std::collections::BTreeMap<_, _> = object.iter().map(|(k, v)| (k, canonical(v))).collect();
            format!("{sorted:?}")
        }
        Value::Array(items) => format!("{:?}", items.iter().map(canonical).collect::<Vec<_>>()),
        plain => plain.to_string(),
    }
}

/// Returns a POST without a body, to one of the emulators' own addresses.
async fn post(url: &str) -> Result<(), Error> {
    use http_body_util::Empty;
    use hyper::body::Bytes;
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(hyper::Request::post(url).body(Empty::new())?).await?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("{url} answered {}", answer.status()).into()) }
}

fn config(url: &str) -> SdkConfig {
    let connector = connector();
    let credentials = Credentials::new("test", "test", None, None, "a second opinion");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::from_static(Engine::REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_runtime_api::client::http::http_client_fn(move |_, _| connector.clone()))
        .build()
}

/// moto's server; ends when this is dropped, and when this process goes.
struct Moto {
    url: String,
    process: Child,
}

impl Moto {
    fn start(workspace: &Workspace) -> Result<Self, Error> {
        let venv = python::environment(workspace, "second-opinion", REQUIREMENTS)?;
        let mut process = Command::new(venv.bin("python"))
            .args(["-I", "-c", MOTO])
            .env("MOTO_ACCOUNT_ID", Engine::ACCOUNT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let port: u16 = line.trim().parse().map_err(|_| "moto's server did not start; its output says why")?;
        Ok(Self { url: format!("http://127.0.0.1:{port}"), process })
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Best effort: its standard input ends with this process in any case.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
