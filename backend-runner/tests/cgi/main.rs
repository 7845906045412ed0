//! The daemon from outside: raw HTTP on its socket, real git repositories, and programs in git's place that misbehave.

mod http;
mod stage;

mod decision;
