//! A rehearsal: the whole life of a stack in an account, a real one or one that is played on this machine. Every step
//! checks what was promised, mishaps are provoked, and in the end the account has to be as it was.
//!
//! `fixture` owns what a rehearsal makes and its names, `scenario` the steps, `access` what Cavatica can do in between,
//! `inventory` the proof, `unexpected` what AWS did that the documents of this project do not say.

pub mod access;
pub mod fixture;
pub mod inventory;
mod scenario;
mod unexpected;

use std::time::Duration;

use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use cavatica_access::port::Failure;
use cavatica_api::ApiError;
use cavatica_aws::failure;
use cavatica_generator::documents::DocumentsError;
use tokio::time::Instant;

use self::fixture::Fixture;
use self::inventory::Inventory;
use self::scenario::Scenario;
use crate::account::AwsError;
use crate::attachment::AttachmentError;
use crate::console::{Console, Tone};
use crate::deploy::change_set::TemplateAt;
use crate::deploy::code::{CodeError, template_of, upload};
use crate::deploy::stacks::StackError;
use crate::local_platform::LocalPlatformError;
use crate::release::zip::Asset;
use crate::waits::{ANNOUNCED_AFTER, BETWEEN_LISTS, LISTS_WITHIN};

/// The steps, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Set,
    Create,
    Attach,
    Again,
    Update,
    Drift,
    Rename,
    Repair,
    FailedUpdate,
    WrongBucket,
    TakenName,
    Detach,
    Destroy,
}

