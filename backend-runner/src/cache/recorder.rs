//! The recorder: takes git's answer from its job, whoever reads it, and decides at the end whether it is kept.
//!
//! It lives on the daemon's own runtime, so the client whose request started git may leave. An answer is kept when git ended
//! with success and wrote a pack and a flush packet as its last, and when the disk took all of it.

use bytes::Bytes;
use flate2::Crc;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::framing::Framing;
use super::lead::Lead;
use super::recording::{End, Fate};
use crate::cgi::response::Head;
use crate::stream::{NoHead, download};

/// What comes from the job.
#[derive(Debug)]
pub struct FromJob {
    /// The head, or why there is none.
    pub head: oneshot::Receiver<Result<Head, NoHead>>,
    /// The body.
    pub body: download::Body,
    /// Whether git ended with success.
    pub success: oneshot::Receiver<bool>,
}

/// How many bytes go to the disk at once.
const BATCH: usize = 512 << 10;

/// Records one answer; the outcome for the metrics.
pub async fn record(mut lead: Lead, job: FromJob) -> &'static str {
    let FromJob { head, mut body, success } = job;
    let Ok(Ok(head)) = head.await else {
        lead.recording.end(End::Never);
        lead.recording.settle(Fate::Dropped);
        return "failed";
    };
    let is_good = head.status.as_u16() == 200;
    lead.recording.begin(head);
    let mut account = Some(Account::default());
    let end = loop {
        let next = tokio::select! {
            biased;
            () = lead.recording.left() => break None,
            batch = batch(&mut body) => batch,
        };
        let (pieces, end) = next;
        if !pieces.is_empty() {
            account = put(&mut lead, account, pieces).await;
        }
        if end.is_some() {
            break end;
        }
        if !lead.recording.room().await {
            break None;
        }
    };
    // Ends git, if it has not ended.
    drop(body);
    lead.recording.end(end.unwrap_or(End::Broken));
    let is_success = end == Some(End::Well) && success.await.unwrap_or_default();
    let complete = account.filter(|account| is_good && is_success && account.is_complete());
    let kept = match complete {
        Some(account) => keep(lead, account.sum.sum()).await,
        None => {
            lead.close();
            lead.recording.settle(Fate::Dropped);
            false
        }
    };
    if kept { "stored" } else { "dropped" }
}

/// What is known of the bytes on the disk.
#[derive(Debug)]
struct Account {
    sum: Crc,
    framing: Framing,
}

impl Default for Account {
    fn default() -> Self {
        Self { sum: Crc::new(), framing: Framing::default() }
    }
}

impl Account {
    fn is_complete(&self) -> bool {
        self.framing.is_complete() && self.framing.has_pack()
    }
}

/// What has come of the body, at least something, and how it ended when it did.
async fn batch(body: &mut download::Body) -> (Vec<Bytes>, Option<End>) {
    let mut pieces = Vec::new();
    let mut length = 0;
    let mut next = body.next().await;
    loop {
        match next {
            Some(Ok(piece)) => {
                length += piece.len();
                pieces.push(piece);
            }
            Some(Err(_)) => return (pieces, Some(End::Broken)),
            None => return (pieces, Some(End::Well)),
        }
        if length >= BATCH {
            return (pieces, None);
        }
        match body.next().now_or_never() {
            Some(more) => next = more,
            None => return (pieces, None),
        }
    }
}

/// Writes the pieces to the disk, or hands them on without it once that has failed; the account is lost then.
async fn put(lead: &mut Lead, account: Option<Account>, pieces: Vec<Bytes>) -> Option<Account> {
    let length = pieces.iter().map(Bytes::len).sum::<usize>() as u64;
    let room = account.filter(|_| lead.grow(length));
    let Some(mut account) = room else {
        lead.close();
        lead.recording.spill(pieces);
        return None;
    };
    let recording = lead.recording.clone();
    let written = spawn_blocking(move || {
        let written = recording.write(&pieces);
        for piece in &pieces {
            account.sum.update(piece);
            account.framing.follow(piece);
        }
        (written, account, pieces)
    });
    match written.await {
        Ok((Ok(()), account, _)) => Some(account),
        Ok((Err(error), _, pieces)) => {
            tracing::warn!(
                error = error.to_string(),
                "the cache takes no more; the answer is passed on without it"
            );
            lead.close();
            lead.recording.spill(pieces);
            None
        }
        // The thread is gone, and the bytes with it.
        Err(_) => {
            lead.recording.end(End::Broken);
            None
        }
    }
}

