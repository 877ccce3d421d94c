//! `wsproxy.listen`: addresses, clients one by one, timeouts, ends.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::script::{printed_by, Script};

#[test]
fn addresses_of_both_families_and_names_are_listened_on() {
    for (address, shown) in
        [("127.0.0.1:0", "127.0.0.1:"), ("[::1]:0", "[::1]:"), ("localhost:0", "")]
    {
        let script = Script::start(
            &format!(
                "local listener = assert(wsproxy.listen('{address}'))
                report('listening', listener:address())
                report('client', assert(listener:accept()):getfd() > 2)"
            ),
            "",
        );
        let addr: SocketAddr = script.addr();
        assert!(addr.to_string().starts_with(shown) && addr.port() != 0, "{addr}");
        let _client = TcpStream::connect(addr).unwrap();
        script.says("client\ttrue");
    }
}

#[test]
fn a_unix_socket_is_listened_on_and_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let script = Script::start(
        &format!(
            "local listener = assert(wsproxy.listen('unix:{}'))
            report('listening', listener:address())
            report('client', assert(listener:accept()):getfd() > 2)
            listener:close()
            listener:close()
            report('closed', listener:accept())",
            path.display()
        ),
        "",
    );
    script.says(&format!("listening\tunix:{}", path.display()));
    let _client = UnixStream::connect(&path).unwrap();
    script.says("client\ttrue");
    script.says("closed\tnil\tclosed");
    assert!(!path.exists());
}

#[test]
fn what_is_no_address_or_is_taken_is_told_in_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _listener = std::net::TcpListener::bind(taken).unwrap();
    let long = format!("unix:/{}", "x".repeat(107));
    let taken = taken.to_string();
    let wrong = [
        "",
        "127.0.0.1",
        "80",
        ":80",
        "::1:80",
        "127.0.0.1:65536",
        "h\\0h:80",
        "unix:",
        "unix:/a\\0b",
        "192.0.2.1:0",
        "unix:/nowhere/socket",
        &long,
        &taken,
        "127.0.0.1:x",
    ];
    for address in wrong {
        let printed = printed_by(&format!("print(require 'wsproxy'.listen('{address}'))"));
        assert!(printed.starts_with("nil\tcannot listen on "), "{address}: {printed}");
        assert!(
            printed.trim_end().len() > "nil\tcannot listen on : ".len() + address.len(),
            "{printed}"
        );
    }
}

#[test]
fn accept_waits_no_longer_than_it_is_told() {
    let started = Instant::now();
    let printed = printed_by(
        "local listener = assert(require 'wsproxy'.listen('127.0.0.1:0'))
        print(listener:accept(150))
        print(listener:accept(0))
        print(listener:accept(-5))
        print(pcall(listener.accept, listener, '5'))",
    );
    assert!(started.elapsed() >= Duration::from_millis(150));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..3], ["nil\ttimeout"; 3]);
    assert!(lines[3].ends_with("timeout must be a number"), "{printed}");
}

#[test]
fn a_client_that_comes_in_time_is_accepted_and_closes_only_once() {
    let script = Script::start(
        "local listener = assert(wsproxy.listen('127.0.0.1:0'))
        report('listening', listener:address())
        local client = assert(listener:accept(20000))
        report('open', client:getfd() > 2)
        client:close()
        client:close()
        report('closed', client:getfd())",
        "",
    );
    let addr = script.addr();
    let _client = TcpStream::connect(addr).unwrap();
    script.says("open\ttrue");
    script.says("closed\t-1");
}

#[test]
fn a_signal_interrupts_who_waits_for_a_client() {
    let mut script = Script::start("accept()", "");
    script.addr();
    script.tell(Signal::INT);
    let (status, complaints) = script.ended();
    assert_eq!(status.code(), Some(1));
    assert!(complaints[0].contains("interrupted!"), "{complaints:?}");
}

#[test]
fn a_listener_that_is_closed_has_neither_descriptor_nor_address() {
    let printed = printed_by(
        "local listener = assert(require 'wsproxy'.listen('127.0.0.1:0'))
        print(listener:getfd() > 2, listener:address():match('^127.0.0.1:%d+$') ~= nil)
        listener:close()
        print(listener:getfd(), (listener:address()))",
    );
    assert_eq!(printed, "true\ttrue\n-1\tnil\n");
}
