//! `include/wsproxy.h` and `bindings/lua/wsproxy/cdef.lua` are what cbindgen makes of `src/ffi`: one truth, mirrored.
//!
//! `WSPROXY_UPDATE=1 cargo test --test header` writes them.
#![allow(clippy::unwrap_used)] // A test ends where it cannot go on.

use std::path::Path;

/// In the order that the header has.
const SOURCES: [&str; 17] = [
    "constants",
    "library",
    "log",
    "config",
    "config_handshake",
    "config_tls",
    "session",
    "refusal",
    "handshake",
    "frame",
    "stats",
    "pull_opening",
    "pull",
    "pull_frame",
    "pull_turn",
    "serving",
    "server",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cbindgen_config() -> cbindgen::Config {
    cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap()
}

fn generated(config: cbindgen::Config) -> String {
    let builder = cbindgen::Builder::new().with_config(config);
    let bindings = SOURCES
        .iter()
        .map(|name| root().join(format!("src/ffi/{name}.rs")))
        .fold(builder, |builder, source| builder.with_src(source))
        .generate()
        .unwrap();
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).unwrap()
}

fn header() -> String {
    generated(cbindgen_config())
}

/// The declarations alone, as LuaJIT's `ffi.cdef` reads them: it knows no preprocessor.
fn cdef() -> String {
    let declarations = generated(cbindgen::Config {
        header: None,
        autogen_warning: None,
        include_guard: None,
        sys_includes: Vec::new(),
        cpp_compat: false,
        documentation: false,
        ..cbindgen_config()
    });
    assert!(!declarations.contains('#') && !declarations.contains("]]"), "{declarations}");
    format!(
        "-- The declarations of include/wsproxy.h for ffi.cdef. Generated from src/ffi by cbindgen\n\
         -- (WSPROXY_UPDATE=1 cargo test --test header). Do not edit.\n\nreturn [[\n{}\n]]\n",
        declarations.trim()
    )
}

fn assert_committed(name: &str, new: &str) {
    let path = root().join(name);
    if std::env::var_os("WSPROXY_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, new).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = new.lines().zip(found.lines()).position(|(new, old)| new != old);
    assert!(
        new == found,
        "{name} is not what src/ffi says (from line {} on); \
         WSPROXY_UPDATE=1 cargo test --test header writes it",
        differs.unwrap_or(new.lines().count().min(found.lines().count())) + 1
    );
}

#[test]
fn the_committed_header_is_what_the_sources_say() {
    assert_committed("include/wsproxy.h", &header());
}

#[test]
fn the_committed_cdef_is_what_the_sources_say() {
    assert_committed("bindings/lua/wsproxy/cdef.lua", &cdef());
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
    for (number, line) in header().lines().enumerate() {
        assert!(line.chars().count() <= 120, "line {} is too long: {line}", number + 1);
    }
}
