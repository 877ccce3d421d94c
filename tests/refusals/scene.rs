//! A handshake that fails, in each way in which a host may bring a client and an upstream together.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use wsproxy::{Client, Config, Policy, Proxy, Result};

use super::support::host::{config, Host};
use super::support::http::{self, good_answer};
use super::support::peer::{read_head, request, Listener, Peer};
use super::table::Row;

/// Far under the deadline of the handshakes, however busy the machine is.
const AT_ONCE: Duration = Duration::from_secs(8);
/// The deadline where one is to pass. Long enough for a busy machine to get as far as it should.
const SHORT: Duration = Duration::from_millis(800);

/// Who has done what when the upstream is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `connect`, with the client's request unread.
    Unread,
    /// `connect`, with the client's request read by the host.
    HeadRead,
    /// `connect`, with the client answered by the host.
    Upgraded,
    /// `connect_client`, which answers the client, then `connect_upstream`.
    ClientFirst,
    /// `connect_upstream` without a client.
    NoClient,
}

pub const WAYS: [Way; 5] =
    [Way::Unread, Way::HeadRead, Way::Upgraded, Way::ClientFirst, Way::NoClient];

/// What an upstream does with a connection, and the request that it was asked with.
pub type Behaviour<'a> = &'a (dyn Fn(&mut TcpStream, &str) + Sync);

/// An upstream that behaves so is what the row says, in every way. `theirs` is the body that it sent.
pub fn upstream_is(row: &Row, theirs: &str, behave: Behaviour<'_>) {
    in_every_way(|way| {
        let listener = Listener::bind();
        let url = listener.url();
        thread::scope(|scope| {
            let upstream = scope.spawn(|| {
                let (mut stream, head) = http::asked(&listener);
                behave(&mut stream, &head);
                stream
            });
            fails(row, way, &url, theirs, |_| ());
            let mut stream = upstream.join().unwrap();
            assert_eq!(http::hear_all(&mut stream), "", "{way:?}: never used again");
            http::nobody_called(&listener);
        });
    });
}

/// An upstream that sends these bytes and says no more is what the row says.
pub fn upstream_says(row: &Row, theirs: &str, bytes: impl Fn(&str) -> String + Sync) {
    upstream_is(row, theirs, &|stream, head| {
        let _ = stream.write_all(bytes(head).as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
    });
}

/// Nobody answers at `url` as an upstream would.
pub fn url_is(row: &Row, url: &str, set: impl Fn(&mut Config) + Sync) {
    in_every_way(|way| fails(row, way, url, "", &set));
}

/// All at once, as some wait for a deadline.
fn in_every_way(test: impl Fn(Way) + Sync) {
    let test = &test;
    thread::scope(|scope| {
        for way in WAYS {
            let named = thread::Builder::new().name(format!("{way:?}"));
            named.spawn_scoped(scope, move || test(way)).unwrap();
        }
    });
}

fn fails(row: &Row, way: Way, url: &str, theirs: &str, set: impl Fn(&mut Config)) {
    let is_late = row.status() == Some(504) || row.case.ends_with("then nothing");
    let config = config(Policy::Serial, |config| {
        if is_late {
            config.connect_timeout(SHORT).unwrap();
        }
        set(config);
    });
    let started = Instant::now();
    let (host, mut client) = begin(config, way, url);
    let heard = match way {
        Way::Unread | Way::HeadRead => {
            let heard = http::hear_all(&mut client);
            let _ = client.shutdown(Shutdown::Both); // nobody waits for this end
            Some(heard)
        }
        Way::Upgraded | Way::ClientFirst | Way::NoClient => None,
    };
    let error = host.outcome().expect_err("a handshake that fails");
    assert!(started.elapsed() < AT_ONCE, "{way:?} took {:?}", started.elapsed());
    assert!(!is_late || started.elapsed() >= SHORT, "{way:?} took {:?}", started.elapsed());
    row.is_told_by(&error, host.proxy.refusal_status());
    drop(host);
    match (way, heard) {
        (_, Some(answer)) => row.is_answered_by(&answer, theirs),
        (Way::NoClient, _) => assert_eq!(http::hear_all(&mut client), ""),
        _ => is_sent_away(client),
    }
}

/// A client that is waiting for its upstream, as far as the host has gone with it.
fn begin(config: Arc<Config>, way: Way, url: &str) -> (Host, TcpStream) {
    let url = url.to_owned();
    let host = Host::serve(config, move |proxy, client| connect(proxy, client, way, &url));
    let mut client = http::connect(host.addr);
    if way != Way::NoClient {
        client.write_all(asks().as_bytes()).unwrap();
    }
    (host, client)
}

/// What every client here asks.
fn asks() -> String {
    request("/", "Sec-WebSocket-Protocol: a\r\n")
}

fn connect(proxy: &Proxy, mut client: TcpStream, way: Way, url: &str) -> Result<()> {
    match way {
        Way::Unread => proxy.connect(Client::new(client), url),
        Way::HeadRead => {
            let head = read_head(&mut client).into_bytes();
            proxy.connect(Client::new(client).with_head(head), url)
        }
        Way::Upgraded => {
            let head = read_head(&mut client);
            client.write_all(good_answer(&head, "").as_bytes()).unwrap();
            proxy.connect(Client::new(client).upgraded(Vec::new()), url)
        }
        Way::ClientFirst => {
            proxy.connect_client(Client::new(client))?;
            proxy.connect_upstream(url)
        }
        Way::NoClient => proxy.connect_upstream(url),
    }
}

/// A client that has its 101 hears a close frame, and the end.
fn is_sent_away(mut client: TcpStream) {
    let head = read_head(&mut client);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut client = Peer::upgraded_client(client);
    assert_eq!(client.hear_close(), (Some(1011), String::new()));
    client.hear_end();
}
