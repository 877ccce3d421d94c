//! What `libwsproxy.so` exports is what its header declares, and nothing else.
#![allow(clippy::unwrap_used)] // A test ends where it cannot go on.

mod shared_library;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn exported() -> BTreeSet<String> {
    let mut nm = Command::new("nm");
    nm.args(["--dynamic", "--defined-only", "--format=posix"]).arg(shared_library::file());
    let symbols = shared_library::run(&mut nm);
    symbols.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// The functions of the header: a name before the parenthesis of a line that begins at the margin.
fn declared() -> BTreeSet<String> {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/wsproxy.h");
    let header = std::fs::read_to_string(header).unwrap();
    header
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter(|line| !line.starts_with("typedef"))
        .filter_map(|line| line.split_once('('))
        .map(|(before, _)| before.rsplit([' ', '*']).next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_library_exports_exactly_the_functions_of_the_header() {
    assert_eq!(exported(), declared());
}

#[test]
fn the_header_declares_functions_of_ours_only() {
    let declared = declared();
    assert!(declared.len() > 40, "only {} functions were found in the header", declared.len());
    assert!(declared.iter().all(|name| name.starts_with("wsproxy_")), "{declared:?}");
}

#[test]
fn the_soname_carries_the_abi_of_the_header() {
    let mut readelf = Command::new("readelf");
    readelf.arg("--dynamic").arg(shared_library::file());
    let dynamic = shared_library::run(&mut readelf);
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/wsproxy.h");
    let header = std::fs::read_to_string(header).unwrap();
    let abi = header.split_once("WSPROXY_ABI = ").unwrap().1.split_once(',').unwrap().0;
    assert!(dynamic.contains(&format!("[libwsproxy.so.{abi}]")), "{dynamic}");
}
