//! Options of wsproxy/options.lua: which values are taken, what is said of others, and what they do.

use std::collections::BTreeSet;
use std::thread;

use super::authority::local;
use super::scene::Scene;
use super::script::{printed_by, Script};
use super::support::http::{ask, status};
use super::support::peer::{header, request, Listener, Peer, CONTINUATION, PING, TEXT};

const LIMITS: &[&str] = &["max_frame_size", "max_message_size", "max_fragments"];
const PERIODS: &[&str] = &["idle_timeout", "write_timeout", "keepalive_interval"];
const PERIODS_FROM_ONE: &[&str] = &["connect_timeout", "close_timeout", "send_queue"];
const SWITCHES: &[&str] = &["check_utf8", "pass_headers", "explain_limits", "upstream_verify"];
const LISTS: &[&str] = &["origins", "protocols", "remove_headers"];
const FILES: &[&str] = &["upstream_ca_file", "client_ca_file"];
const PAIRS: &[&str] = &["upstream_certificate", "client_certificate"];
const NUMBERS: &[&str] = &["'1'", "-1", "0/0", "1/0", "2^53", "true", "false", "{}"];

/// What a wrong value is said to be, `words`; or a good one, "".
type Case = (String, &'static str);

fn sided(name: &str) -> [String; 3] {
    [name.to_owned(), format!("client_{name}"), format!("upstream_{name}")]
}

fn numbers(name: &str, least: &'static str, cases: &mut Vec<(String, Case)>) {
    let mut add = |value: &str, words| cases.push((name.to_owned(), (value.to_owned(), words)));
    for value in ["1", "1.5", "1000000"] {
        add(value, "");
    }
    for value in NUMBERS {
        let too_large = ["1/0", "2^53"].contains(value);
        add(value, if too_large { "is too large" } else { least });
    }
}

fn cases() -> Vec<(String, Case)> {
    let mut cases = Vec::new();
    for name in LIMITS.iter().flat_map(|name| sided(name)) {
        numbers(&name, "must be a number >= 1", &mut cases);
        cases.push((name, ("0".into(), "must be a number >= 1")));
    }
    for name in PERIODS {
        numbers(name, "must be a number >= 0", &mut cases);
        cases.push((name.to_string(), ("0".into(), "")));
    }
    for name in PERIODS_FROM_ONE {
        numbers(name, "must be a number >= 0", &mut cases);
        cases.push((name.to_string(), ("0".into(), "host: ")));
    }
    let switches = SWITCHES.iter().map(|name| name.to_string()).chain(sided("aggregate_fragments"));
    for name in switches {
        cases.extend(
            ["true", "false", "1", "'yes'"].map(|value| (name.clone(), (value.into(), ""))),
        );
    }
    let mut add =
        |name: &str, value: &str, words| cases.push((name.to_owned(), (value.to_owned(), words)));
    for name in LISTS {
        add(name, "{}", "");
        for value in [
            "'x'",
            "7",
            "true",
            "{ 7 }",
            "{ {} }",
            "{ host = 'x' }",
            "{ 'x', [3] = 'y' }",
            "{ 'x\\0y' }",
        ] {
            add(name, value, "must be a table: a list of strings");
        }
    }
    add("origins", "{ 'https://example.com', 'http://a.test:8080' }", "");
    add("origins", "{ 'https://example.com', 'nothing' }", "host: ");
    add("protocols", "{ 'chat', 'mail' }", "");
    add("protocols", "{ 'two words' }", "host: ");
    add("remove_headers", "{ 'Cookie' }", "");
    add("remove_headers", "{ 'not a name' }", "host: ");
    for value in ["{}", "{ 'X-A: 1', 'X-A: 2', 'X-B:' }"] {
        add("headers", value, "");
    }
    for value in ["'X-A: 1'", "7", "{ ['X-A'] = '1' }", "{ 'X-A: 1', [3] = 'X-B: 2' }"] {
        add("headers", value, "must be a table: a list of lines \"Name: value\"");
    }
    add("headers", "{ 7 }", "bad header: a line must be a string");
    add("headers", "{ 'nothing' }", "bad header: a line must be \"Name: value\"");
    for value in ["{ 'X: a\\r\\nY: b' }", "{ 'X: a\\nb' }", "{ 'X: a\\0b' }"] {
        add("headers", value, "bad header: CR, LF and NUL cannot stand in it");
    }
    add("headers", "{ 'Upgrade: h2c' }", "host: ");
    for value in ["'none'", "'x'", "'rfc7239'", "'both'"] {
        add("forwarded", value, "");
    }
    for value in ["true", "1", "'yes'", "{}"] {
        add("forwarded", value, "must be \"none\", \"x\", \"rfc7239\" or \"both\"");
    }
    add("http_proxy", "'http://user:word@127.0.0.1:3128'", "");
    add("http_proxy", "'nothing'", "host: ");
    add("upstream_server_name", "'upstream.test'", "");
    for name in ["http_proxy", "upstream_server_name", "upstream_ca_file", "client_ca_file"] {
        for value in ["7", "{}", "true", "'a\\0b'"] {
            add(name, value, "must be a string");
        }
    }
    for name in FILES {
        add(name, "'@CHAIN@'", "");
        add(name, "'/nowhere'", "/nowhere");
        add(name, "'@KEY@'", "host: ");
    }
    for name in PAIRS {
        add(name, "{ '@CHAIN@', '@KEY@' }", "");
        add(name, "{ '@CHAIN@', '/nowhere' }", "/nowhere");
        add(name, "{ '@KEY@', '@CHAIN@' }", "host: ");
        for value in
            ["'@CHAIN@'", "{}", "{ '@CHAIN@' }", "{ 1, 2 }", "{ 'a', 'b', 'c' }", "{ 'a\\0', 'b' }"]
        {
            add(name, value, "must be a table of two file names, the chain's and the key's");
        }
    }
    for name in sided("min_tls") {
        add(&name, "'1.2'", "");
        add(&name, "'1.3'", "");
        for value in ["'1.1'", "1.2", "true", "{}"] {
            add(&name, value, "must be \"1.2\" or \"1.3\"");
        }
    }
    cases
}

/// Two files: a certificate, and a key.
fn identity(folder: &tempfile::TempDir) -> [String; 2] {
    [("chain.pem", &local().chain), ("key.pem", &local().key)].map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    })
}

