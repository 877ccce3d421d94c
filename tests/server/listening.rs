//! Where a server listens, what it does with whoever comes, and what it counts.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{getpid, pidfd_getfd, pidfd_open, PidfdFlags, PidfdGetfdFlags};
use wsproxy::{Config, ErrorKind, Server};

use super::scene::{relay, Scene};
use super::support::host::{config, talk};
use super::support::peer::{request, Peer};
use super::support::{on_every_policy, wait_until};

const SOON: Duration = Duration::from_secs(5);

/// A session from any kind of client, of one message each way.
fn crosses(scene: &Scene, mut stream: impl Read + Write + Send) {
    thread::scope(|scope| {
        let upgrading = scope.spawn(move || {
            stream.write_all(request("/", "").as_bytes()).unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            assert!(head.starts_with(b"HTTP/1.1 101 "));
            Peer::over(stream, true, String::new())
        });
        let mut upstream = scene.upstream.accept();
        let mut client = upgrading.join().unwrap();
        client.send_text("up");
        assert_eq!(upstream.hear_text(), "up");
        upstream.send_text("down");
        assert_eq!(client.hear_text(), "down");
        client.send_close(1000, "");
        upstream.hear_close();
        upstream.send_close(1000, "");
        client.hear_close();
    });
    assert_eq!(scene.outcome(), Ok(()));
}

#[test]
fn one_server_listens_on_tcp_and_ipv6_and_a_unix_path_and_on_adopted_sockets() {
    on_every_policy(|policy| {
        let server = Arc::new(Server::new(config(policy, |_| {})).unwrap());
        let addr = server.listen("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let unix = format!("unix:{}", path.display());
        assert_eq!(server.listen(&unix).unwrap(), unix);
        let adopted = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tcp = vec![addr.clone(), adopted.local_addr().unwrap().to_string()];
        assert_eq!(server.adopt(adopted.into()).unwrap(), tcp[1]);
        let ours = TcpListener::bind("127.0.0.1:0").unwrap();
        tcp.push(server.adopt_duplicate_of(ours.as_raw_fd()).unwrap());
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            tcp.push(server.listen("[::1]:0").unwrap());
        }
        let scene = Scene::run(server, addr.parse().unwrap(), relay);
        for address in &tcp {
            crosses(&scene, TcpStream::connect(address).unwrap());
        }
        crosses(&scene, UnixStream::connect(&path).unwrap());
        scene.drain(SOON);
        assert!(!path.exists());
        drop(ours);
        for address in &tcp {
            assert!(TcpStream::connect(address).is_err(), "{address}");
        }
        let stats = scene.stats();
        let count = tcp.len() as u64 + 1;
        assert_eq!((stats.accepted, stats.completed, stats.active), (count, count, 0));
        assert_eq!((stats.refused, stats.dropped, stats.failed), (0, 0, 0));
    });
}

#[test]
fn a_listener_of_the_hosts_outlives_the_server_that_has_a_copy_of_it() {
    let server = Arc::new(Server::new(Arc::new(Config::new())).unwrap());
    let ours = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = server.adopt_duplicate_of(ours.as_raw_fd()).unwrap().parse().unwrap();
    let scene = Scene::run(server, addr, relay);
    scene.drain(SOON);
    let _client = TcpStream::connect(addr).unwrap();
    ours.set_nonblocking(false).unwrap();
    ours.accept().unwrap();
}

