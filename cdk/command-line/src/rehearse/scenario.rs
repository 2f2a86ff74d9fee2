//! The steps of a rehearsal, each with its checks. `operations` has what several of them do, `manual_changes` the
//! changes by hand.

mod manual_changes;
mod operations;
mod volume;

use std::collections::BTreeMap;

use cavatica_access::volume::{AccessMode, Volume};
use cavatica_generator::documents::read_volume;
use serde_json::Value;
use tokio::time::Instant;

use super::access::{self, Answer, Attempt};
use super::fixture::{Fixture, OBJECTS};
use super::{Code, Line, Report, ReportOutput, Step, StepError, refused, template, unexpected};
use crate::console::{Console, Tone};
use crate::deploy::change_set::{ChangeSet, Purpose, TemplateAt};
use crate::deploy::follow::KnownEvents;
use crate::deploy::inspection::Documents;
use crate::deploy::outputs;
use crate::deploy::remains::{State, parts, states};
use crate::publish;
use crate::waits::{BETWEEN_REHEARSED_LOOKS, REHEARSED_CHANGE_WITHIN};

/// The folder of the volume after the update.
const FOLDER: &str = "raw/2026";

/// Attempts of Cavatica's, and whether each is to be granted: read-only, read-write, and when the stack is deleted.
const READ_ONLY: [(Attempt, bool); 8] = [
    (Attempt::Assume, true),
    (Attempt::AssumeWithoutId, false),
    (Attempt::AssumeWithOtherId, false),
    (Attempt::List("raw/2026/"), true),
    (Attempt::Read(OBJECTS[0]), true),
    (Attempt::Read(OBJECTS[2]), false),
    (Attempt::Write(RESULT), false),
    (Attempt::Delete(OBJECTS[0]), false),
];
const READ_WRITE: [(Attempt, bool); 2] = [(Attempt::Write(RESULT), true), (Attempt::Read(OBJECTS[2]), false)];
const DELETED: [(Attempt, bool); 1] = [(Attempt::Assume, false)];

/// The object that Cavatica writes.
const RESULT: &str = "raw/2026/result.txt";

/// The rehearsal so far.
pub(super) struct Scenario<'r> {
    fixture: &'r Fixture,
    code: &'r Code,
    tell: Console,
    shows_external_id: bool,
    template: Option<TemplateAt>,
    /// The main stack: its ID, and what was told of it.
    stack: Option<String>,
    known: KnownEvents,
    documents: Documents,
    unexpected: Vec<String>,
    /// The reason of the update that failed, which a later one repeats.
    reason: String,
}

/// The end of an operation.
struct Outcome {
    stack: String,
    status: String,
    cause: String,
}

impl Outcome {
    fn is(self, promised: &str) -> Result<Self, StepError> {
        if self.status == promised {
            return Ok(self);
        }
        Err(StepError::Failed { stack: self.stack, status: self.status, cause: self.cause })
    }

    /// Sees that the function's sentence says what is wrong; reports what the administrator gets.
    fn says(self, what: &str) -> Result<Report, StepError> {
        check("the reason", self.cause.contains(what), &self.cause)?;
        // CloudFormation adds the resource in front and its own IDs at the end.
        let sentence = self.cause.find(what).map_or(self.cause.as_str(), |at| &self.cause[at..]);
        let sentence = sentence.split(" (RequestToken").next().unwrap_or(sentence);
        Ok(Report::default().with([(Tone::Name, "reason".to_owned(), sentence.to_owned())]))
    }
}

impl<'r> Scenario<'r> {
    pub(super) fn new(fixture: &'r Fixture, code: &'r Code, output: &ReportOutput) -> Self {
        Self {
            fixture,
            code,
            tell: output.detail.clone(),
            shows_external_id: output.shows_external_id,
            template: None,
            stack: None,
            known: KnownEvents::default(),
            documents: Documents::default(),
            unexpected: Vec::new(),
            reason: String::new(),
        }
    }

    pub(super) fn unexpected(&self) -> &[String] {
        &self.unexpected
    }

    /// Plays a step.
    pub(super) async fn run(&mut self, step: Step) -> Result<Report, StepError> {
        match step {
            Step::Set => self.set().await,
            Step::Create => self.create().await,
            Step::Attach => self.attach().await,
            Step::Again => self.again().await,
            Step::Update => self.update().await,
            Step::Drift => self.changed_by_hand().await,
            Step::Rename => self.rename().await,
            Step::Repair => self.repair_volume().await,
            Step::FailedUpdate => self.failed_update().await,
            Step::WrongBucket => self.wrong_bucket().await,
            Step::TakenName => self.taken_name().await,
            Step::Detach => self.detach().await,
            Step::Destroy => self.destroy().await,
        }
    }

