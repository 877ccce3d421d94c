//! Where a proxy's time goes: `perf` beside a measurement.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use crate::stage::{Setting, Stage};
use crate::Result;

/// A recording under way.
pub struct Profile {
    perf: std::process::Child,
    file: PathBuf,
}

/// Lines of the report that are shown.
const LINES: usize = 40;

impl Profile {
    /// Records all processes of the proxy into the folder of the benchmark.
    pub fn start(setting: &Setting, stage: &Stage, name: &str) -> Result<Self> {
        let file = setting.folder.join(format!("{name}.perf"));
        let pids: Vec<String> = stage.pids().iter().map(Pid::to_string).collect();
        let mut perf = Command::new("perf");
        perf.args(["record", "--quiet", "--freq", "1999", "-g", "--pid", &pids.join(",")]);
        perf.arg("--output").arg(&file).stdin(Stdio::null());
        perf.stderr(File::create(file.with_extension("perf.log"))?);
        let perf = perf.spawn().map_err(|error| format!("perf: {error} (Debian: linux-perf)"))?;
        Ok(Profile { perf, file })
    }

    /// Ends it, and shows the functions that cost the most themselves.
    pub fn show(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.perf.id())?), Signal::SIGINT)?;
        self.perf.wait()?;
        let mut report = Command::new("perf");
        report.args(["report", "--stdio", "--no-children", "-g", "none", "--percent-limit", "0.5"]);
        report.args(["--sort", "dso,symbol"]).arg("--input").arg(&self.file);
        let output = report.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        println!("{}:", self.file.display());
        lines.take(LINES).for_each(|line| println!("{}", line.trim_end_matches([' ', '-'])));
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into()),
        }
    }
}
