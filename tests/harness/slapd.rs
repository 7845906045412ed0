//! A real OpenLDAP server with a small company in it: people, groups in groups, a password policy that
//! locks at five failures, and TLS by an authority made for the occasion.
//!
//! It logs every operation (`loglevel stats`), so that a test can count what reached it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Process, until};

/// The password of the account that searches.
pub const SERVICE_PASSWORD: &str = "service-password";
/// The DN of the account that searches.
pub const SERVICE_DN: &str = "cn=gitward,ou=services,dc=example,dc=org";

/// A running server.
#[derive(Debug)]
pub struct Slapd {
    process: Process,
    /// For `ldap://`.
    pub port: u16,
    /// For `ldaps://`; its certificate is for `localhost`.
    pub tls_port: u16,
    directory: TempDir,
}

impl Slapd {
    /// Starts a server with the people below.
    pub fn start() -> Result<Self> {
        Self::with_people(0)
    }

    /// Starts a server with `more` people named `u0`, `u1` and so on, members of `developers`.
    pub fn with_people(more: usize) -> Result<Self> {
        let directory = TempDir::with_prefix("gitward-slapd-")?;
        prepare(directory.path(), more)?;
        for _ in 0..ATTEMPTS {
            let (port, tls_port) = (free_port()?, free_port()?);
            let mut process = spawn(directory.path(), port, tls_port)?;
            if answers(&mut process, port)? {
                return Ok(Self { process, port, tls_port, directory });
            }
        }
        bail!("no free port in {ATTEMPTS} attempts")
    }

    /// Its directory: certificates are in it.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `ldap://…`
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// `ldaps://…`
    pub fn tls_url(&self) -> String {
        format!("ldaps://localhost:{}", self.tls_port)
    }

    /// The entry for `directories:` that finds these people and groups.
    pub fn directory(&self) -> String {
        directory(&[&self.url()])
    }

    /// Every line of the log that contains all of `words`.
    pub fn lines(&self, words: &[&str]) -> Vec<String> {
        let log = self.process.log();
        let lines = log.lines().filter(|line| words.iter().all(|word| line.contains(word)));
        lines.map(str::to_owned).collect()
    }

    /// How many binds as this user have been tried.
    pub fn binds(&self, user: &str) -> usize {
        self.lines(&[&format!("BIND dn=\"uid={user},"), "method=128"]).len()
    }

    /// How many operations of clients there have been: binds, searches, comparisons, extended operations.
    pub fn operations(&self) -> usize {
        let log = self.process.log();
        let is_operation = |line: &&str| {
            (line.contains(" BIND ") && line.contains("method=128"))
                || line.contains(" SRCH base=")
                || line.contains(" CMP dn=")
                || line.contains(" EXT oid=")
        };
        log.lines().filter(is_operation).count()
    }

    /// Changes the directory as its administrator, by an LDIF change record.
    pub fn modify(&self, ldif: &str) -> Result<()> {
        let file = self.path().join("change.ldif");
        fs::write(&file, ldif)?;
        let mut command = Command::new("ldapmodify");
        command.args(["-x", "-H", &self.url(), "-D", ROOT_DN, "-w", ROOT_PASSWORD, "-f"]).arg(&file);
        run(&mut command).map(drop)
    }

    /// The values of an attribute, operational ones included.
    pub fn values(&self, dn: &str, attribute: &str) -> Result<Vec<String>> {
        let mut command = Command::new("ldapsearch");
        command.args(["-x", "-LLL", "-o", "ldif-wrap=no", "-H", &self.url(), "-D", ROOT_DN, "-w"]);
        command.args([ROOT_PASSWORD, "-s", "base", "-b", dn, "(objectClass=*)", attribute]);
        let text = run(&mut command)?;
        let prefix = format!("{attribute}: ");
        Ok(text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect())
    }

