//! `require "wsproxy"`: which library it takes, and what it says of one that it cannot take.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::script::{luajit, printed_by, run_with};
use super::shared_library;

const LOAD: &str = "print(pcall(require, 'wsproxy'))";

/// A library of another make, in a folder of its own.
fn library(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (code, library) = (folder.join("other.c"), folder.join(name));
    std::fs::write(&code, source).unwrap();
    let mut cc = Command::new("cc");
    shared_library::run(cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&code));
    library
}

fn loading(prepare: impl FnOnce(&mut Command)) -> String {
    let mut command = luajit();
    prepare(&mut command);
    let (printed, complaints, status) = run_with(command, LOAD);
    assert!(status.success() && complaints.is_empty(), "{status}: {complaints}");
    printed
}

#[test]
fn a_library_of_another_abi_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let other = library(folder.path(), "libwsproxy.so.0", "int wsproxy_abi(void) { return 7; }");
    let said = loading(|command| {
        command.env("WSPROXY_LIB", &other);
    });
    let words = format!("false\t{} has ABI 7, and this module is for ABI 0", other.display());
    assert!(said.starts_with(&words), "{said}");
}

#[test]
fn a_library_that_is_another_one_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let other = library(folder.path(), "libother.so", "int other(void) { return 0; }");
    let said = loading(|command| {
        command.env("WSPROXY_LIB", &other);
    });
    assert!(said.starts_with(&format!("false\t{} is no libwsproxy: ", other.display())), "{said}");
}

#[test]
fn a_library_that_is_not_there_is_told_with_the_name_of_the_variable() {
    for name in ["/nowhere/libwsproxy.so", "/", "/etc/passwd"] {
        let said = loading(|command| {
            command.env("WSPROXY_LIB", name);
        });
        assert!(
            said.starts_with("false\tlibwsproxy was not found; WSPROXY_LIB may name the file:\n\t"),
            "{said}"
        );
        assert!(said.contains(name), "{said}");
        assert_eq!(said.lines().count(), 2, "others were tried: {said}");
    }
}

/// The file of the library that is loaded without WSPROXY_LIB.
fn found(name: &str, value: &std::ffi::OsStr) -> String {
    let mut command = luajit();
    command.env_remove("WSPROXY_LIB").env_remove("LD_LIBRARY_PATH").env(name, value);
    let code = "require 'wsproxy'
        for line in io.lines('/proc/self/maps') do
            local file = line:match('(/%S*libwsproxy%S*)$')
            if file then print(file) break end
        end";
    let (printed, complaints, status) = run_with(command, code);
    assert!(status.success(), "{status}: {complaints}");
    printed.trim_end().to_owned()
}

#[test]
fn without_the_variable_the_loaders_path_counts_or_package_cpath() {
    for name in ["libwsproxy.so.0", "libwsproxy.so"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::copy(shared_library::file(), &file).unwrap();
        let file = file.canonicalize().unwrap().display().to_string();
        assert_eq!(found("LD_LIBRARY_PATH", folder.path().as_os_str()), file);
        let template = format!("{}/?.so;;", folder.path().display());
        assert_eq!(found("LUA_CPATH", template.as_ref()), file);
    }
}

#[test]
fn the_modules_may_be_loaded_again() {
    let printed = printed_by(
        "for n = 1, 3 do
            for name in pairs(package.loaded) do
                if name:find('^wsproxy') then package.loaded[name] = nil end
            end
            collectgarbage() collectgarbage()
            local wsproxy = require 'wsproxy'
            local listener = assert(wsproxy.listen('127.0.0.1:0'))
            assert(wsproxy.new({ idle_timeout = 1 }))
        end
        print('loaded')",
    );
    assert_eq!(printed, "loaded\n");
}

#[test]
fn sessions_outlive_the_modules() {
    let printed = printed_by(
        "local proxy = require 'wsproxy'.new()
        for name in pairs(package.loaded) do
            if name:find('^wsproxy') then package.loaded[name] = nil end
        end
        collectgarbage() collectgarbage()
        print(proxy:send('client', 'text', 'x'))
        proxy = nil
        collectgarbage() collectgarbage()
        print('collected')",
    );
    assert!(printed.starts_with("nil\thost: ") && printed.ends_with("collected\n"), "{printed}");
}

#[test]
fn a_failed_load_may_be_repeated() {
    let printed = printed_by(&format!(
        "local ffi = require 'ffi'
        ffi.cdef 'int setenv(const char *name, const char *value, int overwrite);'
        ffi.C.setenv('WSPROXY_LIB', '/nowhere', 1)
        print((pcall(require, 'wsproxy')))
        package.loaded['wsproxy'], package.loaded['wsproxy.library'] = nil, nil
        ffi.C.setenv('WSPROXY_LIB', {:?}, 1)
        print((pcall(require, 'wsproxy')))
        print(require('wsproxy')._VERSION)",
        shared_library::file()
    ));
    assert_eq!(printed, format!("false\ntrue\n{}\n", env!("CARGO_PKG_VERSION")));
}
