//! The sample files are what they say they are.

use std::path::Path;

use authd::identity::argon2id::Scratch;
use authd::identity::{htpasswd, users_file};
use authd::load;

fn sample(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)
}

#[test]
fn the_sample_configuration_is_accepted_without_a_warning() {
    let loaded = load::load(&sample("authd.yaml")).unwrap();
    // A checkout is readable by everybody; what is copied from it should not be.
    let warnings: Vec<_> =
        loaded.warnings.iter().filter(|warning| !warning.contains("everybody on this machine")).collect();
    assert_eq!(warnings, Vec::<&String>::new());
}

#[test]
fn every_sample_user_logs_in_with_the_password_the_file_tells() {
    let bytes = std::fs::read(sample("users.yaml")).unwrap();
    let accounts = users_file::parse("users.yaml", &bytes).unwrap();
    for name in ["james", "joe", "sydney", "guest"] {
        let hash = accounts.find(name).unwrap().hash().unwrap().parse().unwrap();
        assert!(hash.verify(format!("{name}-demo").as_bytes(), &mut Scratch::default()), "{name}");
    }
}

#[test]
fn the_sample_password_and_groups_files_belong_together() {
    let groups = htpasswd::parse_groups("groups", &std::fs::read(sample("groups")).unwrap()).unwrap();
    let bytes = std::fs::read(sample("htpasswd")).unwrap();
    let read = htpasswd::parse("htpasswd", &bytes, groups.content).unwrap();
    assert_eq!((read.warnings, groups.warnings), (Vec::new(), Vec::<String>::new()));
    for (name, groups) in [("alice", 2), ("bob", 1)] {
        let account = read.content.find(name).unwrap();
        assert_eq!(account.groups().len(), groups, "{name}");
        let password = format!("{name}-demo");
        let hash = account.hash().unwrap().parse().unwrap();
        assert!(hash.verify(password.as_bytes(), &mut Scratch::default()), "{name}");
    }
}
