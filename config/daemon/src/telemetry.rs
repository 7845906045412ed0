//! Logs on standard error, as JSON lines for machines or as text for a terminal.
//!
//! `GITWARD_LOG` filters them (`info`, `authd=debug`, ...). Text a client sent must be logged as a field of
//! type `str`, which both formats quote and escape; never inside the message, which stays constant.

use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

use crate::log_line::JsonLine;
use crate::log_writer::LogWriter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// A log format that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown log format {0:?}: expected json or text")]
pub struct UnknownFormat(String);

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// `GITWARD_LOG` is no filter.
    #[error("{FILTER_VARIABLE} is not a log filter")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// There is no thread to be had.
    #[error("cannot start the thread that writes logs")]
    Thread(#[source] io::Error),
    /// Logs were set up before.
    #[error("logs are already set up")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What has to be kept until the process ends, or its last log lines may be lost.
#[must_use = "dropping it writes the log lines that wait"]
#[derive(Debug)]
pub struct Logs {
    _writer: LogWriter,
}

/// Sets up the logs of the process. Without a format, a terminal gets text and everything else JSON.
///
/// # Errors
/// See [`InitError`].
pub fn init(format: Option<LogFormat>) -> Result<Logs, InitError> {
    let filter = std::env::var(FILTER_VARIABLE).unwrap_or_else(|_| DEFAULT_FILTER.to_owned());
    let filter = EnvFilter::try_new(filter + ALWAYS).map_err(InitError::Filter)?;
    let terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let writer = LogWriter::start(io::stderr()).map_err(InitError::Thread)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer.clone());
    match format {
        LogFormat::Json => {
            lines.json().flatten_event(true).map_event_format(|others| JsonLine { others }).try_init()
        }
        LogFormat::Text => lines.with_ansi(terminal).try_init(),
    }
    .map_err(InitError::Twice)?;
    Ok(Logs { _writer: writer })
}

/// Everything of ours; of the HTTP server only what went wrong.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

/// The watch of files would log that a log was written, where that is in a watched directory, and so for ever.
const ALWAYS: &str = ",notify=warn";

/// The environment variable with the log filter.
pub const FILTER_VARIABLE: &str = "GITWARD_LOG";

/// The environment variable with the log format, for the command line to read.
pub const FORMAT_VARIABLE: &str = "GITWARD_LOG_FORMAT";

impl FromStr for LogFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }
}