#[test]
fn where_it_cannot_listen_it_says_so_and_goes_on_without() {
    let server = Arc::new(Server::new(Arc::new(Config::new())).unwrap());
    assert_eq!(server.listen("127.0.0.1").unwrap_err().kind(), ErrorKind::Argument);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = server.listen(&taken.local_addr().unwrap().to_string()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(server.adopt_duplicate_of(-1).unwrap_err().kind(), ErrorKind::Argument);
    assert_eq!(server.max_connections(0).unwrap_err().kind(), ErrorKind::Argument);
    assert_eq!(server.run(|_, _| Ok(())).unwrap_err().kind(), ErrorKind::State);
    let addr = server.listen("127.0.0.1:0").unwrap().parse().unwrap();
    let scene = Scene::run(server, addr, relay);
    crosses(&scene, scene.tcp());
    assert_eq!(scene.server.run(|_, _| Ok(())).unwrap_err().kind(), ErrorKind::State);
    crosses(&scene, scene.tcp());
    scene.drain(SOON);
}

#[test]
fn a_panic_and_an_error_of_the_code_that_serves_end_that_connection_alone() {
    on_every_policy(|policy| {
        let scene = Scene::serve(config(policy, |_| {}), |proxy, client, url| {
            let mut target = String::new();
            proxy.connect_with(client, url, |handshake| {
                target = handshake.target().to_owned();
                wsproxy::Admission::Accept
            })?;
            assert_ne!(target, "/panic", "meant");
            match target.as_str() {
                "/error" => proxy.connect_upstream("no URL"),
                _ => proxy.execute(super::support::host::pass),
            }
        });
        let (mut client, mut upstream) = scene.session();
        for target in ["/panic", "/error"] {
            let addr = scene.addr;
            let asking = thread::spawn(move || Peer::connect_with(addr, &request(target, "")));
            let mut lost = [scene.upstream.accept(), asking.join().unwrap()];
            for peer in &mut lost {
                let code = peer.try_hear().map(|heard| heard.close().0);
                assert!(matches!(code, Some(Some(1001 | 1011))), "{target}: {code:?}");
                peer.hear_end();
            }
        }
        scene.settles("both are counted", |stats| stats.failed == 2 && stats.active == 1);
        talk(&mut client, &mut upstream);
        assert!(scene.runs());
    });
}

#[test]
fn sessions_are_counted_while_they_last_and_by_how_they_end() {
    on_every_policy(|policy| {
        let scene = Scene::start(policy, |_| {});
        let (mut client, mut upstream) = scene.session();
        let gone = scene.session();
        assert_eq!((scene.stats().accepted, scene.stats().active), (2, 2));
        drop(gone);
        scene.settles("the lost one has failed", |stats| (stats.active, stats.failed) == (1, 1));
        client.send_close(1000, "");
        upstream.hear_close();
        upstream.send_close(1000, "");
        client.hear_close();
        drop((client, upstream));
        scene.settles("the other has ended", |stats| (stats.active, stats.completed) == (0, 1));
        let _early = scene.tcp();
        scene.settles("a handshake counts", |stats| (stats.accepted, stats.active) == (3, 1));
    });
}

/// The server's own end of this connection.
fn other_end(client: &TcpStream) -> socket2::Socket {
    let pid = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let fds = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers = fds.filter_map(|fd| fd.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter_map(|number| pidfd_getfd(&pid, number, PidfdGetfdFlags::empty()).ok())
        .map(socket2::Socket::from)
        .find(|socket| {
            let peer = socket.peer_addr().ok().and_then(|addr| addr.as_socket());
            peer == client.local_addr().ok()
        })
        .expect("the connection's other end")
}

#[test]
fn accepted_connections_are_without_delay_and_kept_alive() {
    let scene = Scene::start(wsproxy::Policy::Serial, |_| {});
    let (client, _upstream) = scene.session();
    let accepted = other_end(&client.stream);
    assert!(accepted.tcp_nodelay().unwrap());
    assert!(accepted.keepalive().unwrap());
}

#[test]
fn a_thread_that_cannot_be_started_costs_one_client_and_the_server_goes_on() {
    let config = config(wsproxy::Policy::Serial, |config| {
        config.thread_stack_size(1 << 47).unwrap(); // more than there are addresses
    });
    let scene = Scene::serve(config, relay);
    for dropped in 1..=2 {
        let mut client = scene.tcp();
        assert_eq!(super::support::http::hear_all(&mut client), "");
        wait_until("it is counted", || scene.stats().dropped == dropped);
    }
    assert_eq!((scene.stats().active, scene.stats().accepted), (0, 2));
    assert!(scene.runs());
    scene.drain(SOON);
}