    /// Freezes it: connections are accepted by the system, and nothing is answered.
    pub fn freeze(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again on the same ports after its end.
    pub fn restart(&mut self) -> Result<()> {
        self.process = spawn(self.directory.path(), self.port, self.tls_port)?;
        ensure!(answers(&mut self.process, self.port)?, "the port is taken");
        Ok(())
    }
}

impl Drop for Slapd {
    /// What is frozen cannot end.
    fn drop(&mut self) {
        let _ = self.thaw();
    }
}

/// An entry for `directories:` with these servers, for people and groups as they are here.
pub fn directory(urls: &[&str]) -> String {
    format!(
        "  - type: ldap\n    urls: [{}]\n    bind_dn: {SERVICE_DN}\n    bind_password_file: service-password\n\
         \x20   users: {{ base: '{PEOPLE}', filter: '(uid={{user}})', name: uid, info: {{ name: cn, email: mail }} }}\n\
         \x20   groups: {{ base: '{GROUPS}', filter: '{GROUP_FILTER}', name: cn, nested: client }}\n\
         \x20   timeout: 2s\n",
        urls.join(", ")
    )
}

fn prepare(directory: &Path, more: usize) -> Result<()> {
    fs::create_dir(directory.join("data"))?;
    make_certificates(directory)?;
    let at = directory.display().to_string();
    fs::write(directory.join("slapd.conf"), CONFIGURATION.replace("@DIR@", &at))?;
    let people = (0..more).map(|n| person(&format!("u{n}"))).collect::<String>();
    let members = (0..more).map(|n| format!("member: uid=u{n},{PEOPLE}\n")).collect::<String>();
    fs::write(directory.join("data.ldif"), format!("{}{people}", ENTRIES.replace("@MEMBERS@\n", &members)))?;
    let mut command = Command::new("slapadd");
    command.arg("-q").arg("-f").arg(directory.join("slapd.conf"));
    run(command.arg("-l").arg(directory.join("data.ldif"))).map(drop)
}

/// The entry of somebody whose password is `<name>-password`.
fn person(name: &str) -> String {
    format!(
        "dn: uid={name},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n\
         mail: {name}@example.org\nuserPassword: {name}-password\n\n"
    )
}

fn spawn(directory: &Path, port: u16, tls_port: u16) -> Result<Process> {
    let mut command = Command::new("slapd");
    command.args(["-d", "256", "-h", &format!("ldap://127.0.0.1:{port} ldaps://localhost:{tls_port}")]);
    command.arg("-f").arg(directory.join("slapd.conf"));
    Process::spawn("slapd", &mut command, directory)
}

/// False when it ended instead, because another process has the port.
fn answers(process: &mut Process, port: u16) -> Result<bool> {
    until("slapd", Duration::from_secs(20), || {
        if process.exited()?.is_some() {
            return Ok(Some(false));
        }
        let started = process.log().contains("slapd starting");
        Ok((started && std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).then_some(true))
    })
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// `ca.pem`; `server.pem` for localhost by it; `other.pem` for another name by it; `rogue.pem` by nobody.
fn make_certificates(directory: &Path) -> Result<()> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(directory.join("ca.pem"), ca.self_signed(&ca_key)?.pem())?;
    let issuer = Issuer::new(ca, ca_key);
    for (file, name) in [("server", "localhost"), ("other", "elsewhere.example.org"), ("client", "client")] {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &issuer)?;
        write_pair(directory, file, &certificate.pem(), &key)?;
    }
    let key = KeyPair::generate()?;
    let mut expired = CertificateParams::new(vec!["localhost".to_owned()])?;
    expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
    write_pair(directory, "expired", &expired.signed_by(&key, &issuer)?.pem(), &key)?;
    let key = KeyPair::generate()?;
    let rogue = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    write_pair(directory, "rogue", &rogue.pem(), &key)
}

fn write_pair(directory: &Path, name: &str, certificate: &str, key: &KeyPair) -> Result<()> {
    fs::write(directory.join(format!("{name}.pem")), certificate)?;
    let file = directory.join(format!("{name}.key"));
    fs::write(&file, key.serialize_pem())?;
    let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    Ok(fs::set_permissions(&file, only_us)?)
}

fn run(command: &mut Command) -> Result<String> {
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = command.output().with_context(|| format!("running {:?}", command.get_program()))?;
    let text = format!("{}{}", crate::git::text(&output.stdout), crate::git::text(&output.stderr));
    ensure!(output.status.success(), "{command:?}: {text}");
    Ok(text)
}

const ATTEMPTS: usize = 5;
const PEOPLE: &str = "ou=people,dc=example,dc=org";
const GROUPS: &str = "ou=groups,dc=example,dc=org";
const GROUP_FILTER: &str = "(|(member={dn})(uniqueMember={dn})(memberUid={user}))";
const ROOT_DN: &str = "cn=root,dc=example,dc=org";
const ROOT_PASSWORD: &str = "root-password";

const CONFIGURATION: &str = include_str!("slapd/slapd.conf");

const ENTRIES: &str = include_str!("slapd/entries.ldif");
