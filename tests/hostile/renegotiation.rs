//! An upstream that asks for renegotiation (RFC 5746), which TLS 1.2 has: OpenSSL's own, told to by its input.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use wsproxy::Policy;

use super::authority::local;
use super::guard::{cpu, watched};
use super::scene::{config, connect, Stream, UPSTREAM};
use super::support::host::{pass, Host};
use super::support::http::good_answer;
use super::support::peer::{frame, Peer, BINARY};
use super::support::{wait_until, POLICIES};

/// OpenSSL's own upstream, which asks for a renegotiation when it is told to.
struct Renegotiator {
    process: Child,
    input: ChildStdin,
    /// The beginning of what it shows, and how much it is altogether.
    heard: Arc<Mutex<(Vec<u8>, usize)>>,
    port: u16,
}

impl Drop for Renegotiator {
    fn drop(&mut self) {
        let _ = (self.process.kill(), self.process.wait());
    }
}

impl Renegotiator {
    fn start() -> Renegotiator {
        let pem = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(pem.path(), local().chain.clone() + &local().key).unwrap();
        let mut process = Command::new("openssl")
            .args(["s_server", "-tls1_2", "-accept", "127.0.0.1:0", "-cert"])
            .arg(pem.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs the command openssl");
        let heard = Arc::new(Mutex::new((Vec::new(), 0)));
        let (mut output, hears) = (process.stdout.take().unwrap(), Arc::clone(&heard));
        thread::spawn(move || {
            let mut some = vec![0; 64 << 10];
            while let Ok(count @ 1..) = output.read(&mut some) {
                let mut heard = hears.lock().unwrap();
                heard.1 += count;
                if heard.0.len() < 100_000 {
                    heard.0.extend_from_slice(&some[..count]);
                }
            }
        });
        let input = process.stdin.take().unwrap();
        let mut upstream = Renegotiator { process, input, heard, port: 0 };
        wait_until("it listens", || upstream.text().contains("ACCEPT 127.0.0.1:"));
        let text = upstream.text();
        let port = text.split("127.0.0.1:").nth(1).unwrap().lines().next().unwrap().trim();
        upstream.port = port.parse().unwrap();
        upstream
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap().0).into_owned()
    }

    fn say(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).unwrap();
        thread::sleep(Duration::from_millis(60)); // what it reads together is one command, or none
    }

    /// Answers the request for an upgrade.
    fn agree(&mut self) {
        wait_until("a request comes", || {
            self.text().split_once("GET / ").is_some_and(|(_, head)| head.contains("\r\n\r\n"))
        });
        let text = self.text();
        let (_, head) = text.split_once("GET / ").unwrap();
        let answer = good_answer(&format!("GET / {head}"), "");
        self.say(answer.as_bytes());
    }
}

/// A session with it: client, upstream, host.
fn renegotiable(policy: Policy) -> (Peer<Stream>, Renegotiator, Host) {
    let mut upstream = Renegotiator::start();
    let url = format!("wss://127.0.0.1:{}", upstream.port);
    let config = config(UPSTREAM, policy, |config| {
        config.write_timeout(Duration::from_secs(3));
    });
    let host = Host::start(config, &url, pass);
    let addr = host.addr;
    let client = thread::spawn(move || connect(addr, false));
    upstream.agree();
    (client.join().unwrap(), upstream, host)
}

#[test]
fn a_session_goes_on_after_a_renegotiation() {
    watched(|| {
        for policy in POLICIES {
            let (mut client, mut upstream, host) = renegotiable(policy);
            for round in 0..3 {
                upstream.say(b"r\n");
                let words = format!("round {round}");
                upstream.say(&frame(true, 1, words.as_bytes(), None));
                assert_eq!(client.hear_text(), words, "{policy:?}");
                let before = upstream.heard.lock().unwrap().1;
                client.send(true, BINARY, &[7; 1000]);
                wait_until("a frame goes up", || upstream.heard.lock().unwrap().1 >= before + 1008);
            }
            assert!(upstream.text().contains("SSL_do_handshake -> 1"), "{}", upstream.text());
            drop((client, upstream));
            assert!(host.outcome().is_err());
        }
    });
}

#[test]
fn a_renegotiation_under_load_is_passed_or_ends_the_session_and_never_hangs() {
    watched(|| {
        for policy in POLICIES {
            let (mut client, mut upstream, host) = renegotiable(policy);
            let mut sends = client.other_hand();
            let load = thread::spawn(move || {
                let bytes = frame(true, BINARY, &[7; 10_000], Some([0; 4]));
                // As long as anybody takes it.
                (0..3_000).try_for_each(|_| sends.try_send_bytes(&bytes)).is_ok()
            });
            for _ in 0..5 {
                upstream.say(b"r\n");
            }
            let all_taken = load.join().unwrap();
            upstream.say(&frame(true, 1, b"still here", None));
            let goes_on = all_taken && client.try_hear().is_some_and(|heard| heard.opcode == 1);
            let before = cpu();
            thread::sleep(Duration::from_millis(400));
            let used = cpu() - before;
            assert!(used < Duration::from_millis(200), "{policy:?}: a spin of {used:?}");
            println!("{policy:?}: goes on: {goes_on}");
            drop((client, upstream));
            let error = host.outcome().expect_err("nobody has closed it");
            assert!(!error.message().is_empty());
            println!("{policy:?}: {error}");
        }
    });
}
