//! What the hooks do with frames, and what is written of them.

use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};

use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;
use tungstenite::Message;

use super::host::{close, close_code, echo, echo_one, echoes, on_both, Client, Host, Which};

#[test]
fn text_is_upper_cased_and_the_rest_left_alone_under_each_policy() {
    for policy in ["serial", "concurrent", "caller"] {
        text_is_upper_cased(Which::Server, &["--threads", policy]);
    }
    text_is_upper_cased(Which::EventLoop, &[]);
}

fn text_is_upper_cased(which: Which, flags: &[&str]) {
    let flags = [&["--hook", "upper", "--print"], flags].concat();
    let host = Host::start(which.under_valgrind(), &echo(), &flags);
    let mut client = host.connect();
    echoes(&mut client, "hello, größe", "HELLO, GRößE");
    client.send(Message::binary(&b"hello"[..])).unwrap();
    assert_eq!(client.read().unwrap(), Message::binary(&b"hello"[..]));
    fragments_are_upper_cased(&mut client);
    close(client);
    let (out, err) = host.end("-TERM");
    assert_eq!(err, "");
    for line in [
        "#1 client -> upstream text         fin        14 bytes upper-cased \"HELLO, GR\\xc3\\xb6\\xc3\\x9fE\"",
        "#1 client -> upstream binary       fin         5 bytes forwarded \"hello\"",
        "#1 client -> upstream text         more        3 bytes upper-cased \"ONE\"",
        "#1 client -> upstream ping         fin         3 bytes forwarded \"two\"",
        "#1 client -> upstream continuation fin         5 bytes upper-cased \"THREE\"",
    ] {
        assert!(out.contains(line), "no line {line:?} in\n{out}");
    }
}

fn fragments_are_upper_cased(client: &mut Client) {
    let fragment = |text: &'static str, code, last| {
        Message::Frame(Frame::message(text, OpCode::Data(code), last))
    };
    client.send(fragment("one", Data::Text, false)).unwrap();
    client.send(Message::Ping("two".into())).unwrap();
    client.send(fragment("three", Data::Continue, true)).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("two".into()));
    assert_eq!(client.read().unwrap(), Message::text("ONETHREE"));
}

#[test]
fn fragments_of_a_binary_message_keep_their_letters() {
    on_both(|which| {
        let host = which.start(&echo(), &["--hook", "upper"]);
        let mut client = host.connect();
        let first = Frame::message(&b"one"[..], OpCode::Data(Data::Binary), false);
        let last = Frame::message(&b"two"[..], OpCode::Data(Data::Continue), true);
        client.send(Message::Frame(first)).unwrap();
        client.send(Message::Frame(last)).unwrap();
        assert_eq!(client.read().unwrap(), Message::binary(&b"onetwo"[..]));
        host.end("-TERM");
    });
}

#[test]
fn aggregated_messages_are_printed_as_one_frame() {
    on_both(|which| {
        let host = which.start(&echo(), &["--aggregate", "--print"]);
        let mut client = host.connect();
        let first = Frame::message("one", OpCode::Data(Data::Text), false);
        let last = Frame::message("two", OpCode::Data(Data::Continue), true);
        client.send(Message::Frame(first)).unwrap();
        client.send(Message::Frame(last)).unwrap();
        assert_eq!(client.read().unwrap(), Message::text("onetwo"));
        close(client);
        let (out, _) = host.end("-INT");
        assert!(
            out.contains(
                "client -> upstream text         fin         6 bytes forwarded \"onetwo\""
            ),
            "{out}"
        );
    });
}

#[test]
fn an_ipv6_address_is_listened_on_in_brackets() {
    on_both(|which| {
        if TcpListener::bind("[::1]:0").is_err() {
            eprintln!("this machine has no IPv6: nothing to listen on");
            return;
        }
        let host = Host::listening_on("[::1]:0", which.plain(), &echo(), &[]);
        assert!(host.address.starts_with("[::1]:"), "{}", host.address);
        echoes(&mut host.connect(), "hello", "hello");
        host.end("-TERM");
    });
}

#[test]
fn a_limit_from_the_flags_holds() {
    on_both(|which| {
        let host = which.start(&echo(), &["--hook", "pass", "--max-frame-size", "5"]);
        let mut client = host.connect();
        echoes(&mut client, "12345", "12345");
        client.send(Message::text("123456")).unwrap();
        assert_eq!(close_code(client.read().unwrap()), 1009);
        drop(client);
        let (_, err) = host.end("-TERM");
        assert!(err.starts_with("#1 client: "), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    });
}

#[test]
fn both_sides_may_be_unix_sockets() {
    on_both(|which| {
        let folder = tempfile::tempdir().unwrap();
        let (front, back) = (folder.path().join("front"), folder.path().join("back"));
        let upstream = UnixListener::bind(&back).unwrap();
        std::thread::spawn(move || {
            upstream.incoming().for_each(|stream| echo_one(stream.unwrap()))
        });
        let place = format!("unix:{}", front.display());
        let url = format!("ws+unix:{}", back.display());
        let host = Host::listening_on(&place, which.plain(), &url, &[]);
        assert_eq!(host.address, place);
        let stream = UnixStream::connect(&front).unwrap();
        let mut client = tungstenite::client("ws://localhost/", stream).expect("the handshake").0;
        echoes(&mut client, "hello", "hello");
        close(client);
        host.end("-TERM");
        assert!(!front.exists());
    });
}
