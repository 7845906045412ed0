//! The results, three times: a table for whoever waits, JSON for programs, a chart for the README.

mod chart;
mod json;
mod table;

use std::fs;

use anyhow::{Context, Result};

use crate::arguments::Arguments;
use crate::measure::Results;

/// Prints the table and says where the files are.
pub(crate) fn print(results: &Results, arguments: &Arguments) {
    table::print(results);
    println!("\n{0}/results.json\n{0}/results.svg", arguments.out.display());
}

/// Writes the files.
pub(crate) fn save(results: &Results, arguments: &Arguments) -> Result<()> {
    fs::create_dir_all(&arguments.out).with_context(|| format!("{}", arguments.out.display()))?;
    let json = arguments.out.join("results.json");
    let chart = arguments.out.join("results.svg");
    fs::write(&json, json::text(results, arguments)?)?;
    fs::write(&chart, chart::svg(results))?;
    fs::write(arguments.out.join("results.md"), table::markdown(results))?;
    Ok(())
}
