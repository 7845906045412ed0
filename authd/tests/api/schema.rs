//! The schemas editors complete keys from say what the program says: the same keys, and yes to the sample files.
//!
//! A schema that knows other keys than the program is found by asking the program: its error about an unknown key names
//! all that it knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::commands::Desk;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)).unwrap()
}

fn schema(name: &str) -> Value {
    serde_json::from_str(&read(&format!("schema/{name}.schema.json"))).unwrap()
}

/// The keys of the object a pointer leads to.
fn in_schema(schema: &Value, pointer: &str) -> BTreeSet<String> {
    let object = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
    assert_eq!(object["additionalProperties"], false, "{pointer}");
    object["properties"].as_object().unwrap().keys().cloned().collect()
}

/// The keys the program knows where a text has the key `nothing`.
fn in_program(file: &str, text: &str) -> BTreeSet<String> {
    let desk = Desk::with_policy("version: 1\naccess: {}\n");
    desk.write(file, text);
    let said = desk.run("check").err;
    let known = said
        .split_once("unknown key `nothing`, known here are ")
        .unwrap_or_else(|| panic!("{text}: {said}"))
        .1;
    let known = known.lines().next().unwrap();
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_schemas_know_the_keys_the_program_knows() {
    let access = "version: 1\naccess:\n  /: { nothing: 1 }\n";
    let branches = "version: 1\naccess: {}\nbranches:\n  /: { nothing: 1 }\n";
    let rights = "version: 1\naccess: {}\nbranches:\n  /: { protect: { master: { nothing: 1 } } }\n";
    for (name, pointer, text) in [
        ("policy", "", "version: 1\nnothing: 1\n"),
        ("policy", "/$defs/access", access),
        ("policy", "/$defs/branches", branches),
        ("policy", "/$defs/rights", rights),
        ("users", "", "version: 1\nnothing: 1\n"),
        ("users", "/$defs/user", "version: 1\nusers:\n  joe: { nothing: 1 }\n"),
        ("authd", "", "version: 1\nnothing: 1\n"),
        ("authd", "/properties/cache", "version: 1\ncache: { nothing: 1 }\n"),
        ("authd", "/properties/failures", "version: 1\nfailures: { nothing: 1 }\n"),
        ("authd", "/$defs/directory", "version: 1\ndirectories:\n  - { nothing: 1 }\n"),
        (
            "authd",
            "/$defs/ldap_users",
            "version: 1\ndirectories:\n  - { type: ldap, users: { nothing: 1 } }\n",
        ),
        (
            "authd",
            "/$defs/ldap_groups",
            "version: 1\ndirectories:\n  - { type: ldap, groups: { nothing: 1 } }\n",
        ),
        ("authd", "/$defs/ldap_tls", "version: 1\ndirectories:\n  - { type: ldap, tls: { nothing: 1 } }\n"),
    ] {
        let known = in_program(&format!("{name}.yaml"), text);
        assert_eq!(in_schema(&schema(name), pointer), known, "{name}{pointer}");
    }
}

#[test]
fn the_sample_files_are_valid_and_name_their_schemas() {
    for name in ["policy", "users", "authd", "backend-runner"] {
        let text = read(&format!("{name}.yaml"));
        let marker = format!("# yaml-language-server: $schema=schema/{name}.schema.json\n");
        assert!(text.starts_with(&marker), "{name}.yaml does not begin with {marker}");
        let sample: Value = serde_yaml::from_str(&text).unwrap();
        let validator = jsonschema::validator_for(&schema(name)).unwrap();
        let errors: Vec<_> = validator.iter_errors(&sample).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn the_schemas_refuse_what_the_program_refuses() {
    for (name, text) in [
        ("policy", "{ version: 2, access: {} }"),
        ("policy", "{ access: {} }"),
        ("policy", "{ version: 1, access: { /team/: {} } }"),
        ("policy", "{ version: 1, access: { team: {} } }"),
        ("policy", "{ version: 1, access: { team/: { read: joe } } }"),
        ("policy", "{ version: 1, access: { team/: { read: ['a b'] } } }"),
        ("policy", "{ version: 1, access: {}, branches: { /: { flow: dev } } }"),
        ("users", "{ version: 1, users: { anonymous: {} } }"),
        ("users", "{ version: 1, users: { joe: { password: secret } } }"),
        ("authd", "{ version: 1, listen: '9180' }"),
        ("authd", "{ version: 1, cache: { ttl: 120 } }"),
        ("authd", "{ version: 1, mount: git }"),
    ] {
        let desk = Desk::with_policy("version: 1\naccess: {}\n");
        desk.write(&format!("{name}.yaml"), text);
        assert_eq!(desk.run("check").code, 64, "{name}: {text}");
        let validator = jsonschema::validator_for(&schema(name)).unwrap();
        let value: Value = serde_yaml::from_str(text).unwrap();
        assert!(!validator.is_valid(&value), "{name}: {text}");
    }
}
