//! Tables: in columns for a terminal, and the ratios as Markdown.

use std::fmt::Write as _;

use crate::measure::{Results, Row};
use crate::ratios::Ratio;

/// Prints everything.
pub(crate) fn print(results: &Results) {
    println!(
        "\n{:<24} {:<20} {:>9} {:>12} {:>9} {:>10} {:>9}",
        "scenario", "server", "req/s", "CPU ms/req", "procs/req", "KiB written", "peak MiB"
    );
    let mut scenario = "";
    for row in &results.rows {
        let name = if row.scenario == scenario { "" } else { row.scenario };
        scenario = row.scenario;
        println!("{}", line(name, row));
    }
    println!();
    for (what, value) in &results.singles {
        println!("{what:<72} {value:>12.2}");
    }
    println!("\n{:<56} {:>10} {:>12} {:>12}", "ratio", "measured", "to reach", "aim");
    for ratio in &results.ratios {
        let [value, commit, aim] = shown(ratio);
        println!("{:<56} {value:>10} {commit:>12} {aim:>12}  {}", ratio.name, verdict(ratio));
    }
    for note in &results.notes {
        println!("note: {note}");
    }
}

fn line(scenario: &str, row: &Row) -> String {
    format!(
        "{scenario:<24} {:<20} {:>9.1} {:>12.3} {:>9.2} {:>10.1} {:>9.1}",
        row.label,
        row.rate(),
        row.processor(),
        row.started(),
        row.written() / 1024.0,
        row.memory() as f64 / 1_048_576.0
    )
}

/// The figures and the ratios as Markdown tables.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = String::from("| what | measured | to reach | aim | |\n|---|---:|---:|---:|---|\n");
    for ratio in &results.ratios {
        let [value, commit, aim] = shown(ratio);
        let _ = writeln!(text, "| {} | {value} | {commit} | {aim} | {} |", ratio.name, verdict(ratio));
    }
    text.push_str("\n| scenario | server | requests/s | CPU ms a request | processes a request |\n|---|---|---:|---:|---:|\n");
    for row in &results.rows {
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.3} | {:.2} |",
            row.scenario,
            row.label,
            row.rate(),
            row.processor(),
            row.started()
        );
    }
    text
}

/// Small ratios are easier to read upside down.
fn shown(ratio: &Ratio) -> [String; 3] {
    let number = |value: f64| match value {
        value if ratio.at_most && ratio.commit < 0.1 && value > 0.0 => format!("1/{:.0}", 1.0 / value),
        value if value >= 10.0 || value == 0.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    };
    let sign = if ratio.at_most { "≤" } else { "≥" };
    [number(ratio.value), format!("{sign} {}", number(ratio.commit)), format!("{sign} {}", number(ratio.aim))]
}

fn verdict(ratio: &Ratio) -> &'static str {
    match (ratio.reached(), ratio.surpassed()) {
        (_, true) => "aim reached",
        (true, false) => "reached",
        (false, false) => "missed",
    }
}
