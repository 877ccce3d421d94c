//! Programs that tests run: the C host and the examples, built from this source before the first use.
//!
//! Rule: what cannot be built is a failure with the builder's words; nothing old is ever tested.
#![allow(dead_code)] // each test crate uses its part

pub mod quick_start;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `make` in the checkout, as from a terminal: what an outer make handed down is left out.
pub fn make(arguments: &[&str]) -> Command {
    let mut make = Command::new("make");
    make.current_dir(root()).arg("--no-print-directory").args(arguments);
    for inherited in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"] {
        make.env_remove(inherited);
    }
    make
}

/// Runs `command`, which must end with status 0.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    output
}

/// The C host with the library's server, `target/c/proxy`.
pub fn c_host() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| c_program("proxy"))
}

/// The C host with an event loop, `target/c/proxy-epoll`.
pub fn c_event_loop() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| c_program("proxy-epoll"))
}

/// Both are made at once, and by one at a time.
fn c_program(name: &str) -> PathBuf {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        run(&mut make(&["examples"]));
    });
    let program = root().join("target/c").join(name);
    assert!(program.is_file(), "`make examples` made no {}", program.display());
    program
}

/// An example in Rust, of the profile under test.
pub fn example(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["build", "--quiet", "--example", name]);
    cargo.arg("--target-dir").arg(target);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    if profile == "release" {
        cargo.arg("--release");
    }
    run(&mut cargo);
    target.join(profile).join("examples").join(name)
}
