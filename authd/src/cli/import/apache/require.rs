//! `Require`, and what may stand around it: whom one section lets make which of git's requests.

use std::collections::BTreeSet;

use policy::identity::{GroupName, UserName};
use policy::subject::Subject;

use super::directories::group_of_dn;
use super::sections::{Block, Line};
use crate::cli::import::report::{Report, Weight};

/// The requests that smart HTTP makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `GET /info/refs?service=…`, with either service: a section cannot see the query.
    Advertise,
    /// `POST /git-upload-pack`
    UploadPack,
    /// `POST /git-receive-pack`
    ReceivePack,
}

/// A set of callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Everyone,
    Authenticated,
    These(BTreeSet<Subject>),
}

/// What a section says about one request.
pub(super) enum Answer {
    Says(Who),
    /// It speaks of other methods only.
    OtherMethods,
    Silent,
}

/// What one section asks for.
pub(super) struct Condition(Vec<Term>);

/// A `Require` or a group of them, for some methods.
enum Term {
    Set(Who),
    Method(Vec<String>),
    Any(Vec<Self>),
    All(Vec<Self>),
    /// What is inside holds for these methods, or for all but these.
    Limit {
        methods: Vec<String>,
        except: bool,
        terms: Vec<Self>,
    },
}

impl Condition {
    pub(super) fn read(block: &Block, report: &mut Report) -> Self {
        let satisfied_by_any = block
            .lines
            .iter()
            .any(|line| line.name == "satisfy" && line.arguments.eq_ignore_ascii_case("any"));
        for line in block.lines.iter().filter(|line| matches!(line.name.as_str(), "allow" | "deny" | "order"))
        {
            match (line.name.as_str(), satisfied_by_any) {
                ("deny", false) => report.add(
                    Weight::Wider,
                    &line.place,
                    "`Deny` is not kept; who is refused by address here?",
                ),
                (_, true) => report.add(
                    Weight::Narrower,
                    &line.place,
                    "not kept: what is open to some hosts is not open here",
                ),
                _ => (),
            }
        }
        if let Some(line) = block
            .lines
            .iter()
            .find(|line| line.name == "authmerging" && !line.arguments.eq_ignore_ascii_case("off"))
        {
            report.add(
                Weight::Wider,
                &line.place,
                "sections are taken to replace one another; this one adds to those before it",
            );
        }
        Self(terms(block, report))
    }

    pub(super) fn says_something(&self) -> bool {
        !self.0.is_empty()
    }

    pub(super) fn answer(&self, endpoint: Endpoint) -> Answer {
        let said: Vec<_> = self.0.iter().filter_map(|term| term.who(endpoint)).collect();
        match (said.is_empty(), self.0.is_empty()) {
            (false, _) => Answer::Says(said.iter().fold(Who::nobody(), |all, who| all.or(who))),
            (true, false) => Answer::OtherMethods,
            (true, true) => Answer::Silent,
        }
    }
}

/// The conditions of a section; next to each other, any one is enough.
fn terms(block: &Block, report: &mut Report) -> Vec<Term> {
    let requires = block.lines.iter().filter(|line| line.name == "require");
    let mut all: Vec<_> = requires.map(|line| require(line, report)).collect();
    for inner in &block.blocks {
        let inside = terms(inner, report);
        if inside.is_empty() {
            continue;
        }
        match inner.name.as_str() {
            "requireany" => all.push(Term::Any(inside)),
            "requireall" => all.push(Term::All(inside)),
            "limit" | "limitexcept" => {
                let methods = inner.arguments.split_whitespace().map(str::to_owned).collect();
                all.push(Term::Limit { methods, except: inner.name == "limitexcept", terms: inside });
            }
            _ => {
                let message = format!("<{}> is not kept: nobody is granted anything by it", inner.name);
                report.add(Weight::Narrower, &inner.place, message);
                all.push(Term::Set(Who::nobody()));
            }
        }
    }
    all
}

