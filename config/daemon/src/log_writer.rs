//! Where log lines go: standard error, one write(2) for many lines when there are many.
//!
//! Every request logs a line, and writing each by itself is a good part of what a busy daemon does. So where more than
//! [`FEW`] come within [`LINGER`], the others wait for the end of that time and are written together. Where they are fewer, each
//! is written at once: that costs less than to wake a thread for it. A line is never cut in two, and whoever holds a
//! [`LogWriter`] to the end of the process loses none, but by a signal that ends it at once.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// How long a line may wait for others.
const LINGER: Duration = Duration::from_millis(10);

/// How many lines are written at once before others wait.
const FEW: u32 = 16;

/// How much is collected at most: then it is written at once, by whoever brought the last line.
const MOST: usize = 64 << 10;

/// Collects lines. Clones share what they have collected; dropping any of them writes it.
#[derive(Clone, Debug)]
pub struct LogWriter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lines: Mutex<Lines>,
    /// Writes what nobody else does.
    sweeper: Thread,
}

struct Lines {
    /// `dyn`, so that a test can look at what is written.
    output: Box<dyn Write + Send>,
    collected: Vec<u8>,
    /// When the present stretch of time began, and how many lines have come in it.
    since: Instant,
    count: u32,
}

impl LogWriter {
    /// A writer to `output`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = std::sync::mpsc::sync_channel::<Weak<Shared>>(1);
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || {
            if let Ok(shared) = receiver.recv() {
                sweep(&shared);
            }
        })?;
        let lines =
            Lines { output: Box::new(output), collected: Vec::new(), since: Instant::now(), count: 0 };
        let shared = Arc::new(Shared { lines: Mutex::new(lines), sweeper: thread.thread().clone() });
        // The thread waits for just this.
        let _ = sender.send(Arc::downgrade(&shared));
        Ok(Self(shared))
    }

    /// Writes what was collected.
    pub fn flush(&self) {
        self.0.lines().write();
    }

    fn add(&self, line: &[u8]) {
        let mut lines = self.0.lines();
        let is_first = lines.collected.is_empty();
        lines.collected.extend_from_slice(line);
        if lines.are_few() || lines.collected.len() >= MOST {
            lines.write();
        } else if is_first {
            drop(lines);
            self.0.sweeper.unpark();
        }
    }
}

/// Writes what was left lying, until nobody writes any more.
fn sweep(shared: &Weak<Shared>) {
    loop {
        thread::park();
        thread::sleep(LINGER);
        let Some(shared) = shared.upgrade() else { return };
        shared.lines().write();
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Also while the thread is at it: whoever ends the process next has nothing left to lose.
impl Drop for LogWriter {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Lets the thread see that nobody writes any more.
impl Drop for Shared {
    fn drop(&mut self) {
        self.sweeper.unpark();
    }
}

impl Lines {
    /// Counts one more, and says whether few have come lately.
    fn are_few(&mut self) -> bool {
        if self.since.elapsed() >= LINGER {
            (self.since, self.count) = (Instant::now(), 0);
        }
        self.count += 1;
        self.count <= FEW
    }

    fn write(&mut self) {
        if self.collected.is_empty() {
            return;
        }
        // A log that cannot be written has nowhere to say so.
        let _ = self.output.write_all(&self.collected);
        self.collected.clear();
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("collected", &self.collected.len()).finish_non_exhaustive()
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Each write is a whole line: that is how the layer that formats them writes.
impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        LogWriter::flush(self);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Tells of every write.
    struct Told(Sender<Vec<u8>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer() -> (LogWriter, Receiver<Vec<u8>>) {
        let (sender, writes) = channel();
        (LogWriter::start(Told(sender)).unwrap(), writes)
    }

    #[test]
    fn few_lines_are_written_at_once_and_each_by_itself() {
        let (writer, writes) = writer();
        for line in ["one\n", "two\n"] {
            (&writer).write_all(line.as_bytes()).unwrap();
            assert_eq!(writes.try_recv().unwrap(), line.as_bytes());
        }
    }

    #[test]
    fn many_lines_are_written_together_in_their_order_and_soon() {
        let (writer, writes) = writer();
        let lines: Vec<String> = (0..5000).map(|number| format!("{number}\n")).collect();
        lines.iter().for_each(|line| (&writer).write_all(line.as_bytes()).unwrap());
        let (expected, mut written, mut count) = (lines.concat(), Vec::new(), 0);
        while written.len() < expected.len() {
            written.extend(writes.recv_timeout(Duration::from_secs(10)).unwrap());
            count += 1;
        }
        assert_eq!(String::from_utf8(written).unwrap(), expected);
        assert!(count < lines.len() / 2, "{count} writes");
    }

    #[test]
    fn the_last_one_writes_what_is_left_and_the_thread_ends() {
        let (writer, writes) = writer();
        let other = writer.clone();
        for _ in 0..FEW {
            (&writer).write_all(b"one\n").unwrap();
            (&other).write_all(b"two\n").unwrap();
        }
        drop((writer, other));
        // It ends when the thread has let go of the output too.
        assert_eq!(writes.iter().flatten().count(), 2 * 4 * FEW as usize);
    }

    #[test]
    fn no_more_than_so_much_is_collected() {
        let (writer, writes) = writer();
        for _ in 0..FEW {
            (&writer).write_all(b"short\n").unwrap();
        }
        let line = vec![b'x'; MOST / 2];
        for _ in 0..8 {
            (&writer).write_all(&line).unwrap();
        }
        assert!(writer.0.lines().collected.len() < MOST);
        assert!(writes.try_iter().map(|write| write.len()).max().unwrap() <= MOST + MOST / 2);
    }
}
