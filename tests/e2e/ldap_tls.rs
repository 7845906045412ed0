//! Connections are verified or not made: no password goes to a server that cannot prove its name.

use std::fs;

use harness::Authd;
use harness::slapd::{Slapd, directory};

fn with_tls(slapd: &Slapd, url: &str, tls: &str) -> Authd {
    let ca = slapd.path().join("ca.pem");
    let tls = tls.replace("@CA@", &ca.display().to_string());
    Authd::start(&(directory(&[url]) + &format!("    tls: {{ {tls} }}\n")), "").unwrap()
}

#[test]
fn ldaps_and_start_tls_work_with_the_authority_of_a_file() {
    let slapd = Slapd::start().unwrap();
    let authd = with_tls(&slapd, &slapd.tls_url(), "ca_file: @CA@");
    assert_eq!(authd.status("alice", "alice-password", "staff"), 200);
    let plain = format!("ldap://localhost:{}", slapd.port);
    let authd = with_tls(&slapd, &plain, "ca_file: @CA@, start_tls: true");
    assert_eq!(authd.status("alice", "alice-password", "staff"), 200);
    assert_eq!(slapd.lines(&["BIND dn=\"uid=alice", "bind_ssf=0 ssf=0"]).len(), 0, "no bind in the clear");
    assert_eq!(slapd.binds("alice"), 2);
}

#[test]
fn a_client_certificate_can_stand_for_the_service_account() {
    let slapd = Slapd::start().unwrap();
    let at = slapd.path().display();
    let tls = format!("ca_file: @CA@, certificate_file: {at}/client.pem, key_file: {at}/client.key");
    let ca = slapd.path().join("ca.pem");
    let without_dn = directory(&[&slapd.tls_url()]).replace(
        "    bind_dn: cn=gitward,ou=services,dc=example,dc=org\n    bind_password_file: service-password\n",
        "",
    );
    let tls = tls.replace("@CA@", &ca.display().to_string());
    let authd = Authd::start(&(without_dn + &format!("    tls: {{ {tls} }}\n")), "").unwrap();
    assert_eq!(authd.status("alice", "alice-password", "staff"), 200);
    assert_eq!(slapd.lines(&["mech=EXTERNAL"]).len(), 1);
}

#[test]
fn a_server_that_cannot_prove_its_name_gets_no_bind() {
    for certificate in ["rogue", "other", "expired"] {
        let mut slapd = Slapd::start().unwrap();
        slapd.kill().unwrap();
        for kind in ["pem", "key"] {
            let to = slapd.path().join(format!("server.{kind}"));
            fs::copy(slapd.path().join(format!("{certificate}.{kind}")), to).unwrap();
        }
        slapd.restart().unwrap();
        for (url, tls) in [
            (slapd.tls_url(), "ca_file: @CA@"),
            (format!("ldap://localhost:{}", slapd.port), "ca_file: @CA@, start_tls: true"),
        ] {
            let authd = with_tls(&slapd, &url, tls);
            assert_eq!(authd.status("alice", "alice-password", "dev"), 503, "{certificate} {url}");
        }
        assert_eq!(slapd.lines(&["BIND dn="]).len(), 0, "{certificate}");
    }
}

#[test]
fn an_authority_of_the_system_does_not_stand_in_for_the_configured_one() {
    let slapd = Slapd::start().unwrap();
    let authd = Authd::start(&directory(&[&slapd.tls_url()]), "").unwrap();
    assert_eq!(
        authd.status("alice", "alice-password", "dev"),
        503,
        "the system does not know this authority"
    );
    assert_eq!(slapd.lines(&["BIND dn="]).len(), 0);
}

#[test]
fn a_server_that_refuses_start_tls_gets_no_bind() {
    let fake = harness::FakeLdap::start(|_| vec![harness::fake_ldap::Act::Done(2)]).unwrap();
    let url = format!("ldap://localhost:{}", fake.port);
    let authd = Authd::start(&(directory(&[&url]) + "    tls: { start_tls: true }\n"), "").unwrap();
    assert_eq!(authd.status("alice", "alice-password", "dev"), 503);
    assert!(!fake.asked().iter().any(|asked| matches!(asked, harness::fake_ldap::Question::Bind { .. })));
}
