//! `BENCHMARKS.md` as text: pure, from what was measured.
//!
//! Owns: figures, tables and method. Not here: the sentences drawn from the figures (`report/reading.rs`).

mod reading;

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::measure::{EVENTS, Event, Run, Setting};
use crate::scale::Documents;
use crate::statistics::Spread;
use crate::subjects::Subject;

/// Everything that is reported.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// The machine, and the versions of what ran there.
    pub machine: Machine,
    /// The conditions, in the order of the tables.
    pub settings: Vec<Setting>,
    /// The reason if nothing was measured with a quota.
    pub without_quota: Option<String>,
    /// The packages in bytes.
    pub packages: Vec<(Subject, usize)>,
    /// The runs.
    pub runs: Vec<Run>,
    /// The generator's documents for many volumes.
    pub documents: Vec<Documents>,
}

/// A count of an event.
type Count = fn(&Event) -> usize;

/// A figure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Start of the process until it asks for an event, in milliseconds.
    Initialization,
    /// From readiness to the answer of the first event, by its number in [`EVENTS`], in milliseconds.
    Cold(usize),
    /// From the event to the answer of a second Create, in milliseconds.
    Warm,
    /// Processor time of initialization and Create, in milliseconds.
    Processor,
    /// Peak memory of a Create, in MiB.
    Memory,
    /// The zip that Lambda downloads, in kB.
    Package,
}

impl Figure {
    /// Those of the first table, with their columns' names.
    const TABLE: [(Self, &str); 8] = [
        (Self::Initialization, "initialization"),
        (Self::Cold(0), "cold Create"),
        (Self::Cold(1), "cold Update"),
        (Self::Cold(2), "cold Delete"),
        (Self::Warm, "warm Create"),
        (Self::Processor, "processor time"),
        (Self::Memory, "peak memory"),
        (Self::Package, "package"),
    ];

