//! The results, three times: a table for whoever waits, JSON for programs, a chart for the README.

mod chart;
mod json;
mod table;

use std::fs;

use anyhow::{Context, Result};

use crate::arguments::Arguments;
use crate::measure::Results;

/// Prints the table and writes the files.
pub(crate) fn write(results: &Results, arguments: &Arguments) -> Result<()> {
    table::print(results);
    fs::create_dir_all(&arguments.out).with_context(|| format!("{}", arguments.out.display()))?;
    let json = arguments.out.join("results.json");
    let chart = arguments.out.join("results.svg");
    fs::write(&json, json::text(results, arguments)?)?;
    fs::write(&chart, chart::svg(results))?;
    fs::write(arguments.out.join("results.md"), table::markdown(results))?;
    println!("\n{}\n{}", json.display(), chart.display());
    Ok(())
}
