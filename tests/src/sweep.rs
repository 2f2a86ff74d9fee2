//! The real binary under faults: every call of every event of a stack's life, each spoilt in every way, one cell each.
//!
//! The events and what follows from an answer are [`cavatica_simulation::cloudformation`]'s; the account is the local
//! engine's. Cells run side by side with names of their own, so that waiting costs nobody anything.

mod proxy;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_iam::Client as IamClient;
use aws_sdk_s3::Client as S3Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::CorsRule;
use cavatica_access::blueprint::Blueprint;
use cavatica_access::document::same_meaning;
use cavatica_access::lineage::Lineage;
use cavatica_access::owner::{self, Owner, Tags};
use cavatica_access::request::Request;
use cavatica_local::engine::Engine;
use cavatica_local::workspace::Workspace;
use cavatica_simulation::cloudformation::{Operation, Rollback, Stack, StackRequest, Status, Step};
use cavatica_simulation::{cloudformation, events};
use serde_json::{Value, json};

use self::proxy::Proxy;
pub use self::proxy::{Call, Fault};
use crate::answer_server::AnswerServer;
use crate::function::{Environment, Function, InvocationResult};
use crate::{Error, system};

/// Time limit of the function, as in the template.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(180);
/// Engines that share the work; each is one process.
const ENGINES: usize = 3;
/// Cells at a time: most of them wait.
const AT_A_TIME: usize = 96;
/// A policy of somebody else's that caps the role.
const BOUNDARY: &str = "arn:aws:iam::123456789012:policy/sweep-boundary";

/// Legend of the table.
const LEGEND: &str = "< before the call took effect, > after it; a killed function is run again, as Lambda does.
A cell with a time passed: exactly one answer, within 180 s; FAILED naming the action where it stayed denied, SUCCESS
everywhere else; the account exactly as a success claims; and at the end nothing left of the stack, nothing else changed.
What is only to be reported (a check, or a CORS rule that cannot be looked at any more), and the look at a role that is to be
created, does not fail where it is denied.";

/// Scenario: operations on a stack, and the names of their events.
struct Scenario {
    operations: &'static [StackOperation],
    /// Events in order. Those without a name get no faults, because another scenario has them.
    events: &'static [Option<&'static str>],
    /// Calls that get faults: those that only this scenario has, or all.
    only: &'static [&'static str],
}

/// The calls of the checks and of the CORS configuration.
const ON_BUCKETS: [&str; 5] =
    ["GetBucketLocation", "GetEncryptionConfiguration", "GetBucketCORS", "PutBucketCORS", "SimulatePrincipalPolicy"];

/// Operation on a stack.
#[derive(Debug, Clone, Copy)]
enum StackOperation {
    Create,
    CreateWithChecks,
    CreateAndFail,
    Change,
    Rename,
    Delete,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        operations: &[StackOperation::Create, StackOperation::Change, StackOperation::Delete],
        events: &[Some("Create"), Some("Update in place"), Some("Delete")],
        only: &[],
    },
    Scenario {
        operations: &[StackOperation::Create, StackOperation::Rename, StackOperation::Delete],
        events: &[None, Some("Update that renames"), Some("Delete of the clean-up"), None],
        only: &[],
    },
    Scenario {
        operations: &[StackOperation::CreateAndFail],
        events: &[None, Some("Delete after a failed Create")],
        only: &[],
    },
    Scenario {
        operations: &[StackOperation::CreateWithChecks, StackOperation::Delete],
        events: &[Some("Create with checks and CORS"), Some("Delete with CORS")],
        only: &ON_BUCKETS,
    },
];

/// One call of one event with one fault.
#[derive(Debug, Clone)]
struct Cell {
    scenario: usize,
    event: usize,
    call: Call,
    fault: Fault,
}

/// Time to the answer, or the failure; `None` for a cell that was not run.
type CellResult = Option<Result<Duration, String>>;

