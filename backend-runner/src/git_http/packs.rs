//! Packs from the cache: by nginx, from their file, or from the git that is making them for another request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::HeaderName;
use futures_util::stream;
use tokio::task::spawn_blocking;

use super::kept::{Asked, Keep, Kept};
use super::served::{By, Served};
use super::with_head;
use crate::cache::digest::Digest;
use crate::cache::reader::{self, Reader};
use crate::cache::standing::{Standing, tag};
use crate::cache::store::{Answer, Found, Store, Wanted};
use crate::cgi::environment::Variable;
use crate::cgi::response::Head;
use crate::engine;
use crate::stream::download::Truncated;

impl Asked<'_> {
    /// Looks for the answer to the fetch `question`.
    pub(super) async fn pack(
        &self,
        store: Arc<Store>,
        question: Digest,
        environment: Vec<Variable>,
        received: u64,
    ) -> Kept {
        for _ in 0..ATTEMPTS {
            let (store, environment) = (Arc::clone(&store), environment.clone());
            let (repository, git) = (self.repository.path.clone(), self.runner.git.program.clone());
            let look = spawn_blocking(move || {
                let wanted = wanted(&repository, &git, &question, &environment)?;
                Some((wanted.key, store.look(wanted)))
            });
            let Ok(Some((key, found))) = look.await else { return self.unkept("pass") };
            match found {
                Found::Answer(answer) => return Kept::Answer(self.stored(answer, &key, received)),
                Found::Lead(lead) => {
                    self.runner.metrics.cached(KIND, "miss");
                    return Kept::AskGit(Keep::pack(lead, received));
                }
                Found::Join(reader) => {
                    if let Some(response) = self.join(reader, &key, received).await {
                        self.runner.metrics.cached(KIND, "joined");
                        return Kept::Answer(response);
                    }
                }
                Found::Pass => return self.unkept("pass"),
            }
        }
        self.unkept("pass")
    }

    /// Follows the git of another request; `None` when that gave no answer.
    async fn join(&self, reader: Reader, key: &Digest, received: u64) -> Option<HttpResponse> {
        let head = reader.head().await?;
        Some(self.follow(reader, head, key, Served::new(self, By::Joined, received)).await)
    }

    /// Follows a recording whose head is here. nginx sends it when it is complete soon, and nothing has to be passed on then.
    pub(super) async fn follow(
        &self,
        reader: Reader,
        head: Head,
        key: &Digest,
        mut served: Served,
    ) -> HttpResponse {
        if self.accel
            && let Some(name) = reader.kept(PATIENCE).await
        {
            served.add(reader.length().unwrap_or_default());
            let mut served = served.by_nginx();
            served.finish("ok");
            return self.redirect(head, key, &name);
        }
        let mut response = with_head(head);
        if let Some(length) = reader.length() {
            response.no_chunking(length);
        }
        response.streaming(stream::unfold(Some((reader, served)), step))
    }

    fn stored(&self, answer: Answer, key: &Digest, received: u64) -> HttpResponse {
        self.runner.metrics.cached(KIND, "hit");
        let head = engine::head("application/x-git-upload-pack-result");
        if self.accel {
            let mut served = Served::new(self, By::Nginx, received);
            served.add(answer.size);
            served.finish("ok");
            return self.redirect(head, key, &answer.name);
        }
        let served = Served::new(self, By::Cache, received);
        let mut response = with_head(head);
        response.no_chunking(answer.size);
        response.streaming(stream::unfold(Some((Arc::new(answer), 0, served)), step_in_file))
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

/// The name of these answers in the metrics.
const KIND: &str = "fetch";

/// How often another request's git is joined before this one runs its own.
const ATTEMPTS: usize = 3;

/// How long a client waits for nginx to send the answer, which costs less than passing it on.
const PATIENCE: Duration = Duration::from_secs(2);

/// The location in nginx/gitward-server.conf that stands for the cache directory.
const LOCATION: &str = "/.gitward/cache/";

const REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");

/// The whole question; `None` when its answer depends on more than a key can hold. Reads files.
fn wanted(repository: &Path, git: &Path, question: &Digest, environment: &[Variable]) -> Option<Wanted> {
    let standing = Standing::of(repository, git)?;
    if repository.join("info/grafts").exists() {
        return None;
    }
    let shallow = match std::fs::read(repository.join("shallow")) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(_) => return None,
    };
    let key = standing.key("pack", environment).and(question).and(&shallow).digest();
    Some(Wanted { key, repository: repository.to_owned(), tag: tag(repository.as_os_str()) })
}

/// What a client gets next of a recording.
async fn step(
    following: Option<(Reader, Served)>,
) -> Option<(Result<bytes::Bytes, Truncated>, Option<(Reader, Served)>)> {
    let (mut reader, mut served) = following?;
    match reader.next().await {
        Some(Ok(piece)) => {
            served.add(piece.len() as u64);
            Some((Ok(piece), Some((reader, served))))
        }
        Some(Err(error)) => {
            served.finish("failed");
            Some((Err(error), None))
        }
        None => {
            served.finish("ok");
            None
        }
    }
}

type InFile = (Arc<Answer>, u64, Served);

/// What a client gets next of a file.
async fn step_in_file(reading: Option<InFile>) -> Option<(Result<bytes::Bytes, Truncated>, Option<InFile>)> {
    let (answer, position, mut served) = reading?;
    if position == answer.size {
        served.finish("ok");
        return None;
    }
    let length = (answer.size - position).min(PIECE);
    let file = Arc::clone(&answer);
    let read = spawn_blocking(move || reader::read(&file.file, position, length)).await;
    let Ok(Ok(piece)) = read else {
        served.finish("failed");
        return Some((Err(Truncated), None));
    };
    served.add(length);
    Some((Ok(piece), Some((answer, position + length, served))))
}

/// How much of a file is read at once.
const PIECE: u64 = 64 << 10;
