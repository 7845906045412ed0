//! Every front server before the same daemons: what works through each, which answers arrive, and that nobody gets further by
//! headers of another one. The table in `config/proxies/README.md` is generated from [`expected`].

mod column;
mod passage;

use std::collections::BTreeSet;

use harness::front::{Front, Kind};
use harness::{Address, Stack};

use column::{Column, Trial};

/// A front server of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Nginx,
    Caddy,
    Envoy,
    IngressNginx,
    GatewayFabric,
}

const ROWS: [Row; 5] = [Row::Nginx, Row::Caddy, Row::Envoy, Row::IngressNginx, Row::GatewayFabric];

/// The front servers that find the daemons at their Unix sockets.
const ON_SOCKETS: [Row; 4] = [Row::Nginx, Row::Caddy, Row::IngressNginx, Row::GatewayFabric];

impl Row {
    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "Caddy",
            Self::Envoy => "Envoy",
            Self::IngressNginx => "ingress-nginx",
            Self::GatewayFabric => "NGINX Gateway Fabric",
        }
    }

    fn kind(self) -> Option<Kind> {
        match self {
            Self::Nginx => None,
            Self::Caddy => Some(Kind::Caddy),
            Self::Envoy => Some(Kind::Envoy),
            Self::IngressNginx => Some(Kind::Nginx("ingress-nginx.conf")),
            Self::GatewayFabric => Some(Kind::Nginx("gateway-fabric.conf")),
        }
    }

    /// Whether a missing repository looks to the byte like one that is forbidden.
    fn hides(self) -> bool {
        matches!(self, Self::Nginx | Self::Caddy | Self::Envoy)
    }
}

/// What must come of one try: the same in the documentation.
fn expected(row: Row, column: Column) -> &'static str {
    use Column::*;
    match (column, row) {
        (AnonymousClone | Clone | Push, _) => "works",
        (NoRight, Row::Nginx | Row::Caddy | Row::Envoy) => "403, with words",
        (NoRight, _) => "403",
        (Missing, _) if row.hides() => "the same bytes",
        (Missing, _) => "403, with words",
        (WrongPassword, Row::Nginx | Row::Caddy | Row::Envoy) => "401, with words",
        (WrongPassword, _) => "401",
        (Throttled, Row::Nginx | Row::Caddy | Row::Envoy) => "429, when to come back",
        (Throttled, _) => "403",
        (Spoofed, _) => "nothing gained",
        (Address, Row::GatewayFabric) => "not told",
        (Address, _) => "true",
        (AuthdDown, Row::Nginx | Row::Caddy) => "503, with words",
        (AuthdDown, Row::Envoy) => "503",
        (AuthdDown, _) => "500",
        (RunnerDown, Row::Nginx | Row::Caddy | Row::Envoy) => "503, with words",
        (RunnerDown, _) => "502",
    }
}

#[test]
fn every_front_server_lets_through_what_is_allowed_and_nothing_else() {
    let (mut skipped, mut faults) = (BTreeSet::new(), Vec::new());
    for (rows, tcp) in [(&ON_SOCKETS[..], false), (&[Row::Envoy][..], true)] {
        let mut stack = stack(tcp);
        let fronts = fronts(&stack, rows, &mut skipped);
        let trials: Vec<_> = fronts.iter().map(|(row, front)| (*row, trial(&stack, *row, front))).collect();
        for column in Column::ALL {
            column.prepare(&mut stack);
            for (row, trial) in &trials {
                let (found, wanted) = (trial.run(&stack, column), expected(*row, column));
                harness::report(&format!("proxies: {} | {} | {found}", row.name(), column.name()));
                if found != wanted {
                    faults.push(format!("{}, {}: {found} instead of {wanted}", row.name(), column.name()));
                }
            }
        }
    }
    harness::report(&format!("proxies: {} SKIPPED {skipped:?}", skipped.len()));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_documentation_has_the_table_of_front_servers() {
    crate::documentation::file_has("config/proxies/README.md", &table());
}

/// Both daemons, an `upstream` directory that a client would like to use, and three repositories.
fn stack(tcp: bool) -> Stack {
    let upstream = "- { type: users, file: users.yaml }\n  - { type: upstream, header: X-Remote-User, groups_from: users }";
    let builder = Stack::builder().edit("authd.yaml", "- { type: users, file: users.yaml }", upstream).edit(
        "authd.yaml",
        "#endpoints: [nginx] ",
        "endpoints: [nginx, forward, envoy, ingress-nginx, gateway-fabric] ",
    );
    let stack = if tcp { builder.on_tcp() } else { builder }.start().unwrap();
    for (name, commits) in [("public/app.git", 2), ("team/app.git", 3), ("team/other.git", 4)] {
        stack.repositories().seeded(name, commits, &[]).unwrap();
    }
    stack
}

/// The front servers of these rows that are installed; the others are noted.
fn fronts(stack: &Stack, rows: &[Row], skipped: &mut BTreeSet<&'static str>) -> Vec<(Row, Option<Front>)> {
    let mut fronts = Vec::new();
    for row in rows {
        match row.kind() {
            None => fronts.push((*row, None)),
            Some(kind) => match Front::start(kind, stack).unwrap() {
                Some(front) => fronts.push((*row, Some(front))),
                None => drop(skipped.insert(row.name())),
            },
        }
    }
    fronts
}

fn trial(stack: &Stack, row: Row, front: &Option<Front>) -> Trial {
    let address = front.as_ref().map_or_else(|| stack.front(), Front::address);
    let Address::Tcp(socket) = &address else { panic!("{address:?}") };
    Trial { url: format!("http://{socket}/git"), address, name: row.name().replace(' ', "-") }
}

/// The table as the documentation shows it: the same on every machine.
fn table() -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let names = ROWS.map(Row::name);
    let mut table = line([&[""][..], &names].concat());
    table.push_str(&"|---".repeat(ROWS.len() + 1));
    table.push_str("|\n");
    for column in Column::ALL {
        let cells = ROWS.map(|row| expected(row, column));
        table.push_str(&line([&[column.name()][..], &cells].concat()));
    }
    table
}
