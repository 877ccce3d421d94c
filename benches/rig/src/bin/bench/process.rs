//! Processes that the benchmark starts: they end with it, however it ends, and leave their last words.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use crate::accounting::tree;
use crate::Result;

const READY_WITHIN: Duration = Duration::from_secs(20);
const END_WITHIN: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A process and its descendants; killed when dropped.
pub struct Process {
    child: Child,
    words: PathBuf,
}

impl Process {
    /// `words` is a file for what it says on standard error.
    pub fn start(command: &Command, cpu: Option<usize>, words: PathBuf) -> Result<Self> {
        Self::spawn(guarded(command, cpu).stdin(Stdio::null()).stdout(Stdio::null()), words)
    }

    fn spawn(command: &mut Command, words: PathBuf) -> Result<Self> {
        let child = command.stderr(File::create(&words)?).spawn();
        let child = child.map_err(|error| format!("{command:?}: {error}"))?;
        Ok(Process { child, words })
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are small"))
    }

    /// The process and its descendants, as they are now.
    pub fn tree(&self) -> Result<Vec<Pid>> {
        tree(self.pid())
    }

    /// The beginning of what it said on standard error: the cause comes first.
    pub fn words(&self) -> String {
        let said = fs::read_to_string(&self.words).unwrap_or_default();
        let lines = said.lines().filter(|line| !line.trim().is_empty());
        lines.take(2).collect::<Vec<_>>().join("; ")
    }

    /// Waits for its end, for so long.
    fn wait(&mut self, most: Duration) {
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < most {
            sleep(LOOK_AGAIN);
        }
    }

    /// Waits until it accepts connections.
    pub fn wait_for_port(&mut self, port: u16) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("did not start: {status}; {}", self.words()).into());
            }
            if begun.elapsed() > READY_WITHIN {
                return Err(format!("no listener after {READY_WITHIN:?}; {}", self.words()).into());
            }
            sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A master ends its workers, and takes their status.
        if self.tree().is_ok_and(|tree| tree.len() > 1) {
            let _ = kill(self.pid(), Signal::SIGTERM);
            self.wait(END_WITHIN);
        }
        for pid in self.tree().unwrap_or_else(|_| vec![self.pid()]) {
            let _ = kill(pid, Signal::SIGKILL); // it may have ended by itself
        }
        let _ = self.child.wait();
    }
}

/// A process that is given lines and answers each with a line.
pub struct Dialogue {
    process: Process,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Dialogue {
    pub fn start(command: &Command, cpu: Option<usize>, words: PathBuf) -> Result<Self> {
        let mut command = guarded(command, cpu);
        let mut process =
            Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()), words)?;
        let orders = process.child.stdin.take().ok_or("no standard input")?;
        let answers = BufReader::new(process.child.stdout.take().ok_or("no standard output")?);
        Ok(Dialogue { process, orders, answers })
    }

    /// The next line that it says.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            let _ = self.process.child.wait(); // its words are all there then
            return Err(self.process.words().into());
        }
        Ok(line.trim().to_owned())
    }

    /// The numbers of its answer to `order`.
    pub fn ask(&mut self, order: &str) -> Result<Vec<f64>> {
        // If it has ended, its words are the answer.
        let _ = writeln!(self.orders, "{order}");
        let line = self.line()?;
        let numbers: std::result::Result<_, _> = line.split(' ').skip(1).map(str::parse).collect();
        Ok(numbers.map_err(|error| format!("{line:?}: {error}"))?)
    }
}

/// The same on one CPU, to be ended by the kernel should the thread that starts it end first.
fn guarded(command: &Command, cpu: Option<usize>) -> Command {
    let mut guarded = Command::new("setpriv");
    if let Some(cpu) = cpu {
        guarded = Command::new("taskset");
        guarded.args(["--cpu-list", &cpu.to_string(), "setpriv"]);
    }
    guarded.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program()).args(command.get_args());
    guarded.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    guarded
}

/// A port that nobody has; another may take it before it is used, and then the start fails.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
