//! What other programs used of the machine meanwhile: whether the figures are worth keeping.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::resource::{getrusage, UsageWho};
use nix::sys::time::TimeVal;

use crate::Result;

/// Of /proc/stat, whatever the kernel's own clock is.
const TICKS_PER_SECOND: f64 = 100.0;

/// From when on it is counted.
pub struct Others {
    begun: Instant,
    used: f64,
}

impl Others {
    pub fn watch() -> Result<Self> {
        Ok(Others { begun: Instant::now(), used: used_by_others()? })
    }

    /// A line for the head of the results.
    pub fn words(&self) -> Result<String> {
        let used = used_by_others()? - self.used;
        let seconds = self.begun.elapsed().as_secs_f64();
        let share = (used / seconds).max(0.0) * 100.0;
        Ok(format!("- other programs meanwhile: {share:.0} % of one CPU, in {seconds:.0} s\n"))
    }
}

/// Seconds of all processes but this one and those it has waited for.
fn used_by_others() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let all = user_and_system(&stat).ok_or("/proc/stat has no line for all CPUs")?;
    let mut own = Duration::ZERO;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        own += duration(usage.user_time()) + duration(usage.system_time());
    }
    Ok(all - own.as_secs_f64())
}

/// The first three fields: user, nice, system.
fn user_and_system(stat: &str) -> Option<f64> {
    let fields = stat.strip_prefix("cpu ")?.split_whitespace().take(3);
    let ticks: Option<f64> = fields.map(|field| field.parse::<f64>().ok()).sum();
    ticks.map(|ticks| ticks / TICKS_PER_SECOND)
}

fn duration(time: TimeVal) -> Duration {
    let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_nice_and_system_time_of_all_cpus_are_added_up() {
        assert_eq!(user_and_system("cpu  100 20 80 999 1 2 3\ncpu0 1 2 3"), Some(2.0));
        assert_eq!(user_and_system("intr 5"), None);
    }
}
