//! The daemon from outside: raw HTTP on its socket, real git repositories, and programs in git's place that misbehave.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so and end")]

mod front;
mod http;
mod stage;

// What is said about typical mistakes in the configuration.
mod mistakes;
// The schema of the configuration is current.
mod schema;
// What is refused before anything runs.
mod decision;
mod refusal;
// What git is told.
mod environment;
// Programs that hang, flood, crash, or answer what no git answers.
mod child;
// How many at once, how long, and the end of the daemon.
mod drain;
mod limit;
// What is said again without git.
mod packs;
mod replay;
// Real git on both sides, and what it would have said.
mod differential;
mod git;
