//! authd as nginx sees it: the real server on a real socket, asked with bytes. One binary, to link once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so and end")]

mod commands; // runs the program's commands on files of their own
mod dialects; // other front servers than nginx
mod explain; // explain, who-can and diff
mod git4nginx; // an imported policy means what git4nginx meant
mod import; // what becomes of other access controls' files
mod logins; // what a login costs, and who may not try again
mod mistakes; // what is said about typical mistakes
mod process; // the program itself: signals, exit codes, logs
mod reload; // files that change under a running daemon
mod samples; // the files in config/
mod schema; // the schemas of the configuration files are current
mod service_manager; // what systemd is told, and hands over
mod shell; // completions and manual pages
mod stage; // starts a server in a directory of its own, and asks it
mod statuses; // who gets which answer
mod upstream; // front servers that name the user
