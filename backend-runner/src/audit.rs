//! `audit.jsonl`: one line of JSON for each request, after it has ended: who did what, and what came of it.
//!
//! Records are written by a thread of their own, so that a slow or full disk delays and fails nothing; what cannot be written is
//! counted and said aloud. Before each write the file's name is looked up again: whoever rotates logs just renames the file.

mod record;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::iter;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use self::record::Record;
use crate::metrics::Metrics;

/// How many records wait for the disk.
const WAITING: usize = 4096;

/// How long a record waits for others, to be written together with them.
const LINGER: Duration = Duration::from_millis(20);

/// Where records go. Clones share one file; when the last is dropped, everything is written.
#[derive(Clone, Debug)]
pub struct Audit(Option<Arc<Writer>>);

#[derive(Debug)]
struct Writer {
    lines: Mutex<Option<SyncSender<Vec<u8>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    metrics: Metrics,
}

impl Audit {
    /// Opens the log at `path`, if there is to be one. A file that cannot be opened is tried again with every record.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open(path: Option<PathBuf>, metrics: Metrics) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let (sender, lines) = sync_channel(WAITING);
        let counters = metrics.clone();
        let thread = thread::Builder::new()
            .name("audit".into())
            .spawn(move || Log { path, file: None, failing: false, metrics: counters }.write_all(&lines))?;
        let writer = Writer { lines: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)), metrics };
        Ok(Self(Some(Arc::new(writer))))
    }

    /// An audit that records nothing, for a run whose requests are recorded by whoever answers them.
    #[must_use]
    pub fn silent() -> Self {
        Self(None)
    }

    /// Hands a record over; never waits.
    pub fn record(&self, record: &Record) {
        let Some(writer) = &self.0 else { return };
        let lines = writer.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = lines.as_ref().map(|lines| lines.try_send(record.line()));
        if !matches!(sent, Some(Ok(()))) {
            writer.metrics.audited("lost");
            tracing::error!(request_id = record.request_id(), "AUDIT RECORD LOST: the disk does not keep up");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.lines.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Log {
    path: PathBuf,
    file: Option<File>,
    failing: bool,
    metrics: Metrics,
}

impl Log {
    fn write_all(mut self, lines: &Receiver<Vec<u8>>) {
        while let Ok(first) = lines.recv() {
            // Who hands a record over meanwhile wakes nobody.
            thread::sleep(LINGER);
            let batch: Vec<_> = iter::once(first).chain(lines.try_iter()).collect();
            // Together, and where the disk does not take all of them, each that it takes.
            match self.write(&batch.concat()) {
                Ok(()) => batch.iter().for_each(|_| self.account(Ok(()))),
                Err(_) => batch.iter().for_each(|line| {
                    let written = self.write(line);
                    self.account(written);
                }),
            }
        }
    }

    fn account(&mut self, written: io::Result<()>) {
        self.metrics.audited(if written.is_ok() { "written" } else { "lost" });
        match &written {
            Ok(()) if self.failing => {
                tracing::warn!(path = %self.path.display(), "audit records are written again");
            }
            Ok(()) => {}
            Err(error) => {
                tracing::error!(path = %self.path.display(), error = error.to_string(), "AUDIT RECORD LOST");
            }
        }
        self.failing = written.is_err();
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut file = self.current()?;
        let length = file.metadata().map(|found| found.len());
        let written = file.write_all(line);
        if let (Err(_), Ok(length)) = (&written, length) {
            // Half a record would spoil the next one too.
            let _ = file.set_len(length);
        }
        written
    }

    /// The file that has the name now.
    fn current(&mut self) -> io::Result<&File> {
        if self.file.as_ref().is_none_or(|file| !is_at(file, &self.path)) {
            let opened = OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path)?;
            self.file = Some(opened);
        }
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use policy::decision::Decision;
    use policy::git_request::{GitRequest, Mount};
    use prometheus::Registry;

    use super::*;

    fn record(id: &str) -> Record {
        let request = GitRequest::parse(&Mount::default(), "POST", b"/git/a.git/git-upload-pack").unwrap();
        Record::of(&Decision::permitting(&request, id.into(), 0), "ok")
    }

    fn lost(registry: &Registry) -> f64 {
        let families = registry.gather();
        let series = families.iter().filter(|family| family.name() == "gitward_audit_records_total");
        let lost =
            |metric: &&prometheus::proto::Metric| metric.get_label().iter().any(|l| l.value() == "lost");
        series.flat_map(|f| f.get_metric()).filter(lost).map(|m| m.get_counter().get_value()).sum()
    }

    #[test]
    fn a_record_goes_to_the_file_that_has_the_name_at_that_time() {
        let directory = tempfile::tempdir().unwrap();
        let (path, rotated) = (directory.path().join("audit.jsonl"), directory.path().join("audit.jsonl.1"));
        let mut log = Log {
            path: path.clone(),
            file: None,
            failing: false,
            metrics: Metrics::register(&Registry::new()).unwrap(),
        };
        log.write(&record("one").line()).unwrap();
        std::fs::rename(&path, &rotated).unwrap();
        log.write(&record("two").line()).unwrap();
        assert!(std::fs::read_to_string(rotated).unwrap().contains("\"one\""));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("\"two\"") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn a_full_disk_loses_records_and_nothing_else() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let audit = Audit::open(Some("/dev/full".into()), metrics).unwrap();
        audit.record(&record("one"));
        audit.record(&record("two"));
        drop(audit);
        assert!((lost(&registry) - 2.0).abs() < f64::EPSILON);
    }
}