/// Result of the sweep.
#[derive(Debug)]
pub struct SweepResult {
    /// Event and call, with the outcome of each fault.
    rows: Vec<(String, Vec<CellResult>)>,
    /// Duration.
    pub took: Duration,
}

impl SweepResult {
    /// Cells that passed, of how many.
    #[must_use]
    pub fn passed(&self) -> (usize, usize) {
        let cells = || self.rows.iter().flat_map(|(_, cells)| cells.iter().flatten());
        (cells().filter(|cell| cell.is_ok()).count(), cells().count())
    }

    /// Returns the failures, one line each.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let row = |(name, cells): &(String, Vec<CellResult>)| {
            let faults = Fault::ALL.iter().zip(cells);
            let failed = faults.filter_map(|((fault, _), cell)| Some((fault, cell.as_ref()?.as_ref().err()?)));
            failed.map(|(fault, error)| format!("{name}, {fault:?}: {error}")).collect::<Vec<_>>()
        };
        self.rows.iter().flat_map(row).collect()
    }

    /// One table: a row a call, a column a fault, in each cell the seconds to the answer.
    #[must_use]
    pub fn table(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut table = format!("{:width$}", "seconds to the answer");
        for (_, column) in Fault::ALL {
            let _ = write!(table, " {column:>9}");
        }
        for (name, cells) in &self.rows {
            let _ = write!(table, "\n{name:width$}");
            for cell in cells {
                let shown = match cell {
                    None => String::new(),
                    Some(Ok(took)) => format!("{:.1}", took.as_secs_f64()),
                    Some(Err(_)) => "FAILED".to_owned(),
                };
                let _ = write!(table, " {shown:>9}");
            }
        }
        let (passed, all) = self.passed();
        let _ = write!(table, "\n\n{LEGEND}");
        let _ = write!(table, "\n\n{passed} of {all} cells passed in {:.0} s", self.took.as_secs_f64());
        table
    }
}

/// Sweeps one cell in so many with a binary of the Lambda; `progress` is told how many cells are done, of how many.
#[allow(clippy::disallowed_methods, reason = "real time is what is measured here")]
pub async fn run(
    binary: PathBuf,
    one_cell_in: usize,
    progress: impl Fn(usize, usize) + Send + Sync + 'static,
) -> Result<SweepResult, Error> {
    let begun = Instant::now();
    let workspace = Workspace::locate()?;
    let mut engines = Vec::new();
    for _ in 0..ENGINES {
        engines.push(Arc::new(Engine::start(&workspace).await?));
    }
    for engine in &engines {
        bystanders(&IamClient::new(&engine.sdk_config())).await?;
    }
    let before = account(&IamClient::new(&engines[0].sdk_config())).await?;

    let mut cells = Vec::new();
    for (scenario, Scenario { events, only, .. }) in SCENARIOS.iter().enumerate() {
        let calls = ScenarioRunner::start(&engines[0], &binary, &format!("calm-{scenario}"))
            .await?
            .live(scenario, None)
            .await?
            .calls;
        for (event, calls) in calls.into_iter().enumerate().filter(|(event, _)| events[*event].is_some()) {
            for call in calls.into_iter().filter(|(action, _)| only.is_empty() || only.contains(&action.as_str())) {
                cells.extend(Fault::ALL.iter().map(|(fault, _)| Cell {
                    scenario,
                    event,
                    call: call.clone(),
                    fault: *fault,
                }));
            }
        }
    }

    // A different one in each row, so that every call and every fault is met.
    let is_played = |number: &usize| {
        let (row, column) = (number / Fault::ALL.len(), number % Fault::ALL.len());
        (row + column).is_multiple_of(one_cell_in)
    };
    let mut order: Vec<usize> = (0..cells.len()).filter(is_played).collect();
    let all = order.len();
    let results: Arc<Mutex<BTreeMap<usize, Result<Duration, String>>>> = Arc::default();
    let permits = Arc::new(tokio::sync::Semaphore::new(AT_A_TIME));
    let progress = Arc::new(progress);
    // What waits longest begins first.
    order.sort_by_key(|number| !matches!(cells[*number].fault, Fault::Denied));
    let mut tasks = tokio::task::JoinSet::new();
    for number in order {
        let (cell, engine) = (cells[number].clone(), Arc::clone(&engines[number % ENGINES]));
        let (results, permits, progress) = (Arc::clone(&results), Arc::clone(&permits), Arc::clone(&progress));
        let binary = binary.clone();
        tasks.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let result = swept(&engine, &binary, number, &cell).await.map_err(|error| error.to_string());
            let done = {
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.insert(number, result);
                results.len()
            };
            progress(done, all);
        });
    }
    while let Some(joined) = tasks.join_next().await {
        joined?;
    }
    let mut results = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
    let rows = cells.chunks(Fault::ALL.len()).enumerate().map(|(index, row)| {
        let name = SCENARIOS[row[0].scenario].events[row[0].event].unwrap_or_default();
        let (action, nth) = &row[0].call;
        let nth = if *nth > 1 { format!(" ({nth})") } else { String::new() };
        let first = index * Fault::ALL.len();
        let results = (first..first + row.len()).map(|number| results.remove(&number)).collect();
        (format!("{name}: {action}{nth}"), results)
    });
    let swept = SweepResult { rows: rows.collect(), took: begun.elapsed() };
    for engine in engines {
        // A cell that failed may have left something; it is told anyway.
        if swept.failures().is_empty() && account(&IamClient::new(&engine.sdk_config())).await? != before {
            return Err("somebody else's role or policy changed, or something is left behind".into());
        }
        if let Some(engine) = Arc::into_inner(engine) {
            engine.stop().await?;
        }
    }
    Ok(swept)
}

