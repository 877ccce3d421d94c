//! nginx as a process of the test's own: started, watched, ended by its id.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{kill_process, Pid, Signal};
use tempfile::TempDir;

use super::conf::Conf;
use super::log::{entries, Entry};
use super::port::Port;
use super::shared_library;
use super::support::http::{ask, status};
use super::support::{wait_until, LONG};

pub struct Nginx {
    pub addr: SocketAddr,
    /// Where TLS is spoken, if it is.
    pub tls_addr: SocketAddr,
    child: Child,
    folder: TempDir,
    _ports: [Port; 2],
}

/// Debian has it where the paths of people who are not root do not lead.
fn program() -> &'static str {
    const SYSTEM: &str = "/usr/sbin/nginx";
    match Path::new(SYSTEM).is_file() {
        true => SYSTEM,
        false => "nginx",
    }
}

impl Nginx {
    /// With this in `location /`.
    pub fn running(content: &str) -> Nginx {
        Nginx::start(&Conf::running(content))
    }

    pub fn start(conf: &Conf) -> Nginx {
        let (plain, tls) = (Port::reserve(), Port::reserve());
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), conf, plain.addr(), tls.addr());
        let mut command = Command::new(program());
        command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
        command.env("WSPROXY_LIB", shared_library::file()).stdin(Stdio::null());
        let child = command.spawn().expect("nginx, which tests/setup.sh installs");
        let (addr, tls_addr) = (plain.addr(), tls.addr());
        let mut nginx = Nginx { addr, tls_addr, child, folder, _ports: [plain, tls] };
        nginx.wait_until_it_answers();
        nginx
    }

    fn wait_until_it_answers(&mut self) {
        wait_until("nginx listens", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "nginx has ended: {ended:?}");
            TcpStream::connect(self.addr).is_ok()
        });
        assert_eq!(self.get("/ready").0, 204);
    }

    /// Everything in the error log so far.
    pub fn log(&self) -> Vec<Entry> {
        let log = fs::read(self.folder.path().join("error.log")).unwrap_or_default();
        entries(&String::from_utf8_lossy(&log))
    }

    /// What Lua said so far at these levels, tests' reports apart.
    pub fn said(&self, levels: &[&str]) -> Vec<String> {
        let log = self.log();
        let wanted = log.iter().filter(|entry| levels.contains(&entry.level.as_str()));
        wanted.filter_map(|entry| entry.lua()).map(str::to_owned).collect()
    }

    /// Waits until Lua has said `words` so often, as a whole message at this level.
    pub fn hear_said(&self, level: &str, words: &str, times: usize) {
        let count = || self.said(&[level]).iter().filter(|said| *said == words).count();
        wait_until(&format!("[{level}] {words:?} {times} times"), || count() >= times);
    }

    /// Everything told so far under this name by [`report`](super::conf).
    pub fn reports(&self, name: &str) -> Vec<String> {
        self.log().iter().filter_map(|entry| entry.report(name)).map(str::to_owned).collect()
    }

    /// Waits for the first report under this name.
    pub fn report(&self, name: &str) -> String {
        self.first_reports(name, 1).remove(0)
    }

    /// Waits for so many reports under this name.
    pub fn first_reports(&self, name: &str, count: usize) -> Vec<String> {
        wait_until(&format!("{count} reports of {name}"), || self.reports(name).len() >= count);
        self.reports(name)
    }

    /// Asks for `target` and gives back status and body, which HTTP/1.0 has in one piece.
    pub fn get(&self, target: &str) -> (u16, String) {
        let request = format!("GET {target} HTTP/1.0\r\nHost: h\r\n\r\n");
        let answer = ask(self.addr, request.as_bytes());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status(&answer), body.to_owned())
    }

    /// Nothing was written at level error or above.
    pub fn is_content(&self) {
        let bad: Vec<Entry> = self.log().into_iter().filter(Entry::is_bad).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn tell(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Waits for its end, a while.
    pub fn ended_within(&mut self, period: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        loop {
            match self.child.try_wait().unwrap() {
                None if started.elapsed() < period => thread::sleep(Duration::from_millis(1)),
                ended => return ended,
            }
        }
    }

    fn show_log(&self) {
        for entry in self.log() {
            eprintln!("error.log: {entry}");
        }
    }
}

fn write_files(folder: &Path, conf: &Conf, plain: SocketAddr, tls: SocketAddr) {
    fs::write(folder.join("nginx.conf"), conf.text(folder, plain, tls)).unwrap();
    if let Some(identity) = &conf.tls {
        fs::write(folder.join("certificate.pem"), &identity.chain).unwrap();
        fs::write(folder.join("key.pem"), &identity.key).unwrap();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if thread::panicking() {
            self.show_log();
        }
        // Told again and again: one process without a master may hear of it just before it begins to wait for events,
        // and then goes on waiting. A master kills workers that do not hear of it after a second.
        let started = Instant::now();
        while self.ended_within(Duration::ZERO).is_none() && started.elapsed() < LONG {
            self.tell(Signal::TERM);
            let _ = self.ended_within(Duration::from_millis(50)); // asked again above
        }
        if self.ended_within(Duration::ZERO).is_none() {
            let _ = (self.child.kill(), self.child.wait());
            assert!(thread::panicking(), "nginx does not end");
        }
    }
}
