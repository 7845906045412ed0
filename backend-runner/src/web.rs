//! Pages for browsers: gitweb's about one repository, and our list of all that the caller may read.
//!
//! gitweb is run like git: by a signed decision, with an environment that starts empty, under limits of its own so that no
//! crawler can starve git. What it can see of the disk is [`view`]: one repository in a directory made for this page. What
//! may pass to the browser is [`answer`]. The list is made here, from a [`catalogue`] that nobody's rights are in; see [`list`].

pub mod answer;
pub mod catalogue;
pub mod list;
pub mod program;
pub mod view;
