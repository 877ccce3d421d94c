//! The C line, from C: the header as a C and a C++ compiler see it, and the programs of `tests/c`, as they are and
//! under valgrind.
//!
//! Rule: a tool that is missing is a failure that says what to install, never a skipped test.
#![allow(clippy::unwrap_used)] // A test ends where it cannot go on.

mod shared_library;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use shared_library::{link, linkable, run, valgrind};

fn out() -> &'static Path {
    static OUT: OnceLock<PathBuf> = OnceLock::new();
    OUT.get_or_init(|| linkable("c_api"))
}

fn program(name: &str) {
    program_with(name, &[]);
}

fn program_with(name: &str, arguments: &[&Path]) {
    let program = out().join(name);
    let mut compiler = Command::new("cc");
    compiler.arg("-std=gnu11").arg("-I").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c"));
    link(compiler, &format!("tests/c/{name}.c"), &program);
    run(Command::new(&program).args(arguments));
    run(valgrind(&program).args(arguments));
}

#[test]
fn the_header_is_good_c99_c11_and_cxx17() {
    for (name, language, standard) in
        [("cc", "c", "c99"), ("cc", "c", "c11"), ("c++", "c++", "c++17")]
    {
        let program = out().join(format!("header_{standard}"));
        let mut compiler = Command::new(name);
        compiler.arg(format!("-std={standard}")).args(["-x", language]);
        link(compiler, "tests/c/header.c", &program);
        run(&mut Command::new(program));
    }
}

#[test]
fn bad_arguments_are_errors_with_words() {
    program("arguments");
}

#[test]
fn calls_out_of_order_are_errors_with_words_and_change_nothing() {
    program("order");
}

#[test]
fn hooks_in_c_change_what_may_be_changed_and_nothing_else() {
    program("changes");
}

#[test]
fn hooks_in_c_end_stop_send_free_and_fail() {
    program("hooks");
}

#[test]
fn sessions_in_c_begin_however_the_client_is_handed_over() {
    program("handover");
}

#[test]
fn sessions_in_c_end_cleanly_however_they_end() {
    program("sessions");
}

#[test]
fn handshake_hooks_in_c_see_change_refuse_and_fail() {
    program("handshakes");
}

#[test]
fn servers_in_c_serve_count_and_drain() {
    program("server");
}

#[test]
fn servers_in_c_end_however_they_are_ended() {
    program("server_ends");
}

#[test]
fn processes_that_fork_serve_and_so_do_their_children() {
    program("fork");
}

#[test]
fn what_an_event_loop_in_c_must_not_do_is_an_error() {
    program("pull_arguments");
}

#[test]
fn event_loops_in_c_drive_sessions_by_pull() {
    program("pull_sessions");
}

#[test]
fn event_loops_in_c_see_sessions_end_however_they_end() {
    program("pull_ends");
}

#[test]
fn certificates_in_c_are_taken_or_refused_with_words() {
    let folder = out().join("certificates");
    std::fs::create_dir_all(&folder).unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = [
        ("cert.pem", own.cert.pem()),
        ("key.pem", own.signing_key.serialize_pem()),
        ("other.pem", rcgen::KeyPair::generate().unwrap().serialize_pem()),
        ("no.pem", "nothing of the kind\n".to_owned()),
    ];
    for (name, content) in files {
        std::fs::write(folder.join(name), content).unwrap();
    }
    program_with("tls", &[&folder]);
}

#[test]
fn the_log_callback_gets_lines_without_secrets() {
    program("logs");
}
