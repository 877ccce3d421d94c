//! Options of wsproxy/options.lua: which values are taken, what is said of others, and what they do.

use std::collections::BTreeSet;
use std::thread;

use super::authority::local;
use super::scene::Scene;
use super::script::{printed_by, Script};
use super::support::http::{ask, status};
use super::support::peer::{header, request, Listener, Peer, CONTINUATION, PING, TEXT};

const LIMITS: &str = "max_frame_size client_max_frame_size upstream_max_frame_size max_message_size \
    client_max_message_size upstream_max_message_size max_fragments client_max_fragments upstream_max_fragments";
const PERIODS: &str = "idle_timeout write_timeout keepalive_interval";
const PERIODS_FROM_ONE: &str = "connect_timeout close_timeout send_queue";
const EVERY_PERIOD: &str =
    "idle_timeout write_timeout keepalive_interval connect_timeout close_timeout send_queue";
const SWITCHES: &str =
    "check_utf8 pass_headers explain_limits upstream_verify aggregate_fragments \
    client_aggregate_fragments upstream_aggregate_fragments";
const LISTS: &str = "origins protocols remove_headers";
const TEXTS: &str = "http_proxy upstream_server_name upstream_ca_file client_ca_file";
const FILES: &str = "upstream_ca_file client_ca_file";
const PAIRS: &str = "upstream_certificate client_certificate";
const MIN_TLS: &str = "min_tls client_min_tls upstream_min_tls";

const NO_LIST: &str = "must be a table: a list of strings";
const NO_LINES: &str = "must be a table: a list of lines \"Name: value\"";
const NO_PAIR: &str = "must be a table of two file names, the chain's and the key's";
const NO_FORWARDED: &str = "must be \"none\", \"x\", \"rfc7239\" or \"both\"";
const CONTROLS: &str = "bad header: CR, LF and NUL cannot stand in it";

/// Names of options, what is said of these values of theirs (nothing of good ones), and the values.
type Row = (&'static str, &'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    (LIMITS, "", &["1", "1.5", "1000000"]),
    (LIMITS, "must be a number >= 1", &["0", "'1'", "-1", "0/0", "true", "false", "{}"]),
    (LIMITS, "is too large", &["1/0", "2^53"]),
    (PERIODS, "", &["0"]),
    (PERIODS_FROM_ONE, "host: ", &["0"]),
    (EVERY_PERIOD, "", &["1", "1.5", "1000000"]),
    (EVERY_PERIOD, "must be a number >= 0", &["'1'", "-1", "0/0", "true", "false", "{}"]),
    (EVERY_PERIOD, "is too large", &["1/0", "2^53"]),
    (SWITCHES, "", &["true", "false", "1", "'yes'"]),
    (LISTS, "", &["{}"]),
    (LISTS, NO_LIST, &["'x'", "7", "true", "{ 7 }", "{ {} }", "{ host = 'x' }"]),
    (LISTS, NO_LIST, &["{ 'x', [3] = 'y' }", "{ 'x\\0y' }"]),
    ("origins", "", &["{ 'https://example.com', 'http://a.test:8080' }"]),
    ("origins", "host: ", &["{ 'https://example.com', 'nothing' }"]),
    ("protocols", "", &["{ 'chat', 'mail' }"]),
    ("protocols", "host: ", &["{ 'two words' }"]),
    ("remove_headers", "", &["{ 'Cookie' }"]),
    ("remove_headers", "host: ", &["{ 'not a name' }"]),
    ("headers", "", &["{}", "{ 'X-A: 1', 'X-A: 2', 'X-B:' }"]),
    ("headers", NO_LINES, &["'X-A: 1'", "7", "{ ['X-A'] = '1' }", "{ 'X-A: 1', [3] = 'X-B: 2' }"]),
    ("headers", "bad header: a line must be a string", &["{ 7 }"]),
    ("headers", "bad header: a line must be \"Name: value\"", &["{ 'nothing' }"]),
    ("headers", CONTROLS, &["{ 'X: a\\r\\nY: b' }", "{ 'X: a\\nb' }", "{ 'X: a\\0b' }"]),
    ("headers", "host: ", &["{ 'Upgrade: h2c' }"]),
    ("forwarded", "", &["'none'", "'x'", "'rfc7239'", "'both'"]),
    ("forwarded", NO_FORWARDED, &["true", "1", "'yes'", "{}"]),
    ("http_proxy", "", &["'http://user:word@127.0.0.1:3128'"]),
    ("http_proxy", "host: ", &["'nothing'"]),
    ("upstream_server_name", "", &["'upstream.test'"]),
    (TEXTS, "must be a string", &["7", "{}", "true", "'a\\0b'"]),
    (FILES, "", &["'@CHAIN@'"]),
    (FILES, "/nowhere", &["'/nowhere'"]),
    (FILES, "host: ", &["'@KEY@'"]),
    (PAIRS, "", &["{ '@CHAIN@', '@KEY@' }"]),
    (PAIRS, "/nowhere", &["{ '@CHAIN@', '/nowhere' }"]),
    (PAIRS, "host: ", &["{ '@KEY@', '@CHAIN@' }"]),
    (PAIRS, NO_PAIR, &["'@CHAIN@'", "{}", "{ '@CHAIN@' }", "{ 1, 2 }", "{ 'a', 'b', 'c' }"]),
    (PAIRS, NO_PAIR, &["{ 'a\\0', 'b' }"]),
    (MIN_TLS, "", &["'1.2'", "'1.3'"]),
    (MIN_TLS, "must be \"1.2\" or \"1.3\"", &["'1.1'", "1.2", "true", "{}"]),
];

/// A name, a value, and what is said of it.
fn cases() -> Vec<[&'static str; 3]> {
    let mut cases = Vec::new();
    for (names, words, values) in ROWS {
        for name in names.split_whitespace() {
            cases.extend(values.iter().map(|value| [name, *value, *words]));
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
    for [name, value, _] in &cases {
        code += &format!("print(select(2, pcall(wsproxy.config, {{ {name} = {value} }})))\n");
    }
    let script = folder.path().join("cases.lua");
    std::fs::write(&script, code.replace("@CHAIN@", &chain).replace("@KEY@", &key)).unwrap();
    let printed = printed_by(&format!("dofile({script:?})"));
    let said: Vec<&str> = printed.lines().collect();
    assert_eq!(said.len(), cases.len());
    for ([name, value, words], said) in cases.iter().zip(said) {
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
    let tested: BTreeSet<String> = cases().into_iter().map(|[name, ..]| name.to_owned()).collect();
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
