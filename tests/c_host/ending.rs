//! How the hosts end, and whom they let in.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;
use tungstenite::Message;

use super::host::{close, close_code, cpu_ticks, echo, echoes, on_both, refusal, Host, PATIENCE};

/// Health checks, scans, closed laptops.
#[test]
fn that_clients_go_away_is_not_worth_a_line() {
    on_both(|which| {
        let host = which.start(&echo(), &[]);
        for _ in 0..20 {
            drop(TcpStream::connect(&host.address).unwrap());
        }
        let mut half = TcpStream::connect(&host.address).unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
        drop(half);
        let mut client = host.connect();
        echoes(&mut client, "hello", "hello");
        drop(client);
        assert_eq!(refusal(&host, &[("Sec-WebSocket-Version", "12")]), 426);
        let (_, err) = host.end("-TERM");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.contains("Sec-WebSocket-Version"), "{err}");
    });
}

#[test]
fn sigterm_ends_sessions_in_every_state_and_leaves_nothing() {
    on_both(|which| {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap(); // accepts by its backlog, says nothing
        let (echo, silent_url) = (echo(), format!("ws://{}", silent.local_addr().unwrap()));
        for signal in ["-TERM", "-INT"] {
            let flags = ["--hook", "pass", "--drain-timeout", "1500"];
            let host = Host::start(which.under_valgrind(), &echo, &flags);
            let mut connected = host.connect();
            let _says_nothing = TcpStream::connect(&host.address).unwrap();
            echoes(&mut connected, "hello", "hello");
            let stopped = std::thread::spawn(move || connected.read());
            host.end(signal);
            assert_eq!(close_code(stopped.join().unwrap().unwrap()), 1001);
        }
        let host = Host::start(which.under_valgrind(), &silent_url, &["--drain-timeout", "1500"]);
        let address = host.address.clone();
        let waiting = std::thread::spawn(move || {
            tungstenite::client(format!("ws://{address}/"), TcpStream::connect(&address).unwrap())
                .is_err()
        });
        let (_asked, _) = silent.accept().unwrap();
        host.end("-TERM");
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn without_descriptors_clients_wait_and_the_host_does_not_spin() {
    on_both(|which| {
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n 20; exec \"$@\"", "sh"]).arg(which.program());
        let host = Host::start(limited, &echo(), &[]);
        let clients: Vec<_> = (0..40).map(|_| TcpStream::connect(&host.address).unwrap()).collect();
        std::thread::sleep(Duration::from_millis(500));
        let before = cpu_ticks(&host);
        std::thread::sleep(Duration::from_millis(1000));
        let spent = cpu_ticks(&host) - before;
        assert!(spent < 20, "{spent} ticks of 10 ms in one second");
        drop(clients);
        let deadline = Instant::now() + PATIENCE;
        while host.count("fd") > 8 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        echoes(&mut host.connect(), "hello", "hello");
        let (_, err) = host.end("-TERM");
        let begins = format!("{}: ", which.name());
        assert!(err.starts_with(&begins) && err.contains("Too many open files"), "{err}");
    });
}

#[test]
fn a_drain_waits_for_the_end_of_a_message_and_takes_nobody_else() {
    on_both(|which| {
        for signal in ["-TERM", "-INT"] {
            let host = which.start(&echo(), &["--drain-timeout", "60000"]);
            let mut client = host.connect();
            echoes(&mut client, "hello", "hello");
            let part = |text: &'static str, code, last| {
                Message::Frame(Frame::message(text, OpCode::Data(code), last))
            };
            client.send(part("half ", Data::Text, false)).unwrap();
            client.send(Message::Ping("crossed".into())).unwrap();
            assert_eq!(client.read().unwrap(), Message::Pong("crossed".into()));
            host.signal(signal);
            let deadline = Instant::now() + PATIENCE;
            while TcpStream::connect(&host.address).is_ok() {
                assert!(Instant::now() < deadline, "it still listens");
                std::thread::sleep(Duration::from_millis(5));
            }
            client.send(part("whole", Data::Continue, true)).unwrap();
            assert_eq!(close_code(client.read().unwrap()), 1001);
            while client.read().is_ok() {}
            let (_, err) = host.has_to_end();
            assert!(!err.contains("#1 "), "{err}");
        }
    });
}

#[test]
fn the_drain_timeout_ends_sessions_that_do_not_answer_and_a_second_signal_does_so_at_once() {
    on_both(|which| {
        let timeout = Duration::from_millis(1500);
        for (flag, second) in [("1500", false), ("600000", true)] {
            let host = which.start(&echo(), &["--drain-timeout", flag]);
            let mut client = host.connect();
            echoes(&mut client, "hello", "hello");
            let started = Instant::now();
            host.signal("-TERM");
            assert_eq!(close_code(client.read().unwrap()), 1001);
            // The answer to the close frame was only queued: nobody sends it.
            if second {
                host.signal("-INT");
            }
            host.has_to_end();
            let took = started.elapsed();
            assert!(second || took >= timeout, "nobody was waited for: {took:?}");
            assert!(took < timeout + Duration::from_secs(6), "{took:?}");
            drop(client);
        }
    });
}

#[test]
fn whoever_is_one_too_many_is_answered_503() {
    on_both(|which| {
        let host = which.start(&echo(), &["--max-connections", "1"]);
        let mut client = host.connect();
        echoes(&mut client, "hello", "hello");
        assert_eq!(refusal(&host, &[]), 503);
        echoes(&mut client, "still here", "still here");
        close(client);
        host.end("-TERM");
    });
}

#[test]
fn only_pages_of_the_origins_named_may_connect() {
    on_both(|which| {
        let flags = ["--origin", "https://a.example", "--origin", "https://b.example"];
        let host = which.start(&echo(), &flags);
        assert_eq!(refusal(&host, &[("origin", "https://c.example")]), 403);
        let stream = TcpStream::connect(&host.address).unwrap();
        let mut request = format!("ws://{}/", host.address).into_client_request().unwrap();
        request.headers_mut().insert("origin", "https://b.example".parse().unwrap());
        let mut client = tungstenite::client(request, stream).expect("the handshake").0;
        echoes(&mut client, "hello", "hello");
        close(client);
        host.end("-TERM");
    });
}