fn require(line: &Line, report: &mut Report) -> Term {
    let words = line.words();
    let (kind, names) = words.split_first().map_or(("", &words[..]), |(kind, names)| (kind.as_str(), names));
    let user = |name: &String| UserName::parse(name).map(Subject::User).map_err(|_| name.clone());
    let group = |name: &String| GroupName::parse(name).map(Subject::Group).map_err(|_| name.clone());
    let mut these = |subjects: Vec<Result<Subject, String>>| {
        let (good, bad): (Vec<_>, Vec<_>) = subjects.into_iter().partition(Result::is_ok);
        for name in bad.into_iter().filter_map(Result::err) {
            report.add(Weight::Narrower, &line.place, format!("`{name}` can be no name here; left out"));
        }
        Term::Set(Who::These(good.into_iter().filter_map(Result::ok).collect()))
    };
    match (kind.to_ascii_lowercase().as_str(), names) {
        ("all", [word]) if word.eq_ignore_ascii_case("granted") => Term::Set(Who::Everyone),
        ("all", [word]) if word.eq_ignore_ascii_case("denied") => Term::Set(Who::nobody()),
        ("valid-user", []) => Term::Set(Who::Authenticated),
        ("user" | "ldap-user", names) => these(names.iter().map(user).collect()),
        ("group", names) => these(names.iter().map(group).collect()),
        // The rest of the line is one name, spaces and commas included.
        ("ldap-group", _) => {
            let dn = line.arguments["ldap-group".len()..].trim().trim_matches('"');
            these(vec![group_of_dn(dn).map(Subject::Group).ok_or_else(|| dn.to_owned())])
        }
        ("method", methods) => Term::Method(methods.to_vec()),
        _ => {
            let message =
                format!("`Require {}` has no equal: nobody is granted anything by it", line.arguments);
            report.add(Weight::Narrower, &line.place, message);
            Term::Set(Who::nobody())
        }
    }
}

impl Term {
    /// `None` when it is about other methods.
    fn who(&self, endpoint: Endpoint) -> Option<Who> {
        let lists =
            |methods: &[String]| methods.iter().any(|method| method.eq_ignore_ascii_case(endpoint.method()));
        match self {
            Self::Set(who) => Some(who.clone()),
            Self::Method(methods) => Some(if lists(methods) { Who::Everyone } else { Who::nobody() }),
            Self::Any(terms) => any(terms, endpoint),
            Self::All(terms) => {
                terms.iter().filter_map(|term| term.who(endpoint)).reduce(|all, who| all.both(&who))
            }
            Self::Limit { methods, except, terms } => {
                (lists(methods) != *except).then(|| any(terms, endpoint)).flatten()
            }
        }
    }
}

fn any(terms: &[Term], endpoint: Endpoint) -> Option<Who> {
    terms.iter().filter_map(|term| term.who(endpoint)).reduce(|all, who| all.or(&who))
}

impl Endpoint {
    fn method(self) -> &'static str {
        match self {
            Self::Advertise => "GET",
            Self::UploadPack | Self::ReceivePack => "POST",
        }
    }
}

impl Who {
    pub(super) fn nobody() -> Self {
        Self::These(BTreeSet::new())
    }

    /// Whoever is in one of the sets.
    fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Everyone, _) | (_, Self::Everyone) => Self::Everyone,
            (Self::Authenticated, _) | (_, Self::Authenticated) => Self::Authenticated,
            (Self::These(one), Self::These(two)) => Self::These(one | two),
        }
    }

    /// Whoever is in both sets for certain: a user may be in a group, but nothing here says so.
    pub(super) fn both(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Everyone, who) | (who, Self::Everyone) => who.clone(),
            (Self::Authenticated, who) | (who, Self::Authenticated) => who.clone(),
            (Self::These(one), Self::These(two)) => Self::These(one & two),
        }
    }

    /// Whether everybody the subject means is in the set for certain.
    pub(super) fn includes(&self, subject: &Subject) -> bool {
        match self {
            Self::Everyone => true,
            Self::Authenticated => *subject != Subject::Anonymous,
            Self::These(these) => these.contains(subject),
        }
    }

    pub(super) fn subjects(&self) -> BTreeSet<Subject> {
        match self {
            Self::Everyone => BTreeSet::from([Subject::Anonymous]),
            Self::Authenticated => BTreeSet::from([Subject::Authenticated]),
            Self::These(these) => these.clone(),
        }
    }
}
