//! The ways to hand over a client, on every driver: request unread, read by the host, or answered by it; a blocking
//! descriptor or not; TCP or Unix. Frames that come early are kept in each.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::time::Duration;

use support::host::{config, meet, part, pass, talk, Host};
use support::http;
use support::on_every_policy;
use support::peer::{read_head, request, Listener, Peer, BINARY, TEXT};
use wsproxy::{Client, Proxy, Side};

/// How far the host has dealt with a client, given the bytes that it has read.
type HandOver = fn(TcpStream, Vec<u8>) -> Client;

/// Runs a session whose host reads `count` bytes of `bytes` itself before it hands the client over; two frames have
/// come early, behind the request.
fn hands_over(hand: HandOver, reads: impl Fn(&[u8]) -> usize, answered_by_host: bool) {
    support::POLICIES.into_iter().for_each(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let head = request("/", "");
        let mut bytes = head.clone().into_bytes();
        for text in ["early", "bird"] {
            bytes.extend(support::peer::frame(true, TEXT, text.as_bytes(), Some([1, 2, 3, 4])));
        }
        let count = reads(&bytes);
        let head_len = head.len();
        let host = Host::serve(config(policy, |_| {}), move |proxy, mut client| {
            let mut read = vec![0; count];
            client.read_exact(&mut read).unwrap();
            if answered_by_host {
                client.write_all(http::good_answer(&head, "").as_bytes()).unwrap();
                read.drain(..head_len);
            }
            proxy.connect(hand(client, read), &url)?;
            proxy.execute(pass)
        });
        let mut stream = host.tcp();
        stream.write_all(&bytes).unwrap();
        let mut upstream = listener.accept();
        let answer = read_head(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let mut client = Peer::upgraded_client(stream);
        assert_eq!(upstream.hear_text(), "early", "{policy:?}");
        assert_eq!(upstream.hear_text(), "bird");
        talk(&mut client, &mut upstream);
        part(client, upstream, &host);
    });
}

#[test]
fn a_client_whose_request_is_unread_is_taken_over() {
    hands_over(|client, _| Client::new(client), |_| 0, false);
}

#[test]
fn a_client_whose_request_the_host_has_read_in_part_or_with_frames_behind_it_is_taken_over() {
    let hand: HandOver = |client, read| Client::new(client).with_head(read);
    hands_over(hand, |_| 30, false);
    hands_over(hand, |_| request("/", "").len(), false);
    hands_over(hand, |_| request("/", "").len() + 5, false); // in the first frame
    hands_over(hand, |bytes| bytes.len(), false);
}

#[test]
fn a_client_that_the_host_has_upgraded_is_taken_over() {
    let hand: HandOver = |client, early| Client::new(client).upgraded(early);
    hands_over(hand, |_| request("/", "").len(), true);
    hands_over(hand, |_| request("/", "").len() + 5, true);
    hands_over(hand, |bytes| bytes.len(), true);
}

#[test]
fn frames_that_came_with_the_upstreams_answer_are_kept() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let host = Host::start(config(policy, |_| {}), &listener.url(), pass);
        let addr = host.addr;
        let client = std::thread::spawn(move || Peer::connect(addr));
        let (mut stream, head) = http::asked(&listener);
        let early = support::peer::frame(true, BINARY, b"early", None);
        let answer = [http::good_answer(&head, "").as_bytes(), &early[..]].concat();
        stream.write_all(&answer).unwrap();
        client.join().unwrap().expect(true, BINARY, b"early");
    });
}

#[test]
fn a_non_blocking_descriptor_of_the_hosts_stays_non_blocking_and_works() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let (tell, told) = channel();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            client.set_nonblocking(true).unwrap();
            let fd = client.as_raw_fd();
            proxy.connect(Client::duplicate_of(fd)?, &url)?;
            let done = proxy.execute(pass);
            tell.send(is_non_blocking(fd)).unwrap();
            done
        });
        let (mut client, mut upstream) = meet(&host, &listener);
        // Silence between the messages: a read that finds nothing must wait and not fail.
        for _ in 0..3 {
            talk(&mut client, &mut upstream);
            client.hear_nothing_for(Duration::from_millis(20));
        }
        let large = vec![7; 8 << 20]; // more than a socket's buffer: a write must wait too
        upstream.twin().send(true, BINARY, &large);
        client.expect(true, BINARY, &large);
        part(client, upstream, &host);
        assert!(told.recv().unwrap(), "the host's flag was changed");
    });
}

/// O_NONBLOCK, as the kernel tells it: octal flags in the second line.
fn is_non_blocking(fd: i32) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    i32::from_str_radix(flags.trim(), 8).unwrap() & O_NONBLOCK != 0
}

const O_NONBLOCK: i32 = 0o4000;

#[test]
fn a_unix_socket_is_a_client_too() {
    on_every_policy(|policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let proxy = Arc::new(Proxy::new(config(policy, |_| {})).unwrap());
        let session = Arc::clone(&proxy);
        let host = std::thread::spawn(move || {
            session.connect(Client::new(theirs), &url)?;
            session.execute(pass)
        });
        (&ours).write_all(request("/", "").as_bytes()).unwrap();
        let mut upstream = listener.accept();
        proxy_says_hello(&proxy, &ours);
        upstream.send_close(1000, "");
        drop(upstream);
        drop(ours);
        let _ = host.join().unwrap();
    });
}

/// The 101, then a frame of the host's.
fn proxy_says_hello(proxy: &Proxy, mut stream: &std::os::unix::net::UnixStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    support::wait_until("execute", || {
        proxy.send(Side::Client, wsproxy::Kind::Ping, b"hello").is_ok()
    });
    let mut frame = [0; 7];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"\x89\x05hello");
}
