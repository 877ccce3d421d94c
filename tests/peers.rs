//! Independent peers through the proxy, each as client and as upstream: tungstenite, and Python's `websockets`.
//!
//! An upstream echoes messages and does what text messages tell it (`close CODE REASON`, `close`, `ping`,
//! `fragments`); a client checks all it hears. Of each connection the upstream says how it was closed.

mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{channel, Receiver};
use std::sync::Arc;
use std::thread;

use support::host::{config, pass};
use support::python::{script, Process};
use support::{on_every_policy, LONG};
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Bytes, Error, Message, WebSocket};
use wsproxy::{Client, Policy, Proxy, Result};

const SIZES: [usize; 7] = [0, 1, 125, 126, 65_535, 65_536, 1 << 20];
/// Of one binary message: peers that are not optimised take seconds for this much.
const LARGEST: usize = 16 << 20;

/// What clients close connections with, and what they make the upstream close with; 1005 stands for no code.
const CLOSES: [(u16, &str); 4] = [(4001, "enough"), (1000, ""), (1011, "größe"), (1005, "")];
const ORDERS: [(&str, u16, &str); 3] =
    [("close 4002 so be it", 4002, "so be it"), ("close 1000 ", 1000, ""), ("close", 1005, "")];

/// An upstream: where it is, and what it says of its connections.
struct Upstream {
    port: u16,
    closed: Receiver<String>,
    _process: Option<Process>,
}

impl Upstream {
    fn hears_of_an_end(&self) -> String {
        self.closed.recv_timeout(LONG).expect("the upstream hears of the end")
    }
}

/// A host that takes any number of clients to one upstream, for as long as the test runs; how each session ended.
fn proxy_to(policy: Policy, port: u16) -> (SocketAddr, Receiver<Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let config = config(policy, |_| {});
    let (tell, outcomes) = channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, config, tell) = (client.unwrap(), Arc::clone(&config), tell.clone());
            thread::spawn(move || {
                let proxy = Proxy::new(config).unwrap();
                let connected =
                    proxy.connect(Client::new(client), &format!("ws://127.0.0.1:{port}"));
                let _ = tell.send(connected.and_then(|()| proxy.execute(pass)));
            });
        }
    });
    (addr, outcomes)
}

/// Every conversation of `client` with `upstream`, under every policy.
fn converse(upstream: impl Fn() -> Upstream + Sync, client: impl Fn(&str) + Sync) {
    on_every_policy(|policy| {
        let upstream = upstream();
        let (addr, outcomes) = proxy_to(policy, upstream.port);
        client(&format!("ws://{addr}/"));
        let mut closes = vec!["closed 1000 ".to_owned()]; // of the long conversation
        closes.extend(CLOSES.iter().map(|(code, reason)| format!("closed {code} {reason}")));
        closes.extend(ORDERS.iter().map(|(_, code, _)| match code {
            1005 => "closed 1005 ".to_owned(),
            code => format!("closed {code} "),
        }));
        // In any order: the last words of one connection may come after the next one's first.
        let mut said: Vec<String> = closes.iter().map(|_| upstream.hears_of_an_end()).collect();
        closes.sort();
        said.sort();
        for (expected, said) in closes.iter().zip(&said) {
            // Answers to the upstream's own close repeat its code; whether also its reason is the client's affair.
            assert!(said.starts_with(expected), "{policy:?}: {said:?} instead of {expected:?}");
            let outcome = outcomes.recv_timeout(LONG).expect("the session ends");
            assert_eq!(outcome, Ok(()), "{policy:?}");
        }
    });
}

#[test]
fn tungstenite_talks_to_tungstenite() {
    converse(tungstenite_upstream, tungstenite_client);
}

#[test]
fn tungstenite_talks_to_python() {
    converse(python_upstream, tungstenite_client);
}

#[test]
fn python_talks_to_tungstenite() {
    converse(tungstenite_upstream, python_client);
}

#[test]
fn python_talks_to_python() {
    converse(python_upstream, python_client);
}

// tungstenite

fn tungstenite_upstream() -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, closed) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let said = serve(tungstenite::accept(stream.unwrap()).expect("a handshake"));
            if tell.send(said).is_err() {
                return;
            }
        }
    });
    Upstream { port, closed, _process: None }
}

/// One connection, until it is closed.
fn serve(mut socket: WebSocket<TcpStream>) -> String {
    let mut said = "closed without a close frame".to_owned();
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => said = format!("closed {}", close_words(frame.as_ref())),
            Ok(Message::Pong(payload)) if payload == "are you there" => {
                socket.send("pong came".into()).unwrap();
            }
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => obey(&mut socket, message),
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return said,
            Err(error) => return format!("{said}, then {error}"),
        }
    }
}

