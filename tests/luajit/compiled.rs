//! Code that LuaJIT compiles: loops around sessions, and hooks.

use std::process::ExitStatus;
use std::thread;

use super::life::talk;
use super::scene::{meet, Scene};
use super::script::Script;
use super::support::peer::{Listener, Peer, TEXT};

/// A loop that executes sessions which call nobody back, as they are not connected, until LuaJIT has compiled it; and
/// then one with a frame. Once the symbol is known nothing in it is in LuaJIT's way.
const COMPILED: &str = "
    local C, hook = require 'wsproxy.library', require 'wsproxy.hook'
    local proxy = wsproxy.new({ on_frame = function(_, _, _, payload, _, code) return payload, code end })
    local client = accept()
    assert(proxy:connect(client, arg[1]))
    client:close()
    local callback, idle, sessions = hook.callback(proxy), C.wsproxy_new(nil), {}
    for n = 1, 10000 do sessions[n] = idle end
    sessions[#sessions + 1] = proxy.session
    assert(hook.execute(idle, callback) == C.WSPROXY_ERR_STATE)
    report('begins')
    for n = 1, #sessions do hook.execute(sessions[n], callback) end
    report('done')
";

/// How the script has ended: by itself, or by LuaJIT's panic.
fn compiled(before: &str) -> (ExitStatus, Vec<String>) {
    let listener = Listener::bind();
    let hot = "jit.opt.start('hotloop=1', 'hotexit=1')";
    let mut script = Script::start(&format!("{hot}\n{before}\n{COMPILED}"), &listener.url());
    let (mut client, upstream) = meet(&script, &listener);
    script.says("begins");
    client.send_text("x");
    drop((client, upstream));
    script.ended()
}

#[test]
fn a_loop_that_luajit_compiles_may_execute_sessions() {
    let (status, complaints) = compiled("");
    assert!(status.success() && complaints.is_empty(), "{status}: {complaints:?}");
}

/// The test above can fail: without `jit.off` LuaJIT compiles the call and ends the process at the first frame.
#[test]
fn without_jit_off_that_loop_would_end_the_process() {
    let again = "
        for name in pairs(package.loaded) do
            if name:find('^wsproxy') then package.loaded[name] = nil end
        end
        jit.off = function() end
        wsproxy = require 'wsproxy'";
    let (status, complaints) = compiled(again);
    assert!(!status.success(), "LuaJIT has learned it: jit.off can go");
    assert!(complaints.iter().any(|line| line.contains("bad callback")), "{complaints:?}");
}

#[test]
fn sessions_without_a_frame_and_then_one_with_some_go_well_in_a_hot_loop() {
    let listener = Listener::bind();
    let mut script = Script::start(
        "jit.opt.start('hotloop=1', 'hotexit=1')
        local opts = { on_frame = function(_, _, _, payload, _, code) return payload, code end }
        for n = 1, 101 do session(opts) end",
        &listener.url(),
    );
    let addr = script.addr();
    for _ in 0..100 {
        let client = thread::spawn(move || Peer::connect(addr));
        drop((listener.accept(), client.join().unwrap()));
        assert_eq!(script.report("execute")[0], "nil");
    }
    talk(addr, &listener);
    script.says("execute\ttrue");
    script.has_to_end();
}

#[test]
fn hooks_are_compiled_and_stay_right() {
    let mut scene = Scene::running(
        "jit.opt.start('hotloop=1', 'hotexit=1', 'minstitch=1')
        session({ on_frame = function(proxy, role, typ, payload, _, code)
            local sum = 0
            for n = 1, #payload do sum = (sum + payload:byte(n)) % 256 end
            if typ == 'text' and sum % 7 == 0 then assert(proxy:send('client', 'ping', tostring(sum))) end
            proxy:stats()
            return payload, code
        end })",
    );
    let mut answers = scene.client.twin();
    for n in 0..500_usize {
        let text = format!("{n}");
        let sum = text.bytes().map(usize::from).sum::<usize>() % 256;
        scene.client.send_text(&text);
        scene.upstream.expect(true, TEXT, text.as_bytes());
        if sum % 7 == 0 {
            answers.expect(true, 9, sum.to_string().as_bytes());
        }
    }
    scene.part();
}
