//! A session in nginx between raw peers: the client that calls nginx, and the upstream that `connect` calls.
//!
//! In the Lua of a scene `@URL@` stands for the upstream's.

use std::io::Write;

use wsproxy::Side;

use super::conf::Conf;
use super::nginx::Nginx;
use super::support::http;
use super::support::peer::{read_head, request, Listener, Peer};

/// The roles of the two sides, as the modules call them.
pub const ROLES: [&str; 2] = ["client", "upstream"];

/// Options without a callback, and with one that changes nothing.
pub const HOOKS: [&str; 2] = ["", "on_frame = function(_, _, _, payload) return payload end,"];

pub struct Scene {
    pub nginx: Nginx,
    pub listener: Listener,
}

/// What a user's handler does, with these options of `new` and of `connect`.
pub fn handler(options: &str, connect: &str) -> String {
    format!(
        r#"
            local ws_proxy = require "resty.websocket.proxy"
            local proxy, err = ws_proxy.new({{ {options} }})
            if not proxy then
                report("new", proxy, err)
                return ngx.exit(500)
            end
            local ok, err = proxy:connect("@URL@", {connect})
            if not ok then
                report("connect", ok, err)
                return ngx.exit(502)
            end
            local ok, err = proxy:execute()
            report("execute", ok, err)
        "#
    )
}

impl Scene {
    /// With these options of `new`.
    pub fn new(options: &str) -> Scene {
        Scene::connecting(options, "nil")
    }

    /// With these options of `new`, and this second argument of `connect`.
    pub fn connecting(options: &str, connect: &str) -> Scene {
        Scene::running(&handler(options, connect))
    }

    /// With this as the handler.
    pub fn running(content: &str) -> Scene {
        Scene::with(Conf::running(content))
    }

    pub fn with(mut conf: Conf) -> Scene {
        let listener = Listener::bind();
        conf.content = conf.content.replace("@URL@", &listener.url());
        conf.server = conf.server.replace("@URL@", &listener.url());
        Scene { nginx: Nginx::start(&conf), listener }
    }

    /// A session: the client's end, and the upstream's.
    pub fn meet(&self) -> (Peer, Peer) {
        self.meet_with(&request("/", ""), "")
    }

    /// The same with a request of the client's own, and header lines more in the upstream's answer.
    pub fn meet_with(&self, request: &str, more: &str) -> (Peer, Peer) {
        let mut client = http::connect(self.nginx.addr);
        client.write_all(request.as_bytes()).unwrap();
        let upstream = self.listener.accept_with(more);
        let head = read_head(&mut client);
        assert!(head.starts_with("HTTP/1.1 101 "), "not upgraded: {head}");
        (Peer::over(client, true, head), upstream)
    }

    /// A session: the end of the one that has this role, and the other.
    pub fn meet_from(&self, role: &str) -> (Peer, Peer) {
        let (client, upstream) = self.meet();
        match role {
            "client" => (client, upstream),
            _ => (upstream, client),
        }
    }

    /// What `execute` returned, and that nothing was written at error level.
    pub fn ends_well(&self) {
        assert_eq!(self.nginx.report("execute"), "true nil");
        self.nginx.is_content();
    }
}

/// A session with these options of `new`.
pub fn session(options: &str) -> (Scene, Peer, Peer) {
    let scene = Scene::new(options);
    let (client, upstream) = scene.meet();
    (scene, client, upstream)
}

/// The same in both directions of a session with these options.
pub fn both_ways(options: &str, talk: impl Fn(&mut Peer, &mut Peer)) {
    let (scene, mut client, mut upstream) = session(options);
    talk(&mut client, &mut upstream);
    talk(&mut upstream, &mut client);
    close(&mut client, &mut upstream);
    drop((client, upstream));
    scene.ends_well();
}

/// Who has this role.
pub fn side(role: &str) -> Side {
    match role {
        "client" => Side::Client,
        _ => Side::Upstream,
    }
}

/// The orderly end: the client closes, the upstream answers.
pub fn close(client: &mut Peer, upstream: &mut Peer) {
    client.send_close(1000, "");
    assert_eq!(upstream.hear_close(), (Some(1000), String::new()));
    upstream.send_close(1000, "");
    assert_eq!(client.hear_close(), (Some(1000), String::new()));
}