    fn unit(self) -> &'static str {
        match self {
            Self::Memory => "MiB",
            Self::Package => "kB",
            _ => "ms",
        }
    }

    fn of(self, run: &Run) -> Option<f64> {
        let create = run.cold.first()?;
        Some(match self {
            Self::Initialization => milliseconds(create.initialization),
            Self::Cold(number) => milliseconds(run.cold.get(number)?.answered),
            Self::Warm => milliseconds(run.warm?),
            Self::Processor => milliseconds(create.cpu),
            Self::Memory => create.peak as f64 / f64::from(1 << 20),
            Self::Package => return None,
        })
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// With as many digits as say something.
fn shown(value: f64) -> String {
    if value < 20.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn times(ratio: f64) -> String {
    let digits = match ratio {
        ratio if ratio < 0.1 => 3,
        ratio if ratio < 10.0 => 2,
        _ => 0,
    };
    format!("{ratio:.digits$}")
}

/// Returns a count with commas.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

fn table(header: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<_> = (0..header.len()).map(|column| if column == 0 { "---" } else { "---:" }.to_owned()).collect();
    line(header) + &line(&rule) + &rows.iter().map(|row| line(row)).collect::<String>()
}

fn header<'a>(columns: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    std::iter::once("").chain(columns).map(str::to_owned).collect()
}

impl Results {
    /// Returns the spread of a figure over a function's runs.
    pub fn spread(&self, subject: Subject, setting: Setting, figure: Figure) -> Option<Spread> {
        if figure == Figure::Package {
            let (_, bytes) = self.packages.iter().find(|(packed, _)| *packed == subject)?;
            return Spread::of([*bytes as f64 / 1_000.0]);
        }
        let runs = self.runs.iter().filter(|run| run.subject == subject && run.setting == setting);
        Spread::of(runs.filter_map(|run| figure.of(run)))
    }

    fn median(&self, subject: Subject, setting: Setting, figure: Figure) -> f64 {
        self.spread(subject, setting, figure).map_or(f64::NAN, |spread| spread.median)
    }

    /// Returns a figure as a multiple of our function's.
    fn ratio(&self, subject: Subject, setting: Setting, figure: Figure) -> f64 {
        self.median(subject, setting, figure) / self.median(Subject::Ours, setting, figure)
    }

    /// Returns the setting without delay and quota, and the one with the longest delay.
    pub fn fastest(&self) -> Setting {
        self.settings.first().copied().unwrap_or(Setting { delay: Duration::ZERO, has_quota: false })
    }

    fn slowest(&self) -> Setting {
        self.settings.iter().copied().max_by_key(|setting| setting.delay).unwrap_or(self.fastest())
    }

    fn rows(&self, cell: impl Fn(Subject) -> Vec<String>) -> Vec<Vec<String>> {
        Subject::ALL.map(|subject| [vec![subject.name().to_owned()], cell(subject)].concat()).to_vec()
    }

    /// Returns the page.
    pub fn page(&self, light: &str, dark: &str) -> String {
        let fastest = self.fastest();
        let runs = self.runs.iter().filter(|run| run.subject == Subject::Ours && run.setting == fastest).count();
        let mut page = format!(
            "# Benchmarks\n\n\
             A custom resource's function starts cold nearly every time, and a stack waits for it. `cargo compare` measures \
             cavatica-connect's function beside others that make the same calls to AWS, and writes this page; do not edit \
             it. Less is better everywhere.\n\n\
             <picture>\n  <source media=\"(prefers-color-scheme: dark)\" srcset=\"{dark}\">\n  \
             <img alt=\"Bars: time from the start of the process to the answer, processor time and peak memory of a first \
             Create, for each function\" src=\"{light}\">\n</picture>\n\n"
        );
        page.push_str(&self.reading());
        page.push_str(&self.first_tables(fastest));
        page.push_str(&self.delays());
        page.push_str(&self.calls());
        page.push_str(&self.generator());
        page.push_str(&self.method(runs));
        page
    }

    fn first_tables(&self, setting: Setting) -> String {
        let columns = Figure::TABLE.map(|(figure, name)| format!("{name}, {}", figure.unit()));
        let names = header(columns.iter().map(String::as_str));
        let cells = |cell: &dyn Fn(Subject, Figure) -> String| {
            self.rows(|subject| Figure::TABLE.map(|(figure, _)| cell(subject, figure)).to_vec())
        };
        let medians = cells(&|subject, figure| shown(self.median(subject, setting, figure)));
        let ratios = cells(&|subject, figure| times(self.ratio(subject, setting, figure)));
        let spreads = cells(&|subject, figure| match self.spread(subject, setting, figure) {
            Some(spread) if figure != Figure::Package => format!("{} to {}", shown(spread.lower), shown(spread.upper)),
            _ => String::new(),
        });
        let plain = header(Figure::TABLE.map(|(_, name)| name));
        format!(
            "## A function by itself\n\nAWS answers at once, so that only the function's own work is left. Medians:\n\n{}\n\
             As multiples of cavatica-connect's:\n\n{}\n\
             Half of the runs lie between:\n\n{}\n",
            table(&names, &medians),
            table(&plain, &ratios),
            table(&plain, &spreads),
        )
    }

    fn delays(&self) -> String {
        let mut text = "## With the time that AWS takes\n\n".to_owned();
        let columns = [Figure::Cold(0), Figure::Cold(1), Figure::Cold(2)];
        let spread = |subject, setting, figure| {
            self.spread(subject, setting, figure).map_or(String::new(), |spread| {
                format!("{} ({} to {})", shown(spread.median), shown(spread.lower), shown(spread.upper))
            })
        };
        for setting in self.settings.iter().filter(|setting| !setting.delay.is_zero() && !setting.has_quota) {
            let delay = setting.delay.as_millis();
            let rows = self.rows(|subject| columns.map(|figure| spread(subject, *setting, figure)).to_vec());
            let names = header(["cold Create, ms", "cold Update, ms", "cold Delete, ms"]);
            let _ =
                write!(text, "{delay} ms for each call, median and half of the runs:\n\n{}\n", table(&names, &rows));
        }
        text.push_str("## With the processor of 128 MB\n\n");
        let Some(setting) = self.settings.iter().find(|setting| setting.has_quota) else {
            let reason = self.without_quota.as_deref().unwrap_or_default();
            let _ = write!(text, "Not measured: this machine makes no control group ({reason}).\n\n");
            return text;
        };
        let columns = [Figure::Initialization, Figure::Cold(0), Figure::Warm, Figure::Processor];
        let rows = self.rows(|subject| columns.map(|figure| spread(subject, *setting, figure)).to_vec());
        let names = header(["initialization, ms", "cold Create, ms", "warm Create, ms", "processor time, ms"]);
        let delay = setting.delay.as_millis();
        let _ = write!(
            text,
            "7.2 % of a processor, in periods of 20 ms, and {delay} ms for each call. Lambda gives initialization more \
             than that, so the first column is worse here than there. Who has used up a period's share waits for the next, so \
             that short times jump by up to 20 ms.\n\n{}\n",
            table(&names, &rows)
        );
        text
    }

    fn calls(&self) -> String {
        let setting = self.slowest();
        let median = |subject, number: usize, of: Count| {
            let runs = self.runs.iter().filter(|run| run.subject == subject && run.setting == setting);
            let counts = runs.filter_map(|run| run.cold.get(number)).map(|event| of(event) as f64);
            Spread::of(counts).map_or(String::new(), |spread| format!("{:.0}", spread.median))
        };
        let counts: [(&str, Count); 3] = [
            ("calls", |event| event.calls),
            ("in sequence", |event| event.trips),
            ("handshakes", |event| event.handshakes),
        ];
        let names: Vec<_> =
            EVENTS.iter().flat_map(|(kind, _)| counts.map(|(name, _)| format!("{kind}: {name}"))).collect();
        let rows = self.rows(|subject| {
            (0..EVENTS.len()).flat_map(|number| counts.map(|(_, of)| median(subject, number, of))).collect()
        });
        format!(
            "## Calls\n\nThe calls to AWS, how many of them stand one behind the other (the answer comes after them), and \
             the TLS handshakes with AWS and CloudFormation together.\n\n{}\n",
            table(&header(names.iter().map(String::as_str)), &rows)
        )
    }

    fn generator(&self) -> String {
        let rows: Vec<_> = self
            .documents
            .iter()
            .map(|it| {
                let (count, bytes) = (it.volumes as f64, it.bytes as f64);
                let time = it.nanoseconds / 1e6;
                let cells = [format!("{time:.3}"), format!("{:.1}", bytes / 1_000.0)];
                let each = [format!("{:.1}", time * 1_000.0 / count), format!("{:.2}", bytes / 1_000.0 / count)];
                [vec![grouped(it.volumes)], cells.to_vec(), each.to_vec()].concat()
            })
            .collect();
        let names = ["volumes", "time, ms", "peak memory, kB", "time a volume, µs", "memory a volume, kB"];
        let names = names.map(str::to_owned);
        format!(
            "## Documents at scale\n\nFrom the properties of so many volumes to both IAM documents (`cargo bench --package \
             cavatica-compare`). AWS takes a policy of 6,144 characters, so that the large ones are made to be refused with \
             their size.\n\n{}\n",
            table(&names, &rows)
        )
    }

    fn method(&self, runs: usize) -> String {
        let machine = &self.machine;
        format!(
            "## Method\n\n\
             - Machine: {}. Measured on {}.\n\
             - Versions: {}.\n\
             - {runs} runs of every function with every setting, in turn, each round beginning with another function. Each Create, Update and Delete has a process of \
             its own, in AWS's runtime interface emulator; after a Create the same process gets a second one, the warm one. \
             With the quota there is only the Create.\n\
             - The calls and their answers are recorded from cavatica-connect's function on the local engine, and given to \
             the others as their work; a run that makes another call ends the measurement. The calls of a stage are made at \
             once in Rust and JavaScript, and one after the other by boto3. The answers come over TLS from this machine, IAM \
             and STS at one address and CloudFormation at another, each after the delay.\n\
             - Initialization: by the emulator, from the start of the process until it asks for an event. Cold: from then \
             until the answer to CloudFormation arrives. Processor time: of all the process's threads, initialization and a \
             Create. Peak memory: the process's resident set, with the pages of its files.\n\
             - Package: the zip that Lambda downloads. Node.js, Python and boto3 are not in theirs, since Lambda's runtimes \
             have them.\n\
             - Python's function runs in Lambda's runtime client; that for Node.js has to be compiled where it is installed, \
             so a shorter loop stands for it. Both find their modules' files in the page cache, and Python its compiled \
             ones.\n\
             - Not measured: Lambda's own part (finding a machine, downloading and unpacking the package, starting the \
             sandbox), the round trips of TCP and TLS to a distant region, DNS, and Lambda's faster processor during \
             initialization. Nothing here was measured in AWS.\n",
            machine.description,
            machine.date,
            machine.versions.join(", "),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: [Setting; 2] = [
        Setting { delay: Duration::ZERO, has_quota: false },
        Setting { delay: Duration::from_millis(100), has_quota: false },
    ];

    /// Returns every function takes as many milliseconds for everything as its number in the tables, beginning with 10.
    fn results() -> Results {
        let run = |subject, setting, time: u64| {
            let time = Duration::from_millis(time);
            let (peak, calls, trips, handshakes) = (8 << 20, 6, 3, 4);
            let event = Event { answered: time, initialization: time, cpu: time, peak, calls, trips, handshakes };
            Run { subject, setting, cold: vec![event; 3], warm: Some(time) }
        };
        let runs = SETTINGS.iter().flat_map(|setting| {
            Subject::ALL.iter().zip(10..).map(move |(subject, time)| run(*subject, *setting, time))
        });
        Results {
            machine: Machine {
                description: "a machine".into(),
                date: "2026-11-26".into(),
                versions: vec!["x 1".into()],
            },
            settings: SETTINGS.to_vec(),
            without_quota: Some("no folder".into()),
            packages: Subject::ALL.map(|subject| (subject, 3_100_000)).to_vec(),
            runs: runs.collect(),
            documents: vec![Documents { volumes: 10_000, nanoseconds: 2e7, bytes: 5_000_000 }],
        }
    }

    #[test]
    fn a_target_is_met_or_missed_by_what_was_measured() {
        let page = results().page("light.svg", "dark.svg");
        assert!(page.contains("| package: at most 3000 kB | 3100: missed |"), "{page}");
        assert!(page.contains("| peak memory: at most 9 MiB | 8.00: met |"), "{page}");
    }

    #[test]
    fn where_others_are_better_is_said() {
        let mut results = results();
        assert_eq!(results.better(), ["nowhere"]);
        for run in results.runs.iter_mut().filter(|run| run.subject == Subject::Node) {
            run.cold[2].answered = Duration::from_millis(5);
        }
        let expected = "Node.js, SDK v3, bundled: cold Delete (5.0 ms against 10.0), cold Delete at 100 ms a call (5.0 ms against 10.0)";
        assert_eq!(results.better(), [expected]);
    }

    #[test]
    fn a_machine_without_control_groups_is_said_to_be_one() {
        let page = results().page("light.svg", "dark.svg");
        assert!(page.contains("Not measured: this machine makes no control group (no folder)."), "{page}");
    }

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        assert_eq!([3.04, 19.96, 314.2].map(shown), ["3.0", "20.0", "314"]);
        assert_eq!([0.0033, 0.86, 57.6].map(times), ["0.003", "0.86", "58"]);
        assert_eq!([1, 999, 10_000, 1_234_567].map(grouped), ["1", "999", "10,000", "1,234,567"]);
    }
}
