//! lighttpd with `mod_cgi`, as git-http-backend(1) shows it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::{Running, http_backend, listen, place, program};
use crate::world::World;

pub(super) fn start(world: &World) -> Result<Running> {
    let place = place(world)?;
    let at = place.path();
    fs::create_dir(at.join("spool"))?;
    let (lighttpd, address) = listen("lighttpd", at, |address| {
        fs::write(at.join("lighttpd.conf"), configuration(at, address, world)?)?;
        let mut command = program("/usr/sbin/lighttpd");
        command.arg("-D").arg("-f").arg(at.join("lighttpd.conf"));
        Ok(command)
    })?;
    Ok(Running { address: Some(address), _processes: vec![lighttpd], stack: None, place: Some(place) })
}

fn configuration(at: &Path, address: SocketAddr, world: &World) -> Result<String> {
    let (backend, htpasswd, at) = (http_backend()?, world.htpasswd(), at.display());
    Ok(format!(
        "server.modules = ( \"mod_auth\", \"mod_authn_file\", \"mod_alias\", \"mod_setenv\", \"mod_cgi\", \"mod_accesslog\" )\n\
         server.document-root = \"{at}\"\nserver.bind = \"{}\"\nserver.port = {}\nserver.errorlog = \"{at}/error.log\"\n\
         accesslog.filename = \"{at}/access.log\"\nserver.upload-dirs = ( \"{at}/spool\" )\nserver.max-fds = 8192\n\
         server.max-keep-alive-requests = 1000\nserver.max-keep-alive-idle = 75\n\
         auth.backend = \"htpasswd\"\nauth.backend.htpasswd.userfile = \"{}\"\n\
         auth.require = ( \"/\" => ( \"method\" => \"basic\", \"realm\" => \"git\", \"require\" => \"valid-user\" ) )\n\
         alias.url += ( \"/git\" => \"{}\" )\n\
         $HTTP[\"url\"] =~ \"^/git\" {{\n cgi.assign = ( \"\" => \"\" )\n setenv.set-environment = (\n\
         \"GIT_PROJECT_ROOT\" => \"{at}/git\", \"GIT_HTTP_EXPORT_ALL\" => \"1\", \"HOME\" => \"{at}\",\n\
         \"GIT_CONFIG_NOSYSTEM\" => \"1\" )\n}}\n",
        address.ip(),
        address.port(),
        htpasswd.display(),
        backend.display(),
    ))
}