fn obey(socket: &mut WebSocket<TcpStream>, message: Message) {
    let order = message.to_text().unwrap_or_default().to_owned();
    match order.as_str() {
        "ping" => socket.send(Message::Ping(Bytes::from_static(b"are you there"))).unwrap(),
        "fragments" => send_fragments(socket, &["in ", "", "three ", "parts"]),
        "close" => socket.close(None).unwrap(),
        order if order.starts_with("close ") => {
            let words: Vec<&str> = order.splitn(3, ' ').collect();
            socket.close(Some(close_frame(words[1].parse().unwrap(), words[2]))).unwrap();
        }
        _ => socket.send(message).unwrap(),
    }
}

fn send_fragments(socket: &mut WebSocket<TcpStream>, fragments: &[&str]) {
    for (i, fragment) in fragments.iter().enumerate() {
        let data = if i == 0 { Data::Text } else { Data::Continue };
        let payload = Bytes::copy_from_slice(fragment.as_bytes());
        let frame = Frame::message(payload, OpCode::Data(data), i + 1 == fragments.len());
        socket.send(Message::Frame(frame)).unwrap();
    }
}

fn close_frame(code: u16, reason: &str) -> CloseFrame {
    CloseFrame { code: code.into(), reason: reason.into() }
}

fn close_words(frame: Option<&CloseFrame>) -> String {
    frame.map_or("1005 ".into(), |frame| format!("{} {}", u16::from(frame.code), frame.reason))
}

fn tungstenite_client(url: &str) {
    let mut socket = dial(url);
    for len in SIZES {
        let text = "é".repeat(len / 2) + &".".repeat(len % 2);
        let binary: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        for message in [Message::text(text), Message::binary(binary)] {
            socket.send(message.clone()).unwrap();
            assert!(socket.read().unwrap() == message, "an echo of {len} bytes");
        }
    }
    let largest = Message::binary(vec![0xA5; LARGEST]);
    socket.send(largest.clone()).unwrap();
    assert!(socket.read().unwrap() == largest, "an echo of {LARGEST} bytes");
    send_fragments(&mut socket, &["a ", "fragmented ", "", "mess", "age"]);
    assert_eq!(socket.read().unwrap(), Message::text("a fragmented message"));
    socket.send(Message::Ping("from the client".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("from the client".into()));
    socket.send("ping".into()).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Ping("are you there".into())); // answered by itself
    assert_eq!(socket.read().unwrap(), Message::text("pong came"));
    socket.send("fragments".into()).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("in three parts"));
    close(socket, 1000, "");
    for (code, reason) in CLOSES {
        close(dial(url), code, reason);
    }
    for (order, code, reason) in ORDERS {
        let mut socket = dial(url);
        socket.send(order.into()).unwrap();
        assert_eq!(hear_close(&mut socket), format!("{code} {reason}"));
    }
}

fn dial(url: &str) -> WebSocket<TcpStream> {
    let addr = url.trim_start_matches("ws://").trim_end_matches('/');
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    tungstenite::client(url, stream).expect("a handshake").0
}

/// Closes, and hears the same from the upstream.
fn close(mut socket: WebSocket<TcpStream>, code: u16, reason: &str) {
    socket.close((code != 1005).then(|| close_frame(code, reason))).unwrap();
    let heard = hear_close(&mut socket);
    assert!(heard.starts_with(&code.to_string()), "{heard} answers {code} {reason}");
}

/// The close frame, then the end of the connection.
fn hear_close(socket: &mut WebSocket<TcpStream>) -> String {
    let heard = match socket.read().unwrap() {
        Message::Close(frame) => close_words(frame.as_ref()),
        other => panic!("{other:?} and not a close"),
    };
    let end = socket.read().expect_err("the end");
    assert!(matches!(end, Error::ConnectionClosed), "{end}");
    heard
}

// Python

fn python_upstream() -> Upstream {
    let mut child = script("upstream.py").stdout(Stdio::piped()).spawn().expect("python3 runs");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let process = Some(Process(child));
    let port = lines.next().expect("a port").unwrap().parse().unwrap();
    let (tell, closed) = channel();
    thread::spawn(move || {
        lines.map_while(std::io::Result::ok).try_for_each(|line| tell.send(line))
    });
    Upstream { port, closed, _process: process }
}

fn python_client(url: &str) {
    let output = script("client.py").arg(url).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "client.py: {}\n{words}", output.status);
}
