//! README.md is true: its programs compile as printed and relay, and what it names is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod built;
mod shared_library;
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use built::quick_start::{printed, readme, relays, relays_and_drains};
use built::{example, root, run};

/// What a reader is promised of the quick starts.
const MOST_LINES: usize = 40;

#[test]
fn the_quick_start_in_c_compiles_as_printed_relays_and_drains() {
    let program = printed("c");
    assert!(program.lines().count() <= MOST_LINES, "{} lines", program.lines().count());
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("quick.c"), folder.path().join("quick"));
    std::fs::write(&source, program).unwrap();
    let library = folder.path().join("libwsproxy.so.0"); // the name that its SONAME asks for
    std::os::unix::fs::symlink(shared_library::file(), &library).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"]);
    cc.arg(root().join("include")).arg(&source).arg("-o").arg(&out).arg(&library);
    run(cc.arg(format!("-Wl,-rpath,{}", folder.path().display())));
    relays_and_drains(&mut Command::new(out));
}

#[test]
fn the_quick_start_in_rust_is_an_example_and_relays() {
    let source = std::fs::read_to_string(root().join("examples/relay.rs")).unwrap();
    let (_, code) = source.split_once("\n\n").expect("a comment, then the code");
    assert_eq!(printed("rust"), code, "README.md and examples/relay.rs differ");
    assert!(code.lines().count() <= MOST_LINES);
    relays(&mut Command::new(example("relay")));
}

fn words(readme: &str) -> BTreeSet<&str> {
    readme.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect()
}

#[test]
fn every_name_of_the_c_api_in_the_readme_is_in_the_header() {
    let header = std::fs::read_to_string(root().join("include/wsproxy.h")).unwrap();
    let (readme, known) = (readme(), words(&header));
    let named = words(&readme).into_iter().filter(|word| {
        let setting_of_tests = [
            "WSPROXY_SEED",
            "WSPROXY_CASE",
            "WSPROXY_CASES",
            "WSPROXY_UPDATE",
            "WSPROXY_PYTHON",
            "WSPROXY_TEST_LUA_PATH",
        ];
        word.to_lowercase().starts_with("wsproxy_") && !setting_of_tests.contains(word)
    });
    let is_known = |word: &str| match word.ends_with('_') {
        true => known.iter().any(|name| name.starts_with(word)), // `wsproxy_server_*`
        false => known.contains(word),
    };
    let unknown: Vec<&str> = named.filter(|word| !is_known(word)).collect();
    assert!(unknown.is_empty(), "README.md names {unknown:?}");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_readme_says_where_every_source_file_is_for() {
    let readme = readme();
    let files = rust_files(&root().join("src"));
    let name = |file: &PathBuf| file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let mut missing: Vec<String> = files.iter().map(name).collect();
    missing.retain(|file| !readme.contains(&format!("`{file}`")));
    assert!(missing.is_empty(), "the table \"Where is …?\" lacks {missing:#?}");
}

#[test]
fn every_make_command_in_the_readme_is_a_target() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let readme = readme();
    let targets: Vec<&str> = readme
        .split("make ")
        .skip(1)
        .filter_map(|rest| rest.split(['`', ' ', '\n']).next())
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()) && !word.is_empty())
        .collect();
    assert!(targets.len() > 3, "only {targets:?}");
    for target in targets {
        assert!(makefile.contains(&format!("\n{target}:")), "no `make {target}`");
    }
}
