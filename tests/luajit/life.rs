//! The life of a process: thousands of sessions, one inside another, collections, forks.

use std::fs;
use std::net::SocketAddr;
use std::thread;

use super::scene::{meet, Scene};
use super::script::{luajit, Script};
use super::support::peer::{Listener, Peer, TEXT};
use super::support::wait_until;

/// One short session: a message each way, a close.
pub fn talk(addr: SocketAddr, listener: &Listener) {
    let client = thread::spawn(move || Peer::connect(addr));
    let mut upstream = listener.accept();
    let mut client = client.join().unwrap();
    client.send_text("up");
    upstream.expect(true, TEXT, b"up");
    upstream.send_text("down");
    client.expect(true, TEXT, b"down");
    client.send_close(1000, "");
    upstream.hear_close();
    upstream.send_close(1000, "");
    client.hear_close();
}

fn descriptors(script: &Script) -> usize {
    fs::read_dir(format!("/proc/{}/fd", script.id())).unwrap().count()
}

/// KiB that no file backs.
fn memory(script: &Script) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", script.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn threads(script: &Script) -> usize {
    fs::read_dir(format!("/proc/{}/task", script.id())).unwrap().count()
}

/// More than LuaJIT has places for callbacks.
#[test]
fn two_thousand_sessions_in_one_process_leave_nothing_behind() {
    let listener = Listener::bind();
    let script = Script::start(
        "for n = 1, 2000 do
            session({ on_frame = function(_, _, _, payload, _, code) return payload, code end })
        end
        collectgarbage()
        report('done')
        accept()",
        &listener.url(),
    );
    let addr = script.addr();
    let session = || {
        talk(addr, &listener);
        script.says("execute\ttrue");
    };
    (0..200).for_each(|_| session());
    let (fds, kib) = (descriptors(&script), memory(&script));
    (0..1800).for_each(|_| session());
    script.says("done");
    // A client that the collector has yet to close is a descriptor of one session, not of 1,800.
    assert!(descriptors(&script) <= fds + 2, "{} descriptors, {fds} before", descriptors(&script));
    assert!(memory(&script) < kib + 2048, "{} KiB, {kib} before", memory(&script));
    assert_eq!(threads(&script), 1);
}

#[test]
fn clients_and_sessions_that_are_forgotten_are_closed_by_the_collector() {
    let listener = Listener::bind();
    let script = Script::start(
        "for n = 1, 50 do
            local client, proxy = accept(), wsproxy.new()
            assert(proxy:connect(client, arg[1]))
        end
        collectgarbage() collectgarbage()
        report('collected')
        accept()",
        &listener.url(),
    );
    let addr = script.addr();
    let mut peers = Vec::new();
    for _ in 0..50 {
        let client = thread::spawn(move || Peer::connect(addr));
        peers.push((listener.accept(), client.join().unwrap()));
    }
    script.says("collected");
    for (upstream, client) in &mut peers {
        assert_eq!(upstream.hear_close().0, Some(1001));
        upstream.hear_end();
        assert_eq!(client.hear_close().0, Some(1011));
        client.hear_end();
    }
    // The last session may still be in a register.
    wait_until("descriptors are closed", || descriptors(&script) < 12);
}

#[test]
fn a_hook_may_run_sessions_of_its_own() {
    const DEPTH: usize = 8;
    let listener = Listener::bind();
    let script = Script::start(
        &format!(
            "local depth = 0
            local function nested(proxy, role, typ, payload, last, code)
                if typ == 'text' and role == 'client' and depth < {DEPTH} then
                    depth = depth + 1
                    report('inside', depth)
                    session({{ on_frame = nested }})
                    depth = depth - 1
                end
                return payload, code
            end
            session({{ on_frame = nested }})"
        ),
        &listener.url(),
    );
    let addr = script.addr();
    let mut open = Vec::new();
    for depth in 0..=DEPTH {
        let client = thread::spawn(move || Peer::connect(addr));
        let upstream = listener.accept();
        let mut client = client.join().unwrap();
        client.send_text("go");
        if depth < DEPTH {
            script.says(&format!("inside\t{}", depth + 1));
        }
        open.push((client, upstream));
    }
    for (mut client, mut upstream) in open.into_iter().rev() {
        upstream.expect(true, TEXT, b"go");
        client.send_close(1000, "");
        upstream.hear_close();
        upstream.send_close(1000, "");
        client.hear_close();
        drop((client, upstream));
        script.says("execute\ttrue");
    }
}

#[test]
fn an_error_inside_a_session_inside_a_hook_ends_both_in_their_turn() {
    let listener = Listener::bind();
    let script = Script::start(
        "session({ on_frame = function(outer, _, typ, payload, _, code)
            if typ == 'text' then
                session({ on_frame = function() error('inner') end })
                error('outer')
            end
            return payload, code
        end })",
        &listener.url(),
    );
    let addr = script.addr();
    let call = || {
        let client = thread::spawn(move || Peer::connect(addr));
        let upstream = listener.accept();
        let mut client = client.join().unwrap();
        client.send_text("x");
        (client, upstream)
    };
    let first = call();
    let second = call();
    for ((mut client, mut upstream), words) in [(second, "inner"), (first, "outer")] {
        assert_eq!(client.hear_close().0, Some(1011));
        assert_eq!(upstream.hear_close().0, Some(1011));
        drop((client, upstream));
        let report = script.report("execute");
        assert!(report[1].ends_with(words), "{report:?}");
    }
}

