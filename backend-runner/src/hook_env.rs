//! What hooks are told about a push, besides git's own variables: names and values in one place.
//!
//! Everything structured is JSON, so that no group name or directory attribute can pass for something else. The same values
//! stand under the names that hook scripts written for git4nginx expect.

use std::path::Path;

use policy::decision::Decision;

/// The variables for the hooks of one push, from its decision alone.
#[must_use]
pub fn variables(
    decision: &Decision,
    config: &Path,
    log_directory: Option<&Path>,
) -> Vec<(&'static str, String)> {
    let groups = json(&decision.groups);
    let info = json(&decision.info);
    let config = config.display().to_string();
    let mut variables = vec![
        ("GITWARD_GROUPS", groups.clone()),
        ("GITWARD_INFO", info.clone()),
        ("GITWARD_REPO", decision.repo.to_string()),
        ("GITWARD_REQUEST_ID", decision.request_id.clone()),
        ("GITWARD_CLIENT", decision.client.clone()),
        ("GITWARD_CONFIG", config.clone()),
        ("GIT4NGINX_GROUPS", groups),
        ("GIT4NGINX_INFO", info),
        ("GIT4NGINX_CONFIG", config),
    ];
    if let Some(user) = &decision.user {
        variables.push(("GITWARD_USER", user.to_string()));
    }
    if let Some(directory) = log_directory {
        let directory = directory.display().to_string();
        variables.push(("GITWARD_LOG_DIR", directory.clone()));
        variables.push(("GIT4NGINX_LOG_DIR", directory));
    }
    variables
}

/// Lists of names and maps of texts always have a JSON form.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