    async fn set(&mut self) -> Result<Report, StepError> {
        self.fixture.set().await?;
        self.tell.start_waiting("uploading the function's code and the template");
        self.template = Some(template(self.fixture, self.code).await?);
        self.tell.text(&format!("bucket {}", self.fixture.bucket()));
        Ok(Report::of(format!("{} objects", OBJECTS.len())))
    }

    async fn create(&mut self) -> Result<Report, StepError> {
        let (name, bucket) = (self.fixture.name.to_string(), self.fixture.bucket());
        let asked = [("BucketName", bucket.as_str()), ("Prefix", FOLDER)];
        let outcome = self.operate(&name, Purpose::NewStack, &asked).await?;
        self.stack = Some(outcome.stack.clone());
        outcome.is("CREATE_COMPLETE")?;
        let stack = self.stack().await?;
        self.tell.heading(&format!("What the administrator copies into {}", self.fixture.account.platform().name));
        let hidden = (!self.shows_external_id).then_some("hidden, since this may be a log");
        outputs::tell(self.fixture.account.platform(), &stack.outputs, hidden, &self.tell);
        self.check_outputs(&stack.outputs)?;
        self.tell.heading(&format!("What {} may do, read back from IAM", self.fixture.account.platform().name));
        let observed_role =
            self.as_asked(&stack, &volume(&format!("{bucket}/{FOLDER}"), AccessMode::ReadOnly)?).await?;
        self.tell.json(&observed_role.permissions.observed);
        if self.shows_external_id {
            self.tell.heading("Who may assume the role, read back from IAM");
            self.tell.json(&observed_role.trust.observed);
        }
        self.tell.checked(&"both documents are exactly those that `cavatica-connect documents` prints");
        let copied = ["Grants", "RoleArn", "ExternalId"].into_iter().map(|name| {
            let is_hidden = name == "ExternalId" && !self.shows_external_id;
            let value = stack.outputs.get(name).cloned().unwrap_or_default();
            (Tone::Name, name.to_owned(), if is_hidden { "hidden, since this may be a log".to_owned() } else { value })
        });
        let report = Report::default().with(copied.collect::<Vec<_>>());
        let report = report.with(statements(&observed_role.permissions.observed));
        let trust = if self.shows_external_id { statements(&observed_role.trust.observed) } else { Vec::new() };
        let report = report.with(trust);
        self.documents = observed_role;
        let answers = self.attempts(&READ_ONLY).await?;
        Ok(report.with(answers))
    }

    async fn again(&mut self) -> Result<Report, StepError> {
        let proposal = self.proposal(&self.fixture.name.to_string(), Purpose::Update, &[]).await?;
        let change_set = ChangeSet::new(&proposal);
        match self.fixture.stacks.propose(&proposal, &change_set).await? {
            None => Ok(Report::default()),
            Some(change_set) => {
                self.fixture.stacks.withdraw(&change_set).await?;
                Err(StepError::Mismatch { what: "the proposal", found: format!("{:?}", change_set.changes) })
            }
        }
    }

    async fn update(&mut self) -> Result<Report, StepError> {
        let before = self.stack().await?;
        self.change(&[("AccessMode", "ReadWrite")]).await?.is("UPDATE_COMPLETE")?;
        let stack = self.stack().await?;
        let volume = volume(&format!("{}/{FOLDER}", self.fixture.bucket()), AccessMode::ReadWrite)?;
        let observed_role = self.as_asked(&stack, &volume).await?;
        self.tell.heading("The difference, read back from IAM");
        self.tell.difference(&self.documents.permissions.observed, &observed_role.permissions.observed);
        self.tell.checked(&"both documents are exactly those that `cavatica-connect documents` prints");
        self.documents = observed_role;
        let is_same = stack.outputs.get("RoleArn") == before.outputs.get("RoleArn");
        check("the role's ARN after the update", is_same, &stack.outputs)?;
        let answers = self.attempts(&READ_WRITE).await?;
        Ok(Report::of("the same role").with(answers))
    }

