//! Gitward against git itself: several hundred kinds of request to nginx, `authd` and `backend-runner`, with each engine,
//! and to plain `git http-backend` as the manual page sets it up.
//!
//! Status, the headers that matter and every byte of the body must be the same, or the difference is one of those decided
//! in `decided`. Pushes find the repository as it was.

mod bodies;
mod decided;
mod plain_cgi;
mod posts;
mod repositories;
mod seen;
mod shapes;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use harness::people::{READER, WRITER};
use harness::{ENGINES, Repositories, Request, Stack};

use decided::DECIDED;
use repositories::prepare;
pub(crate) use seen::Seen;
use shapes::{Kind, Login, REPOSITORIES, Shape};

#[test]
fn gitward_answers_as_git_http_backend_does_or_by_decision() {
    let pristine = tempfile::tempdir().unwrap();
    let ids = prepare(&Repositories::new(pristine.path()));
    let shapes = shapes::all(&ids);
    let started = Instant::now();
    let reference = World::new(pristine.path(), None);
    let expected: Vec<Seen>;
    let answers: Vec<Vec<Seen>>;
    {
        let worlds = ENGINES.map(|engine| World::new(pristine.path(), Some(engine)));
        (expected, answers) = std::thread::scope(|scope| {
            let threads: Vec<_> = worlds.iter().map(|world| scope.spawn(|| world.answers(&shapes))).collect();
            let expected = reference.answers(&shapes);
            (expected, threads.into_iter().map(|thread| thread.join().unwrap()).collect())
        });
    }
    let mut report = Report::default();
    for (engine, answers) in ENGINES.iter().zip(&answers) {
        for ((shape, expected), seen) in shapes.iter().zip(&expected).zip(answers) {
            report.add(engine, shape, expected, seen);
        }
    }
    report.compare_engines(&shapes, &answers);
    report.print(shapes.len(), started);
    assert!(report.faults.is_empty(), "{} faults:\n{}", report.faults.len(), report.faults.join("\n"));
    let unused = DECIDED.iter().filter(|decided| !report.decided.contains_key(decided.what));
    let unused: Vec<_> = unused.map(|decided| decided.what).collect();
    assert!(unused.is_empty(), "no request shows these differences any more: {unused:?}");
}

#[derive(Default)]
struct Report {
    identical: usize,
    decided: BTreeMap<&'static str, usize>,
    faults: Vec<String>,
}

impl Report {
    fn add(&mut self, engine: &str, shape: &Shape, expected: &Seen, seen: &Seen) {
        if expected == seen {
            self.identical += 1;
        } else if let Some(decided) = DECIDED.iter().find(|decided| (decided.explains)(shape, expected, seen))
        {
            *self.decided.entry(decided.what).or_default() += 1;
        } else {
            let body = harness::git::text(&shape.body[..shape.body.len().min(200)]);
            self.faults.push(format!(
                "{engine}: {:?} {:?} {} {} {:?} chunked {} {body:?}\n  http-backend {}\n  gitward      {}",
                shape.kind,
                shape.login,
                shape.method,
                shape.target,
                shape.headers,
                shape.chunked,
                expected.shown(),
                seen.shown()
            ));
        }
    }

    /// The engines may differ from each other only in what they call a body that cannot be decoded.
    fn compare_engines(&mut self, shapes: &[Shape], answers: &[Vec<Seen>]) {
        for (number, shape) in shapes.iter().enumerate() {
            let (one, other) = (&answers[0][number], &answers[1][number]);
            if one != other && shape.kind != Kind::Encoding {
                let shown = format!("{}\n  {}", one.shown(), other.shown());
                self.faults.push(format!("the engines differ: {} {}\n  {shown}", shape.method, shape.target));
            }
        }
    }

    /// Counted for both engines together; a shape is one request.
    fn print(&self, shapes: usize, started: Instant) {
        let decided: usize = self.decided.values().sum();
        harness::report(&format!(
            "reference: {shapes} shapes x {} engines: {} identical, {decided} decided differences, {} faults, {:.0} s",
            ENGINES.len(),
            self.identical,
            self.faults.len(),
            started.elapsed().as_secs_f32()
        ));
        for decided in &DECIDED {
            let count = self.decided.get(decided.what).copied().unwrap_or_default();
            harness::report(&format!("reference: {count:>5} {}: {}", decided.what, decided.why));
        }
    }
}

/// A project root and who serves it: Gitward, or plain CGI.
struct World {
    stack: Option<Stack>,
    root: tempfile::TempDir,
}

impl World {
    fn new(pristine: &Path, engine: Option<&str>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let stack = engine.map(|engine| {
            let builder = Stack::builder().engine(engine);
            builder.edit("backend-runner.yaml", "dumb_http: false", "dumb_http: true").start().unwrap()
        });
        let world = Self { stack, root };
        copy(pristine, &world.root.path().join("kept"));
        copy_contents(pristine, &world.repositories());
        world
    }

    fn repositories(&self) -> std::path::PathBuf {
        match &self.stack {
            Some(stack) => stack.repositories().root().to_owned(),
            None => self.root.path().to_owned(),
        }
    }

    fn answers(&self, shapes: &[Shape]) -> Vec<Seen> {
        shapes.iter().map(|shape| self.answer(shape)).collect()
    }

    fn answer(&self, shape: &Shape) -> Seen {
        let seen = match &self.stack {
            Some(stack) => through(stack, shape),
            None => plain_cgi::answer(&self.repositories(), shape),
        };
        if shape.writes() {
            self.restore(shape);
        }
        seen.joined()
    }

    fn restore(&self, shape: &Shape) {
        let Some(name) = REPOSITORIES.iter().find(|name| shape.target.starts_with(&format!("/{name}/")))
        else {
            return;
        };
        let (kept, place) = (self.root.path().join("kept").join(name), self.repositories().join(name));
        if kept.is_dir() {
            fs::remove_dir_all(&place).unwrap();
            copy(&kept, &place);
        }
    }
}

/// Through nginx and both daemons.
fn through(stack: &Stack, shape: &Shape) -> Seen {
    let request = Request::new(shape.method, &format!("/git{}", shape.target));
    let request = match shape.login {
        Login::Nobody => request,
        Login::Reader => request.basic(READER.name, READER.password),
        Login::Writer => request.basic(WRITER.name, WRITER.password),
        Login::WrongPassword => request.basic(WRITER.name, "not-the-password"),
    };
    let mut request =
        shape.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    if shape.chunked {
        request = request.header("Transfer-Encoding", "chunked").body(&harness::message::chunks(&shape.body));
    } else if shape.method == "POST" {
        request = request.header("Content-Length", &shape.body.len().to_string()).body(&shape.body);
    }
    let response = stack.http(&request).unwrap();
    let mut seen = Seen { status: response.status, ..Seen::default() };
    response.headers.iter().for_each(|(name, value)| seen.note(name, value));
    Seen { body: response.body, ..seen }
}

/// Copies a directory with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

fn copy_contents(from: &Path, to: &Path) {
    copy(&from.join("."), to);
}
