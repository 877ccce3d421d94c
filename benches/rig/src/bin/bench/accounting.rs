//! What processes have used, from the kernel's own accounting.
//!
//! Theory: the CPU clock of a process counts the user and system time of all its threads, those that have ended too,
//! in nanoseconds (clock_getcpuclockid(3)); /proc/PID/stat has the same in hundredths of a second. PSS counts a page
//! that several processes share in parts, so that a master and its workers can be added up.

use std::fs;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::Result;

/// `root` and its descendants.
pub fn tree(root: Pid) -> Result<Vec<Pid>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse() else { continue };
        // Whatever has ended by now is nobody's child.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        parents.extend(parent(&stat).map(|parent| (Pid::from_raw(pid), parent)));
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(found)
}

/// The fourth field; the second is a name in parentheses that may contain anything.
fn parent(stat: &str) -> Option<Pid> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok().map(Pid::from_raw)
}

/// User and system time so far.
pub fn cpu(pids: &[Pid]) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for pid in pids {
        total += Duration::from(clock_getcpuclockid(*pid)?.now()?);
    }
    Ok(total)
}

/// Proportional set size, in KiB.
pub fn pss(pids: &[Pid]) -> Result<f64> {
    let of = |pid| number(&format!("/proc/{pid}/smaps_rollup"), "Pss:");
    pids.iter().map(of).sum()
}

/// How many threads there are.
pub fn threads(pids: &[Pid]) -> Result<f64> {
    pids.iter().map(|pid| number(&format!("/proc/{pid}/status"), "Threads:")).sum()
}

fn number(file: &str, field: &str) -> Result<f64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let value = line.and_then(|rest| rest.split_whitespace().next());
    Ok(value.ok_or_else(|| format!("{file} has no {field}"))?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent("7 (a) b) (c) S 42 7 7 0"), Some(Pid::from_raw(42)));
    }

    #[test]
    fn this_process_has_used_something_and_has_a_tree() {
        let own = [Pid::this()];
        assert!(cpu(&own).unwrap() > Duration::ZERO);
        assert!(pss(&own).unwrap() > 100.0 && threads(&own).unwrap() >= 1.0);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = tree(Pid::this()).unwrap();
        child.kill().and_then(|()| child.wait()).unwrap();
        assert!(found.contains(&Pid::from_raw(i32::try_from(child.id()).unwrap())));
    }
}