    async fn rename(&mut self) -> Result<Report, StepError> {
        let former = name_of(&self.stack().await?.outputs);
        let wanted = format!("{}-renamed", self.fixture.name);
        self.change(&[("RoleName", &wanted)]).await?.is("UPDATE_COMPLETE")?;
        let stack = self.stack().await?;
        check("the role's name", name_of(&stack.outputs) == wanted, &stack.outputs)?;
        let volume = volume(&format!("{}/{FOLDER}", self.fixture.bucket()), AccessMode::ReadWrite)?;
        self.documents = self.as_asked(&stack, &volume).await?;
        let gone = self.shown("that a role is gone", async |scenario| {
            match scenario.fixture.iam.get_role().role_name(&former).send().await {
                Err(error) if error.as_service_error().is_some_and(|it| it.is_no_such_entity_exception()) => {
                    Ok(Some(()))
                }
                Err(error) => Err(refused("look for the former role")(error)),
                Ok(_) => Ok(None),
            }
        });
        gone.await?;
        self.tell.checked(&format!("role {former} is gone"));
        Ok(Report::of(wanted))
    }

    async fn failed_update(&mut self) -> Result<Report, StepError> {
        let missing = self.fixture.missing_bucket();
        let outcome = self.change(&[("BucketName", &missing)]).await?.is("UPDATE_ROLLBACK_COMPLETE")?;
        let cause = outcome.says(&format!("Bucket {missing} does not exist"))?;
        let inspection = self.inspected(&self.stack().await?).await?;
        check("AWS after the rollback", inspection.is_as_requested(), &inspection)?;
        let is_same = inspection.documents == self.documents;
        check("the documents after the rollback", is_same, &inspection.documents)?;
        self.tell.checked(&"IAM holds what it held before");
        self.reason = cause.lines.first().map(|(_, _, sentence)| sentence.clone()).unwrap_or_default();
        Ok(cause.with([(Tone::Good, "kept".to_owned(), "IAM holds what it held before".to_owned())]))
    }

    async fn wrong_bucket(&mut self) -> Result<Report, StepError> {
        let (name, missing) = (self.fixture.lost_stack(), self.fixture.missing_bucket());
        let outcome = self.operate(&name, Purpose::NewStack, &[("BucketName", &missing)]).await?;
        let outcome = outcome.is("ROLLBACK_COMPLETE")?;
        let stack = outcome.stack.clone();
        let cause = outcome.says(&format!("Bucket {missing} does not exist"))?;
        let is_same = |(_, _, sentence): &Line| !self.reason.is_empty() && sentence.starts_with(&self.reason);
        let cause = if cause.lines.iter().all(is_same) { Report::of("for the same reason") } else { cause };
        self.delete(&stack, &mut KnownEvents::default()).await?;
        Ok(cause)
    }

    async fn taken_name(&mut self) -> Result<Report, StepError> {
        let (name, role, bucket) = (self.fixture.greedy_stack(), self.fixture.foreign_role(), self.fixture.bucket());
        let before = self.foreign_role().await?;
        let asked = [("BucketName", bucket.as_str()), ("RoleName", &role)];
        let outcome = self.operate(&name, Purpose::NewStack, &asked).await?.is("ROLLBACK_COMPLETE")?;
        let stack = outcome.stack.clone();
        let cause = outcome.says(&format!("Role {role} already exists"))?;
        self.delete(&stack, &mut KnownEvents::default()).await?;
        let after = self.foreign_role().await?;
        check("somebody else's role", before == after, &after)?;
        Ok(cause)
    }

    async fn destroy(&mut self) -> Result<Report, StepError> {
        let (stack, mut known) = (self.stack().await?, std::mem::take(&mut self.known));
        let parts = parts(self.fixture.account.platform(), &stack, &self.fixture.stacks.resources(&stack.id).await?);
        self.delete(&stack.id, &mut known).await?;
        let begun = Instant::now();
        let id = stack.id.parse().map_err(|_| mismatch("the stack's ID", &stack.id))?;
        let states = states(&self.fixture.account, self.fixture.region, &id, &parts).await;
        self.unexpected.extend(unexpected::of_wait("that what a stack had is gone", begun.elapsed()));
        let left = states.iter().filter(|(_, state)| *state != State::Gone);
        let left: Vec<_> = left.map(|(part, state)| format!("{part}: {state:?}")).collect();
        check("what the stack had", left.is_empty(), &left)?;
        parts.iter().for_each(|part| self.tell.checked(&format!("{part} is gone")));
        let keys = self.fixture.keys().await?;
        let are_there = OBJECTS.iter().all(|object| keys.iter().any(|key| key == object));
        check("the bucket after the delete", are_there, &keys)?;
        self.tell.checked(&format!("the bucket and its {} objects were not touched", OBJECTS.len()));
        let external_id = stack.outputs.get("ExternalId").cloned().unwrap_or_default();
        let answers = self.answers(&name_of(&stack.outputs), &external_id, &DELETED).await?;
        // The function's code is in the same bucket, unless it is a published one.
        let objects = keys.iter().filter(|key| !key.starts_with(publish::FOLDER)).count();
        let kept = format!("the bucket and its {objects} objects");
        Ok(Report::of("role, policy, boundary, function and log are gone").with(answers).with([(
            Tone::Good,
            "kept".to_owned(),
            kept,
        )]))
    }

