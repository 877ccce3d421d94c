//! Sessions under TLS on one leg or both, between peers that show exactly what they hear.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::ServerConfig;
use wsproxy::{Config, Frame, Policy, Verdict};

use super::authority::{local, trusted, Identity};
use super::stream::{server, Tls, BOTH};
use super::support::host::{self, Host};
use super::support::http::good_answer;
use super::support::peer::{prepare, request, Listener, Peer};

/// A connection with or without TLS.
pub enum Stream {
    Plain(TcpStream),
    Secure(Tls),
}

/// Which legs are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Legs {
    pub client: bool,
    pub upstream: bool,
}

pub const UPSTREAM: Legs = Legs { client: false, upstream: true };
pub const CLIENT: Legs = Legs { client: true, upstream: false };
pub const EVERY: Legs = Legs { client: true, upstream: true };

impl Stream {
    pub fn twin(&self) -> Stream {
        match self {
            Stream::Plain(tcp) => Stream::Plain(tcp.try_clone().unwrap()),
            Stream::Secure(tls) => Stream::Secure(tls.clone()),
        }
    }

    pub fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Secure(tls) => tls.tcp(),
        }
    }

    pub fn tls(&self) -> &Tls {
        match self {
            Stream::Plain(_) => panic!("no TLS"),
            Stream::Secure(tls) => tls,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.read(buf),
            Stream::Secure(tls) => tls.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.write(buf),
            Stream::Secure(tls) => tls.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a head, its empty line included, and nothing more.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// The settings of a session whose upstream's certificate is to be trusted, and which shows clients one.
pub fn config(legs: Legs, policy: Policy, set: impl FnOnce(&mut Config)) -> Arc<Config> {
    host::config(policy, |config| {
        config.upstream_ca(trusted().pem.as_bytes()).unwrap();
        if legs.client {
            let Identity { chain, key } = local();
            config.client_certificate(chain.as_bytes(), key.as_bytes()).unwrap();
        }
        set(config);
    })
}

/// Where an upstream under TLS listens.
pub fn url(listener: &Listener) -> String {
    format!("wss://{}", listener.addr())
}

/// The upstream's end of a session, upgraded.
pub fn accept(listener: &Listener, config: Option<Arc<ServerConfig>>) -> Peer<Stream> {
    let tcp = listener.accept_tcp();
    let mut stream = match config {
        Some(config) => Stream::Secure(Tls::accept(tcp, config).expect("a TLS handshake")),
        None => Stream::Plain(tcp),
    };
    let head = read_head(&mut stream);
    stream.write_all(good_answer(&head, "").as_bytes()).unwrap();
    Peer::over(stream, false, head)
}

/// The client's end of a session, upgraded.
pub fn connect(addr: SocketAddr, secure: bool) -> Peer<Stream> {
    let tcp = TcpStream::connect(addr).unwrap();
    prepare(&tcp);
    let mut stream = match secure {
        true => Stream::Secure(Tls::connect_trusting(tcp).expect("a TLS handshake")),
        false => Stream::Plain(tcp),
    };
    stream.write_all(request("/", "").as_bytes()).unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "not upgraded: {head}");
    Peer::over(stream, true, head)
}

/// A session between two peers: client, upstream, host.
pub fn session(
    legs: Legs,
    config: Arc<Config>,
    hook: impl Fn(&mut Frame<'_>) -> Verdict + Send + Sync + 'static,
) -> (Peer<Stream>, Peer<Stream>, Host) {
    session_under(legs, config, server(BOTH, local(), None), hook)
}

/// The same with an upstream of other settings.
pub fn session_under(
    legs: Legs,
    config: Arc<Config>,
    upstream: Arc<ServerConfig>,
    hook: impl Fn(&mut Frame<'_>) -> Verdict + Send + Sync + 'static,
) -> (Peer<Stream>, Peer<Stream>, Host) {
    let listener = Listener::bind();
    let url = if legs.upstream { url(&listener) } else { listener.url() };
    let host = Host::start(config, &url, hook);
    let addr = host.addr;
    let client = thread::spawn(move || connect(addr, legs.client));
    let upstream = accept(&listener, legs.upstream.then_some(upstream));
    (client.join().unwrap(), upstream, host)
}

/// An orderly end, begun by the client.
pub fn part(client: &mut Peer<Stream>, upstream: &mut Peer<Stream>, host: &Host) {
    client.send_close(1000, "");
    assert_eq!(upstream.hear_close().0, Some(1000));
    upstream.send_close(1000, "");
    assert_eq!(client.hear_close().0, Some(1000));
    client.hear_end();
    if let Stream::Secure(tls) = &upstream.stream {
        tls.finish(true);
    } else {
        upstream.stream.tcp().shutdown(std::net::Shutdown::Write).unwrap();
    }
    assert_eq!(host.outcome(), Ok(()));
}

impl Peer<Stream> {
    /// The same end for another thread.
    pub fn other_hand(&self) -> Peer<Stream> {
        let masks = self.head.starts_with("HTTP/1.1 ");
        Peer::over(self.stream.twin(), masks, self.head.clone())
    }
}
