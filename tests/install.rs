//! `make install`: what it puts where, and that C programs are built with it by pkg-config, shared and static.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod built;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use built::quick_start::{printed, relays_and_drains};
use built::{make, run};

/// An installation under a prefix that nobody has.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed");
        let _ = std::fs::remove_dir_all(&prefix); // of the last run
        run(&mut make(&["library"]));
        run(&mut make(&["install", &format!("PREFIX={}", prefix.display())]));
        prefix
    })
}

fn pkg_config(flags: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", installed().join("lib/pkgconfig"));
    let output = run(command.args(flags).arg("wsproxy"));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The quick start of the README, built with what pkg-config says.
fn build(name: &str, flags: &[String]) -> PathBuf {
    let folder = installed().join("built");
    std::fs::create_dir_all(&folder).unwrap();
    let (source, out) = (folder.join(format!("{name}.c")), folder.join(name));
    std::fs::write(&source, printed("c")).unwrap();
    run(Command::new("cc").args(["-std=c99", "-o"]).arg(&out).arg(&source).args(flags));
    out
}

fn needs(program: &Path) -> String {
    let output = run(Command::new("readelf").arg("--dynamic").arg(program));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_c_program_is_built_with_the_shared_library() {
    let program = build("shared", &pkg_config(&["--cflags", "--libs"]));
    assert!(needs(&program).contains("[libwsproxy.so.0]"));
    relays_and_drains(Command::new(program).env("LD_LIBRARY_PATH", installed().join("lib")));
}

#[test]
fn a_c_program_is_built_with_the_static_library() {
    let mut flags = pkg_config(&["--static", "--cflags", "--libs"]);
    let library = flags.iter_mut().find(|flag| *flag == "-lwsproxy").expect("-lwsproxy");
    *library = "-l:libwsproxy.a".to_owned();
    let program = build("static", &flags);
    assert!(!needs(&program).contains("libwsproxy"));
    relays_and_drains(&mut Command::new(program));
}

#[test]
fn the_version_is_that_of_the_crate() {
    assert_eq!(pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn packagers_install_below_destdir_and_uninstall_takes_all_away() {
    run(&mut make(&["library"]));
    let stage = tempfile::tempdir().unwrap();
    let stage_flag = format!("DESTDIR={}", stage.path().display());
    run(&mut make(&["install", &stage_flag, "PREFIX=/usr"]));
    let usr = stage.path().join("usr");
    let pc = std::fs::read_to_string(usr.join("lib/pkgconfig/wsproxy.pc")).unwrap();
    assert!(pc.contains("prefix=/usr\n") && !pc.contains(stage.path().to_str().unwrap()), "{pc}");

    let version = concat!("libwsproxy.so.", env!("CARGO_PKG_VERSION"));
    for (link, to) in [("libwsproxy.so", "libwsproxy.so.0"), ("libwsproxy.so.0", version)] {
        assert_eq!(std::fs::read_link(usr.join("lib").join(link)).unwrap(), Path::new(to));
    }
    assert_eq!(files(&usr).len(), 6, "{:?}", files(&usr));
    run(&mut make(&["uninstall", &stage_flag, "PREFIX=/usr"]));
    assert_eq!(files(&usr), Vec::<PathBuf>::new());
}
