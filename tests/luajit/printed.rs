//! What bindings/lua prints for plain LuaJIT runs as it stands, its README names what there is, and its rockspec too.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::thread;

use rustix::process::{kill_process_group, Pid, Signal};

use super::options::names;
use super::readme::{block, blocks, text};
use super::script::{luajit, modules, printed_by, Script};
use super::support::peer::{Listener, Peer, BINARY, CONTINUATION, TEXT};

#[test]
fn every_block_of_lua_is_lua() {
    for block in blocks("lua") {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("block.lua");
        std::fs::write(&file, &block).unwrap();
        assert_eq!(printed_by(&format!("assert(loadfile({file:?}))")), "");
    }
}

#[test]
fn the_example_is_thirty_lines_and_relays_as_printed() {
    let file = modules().join("examples/proxy.lua");
    let source = std::fs::read_to_string(&file).unwrap();
    assert!(source.lines().count() <= 30, "{} lines", source.lines().count());
    let (_, code) = source.split_once("\n\n").expect("a comment, then the code");
    assert_eq!(block("lua", "setvbuf"), code, "README.md and examples/proxy.lua differ");

    let listener = Listener::bind();
    let mut command = luajit();
    command.arg(&file).args(["127.0.0.1:0", &listener.url()]);
    let script = Script::spawn(command);
    let addr = script.line().strip_prefix("listening on ").expect("where").parse().unwrap();
    for _ in 0..2 {
        let client = thread::spawn(move || Peer::connect(addr));
        let (mut upstream, mut client) = (listener.accept(), client.join().unwrap());
        client.send(true, BINARY, b"dropped");
        client.send(false, TEXT, b"whole ");
        client.send(true, CONTINUATION, b"text");
        upstream.expect(true, TEXT, b"whole text");
        upstream.send_close(4000, "bye");
        assert_eq!(client.hear_close(), (Some(4000), "bye".into()));
        drop(client);
        script.line_is("binary from the client: 7 bytes");
        script.line_is("text from the client: 10 bytes");
        script.line_is("close from the upstream: 3 bytes");
        drop(upstream);
        assert!(script.complaint().starts_with("client: "));
    }
}

#[test]
fn the_example_ends_at_an_interrupt_in_the_middle_of_a_session() {
    let listener = Listener::bind();
    let mut command = luajit();
    command.arg(modules().join("examples/proxy.lua")).args(["127.0.0.1:0", &listener.url()]);
    let mut script = Script::spawn(command);
    let addr = script.line().strip_prefix("listening on ").expect("where").parse().unwrap();
    let client = thread::spawn(move || Peer::connect(addr));
    let mut upstream = listener.accept();
    let mut client = client.join().unwrap();
    script.tell(Signal::INT);
    let (status, complaints) = script.ended();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{complaints:?}");
    assert_eq!(upstream.try_hear(), None);
    assert_eq!(client.try_hear(), None);
}

/// Ends the processes that the first one has started too.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(self.0, Signal::KILL); // they may have ended
    }
}

#[test]
fn the_program_that_forks_serves_several_at_once_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fork.lua");
    std::fs::write(&file, block("lua", "fork")).unwrap();
    let listener = Listener::bind();
    let mut command = luajit();
    command.arg(file).args(["127.0.0.1:0", &listener.url()]).process_group(0);
    let script = Script::spawn(command);
    let _group = Group(Pid::from_raw(script.id().try_into().unwrap()).unwrap());
    let addr = script.line().strip_prefix("listening on ").expect("where").parse().unwrap();
    let mut open: Vec<(Peer, Peer)> = (0..8)
        .map(|_| {
            let client = thread::spawn(move || Peer::connect(addr));
            (listener.accept(), client.join().unwrap())
        })
        .collect();
    for (upstream, client) in &mut open {
        client.send_text("x");
        upstream.expect(true, TEXT, b"x");
    }
}

/// The first cells of the tables whose first column is called this.
fn first_cells(column: &str) -> Vec<String> {
    let text = text();
    let head = format!("\n| {column} |");
    let tables = text.split(&head).skip(1).flat_map(|rest| {
        rest.lines().skip(2).take_while(|line| line.starts_with('|')).collect::<Vec<_>>()
    });
    tables.map(|line| line.split('|').nth(1).unwrap().trim().to_owned()).collect()
}

#[test]
fn the_readme_has_every_option_and_no_other() {
    let told: BTreeSet<String> =
        first_cells("option").iter().map(|cell| cell.trim_matches('`').to_owned()).collect();
    let mut known = names();
    // What is for both sides stands for each of them.
    for name in known.clone() {
        for side in ["client_", "upstream_"] {
            if name.strip_prefix(side).is_some_and(|both| known.contains(both)) {
                known.remove(&name);
            }
        }
    }
    known.extend(["on_frame", "ssl_verify", "recv_timeout"].map(str::to_owned));
    assert_eq!(told, known);
}

/// The methods that a module has, as `object` in the README.
fn methods(object: &str, of: &str) -> BTreeSet<String> {
    let printed = printed_by(&format!(
        "local wsproxy = require 'wsproxy'
        for name, value in pairs({of}) do
            if type(value) == 'function' then print('{object}' .. name) end
        end"
    ));
    printed.lines().map(str::to_owned).collect()
}

#[test]
fn the_readme_has_every_function_of_the_module_and_no_other() {
    let cells = first_cells("call").join(" ");
    let told: BTreeSet<String> = cells
        .split('`')
        .filter_map(|call| call.split_once('(').map(|(name, _)| name.to_owned()))
        .filter(|name| !name.is_empty())
        .collect();
    let mut known = methods("proxy:", "getmetatable(wsproxy.new()).__index");
    known.retain(|name| !["proxy:new", "proxy:config", "proxy:listen"].contains(&name.as_str()));
    known.extend(["wsproxy.new", "wsproxy.config", "wsproxy.listen"].map(str::to_owned));
    let listener = "getmetatable(assert(wsproxy.listen('127.0.0.1:0'))).__index";
    known.extend(methods("listener:", listener));
    known.remove("listener:new");
    assert_eq!(told, known);
}

/// Every module under `folder`, as `name path`.
fn lua_files(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files = BTreeSet::new();
    for path in entries {
        let relative = path.strip_prefix(modules()).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && relative != "examples" {
            files.extend(lua_files(&path));
        } else if let Some(name) = relative.strip_suffix(".lua") {
            files.insert(format!("{} {relative}", name.replace('/', ".")));
        }
    }
    files
}

#[test]
fn the_rockspec_lists_every_module_and_no_other() {
    let version = env!("CARGO_PKG_VERSION");
    let rockspec = modules().join(format!("wsproxy-{version}-1.rockspec"));
    let printed = printed_by(&format!(
        "local spec = {{}}
        setfenv(assert(loadfile({rockspec:?})), spec)()
        print(spec.package, spec.version, spec.rockspec_format, spec.build.type, spec.description.license)
        assert(spec.source.url and spec.source.dir and spec.dependencies[1])
        for name, path in pairs(spec.build.modules) do print(name .. ' ' .. path) end"
    ));
    let (first, listed) = printed.split_once('\n').unwrap();
    assert_eq!(first, format!("wsproxy\t{version}-1\t3.0\tbuiltin\tApache-2.0"));
    let listed: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
    assert_eq!(listed, lua_files(&modules()));
}
