//! A rehearsal: the whole life of a stack in an account, a real one or one that is played on this machine. Every step checks
//! what was promised, mishaps are provoked, and in the end the account has to be as it was.
//!
//! `stage` owns what a rehearsal makes and its names, `life` the steps, `access` what Cavatica can do in between, `inventory`
//! the proof, `surprises` what AWS did that the documents of this project do not say.

pub mod access;
pub mod inventory;
mod life;
pub mod stage;
mod surprises;

use std::time::Duration;

use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use cavatica_access::port::Failure;
use cavatica_aws::failure;
use cavatica_generator::documents::DocumentsError;
use tokio::time::Instant;

use self::inventory::Inventory;
use self::life::Life;
use self::stage::Stage;
use crate::account::AwsError;
use crate::console::{Console, Tone};
use crate::deploy::change_set::TemplateAt;
use crate::deploy::client::StackError;
use crate::deploy::code::{CodeError, template_of, upload};
use crate::release::zip::Asset;
use crate::waits::{ANNOUNCED_AFTER, BETWEEN_LISTS, LISTS_WITHIN};

/// The steps, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Set,
    Create,
    Again,
    Update,
    Drift,
    Rename,
    FailedUpdate,
    WrongBucket,
    TakenName,
    Destroy,
}

impl Step {
    const ALL: [(Self, &'static str); 10] = [
        (Self::Set, "Make a bucket, and somebody else's role"),
        (Self::Create, "Create: read-only, one folder"),
        (Self::Again, "Deploy the same again: nothing to change"),
        (Self::Update, "Update: read-write"),
        (Self::Drift, "Change 11 things by hand: shown, undone"),
        (Self::Rename, "Give the role another name"),
        (Self::FailedUpdate, "Update to a bucket that does not exist: rolled back"),
        (Self::WrongBucket, "Create for a bucket that does not exist: refused"),
        (Self::TakenName, "Create with the name of somebody else's role: refused"),
        (Self::Destroy, "Delete"),
    ];
}

/// The source of the function's code.
#[derive(Debug, Clone)]
pub enum Code {
    /// A zip, which goes into the rehearsal's bucket.
    Zip(Box<Asset>),
    /// A template that is published.
    Published(TemplateAt),
}

/// The way in which it is told.
#[derive(Debug, Clone)]
pub struct Telling {
    /// One line a step.
    pub steps: Console,
    /// Events, outputs and documents: on the screen, or in a file.
    pub detail: Console,
    /// True if that is the screen.
    pub shows_detail: bool,
    /// True if the external ID may be among them: a log keeps it longer than the role lives.
    pub tells_external_id: bool,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// CloudFormation refused.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// AWS refused.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The code could not be uploaded.
    #[error(transparent)]
    Upload(#[from] CodeError),
    /// The documents could not be computed.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    /// IAM refused.
    #[error("IAM refuses to {doing}: {source}")]
    Iam {
        /// The call, as part of the sentence.
        doing: &'static str,
        /// IAM's answer.
        source: Failure,
    },
    /// Something is not as it was promised.
    #[error("{what} is not as promised: {found}")]
    Mismatch {
        /// The thing that was looked at.
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// An operation ended otherwise.
    #[error("stack {stack} ended in {status}. First cause: {cause}")]
    Failed {
        /// The stack.
        stack: String,
        /// Its status.
        status: String,
        /// The first failure among its events.
        cause: String,
    },
    /// An earlier step failed on which this one stands.
    #[error("there is nothing to go on with, since the stack was not created")]
    NoStack,
    /// Not all of it could be removed.
    #[error("not everything was removed ({0}): mend that, and run `{1}`")]
    Left(String, String),
    /// It has the name, and not the sign.
    #[error("{0} has the rehearsal's name and is not the rehearsal's: it was left alone; see whose it is")]
    NotOurs(String),
}

/// A line below a step: a state or name with its tone, and a text.
type Line = (Tone, String, String);

/// The report of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Report {
    /// The remark behind its title.
    remark: String,
    /// The lines below.
    lines: Vec<Line>,
}

impl Report {
    fn of(remark: impl Into<String>) -> Self {
        Self { remark: remark.into(), lines: Vec::new() }
    }

