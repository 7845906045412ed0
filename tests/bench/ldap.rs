//! 10,000 users at work: what authd and Apache's `mod_authnz_ldap`, with its default cache, ask of the same
//! OpenLDAP, and how many requests each answers.
//!
//! `cargo run --release -p gitward-tests --example bench-ldap [USERS [REQUESTS]]`; build authd with the same
//! profile first. It takes about a minute, uses loopback only, and leaves Apache out where it is not
//! installed (`apt-get install apache2-bin`).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on should end")]

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::git::basic;
use harness::http::Address;
use harness::{Authd, Process, Slapd};

const CLIENTS: usize = 16;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().unwrap());
    let users: usize = arguments.next().unwrap_or(10_000);
    let requests: usize = arguments.next().unwrap_or(users * 4);
    println!(
        "{users} users, {requests} requests over {CLIENTS} connections, each user as often as any other"
    );
    let slapd = Slapd::with_people(users).unwrap();

    let authd = Authd::start(&slapd.directory(), "cache: { ttl: 10m }\n").unwrap();
    let head = "GET /auth/nginx HTTP/1.1\r\nHost: authd\r\nX-Original-Method: GET\r\nX-Real-IP: 192.0.2.1\r\n\
                X-Original-URI: /git/dev/a.git/info/refs?service=git-upload-pack\r\n";
    measure("authd", &slapd, &authd.socket(), head, users, requests);
    drop(authd);

    if !Path::new("/usr/sbin/apache2").exists() {
        println!("apache2 is not installed: no comparison");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (_apache, address) = apache(directory.path(), &slapd);
    measure(
        "apache",
        &slapd,
        &Address::Tcp(address),
        "GET /file HTTP/1.1\r\nHost: apache\r\n",
        users,
        requests,
    );
}

/// Every user once, then the requests that count.
fn measure(name: &str, slapd: &Slapd, address: &Address, head: &str, users: usize, requests: usize) {
    let (first, _) = run(slapd, address, head, users, users);
    let (operations, took) = run(slapd, address, head, users, requests);
    println!(
        "{name}: first logins {:.2} operations each; then {:.3} operations a request ({operations} in all), {:.0} requests/s",
        first as f64 / users as f64,
        operations as f64 / requests as f64,
        requests as f64 / took.as_secs_f64()
    );
}

/// Operations the directory saw, and the time it took.
fn run(slapd: &Slapd, address: &Address, head: &str, users: usize, requests: usize) -> (usize, Duration) {
    let before = slapd.operations();
    let (next, started) = (AtomicUsize::new(0), Instant::now());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| client(address, head, users, requests, &next));
        }
    });
    let took = started.elapsed();
    (slapd.operations() - before, took)
}

fn client(address: &Address, head: &str, users: usize, requests: usize, next: &AtomicUsize) {
    let mut connection = address.connect().unwrap();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= requests {
            return;
        }
        // A stride that meets every user, and never one twice within the size of a small cache.
        let user = format!("u{}", number * 7919 % users);
        let authorization = basic(&user, &format!("{user}-password"));
        connection.write(format!("{head}Authorization: {authorization}\r\n\r\n").as_bytes()).unwrap();
        let response = connection.read_response().unwrap().unwrap();
        assert_eq!(response.status, 200, "{user}: {response:?}");
    }
}

fn apache(directory: &Path, slapd: &Slapd) -> (Process, SocketAddr) {
    let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let at = directory.display();
    fs::write(directory.join("file"), "ok\n").unwrap();
    let modules =
        ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_basic", "ldap", "authnz_ldap"];
    let load =
        modules.map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"));
    let configuration = format!(
        "{}ServerName localhost\nListen {address}\nPidFile {at}/pid\nErrorLog {at}/error.log\nDocumentRoot {at}\n\
         DefaultRuntimeDir {at}\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60\n\
         <Location />\nAuthType Basic\nAuthName git\nAuthBasicProvider ldap\n\
         AuthLDAPURL \"ldap://127.0.0.1:{}/ou=people,dc=example,dc=org?uid?sub\"\n\
         AuthLDAPBindDN \"{}\"\nAuthLDAPBindPassword \"{}\"\n\
         Require ldap-group cn=developers,ou=groups,dc=example,dc=org\n</Location>\n",
        load.concat(),
        slapd.port,
        harness::slapd::SERVICE_DN,
        harness::slapd::SERVICE_PASSWORD
    );
    fs::write(directory.join("apache.conf"), configuration).unwrap();
    let mut command = Command::new("/usr/sbin/apache2");
    command.args(["-D", "FOREGROUND", "-f"]).arg(directory.join("apache.conf"));
    let process = Process::spawn("apache", &mut command, directory).unwrap();
    let up = || std::net::TcpStream::connect(address).is_ok();
    harness::until_true("apache", Duration::from_secs(10), up).unwrap();
    (process, address)
}
