//! The steps of a rehearsal, each with its checks. `operations` has what several of them do, `hands` the changes
//! by hand.

mod hands;
mod operations;

use std::collections::BTreeMap;
use std::time::Duration;

use cavatica_access::volume::{AccessMode, Volume};
use tokio::time::Instant;

use super::stage::{OBJECTS, Stage};
use super::{Code, Step, StepError, Telling, refused, surprises, template};
use crate::console::Console;
use crate::deploy::change_set::{ChangeSet, Purpose, TemplateAt};
use crate::deploy::follow::KnownEvents;
use crate::deploy::inspection::Documents;
use crate::deploy::outputs;
use crate::deploy::remains::{State, parts, states};
use crate::documents::read_volume;

/// Longest wait until IAM shows what was done by hand, and the wait between two looks.
const UNTIL_SHOWN: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// The folder of the volume after the update.
const FOLDER: &str = "raw/2026";

/// The rehearsal so far.
pub(super) struct Life<'r> {
    stage: &'r Stage,
    code: &'r Code,
    tell: Console,
    tells_external_id: bool,
    template: Option<TemplateAt>,
    /// The main stack: its ID, and what was told of it.
    stack: Option<String>,
    known: KnownEvents,
    documents: Documents,
    surprises: Vec<String>,
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

    /// Sees that the function's sentence says what is wrong; returns that.
    fn says(self, what: &str) -> Result<String, StepError> {
        check("the reason", self.cause.contains(what), &self.cause)?;
        Ok(what.to_owned())
    }
}

impl<'r> Life<'r> {
    pub(super) fn new(stage: &'r Stage, code: &'r Code, telling: &Telling) -> Self {
        Self {
            stage,
            code,
            tell: telling.detail.clone().unwrap_or_else(Console::silent),
            tells_external_id: telling.tells_external_id,
            template: None,
            stack: None,
            known: KnownEvents::default(),
            documents: Documents::default(),
            surprises: Vec::new(),
        }
    }

    pub(super) fn surprises(&self) -> &[String] {
        &self.surprises
    }

    /// Plays a step; returns a remark on how it went.
    pub(super) async fn play(&mut self, step: Step) -> Result<String, StepError> {
        match step {
            Step::Set => self.set().await,
            Step::Create => self.create().await,
            Step::Again => self.again().await,
            Step::Update => self.update().await,
            Step::Drift => self.changed_by_hand().await,
            Step::Rename => self.rename().await,
            Step::FailedUpdate => self.failed_update().await,
            Step::WrongBucket => self.wrong_bucket().await,
            Step::TakenName => self.taken_name().await,
            Step::Destroy => self.destroy().await,
        }
    }

    async fn set(&mut self) -> Result<String, StepError> {
        self.stage.set().await?;
        self.tell.wait("uploading the function's code and the template");
        self.template = Some(template(self.stage, self.code).await?);
        Ok(format!("bucket {}, {} objects", self.stage.bucket(), OBJECTS.len()))
    }

    async fn create(&mut self) -> Result<String, StepError> {
        let (name, bucket) = (self.stage.name.to_string(), self.stage.bucket());
        let outcome = self.operate(&name, Purpose::NewStack, &[("BucketName", &bucket)]).await?;
        self.stack = Some(outcome.stack.clone());
        outcome.is("CREATE_COMPLETE")?;
        let stack = self.stack().await?;
        self.tell.part("What the administrator copies into Cavatica");
        let hidden = (!self.tells_external_id).then_some("hidden, since this may be a log");
        outputs::tell(&stack.outputs, hidden, &self.tell);
        self.check_outputs(&stack.outputs)?;
        self.tell.part("What Cavatica may do, read back from IAM");
        let held = self.as_asked(&stack, &volume(&bucket, AccessMode::ReadOnly)?).await?;
        self.tell.json(&held.permissions.held);
        if self.tells_external_id {
            self.tell.part("Who may assume the role, read back from IAM");
            self.tell.json(&held.trust.held);
        }
        self.tell.holds(&"both documents are exactly those that `cavatica-connect documents` prints");
        self.documents = held;
        Ok(format!("role {}", name_of(&stack.outputs)))
    }

    async fn again(&mut self) -> Result<String, StepError> {
        let proposal = self.proposal(&self.stage.name.to_string(), Purpose::Update, &[]).await?;
        let change_set = ChangeSet::new(&proposal);
        match self.stage.stacks.propose(&proposal, &change_set).await? {
            None => Ok(String::new()),
            Some(change_set) => {
                self.stage.stacks.withdraw(&change_set).await?;
                Err(StepError::Mismatch { what: "the proposal", found: format!("{:?}", change_set.changes) })
            }
        }
    }

