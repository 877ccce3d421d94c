//! Mended: independent peers, whose messages are of any size. Python's `websockets` and tungstenite, each as client and
//! as upstream (`tests/peers` has what they say).

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

use tungstenite::{Error, Message};

use super::nginx::Nginx;
use super::scene::handler;
use super::support::python::{script, Process};

const SIZES: [usize; 7] = [0, 1, 125, 126, 65_535, 65_536, 1 << 20];

fn nginx(port: u16, options: &str) -> Nginx {
    let url = format!("ws://127.0.0.1:{port}");
    Nginx::running(&handler(options, "nil").replace("@URL@", &url))
}

/// Runs for as long as the test, and echoes messages.
fn tungstenite_upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || serve(stream));
        }
    });
    port
}

fn serve(stream: TcpStream) {
    let mut socket = tungstenite::accept(stream).expect("a handshake");
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).unwrap(),
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return,
            Err(error) => panic!("the upstream: {error}"),
        }
    }
}

fn python_upstream() -> (u16, Process) {
    let mut process = Process(script("upstream.py").stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(process.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (line.trim().parse().expect("its port"), process)
}

fn tungstenite_client(nginx: &Nginx) {
    let tcp = super::support::http::connect(nginx.addr);
    let (mut socket, _) = tungstenite::client(format!("ws://{}/", nginx.addr), tcp).unwrap();
    for size in SIZES {
        for message in [Message::text("x".repeat(size)), Message::binary(vec![0xA5; size])] {
            socket.send(message.clone()).unwrap();
            assert!(socket.read().unwrap() == message, "{size} bytes came back as others");
        }
    }
    socket.close(None).unwrap();
    loop {
        match socket.read() {
            Ok(message) => assert!(message.is_close(), "{message}"),
            Err(Error::ConnectionClosed) => break,
            Err(error) => panic!("the client: {error}"),
        }
    }
    assert_eq!(nginx.report("execute"), "true nil");
    nginx.is_content();
}

const HOOKS: [&str; 2] =
    ["", "aggregate_fragments = true, on_frame = function(_, _, _, p) return p end"];

#[test]
fn tungstenite_talks_to_tungstenite() {
    for options in HOOKS {
        tungstenite_client(&nginx(tungstenite_upstream(), options));
    }
}

#[test]
fn tungstenite_talks_to_python() {
    let (port, _process) = python_upstream();
    for options in HOOKS {
        tungstenite_client(&nginx(port, options));
    }
}

#[test]
fn python_talks_to_python() {
    let (port, _process) = python_upstream();
    for options in HOOKS {
        let nginx = nginx(port, options);
        let client = script("client.py").arg(format!("ws://{}/", nginx.addr)).output().unwrap();
        let words = String::from_utf8_lossy(&client.stderr);
        assert!(client.status.success(), "{}: {words}", client.status);
        let ends = nginx.first_reports("execute", 8);
        assert!(ends.iter().all(|end| end == "true nil"), "{ends:?}");
        nginx.is_content();
    }
}
