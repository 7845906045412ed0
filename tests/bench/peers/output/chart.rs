//! The chart: server processor time of a request, one panel for each scenario, bars on one logarithmic scale for all panels.
//!
//! Plain SVG 1.1 without scripts or fonts of its own, so that any browser and any code host shows it.

use std::fmt::Write as _;

use crate::measure::{Results, Row};

/// What is shown, in this order: scenario and title.
const PANELS: [(&str, &str); 6] = [
    ("info/refs", "info/refs, the first request of every fetch"),
    ("ls-remote", "git ls-remote"),
    ("no-op fetch", "git fetch with nothing new"),
    ("100 shallow clones", "one of 100 equal shallow clones at once"),
    ("full clone, hit", "full clone, asked for before"),
    ("push", "push of one commit"),
];

const COLUMNS: usize = 2;
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 28.0;
const BAR: f64 = 17.0;
const STEP: f64 = 24.0;
const LABEL: f64 = 128.0;
const NUMBER: f64 = 74.0;

/// The chart as a document.
pub(crate) fn svg(results: &Results) -> String {
    let panels: Vec<(&str, Vec<&Row>)> = PANELS
        .iter()
        .map(|(scenario, title)| {
            (*title, results.rows.iter().filter(|row| row.scenario == *scenario).collect())
        })
        .filter(|(_, rows): &(&str, Vec<&Row>)| !rows.is_empty())
        .collect();
    let scale = Scale::of(&panels);
    let (mut body, mut top) = (String::new(), 86.0);
    for pair in panels.chunks(COLUMNS) {
        let rows = pair.iter().map(|(_, rows)| rows.len()).max().unwrap_or(0);
        for (column, (title, rows)) in pair.iter().enumerate() {
            let left = MARGIN + column as f64 * WIDTH / COLUMNS as f64;
            panel(&mut body, left, top, title, rows, scale);
        }
        top += rows as f64 * STEP + 58.0;
    }
    let height = top + 6.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{MARGIN}\" y=\"36\" font-size=\"20\" font-weight=\"600\" fill=\"#1c2733\">\
         Server processor time of a git request</text>\n\
         <text x=\"{MARGIN}\" y=\"58\" fill=\"#5b6875\">milliseconds, all server processes included, logarithmic scale; \
         shorter is better</text>\n{body}</svg>\n"
    )
}

/// Logarithmic, from the shortest bar to the longest.
#[derive(Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(panels: &[(&str, Vec<&Row>)]) -> Self {
        let values = || panels.iter().flat_map(|(_, rows)| rows.iter().map(|row| row.processor()));
        let least = values().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        let most = values().fold(0.0, f64::max);
        Self { low: (least / 2.0).log10(), high: most.log10() }
    }

    /// From 0 to 1.
    fn length(self, value: f64) -> f64 {
        ((value.log10() - self.low) / (self.high - self.low)).clamp(0.01, 1.0)
    }
}

fn panel(body: &mut String, left: f64, top: f64, title: &str, rows: &[&Row], scale: Scale) {
    let space = WIDTH / COLUMNS as f64 - MARGIN - LABEL - NUMBER;
    let _ = writeln!(
        body,
        "<text x=\"{left}\" y=\"{}\" font-weight=\"600\" fill=\"#1c2733\">{title}</text>",
        top + 14.0
    );
    for (number, row) in rows.iter().enumerate() {
        let y = top + 26.0 + number as f64 * STEP;
        let length = scale.length(row.processor()) * space;
        let (bar, text) = (left + LABEL, y + BAR - 4.0);
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\" fill=\"#3b4652\">{}</text>\
             <rect x=\"{bar}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{text}\" fill=\"#3b4652\">{}</text>",
            bar - 8.0,
            row.label,
            color(&row.label),
            bar + length + 6.0,
            number_text(row.processor()),
        );
    }
}

/// Ours in one hue, limits in grey, peers in another.
fn color(label: &str) -> &'static str {
    match label {
        "gitward" => "#0b7a75",
        "gitward-cache-off" => "#7cc0bc",
        "raw-git" | "static-file" => "#b8c0c8",
        _ => "#d98d3b",
    }
}

fn number_text(value: f64) -> String {
    match value {
        value if value < 0.1 => format!("{value:.3}"),
        value if value < 10.0 => format!("{value:.2}"),
        value => format!("{value:.0}"),
    }
}
