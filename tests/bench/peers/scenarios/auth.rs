//! The check alone: nginx asks authd, or itself, or looks a password up, and answers with a small file.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::{Address, Request};

use super::{Scene, sending};
use crate::bodies;
use crate::connection::Connection;
use crate::load;
use crate::servers::Kind;
use crate::world::{SLOW_PASSWORD, SLOW_USER};

/// Requests a second and processor time of the check.
pub(super) fn through_nginx(scene: &mut Scene<'_>) -> Result<()> {
    let git = bodies::advertisement("small.git");
    let plain = |target: &str| load::request("GET", target, "", &[]);
    let ldap =
        |target: &str| load::request_as(&harness::git::basic("u1", "u1-password"), "GET", target, "", &[]);
    let slow = harness::git::basic(SLOW_USER, SLOW_PASSWORD);
    let mut entries = vec![
        sending(Kind::Auth, scene.load(load::get(&git), false)),
        sending(Kind::Auth, scene.load(ldap(&git), false)).labelled("authd, ldap"),
        sending(Kind::AuthStub, scene.load(load::get(&git), false)),
        sending(Kind::AuthInside, scene.load(load::get(&git), false)),
    ];
    if Kind::Fcgiwrap.missing().is_none() {
        entries.push(sending(Kind::Fcgiwrap, scene.load(plain("/file"), false)).labelled("auth_basic, sha"));
        let bcrypt = load::request_as(&slow, "GET", "/file", "", &[]);
        entries.push(sending(Kind::Fcgiwrap, scene.load(bcrypt, false)).labelled("auth_basic, bcrypt"));
    }
    if Kind::Apache.missing().is_none() {
        entries.push(sending(Kind::Apache, scene.load(plain("/file"), false)).labelled("apache, sha"));
        entries.push(sending(Kind::Apache, scene.load(ldap("/ldap/file"), false)).labelled("apache, ldap"));
    }
    warm(scene, &git)?;
    scene.compare("auth", &entries)
}

/// Both daemons and both Apache's and authd's memory have seen these users.
fn warm(scene: &mut Scene<'_>, target: &str) -> Result<()> {
    for kind in [Kind::Auth, Kind::AuthStub, Kind::AuthInside] {
        let address = scene.field.contender(kind)?.address()?;
        let answer = Connection::open(address)?.exchange(&load::get(target))?;
        ensure!(answer.status == 200, "{}: {answer:?}", kind.name());
    }
    Ok(())
}

/// A thousand clients log in at once for the first time: how often is the password verified?
pub(super) fn first_logins(scene: &mut Scene<'_>) -> Result<()> {
    let contender = scene.field.contender(Kind::Auth)?;
    let (address, directory) = (contender.address()?, contender.directory.clone());
    let clients = if scene.quick { 100 } else { 1000 };
    let target = bodies::advertisement("small.git");
    for (user, password) in [(SLOW_USER, SLOW_PASSWORD), ("u2", "u2-password")] {
        let before = verifications(&directory)?;
        let request = load::request_as(&harness::git::basic(user, password), "GET", &target, "", &[]);
        let mut connections: Vec<Connection> =
            (0..clients).map(|_| Connection::open(address)).collect::<Result<_>>()?;
        for connection in &mut connections {
            connection.send(&request)?;
        }
        for connection in &mut connections {
            let answer = connection.answer()?;
            ensure!(answer.status == 200, "first login of {user}: {answer:?}");
        }
        let count = verifications(&directory)? - before;
        let value = if user == SLOW_USER { count } else { scene.world.binds(user) as f64 };
        let kind = if user == SLOW_USER { "bcrypt hashes" } else { "LDAP binds" };
        scene.results.single(&format!("{clients} first logins at once: {kind}"), value);
    }
    Ok(())
}

/// How often a directory said that a password is right.
fn verifications(directory: &Path) -> Result<f64> {
    let admin = Address::unix(&directory.join("run/authd-admin.sock"));
    let page = admin.send(&Request::get("/metrics"))?.text();
    let right = page.lines().filter(|line| {
        line.starts_with("gitward_directory_requests_total{") && line.contains("outcome=\"right\"")
    });
    right.map(|line| line.rsplit(' ').next().context("no value")?.parse::<f64>().context("no number")).sum()
}
