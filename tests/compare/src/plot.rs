//! The picture of `BENCHMARKS.md`: bars, as SVG text. Pure.

use std::fmt::Write as _;

use crate::report::{Figure, Results};
use crate::subjects::Subject;

/// Colours of a theme.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Behind everything.
    background: &'static str,
    /// Letters.
    text: &'static str,
    /// Our bars, and those of the others.
    ours: &'static str,
    others: &'static str,
}

/// For a page with dark letters.
pub const LIGHT: Theme = Theme { background: "#ffffff", text: "#1f2328", ours: "#0b6e4f", others: "#9aa5b1" };
/// For a page with light letters.
pub const DARK: Theme = Theme { background: "#0d1117", text: "#e6edf3", ours: "#3fb68b", others: "#57606a" };

/// The panels: a title with unit, and the figures that are added for a bar.
const PANELS: [(&str, &[Figure]); 3] = [
    ("From the start of the process to the answer, ms", &[Figure::Initialization, Figure::Cold(0)]),
    ("Processor time, ms", &[Figure::Processor]),
    ("Peak memory, MiB", &[Figure::Memory]),
];

/// In pixels.
const WIDTH: f64 = 820.0;
const LABELS: f64 = 240.0;
const NUMBERS: f64 = 60.0;
const ROW: f64 = 22.0;
const TITLE: f64 = 40.0;

/// Returns the first Create of every function, where AWS answers at once.
pub fn svg(results: &Results, theme: Theme) -> String {
    let panel_height = TITLE + ROW * Subject::ALL.len() as f64;
    let height = panel_height * PANELS.len() as f64 + 16.0;
    let Theme { background, text, ours, others } = theme;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{text}\">\n\
         <title>A first Create, each function in a new process; less is better</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"{background}\"/>\n"
    );
    for (number, (title, figures)) in PANELS.iter().enumerate() {
        let top = panel_height * number as f64;
        let value = |subject| -> f64 {
            let medians = figures.iter().filter_map(|figure| results.spread(subject, results.fastest(), *figure));
            medians.map(|spread| spread.median).sum()
        };
        let largest = Subject::ALL.map(value).into_iter().fold(f64::MIN_POSITIVE, f64::max);
        let _ = writeln!(svg, "<text x=\"16\" y=\"{:.0}\" font-weight=\"600\">{title}</text>", top + 28.0);
        for (row, subject) in Subject::ALL.into_iter().enumerate() {
            let y = top + TITLE + ROW * row as f64;
            let length = (WIDTH - LABELS - NUMBERS) * value(subject) / largest;
            let colour = if matches!(subject, Subject::Ours | Subject::OursWithChecks) { ours } else { others };
            let (middle, end) = (y + 14.0, LABELS + length + 6.0);
            let digits = if value(subject) < 20.0 { 1 } else { 0 };
            let _ = writeln!(
                svg,
                "<text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{LABELS}\" y=\"{:.0}\" width=\"{length:.1}\" height=\"14\" rx=\"2\" fill=\"{colour}\"/>\
                 <text x=\"{end:.0}\" y=\"{middle:.0}\">{:.digits$}</text>",
                LABELS - 8.0,
                subject.name(),
                y + 2.0,
                value(subject),
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}