    fn with(mut self, lines: impl IntoIterator<Item = Line>) -> Self {
        self.lines.extend(lines);
        self
    }
}

/// A step that was played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Played {
    /// Its title.
    pub title: &'static str,
    /// The time that it took.
    pub time: Duration,
    /// True if all was as promised.
    pub is_fine: bool,
}

impl Played {
    /// Prints its line.
    pub fn print(&self, console: &Console, remark: &str) {
        let (tone, sign) = if self.is_fine { (Tone::Good, '✓') } else { (Tone::Bad, '✗') };
        console.row(tone, &format!("{sign} {:>6.1} s ", self.time.as_secs_f64()), self.title, "", remark);
    }
}

fn refused<E>(doing: &'static str) -> impl FnOnce(SdkError<E>) -> StepError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    move |error| StepError::Iam { doing, source: failure::of(error) }
}

/// Plays all steps and cleans up, whatever fails; a failed step ends the others unless the rehearsal keeps going.
pub async fn play(stage: &Stage, code: &Code, telling: &Telling, keep_going: bool) -> Vec<Played> {
    let mut theater = Theater { telling, played: Vec::new() };
    let mut life = Life::new(stage, code, telling);
    let before = theater.step("List what the account has", Inventory::of(stage), |before| {
        Report::of(format!("{} roles, {} policies", before.count("role"), before.count("policy")))
    });
    let Some(before) = before.await else { return theater.played };
    for (step, title) in Step::ALL {
        if theater.step(title, life.play(step), Report::clone).await.is_none() && !keep_going {
            break;
        }
    }
    let cleared = async {
        let left: Vec<_> = stage.clear().await.iter().map(ToString::to_string).collect();
        if left.is_empty() { Ok(()) } else { Err(StepError::Left(left.join("; "), stage.clean_up())) }
    };
    theater.step("Take away what the rehearsal made", cleared, |()| Report::default()).await;
    let title = "List what the account has again: exactly what it had before";
    let shown = theater.step(title, is_as_before(stage, &before), |_| Report::default()).await;
    let late = shown.and_then(|waited| surprises::of_wait("that all of it is gone", waited));
    let surprises: Vec<_> = life.surprises().iter().cloned().chain(late).collect();
    if !surprises.is_empty() {
        telling.steps.part("What AWS did that the documents of this project do not say");
    }
    surprises.iter().for_each(|surprise| telling.steps.say(surprise));
    theater.played
}

/// Sees that the account is as it was before; returns the time until it showed. Lists are behind by seconds.
async fn is_as_before(stage: &Stage, before: &Inventory) -> Result<Duration, StepError> {
    let begun = Instant::now();
    loop {
        let differences = before.differences(&Inventory::of(stage).await?);
        if differences.is_empty() {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > LISTS_WITHIN {
            let found = differences.join(", ");
            let found = format!("{found}. If others work in it at the same time, this may be theirs");
            return Err(StepError::Mismatch { what: "the account after the rehearsal", found });
        }
        tokio::time::sleep(BETWEEN_LISTS).await;
    }
}

/// The steps that were played, and how they are told.
struct Theater<'t> {
    telling: &'t Telling,
    played: Vec<Played>,
}

impl Theater<'_> {
    /// Plays one step and prints its line: the time that it took, what it does, and how it went.
    async fn step<T, E: Into<StepError>>(
        &mut self,
        title: &'static str,
        step: impl Future<Output = Result<T, E>>,
        report: impl FnOnce(&T) -> Report,
    ) -> Option<T> {
        let telling = self.telling;
        let begun = Instant::now();
        telling.detail.part(title);
        let result = if telling.shows_detail { step.await } else { in_one_line(telling, title, step).await };
        telling.steps.rest();
        let played = Played { title, time: begun.elapsed(), is_fine: result.is_ok() };
        self.played.push(played);
        match result {
            Ok(value) => {
                let Report { remark, lines } = report(&value);
                played.print(&telling.steps, &remark);
                lines.iter().for_each(|(tone, state, text)| telling.steps.below(*tone, state, text));
                Some(value)
            }
            Err(error) => {
                played.print(&telling.steps, &error.into().to_string());
                None
            }
        }
    }
}

/// Says what goes on: at once in a terminal, where the line goes away again, and elsewhere only if it takes long.
async fn in_one_line<T>(telling: &Telling, title: &str, step: impl Future<Output = T>) -> T {
    let say = || telling.steps.wait(title);
    if telling.steps.is_watched() {
        say();
        return step.await;
    }
    tokio::pin!(step);
    match tokio::time::timeout(ANNOUNCED_AFTER, &mut step).await {
        Ok(result) => result,
        Err(_) => {
            say();
            step.await
        }
    }
}

/// Returns the template, where CloudFormation reads it.
async fn template(stage: &Stage, code: &Code) -> Result<TemplateAt, CodeError> {
    match code {
        Code::Zip(asset) => {
            let place = stage.place();
            upload(&stage.account, asset, &place).await?;
            Ok(TemplateAt::Body(template_of(stage.account.platform(), asset, &place).to_yaml()))
        }
        Code::Published(at) => Ok(at.clone()),
    }
}
