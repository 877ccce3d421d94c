//! `libwsproxy.so` as the tests of the C line need it: built from this source, of the profile under test.

#![allow(dead_code)] // Not every test needs all of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The directory that has the library.
///
/// Cargo is asked to build it: a run of a few tests need not have linked the shared library.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(build)
}

/// The library itself.
pub(crate) fn file() -> PathBuf {
    directory().join("libwsproxy.so")
}

fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--lib", "--target-dir"]).arg(target);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    if profile == "release" {
        cargo.arg("--release");
    }
    run(&mut cargo);
    let directory = target.join(profile);
    assert!(directory.join("libwsproxy.so").is_file(), "no libwsproxy.so in {directory:?}");
    directory
}

/// A directory for the program of one test binary, where compiler and loader find the library by its names.
pub(crate) fn linkable(name: &str) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&out).unwrap();
    for name in ["libwsproxy.so", "libwsproxy.so.0"] {
        let link = out.join(name);
        let _ = std::fs::remove_file(&link); // it may not be there
        std::os::unix::fs::symlink(file(), link).unwrap();
    }
    out
}

/// Compiles and links `source` to `program`, in a directory of [`linkable`].
pub(crate) fn link(compiler: Command, source: &str, program: &Path) {
    link_all(compiler, &[source], program);
}

/// The same with several sources.
pub(crate) fn link_all(mut compiler: Command, sources: &[&str], program: &Path) {
    let (root, out) = (Path::new(env!("CARGO_MANIFEST_DIR")), program.parent().unwrap());
    compiler.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1", "-pthread"]);
    compiler.arg("-I").arg(root.join("include")).args(sources.iter().map(|name| root.join(name)));
    compiler.arg("-o").arg(program);
    compiler.arg("-L").arg(out).arg("-lwsproxy").arg(format!("-Wl,-rpath,{}", out.display()));
    run(&mut compiler);
}

/// `program` under valgrind: an error or a leak is status 99.
pub(crate) fn valgrind(program: &Path) -> Command {
    let version = Command::new("valgrind").arg("--version").output();
    assert!(version.is_ok(), "valgrind is missing: apt-get install valgrind");
    let suppressions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/valgrind.supp");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--fair-sched=yes"]);
    valgrind.arg("--errors-for-leak-kinds=definite,indirect,possible");
    valgrind.arg(format!("--suppressions={}", suppressions.display())).arg(program);
    valgrind
}

/// Runs `command`, which must end with status 0; gives back what it wrote to stdout.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}
