//! The C hosts and HAProxy as processes: started, restarted, asked, ended by their ids.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::io::{fcntl_setfd, FdFlags};
use rustix::process::{kill_process, Pid, Signal};
use tempfile::TempDir;

use super::built::{c_host, root};
use super::support::{wait_until, LONG};

fn tell(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), signal).unwrap();
}

fn wait(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(started.elapsed() < LONG, "process {} does not end", child.id());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Debian has it where the paths of people who are not root do not lead.
fn haproxy() -> &'static str {
    const SYSTEM: &str = "/usr/sbin/haproxy";
    match Path::new(SYSTEM).is_file() {
        true => SYSTEM,
        false => "haproxy",
    }
}

/// One C host.
pub struct Host {
    pub address: String,
    upstream: String,
    flags: Vec<String>,
    child: Child,
}

impl Host {
    pub fn start(upstream: &str) -> Host {
        Host::start_with(upstream, &[])
    }

    pub fn start_with(upstream: &str, flags: &[&str]) -> Host {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let (child, address) = Host::spawn("127.0.0.1:0", upstream, &flags);
        Host { address, upstream: upstream.to_owned(), flags, child }
    }

    fn spawn(listen: &str, upstream: &str, flags: &[String]) -> (Child, String) {
        let mut child = Command::new(c_host())
            .args(["--listen", listen, "--upstream", upstream, "--hook", "pass"])
            .args(["--drain-timeout", "10000"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let address = said.trim().strip_prefix("listening on ").expect("where it listens");
        (child, address.to_owned())
    }

    /// SIGTERM, and then another one in its place.
    pub fn restart(&mut self) {
        tell(&self.child, Signal::TERM);
        assert_eq!(wait(&mut self.child).code(), Some(0), "a drain is an orderly end");
        (self.child, _) = Host::spawn(&self.address, &self.upstream, &self.flags);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// HAProxy with the shipped configuration, and a socket to ask it.
pub struct Balancer {
    pub address: String,
    child: Child,
    folder: TempDir,
}

impl Balancer {
    pub fn start(hosts: [&str; 2]) -> Balancer {
        // It inherits a socket that listens already: the port is free for certain.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        fcntl_setfd(&listener, FdFlags::empty()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let asking = folder.path().join("asking.cfg");
        let socket = folder.path().join("socket");
        let text = format!("global\n    stats socket {} level user\n", socket.display());
        std::fs::write(&asking, text).unwrap();
        let child = Command::new(haproxy())
            .arg("-db")
            .arg("-f")
            .arg(root().join("bindings/c/haproxy.cfg"))
            .arg("-f")
            .arg(&asking)
            .env("WSPROXY_BIND", format!("fd@{}", listener.as_raw_fd()))
            .env("WSPROXY_A", hosts[0])
            .env("WSPROXY_B", hosts[1])
            .spawn()
            .expect("haproxy, which tests/setup.sh installs");
        let balancer = Balancer { address, child, folder };
        wait_until("HAProxy answers", || balancer.is_up("a") && balancer.is_up("b"));
        assert!(TcpStream::connect(&balancer.address).is_ok());
        balancer
    }

    /// Waits until the health check has found a host well.
    pub fn has_up(&self, name: &str) {
        wait_until("the host is healthy again", || self.is_up(name));
    }

    fn is_up(&self, name: &str) -> bool {
        self.ask("show stat").is_some_and(|answer| {
            let line = answer.lines().find(|line| line.starts_with(&format!("proxies,{name},")));
            // The column "status"; "UP 1/2" is on its way down.
            line.and_then(|line| line.split(',').nth(17)) == Some("UP")
        })
    }

    fn ask(&self, question: &str) -> Option<String> {
        let mut socket = UnixStream::connect(self.folder.path().join("socket")).ok()?;
        writeln!(socket, "{question}").ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
