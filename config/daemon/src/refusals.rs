//! What clients read when they are refused: the same words from both daemons and from nginx (`nginx/gitward-server.conf`), so
//! that nobody can tell by them who refused, and whether a repository is there.

/// With a 401.
pub const UNAUTHENTICATED: &str = "A user name and the right password are needed.";

/// With a 403, whether a repository is missing or forbidden.
pub const DENIED: &str = "There is no such repository, or you may not do this with it.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_says_the_same() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../nginx/gitward-server.conf");
        let nginx = std::fs::read_to_string(path).unwrap();
        for (status, text) in [(401, UNAUTHENTICATED), (403, DENIED)] {
            assert!(nginx.contains(&format!("return {status} \"{text}\\n\";")), "{text}");
        }
    }
}
