//! nginx before fcgiwrap and before uwsgi, and nginx with nothing but files.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use harness::{Process, until_true};

use super::{Kind, Running, http_backend, listen, place, program};
use crate::world::World;

/// Requests that fcgiwrap and uwsgi work on at a time.
const PROCESSES: usize = 32;

pub(super) fn start(kind: Kind, world: &World) -> Result<Running> {
    let place = place(world)?;
    let at = place.path();
    fs::create_dir(at.join("state"))?;
    let (location, behind) = match kind {
        Kind::Fcgiwrap | Kind::FcgiwrapUnbuffered => (fastcgi(at, kind)?, Some(fcgiwrap(at)?)),
        Kind::Uwsgi => (uwsgi_location(at), Some(uwsgi(at)?)),
        _ => (files(&world.path().join("captured")), None),
    };
    let (nginx, address) = listen("nginx", at, |address| {
        fs::write(at.join("nginx.conf"), configuration(at, address, world, &location))?;
        let mut command = program("nginx");
        command.arg("-p").arg(at).arg("-c").arg(at.join("nginx.conf"));
        command.args(["-e", "stderr", "-g", "daemon off;"]);
        Ok(command)
    })?;
    let processes = [nginx].into_iter().chain(behind).collect();
    Ok(Running { address: Some(address), _processes: processes, stack: None, place: Some(place) })
}

/// What both this and Gitward's configuration have in common is the same in both.
fn configuration(at: &Path, address: SocketAddr, world: &World, location: &str) -> String {
    let at = at.display();
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}\nworker_processes auto;\nworker_rlimit_nofile 16384;\npid {at}/pid;\nerror_log {at}/error.log warn;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n default_type application/octet-stream;\n server_tokens off;\n sendfile on;\n tcp_nopush on;\n\
         keepalive_timeout 75s;\n keepalive_requests 1000;\n access_log {at}/access.log combined;\n\
         client_body_temp_path {at}/state/body;\n proxy_temp_path {at}/state/proxy;\n fastcgi_temp_path {at}/state/fastcgi;\n\
         uwsgi_temp_path {at}/state/uwsgi;\n scgi_temp_path {at}/state/scgi;\n\
         server {{\n listen {address};\n client_max_body_size 0;\n {location}\n\
         location = /file {{ auth_basic git; auth_basic_user_file @HTPASSWD@; root {at}; }}\n }}\n}}\n"
    )
    .replace("@HTPASSWD@", &world.htpasswd().display().to_string())
}

/// Captured answers, whatever is asked of those places, and by whom. nginx gives a file to who asks by POST only as an error's page.
fn files(captured: &Path) -> String {
    let captured = captured.display();
    format!(
        "location / {{ root {captured}; }}\n\
         location = /git/small.git/info/refs {{\n\
         default_type application/x-git-upload-pack-advertisement; alias {captured}/info-refs;\n }}\n\
         location = /git/small.git/git-upload-pack {{\n error_page 405 =200 $uri;\n\
         default_type application/x-git-upload-pack-result; alias {captured}/ls-refs;\n }}"
    )
}

fn fastcgi(at: &Path, kind: Kind) -> Result<String> {
    let buffering = if kind == Kind::FcgiwrapUnbuffered { "fastcgi_buffering off;" } else { "" };
    let (at, backend) = (at.display(), http_backend()?);
    Ok(format!(
        "location ~ ^/git(/.*)$ {{\n auth_basic git;\n auth_basic_user_file @HTPASSWD@;\n {buffering}\n\
         fastcgi_pass unix:{at}/behind.sock;\n fastcgi_read_timeout 300s;\n fastcgi_param SCRIPT_FILENAME {};\n\
         fastcgi_param GIT_PROJECT_ROOT {at}/git;\n fastcgi_param GIT_HTTP_EXPORT_ALL \"\";\n\
         fastcgi_param PATH_INFO $1;\n fastcgi_param QUERY_STRING $query_string;\n\
         fastcgi_param REQUEST_METHOD $request_method;\n fastcgi_param CONTENT_TYPE $content_type;\n\
         fastcgi_param CONTENT_LENGTH $content_length;\n fastcgi_param REMOTE_USER $remote_user;\n\
         fastcgi_param REMOTE_ADDR $remote_addr;\n fastcgi_param SERVER_PROTOCOL $server_protocol;\n }}",
        backend.display()
    ))
}

fn fcgiwrap(at: &Path) -> Result<Process> {
    let mut command = program("/usr/sbin/fcgiwrap");
    command.args(["-c", &PROCESSES.to_string(), "-s", &format!("unix:{}/behind.sock", at.display())]);
    command.env("HOME", at).env("GIT_CONFIG_NOSYSTEM", "1");
    behind(Process::spawn("fcgiwrap", &mut command, at)?, at)
}

fn uwsgi_location(at: &Path) -> String {
    let at = at.display();
    format!(
        "location ~ ^(/git)(/.*)$ {{\n auth_basic git;\n auth_basic_user_file @HTPASSWD@;\n\
         uwsgi_pass unix:{at}/behind.sock;\n uwsgi_modifier1 9;\n uwsgi_read_timeout 300s;\n uwsgi_param SCRIPT_NAME $1;\n\
         uwsgi_param PATH_INFO $1$2;\n uwsgi_param QUERY_STRING $query_string;\n\
         uwsgi_param REQUEST_METHOD $request_method;\n uwsgi_param CONTENT_TYPE $content_type;\n\
         uwsgi_param CONTENT_LENGTH $content_length;\n uwsgi_param REMOTE_USER $remote_user;\n\
         uwsgi_param REMOTE_ADDR $remote_addr;\n uwsgi_param SERVER_PROTOCOL $server_protocol;\n\
         uwsgi_param HTTP_HOST $http_host;\n }}"
    )
}

fn uwsgi(at: &Path) -> Result<Process> {
    let mut command = program("/usr/bin/uwsgi-core");
    let backend = http_backend()?;
    command.args(["--plugin", "/usr/lib/uwsgi/plugins/cgi_plugin.so", "--master", "--disable-logging"]);
    command.args(["--die-on-term", "--processes", &PROCESSES.to_string(), "--listen", "100"]);
    command.args(["--cgi", &format!("/git={}", backend.display()), "--cgi-timeout", "300"]);
    command.arg("--uwsgi-socket").arg(at.join("behind.sock"));
    command.env("HOME", at).env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("GIT_PROJECT_ROOT", at.join("git")).env("GIT_HTTP_EXPORT_ALL", "1");
    behind(Process::spawn("uwsgi", &mut command, at)?, at)
}

fn behind(process: Process, at: &Path) -> Result<Process> {
    let socket = at.join("behind.sock");
    let up = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    until_true("the program behind nginx", Duration::from_secs(10), up)
        .map_err(|error| error.context(process.log()))?;
    Ok(process)
}