/// Makes what is somebody else's: a boundary, a role, and a policy on it.
async fn bystanders(iam: &IamClient) -> Result<(), Error> {
    let statement = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"});
    let document = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    iam.create_policy().policy_name("sweep-boundary").policy_document(document).send().await?;
    let statement =
        json!({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"});
    let trust = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    iam.create_role().role_name("bystander").assume_role_policy_document(trust).send().await?;
    iam.attach_role_policy().role_name("bystander").policy_arn(BOUNDARY).send().await?;
    Ok(())
}

/// Returns the names in an account, with trust and attachments.
async fn account(iam: &IamClient) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for role in iam.list_roles().send().await?.roles {
        let attached = iam.list_attached_role_policies().role_name(&role.role_name).send().await?.attached_policies;
        let attached: Vec<_> =
            attached.unwrap_or_default().into_iter().filter_map(|policy| policy.policy_arn).collect();
        names.push(format!("{} {:?} {attached:?}", role.role_name, role.assume_role_policy_document));
    }
    let policies = iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await?.policies;
    names.extend(
        policies
            .unwrap_or_default()
            .into_iter()
            .filter_map(|policy| Some(format!("{} {}", policy.policy_name?, policy.default_version_id?))),
    );
    Ok(names)
}

/// Plays one cell; the time to the spoilt event's answer.
async fn swept(engine: &Engine, binary: &PathBuf, number: usize, cell: &Cell) -> Result<Duration, Error> {
    let simulator = ScenarioRunner::start(engine, binary, &format!("sweep-{number}")).await?;
    let lived = simulator.live(cell.scenario, Some(cell)).await?;
    lived.took.ok_or_else(|| "the call was not made".into())
}

/// True if an event goes on without a call that stays denied, and reports it.
fn is_optional(cell: &Cell) -> bool {
    let begins_with =
        |start: &str| SCENARIOS[cell.scenario].events[cell.event].is_some_and(|name| name.starts_with(start));
    let is_delete = begins_with("Delete");
    match cell.call.0.as_str() {
        // Where the role is to be created, its tags tell that there is none.
        "GetRole" => begins_with("Create") || begins_with("Update that renames"),
        "SimulatePrincipalPolicy" | "GetEncryptionConfiguration" => true,
        "GetBucketLocation" | "GetBucketCORS" => is_delete,
        _ => false,
    }
}

/// Plays a life with names of its own.
struct ScenarioRunner<'e> {
    iam: IamClient,
    s3: S3Client,
    proxy: Proxy,
    answer_server: AnswerServer,
    binary: &'e PathBuf,
    name: String,
    stack: Stack<()>,
}

