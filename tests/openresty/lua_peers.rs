//! Clients and upstreams in Lua that are not ours: Debian's lua-nginx-websocket, in the same single process.

use super::conf::Conf;
use super::nginx::Nginx;
use super::scene::handler;

/// Their names of old, which Debian's package does not have.
const NAMES: &str = r#"
    for _, name in ipairs { "client", "server" } do
        package.preload["resty.websocket." .. name] = function()
            return require("nginx.websocket." .. name)
        end
    end"#;

/// An upstream that echoes what it hears with its type; a close ends it.
const ECHO: &str = r#"
    location /echo {
        content_by_lua_block {
            local wb = assert(require("resty.websocket.server"):new())
            local opcodes = { continuation = 0, text = 1, binary = 2, ping = 9, pong = 10 }
            repeat
                local data, typ, err = wb:recv_frame()
                if not data then
                    return report("upstream", data, typ, err)
                end
                report("heard", typ, data, err)
                if typ == "close" then
                    wb:send_close(err, data)
                else
                    wb:send_frame(err ~= "again", typ == "ping" and 10 or opcodes[typ], data)
                end
            until typ == "close"
        }
    }"#;

/// nginx with a proxy in front of [`ECHO`], and this as what the client of `/t` says through it.
fn nginx(options: &str, client: &str) -> Nginx {
    let content = handler(options, "nil").replace("@URL@", "ws://127.0.0.1:@PORT@/echo");
    let mut conf = Conf { init: NAMES.to_owned(), ..Conf::running(&content) };
    conf.server = format!(
        r#"{ECHO}
    location /t {{
        content_by_lua_block {{
            local client = assert(require("resty.websocket.client"):new())
            assert(client:connect("ws://127.0.0.1:@PORT@/"))
            local function hear()
                local data, typ, err = client:recv_frame()
                ngx.say(tostring(typ), " ", tostring(data), " ", tostring(err))
                return typ
            end
            {client}
        }}
    }}"#
    );
    Nginx::start(&conf)
}

#[test]
fn frames_of_every_type_go_there_and_back() {
    let nginx = nginx(
        "",
        r#"
            assert(client:send_text("hello world!"))
            hear()
            assert(client:send_binary("\0\1\2 你好"))
            hear()
            assert(client:send_ping("are you there"))
            hear()
            assert(client:send_frame(false, 1, "part "))
            hear()
            assert(client:send_frame(true, 0, "by part"))
            hear()
            assert(client:send_close(1000, "goodbye"))
            hear()
            client:close()"#,
    );
    let (status, body) = nginx.get("/t");
    assert_eq!(status, 200);
    let heard = "text hello world! nil\nbinary \0\u{1}\u{2} 你好 nil\npong are you there nil\n\
                 text part  again\ncontinuation by part nil\nclose goodbye 1000\n";
    assert_eq!(body, heard);
    assert_eq!(nginx.report("execute"), "true nil");
    nginx.is_content();
}

#[test]
fn messages_are_joined_before_the_upstream_hears_them() {
    let nginx = nginx(
        "aggregate_fragments = true",
        r#"
            for _, words in ipairs { "one", "two" } do
                assert(client:send_frame(false, 1, words))
                assert(client:send_ping("between"))
                hear()
                assert(client:send_frame(false, 0, " and"))
                assert(client:send_frame(true, 0, " more"))
                hear()
            end
            client:close()"#,
    );
    let (_, body) = nginx.get("/t");
    assert_eq!(
        body,
        "pong between nil\ntext one and more nil\npong between nil\ntext two and more nil\n"
    );
    let heard = nginx.reports("heard");
    assert!(heard.contains(&r#""text" "one and more" nil"#.to_owned()), "{heard:?}");
    nginx.is_content();
}

#[test]
fn the_largest_frames_that_they_know_pass() {
    let nginx = nginx(
        "",
        r#"
            for _, len in ipairs { 0, 125, 126, 4096, 65535 } do
                local data = string.rep("x", len)
                assert(client:send_text(data))
                local heard = assert(client:recv_frame())
                ngx.say(len, " ", tostring(heard == data))
            end
            client:close()"#,
    );
    assert_eq!(nginx.get("/t").1, "0 true\n125 true\n126 true\n4096 true\n65535 true\n");
    nginx.is_content();
}

#[test]
fn a_client_that_ends_without_a_close_is_no_error() {
    let nginx = nginx("", r#"assert(client:send_text("x")) hear()"#);
    assert_eq!(nginx.get("/t").1, "text x nil\n");
    assert_eq!(nginx.report("execute"), "true nil");
}

#[test]
fn an_upstream_that_ends_without_a_close_is_no_error() {
    let mut conf = Conf { init: NAMES.to_owned(), ..Conf::default() };
    conf.content = handler("", "nil").replace("@URL@", "ws://127.0.0.1:@PORT@/once");
    conf.server = r#"
        location /once {
            content_by_lua_block {
                local wb = assert(require("resty.websocket.server"):new())
                assert(wb:send_text((wb:recv_frame())))
            }
        }
        location /t {
            content_by_lua_block {
                local client = assert(require("resty.websocket.client"):new())
                assert(client:connect("ws://127.0.0.1:@PORT@/"))
                assert(client:send_text("x"))
                ngx.say((client:recv_frame()))
            }
        }"#
    .to_owned();
    let nginx = Nginx::start(&conf);
    assert_eq!(nginx.get("/t").1, "x\n");
    assert_eq!(nginx.report("execute"), "true nil");
    nginx.is_content();
}
