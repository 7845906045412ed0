//! What both daemons do the same way: listening sockets, the shared signing key file,
//! logs, the admin listener, changed files, file systems to believe, and the signals of a service manager.
//!
//! Everything here does I/O and knows nothing of users, repositories or decisions; those are in the
//! `policy` crate, which does no I/O.

pub mod admin;
pub mod files;
pub mod health;
pub mod http_server;
pub mod listen;
mod log_line;
mod log_writer;
pub mod open_files;
pub mod quiet_stream;
pub mod refusals;
pub mod shell;
pub mod shutdown;
pub mod signing_key;
pub mod telemetry;
pub mod volume;
pub mod watch;
pub use policy::units;
