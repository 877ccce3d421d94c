//! `require "resty.websocket.proxy"`, and `new`.

use super::conf::Conf;
use super::nginx::Nginx;

/// What `new` does with each of these arguments: what it throws, with its place; or the type of what it returns.
fn called_with(arguments: &[&str]) -> Vec<String> {
    // Through a chunk with a name: an error at its caller's level is said to be there, on its line.
    let calls = arguments.iter().map(|argument| {
        format!(
            r#"
            local caller = assert(loadstring([==[local new = ...
                local proxy, err = new({argument})
                return type(proxy), err]==], "=caller"))
            report("called", pcall(caller, new))"#
        )
    });
    let start = r#"local new = require("resty.websocket.proxy").new"#.to_owned();
    let nginx = Nginx::running(&calls.fold(start, |all, call| all + &call));
    assert_eq!(nginx.get("/").0, 200);
    nginx.is_content();
    nginx.reports("called")
}

fn throws(arguments: &[&str], words: &str) {
    let thrown = called_with(arguments);
    assert_eq!(thrown.len(), arguments.len());
    for (argument, thrown) in arguments.iter().zip(thrown) {
        assert_eq!(thrown, format!("false \"caller:2: {words}\""), "new({argument})");
    }
}

#[test]
fn options_that_are_no_table_are_thrown_at_the_callers_level() {
    throws(&["'x'", "1", "false", "true", "function() end"], "opts must be a table");
}

#[test]
fn a_callback_that_is_no_function_is_thrown_at_the_callers_level() {
    let wrong = ["{ on_frame = 'f' }", "{ on_frame = false }", "{ on_frame = {} }"];
    throws(&wrong, "opts.on_frame must be a function");
}

#[test]
fn a_receive_timeout_that_is_no_number_is_thrown_at_the_callers_level() {
    let wrong = ["{ recv_timeout = '10' }", "{ recv_timeout = false }", "{ recv_timeout = {} }"];
    throws(&wrong, "opts.recv_timeout must be a number");
}

#[test]
fn a_limit_that_is_no_number_from_one_is_thrown_at_the_callers_level() {
    for name in [
        "client_max_frame_size",
        "client_max_fragments",
        "upstream_max_frame_size",
        "upstream_max_fragments",
    ] {
        let wrong = ["0", "-1", "0.5", "'10'", "false", "{}"];
        let wrong = wrong.map(|value| format!("{{ {name} = {value} }}"));
        let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
        throws(&wrong, &format!("opts.{name} must be a number >= 1"));
    }
}

#[test]
fn good_options_make_a_proxy_and_unknown_ones_are_ignored() {
    let good = [
        "",
        "nil",
        "{}",
        "{ on_frame = function() end, recv_timeout = 10 }",
        "{ client_max_frame_size = 1, client_max_fragments = 1 }",
        "{ upstream_max_frame_size = 65535, upstream_max_fragments = 2.5 }",
        "{ aggregate_fragments = 'yes', debug = 0 }",
        "{ aggregate_fragments = {}, debug = function() end }",
        "{ nobody_knows = 1, upstream = {}, [1] = 2 }",
    ];
    for made in called_with(&good) {
        assert_eq!(made, "true \"table\" nil");
    }
}

#[test]
fn the_module_is_a_plain_writable_table_with_a_version() {
    let nginx = Nginx::running(
        r#"
            local module = require "resty.websocket.proxy"
            report("module", type(module), getmetatable(module), type(module._VERSION))
            module._tests = "written"
            report("again", require("resty.websocket.proxy")._tests)
        "#,
    );
    nginx.get("/");
    assert_eq!(nginx.report("module"), r#""table" nil "string""#);
    assert_eq!(nginx.report("again"), r#""written""#);
    nginx.is_content();
}

#[test]
fn the_module_loads_before_the_workers_and_in_them() {
    for workers in [None, Some(1)] {
        for in_worker in [false, true] {
            let mut conf = Conf::running(r#"report("kept", module == ws_proxy, ws_proxy._tests)"#);
            conf.content = conf.content.replace("module", r#"require("resty.websocket.proxy")"#);
            conf.workers = workers;
            let load = r#"ws_proxy = require "resty.websocket.proxy"; ws_proxy._tests = 7"#;
            match in_worker {
                false => conf.init = load.to_owned(),
                true => conf.init_worker = load.to_owned(),
            }
            let nginx = Nginx::start(&conf);
            nginx.get("/");
            assert_eq!(nginx.report("kept"), "true 7", "{workers:?} {in_worker}");
            nginx.is_content();
        }
    }
}
