//! How things are told: a progress display in a terminal, plain lines elsewhere.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::stacks::Event;

/// Where to tell it.
#[derive(Debug)]
pub struct Console {
    spinner: Option<ProgressBar>,
}

/// ANSI styles; `anstream` takes them out where nobody would see them.
mod style {
    pub(super) const BOLD: &str = "\u{1b}[1m";
    pub(super) const DIM: &str = "\u{1b}[2m";
    pub(super) const GREEN: &str = "\u{1b}[32m";
    pub(super) const RED: &str = "\u{1b}[31m";
    pub(super) const PLAIN: &str = "\u{1b}[0m";
}
use style::{BOLD, DIM, GREEN, PLAIN, RED};

impl Console {
    /// Tells it with a progress display if somebody watches, else in plain lines.
    #[must_use]
    pub fn new(is_watched: bool) -> Self {
        let spinner = is_watched.then(|| {
            let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            let style = ProgressStyle::with_template("  {spinner:.cyan} {msg} {elapsed:.dim}");
            spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            spinner.finish_and_clear();
            spinner
        });
        Self { spinner }
    }

    /// Begins a part.
    pub fn part(&self, title: &str) {
        self.line(&format!("\n{BOLD}{title}{PLAIN}"));
    }

    /// Says something.
    pub fn say(&self, text: &impl Display) {
        self.line(&format!("  {text}"));
    }

    /// Says what something is; a long value goes below its name, cut into lines.
    pub fn entry(&self, name: &str, value: &str) {
        /// Columns that a value may take beside its name.
        const BESIDE: usize = 76;
        if value.chars().count() <= BESIDE {
            return self.line(&format!("  {BOLD}{name:<20}{PLAIN} {value}"));
        }
        self.line(&format!("  {BOLD}{name}{PLAIN}"));
        for line in wrapped(value, BESIDE + 16) {
            self.line(&format!("    {line}"));
        }
    }

    /// Says that something was checked and holds.
    pub fn holds(&self, text: &impl Display) {
        self.line(&format!("  {GREEN}✓{PLAIN} {text}"));
    }

    /// Says what goes on, until [`Console::rest`].
    pub fn wait(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => {
                spinner.set_message(text.to_owned());
                spinner.reset();
                spinner.enable_steady_tick(Duration::from_millis(100));
            }
            None => self.say(&format!("{text} …")),
        }
    }

    /// Ends what [`Console::wait`] began.
    pub fn rest(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.disable_steady_tick();
            spinner.finish_and_clear();
        }
    }

    /// Tells an event of a stack.
    pub fn event(&self, event: &Event) {
        let color = match event.status.as_str() {
            status if status.ends_with("_FAILED") || status.contains("ROLLBACK") => RED,
            status if status.ends_with("_COMPLETE") => GREEN,
            _ => DIM,
        };
        let reason = if event.reason.is_empty() { String::new() } else { format!("  {}", event.reason) };
        self.line(&format!(
            "  {color}{:<28}{PLAIN} {:<22} {DIM}{}{PLAIN}{reason}",
            event.status, event.logical_id, event.kind
        ));
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

    fn line(&self, text: &str) {
        // What cannot be shown is no reason to leave a stack half-way.
        let _ = match &self.spinner {
            Some(spinner) if !spinner.is_finished() => spinner.suspend(|| print_line(text)),
            _ => print_line(text),
        };
    }
}

/// Prints a line. Nobody reading any more (`| head`) is no failure.
pub fn print_line(text: &str) -> std::io::Result<()> {
    match writeln!(anstream::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// A text in lines of at most so many columns, broken at blanks where there are any.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let is_full = lines
            .last()
            .is_some_and(|line| !line.is_empty() && line.chars().count() + 1 + word.chars().count() > columns);
        if is_full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}
