//! Several things that go on at once, one line each: lines that change in a terminal, plain lines elsewhere.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::print_line;
use super::style::{GREEN, PLAIN, RED};
use crate::waits::BETWEEN_TICKS;

/// The lines, each with the name that it begins with.
#[derive(Debug)]
pub struct ProgressLines {
    lines: Vec<(String, Option<ProgressBar>)>,
}

impl ProgressLines {
    pub(super) fn new(is_watched: bool, names: Vec<String>) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let columns = names.iter().map(String::len).max().unwrap_or(0);
        let line = |name: String| {
            let name = format!("{name:<columns$}");
            let bar = is_watched.then(|| {
                let bar = all.add(ProgressBar::new_spinner());
                let style = ProgressStyle::with_template("{spinner:.cyan} {prefix}  {wide_msg}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.set_prefix(name.clone());
                bar.enable_steady_tick(BETWEEN_TICKS);
                bar
            });
            (name, bar)
        };
        Self { lines: names.into_iter().map(line).collect() }
    }

    /// Says what goes on in a line.
    pub fn progress(&self, i: usize, text: &str) {
        match self.lines.get(i) {
            Some((_, Some(bar))) => bar.set_message(text.to_owned()),
            Some((name, None)) => print(&format!("  {name}  {text}")),
            None => {}
        }
    }

    /// Ends a line that went well.
    pub fn checked(&self, i: usize, text: &str) {
        self.end(i, &format!("{GREEN}✓{PLAIN}"), text);
    }

    /// Ends a line that did not.
    pub fn fails(&self, i: usize, text: &str) {
        self.end(i, &format!("{RED}✗{PLAIN}"), text);
    }

    fn end(&self, i: usize, sign: &str, text: &str) {
        let Some((name, bar)) = self.lines.get(i) else { return };
        let line = format!("{sign} {name}  {text}");
        match bar {
            // The whole line stays, also where it is longer than the terminal is wide.
            Some(bar) => {
                bar.suspend(|| print(&line));
                bar.finish_and_clear();
            }
            None => print(&line),
        }
    }
}

fn print(line: &str) {
    // What cannot be shown is no reason to leave something half-way.
    let _ = print_line(line);
}
