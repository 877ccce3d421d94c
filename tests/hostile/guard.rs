//! What a test may not leave behind: threads, descriptors, memory.
//!
//! Theory: one test at a time, on a thread whose name all its unnamed threads inherit, so that they can be told
//! from the test runner's; the library's own threads have names that begin with `wsproxy`.

use std::fs;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What the allocator may keep of what was freed.
const MARGIN: u64 = 32 << 20;
const NAME: &str = "hostile-body";

static ALONE: Mutex<()> = Mutex::new(());

/// Runs `body` alone, and checks that the process is afterwards what it was before.
pub fn watched(body: impl FnOnce() + Send) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (fds, memory) = (descriptors(), memory("VmRSS"));
    let outcome = thread::scope(|scope| {
        thread::Builder::new().name(NAME.into()).spawn_scoped(scope, body).unwrap().join()
    });
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
    settle(|| leftovers().is_empty(), || format!("threads are left: {:?}", leftovers()));
    settle(
        || descriptors().len() <= fds.len(),
        || format!("descriptors are left: {:?}, before: {fds:?}", descriptors()),
    );
    let now = self::memory("VmRSS");
    assert!(now < memory + MARGIN, "{} KiB more than before", (now - memory) >> 10);
}

/// Waits until `good`, for a while.
pub fn settle(good: impl Fn() -> bool, words: impl Fn() -> String) {
    let started = Instant::now();
    while !good() {
        assert!(started.elapsed() < Duration::from_secs(20), "{}", words());
        thread::sleep(Duration::from_millis(5));
    }
}

/// A line of `/proc/self/status` that counts KiB, in bytes.
pub fn memory(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap() << 10
}

/// From now on `VmHWM` is the peak since now; what is taken now.
pub fn reset_peak() -> u64 {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    memory("VmRSS")
}

/// The CPU time that this process has used.
pub fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10) // 100 ticks a second on every Linux
}

/// The names of the threads of tests and sessions, and the signals that are pending for them.
pub fn threads() -> Vec<(String, u64)> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
        .map(described)
        .collect()
}

fn described(status: String) -> (String, u64) {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    (field("Name:"), u64::from_str_radix(&field("SigPnd:"), 16).unwrap_or_default())
}

fn leftovers() -> Vec<String> {
    let names = threads().into_iter().map(|(name, _)| name);
    names.filter(|name| name == NAME || name.starts_with("wsproxy")).collect()
}

fn descriptors() -> Vec<String> {
    let fds = fs::read_dir("/proc/self/fd").unwrap();
    fds.filter_map(|fd| Some(fs::read_link(fd.ok()?.path()).ok()?.display().to_string())).collect()
}
