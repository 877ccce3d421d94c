//! A session in plain LuaJIT between two raw peers.

use std::io::Read;
use std::thread;

use super::script::Script;
use super::support::peer::{Listener, Peer};

pub struct Scene {
    pub client: Peer,
    pub upstream: Peer,
    pub script: Script,
}

/// What most hooks of tests are: the body of `on_frame`.
pub fn hook(body: &str) -> String {
    format!("{{ on_frame = function(proxy, role, typ, payload, last, code) {body} end }}")
}

impl Scene {
    /// One session with these options, a table in Lua.
    pub fn with(opts: &str) -> Scene {
        Scene::running(&format!("session({opts})"))
    }

    /// One session with this hook.
    pub fn hooked(body: &str) -> Scene {
        Scene::with(&hook(body))
    }

    /// `code` that accepts a client and connects it.
    pub fn running(code: &str) -> Scene {
        let listener = Listener::bind();
        let script = Script::start(code, &listener.url());
        let (client, upstream) = meet(&script, &listener);
        Scene { client, upstream, script }
    }

    /// An orderly end, begun by the client.
    pub fn part(mut self) {
        self.client.send_close(1000, "");
        self.upstream.hear_close();
        self.upstream.send_close(1000, "");
        self.client.hear_close();
        drop((self.client, self.upstream));
        self.script.says("execute\ttrue");
        self.script.has_to_end();
    }

    /// A failed hook: both sides are told, and `execute` returns these words.
    pub fn has_failed(mut self, words: &str) {
        assert_eq!(self.client.hear_close().0, Some(1011));
        assert_eq!(self.upstream.hear_close().0, Some(1011));
        self.client.send_close(1011, "");
        self.upstream.send_close(1011, "");
        drop((self.client, self.upstream));
        let report = self.script.report("execute");
        assert_eq!(report[0], "nil");
        assert!(report[1].contains(words), "{:?} lacks {words:?}", report[1]);
        assert_eq!(report[2], "-10");
        self.script.has_to_end();
    }
}

/// The two peers of a script in front of `listener`.
pub fn meet(script: &Script, listener: &Listener) -> (Peer, Peer) {
    let addr = script.addr();
    let client = thread::spawn(move || Peer::connect(addr));
    let upstream = listener.accept();
    (client.join().unwrap(), upstream)
}

/// A head, unless the other end goes away first.
pub fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}
