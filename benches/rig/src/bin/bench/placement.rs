//! On which CPUs the proxy runs, and on which the load and the upstream do.
//!
//! Theory: left alone, the scheduler puts a proxy now beside its load and now apart from it, and sticks to that for
//! seconds. A wake-up of another CPU costs more than all that a proxy does for a small frame, in a virtual machine most
//! of all; so the same proxy costs 3 µs per frame in one repetition and 25 in the next, and no median helps.

use nix::sched::{sched_getaffinity, CpuSet};
use nix::unistd::Pid;

use crate::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The proxy on one CPU, the load and the upstream on another: every frame wakes another CPU, as peers over a
    /// network make it.
    Apart,
    /// All on one: what the proxy itself does and nothing else. Repeatable within two percent, on a busy machine too.
    One,
    /// As the scheduler has it.
    Free,
}

impl Placement {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "apart" => Some(Placement::Apart),
            "one" => Some(Placement::One),
            "free" => Some(Placement::Free),
            _ => None,
        }
    }

    /// For the head of the results.
    pub fn words(self) -> &'static str {
        match self {
            Placement::Apart => "the proxy on one CPU, load and upstream on another",
            Placement::One => "proxy, load and upstream on one CPU",
            Placement::Free => "all processes where the scheduler puts them",
        }
    }

    /// The CPU of the proxy, and that of the load and the upstream.
    pub fn cpus(self) -> Result<Cpus> {
        let allowed = sched_getaffinity(Pid::this())?;
        let mut allowed =
            (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or_default());
        let first = allowed.next().ok_or("no CPU")?;
        // The first and the last are no two halves of one core.
        let last = allowed.next_back();
        Ok(match self {
            Placement::Free => Cpus { proxy: None, peers: None },
            Placement::One => Cpus { proxy: Some(first), peers: Some(first) },
            Placement::Apart => {
                let last = last.ok_or("one CPU only: use --place one or free")?;
                Cpus { proxy: Some(first), peers: Some(last) }
            }
        })
    }
}

/// Where to run; anywhere without a number.
#[derive(Debug, Clone, Copy)]
pub struct Cpus {
    pub proxy: Option<usize>,
    pub peers: Option<usize>,
}
