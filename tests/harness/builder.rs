//! What a stack is made of: the sample files, what a test changes in them, and the programs it puts in
//! git's place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::settings::{self, Edit};
use crate::stack::Stack;

/// What a stack is to be made of.
#[derive(Debug, Default)]
pub struct Builder {
    policy: Option<String>,
    users: Option<String>,
    edits: Vec<Edit>,
    nginx_edits: Vec<Edit>,
    hooks: Vec<(String, String)>,
    files: Vec<(String, String)>,
    counting: bool,
    backend: Option<String>,
    engine: Option<String>,
    tcp: bool,
}

impl Builder {
    /// Replaces the sample policy.
    pub fn policy(mut self, text: &str) -> Self {
        self.policy = Some(text.to_owned());
        self
    }

    /// Replaces the sample users.
    pub fn users(mut self, text: &str) -> Self {
        self.users = Some(text.to_owned());
        self
    }

    /// Replaces `from` by `to` in the copy of the sample `config/<file>`.
    pub fn edit(mut self, file: &str, from: &str, to: &str) -> Self {
        self.edits.push(Edit { file: file.to_owned(), from: from.to_owned(), to: to.to_owned() });
        self
    }

    /// Adds a file; its name is relative to the directory of the stack.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Replaces `from` by `to` in the copy of `nginx/<file>`; `to` may say `@DIR@` as hooks do, and
    /// `@ADDRESS@` for where nginx listens.
    pub fn edit_nginx(mut self, file: &str, from: &str, to: &str) -> Self {
        self.nginx_edits.push(Edit { file: file.to_owned(), from: from.to_owned(), to: to.to_owned() });
        self
    }

    /// Installs a hook of the site; `script` may say `@DIR@` for the directory of the stack.
    pub fn hook(mut self, name: &str, script: &str) -> Self {
        self.hooks.push((name.to_owned(), script.to_owned()));
        self
    }

    /// Lets the runner start git through a script that notes every start, see [`Stack::spawned`].
    pub fn counting_spawns(mut self) -> Self {
        self.counting = true;
        self
    }

    /// Lets the runner start `script` in place of git's http-backend; it may say `@DIR@` as hooks do.
    pub fn http_backend(mut self, script: &str) -> Self {
        self.backend = Some(script.to_owned());
        self
    }

    /// Runs git by this engine, whichever the sample has.
    pub fn engine(mut self, name: &str) -> Self {
        self.engine = Some(name.to_owned());
        self
    }

    /// Lets both daemons listen on ports of the loopback address; nginx does not find them then.
    pub fn on_tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Starts everything and waits until it is ready.
    pub fn start(self) -> Result<Stack> {
        let directory = TempDir::with_prefix("gitward-")?;
        self.prepare(directory.path())?;
        Stack::launch(directory, &self.nginx_edits)
    }

    fn prepare(&self, directory: &Path) -> Result<()> {
        for folder in ["run", "git", "log", "cache", "etc", "home", "hooks", "hooks.d", "bin"] {
            fs::create_dir(directory.join(folder))?;
        }
        let etc = directory.join("etc");
        settings::copy("config", &etc, &replacements(directory))?;
        if let Some(policy) = &self.policy {
            fs::write(etc.join("policy.yaml"), policy)?;
        }
        if let Some(users) = &self.users {
            fs::write(etc.join("users.yaml"), users)?;
        }
        settings::apply(&etc, &self.edits, directory)?;
        if let Some(engine) = &self.engine {
            settings::set(&etc.join("backend-runner.yaml"), "engine", engine)?;
        }
        for daemon in ["authd.yaml", "backend-runner.yaml"].iter().filter(|_| self.tcp) {
            settings::set(&etc.join(daemon), "listen", "127.0.0.1:0")?;
        }
        for (name, text) in &self.files {
            fs::write(directory.join(name), text)?;
        }
        for (name, script) in &self.hooks {
            let script = script.replace("@DIR@", &directory.display().to_string());
            let folder = directory.join("hooks.d").join(format!("{name}.d"));
            fs::create_dir_all(&folder)?;
            write_program(&folder.join(name), &script)?;
        }
        if self.counting {
            count_spawns(directory)?;
        }
        if let Some(backend) = &self.backend {
            let backend = backend.replace("@DIR@", &directory.display().to_string());
            let bin = directory.join("bin");
            let git = format!(
                "#!/bin/sh\ncase \"$1\" in --exec-path) echo '{}' ;; *) exec /usr/bin/git \"$@\" ;; esac\n",
                bin.display()
            );
            replace_git(directory, &git, &backend)?;
        }
        Ok(())
    }
}

/// The strings in the samples that name places outside a stack.
fn replacements(directory: &Path) -> Vec<(String, String)> {
    let at = |path: &str| directory.join(path).display().to_string();
    vec![
        ("127.0.0.1:9181".into(), format!("unix:{}", at("run/authd-admin.sock"))),
        ("127.0.0.1:9182".into(), format!("unix:{}", at("run/backend-runner-admin.sock"))),
        ("/run/gitward/".into(), at("run/")),
        ("/usr/lib/gitward/hooks".into(), at("hooks")),
        ("/etc/gitward/hooks".into(), at("hooks.d")),
        ("/var/cache/gitward".into(), at("cache")),
        ("/var/log/gitward".into(), at("log")),
        ("/srv/git".into(), at("git")),
    ]
}

/// Puts scripts before git and its http-backend that note every start.
fn count_spawns(directory: &Path) -> Result<()> {
    let (bin, note) = (directory.join("bin"), directory.join("spawned"));
    let (bin, note) = (bin.display(), note.display());
    let git = format!(
        "#!/bin/sh\ncase \"$1\" in\n--exec-path) echo '{bin}'; exit ;;\nversion) ;;\n\
         *) echo \"$*\" >> '{note}' ;;\nesac\nexec /usr/bin/git \"$@\"\n"
    );
    let backend = format!(
        "#!/bin/sh\necho \"http-backend $REQUEST_METHOD $PATH_INFO $QUERY_STRING\" >> '{note}'\n\
         exec \"$(/usr/bin/git --exec-path)/git-http-backend\"\n"
    );
    replace_git(directory, &git, &backend)
}

/// Makes the runner use these two programs instead of git's own.
fn replace_git(directory: &Path, git: &str, backend: &str) -> Result<()> {
    let program = directory.join("bin/git");
    write_program(&program, git)?;
    write_program(&directory.join("bin/git-http-backend"), backend)?;
    let edit = Edit {
        file: "backend-runner.yaml".into(),
        from: "git: /usr/bin/git".into(),
        to: format!("git: {}", program.display()),
    };
    settings::apply(&directory.join("etc"), &[edit], directory)
}

/// Writes an executable file.
pub(crate) fn write_program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
