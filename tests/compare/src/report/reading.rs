//! The reading of `BENCHMARKS.md`: each sentence from the figures, with those in which others are better, and the
//! targets.

use std::fmt::Write as _;

use super::{Figure, Results, shown, times};
use crate::measure::EVENTS;
use crate::subjects::Subject;

impl Results {
    pub(super) fn reading(&self) -> String {
        let (fastest, slowest) = (self.fastest(), self.slowest());
        let start = |subject| {
            self.median(subject, fastest, Figure::Initialization) + self.median(subject, fastest, Figure::Cold(0))
        };
        let peers = [Subject::Node, Subject::CfnHandler, Subject::Crhelper];
        let list = |value: &dyn Fn(Subject) -> String| {
            peers.map(|peer| format!("{} ({})", value(peer), peer.name())).join(", ")
        };
        let mut text = "## Reading\n\n".to_owned();
        let _ = writeln!(
            text,
            "- From the start of its process, cavatica-connect answers a first Create after {} ms; these take as many times \
             that: {}. Processor time: {} ms; {}. Peak memory: {} MiB; {}.",
            shown(start(Subject::Ours)),
            list(&|peer| times(start(peer) / start(Subject::Ours))),
            shown(self.median(Subject::Ours, fastest, Figure::Processor)),
            list(&|peer| times(self.ratio(peer, fastest, Figure::Processor))),
            shown(self.median(Subject::Ours, fastest, Figure::Memory)),
            list(&|peer| times(self.ratio(peer, fastest, Figure::Memory))),
        );
        let by_calls = |subject| {
            let figures = [0, 1, 2].map(|number| shown(self.median(subject, slowest, Figure::Cold(number))));
            format!("{} {}", subject.name(), figures.join(" / "))
        };
        let _ = writeln!(
            text,
            "- Where a call takes {} ms, the calls one behind the other decide; Create / Update / Delete in ms after \
             readiness: {}.",
            slowest.delay.as_millis(),
            [Subject::Ours, Subject::Node, Subject::CfnHandler, Subject::BareClient].map(by_calls).join("; "),
        );
        let _ = writeln!(
            text,
            "- The default checks add {} calls to a Create and {} ms where a call takes {} ms.",
            self.count(Subject::OursWithChecks).saturating_sub(self.count(Subject::Ours)),
            shown(
                self.median(Subject::OursWithChecks, slowest, Figure::Cold(0))
                    - self.median(Subject::Ours, slowest, Figure::Cold(0))
            ),
            slowest.delay.as_millis(),
        );
        text.push_str(
            "- All make the calls that cavatica-connect makes. A function that does not look at the account first would need \
             three calls for a Create and would be faster; it could not tell its own role from somebody else's.\n\
             - crhelper waits two minutes at the end of each Delete unless told not to; here it is told not to.\n\n",
        );
        text.push_str("Where others that make the same calls are better:\n\n");
        for better in self.better() {
            let _ = writeln!(text, "- {better}.");
        }
        text.push_str("\n| target | measured |\n| --- | --- |\n");
        let bare = self.median(Subject::Ours, fastest, Figure::Processor)
            / self.median(Subject::BareClient, fastest, Figure::Processor);
        for (target, value, limit, unit) in [
            ("package", self.median(Subject::Ours, fastest, Figure::Package), 3_000.0, "kB"),
            ("peak memory", self.median(Subject::Ours, fastest, Figure::Memory), 9.0, "MiB"),
            ("processor time of a cold Create", bare, 1.4, "times the signed HTTP client's"),
        ] {
            let verdict = if value <= limit { "met" } else { "missed" };
            let digits = if value < 20.0 { format!("{value:.2}") } else { format!("{value:.0}") };
            let _ = writeln!(text, "| {target}: at most {limit} {unit} | {digits}: {verdict} |");
        }
        text.push('\n');
        text
    }

    fn count(&self, subject: Subject) -> usize {
        self.runs.iter().find(|run| run.subject == subject).map_or(0, |run| run.cold[0].calls)
    }

    /// Figures in which another function that makes the same calls is better by more than a thirtieth.
    pub(super) fn better(&self) -> Vec<String> {
        let mut better = Vec::new();
        for subject in Subject::ALL.into_iter().filter(|subject| subject.makes_the_same_calls()) {
            let by_itself = Figure::TABLE.map(|(figure, name)| (self.fastest(), figure, name.to_owned()));
            let events = EVENTS.iter().enumerate();
            let slow = events.map(|(number, (kind, _))| {
                let delay = self.slowest().delay.as_millis();
                (self.slowest(), Figure::Cold(number), format!("cold {kind} at {delay} ms a call"))
            });
            let wins: Vec<_> = by_itself
                .into_iter()
                .chain(slow)
                .filter(|(setting, figure, _)| self.ratio(subject, *setting, *figure) < 0.97)
                .map(|(setting, figure, name)| {
                    let (theirs, ours) =
                        (self.median(subject, setting, figure), self.median(Subject::Ours, setting, figure));
                    format!("{name} ({} {} against {})", shown(theirs), figure.unit(), shown(ours))
                })
                .collect();
            if !wins.is_empty() {
                better.push(format!("{}: {}", subject.name(), wins.join(", ")));
            }
        }
        if better.is_empty() { vec!["nowhere".to_owned()] } else { better }
    }
}
