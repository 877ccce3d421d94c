//! The rules of the rooms, read off the sources: who imports whom, where `unsafe` and the clock may be, how long a
//! file and a function may get, and that the README's map is true.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod source;

use std::path::{Path, PathBuf};

use source::Source;

const MOST_LINES_OF_A_FILE: usize = 350;
const MOST_LINES_OF_A_FUNCTION: usize = 60;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    assert!(files.len() > 30, "only {} files under src", files.len());
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        Source::new(name, &std::fs::read_to_string(path).unwrap())
    };
    files.iter().map(read).collect()
}

/// Collects what `rule` finds wrong in any file.
fn nothing_breaks(rule: impl Fn(&Source) -> Vec<String>) {
    let found: Vec<String> = sources()
        .iter()
        .flat_map(|source| rule(source).into_iter().map(|what| format!("{}: {what}", source.name)))
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The rooms of the crate that a room may name, its own apart; `None` where only `ffi` is out of bounds.
fn may_import(room: &str) -> Option<&'static [&'static str]> {
    match room {
        "error" => Some(&[]),
        "ws" | "io" => Some(&["error"]),
        "config" => Some(&["error", "ws", "io"]),
        _ => None,
    }
}

fn broken_imports(source: &Source) -> Vec<String> {
    let room = source.room();
    let is_wrong = |path: &&Vec<String>| {
        let [first, second, ..] = &path[..] else { return false };
        if first != "crate" || second == room {
            return false;
        }
        match may_import(room) {
            Some(allowed) => !allowed.contains(&second.as_str()),
            None => second == "ffi" && room != "ffi" && room != "lib",
        }
    };
    source.paths.iter().filter(is_wrong).map(|path| path.join("::")).collect()
}

/// `ws` turns bytes into bytes: of the standard library's outer world it has nothing.
fn outer_world(source: &Source) -> Vec<String> {
    const OUTER: [&str; 8] = ["net", "io", "thread", "time", "fs", "env", "process", "os"];
    let is_wrong = |path: &&Vec<String>| {
        let is_std = path.first().is_some_and(|first| first == "std");
        let is_outer = path.get(1).is_some_and(|second| OUTER.contains(&second.as_str()));
        source.room() == "ws" && is_std && is_outer
    };
    source.paths.iter().filter(is_wrong).map(|path| path.join("::")).collect()
}

fn clocks(source: &Source) -> Vec<String> {
    let reads_the_clock = source.has_word("Instant") || source.has_word("SystemTime");
    let wrong = reads_the_clock && source.room() != "session";
    wrong.then(|| "reads a clock".to_owned()).into_iter().collect()
}

fn unsafe_code(source: &Source) -> Vec<String> {
    let allowed = source.room() == "ffi" || source.name == "src/io/sys.rs";
    let wrong = source.has_word("unsafe") && !allowed;
    wrong.then(|| "has unsafe code".to_owned()).into_iter().collect()
}

fn long_pieces(source: &Source) -> Vec<String> {
    let lines = source.code_lines();
    let file = (lines > MOST_LINES_OF_A_FILE).then(|| format!("{lines} lines of code"));
    let functions = source.functions().into_iter();
    let long = functions
        .filter(|(_, lines)| *lines > MOST_LINES_OF_A_FUNCTION)
        .map(|(name, lines)| format!("function {name} has {lines} lines"));
    file.into_iter().chain(long).collect()
}

fn bad_beginnings(source: &Source) -> Vec<String> {
    let says_what_it_is = source.text.starts_with("//! ");
    (!says_what_it_is).then(|| "does not open with //!".to_owned()).into_iter().collect()
}

fn bad_names(source: &Source) -> Vec<String> {
    const SAY_NOTHING: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];
    let parts = source.name.trim_end_matches(".rs").split('/');
    parts.filter(|part| SAY_NOTHING.contains(part)).map(|part| format!("is named {part}")).collect()
}

/// The rows of the README's table under the heading with "where is" in it.
fn map(readme: &str) -> Vec<String> {
    let heading = |line: &&str| line.starts_with('#') && line.to_lowercase().contains("where is");
    let after = readme.lines().skip_while(|line| !heading(line)).skip(1);
    after
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.trim_start().starts_with('|'))
        .map(str::to_owned)
        .collect()
}

