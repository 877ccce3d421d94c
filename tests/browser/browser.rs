//! Chromium as a process: headless, with a home and a profile of its own, in a process group of its own that ends
//! with it.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{kill_process, kill_process_group, Pid, Signal};

const NAMES: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// How long it may take to end when asked to; then it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// It sees the test's own pages only: the sandbox, which root and most containers cannot have, guards nothing here.
/// Names are looked up nowhere, and what it does of its own accord is off.
const FLAGS: [&str; 14] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--password-store=basic",
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND",
    "--enable-logging=stderr",
];

const STDERR: &str = "stderr";
const NET_LOG: &str = "net.json";

pub struct Browser {
    child: Child,
    home: PathBuf,
}

impl Browser {
    /// Opens `url`, with all that it reads and writes under `home`.
    pub fn open(home: &Path, url: &str) -> Browser {
        let log = || File::create(home.join(STDERR)).unwrap();
        let profile = format!("--user-data-dir={}", home.join("profile").display());
        let net_log = format!("--log-net-log={}", home.join(NET_LOG).display());
        for name in NAMES {
            let mut command = Command::new(name);
            command.args(FLAGS).args([&profile, &net_log]);
            command.arg(url).env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
            command.env("HOME", home).env("TMPDIR", home).process_group(0);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log());
            match command.spawn() {
                Ok(child) => return Browser { child, home: home.into() },
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => panic!("{name}: {error}"),
            }
        }
        panic!("this test needs Chromium (Debian: chromium), by one of the names {NAMES:?}");
    }

    /// All that it has written to its stderr, which its console is part of.
    pub fn words(&self) -> String {
        read(&self.home.join(STDERR))
    }

    /// Ends it, and gives back the log of its network: requests, answers, errors, as JSON.
    pub fn finish(mut self) -> String {
        self.end();
        read(&self.home.join(NET_LOG))
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until nobody is left who could still write under the home.
    fn end(&mut self) {
        if !self.has_ended() {
            let _ = kill_process(self.pid(), Signal::TERM);
        }
        within(PATIENCE, || self.has_ended());
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
        let group = self.pid().as_raw_nonzero().get();
        within(PATIENCE, || !lives(group));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.end();
    }
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned()
}

fn within(period: Duration, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() && started.elapsed() < period {
        sleep(Duration::from_millis(5));
    }
}

/// Whether a process of this group runs; those who have ended and were not asked for their status do not count.
fn lives(group: i32) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let stats =
        processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    // After the name, in parentheses: state, parent, group.
    let words = stats.filter_map(|stat| {
        let words: Vec<String> =
            stat.rsplit_once(')')?.1.split_whitespace().map(Into::into).collect();
        Some((words.first()?.clone(), words.get(2)?.parse::<i32>().ok()?))
    });
    words.into_iter().any(|(state, of)| of == group && state != "Z" && state != "X")
}
