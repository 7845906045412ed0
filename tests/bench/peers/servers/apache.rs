//! Apache with `mod_cgid`, its passwords in the same file or, below `/ldap/`, asked of an LDAP server by `mod_authnz_ldap`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::{Running, http_backend, listen, place, program};
use crate::world::World;

pub(super) fn start(world: &World) -> Result<Running> {
    let place = place(world)?;
    let at = place.path();
    fs::create_dir(at.join("ldap"))?;
    fs::copy(at.join("file"), at.join("ldap/file"))?;
    let (apache, address) = listen("apache", at, |address| {
        fs::write(at.join("apache.conf"), configuration(at, address, world)?)?;
        let mut command = program("/usr/sbin/apache2");
        command.args(["-D", "FOREGROUND", "-f"]).arg(at.join("apache.conf"));
        Ok(command)
    })?;
    Ok(Running { address: Some(address), _processes: vec![apache], stack: None, place: Some(place) })
}

fn configuration(at: &Path, address: SocketAddr, world: &World) -> Result<String> {
    let modules = [
        "mpm_event",
        "alias",
        "authn_core",
        "authn_file",
        "authz_core",
        "authz_user",
        "auth_basic",
        "cgid",
        "env",
        "ldap",
        "authnz_ldap",
    ];
    let load: String = modules
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let (backend, htpasswd, at) = (http_backend()?, world.htpasswd(), at.display());
    Ok(format!(
        "{load}ServerName localhost\nListen {address}\nPidFile {at}/pid\nErrorLog {at}/error.log\n\
         CustomLog {at}/access.log common\nDocumentRoot {at}\nDefaultRuntimeDir {at}\nScriptSock {at}/cgid.sock\n\
         KeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60\nTimeout 300\n\
         SetEnv GIT_PROJECT_ROOT {at}/git\nSetEnv GIT_HTTP_EXPORT_ALL\nSetEnv GIT_CONFIG_NOSYSTEM 1\nSetEnv HOME {at}\n\
         ScriptAlias /git/ {}/\n\
         <LocationMatch \"^/(git/|file)\">\nAuthType Basic\nAuthName git\nAuthBasicProvider file\n\
         AuthUserFile {}\nRequire valid-user\n</LocationMatch>\n\
         <Location /ldap/>\nAuthType Basic\nAuthName git\nAuthBasicProvider ldap\n\
         AuthLDAPURL \"ldap://127.0.0.1:{}/ou=people,dc=example,dc=org?uid?sub\"\n\
         AuthLDAPBindDN \"{}\"\nAuthLDAPBindPassword \"{}\"\n\
         Require ldap-group cn=developers,ou=groups,dc=example,dc=org\n</Location>\n",
        backend.display(),
        htpasswd.display(),
        world.ldap_port()?,
        harness::slapd::SERVICE_DN,
        harness::slapd::SERVICE_PASSWORD,
    ))
}
