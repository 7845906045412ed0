//! The schema of `backend-runner.yaml` knows the keys the program knows, which its error about an unknown key names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn in_program(text: &str) -> BTreeSet<String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("backend-runner.yaml");
    fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_backend-runner"))
        .args(["check", "--config"])
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let known = said
        .split_once("unknown key `nothing`, known here are ")
        .unwrap_or_else(|| panic!("{text}: {said}"))
        .1;
    known.lines().next().unwrap().split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_schema_knows_the_keys_the_program_knows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/schema/backend-runner.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for (pointer, key) in [
        ("", "nothing: 1"),
        ("/properties/hooks", "hooks: { nothing: 1 }"),
        ("/properties/limits", "limits: { nothing: 1 }"),
        ("/properties/gitweb", "gitweb: { nothing: 1 }"),
    ] {
        let object = schema.pointer(pointer).unwrap();
        assert_eq!(object["additionalProperties"], false);
        let keys: BTreeSet<_> = object["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, in_program(&format!("version: 1\nrepositories: /srv/git\n{key}\n")), "{pointer}");
    }
}
