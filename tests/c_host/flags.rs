//! The command line.

use super::host::{on_both, Which, BOTH};

const GOOD: [&str; 4] = ["--listen", "127.0.0.1:0", "--upstream", "ws://127.0.0.1:1"];

#[test]
fn wrong_flags_end_the_host_with_status_2_and_words() {
    let wrong: [(&[&str], &str); 13] = [
        (&["--nonsense"], "unknown flag --nonsense"),
        (&["--hook", "loud"], "--hook loud"),
        (&["--max-frame-size", "0"], "at least 1"),
        (&["--max-message-size", "1k"], "--max-message-size 1k"),
        (&["--max-fragments"], "--max-fragments"),
        (&["--idle-timeout", "-1"], "--idle-timeout -1"),
        (&["--listen", "127.0.0.1"], "--listen 127.0.0.1"),
        (&["--upstream", "http://127.0.0.1"], "--upstream http://127.0.0.1"),
        (&["--upstream", ""], "--upstream"),
        (&["--max-connections", "0"], "--max-connections 0"),
        (&["--drain-timeout", "-1"], "--drain-timeout -1"),
        (&["--drain-timeout", "99999999999999999999"], "--drain-timeout 9999"),
        (&["--origin", "example.com"], "not an origin"),
    ];
    for host in BOTH {
        refuses(host, &wrong);
        assert_eq!(host.plain().args(&GOOD[..2]).output().unwrap().status.code(), Some(2));
        assert_eq!(host.plain().args(&GOOD[2..]).output().unwrap().status.code(), Some(2));
    }
}

/// Each of these flags, after good ones.
fn refuses(host: Which, wrong: &[(&[&str], &str)]) {
    for (flags, words) in wrong {
        let output = host.plain().args(GOOD).args(*flags).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{host:?} {flags:?}: {err}");
        assert!(err.starts_with(&format!("{}: ", host.name())), "{host:?} {flags:?}: {err}");
        assert!(err.contains(words), "{host:?} {flags:?}: {err}");
        assert!(output.stdout.is_empty(), "{host:?} {flags:?}");
    }
}

#[test]
fn wrong_flags_of_tls_end_either_host_with_words() {
    let wrong: [(&[&str], &str); 4] = [
        (&["--tls-ca", "/nowhere/ca.pem"], "cannot read /nowhere/ca.pem: No such file"),
        (&["--tls-cert", "/nowhere/cert.pem"], "missing flag --tls-key"),
        (&["--tls-key", "/nowhere/key.pem"], "missing flag --tls-cert"),
        (&["--tls-cert", "/nowhere/cert.pem", "--tls-key", "/"], "cannot read /nowhere/cert.pem"),
    ];
    on_both(|host| refuses(host, &wrong));
}

#[test]
fn threads_that_the_librarys_server_has_not_end_the_host_with_words() {
    refuses(Which::Server, &[(&["--threads", "2"], "--threads 2")]);
}

#[test]
fn an_event_loop_refuses_threads_and_wrong_places_with_words() {
    let wrong: [(&[&str], &str); 2] = [
        (&["--threads", "caller"], "no use for --threads: one thread serves all sessions"),
        (&["--listen", "::1:80"], "an IPv6 address in brackets"),
    ];
    refuses(Which::EventLoop, &wrong);
}

/// The library looks up names when it dials, an event loop at its start.
#[test]
fn an_event_loop_whose_upstream_has_no_address_ends_with_status_1() {
    let flags = ["--listen", "127.0.0.1:0", "--upstream", "ws://nowhere.invalid"];
    let output = Which::EventLoop.plain().args(flags).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("--upstream ws://nowhere.invalid: nowhere.invalid: "), "{err}");
}

#[test]
fn a_place_that_is_taken_ends_the_host_with_status_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    for host in BOTH {
        let flags = ["--listen", &place, "--upstream", "ws://127.0.0.1:1"];
        let output = host.plain().args(flags).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{host:?}: {err}");
        assert!(err.contains(&place) && err.contains("in use"), "{host:?}: {err}");
    }
}

#[test]
fn help_is_no_mistake() {
    for host in BOTH {
        for flags in [&["--help"][..], &["-h"], &["--listen", "127.0.0.1:0", "--help"]] {
            let output = host.plain().args(flags).output().unwrap();
            let out = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(0), "{flags:?}");
            let usage = format!("usage: {} --listen", host.name());
            assert!(out.starts_with(&usage), "{flags:?}: {out}");
            assert!(output.stderr.is_empty(), "{flags:?}");
        }
    }
}