async fn keep(lead: Lead, sum: u32) -> bool {
    let kept = spawn_blocking(move || {
        let kept = lead.keep(sum);
        lead.close();
        let fate = kept.as_ref().map_or(Fate::Dropped, |name| Fate::Kept(name.clone()));
        lead.recording.settle(fate);
        kept.is_ok()
    });
    kept.await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;
    use std::sync::Arc;

    use prometheus::IntGauge;

    use super::*;
    use crate::cache::reader::Reader;
    use crate::cache::recording::Recording;
    use crate::cache::store::{Found, Store, Wanted};
    use crate::config::{Admission, Cache as Settings};
    use crate::engine;

    fn store(directory: &Path) -> Arc<Store> {
        let settings = Settings {
            memory: 0,
            directory: None,
            size: 64 << 20,
            ttl: std::time::Duration::from_secs(60),
            admission: Admission::First,
            forget_rewritten: false,
        };
        Store::open(directory, &settings, IntGauge::new("x", "x").unwrap()).unwrap()
    }

    fn lead(store: &Arc<Store>) -> Lead {
        let wanted = Wanted { key: [1; 32], repository: store.directory().to_owned(), tag: "0".repeat(16) };
        match store.look(wanted) {
            Found::Lead(lead) => lead,
            other => panic!("{other:?}"),
        }
    }

    async fn all(mut reader: Reader) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = reader.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        bytes
    }

    /// Says a pack of `packets` side-band packets.
    fn job(packets: usize) -> (FromJob, tokio::task::JoinHandle<()>) {
        let (mut sender, body) = download::channel();
        let (head_sender, head) = oneshot::channel();
        let (succeed, success) = oneshot::channel();
        let saying = tokio::spawn(async move {
            head_sender.send(Ok(engine::head("a/b"))).unwrap();
            sender.send(Bytes::from_static(b"000dpackfile\n")).await.unwrap();
            for _ in 0..packets {
                sender.send([&b"fff0\x01"[..], &[b'x'; 0xffeb]].concat().into()).await.unwrap();
            }
            sender.send(Bytes::from_static(b"0000")).await.unwrap();
            assert!(sender.end().is_none());
            succeed.send(true).unwrap();
        });
        (FromJob { head, body, success }, saying)
    }

    #[tokio::test]
    async fn a_whole_answer_is_kept_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let lead = lead(&store);
        let reader = lead.reader().unwrap();
        let (job, saying) = job(40);
        let recording = tokio::spawn(record(lead, job));
        let bytes = all(reader).await;
        assert_eq!(bytes.len(), 13 + 40 * 0xfff0 + 4);
        saying.await.unwrap();
        assert_eq!(recording.await.unwrap(), "stored");
        let wanted = Wanted { key: [1; 32], repository: store.directory().to_owned(), tag: String::new() };
        let Found::Answer(answer) = store.look(wanted) else { panic!("not found") };
        assert_eq!(answer.size, bytes.len() as u64);
    }

    #[tokio::test]
    async fn a_full_disk_keeps_nothing_and_fails_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        for _ in 0..5 {
            let mut lead = lead(&store);
            let full = File::options().read(true).write(true).open("/dev/full").unwrap();
            lead.close();
            lead.recording = Recording::new(full, lead.recording.part().to_owned());
            let readers =
                [lead.reader().unwrap(), lead.reader().unwrap()].map(|reader| tokio::spawn(all(reader)));
            let (job, saying) = job(60);
            assert_eq!(record(lead, job).await, "dropped");
            saying.await.unwrap();
            for reader in readers {
                assert_eq!(reader.await.unwrap().len(), 13 + 60 * 0xfff0 + 4);
            }
            let left = std::fs::read_dir(directory.path()).unwrap().count();
            assert_eq!(left, 1, "only the lock");
        }
    }

    #[tokio::test]
    async fn what_an_earlier_daemon_left_is_read_by_one_for_all() {
        let directory = tempfile::tempdir().unwrap();
        let first = store(directory.path());
        let (job, saying) = job(400);
        let lead = lead(&first);
        let reader = lead.reader().unwrap();
        let recording = tokio::spawn(record(lead, job));
        all(reader).await;
        saying.await.unwrap();
        assert_eq!(recording.await.unwrap(), "stored");
        drop(first);
        let store = store(directory.path());
        let look = || {
            let wanted =
                Wanted { key: [1; 32], repository: store.directory().to_owned(), tag: String::new() };
            let store = Arc::clone(&store);
            spawn_blocking(move || store.look(wanted))
        };
        let asked: Vec<_> = (0..8).map(|_| look()).collect();
        for found in asked {
            match found.await.unwrap() {
                Found::Answer(_) => {}
                Found::Proving(mut proof) => {
                    let _ = proof.changed().await;
                    assert!(matches!(look().await.unwrap(), Found::Answer(_)));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