#[test]
fn the_hook_may_collect_garbage_and_run_coroutines() {
    let mut scene = Scene::running(
        "collectgarbage('setpause', 1)
        collectgarbage('setstepmul', 100000)
        local ffi = require 'ffi'
        session({ on_frame = function(_, _, typ, payload, _, code)
            collectgarbage()
            -- One that ends, and one that is left behind: both have called C last.
            local one = coroutine.wrap(function() return ffi.string(ffi.new('char[4]', payload:sub(1, 3))) end)
            assert(one() == payload:sub(1, 3))
            local two = coroutine.wrap(function() ffi.new('int[1]') coroutine.yield(1) end)
            assert(two() == 1)
            one, two = nil, nil
            collectgarbage()
            local parts = {}
            for n = 1, #payload do parts[n] = payload:sub(n, n) .. '' end
            return table.concat(parts), code
        end })",
    );
    for n in 0..300 {
        let text = format!("{n} {}", "x".repeat(n));
        scene.client.send_text(&text);
        scene.upstream.expect(true, TEXT, text.as_bytes());
    }
    scene.part();
}

#[test]
fn execute_may_run_inside_a_coroutine() {
    let mut scene = Scene::running(
        "local opts = { on_frame = function(_, _, _, payload, _, code) return payload, code end }
        coroutine.wrap(function() session(opts) end)()",
    );
    scene.client.send_text("x");
    scene.upstream.expect(true, TEXT, b"x");
    scene.part();
}

#[test]
fn a_stack_that_is_all_but_full_is_an_error_and_not_the_end() {
    let mut scene = Scene::running(
        "local client, proxy = accept(), wsproxy.new({ on_frame = function(_, _, _, payload, _, code)
            return payload, code
        end })
        assert(proxy:connect(client, arg[1]))
        client:close()
        local ended
        local function deep()
            local went = pcall(deep)
            if not went and not ended then
                ended = { proxy:execute() }
            end
        end
        deep()
        report('execute', unpack(ended))",
    );
    scene.client.send_text("x");
    assert_eq!(scene.client.hear_close().0, Some(1011));
    drop((scene.client, scene.upstream));
    let report = scene.script.report("execute");
    assert!(report[0] == "nil" && report[1].contains("stack overflow"), "{report:?}");
    scene.script.has_to_end();
}

#[test]
fn nothing_is_left_of_a_process_that_exits_in_the_middle_of_a_session() {
    let listener = Listener::bind();
    let mut script = Script::start(
        "session({ on_frame = function() report('exit') os.exit(7) end })",
        &listener.url(),
    );
    let (mut client, mut upstream) = meet(&script, &listener);
    client.send_text("x");
    script.says("exit");
    assert_eq!(script.ended().0.code(), Some(7));
    assert_eq!(upstream.try_hear(), None);
    assert_eq!(client.try_hear(), None);
}

#[test]
fn workers_forked_before_their_sessions_share_a_listener() {
    let listener = Listener::bind();
    let mut command = luajit();
    let scene = include_str!("scene.lua");
    let code = "
        local ffi = require 'ffi'
        ffi.cdef 'int fork(void); int wait(int *status);'
        local listener = assert(wsproxy.listen('127.0.0.1:0'))
        for n = 1, 3 do
            if ffi.C.fork() == 0 then
                local client = assert(listener:accept())
                local proxy = wsproxy.new({ on_frame = function(_, _, _, payload, _, code) return payload, code end })
                assert(proxy:connect(client, arg[1]))
                client:close()
                os.exit(proxy:execute() and 0 or 1)
            end
        end
        report('listening', listener:address())
        local status = ffi.new('int[1]')
        for n = 1, 3 do
            ffi.C.wait(status)
            report('worker', status[0])
        end";
    command.arg("-e").arg(format!("arg = {{ {:?} }}\n{scene}\n{code}", listener.url()));
    let mut script = Script::spawn(command);
    let addr = script.addr();
    // All three are open at once.
    let mut open: Vec<_> = (0..3)
        .map(|_| {
            let client = thread::spawn(move || Peer::connect(addr));
            (listener.accept(), client.join().unwrap())
        })
        .collect();
    for (upstream, client) in &mut open {
        client.send_text("x");
        upstream.expect(true, TEXT, b"x");
        client.send_close(1000, "");
        upstream.hear_close();
        upstream.send_close(1000, "");
        client.hear_close();
    }
    drop(open);
    for _ in 0..3 {
        script.says("worker\t0");
    }
    script.has_to_end();
}
