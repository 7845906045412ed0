//! What a service manager is told, and the sockets it hands over.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::Daemon;
use crate::stage::Files;

#[test]
fn a_service_manager_hears_of_start_reload_and_end() {
    let files = Files::new();
    let path = files.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let next = || {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).unwrap();
        std::str::from_utf8(&message[..length]).unwrap().to_owned()
    };
    let mut daemon = Daemon::start_with(files, |command| command.env("NOTIFY_SOCKET", path));
    assert!(next().contains("READY=1"));
    daemon.signal(Signal::HUP);
    let reloading = next();
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert!(next().contains("READY=1"));
    daemon.signal(Signal::TERM);
    assert!(next().contains("STOPPING=1"));
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_watchdog_is_fed_while_the_daemon_is_well() {
    let files = Files::new();
    let path = files.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _daemon =
        Daemon::start_with(files, |command| command.env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "20000"));
    let mut fed = 0;
    while fed < 5 {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).unwrap();
        fed += usize::from(message[..length].starts_with(b"WATCHDOG=1"));
    }
}

#[test]
fn a_socket_that_was_handed_over_is_used_as_it_is() {
    let files = Files::new();
    let socket = UnixListener::bind(files.path("authd.sock")).unwrap();
    let daemon = Daemon::start_with(files, |command| {
        let inherited = Stdio::from(OwnedFd::from(socket));
        command.stdin(inherited).env("LISTEN_FDS", "1").env("LISTEN_FDS_FIRST_FD", "0")
    });
    assert_eq!(daemon.login("joe", "joe's password"), 200);
}
