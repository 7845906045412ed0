//! Every scenario, one test binary: real nginx, real git, both daemons. One module per topic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod aliases; // several URLs of one store, each with its own refs and rules
mod attacks_git; // repositories that git would take for another one, and settings that would open them
mod audit; // who did what, on record
mod benchmark; // the comparison with peers still runs
mod branch_rules; // attacks on the branch rules, both object formats
mod cache; // answers without git, and who gets them
mod cells; // the matrix in numbers: who, what, where
mod cgi_output; // a git that answers nonsense
mod clients; // git, libgit2, JGit, dulwich, isomorphic-git: what works, and what a refusal says
mod confidentiality; // what must never be seen: passwords, and the difference between hidden and absent
mod content_rules; // sizes, paths, authors, messages and signatures of what a push brings
mod documentation; // the tables in the documentation are what the tests found
mod dumb; // clients that know plain files only, which nginx sends
mod features; // what git-http-backend(1) offers beside plain clones and pushes
mod framing; // where one request ends and the next begins
mod headers; // header fields that pose as ours
mod hook_environment; // exactly what a hook and git get to see
mod hook_messages; // what a pusher reads
mod hooks; // hooks of the site, and what happens without ours

mod layout; // repositories at other URLs: mounts, servers, without .git
mod ldap_check; // what `authd check --online` proves
mod ldap_login; // who is who, by a real OpenLDAP
mod ldap_outage; // directories that are silent, gone, and back
mod ldap_protection; // what a directory is spared
mod ldap_servers; // servers that misbehave as OpenLDAP never would
mod ldap_tls; // no password without a proven name
mod lifetime; // no process outlives its request
mod limits; // queues, throttling, idle clients, draining
mod logins; // passwords under load, and front servers that check them
mod maintenance; // repositories that are kept in order
mod matrix; // who may do what, every combination
mod observability; // request ids, logs and metrics
mod outages; // dead and misbehaving daemons
mod protocol; // what real clients send: compression, chunks, many refs, object formats
mod proxies; // Caddy, Envoy and others in nginx's place
mod reference; // every kind of request, against plain git http-backend
mod reload; // files that change while everything runs
mod reload_cost; // what a reload costs those who do not ask for it
mod repositories; // made, checked and looked after
mod runner_direct; // requests that reach backend-runner without nginx and authd
mod samples; // every file in config/ and nginx/ works as it is
mod saving; // files that change, however they are saved
mod shadow; // a policy that is compared and not enforced
mod targets; // request targets outside the grammar
mod volume;
mod web; // pages and the list of repositories, for browsers // a gigabyte in each direction in constant memory
