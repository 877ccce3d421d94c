//! The TLS objects of a configuration are built once, however many sessions share it: reading the system's certificate
//! authorities takes longer than everything else. Alone in its program, since it counts log lines.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;

use wsproxy::{Client, Proxy};

#[path = "tls/authority.rs"]
#[allow(dead_code)]
mod authority;
#[path = "tls/stream.rs"]
#[allow(dead_code)]
mod stream;
mod support;

use support::peer::Listener;

const SESSIONS: usize = 1_000;

static BUILT: AtomicUsize = AtomicUsize::new(0);

struct Counter;

impl log::Log for Counter {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.args().to_string() == "the TLS connector for upstreams was built" {
            BUILT.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_thousand_sessions_build_the_tls_connector_once() {
    log::set_logger(&Counter).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let config = support::host::config(wsproxy::Policy::Caller, |config| {
        config.upstream_ca(authority::trusted().pem.as_bytes()).unwrap();
    });
    let listener = Listener::bind();
    let url = format!("wss://{}", listener.addr());
    let upstream = thread::spawn(move || {
        let tls = stream::server(stream::BOTH, authority::local(), None);
        for _ in 0..SESSIONS {
            let mut tls = stream::Tls::accept(listener.accept_tcp(), Arc::clone(&tls)).unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                std::io::Read::read_exact(&mut tls, &mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            tls.write_all(support::http::good_answer(&head, "").as_bytes()).unwrap();
            tls.finish(true);
        }
    });
    let started = std::time::Instant::now();
    for _ in 0..SESSIONS {
        let proxy = Proxy::new(Arc::clone(&config)).unwrap();
        let (ours, mut client) = std::os::unix::net::UnixStream::pair().unwrap();
        client.write_all(support::peer::request("/", "").as_bytes()).unwrap();
        proxy.connect(Client::new(ours), &url).unwrap();
    }
    let took = started.elapsed();
    upstream.join().unwrap();
    let built = BUILT.load(Ordering::SeqCst);
    println!("{SESSIONS} sessions in {took:?}; the connector was built {built} time(s)");
    assert_eq!(built, 1);
}
