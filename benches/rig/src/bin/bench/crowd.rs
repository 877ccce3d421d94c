//! Row g: thousands of sessions held at once, each echoing once. Once: it either works or does not.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::figures::show;
use crate::options::Options;
use crate::peers::{Peer, Shape};
use crate::report::Section;
use crate::rounds::{have_failures, row, Outcome};
use crate::stage::{Setting, Stage};
use crate::table::Table;
use crate::{accounting, Result};

const CROWD: usize = 10_000;
const THREADED_CROWD: usize = 5_000;
const AT_ONCE: usize = 64;
const ECHO: &str = "binary 125 1 times 1";
const REST: Duration = Duration::from_millis(500);

/// Both sockets; what wakes a caller is a third.
const DESCRIPTORS_EACH: usize = 2;
const DESCRIPTORS_OF_CALLERS: usize = 3;
/// One for each way: that of a connection, and a second.
const THREADS_EACH: usize = 2;
/// A stack and its guard.
const MAPPINGS_EACH: usize = 2;
/// What a process needs besides.
const RESERVE: usize = 500;

pub fn measure(setting: &Setting, options: &Options) -> Section {
    let mut table = Table::new(&[
        "peer",
        "sessions",
        "wanted",
        "threads",
        "KiB/session",
        "connects/s",
        "CPU µs/connect",
        "each echoed in s",
        "CPU µs/frame",
        "closed in s",
    ]);
    let mut outcomes = Vec::new();
    for peer in &options.peers {
        let mut outcome = Outcome::new(peer);
        outcome.measure(setting, false, |peer, cells: &mut Vec<String>| {
            *cells = once(setting, peer)?;
            Ok(())
        });
        table.push(row(&outcome, Vec::clone));
        outcomes.push(outcome);
    }
    let notes = vec![format!(
        "{CROWD} sessions, and {THREADED_CROWD} where each has two threads of its own; fewer where the limits above do \
         not allow them: each has {DESCRIPTORS_EACH} descriptors ({DESCRIPTORS_OF_CALLERS} under `caller`) and up to \
         {THREADS_EACH} threads."
    )];
    let title = "Row g: a crowd, each echoing 125 B once".into();
    Section { title, table, notes, has_failures: have_failures(&outcomes) }
}

fn once(setting: &Setting, peer: &Peer) -> Result<Vec<String>> {
    eprintln!("row g, {}", peer.name);
    let wanted = if peer.shape == Shape::Threads { THREADED_CROWD } else { CROWD };
    let count = wanted.min(allowed(setting, peer.shape)?);
    let mut stage = Stage::new(setting, peer, false)?;
    let (before, cpu) = (stage.pss()?, stage.cpu()?);
    let opened = stage.open(count, AT_ONCE)?;
    sleep(REST);
    let connecting = (stage.cpu()? - cpu).as_secs_f64() * 1e6;
    let memory = stage.pss()? - before;
    let threads = accounting::threads(stage.pids())?;
    let echoed = stage.echo(ECHO)?;
    if echoed.messages != count as f64 {
        return Err(format!("{} of {count} echoed", echoed.messages).into());
    }
    let closed = stage.close()?;
    Ok(vec![
        count.to_string(),
        wanted.to_string(),
        threads.to_string(),
        show(memory / count as f64),
        format!("{:.0}", count as f64 / opened),
        show(connecting / count as f64),
        show(echoed.seconds),
        show(echoed.cpu_per_frame()),
        show(closed),
    ])
}

/// How many sessions the limits of this machine allow.
fn allowed(setting: &Setting, shape: Shape) -> Result<usize> {
    let limit = |name: &str| -> Result<usize> {
        let text = fs::read_to_string(format!("/proc/sys/{name}"))?;
        Ok(text.trim().parse::<usize>()?.saturating_sub(RESERVE))
    };
    let (each, threads) = match shape {
        Shape::Threads => (DESCRIPTORS_EACH, THREADS_EACH),
        Shape::Caller => (DESCRIPTORS_OF_CALLERS, 1),
        Shape::Loop => (DESCRIPTORS_EACH, 0),
    };
    let descriptors = usize::try_from(setting.descriptors)?.saturating_sub(RESERVE) / each;
    if threads == 0 {
        return Ok(descriptors);
    }
    let threaded = [
        limit("kernel/threads-max")? / threads,
        limit("kernel/pid_max")? / threads,
        limit("vm/max_map_count")? / (threads * MAPPINGS_EACH),
    ];
    Ok(threaded.into_iter().fold(descriptors, usize::min))
}
