//! Where Apache's users come from: `AuthUserFile`, `AuthGroupFile` and `AuthLDAPURL` become entries of `directories:`.

use std::collections::BTreeSet;

use policy::identity::GroupName;

use super::sections::{Block, Line};
use crate::cli::import::draft::quoted;
use crate::cli::import::report::{Report, Weight};

/// What the sections say about users.
#[derive(Default)]
pub(super) struct Directories {
    /// Password file and groups file.
    files: BTreeSet<(String, Option<String>)>,
    ldap: BTreeSet<Ldap>,
    /// The distinguished names of groups, without the group's own name.
    group_bases: BTreeSet<String>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ldap {
    urls: Vec<String>,
    base: String,
    attribute: String,
    filter: String,
    bind_dn: Option<String>,
    start_tls: bool,
}

impl Directories {
    /// Takes what one section says.
    pub(super) fn note(&mut self, block: &Block, report: &mut Report) {
        let lines = block.lines();
        let value = |name: &str| lines.iter().find(|line| line.name == name);
        let first = |name: &str| value(name).and_then(|line| line.words().into_iter().next());
        if let Some(file) = first("authuserfile") {
            self.files.insert((file, first("authgroupfile")));
        }
        if let Some(line) = value("authldapurl") {
            match ldap(line, first("authldapbinddn")) {
                Some(ldap) => _ = self.ldap.insert(ldap),
                None => {
                    report.add(Weight::Narrower, &line.place, "this LDAP URL is not understood; left out")
                }
            }
        }
        if let Some(line) = value("authldapbindpassword") {
            report.add(
                Weight::Note,
                &line.place,
                "put the password into the file that `bind_password_file` names",
            );
        }
        for line in &lines {
            match line.name.as_str() {
                "authtype" if !line.arguments.eq_ignore_ascii_case("basic") => {
                    report.add(
                        Weight::Narrower,
                        &line.place,
                        format!("AuthType {} is not Basic; left out", line.arguments),
                    );
                }
                "require" => self.group_bases.extend(group_base(line)),
                "authdbduserpwquery" | "authdbmuserfile" | "authnzldapurl" => {
                    report.add(
                        Weight::Narrower,
                        &line.place,
                        "users from here cannot be asked for; left out",
                    );
                }
                _ => (),
            }
        }
    }

    /// The lines of `directories:`.
    pub(super) fn entries(&self, report: &mut Report) -> Vec<String> {
        let mut entries = Vec::new();
        for (index, (file, groups)) in self.files.iter().enumerate() {
            let groups =
                groups.iter().map(|groups| format!(", groups_file: {}", quoted(groups))).collect::<String>();
            entries.push(format!(
                "  - {{ type: htpasswd{}, file: {}{groups} }}",
                name("htpasswd", index),
                quoted(file)
            ));
        }
        for (index, ldap) in self.ldap.iter().enumerate() {
            entries.extend(self.ldap_entry(ldap, index));
        }
        if self.group_bases.len() > 1 {
            let message = "groups are in several places of the tree: the base that is written is theirs in common, or the first";
            report.add(Weight::Narrower, "Require ldap-group", message);
        }
        if entries.is_empty() {
            report.add(
                Weight::Narrower,
                "whole configuration",
                "no users are named that could be asked for: nobody can log in",
            );
        }
        entries
    }

    fn ldap_entry(&self, ldap: &Ldap, index: usize) -> Vec<String> {
        let urls =
            ldap.urls.iter().map(|url| serde_json::Value::from(url.as_str()).to_string()).collect::<Vec<_>>();
        let filter = match ldap.filter.as_str() {
            "" | "(objectClass=*)" | "(objectclass=*)" => format!("({}={{user}})", ldap.attribute),
            filter => format!("(&{filter}({}={{user}}))", ldap.attribute),
        };
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let groups = self.group_bases.first().unwrap_or(&ldap.base);
        let mut lines = vec![format!("  - type: ldap{}", name("ldap", index).replace(", ", "\n    "))];
        lines.push(format!("    urls: [{}]", urls.join(", ")));
        if let Some(dn) = &ldap.bind_dn {
            lines.push(format!("    bind_dn: {}\n    bind_password_file: /run/secrets/ldap", json(dn)));
        }
        lines.push(format!(
            "    users: {{ base: {}, filter: {}, name: {} }}",
            json(&ldap.base),
            json(&filter),
            ldap.attribute
        ));
        lines
            .push(format!("    groups: {{ base: {}, filter: \"(member={{dn}})\", name: cn }}", json(groups)));
        if ldap.start_tls {
            lines.push("    tls: { start_tls: true }".to_owned());
        }
        lines
    }
}

/// Only a second directory of a type needs a name.
fn name(kind: &str, index: usize) -> String {
    if index == 0 { String::new() } else { format!(", name: {kind}{}", index + 1) }
}

/// `cn=dev,ou=groups,dc=example,dc=org` is the group `dev`.
pub(super) fn group_of_dn(dn: &str) -> Option<GroupName> {
    let (first, _) = dn.split_once(',')?;
    let (attribute, name) = first.split_once('=')?;
    // A name with escapes would have to be unescaped as LDAP does it.
    let plain = attribute.trim().eq_ignore_ascii_case("cn") && !dn.contains('\\');
    GroupName::parse(name.trim()).ok().filter(|_| plain)
}

fn group_base(line: &Line) -> Option<String> {
    let (kind, dn) = line.arguments.split_once(char::is_whitespace)?;
    let (_, base) = dn.trim().trim_matches('"').split_once(',')?;
    kind.eq_ignore_ascii_case("ldap-group").then(|| base.trim().to_owned())
}

/// `ldap://host host2/base?attribute?scope?filter`, and then perhaps `STARTTLS`.
fn ldap(line: &Line, bind_dn: Option<String>) -> Option<Ldap> {
    let words = line.words();
    let (url, mode) = match words.as_slice() {
        [url] => (url, ""),
        [url, mode] => (url, mode.as_str()),
        _ => return None,
    };
    let (scheme, rest) = url.split_once("://")?;
    let (hosts, rest) = rest.split_once('/')?;
    let mut parts = rest.splitn(4, '?');
    let mut part = || parts.next().unwrap_or_default().replace("%20", " ");
    let (base, attribute, _scope, filter) = (part(), part(), part(), part());
    let attribute = attribute.split(',').next().filter(|name| !name.is_empty()).unwrap_or("uid").to_owned();
    let filter = if filter.is_empty() || filter.starts_with('(') { filter } else { format!("({filter})") };
    let urls = hosts.split_whitespace().map(|host| format!("{scheme}://{host}")).collect();
    let start_tls = ["starttls", "tls"].iter().any(|word| mode.eq_ignore_ascii_case(word));
    Some(Ldap { urls, base, attribute, filter, bind_dn, start_tls })
}
