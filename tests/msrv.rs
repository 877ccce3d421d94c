//! The Rust version that Cargo.toml states is honest: nothing that is needed to build the library asks for a newer one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

fn metadata() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["metadata", "--format-version", "1", "--locked"]);
    cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

/// `1.85` and `1.85.0` as numbers.
fn version(text: &str) -> Vec<u64> {
    let mut parts: Vec<u64> = text.split('.').map(|part| part.parse().unwrap()).collect();
    parts.resize(3, 0);
    parts
}

/// The packages that are built with the library: its dependencies and theirs, those for tests apart.
fn needed(metadata: &Value) -> BTreeSet<&str> {
    let nodes = array(&metadata["resolve"]["nodes"]);
    let nodes: BTreeMap<&str, &Value> =
        nodes.map(|node| (node["id"].as_str().unwrap(), node)).collect();
    let mut found = BTreeSet::new();
    let mut waiting = vec![metadata["resolve"]["root"].as_str().unwrap()];
    while let Some(id) = waiting.pop() {
        if !found.insert(id) {
            continue;
        }
        let is_built = |dep: &&Value| array(&dep["dep_kinds"]).any(|kind| kind["kind"] != "dev");
        let deps = array(&nodes[id]["deps"]).filter(is_built);
        waiting.extend(deps.map(|dep| dep["pkg"].as_str().unwrap()));
    }
    found
}

#[test]
fn no_dependency_asks_for_a_newer_rust_than_the_crate_states() {
    let metadata = metadata();
    let needed = needed(&metadata);
    assert!(needed.len() > 20, "only {} packages were found", needed.len());
    let stated = version(env!("CARGO_PKG_RUST_VERSION"));
    let newer: Vec<String> = array(&metadata["packages"])
        .filter(|package| needed.contains(package["id"].as_str().unwrap()))
        .filter(|package| package["rust_version"].as_str().is_some_and(|v| version(v) > stated))
        .map(|package| format!("{} {}", package["name"], package["rust_version"]))
        .collect();
    assert!(newer.is_empty(), "{newer:?}");
}