#[test]
fn every_option_takes_good_values_and_says_what_is_wrong_with_others() {
    let folder = tempfile::tempdir().unwrap();
    let [chain, key] = identity(&folder);
    let cases = cases();
    let mut code = "local wsproxy = require 'wsproxy'\n".to_owned();
    for (name, (value, _)) in &cases {
        code += &format!("print(select(2, pcall(wsproxy.config, {{ {name} = {value} }})))\n");
    }
    let script = folder.path().join("cases.lua");
    std::fs::write(&script, code.replace("@CHAIN@", &chain).replace("@KEY@", &key)).unwrap();
    let printed = printed_by(&format!("dofile({script:?})"));
    let said: Vec<&str> = printed.lines().collect();
    assert_eq!(said.len(), cases.len());
    for ((name, (value, words)), said) in cases.iter().zip(said) {
        match *words {
            "" => assert!(said.starts_with("table: "), "{name} = {value}: {said}"),
            words => assert!(
                said.contains(&format!("opts.{name}")) && said.contains(words),
                "{name} = {value}: {said:?} lacks {words:?}"
            ),
        }
    }
}

/// The names of all options, from the module itself.
pub fn names() -> BTreeSet<String> {
    let printed = printed_by(
        "local options = require 'wsproxy.options'
        for n = 1, 20 do
            local name, value = debug.getupvalue(options.configuration, n)
            if name == 'names' then print(table.concat(value, '\\n')) end
        end",
    );
    printed.lines().map(str::to_owned).collect()
}

#[test]
fn no_option_is_left_out_here() {
    let tested: BTreeSet<String> = cases().into_iter().map(|(name, _)| name).collect();
    assert_eq!(tested, names());
}

#[test]
fn options_of_sockets_are_for_hosts_that_leave_those_to_the_library() {
    let printed = printed_by(
        "local options = require 'wsproxy.options'
        print(options.knows('idle_timeout'), options.knows_of_sockets('idle_timeout'))
        print(options.knows('upstream_verify'), options.knows_of_sockets('upstream_verify'))
        print(options.knows('nobody'), options.knows_of_sockets('nobody'))",
    );
    assert_eq!(printed, "true\tfalse\nfalse\ttrue\nfalse\tfalse\n");
}

#[test]
fn a_limit_of_one_side_counts_more_than_that_of_both() {
    for (max, client, upstream) in [("9", "3", "20"), ("3", "9", "20"), ("20", "9", "3")] {
        let mut scene = Scene::with(&format!(
            "{{ max_frame_size = {max}, client_max_frame_size = {client}, upstream_max_frame_size = {upstream} }}"
        ));
        let (most, other) = (client.parse::<usize>().unwrap(), upstream.parse::<usize>().unwrap());
        scene.client.send(true, TEXT, &vec![b'x'; most]);
        scene.upstream.expect(true, TEXT, &vec![b'x'; most]);
        scene.upstream.send(true, TEXT, &vec![b'x'; other]);
        scene.client.expect(true, TEXT, &vec![b'x'; other]);
        scene.client.send(true, TEXT, &vec![b'x'; most + 1]);
        assert_eq!(scene.client.hear_close().0, Some(1009));
    }
}

