//! backend-runner runs git for requests that authd has permitted.
//!
//! A request's way through this crate, top to bottom: [`server`] accepts it, [`git_http`] verifies the signed decision,
//! [`repository`] finds the directory, [`limits`] gives leave, [`switches`] are the repository's own say, [`cgi::environment`] and [`engine`] say what to execute,
//! [`job`] owns the run, [`child`] the processes, [`stream`] the bytes in both directions, [`cgi::response`] the head of the
//! answer. Nothing here decides who may do what: that is authd's, and this crate believes only what authd signed.

pub mod alias;
pub mod audit;
pub mod cache;
pub mod care;
pub mod cgi;
pub mod child;
pub mod cli;
pub mod config;
pub mod engine;
pub mod git;
pub mod git_http;
pub mod hook;
pub mod hook_env;
pub mod inventory;
pub mod job;
pub mod limits;
pub mod load;
pub mod managed_hooks;
pub mod metrics;
pub mod push;
pub mod repository;
pub mod runner;
pub mod server;
pub mod state;
pub mod stream;
pub mod switches;
pub mod text;
pub mod web;