    /// Makes attempts as Cavatica, with the role and the external ID of the main stack.
    async fn attempts(&mut self, promised: &[(Attempt, bool)]) -> Result<Vec<Line>, StepError> {
        let outputs = self.stack().await?.outputs;
        let external_id = outputs.get("ExternalId").cloned().unwrap_or_default();
        self.answers(&name_of(&outputs), &external_id, promised).await
    }

    /// Makes attempts, and sees that each is answered as promised.
    async fn answers(
        &mut self,
        role: &str,
        external_id: &str,
        promised: &[(Attempt, bool)],
    ) -> Result<Vec<Line>, StepError> {
        let attempts: Vec<_> = promised.iter().map(|(attempt, _)| *attempt).collect();
        let begun = Instant::now();
        let answers = loop {
            let answers = access::attempt(self.fixture, role, external_id, &attempts).await?;
            let mut compared = answers.iter().zip(promised);
            let Some((other, _)) = compared.find(|(answer, (_, is_promised))| answer.is_granted != *is_promised) else {
                break answers;
            };
            // IAM's simulator is behind by seconds; documents that were read decide at once.
            let may_be_behind = self.fixture.platform.is_none() && begun.elapsed() < REHEARSED_CHANGE_WITHIN;
            check("the platform's access", may_be_behind, other)?;
            tokio::time::sleep(BETWEEN_REHEARSED_LOOKS).await;
        };
        self.unexpected.extend(unexpected::of_wait("what the platform may do", begun.elapsed()));
        let line = |answer: &Answer| {
            let (tone, state) = if answer.is_granted { (Tone::Good, "granted") } else { (Tone::Denied, "denied") };
            (tone, state.to_owned(), format!("{} ({})", answer.attempt, answer.decided_by))
        };
        Ok(answers.iter().map(line).collect())
    }
}

/// Returns the statements of a permission or trust policy, each as a line.
fn statements(document: &Value) -> Vec<Line> {
    let list = |value: &Value| match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        one => one.as_str().map_or_else(|| one.to_string(), str::to_owned),
    };
    let line = |statement: &Value| {
        let subject = match (&statement["Principal"]["AWS"], &statement["Resource"]) {
            (Value::Null, resource) => format!("on {}", list(resource)),
            (principal, _) => format!("to {}", list(principal)),
        };
        let operators = statement["Condition"].as_object();
        let condition = match (operators, &statement["Condition"]["StringEquals"]) {
            (Some(operators), Value::Object(equal)) if operators.len() == 1 => {
                equal.iter().map(|(key, value)| format!(", if {key} is {}", list(value))).collect()
            }
            (Some(_), _) => format!(", if {}", statement["Condition"]),
            (None, _) => String::new(),
        };
        (Tone::Name, list(&statement["Effect"]), format!("{} {subject}{condition}", list(&statement["Action"])))
    };
    document["Statement"].as_array().into_iter().flatten().map(line).collect()
}

fn name_of(outputs: &BTreeMap<String, String>) -> String {
    outputs.get("RoleName").cloned().unwrap_or_default()
}

fn volume(text: &str, access: AccessMode) -> Result<Volume, StepError> {
    let volume = read_volume(text).map_err(|found| mismatch("the rehearsal's volume", &found))?;
    Ok(Volume { access, ..volume })
}

fn mismatch(what: &'static str, found: &str) -> StepError {
    StepError::Mismatch { what, found: found.to_owned() }
}

fn check(what: &'static str, holds: bool, found: &impl std::fmt::Debug) -> Result<(), StepError> {
    if holds { Ok(()) } else { Err(mismatch(what, &format!("{found:?}"))) }
}