impl Step {
    const ALL: [(Self, &'static str); 13] = [
        (Self::Set, "Make a bucket, and somebody else's role"),
        (Self::Create, "Create: read-only, one folder"),
        (Self::Attach, "Attach the volume in the platform, and list it"),
        (Self::Again, "Deploy the same again: nothing to change"),
        (Self::Update, "Update: read-write"),
        (Self::Drift, "Change 11 things by hand: shown, undone"),
        (Self::Rename, "Give the role another name"),
        (Self::Repair, "Repair the volume, whose role is gone"),
        (Self::FailedUpdate, "Update to a bucket that does not exist: rolled back"),
        (Self::WrongBucket, "Create for a bucket that does not exist: refused"),
        (Self::TakenName, "Create with the name of somebody else's role: refused"),
        (Self::Detach, "Detach the volume"),
        (Self::Destroy, "Delete"),
    ];

    /// True if the step needs the platform's API, which a rehearsal has on the local engine alone.
    fn needs_platform(self) -> bool {
        matches!(self, Self::Attach | Self::Repair | Self::Detach)
    }
}

/// The source of the function's code.
#[derive(Debug, Clone)]
pub enum Code {
    /// A zip, which goes into the rehearsal's bucket.
    Zip(Box<Asset>),
    /// A template that is published.
    Published(TemplateAt),
}

/// Output of the rehearsal.
#[derive(Debug, Clone)]
pub struct ReportOutput {
    /// Console for one line a step.
    pub steps: Console,
    /// Console for events, outputs and documents: the screen, or a file.
    pub detail: Console,
    /// True if `detail` is the screen.
    pub shows_detail: bool,
    /// True if `detail` may show the external ID. A log keeps it longer than the role exists.
    pub shows_external_id: bool,
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
    /// The platform on the local engine failed.
    #[error(transparent)]
    LocalPlatform(#[from] LocalPlatformError),
    /// The volume could not be attached, repaired or detached.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
    /// The platform's API refused.
    #[error(transparent)]
    Api(#[from] ApiError),
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
        /// Observed state.
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
    /// Resource with the rehearsal's name that the rehearsal did not create.
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

/// Result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepResult {
    /// Its title.
    pub title: &'static str,
    /// The time that it took.
    pub time: Duration,
    /// True if the step succeeded.
    pub has_succeeded: bool,
}

impl StepResult {
    /// Prints its line.
    pub fn print(&self, console: &Console, remark: &str) {
        let (tone, sign) = if self.has_succeeded { (Tone::Good, '✓') } else { (Tone::Bad, '✗') };
        console.row(tone, &format!("{sign} {:>6.1} s ", self.time.as_secs_f64()), self.title, "", remark);
    }
}

fn refused<E>(doing: &'static str) -> impl FnOnce(SdkError<E>) -> StepError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    move |error| StepError::Iam { doing, source: failure::of(error) }
}

/// Runs all steps and cleans up, whatever fails. A failed step ends the others, unless `keep_going` is true.
pub async fn run_all(fixture: &Fixture, code: &Code, output: &ReportOutput, keep_going: bool) -> Vec<StepResult> {
    let mut runner = StepRunner { output, results: Vec::new() };
    let mut scenario = Scenario::new(fixture, code, output);
    let before = runner.step("List what the account has", Inventory::of(fixture), |before| {
        Report::of(format!("{} roles, {} policies", before.count("role"), before.count("policy")))
    });
    let Some(before) = before.await else { return runner.results };
    for (step, title) in Step::ALL {
        if step.needs_platform() && fixture.platform.is_none() {
            continue;
        }
        if runner.step(title, scenario.run(step), Report::clone).await.is_none() && !keep_going {
            break;
        }
    }
    let cleared = async {
        let left: Vec<_> = fixture.clear().await.iter().map(ToString::to_string).collect();
        if left.is_empty() { Ok(()) } else { Err(StepError::Left(left.join("; "), fixture.clean_up())) }
    };
    runner.step("Remove what the rehearsal made", cleared, |()| Report::default()).await;
    let title = "List what the account has again: exactly what it had before";
    let shown = runner.step(title, is_as_before(fixture, &before), |_| Report::default()).await;
    let late = shown.and_then(|waited| unexpected::of_wait("that all of it is gone", waited));
    let unexpected: Vec<_> = scenario.unexpected().iter().cloned().chain(late).collect();
    if !unexpected.is_empty() {
        output.steps.heading("What AWS did that the documents of this project do not say");
    }
    unexpected.iter().for_each(|unexpected_event| output.steps.text(unexpected_event));
    runner.results
}

/// Waits until the account is as it was before; returns the duration. Lists are behind by seconds.
async fn is_as_before(fixture: &Fixture, before: &Inventory) -> Result<Duration, StepError> {
    let begun = Instant::now();
    loop {
        let differences = before.differences(&Inventory::of(fixture).await?);
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

/// Runner of the steps, with their results so far.
struct StepRunner<'t> {
    output: &'t ReportOutput,
    results: Vec<StepResult>,
}

impl StepRunner<'_> {
    /// Runs one step and prints its line: duration, title and result.
    async fn step<T, E: Into<StepError>>(
        &mut self,
        title: &'static str,
        step: impl Future<Output = Result<T, E>>,
        report: impl FnOnce(&T) -> Report,
    ) -> Option<T> {
        let output = self.output;
        let begun = Instant::now();
        output.detail.heading(title);
        let result = if output.shows_detail { step.await } else { in_one_line(output, title, step).await };
        output.steps.stop_waiting();
        let results = StepResult { title, time: begun.elapsed(), has_succeeded: result.is_ok() };
        self.results.push(results);
        match result {
            Ok(value) => {
                let Report { remark, lines } = report(&value);
                results.print(&output.steps, &remark);
                lines.iter().for_each(|(tone, state, text)| output.steps.subrow(*tone, state, text));
                Some(value)
            }
            Err(error) => {
                results.print(&output.steps, &error.into().to_string());
                None
            }
        }
    }
}

/// Announces a step: at once in a terminal, where the line disappears again, and elsewhere only if it takes long.
async fn in_one_line<T>(output: &ReportOutput, title: &str, step: impl Future<Output = T>) -> T {
    let say = || output.steps.start_waiting(title);
    if output.steps.is_watched() {
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
async fn template(fixture: &Fixture, code: &Code) -> Result<TemplateAt, CodeError> {
    match code {
        Code::Zip(asset) => {
            let place = fixture.place();
            upload(&fixture.account, asset, &place).await?;
            Ok(TemplateAt::Body(template_of(fixture.account.platform(), asset, &place).to_yaml()))
        }
        Code::Published(at) => Ok(at.clone()),
    }
}
