//! One try after the other through one front server, each put into the words of the table.

use harness::people::{OUTSIDER, READER, WRITER};
use harness::pkt::advertisement;
use harness::{Address, Request, Response, Stack};

/// What is tried, in this order: the last two end the daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    AnonymousClone,
    Clone,
    Push,
    NoRight,
    Missing,
    WrongPassword,
    Spoofed,
    Address,
    Throttled,
    RunnerDown,
    AuthdDown,
}

/// One front server.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) address: Address,
    pub(super) url: String,
    /// For what must not be the same in two trials.
    pub(super) name: String,
}

impl Column {
    pub(super) const ALL: [Self; 11] = [
        Self::AnonymousClone,
        Self::Clone,
        Self::Push,
        Self::NoRight,
        Self::Missing,
        Self::WrongPassword,
        Self::Spoofed,
        Self::Address,
        Self::Throttled,
        Self::RunnerDown,
        Self::AuthdDown,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AnonymousClone => "anonymous clone",
            Self::Clone => "clone",
            Self::Push => "push",
            Self::NoRight => "no right to",
            Self::Missing => "missing repository, beside a forbidden one",
            Self::WrongPassword => "wrong password",
            Self::Spoofed => "headers that pose as the front server's",
            Self::Address => "the client's address in authd's log",
            Self::Throttled => "too many wrong passwords",
            Self::RunnerDown => "backend-runner is down",
            Self::AuthdDown => "authd is down",
        }
    }

    /// Makes the state of things it is about.
    pub(super) fn prepare(self, stack: &mut Stack) {
        match self {
            Self::RunnerDown => stack.runner.kill().unwrap(),
            Self::AuthdDown => stack.authd.kill().unwrap(),
            _ => {}
        }
    }
}

impl Trial {
    /// The result in a few words.
    pub(super) fn run(&self, stack: &Stack, column: Column) -> String {
        let read = |repository: &str| Request::get(&advertisement(repository, "git-upload-pack"));
        let mine = |request: Request| request.basic(READER.name, READER.password);
        match column {
            Column::AnonymousClone => self.cloned(stack, "public/app.git", false),
            Column::Clone => self.cloned(stack, "team/app.git", true),
            Column::Push => self.pushed(stack),
            Column::NoRight => answer(&self.send(&forbidden())),
            Column::Missing => {
                let (missing, forbidden) =
                    (self.send(&mine(read("team/absent.git"))), self.send(&forbidden()));
                let same = sorted(&missing) == sorted(&forbidden);
                if same { "the same bytes".to_owned() } else { answer(&missing) }
            }
            Column::WrongPassword => answer(&self.send(&read("team/app.git").basic(READER.name, "wrong"))),
            Column::Spoofed => self.spoofed(stack),
            Column::Address => self.told(stack),
            Column::Throttled => {
                let guess = |n| self.send(&read("team/app.git").basic(&self.name, &format!("guess {n}")));
                (0..5).for_each(|n| drop(guess(n)));
                answer(&guess(5))
            }
            Column::RunnerDown | Column::AuthdDown => answer(&self.send(&mine(read("team/app.git")))),
        }
    }

    fn send(&self, request: &Request) -> Response {
        self.address.send(request).unwrap()
    }

    fn cloned(&self, stack: &Stack, repository: &str, as_reader: bool) -> String {
        let git = if as_reader { stack.git_as(READER) } else { stack.git() };
        let place = format!("{}-{}", self.name, repository.replace('/', "-"));
        match git.ok(&["clone", "--quiet", &format!("{}/{repository}", self.url), &place]) {
            Ok(_) => "works".into(),
            Err(error) => error.to_string(),
        }
    }

