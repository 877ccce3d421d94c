//! What one measurement needs: an echo upstream, a proxy before it, a load generator before that; all of them fresh.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::peers::Peer;
use crate::placement::{Cpus, Placement};
use crate::process::{free_port, Dialogue, Process};
use crate::{accounting, Result};

/// Ten thousand sessions of five descriptors each.
const DESCRIPTORS: u64 = 65_536;
/// In which a proxy comes to rest after it was looked at.
const REST: Duration = Duration::from_millis(50);
/// Another may take a free port before it is used.
const STARTS: usize = 3;

/// Where everything is.
pub struct Setting {
    /// The checkout.
    pub root: PathBuf,
    /// Where what the benchmark needs is built.
    pub folder: PathBuf,
    /// Its programs that are written in Rust.
    pub programs: PathBuf,
    /// Files of this run.
    pub scratch: TempDir,
    /// What a process may have open.
    pub descriptors: u64,
    pub cpus: Cpus,
}

impl Setting {
    pub fn new(placement: Placement) -> Result<Self> {
        let root = std::env::current_dir()?;
        if !root.join("benches/peers").is_dir() {
            return Err("not in the root of a checkout: use make bench".into());
        }
        let own = std::env::current_exe()?;
        let programs = own.parent().ok_or("no folder")?.to_owned();
        let folder = programs.parent().ok_or("no folder")?.to_owned();
        let scratch = tempfile::Builder::new().prefix("wsproxy-bench-").tempdir()?;
        make_certificate(scratch.path())?;
        let descriptors = raise_descriptor_limit()?;
        let cpus = placement.cpus()?;
        Ok(Setting { root, folder, programs, scratch, descriptors, cpus })
    }

    pub fn certificate(&self) -> PathBuf {
        self.scratch.path().join("certificate.pem")
    }

    /// A program in C.
    pub fn c_program(&self, name: &str) -> PathBuf {
        self.root.join("target/c").join(name)
    }

    /// The interpreter that has `websockets`.
    pub fn python(&self) -> PathBuf {
        self.folder.join("websockets/bin/python3")
    }

    /// A file of benches/peers.
    pub fn peer(&self, name: &str) -> PathBuf {
        self.root.join("benches/peers").join(name)
    }

    /// A path as seen from the checkout.
    pub fn short(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    fn key(&self) -> PathBuf {
        self.scratch.path().join("key.pem")
    }

    fn words_of(&self, name: &str) -> PathBuf {
        self.scratch.path().join(format!("{name}.stderr"))
    }
}

/// As far as the hard limit goes, and beyond it if we may; returns what it is then.
fn raise_descriptor_limit() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.max(DESCRIPTORS);
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted) {
        Ok(()) => wanted,
        Err(_) => {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
            hard
        }
    };
    Ok(limit)
}

/// A certificate of its own authority, for the upstream.
fn make_certificate(folder: &Path) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    openssl.arg("-keyout").arg(folder.join("key.pem"));
    openssl.arg("-out").arg(folder.join("certificate.pem"));
    let output = openssl.output().map_err(|error| format!("openssl: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("openssl: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// What a proxy is told.
pub struct Place<'a> {
    pub setting: &'a Setting,
    pub port: u16,
    pub upstream: u16,
    pub tls: bool,
}

/// Three processes; the load ends first, then the proxy, then the upstream.
pub struct Stage {
    load: Dialogue,
    proxy: Process,
    pids: Vec<Pid>,
    port: u16,
    _echo: Dialogue,
}

impl Stage {
    pub fn new(setting: &Setting, peer: &Peer, tls: bool) -> Result<Self> {
        let mut echo = Command::new(setting.programs.join("echo"));
        if tls {
            echo.arg(setting.certificate()).arg(setting.key());
        }
        let mut echo = Dialogue::start(&echo, setting.cpus.peers, setting.words_of("echo"))?;
        let upstream = echo.line()?.parse()?;
        let (proxy, port) = start_proxy(setting, peer, upstream, tls)?;
        let load = Command::new(setting.programs.join("load"));
        let load = Dialogue::start(&load, setting.cpus.peers, setting.words_of("load"))?;
        sleep(REST);
        let pids = proxy.tree()?;
        Ok(Stage { load, proxy, pids, port, _echo: echo })
    }

    /// Opens connections; returns the seconds that it took.
    pub fn open(&mut self, count: usize, at_once: usize) -> Result<f64> {
        let order = format!("open 127.0.0.1:{} {count} {at_once}", self.port);
        self.ask(&order).map(|answer| answer[1])
    }

    pub fn close(&mut self) -> Result<f64> {
        self.ask("close").map(|answer| answer[1])
    }

    /// Sends messages; `how` is for the load generator.
    pub fn echo(&mut self, how: &str) -> Result<Echoed> {
        let before = self.cpu()?;
        let answer = self.ask(&format!("echo {how}"))?;
        let cpu = self.cpu()? - before;
        let [messages, seconds, p50, p99] = answer[..] else {
            return Err(format!("the load said {answer:?}").into());
        };
        Ok(Echoed { messages, seconds, p50, p99, cpu })
    }

    fn ask(&mut self, order: &str) -> Result<Vec<f64>> {
        self.load.ask(order).map_err(|error| {
            let words = self.proxy.words();
            format!("{error}{}{words}", if words.is_empty() { "" } else { "; the proxy: " }).into()
        })
    }

    pub fn cpu(&self) -> Result<Duration> {
        accounting::cpu(&self.pids)
    }

    pub fn pss(&self) -> Result<f64> {
        accounting::pss(&self.pids)
    }

    pub fn pids(&self) -> &[Pid] {
        &self.pids
    }
}

fn start_proxy(setting: &Setting, peer: &Peer, upstream: u16, tls: bool) -> Result<(Process, u16)> {
    let mut last = None;
    for _ in 0..STARTS {
        let port = free_port()?;
        let command = peer.command(&Place { setting, port, upstream, tls })?;
        let mut proxy = Process::start(&command, setting.cpus.proxy, setting.words_of(peer.name))?;
        match proxy.wait_for_port(port) {
            Ok(()) => return Ok((proxy, port)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| "not started".into()))
}

/// What sending messages came to.
pub struct Echoed {
    pub messages: f64,
    pub seconds: f64,
    /// Of round trips, in microseconds.
    pub p50: f64,
    pub p99: f64,
    /// What the proxy used.
    pub cpu: Duration,
}

impl Echoed {
    /// Each message crosses twice.
    pub fn frames(&self) -> f64 {
        self.messages * 2.0
    }

    pub fn cpu_per_frame(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.frames()
    }
}
