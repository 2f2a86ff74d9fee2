//! The runs: every function with every delay, in turn, so that whatever else this machine does meets all of them alike.
//!
//! Owns: what one run is, and which calls the others make. Not here: what runs say together (`report`).

use std::time::Duration;

use cavatica_local::engine::Engine;
use cavatica_local::workspace::Workspace;
use cavatica_simulation::events::{self, with};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Error;
use crate::calls::Recording;
use crate::emulator::{Emulator, Usage};
use crate::quota::Quota;
use crate::statistics::in_sequence;
use crate::stub::{Seen, Source, Stub};
use crate::subjects::{Prepared, Subject};

/// The events of a run, by their fixtures.
pub const EVENTS: [(&str, &str); 3] = [("Create", "create"), ("Update", "update-in-place"), ("Delete", "delete")];

/// The bucket of the fixtures.
const BUCKET: &str = "genomics-lab-data";

/// Time for each call while recording: enough to see which calls are made at once.
const RECORDING_DELAY: Duration = Duration::from_millis(150);

/// Conditions of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Time that AWS takes for each call.
    pub delay: Duration,
    /// True if the function has the processor time of 128 MB and no more.
    pub has_quota: bool,
}

/// An event in a function's process, as it is seen from outside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// From the function's readiness to its answer, for the first event of a process; else from the event to the
    /// answer.
    pub answered: Duration,
    /// From the start of the function's process until it asked for an event.
    pub initialization: Duration,
    /// Processor time of initialization and event.
    pub cpu: Duration,
    /// The most memory resident at once, in bytes.
    pub peak: u64,
    /// Calls to AWS.
    pub calls: usize,
    /// Calls one behind the other, the answer not counted.
    pub trips: usize,
    /// TLS handshakes, that of the answer counted.
    pub handshakes: usize,
}

/// One run of a function: each event in a process of its own, since that is how CloudFormation meets it nearly every
/// time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The function.
    pub subject: Subject,
    /// Its conditions.
    pub setting: Setting,
    /// Its first events, in the order of [`EVENTS`]; with the quota, Create alone.
    pub cold: Vec<Event>,
    /// Another Create right after the first, in the same process.
    pub warm: Option<Duration>,
}

/// Everything that runs are measured with.
#[derive(Debug)]
pub struct Bench<'a> {
    prepared: &'a Prepared,
    stub: Stub,
    quota: Option<Quota>,
    /// For each event, the calls without and with checks.
    recordings: Vec<[Recording; 2]>,
}

impl<'a> Bench<'a> {
    /// Records the function's calls on a local engine.
    pub async fn new(workspace: &Workspace, prepared: &'a Prepared, quota: Option<Quota>) -> Result<Self, Error> {
        let stub = Stub::start(prepared.folder()).await?;
        prepared.trust(&stub)?;
        let mut bench = Self { prepared, stub, quota, recordings: Vec::new() };
        let without = bench.record(workspace, Subject::Ours).await?;
        let checked = bench.record(workspace, Subject::OursWithChecks).await?;
        bench.recordings = without.into_iter().zip(checked).map(|(without, checked)| [without, checked]).collect();
        let plans = EVENTS.iter().zip(&bench.recordings);
        let plans: Value =
            plans.map(|((kind, _), [plain, _])| ((*kind).to_owned(), plain.plan(RECORDING_DELAY))).collect();
        std::fs::write(prepared.calls(), plans.to_string())?;
        Ok(bench)
    }

    async fn record(&self, workspace: &Workspace, subject: Subject) -> Result<Vec<Recording>, Error> {
        let engine = Engine::start(workspace).await?;
        aws_sdk_s3::Client::new(&engine.sdk_config()).create_bucket().bucket(BUCKET).send().await?;
        let launch = self.prepared.launch(subject, &self.stub);
        let mut recordings = Vec::new();
        for (_, fixture) in EVENTS {
            let emulator = Emulator::start(&self.prepared.emulator, &launch, None).await?;
            self.stub.begin(Source::Engine(engine.url().to_owned()), RECORDING_DELAY);
            emulator.invoke(&self.event(subject, fixture)?).await?;
            let seen = self.stub.seen();
            answer_of(subject, fixture, &seen)?;
            recordings.push(seen.recording);
            emulator.stop().await?;
        }
        engine.stop().await?;
        Ok(recordings)
    }

    fn event(&self, subject: Subject, fixture: &str) -> Result<String, Error> {
        let event = events::event(fixture, &self.stub.response_url)?;
        Ok(with(event, "/Checks", json!(subject.checks())).to_string())
    }

    /// Measures one run.
    pub async fn run(&self, subject: Subject, setting: Setting) -> Result<Run, Error> {
        let quota = self.quota.as_ref().filter(|_| setting.has_quota);
        let launch = self.prepared.launch(subject, &self.stub);
        let (mut cold, mut warm) = (Vec::new(), None);
        // With the quota some take ten seconds for each.
        let events = if setting.has_quota { 1 } else { EVENTS.len() };
        for (number, (kind, fixture)) in EVENTS.iter().enumerate().take(events) {
            let emulator = Emulator::start(&self.prepared.emulator, &launch, quota).await?;
            let seen = self.invoke(&emulator, subject, number, setting).await?;
            let initialization = emulator.initialization()?;
            let Usage { cpu, peak } = emulator.usage()?;
            let answered = answer_of(subject, fixture, &seen)?.saturating_sub(initialization);
            cold.push(Event {
                answered,
                initialization,
                cpu,
                peak,
                calls: seen.calls.len(),
                trips: in_sequence(&seen.calls),
                handshakes: seen.handshakes,
            });
            if *kind == "Create" {
                let again = self.invoke(&emulator, subject, number, setting).await?;
                warm = Some(answer_of(subject, fixture, &again)?);
            }
            emulator.stop().await?;
        }
        Ok(Run { subject, setting, cold, warm })
    }

    async fn invoke(
        &self,
        emulator: &Emulator,
        subject: Subject,
        number: usize,
        setting: Setting,
    ) -> Result<Seen, Error> {
        let [plain, checked] = &self.recordings[number];
        let recording = if subject == Subject::OursWithChecks { checked } else { plain };
        let event = self.event(subject, EVENTS[number].1)?;
        self.stub.begin(Source::Recording(recording.clone()), setting.delay);
        emulator.invoke(&event).await?;
        let seen = self.stub.seen();
        let is_same = seen.calls.len() == recording.0.len() && seen.unknown.is_empty();
        if subject == Subject::OnlyAnswers || is_same {
            return Ok(seen);
        }
        let (name, unknown) = (subject.name(), seen.unknown.join(", "));
        let counts = format!("{} of {}", seen.calls.len(), recording.0.len());
        Err(format!("{name} does other work in {}: {counts} calls made, unknown: {unknown}", EVENTS[number].0).into())
    }
}

/// When the answer was there; an answer that is not a success is an error, and measured by nobody.
fn answer_of(subject: Subject, fixture: &str, seen: &Seen) -> Result<Duration, Error> {
    let (name, unknown) = (subject.name(), &seen.unknown);
    let (time, answer) =
        seen.answer.as_ref().ok_or_else(|| format!("{name} does not answer {fixture}: {unknown:?}"))?;
    if answer["Status"] == "SUCCESS" {
        return Ok(*time);
    }
    Err(format!("{name} fails in {fixture}: {answer}, unknown calls: {unknown:?}").into())
}
