//! gitweb as a program to run: its environment, from nothing, and the limits of its processes.
//!
//! What is asked stands in `PATH_INFO` and `QUERY_STRING` as the grammar let it through; everything else is ours. See RFC 3875
//! and gitweb.conf(5). The same variables reach the git that gitweb starts.

use policy::decision::Decision;
use policy::web_request;

use super::answer::PageRules;
use super::view::View;
use crate::cgi::environment::Variable;
use crate::child::{Input, Program};
use crate::config::{Gitweb, Search, Snapshot};
use crate::engine::Plan;
use crate::git::Git;
use crate::stream::Answer;

/// How to make the page that `decision` permits; `None` when its path is no text.
#[must_use]
pub fn plan(gitweb: &Gitweb, git: &Git, decision: &Decision, view: &View, method: &str) -> Option<Plan> {
    let path_info = web_request::unescaped(&decision.path_info)?;
    let mount = gitweb.url.mount.as_str();
    let path = mount.strip_suffix('/').unwrap_or(mount);
    let base = format!("{}{path}", gitweb.url.origin);
    let repository = format!("{base}/{}", decision.repo);
    let varying = [
        ("PATH", git.search_path.clone()),
        ("SCRIPT_NAME", path.to_owned()),
        ("REQUEST_METHOD", method.to_owned()),
        ("PATH_INFO", path_info),
        ("QUERY_STRING", decision.query.clone()),
        ("GITWEB_CONFIG", view.configuration().display().to_string()),
        ("GITWARD_ROOT", view.root().display().to_string()),
        ("GITWARD_PROJECT", decision.repo.to_string()),
        ("GITWARD_GIT", git.program.display().to_string()),
        ("GITWARD_BASE", base),
        ("GITWARD_PATH", path.to_owned()),
    ];
    let fixed = FIXED.map(|(name, value)| (name, value.to_owned()));
    let all = fixed.into_iter().chain(varying).chain(settings(gitweb));
    let environment: Vec<Variable> = all.map(|(name, value)| (name.into(), value)).collect();
    let program = Program {
        path: gitweb.program.clone(),
        arguments: Vec::new(),
        environment,
        input: Input::Nothing,
        memory: Some(gitweb.memory),
        processor: Some(gitweb.processor.as_secs().max(1)),
    };
    let rules = PageRules { repository, most: gitweb.size };
    Some(Plan { program, inflate: false, answer: Answer::Page(rules) })
}

