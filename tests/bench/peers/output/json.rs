//! Everything that was measured, round by round.

use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::measure::{Results, Row, Sample};
use crate::servers;

/// The results as one JSON document.
pub(crate) fn text(results: &Results, arguments: &Arguments) -> Result<String> {
    let ratios: Vec<Value> = results
        .ratios
        .iter()
        .map(|ratio| {
            json!({ "name": ratio.name, "value": ratio.value, "to_reach": ratio.commit, "aim": ratio.aim,
                "at_most": ratio.at_most, "reached": ratio.reached() })
        })
        .collect();
    let singles: Vec<Value> =
        results.singles.iter().map(|(what, value)| json!({ "name": what, "value": value })).collect();
    let document = json!({
        "git": git(),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "quick": arguments.quick,
        "rows": results.rows.iter().map(row).collect::<Vec<_>>(),
        "figures": singles,
        "ratios": ratios,
        "notes": results.notes,
        "failed": results.failed,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// The version of the git that all contenders run.
fn git() -> String {
    let output = Command::new(servers::GIT).arg("version").output();
    output.map_or_else(|_| String::new(), |output| harness::git::text(&output.stdout).trim().to_owned())
}

fn row(row: &Row) -> Value {
    json!({
        "scenario": row.scenario, "server": row.label, "requests_per_second": row.rate(),
        "cpu_ms_per_request": row.processor(), "processes_per_request": row.started(),
        "bytes_written_per_request": row.written(), "memory_peak": row.memory(),
        "requests": row.requests(), "answer_bytes": row.length(),
        "rounds": row.samples.iter().map(sample).collect::<Vec<_>>(),
    })
}

fn sample(sample: &Sample) -> Value {
    json!({ "requests": sample.requests, "seconds": sample.cost.wall.as_secs_f64(), "cpu_seconds": sample.cost.processor.as_secs_f64() })
}