/// Result of a scenario.
#[derive(Debug, Default)]
struct ScenarioResult {
    /// The calls of each event.
    calls: Vec<Vec<Call>>,
    /// From the spoilt event to its answer.
    took: Option<Duration>,
}

impl<'e> ScenarioRunner<'e> {
    async fn start(engine: &Engine, binary: &'e PathBuf, name: &str) -> Result<Self, Error> {
        let answer_server = AnswerServer::start().await?;
        Ok(Self {
            iam: IamClient::new(&engine.sdk_config()),
            s3: S3Client::new(&engine.sdk_config()),
            proxy: Proxy::start(engine.url()).await?,
            stack: Stack::new(&answer_server.response_url()),
            answer_server,
            binary,
            name: name.to_owned(),
        })
    }

    async fn live(mut self, scenario: usize, cell: Option<&Cell>) -> Result<ScenarioResult, Error> {
        let mut lived = ScenarioResult::default();
        self.s3.create_bucket().bucket(&self.name).send().await?;
        for done in SCENARIOS[scenario].operations {
            let operation = self.operation(*done)?;
            self.operate(operation, cell, &mut lived).await?;
        }
        // Whatever went wrong, the stack has to go now that nothing does.
        for _ in 0..2 {
            self.operate(Operation::ContinueRollback, None, &mut lived).await?;
            self.operate(Operation::Delete { retain: false }, None, &mut lived).await?;
        }
        if self.stack.status() != Status::Gone {
            return Err(format!("the stack ended as {:?}", self.stack.status()).into());
        }
        for name in [self.name.clone(), format!("{}-renamed", self.name)] {
            self.check_gone(&name).await?;
        }
        let ignores_cors_rules = cell.is_some_and(|cell| cell.fault == Fault::Denied && is_optional(cell));
        if !ignores_cors_rules && self.has_rule().await? {
            return Err("the CORS rule is still there".into());
        }
        self.s3.delete_bucket().bucket(&self.name).send().await?;
        Ok(lived)
    }

    fn operation(&self, done: StackOperation) -> Result<Operation<()>, Error> {
        let mut properties = events::event("create", "")?["ResourceProperties"].take();
        let named = |properties: &mut Value, name: &str| {
            properties["RoleName"] = json!(name);
            properties["PolicyName"] = json!(name);
            properties["PermissionsBoundaryArn"] = json!(BOUNDARY);
            // Not empty: the engine does not take a description away again.
            properties["Description"] = json!("as it was");
            properties["Tags"] = json!(["stage=first"]);
            properties["Volumes"][0]["BucketName"] = json!(self.name);
            properties["Checks"] = json!("Off");
        };
        named(&mut properties, &self.name);
        if matches!(done, StackOperation::CreateWithChecks) {
            properties["Checks"] = json!("Enforce");
            properties["ConfigureCors"] = json!("true");
        }
        if matches!(done, StackOperation::Change) {
            properties["Volumes"][0]["AccessMode"] = json!("ReadWrite");
            properties["ExternalId"] = json!("another-secret");
            properties["Tags"] = json!(["team=genomics"]);
            properties["Description"] = json!("changed");
        }
        if matches!(done, StackOperation::Rename) {
            named(&mut properties, &format!("{}-renamed", self.name));
        }
        let requested = Arc::new(StackRequest { properties, deployment: () });
        Ok(match done {
            StackOperation::Create | StackOperation::CreateWithChecks => {
                Operation::Create { requested, sibling_fails: false }
            }
            StackOperation::CreateAndFail => Operation::Create { requested, sibling_fails: true },
            StackOperation::Change | StackOperation::Rename => {
                Operation::Update { requested, sibling_fails: false, rollback: Rollback::default() }
            }
            StackOperation::Delete => Operation::Delete { retain: false },
        })
    }

