//! A program in Lua as a process: started, heard line by line, ended by its id.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{kill_process, Pid, Signal};

use super::shared_library;
use super::support::LONG;

/// Where our modules are.
pub fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings/lua")
}

/// `luajit` that finds our modules, and the library of this source.
pub fn luajit() -> Command {
    let mut command = Command::new("luajit");
    command.env("LUA_PATH", format!("{}/?.lua;;", modules().display()));
    command.env("WSPROXY_LIB", shared_library::file()).stdin(Stdio::null());
    command
}

/// Runs `code` to its end; gives back what it has printed, on stdout and on stderr, and its status.
pub fn run(code: &str) -> (String, String, ExitStatus) {
    run_with(luajit(), code)
}

pub fn run_with(mut command: Command, code: &str) -> (String, String, ExitStatus) {
    let output = command.arg("-e").arg(code).output().expect("luajit, as tests/setup.sh installs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr), output.status)
}

/// Runs `code`, which must end well; gives back what it has printed.
pub fn printed_by(code: &str) -> String {
    let (printed, complaints, status) = run(code);
    assert!(status.success() && complaints.is_empty(), "{status}\n{printed}\n{complaints}");
    printed
}

/// A program that runs.
pub struct Script {
    child: Child,
    printed: Receiver<String>,
    complaints: Receiver<String>,
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = channel();
    thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
    });
    lines
}

impl Script {
    /// `code` behind `scene.lua`, with the URL of an upstream.
    pub fn start(code: &str, url: &str) -> Script {
        let scene = include_str!("scene.lua");
        let mut command = luajit();
        // `arg` is not there for what `-e` runs.
        command.arg("-e").arg(format!("arg = {{ {url:?} }}\n{scene}\n{code}"));
        Script::spawn(command)
    }

    pub fn spawn(mut command: Command) -> Script {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("luajit, as tests/setup.sh installs");
        let printed = lines_of(child.stdout.take().unwrap());
        let complaints = lines_of(child.stderr.take().unwrap());
        Script { child, printed, complaints }
    }

    /// The next line.
    pub fn line(&self) -> String {
        self.printed.recv_timeout(LONG).unwrap_or_else(|_| {
            panic!(
                "no further line; complaints: {:?}",
                self.complaints.try_iter().collect::<Vec<_>>()
            )
        })
    }

    /// The words of the next report, which must be of this kind.
    pub fn report(&self, kind: &str) -> Vec<String> {
        let line = self.line();
        let mut words = line.split('\t').map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some(kind), "{line:?}");
        words.collect()
    }

    /// The next report must be this one, words with tabs between them.
    pub fn says(&self, report: &str) {
        self.line_is(report);
    }

    /// The next line must be this one.
    pub fn line_is(&self, line: &str) {
        assert_eq!(self.line(), line);
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.report("listening").remove(0).parse().unwrap()
    }

    /// The next line on stderr.
    pub fn complaint(&self) -> String {
        self.complaints.recv_timeout(LONG).expect("a line on stderr")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn tell(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// How it has ended, and what is left on stderr.
    pub fn ended(&mut self) -> (ExitStatus, Vec<String>) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.complaints.iter().collect());
            }
            assert!(started.elapsed() < LONG, "the script does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// It must end with status 0, and without a word on stderr or one more on stdout.
    pub fn has_to_end(&mut self) {
        let (status, complaints) = self.ended();
        assert!(status.success() && complaints.is_empty(), "{status}: {complaints:?}");
        assert_eq!(self.printed.iter().collect::<Vec<_>>(), Vec::<String>::new());
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = (self.child.kill(), self.child.wait());
    }
}