#[test]
fn headers_go_upstream_as_the_options_say() {
    let listener = Listener::bind();
    let script = Script::start(
        "session({ headers = { 'X-One: 1', 'x-one: 2', 'Cookie: mine' }, remove_headers = { 'X-Secret', 'Cookie' },
            forwarded = 'both' })",
        &listener.url(),
    );
    let addr = script.addr();
    let theirs = "X-Secret: s\r\nCookie: theirs\r\nX-One: 0\r\nX-Other: o\r\n";
    let client = thread::spawn(move || Peer::connect_with(addr, &request("/", theirs)));
    let upstream = listener.accept();
    client.join().unwrap();
    let head = &upstream.head;
    let all = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    assert_eq!(all("X-One"), ["1", "2"], "{head}");
    assert_eq!(all("Cookie"), ["mine"], "{head}");
    assert_eq!(all("X-Secret"), [""; 0], "{head}");
    assert_eq!(all("X-Other"), ["o"], "{head}");
    assert_eq!(all("X-Forwarded-For"), ["127.0.0.1"], "{head}");
    assert!(header(head, "Forwarded").unwrap().contains("for=127.0.0.1"), "{head}");
}

#[test]
fn without_pass_headers_only_those_of_the_options_go_upstream() {
    let listener = Listener::bind();
    let script =
        Script::start("session({ pass_headers = false, headers = { 'X: y' } })", &listener.url());
    let addr = script.addr();
    let client = thread::spawn(move || Peer::connect_with(addr, &request("/", "Cookie: c\r\n")));
    let upstream = listener.accept();
    client.join().unwrap();
    assert_eq!(header(&upstream.head, "Cookie"), None);
    assert_eq!(header(&upstream.head, "X").as_deref(), Some("y"));
}

#[test]
fn a_client_from_another_origin_is_403() {
    let listener = Listener::bind();
    let script = Script::start("session({ origins = { 'https://good.test' } })", &listener.url());
    let answer = ask(script.addr(), request("/", "Origin: https://bad.test\r\n").as_bytes());
    assert_eq!(status(&answer), 403);
    assert_eq!(script.report("connect")[3], "403");
}

#[test]
fn the_close_for_a_limit_says_why_by_option() {
    for (explain, reason) in [("false", ""), ("true", "Payload Too Large")] {
        let mut scene =
            Scene::with(&format!("{{ max_fragments = 2, explain_limits = {explain} }}"));
        scene.client.send(false, TEXT, b"");
        scene.client.send(false, CONTINUATION, b"");
        scene.client.send(false, CONTINUATION, b"");
        assert_eq!(scene.client.hear_close(), (Some(1009), reason.to_owned()));
    }
}

#[test]
fn text_that_is_no_utf8_passes_by_option() {
    let mut scene = Scene::with("{ check_utf8 = false }");
    scene.client.send(true, TEXT, b"\xFF");
    scene.upstream.expect(true, TEXT, b"\xFF");
    scene.part();
}

#[test]
fn pings_keep_a_session_alive_by_option() {
    let mut scene = Scene::with("{ keepalive_interval = 20 }");
    assert_eq!(scene.client.hear().opcode, PING);
    assert_eq!(scene.upstream.hear().opcode, PING);
}

#[test]
fn a_period_above_zero_is_never_taken_for_ever() {
    let mut scene = Scene::with("{ idle_timeout = 0.25 }");
    assert_eq!(scene.client.hear_close().0, Some(1001));
}

#[test]
fn settings_are_made_once_for_any_number_of_sessions() {
    let listener = Listener::bind();
    let script = Script::start(
        "local settings = wsproxy.config({ max_frame_size = 3 })
        for n = 1, 3 do session(settings) collectgarbage() end",
        &listener.url(),
    );
    let addr = script.addr();
    for _ in 0..3 {
        let client = thread::spawn(move || Peer::connect(addr));
        let (mut upstream, mut client) = (listener.accept(), client.join().unwrap());
        client.send_text("1234");
        assert_eq!(client.hear_close().0, Some(1009));
        assert_eq!(upstream.hear_close().0, Some(1001));
        drop((client, upstream));
        assert_eq!(script.report("execute")[2], "-8");
    }
}
