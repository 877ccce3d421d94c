//! `include/wsproxy.h` is what cbindgen makes of `src/ffi`: one truth, mirrored.
//!
//! `WSPROXY_UPDATE=1 cargo test --test header` writes it.
#![allow(clippy::unwrap_used)] // A test ends where it cannot go on.

use std::path::{Path, PathBuf};

/// In the order that the header has.
const SOURCES: [&str; 12] = [
    "constants",
    "library",
    "log",
    "config",
    "config_tls",
    "session",
    "refusal",
    "handshake",
    "frame",
    "stats",
    "serving",
    "server",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn generated() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let builder = cbindgen::Builder::new().with_config(config);
    let bindings = SOURCES
        .iter()
        .map(|name| root().join(format!("src/ffi/{name}.rs")))
        .fold(builder, |builder, source| builder.with_src(source))
        .generate()
        .unwrap();
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).unwrap()
}

fn committed() -> PathBuf {
    root().join("include/wsproxy.h")
}

#[test]
fn the_committed_header_is_what_the_sources_say() {
    let header = generated();
    if std::env::var_os("WSPROXY_UPDATE").is_some() {
        std::fs::write(committed(), &header).unwrap();
    }
    let found = std::fs::read_to_string(committed()).unwrap_or_default();
    let differs = header.lines().zip(found.lines()).position(|(new, old)| new != old);
    assert!(
        header == found,
        "include/wsproxy.h is not what src/ffi says (from line {} on); \
         WSPROXY_UPDATE=1 cargo test --test header writes it",
        differs.unwrap_or(header.lines().count().min(found.lines().count())) + 1
    );
}

#[test]
fn every_file_of_the_c_line_that_exports_is_read_for_the_header() {
    for entry in std::fs::read_dir(root().join("src/ffi")).unwrap() {
        let path = entry.unwrap().path();
        let exports = std::fs::read_to_string(&path).unwrap().contains("#[no_mangle]");
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(!exports || SOURCES.contains(&name.as_str()), "{name}.rs exports, and is not read");
    }
}

#[test]
fn lines_of_the_header_fit_a_screen() {
    for (number, line) in generated().lines().enumerate() {
        assert!(line.chars().count() <= 120, "line {} is too long: {line}", number + 1);
    }
}
