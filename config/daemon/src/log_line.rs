//! A log event as one line of JSON, written once from its parts: every request costs one, so it is part of each answer.
//!
//! The same bytes as `tracing_subscriber`'s flattened JSON, which goes through several writers for every field; a test holds
//! both together. Events of libraries that use the `log` crate are left to it. Nothing here filters or writes to a stream.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats events as JSON; `others` formats those that are not ours.
#[derive(Debug)]
pub(crate) struct JsonLine<F> {
    pub(crate) others: F,
}

impl<S, N, F> FormatEvent<S, N> for JsonLine<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        if metadata.target() == FROM_LOG_CRATE {
            return self.others.format_event(context, writer, event);
        }
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        writer.write_str("\",\"level\":\"")?;
        writer.write_str(metadata.level().as_str())?;
        writer.write_char('"')?;
        let mut fields = Fields { writer: &mut writer, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        writer.write_str(",\"target\":\"")?;
        writer.write_str(metadata.target())?;
        writer.write_str("\"}\n")
    }
}

/// Writes each field as it comes; the first fault is kept.
struct Fields<'w, 'a> {
    writer: &'w mut Writer<'a>,
    result: fmt::Result,
}

impl Fields<'_, '_> {
    fn field(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let name = |writer: &mut Writer<'_>| {
            writer.write_str(",\"")?;
            writer.write_str(field.name())?;
            writer.write_str("\":")
        };
        if self.result.is_ok() {
            self.result = name(self.writer).and_then(|()| value(self.writer));
        }
    }

    fn quoted(&mut self, field: &Field, value: impl FnOnce(&mut Escaped<'_, '_>) -> fmt::Result) {
        self.field(field, |writer| {
            writer.write_char('"')?;
            value(&mut Escaped(writer))?;
            writer.write_char('"')
        });
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.quoted(field, |escaped| escaped.write_str(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, |writer| write!(writer, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, |writer| write!(writer, "{}", serde_json::Value::from(value)));
    }

    /// The message too: it comes as its format arguments.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.quoted(field, |escaped| write!(escaped, "{value:?}"));
    }
}

/// Text inside a JSON string, RFC 8259 section 7.
struct Escaped<'w, 'a>(&'w mut Writer<'a>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            self.0.write_str(&rest[..at])?;
            match rest.as_bytes()[at] {
                b'\n' => self.0.write_str("\\n"),
                b'\r' => self.0.write_str("\\r"),
                b'\t' => self.0.write_str("\\t"),
                0x08 => self.0.write_str("\\b"),
                0x0c => self.0.write_str("\\f"),
                byte if byte < b' ' => write!(self.0, "\\u{byte:04x}"),
                byte => write!(self.0, "\\{}", char::from(byte)),
            }?;
            rest = &rest[at + 1..];
        }
        self.0.write_str(rest)
    }
}

/// How `tracing` names events that come from there.
const FROM_LOG_CRATE: &str = "log";

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A clock that stands still cannot be given to both, so the time is cut off.
    fn without_time(lines: &Lines) -> Vec<String> {
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.split_once("Z\",").unwrap().1.to_owned()).collect()
    }

    fn log_everything() {
        let odd = "quote \" backslash \\ lines \r\n tab \t nul \0 escape \u{1b} delete \u{7f} ümlaut \u{2028} emoji 🦀";
        tracing::info!(user = odd, count = 3_u64, low = -1_i64, yes = true, part = 0.5, "a message");
        tracing::warn!(absent = Option::<&str>::None, present = Some("x"), nan = f64::NAN, "with {odd}");
        tracing::error!(debug = ?vec![odd], display = %odd, "");
    }

    #[test]
    fn a_line_is_what_the_library_would_write() {
        let (ours, theirs) = (Lines::default(), Lines::default());
        for (lines, own) in [(ours.clone(), true), (theirs.clone(), false)] {
            let builder =
                tracing_subscriber::fmt().with_writer(move || lines.clone()).json().flatten_event(true);
            match own {
                true => tracing::subscriber::with_default(
                    builder.map_event_format(|others| JsonLine { others }).finish(),
                    log_everything,
                ),
                false => tracing::subscriber::with_default(builder.finish(), log_everything),
            }
        }
        assert_eq!(without_time(&ours), without_time(&theirs));
        for line in String::from_utf8(ours.0.lock().unwrap().clone()).unwrap().lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
}