    fn pushed(&self, stack: &Stack) -> String {
        let git = stack.git_as(WRITER).within(&stack.path().join(format!("home/{}-team-app.git", self.name)));
        let branch = format!("refs/heads/{}", self.name);
        git.ok(&["commit", "--quiet", "--allow-empty", "-m", &self.name]).unwrap();
        let head = git.ok(&["rev-parse", "HEAD"]).unwrap();
        match git.ok(&["push", "--quiet", "origin", &format!("HEAD:{branch}")]) {
            Ok(_) if stack.repositories().open("team/app.git").resolve(&branch) == Some(head) => {
                "works".into()
            }
            Ok(_) => "nothing arrived".into(),
            Err(error) => error.to_string(),
        }
    }

    /// Every header that any front server names a request, a user or a decision by, sent by a client.
    fn spoofed(&self, stack: &Stack) -> String {
        let public = "/git/public/app.git/info/refs?service=git-upload-pack";
        let other = "/git/team/other.git/info/refs?service=git-upload-pack";
        let stolen = harness::decisions::permitting("GET", other).unwrap();
        let stolen = stack.sign(&stolen).unwrap();
        let posing = |request: Request| {
            let url = format!("http://git.example.org{public}");
            let headers = [
                ("X-Gitward-Decision", stolen.as_str()),
                ("X-Remote-User", WRITER.name),
                ("X-Original-Method", "GET"),
                ("X-Original-URI", public),
                ("X-Original-URL", &url),
                ("X-Forwarded-Method", "GET"),
                ("X-Forwarded-Uri", public),
                ("X-Envoy-Original-Path", public),
                ("Method", "GET"),
                ("Path", public),
            ];
            headers.iter().fold(request, |request, (name, value)| request.header(name, value))
        };
        let team = Request::get(&advertisement("team/app.git", "git-upload-pack"));
        let anonymous = self.send(&posing(team.clone())).status;
        let outsider = self.send(&posing(team.basic(OUTSIDER.name, OUTSIDER.password))).status;
        // Where the client may go, it gets there, and not to where the stolen decision leads.
        let own = self.send(&posing(Request::get(public)));
        let tip = stack.repositories().open("public/app.git").resolve("refs/heads/main").unwrap();
        match (anonymous, outsider, own.status, own.text().contains(&tip)) {
            (401, 403, 200, true) => "nothing gained".into(),
            seen => format!("{seen:?}"),
        }
    }

    /// Whose address authd has for a request of this machine that claims to be another one's.
    fn told(&self, stack: &Stack) -> String {
        let agent = format!("team/{}.git", self.name);
        let request = Request::get(&advertisement(&agent, "git-upload-pack"));
        self.send(&request.header("X-Forwarded-For", "203.0.113.9").header("X-Real-IP", "203.0.113.9"));
        let log = stack.authd.log();
        let line = log.lines().find(|line| line.contains(&format!("\"repo\":\"{agent}\""))).unwrap();
        let client = line.split("\"client\":\"").nth(1).and_then(|rest| rest.split('"').next());
        match client {
            Some("") => "not told".into(),
            // Envoy has an address of the machine for clients on it.
            Some(address) if address != "203.0.113.9" && !address.is_empty() => "true".into(),
            _ => line.into(),
        }
    }
}

/// A known user where nobody has given them a right.
fn forbidden() -> Request {
    Request::get(&advertisement("team/app.git", "git-upload-pack")).basic(OUTSIDER.name, OUTSIDER.password)
}

/// The status, and what the person at the other end gets beside it.
fn answer(response: &Response) -> String {
    let plain = response.header("Content-Type").is_some_and(|kind| kind.starts_with("text/plain"));
    let words = plain && response.text().trim().len() > 10 && response.text().trim().lines().count() == 1;
    let challenged = response.header("WWW-Authenticate").is_some();
    match (response.status, words, response.header("Retry-After").is_some()) {
        (401, _, _) if !challenged => "401 without a challenge".into(),
        (429, true, true) => "429, when to come back".into(),
        (status, true, _) => format!("{status}, with words"),
        (status, false, _) => status.to_string(),
    }
}

/// All of a response but what differs between any two.
fn sorted(response: &Response) -> Vec<String> {
    let seen = response.comparable();
    let mut lines: Vec<String> = seen.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
