//! Packs from the cache: by nginx, from their file, or from the git that is making them for another request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::HeaderName;
use tokio::time::timeout;

use super::find::STORAGE;
use super::kept::{Asked, Keep, Kept};
use super::pass::Source;
use super::refusal::Refusal;
use super::served::{By, Served};
use super::with_head;
use crate::cache::digest::{Digest, Parts};
use crate::cache::reader::Reader;
use crate::cache::standing::tag;
use crate::cache::store::{Answer, Found, Store, Wanted};
use crate::cgi::environment::Variable;
use crate::cgi::response::Head;
use crate::engine;
use crate::limits::Permit;
use crate::metrics::AnswerKind;

impl Asked<'_> {
    /// Looks for the answer to the fetch `question`.
    pub(super) async fn pack(
        &self,
        store: Arc<Store>,
        question: Digest,
        environment: &impl Fn() -> Vec<Variable>,
        received: u64,
    ) -> Result<Kept, Refusal> {
        let Some(standing) = self.standing().await else { return Ok(self.unkept("pass")) };
        let tag = tag(self.runner.config.aliases.store(&self.decision.repo));
        // With the tag, so that nothing is given that could not be purged by its repository's name.
        let key = self.key("pack", standing, environment).and(tag.as_bytes()).and(&question);
        let Some(key) = self.with_history(key).await else { return Ok(self.unkept("pass")) };
        let wanted = Wanted { key, repository: self.repository.path.clone(), tag };
        for _ in 0..ATTEMPTS {
            if let Some(answer) = store.glance(&wanted) {
                return self.stored(answer, &key, received).map(Kept::Answer);
            }
            let (store, wanted) = (Arc::clone(&store), wanted.clone());
            let look = self.runner.runtime.spawn_blocking(move || store.look(wanted));
            let Ok(Ok(found)) = timeout(STORAGE, look).await else {
                return Ok(self.unkept("pass"));
            };
            match found {
                Found::Answer(answer) => return self.stored(answer, &key, received).map(Kept::Answer),
                Found::Lead(lead) => {
                    self.runner.metrics.cached(KIND, "miss");
                    return Ok(Keep::pack(lead, received).into());
                }
                Found::Proving(mut proof) => {
                    if timeout(STORAGE, proof.changed()).await.is_err() {
                        return Ok(self.unkept("pass"));
                    }
                }
                Found::Join(reader) => {
                    if let Some(kept) = self.join(reader, &key, received).await {
                        return kept;
                    }
                }
                Found::Pass => return Ok(self.unkept("pass")),
            }
        }
        Ok(self.unkept("pass"))
    }

    /// The whole key, with where the history is cut off; `None` when its answer depends on more than a key can hold.
    async fn with_history(&self, key: Parts) -> Option<Digest> {
        if self.ground.is_some_and(|ground| ground.whole) {
            return Some(key.and(b"").digest());
        }
        let repository = self.repository.path.clone();
        let look = self.runner.runtime.spawn_blocking(move || history(&repository));
        let shallow = timeout(STORAGE, look).await.ok()?.ok()??;
        Some(key.and(&shallow).digest())
    }

    /// Follows the git of another request; `None` when that gave no answer.
    async fn join(&self, reader: Reader, key: &Digest, received: u64) -> Option<Result<Kept, Refusal>> {
        let head = match timeout(START, reader.begun()).await {
            Ok(head) => head?,
            Err(_) => match self.begun_or_place(&reader).await {
                Ok(Ok(head)) => head?,
                Ok(Err(permit)) => {
                    self.runner.metrics.cached(KIND, "pass");
                    return Some(Ok(Keep::Placed(permit).into()));
                }
                Err(refusal) => return Some(Err(refusal)),
            },
        };
        self.runner.metrics.cached(KIND, "joined");
        let served = Served::new(self, By::Joined, received);
        Some(self.follow(reader, head, key, served).await.map(Kept::Answer))
    }

    /// Who asked first may be waiting for a place, and may be one who has many running: this request waits for its own as well.
    async fn begun_or_place(&self, reader: &Reader) -> Result<Result<Option<Head>, Permit>, Refusal> {
        let Asked { runner, decision, .. } = *self;
        let room = runner.limits.enter(decision)?;
        tokio::select! {
            biased;
            head = reader.begun() => Ok(Ok(head)),
            permit = runner.limits.acquire(room, runner.config.aliases.store(&decision.repo)) => Ok(Err(permit?)),
            () = runner.stop.cancelled() => Err(Refusal::Stopping),
        }
    }

    /// Follows a recording whose head is here. nginx sends it when it is complete soon, and nothing has to be passed on then.
    pub(super) async fn follow(
        &self,
        reader: Reader,
        head: Head,
        key: &Digest,
        mut served: Served,
    ) -> Result<HttpResponse, Refusal> {
        if self.accel
            && let Some(name) = reader.kept(PATIENCE).await
        {
            served.add(reader.length().unwrap_or_default());
            let mut served = served.by_nginx();
            served.finish("ok");
            return Ok(self.redirect(head, key, &name));
        }
        let place = self.runner.limits.stream(self.decision).inspect_err(|_| served.give_up())?;
        let mut response = with_head(head);
        if let Some(length) = reader.length() {
            response.no_chunking(length);
        }
        Ok(response.streaming(self.pass(Source::Recording(reader), served, place)))
    }

    fn stored(&self, answer: Answer, key: &Digest, received: u64) -> Result<HttpResponse, Refusal> {
        self.runner.metrics.cached(KIND, "hit");
        let head = engine::head("application/x-git-upload-pack-result");
        if self.accel {
            let mut served = Served::new(self, By::Nginx, received);
            served.add(answer.size);
            served.finish("ok");
            return Ok(self.redirect(head, key, &answer.name));
        }
        let place = self.runner.limits.stream(self.decision)?;
        let served = Served::new(self, By::Cache, received);
        let mut response = with_head(head);
        response.no_chunking(answer.size);
        Ok(response.streaming(self.pass(Source::File(Arc::new(answer), 0), served, place)))
    }

    fn redirect(&self, head: Head, key: &Digest, name: &str) -> HttpResponse {
        if let Some(store) = &self.runner.cache.packs {
            store.hand_over(key);
        }
        with_head(head).insert_header((REDIRECT, format!("{LOCATION}{name}"))).finish()
    }

    fn unkept(&self, outcome: &'static str) -> Kept {
        self.runner.metrics.cached(KIND, outcome);
        Kept::AskGit(Keep::Nothing)
    }
}

/// These answers in the metrics.
const KIND: AnswerKind = AnswerKind::Fetch;

/// How often another request's git is joined before this one runs its own.
const ATTEMPTS: usize = 3;

/// How long another request's git has to begin before this one looks for a place of its own: its first packet comes at once.
const START: Duration = Duration::from_secs(5);

/// How long a client waits for nginx to send the answer, which costs less than passing it on.
const PATIENCE: Duration = Duration::from_secs(2);

/// The location in nginx/gitward-server.conf that stands for the cache directory.
const LOCATION: &str = "/.gitward/cache/";

const REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");

/// Where the history of a repository is cut off; `None` where it is patched. Reads files.
fn history(repository: &Path) -> Option<Vec<u8>> {
    if repository.join("info/grafts").exists() {
        return None;
    }
    match std::fs::read(repository.join("shallow")) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(Vec::new()),
        Err(_) => None,
    }
}