/// What is the same for every page. The last lines are for git, in case that what they forbid gets past the view.
const FIXED: [(&str, &str); 16] = [
    ("HOME", "/nonexistent"),
    ("LC_ALL", "C"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("SERVER_NAME", "localhost"),
    ("SERVER_PORT", "80"),
    // gitweb's pages are XML; as HTML they begin with a piece of their document type.
    ("HTTP_ACCEPT", "application/xhtml+xml"),
    // Files of the machine that would be read before and instead of ours.
    ("GITWEB_CONFIG_COMMON", "/dev/null"),
    ("GITWEB_CONFIG_SYSTEM", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_OPTIONAL_LOCKS", "0"),
];

/// What the configuration says, for `gitweb.conf`.
fn settings(gitweb: &Gitweb) -> [(&'static str, String); 5] {
    let snapshots: Vec<_> = gitweb.snapshots.iter().map(|format| format.name()).collect();
    let search: Vec<_> = gitweb.search.iter().map(|kind| kind.name()).collect();
    [
        ("GITWARD_STATIC", gitweb.statics.to_string()),
        ("GITWARD_TITLE", gitweb.title.clone()),
        ("GITWARD_SNAPSHOTS", snapshots.join(" ")),
        ("GITWARD_SEARCH", search.join(" ")),
        ("GITWARD_BLAME", u8::from(gitweb.blame).to_string()),
    ]
}

impl Snapshot {
    /// gitweb's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tgz => "tgz",
            Self::Tbz2 => "tbz2",
            Self::Txz => "txz",
            Self::Zip => "zip",
        }
    }
}

impl Search {
    /// As in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Commits => "commits",
            Self::Files => "files",
            Self::Changes => "changes",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use policy::git_request::{GitRequest, Mount};

    use super::*;
    use crate::repository::Repository;

    /// Runs gitweb for `team/a.git` with a path and a query that no grammar has seen.
    fn page(root: &Path, path: &str, query: &str) -> String {
        let git = Git::probe(Path::new("/usr/bin/git")).unwrap();
        let request = GitRequest::parse_with_web(&Mount::default(), "GET", b"/git/team/a.git").unwrap();
        let decision = Decision::permitting(&request, "id".to_owned(), 0);
        let repository = Repository { path: root.join("team/a.git") };
        let view = View::create(root, &git, &request.repo, &repository).unwrap();
        let gitweb = Gitweb { search: vec![Search::Files], ..Gitweb::default() };
        let plan = plan(&gitweb, &git, &decision, &view, "GET").unwrap();
        let output = Command::new(&plan.program.path)
            .env_clear()
            .envs(plan.program.environment.iter().map(|(name, value)| (&**name, value)))
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .output()
            .expect("gitweb is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn gitweb_gives_git_no_options_of_the_caller() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("team/a.git");
        let run = |arguments: &[&str]| {
            let author = ["-c", "user.name=a", "-c", "user.email=a@b"];
            let done =
                Command::new("/usr/bin/git").args(author).args(arguments).current_dir(root.path()).output();
            let done = done.unwrap();
            assert!(done.status.success(), "{arguments:?}");
            String::from_utf8(done.stdout).unwrap().trim().to_owned()
        };
        run(&["init", "-q", "--bare", "-b", "main", path.to_str().unwrap()]);
        let at = format!("--git-dir={}", path.display());
        let tree = run(&[&at, "hash-object", "-t", "tree", "-w", "/dev/null"]);
        let commit = run(&[&at, "commit-tree", "-m", "x", &tree]);
        run(&[&at, "update-ref", "refs/heads/main", &commit]);
        assert!(page(root.path(), "/team/a.git", "a=commitdiff;h=main").starts_with("Status: 200"));
        let file = root.path().join("written");
        let option = format!("--output={}", file.display());
        for (path, query) in [
            ("", format!("a=commitdiff_plain;h=main;hp={option}")),
            ("", format!("a=commitdiff;h={option}")),
            ("", format!("a=blobdiff;hb=main;hpb={option};f=x")),
            ("", "a=search;st=grep;h=main;s=--no-index".to_owned()),
            (&*format!("/commitdiff_plain/{option}..main"), String::new()),
        ] {
            let page = page(root.path(), &format!("/team/a.git{path}"), &query);
            assert!(page.starts_with("Status: 4"), "{path}?{query}: {page}");
            assert!(!file.exists(), "{path}?{query}");
        }
    }

    #[test]
    fn gitweb_knows_one_project_whatever_it_is_asked() {
        let root = tempfile::tempdir().unwrap();
        for name in ["team/a.git", "secret/b.git"] {
            let path = root.path().join(name);
            let made =
                Command::new("/usr/bin/git").args(["init", "-q", "--bare"]).arg(&path).status().unwrap();
            assert!(made.success());
            std::fs::write(path.join("description"), format!("marker of {name}\n")).unwrap();
        }
        assert!(page(root.path(), "/team/a.git", "").contains("marker of team/a.git"));
        let absolute = root.path().join("secret/b.git").display().to_string();
        for (path, query) in [
            ("/secret/b.git", ""),
            ("/team/a.git", "p=secret/b.git"),
            ("", "p=../../secret/b.git"),
            ("/team/a.git/../../../secret/b.git", ""),
            ("/team/a.git/../../../../secret/b.git/summary", ""),
            ("", "a=project_list"),
            ("", "a=project_index"),
            ("", "a=project_index;pf=secret"),
            ("", "a=opml"),
            ("/team/a.git", "a=forks"),
            ("/team/a.git", "a=blob;f=../../secret/b.git/description"),
            ("", &*format!("p={absolute}")),
            ("", ""),
        ] {
            let page = page(root.path(), path, query);
            assert!(!page.contains("marker of secret"), "{path}?{query}: {page}");
        }
    }
}