    async fn update(&mut self) -> Result<String, StepError> {
        let before = self.stack().await?;
        self.change(&[("AccessMode", "ReadWrite"), ("Prefix", FOLDER)]).await?.is("UPDATE_COMPLETE")?;
        let stack = self.stack().await?;
        let volume = volume(&format!("{}/{FOLDER}", self.stage.bucket()), AccessMode::ReadWrite)?;
        let held = self.as_asked(&stack, &volume).await?;
        self.tell.part("The difference, read back from IAM");
        self.tell.difference(&self.documents.permissions.held, &held.permissions.held);
        self.tell.holds(&"both documents are exactly those that `cavatica-connect documents` prints");
        self.documents = held;
        let is_same = stack.outputs.get("RoleArn") == before.outputs.get("RoleArn");
        check("the role's ARN after the update", is_same, &stack.outputs)?;
        Ok("the role is the same one: nothing to change in Cavatica".to_owned())
    }

    async fn rename(&mut self) -> Result<String, StepError> {
        let former = name_of(&self.stack().await?.outputs);
        let wanted = format!("{}-renamed", self.stage.name);
        self.change(&[("RoleName", &wanted)]).await?.is("UPDATE_COMPLETE")?;
        let stack = self.stack().await?;
        check("the role's name", name_of(&stack.outputs) == wanted, &stack.outputs)?;
        let volume = volume(&format!("{}/{FOLDER}", self.stage.bucket()), AccessMode::ReadWrite)?;
        self.documents = self.as_asked(&stack, &volume).await?;
        let gone = self.shown("that a role is gone", async |life| {
            match life.stage.iam.get_role().role_name(&former).send().await {
                Err(error) if error.as_service_error().is_some_and(|it| it.is_no_such_entity_exception()) => {
                    Ok(Some(()))
                }
                Err(error) => Err(refused("look for the former role")(error)),
                Ok(_) => Ok(None),
            }
        });
        gone.await?;
        Ok(format!("{wanted}; {former} is gone"))
    }

    async fn failed_update(&mut self) -> Result<String, StepError> {
        let missing = self.stage.missing_bucket();
        let outcome = self.change(&[("BucketName", &missing)]).await?.is("UPDATE_ROLLBACK_COMPLETE")?;
        let cause = outcome.says(&format!("Bucket {missing} does not exist"))?;
        let inspection = self.inspected(&self.stack().await?).await?;
        check("AWS after the rollback", inspection.is_as_requested(), &inspection)?;
        let is_same = inspection.documents == self.documents;
        check("the documents after the rollback", is_same, &inspection.documents)?;
        self.tell.holds(&"IAM holds what it held before");
        Ok(cause)
    }

    async fn wrong_bucket(&mut self) -> Result<String, StepError> {
        let (name, missing) = (self.stage.lost_stack(), self.stage.missing_bucket());
        let outcome = self.operate(&name, Purpose::NewStack, &[("BucketName", &missing)]).await?;
        let outcome = outcome.is("ROLLBACK_COMPLETE")?;
        let stack = outcome.stack.clone();
        let cause = outcome.says(&format!("Bucket {missing} does not exist"))?;
        self.delete(&stack, &mut KnownEvents::default()).await?;
        Ok(cause)
    }

    async fn taken_name(&mut self) -> Result<String, StepError> {
        let (name, role, bucket) = (self.stage.greedy_stack(), self.stage.foreign_role(), self.stage.bucket());
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

    async fn destroy(&mut self) -> Result<String, StepError> {
        let (stack, mut known) = (self.stack().await?, std::mem::take(&mut self.known));
        let parts = parts(&stack, &self.stage.stacks.resources(&stack.id).await?);
        self.delete(&stack.id, &mut known).await?;
        let begun = Instant::now();
        let id = stack.id.parse().map_err(|_| mismatch("the stack's ID", &stack.id))?;
        let states = states(&self.stage.account, self.stage.region, &id, &parts).await;
        self.surprises.extend(surprises::of_wait("that what a stack had is gone", begun.elapsed()));
        let left = states.iter().filter(|(_, state)| *state != State::Gone);
        let left: Vec<_> = left.map(|(part, state)| format!("{part}: {state:?}")).collect();
        check("what the stack had", left.is_empty(), &left)?;
        parts.iter().for_each(|part| self.tell.holds(&format!("{part} is gone")));
        let keys = self.stage.keys().await?;
        let are_there = OBJECTS.iter().all(|object| keys.iter().any(|key| key == object));
        check("the bucket after the delete", are_there, &keys)?;
        self.tell.holds(&format!("the bucket and its {} objects were not touched", OBJECTS.len()));
        Ok("role, policy, boundary, function and log are gone".to_owned())
    }
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