/// What a row of the map names: everything in backticks or behind a link that looks like a file or a folder.
fn named_files(row: &str) -> Vec<String> {
    let quoted = row.split('`').skip(1).step_by(2);
    let linked = row.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    quoted
        .chain(linked)
        .filter(|word| !word.contains("://") && !word.contains(' ') && !word.contains("::"))
        .filter(|word| word.contains('/') || word.ends_with(".rs") || word.ends_with(".h"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_room_imports_what_it_must_not_know() {
    nothing_breaks(broken_imports);
}

#[test]
fn the_engine_touches_no_sockets_threads_files_or_clock() {
    nothing_breaks(outer_world);
}

#[test]
fn only_sessions_read_the_clock() {
    nothing_breaks(clocks);
}

#[test]
fn unsafe_code_is_only_in_the_c_line_and_in_one_file_for_descriptors() {
    nothing_breaks(unsafe_code);
}

#[test]
fn files_and_functions_are_short() {
    nothing_breaks(long_pieces);
}

#[test]
fn every_file_says_what_it_is_and_has_a_name_that_says_something() {
    nothing_breaks(bad_beginnings);
    nothing_breaks(bad_names);
}

#[test]
fn the_map_in_the_readme_names_files_that_exist() {
    let path = root().join("README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md");
    let rows = map(&readme);
    let files: Vec<String> = rows.iter().flat_map(|row| named_files(row)).collect();
    assert!(files.len() >= 10, "the table under \"where is …?\" names only {files:?}");
    let missing: Vec<&String> = files.iter().filter(|file| !root().join(file).exists()).collect();
    assert!(missing.is_empty(), "README.md names {missing:?}, which are not there");
}

#[test]
fn breaches_of_every_rule_are_found() {
    let ws = |text: &str| Source::new("src/ws/handshake/x.rs", text);
    assert_eq!(broken_imports(&ws("use crate::{error::Error, io::{Socket, Wire}};")).len(), 2);
    assert_eq!(broken_imports(&ws("use super::super::super::session::Proxy;")).len(), 1);
    assert_eq!(broken_imports(&ws("fn f() { crate::config::Config::new() }")).len(), 1);
    assert!(broken_imports(&ws("use super::super::frame::Kind; // crate::io\n")).is_empty());
    assert_eq!(broken_imports(&Source::new("src/server.rs", "use crate::ffi::guard;")).len(), 1);
    assert_eq!(outer_world(&ws("use std::{fmt, net::TcpStream, time};")).len(), 2);
    assert_eq!(outer_world(&ws("fn f(r: &mut impl std::io::Read) {}")).len(), 1);
    assert_eq!(outer_world(&ws("use std::io;")).len(), 1);
    assert_eq!(clocks(&Source::new("src/io/x.rs", "let now = Instant::now();")).len(), 1);
    assert!(clocks(&ws("#[cfg(test)]\nmod tests { use std::time::Instant; }")).is_empty());
    assert_eq!(unsafe_code(&ws("fn f() { unsafe { g() } }")).len(), 1);
    assert!(unsafe_code(&ws("#![forbid(unsafe_code)] // unsafe\nlet s = \"unsafe\";")).is_empty());
    assert_eq!(
        bad_beginnings(&ws("use x;")).len() + bad_names(&Source::new("src/misc.rs", "")).len(),
        2
    );
}

#[test]
fn lengths_are_counted_without_comments_blank_lines_and_tests() {
    let body = "    g();\n\n    // why\n".repeat(61);
    let text = format!("//! x\n\nfn long() {{\n{body}}}\n#[cfg(test)]\nmod tests {{\n{body}}}\n");
    let source = Source::new("src/x.rs", &text);
    assert_eq!((source.code_lines(), source.functions()), (63, vec![("long".to_owned(), 61)]));
    assert_eq!(long_pieces(&source), ["function long has 61 lines"]);
}

#[test]
fn the_map_is_read_from_its_own_section_only() {
    let readme = "# A\n| `src/a.rs` |\n## Where is ...?\n| frames | [decode](src/ws/decode.rs), `a::b` |\n## C\n| `b/c` |";
    let files: Vec<String> = map(readme).iter().flat_map(|row| named_files(row)).collect();
    assert_eq!(files, ["src/ws/decode.rs"]);
}
