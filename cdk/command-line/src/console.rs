//! Output: a progress display in a terminal, plain lines elsewhere.

pub mod progress_lines;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use self::progress_lines::ProgressLines;
use crate::waits::{BETWEEN_HEARTBEATS, BETWEEN_TICKS};

/// Prints the progress of a command.
#[derive(Debug, Clone)]
pub struct Console {
    spinner: Option<ProgressBar>,
    columns: usize,
    can_ask: bool,
    to: Sink,
    heartbeat: Heartbeat,
}

/// A sign of life while something takes long and no terminal shows that it goes on.
#[derive(Debug, Clone, Default)]
struct Heartbeat(Arc<Mutex<Option<Sender<()>>>>);

impl Heartbeat {
    /// Repeats what goes on, with its time, until the end.
    fn begin(&self, console: &Console, text: &str) {
        if matches!(console.to, Sink::File(_)) {
            return;
        }
        let (sender, ended) = mpsc::channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        let (console, text) = (Console { heartbeat: Self::default(), ..console.clone() }, text.to_owned());
        std::thread::spawn(move || {
            let mut passed = Duration::ZERO;
            while ended.recv_timeout(BETWEEN_HEARTBEATS) == Err(RecvTimeoutError::Timeout) {
                passed += BETWEEN_HEARTBEATS;
                console.text(&format!("{text} … {} s", passed.as_secs()));
            }
        });
    }

    fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The place of everything except results.
#[derive(Debug, Clone)]
enum Sink {
    Stdout,
    Stderr,
    File(Arc<File>),
}

/// Columns of the longest line where the terminal has more, or where there is none.
const MOST_COLUMNS: usize = 100;
const PIPE_COLUMNS: usize = 80;

/// Color of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Success.
    Good,
    /// Failure.
    Bad,
    /// In progress.
    Quiet,
    /// Name of the following lines.
    Name,
    /// Denied, as intended.
    Denied,
}

/// ANSI styles; `anstream` takes them out where nobody would see them.
mod style {
    pub(super) const BOLD: &str = "\u{1b}[1m";
    pub(super) const DIM: &str = "\u{1b}[2m";
    pub(super) const GREEN: &str = "\u{1b}[32m";
    pub(super) const RED: &str = "\u{1b}[31m";
    pub(super) const YELLOW: &str = "\u{1b}[33m";
    pub(super) const PLAIN: &str = "\u{1b}[0m";
}
use style::{BOLD, DIM, GREEN, PLAIN, RED, YELLOW};

impl Tone {
    fn color(self) -> &'static str {
        match self {
            Self::Good => GREEN,
            Self::Bad => RED,
            Self::Quiet => DIM,
            Self::Name => BOLD,
            Self::Denied => YELLOW,
        }
    }
}

impl Console {
    /// Shows a spinner during waits if somebody watches; else prints one line for each. Asks only if somebody can
    /// answer.
    #[must_use]
    pub fn new(is_watched: bool, can_ask: bool) -> Self {
        let spinner = is_watched.then(|| {
            let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            let style = ProgressStyle::with_template("  {spinner:.cyan} {msg} {elapsed:.dim}");
            spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            spinner.finish_and_clear();
            spinner
        });
        let columns = if is_watched { textwrap::termwidth().min(MOST_COLUMNS) } else { PIPE_COLUMNS };
        Self { spinner, columns, can_ask, to: Sink::Stdout, heartbeat: Heartbeat::default() }
    }

    /// For commands that only print a result.
    #[must_use]
    pub fn plain() -> Self {
        Self::new(false, false)
    }

    /// Prints into a file, without colours.
    #[must_use]
    pub fn of_file(file: File) -> Self {
        Self { to: Sink::File(Arc::new(file)), ..Self::plain() }
    }

    /// Returns the same, but everything except a result goes to standard error: for results that programs read.
    #[must_use]
    pub fn to_stderr(&self) -> Self {
        Self { to: Sink::Stderr, spinner: None, ..self.clone() }
    }

