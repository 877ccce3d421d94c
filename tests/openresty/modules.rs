//! `require "resty.websocket.proxy"`, and `new`.

use super::conf::Conf;
use super::nginx::Nginx;
use super::scene::{close, session, Scene};

/// The message that `new` throws, with its place.
fn thrown(argument: &str) -> String {
    let nginx = Nginx::running(&format!(
        r#"
            local ws_proxy = require "resty.websocket.proxy"
            -- Through a chunk with a name: an error at its caller's level is said to be there, on its line.
            local caller = assert(loadstring([==[local new = ...
                local proxy = new({argument})
                return proxy]==], "=caller"))
            report("called", pcall(caller, ws_proxy.new))
        "#
    ));
    nginx.get("/");
    nginx.report("called")
}

#[test]
fn wrong_options_are_thrown_at_the_callers_level() {
    for (argument, words) in [
        ("'x'", "opts must be a table"),
        ("false", "opts must be a table"),
    ] {
        assert_eq!(thrown(argument), format!("false \"caller:2: {words}\""), "new({argument})");
    }
}

#[test]
fn a_session_forwards() {
    let (scene, mut client, mut upstream) = session("");
    client.send_text("up");
    upstream.expect(true, 1, b"up");
    upstream.send_text("down");
    client.expect(true, 1, b"down");
    close(&mut client, &mut upstream);
    scene.ends_well();
}