    async fn operate(
        &mut self,
        operation: Operation<()>,
        cell: Option<&Cell>,
        lived: &mut ScenarioResult,
    ) -> Result<(), Error> {
        if !self.stack.begin(operation) {
            return Ok(());
        }
        while let Some(step) = self.stack.step() {
            let Step::Send(event) = step else { continue };
            let spoilt = cell.filter(|cell| cell.event == lived.calls.len() && lived.took.is_none());
            self.proxy.begin(spoilt.map(|cell| (cell.call.clone(), cell.fault)));
            let (body, took) = self.send(&event).await?;
            lived.calls.push(self.proxy.calls());
            if let Some(cell) = spoilt.filter(|_| self.proxy.has_spoilt()) {
                lived.took = Some(took);
                self.check_answer(cell, &event, &body, took)?;
            }
            let answer = cloudformation::read(&event, &body)?;
            if answer.failure.is_none() {
                self.check(&event).await.map_err(|error| format!("after {}: {error}", event["RequestType"]))?;
            } else if spoilt.is_none() {
                return Err(format!("{} failed without need: {answer:?}", event["RequestType"]).into());
            }
            self.stack.take(Some(&body))?;
        }
        Ok(())
    }

    /// Runs the function on an event, again after it died; the answer, and how long it took.
    #[allow(clippy::disallowed_methods, reason = "real time is what is measured here")]
    async fn send(&self, event: &Value) -> Result<(String, Duration), Error> {
        let begun = Instant::now();
        let before = self.answer_server.requests().len();
        for _ in 0..2 {
            let mut function = Function::start(self.binary, Environment::of_the_fixtures(&self.proxy.url)).await?;
            tokio::select! {
                end = function.invoke(event, FUNCTION_TIMEOUT) => {
                    if end? != InvocationResult::Returned {
                        return Err(format!("the invocation failed: {}", function.log().await).into());
                    }
                    break;
                }
                // Dropped, the process is killed; Lambda runs the event again.
                () = self.proxy.dying() => {}
            }
        }
        let mut answers = self.answer_server.requests().split_off(before);
        let Some(answer) = answers.pop().filter(|_| answers.is_empty()) else {
            return Err(format!("not one answer, but others too: {answers:?}").into());
        };
        if answer.method != "PUT" || answer.content_type.as_deref() != Some("") {
            return Err(format!("{} with content type {:?}", answer.method, answer.content_type).into());
        }
        Ok((answer.body, begun.elapsed()))
    }

    /// Checks the answer: passing faults end in success, lasting denials are explained, in time and under the right ID.
    fn check_answer(&self, cell: &Cell, event: &Value, body: &str, took: Duration) -> Result<(), Error> {
        let answer = cloudformation::read(event, body)?;
        let name = event["ResourceProperties"]["RoleName"].as_str().unwrap_or_default();
        if answer.physical_id != format!("arn:aws:iam::{}:role/{name}", Engine::ACCOUNT) {
            return Err(format!("answered as {}", answer.physical_id).into());
        }
        if took >= FUNCTION_TIMEOUT {
            return Err(format!("answered after {took:?}").into());
        }
        let is_denied = cell.fault == Fault::Denied;
        match answer.failure {
            None if !is_denied || is_optional(cell) => Ok(()),
            None => Err(format!("succeeded without {}", cell.call.0).into()),
            Some(reason) if is_denied && reason.contains("AccessDenied") && reason.contains(&cell.call.0) => Ok(()),
            Some(reason) => Err(format!("failed: {reason}").into()),
        }
    }