    /// True if somebody watches this in a terminal.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.spinner.is_some()
    }

    /// True if there is somebody who can answer.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.can_ask
    }

    /// Asks for yes or no; everything but yes is no.
    pub async fn ask(&self, question: &str) -> io::Result<bool> {
        anstream::eprint!("{question} [y/N] ");
        // On a thread that nobody waits for: a signal ends the program while somebody thinks.
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut answer = String::new();
            drop(sender.send(io::stdin().read_line(&mut answer).map(|_| answer)));
        });
        let answer = receiver.await.unwrap_or_else(|_| Ok(String::new()))?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Prints the result of a command.
    pub fn print(&self, text: &str) -> io::Result<()> {
        print_line(text)
    }

    /// Prints a note about the result on standard error.
    pub fn note(&self, text: &str) {
        let print = || anstream::eprintln!("note: {text}");
        match &self.spinner {
            Some(spinner) if !spinner.is_finished() => spinner.suspend(print),
            _ => print(),
        }
    }

    /// Prints a heading.
    pub fn heading(&self, title: &str) {
        self.line(&format!("\n{BOLD}{title}{PLAIN}"));
    }

    /// Prints a paragraph.
    pub fn text(&self, text: &impl Display) {
        self.paragraph(&format!("  {text}"));
    }

    /// Prints a name and its value; a long value goes below the name.
    pub fn field(&self, name: &str, value: &str) {
        let row = format!("  {BOLD}{name:<20}{PLAIN} {value}");
        if self.fits(&row) {
            return self.line(&row);
        }
        self.line(&format!("  {BOLD}{name}{PLAIN}"));
        self.paragraph(&format!("    {value}"));
    }

    /// Prints a name and below it a JSON value.
    pub fn json_field(&self, name: &str, value: &Value) {
        self.line(&format!("  {BOLD}{name}{PLAIN}"));
        self.json(value);
    }

    /// Prints a checked fact, with a check mark.
    pub fn checked(&self, text: &impl Display) {
        self.paragraph(&format!("  {GREEN}✓{PLAIN} {text}"));
    }

    /// Prints a step of a plan: a verb and what it is about.
    pub fn step(&self, verb: &str, what: &str) {
        self.line(&format!("    {BOLD}{verb:<8}{PLAIN} {what}"));
    }

    /// Shows a wait until [`Console::stop_waiting`].
    pub fn start_waiting(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => {
                spinner.set_message(text.to_owned());
                spinner.reset();
                spinner.enable_steady_tick(BETWEEN_TICKS);
            }
            None => {
                self.text(&format!("{text} …"));
                self.heartbeat.begin(self, text);
            }
        }
    }

    /// Shows a line of output of a program that does the work.
    pub fn progress(&self, line: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(line.trim().to_owned()),
            None => self.line(line),
        }
    }

    /// Ends [`Console::start_waiting`].
    pub fn stop_waiting(&self) {
        self.heartbeat.end();
        if let Some(spinner) = &self.spinner {
            spinner.disable_steady_tick();
            spinner.finish_and_clear();
        }
    }

    /// One line for each of several things that go on at once; every line begins with a name.
    #[must_use]
    pub fn progress_lines(&self, names: impl Iterator<Item = String>) -> ProgressLines {
        ProgressLines::new(self.spinner.is_some(), names.collect())
    }

    /// Prints a row: a coloured state, a name, a dimmed detail, and a remark, which goes below where it does not fit.
    pub fn row(&self, tone: Tone, state: &str, name: &str, detail: &str, remark: &str) {
        let color = tone.color();
        let mut row = format!("  {color}{state}{PLAIN}");
        if !name.is_empty() {
            row.push_str(&format!(" {name}"));
        }
        if !detail.is_empty() {
            row.push_str(&format!(" {DIM}{detail}{PLAIN}"));
        }
        let with_remark = format!("{row}  {remark}");
        if remark.is_empty() {
            self.line(&row);
        } else if self.fits(&with_remark) {
            self.line(&with_remark);
        } else {
            self.line(&row);
            self.paragraph(&format!("    {remark}"));
        }
    }

    /// Prints a line below a row: a coloured state, and a text that goes on below itself.
    pub fn subrow(&self, tone: Tone, state: &str, text: &str) {
        const INDENT: usize = 15;
        let options = textwrap::Options::new(self.columns.saturating_sub(INDENT))
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        let mut lines = textwrap::wrap(text, options).into_iter();
        let color = tone.color();
        let first = lines.next().unwrap_or_default();
        self.line(&format!("    {color}{state:<10}{PLAIN} {first}"));
        lines.for_each(|line| self.line(&format!("{:INDENT$}{line}", "")));
    }

    /// Shows a JSON value.
    pub fn json(&self, value: &Value) {
        for line in format!("{value:#}").lines() {
            self.line(&format!("    {line}"));
        }
    }

    /// Shows what changed between two JSON values: changed lines with a little around them.
    pub fn difference(&self, before: &Value, after: &Value) {
        let (before, after) = (format!("{before:#}"), format!("{after:#}"));
        let diff = TextDiff::from_lines(&before, &after);
        for group in diff.grouped_ops(2) {
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let (color, sign) = match change.tag() {
                    ChangeTag::Delete => (RED, '-'),
                    ChangeTag::Insert => (GREEN, '+'),
                    ChangeTag::Equal => (DIM, ' '),
                };
                self.line(&format!("    {color}{sign} {}{PLAIN}", change.value().trim_end()));
            }
        }
    }

    fn fits(&self, line: &str) -> bool {
        textwrap::core::display_width(line) <= self.columns
    }

    /// Prints a text that begins with its indent; the lines that it goes on with are indented by four.
    fn paragraph(&self, text: &str) {
        let unindented = text.trim_start_matches(' ');
        let options = textwrap::Options::new(self.columns)
            .initial_indent(&text[..text.len() - unindented.len()])
            .subsequent_indent("    ")
            // Names, ARNs and addresses are copied: they stay whole, whatever their length.
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        for line in textwrap::wrap(unindented, options) {
            self.line(&line);
        }
    }

    fn line(&self, text: &str) {
        // What cannot be shown is no reason to leave a stack half-way.
        let _ = match (&self.to, &self.spinner) {
            (Sink::File(file), _) => writeln!(file.as_ref(), "{}", anstream::adapter::strip_str(text)),
            (Sink::Stderr, _) => {
                anstream::eprintln!("{text}");
                Ok(())
            }
            (Sink::Stdout, Some(spinner)) if !spinner.is_finished() => spinner.suspend(|| print_line(text)),
            (Sink::Stdout, _) => print_line(text),
        };
    }
}

/// Prints a line. Nobody reading any more (`| head`) is no failure.
fn print_line(text: &str) -> io::Result<()> {
    match writeln!(anstream::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
