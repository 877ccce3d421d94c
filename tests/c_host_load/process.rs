//! The C host as a process: started, watched through /proc, signalled, waited for.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{kill_process, Pid, Signal};

use super::built::{c_event_loop, c_host, root, run};
use super::support::LONG;
use super::Shape;

/// The running C host; killed when dropped.
pub struct Process {
    pub addr: SocketAddr,
    child: Child,
    /// Read, so that it never blocks on its own output.
    _printed: Receiver<String>,
    complaints: Receiver<String>,
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = channel();
    thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
    });
    lines
}

/// `trim.c`, to be preloaded.
fn trim() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trim.so");
        let source = root().join("tests/c_host_load/trim.c");
        run(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source));
        library
    })
}

fn program(shape: Shape) -> Command {
    match shape {
        Shape::EventLoop => Command::new(c_event_loop()),
        Shape::Threads(policy) => {
            let mut command = Command::new(c_host());
            command.args(["--threads", policy]);
            command
        }
    }
}

impl Process {
    /// Starts it in front of the upstream at `url`, on a port of its own choice.
    pub fn start(shape: Shape, url: &str, flags: &[&str]) -> Process {
        Process::spawn(program(shape), url, flags)
    }

    /// The same with an allocator that keeps nothing for itself when `memory` asks: one arena, no cache of stacks.
    pub fn start_frugal(shape: Shape, url: &str, flags: &[&str]) -> Process {
        let mut command = program(shape);
        command.env("LD_PRELOAD", trim());
        command.env("GLIBC_TUNABLES", "glibc.malloc.arena_max=1:glibc.pthread.stack_cache_size=0");
        Process::spawn(command, url, flags)
    }

    fn spawn(mut command: Command, url: &str, flags: &[&str]) -> Process {
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--upstream", url])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = lines_of(child.stdout.take().unwrap());
        let complaints = lines_of(child.stderr.take().unwrap());
        let first = printed.recv_timeout(LONG).expect("it says where it listens");
        let addr = first.strip_prefix("listening on ").expect("where it listens").parse().unwrap();
        Process { addr, child, _printed: printed, complaints }
    }

    /// Everything on stderr, once it has ended.
    fn complaints(&self) -> Vec<String> {
        self.complaints.iter().collect()
    }

    fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < LONG, "the C host does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGTERM; does not wait.
    pub fn tell_to_end(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// It must end with status 0.
    pub fn has_to_end(mut self) {
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{:?}", self.complaints());
    }

    pub fn threads(&self) -> usize {
        self.entries("task")
    }

    pub fn descriptors(&self) -> usize {
        self.entries("fd")
    }

    fn entries(&self, folder: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{folder}", self.child.id())).unwrap().count()
    }

    /// What a frugal host holds, in KiB: neither pages of files nor what is only reserved.
    pub fn memory(&self) -> u64 {
        self.signal(Signal::USR1);
        thread::sleep(Duration::from_millis(200)); // nothing tells when it has been done
        self.anonymous_memory()
    }

    /// The same as it is now, with what is free and was kept.
    pub fn anonymous_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