    /// True if the account is as a success claims.
    async fn check(&self, event: &Value) -> Result<(), Error> {
        if event["RequestType"] == "Delete" {
            let id = event["PhysicalResourceId"].as_str().unwrap_or_default();
            return self.check_gone(id.rsplit('/').next().unwrap_or_default()).await;
        }
        let owner = Owner { stack: events::STACK.parse()?, resource: "VolumeAccess".to_owned() };
        let wanted = Blueprint::new(Request::parse(&event["ResourceProperties"])?, owner)?;
        let name = wanted.role.name.as_str();
        let role = self.iam.get_role().role_name(name).send().await?.role.ok_or("a role without content")?;
        let policy =
            self.iam.get_policy().policy_arn(wanted.policy.as_str()).send().await?.policy.ok_or("no policy")?;
        let version = policy.default_version_id.unwrap_or_default();
        let document =
            self.iam.get_policy_version().policy_arn(wanted.policy.as_str()).version_id(version).send().await?;
        let document = document.policy_version.and_then(|version| version.document);
        let attached = self.iam.list_attached_role_policies().role_name(name).send().await?.attached_policies;
        let attached: Vec<_> =
            attached.unwrap_or_default().into_iter().filter_map(|policy| policy.policy_arn).collect();
        let tags = |tags: Option<Vec<aws_sdk_iam::types::Tag>>| -> Tags {
            tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect()
        };
        let mut role_tags = tags(role.tags);
        let lineage = Lineage::of(&role_tags);
        role_tags.remove(owner::REPLACES);
        let boundary = role.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn);
        let aspects = [
            (
                "the trust policy",
                same_meaning(&system::decoded(role.assume_role_policy_document), &wanted.trust.to_value()),
            ),
            ("the document", same_meaning(&system::decoded(document), &wanted.permissions.to_value())),
            ("the attachments", attached == [wanted.policy.as_str()]),
            ("the role's tags", role_tags == wanted.role_tags()),
            ("the policy's tags", tags(policy.tags) == wanted.policy_tags()),
            (
                "the description",
                role.description.unwrap_or_default() == wanted.request.description.clone().unwrap_or_default(),
            ),
            ("the session", role.max_session_duration == i32::try_from(wanted.request.max_session_duration).ok()),
            ("the boundary", boundary.as_deref() == Some(BOUNDARY)),
            ("the generation", lineage.generation <= 2),
        ];
        if self.has_rule().await? != wanted.request.configure_cors {
            return Err("the CORS configuration is not as asked".into());
        }
        match aspects.iter().find(|(_, is_right)| !is_right) {
            Some((what, _)) => Err(format!("{what} of {name} is not as asked").into()),
            None => Ok(()),
        }
    }

    /// True if the bucket has a CORS rule of the stack.
    async fn has_rule(&self) -> Result<bool, Error> {
        match self.s3.get_bucket_cors().bucket(&self.name).send().await {
            Ok(answer) => {
                let is_ours = |rule: &CorsRule| rule.id().is_some_and(|id| id.starts_with("cavatica-connect:"));
                Ok(answer.cors_rules().iter().any(is_ours))
            }
            Err(error) if error.code() == Some("NoSuchCORSConfiguration") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn check_gone(&self, name: &str) -> Result<(), Error> {
        let role = self.iam.get_role().role_name(name).send().await;
        let policy = self.iam.get_policy().policy_arn(format!("arn:aws:iam::123456789012:policy/{name}")).send().await;
        if role.is_ok() || policy.is_ok() {
            return Err(format!("{name} is still there: role {}, policy {}", role.is_ok(), policy.is_ok()).into());
        }
        Ok(())
    }
}
