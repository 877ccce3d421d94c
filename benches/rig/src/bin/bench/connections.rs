//! Row f: what sessions cost, idle, busy and gone; and what opening them costs.
//!
//! Theory: memory is counted from a proxy that has had a session already, so that what is set up once is not taken for
//! a session's. The kernel's buffers of sockets are no part of it.

use std::thread::sleep;
use std::time::Duration;

use crate::figures::{show, Figures};
use crate::frames::verdict;
use crate::options::Options;
use crate::peers::{Peer, Shape};
use crate::report::Section;
use crate::rounds::{find, have_failures, interleave, row, Outcome};
use crate::stage::{Setting, Stage};
use crate::table::Table;
use crate::Result;

const SESSIONS: usize = 1000;
const AT_ONCE: usize = 32;
/// What each session echoes before it is idle again.
const TRAFFIC: &str = "binary 65536 1 times 4";
/// How often sessions are opened in each repetition.
const WAVES: usize = 2;
/// In which a proxy comes to rest: after sessions were opened or closed, and after traffic.
const REST: Duration = Duration::from_millis(300);
const LONG_REST: Duration = Duration::from_millis(1500);

/// The budgets: KiB per idle session, KiB above that after traffic, and connects per second beside the pump.
const IDLE_CALLER: f64 = 22.0;
const IDLE_THREADS: f64 = 36.0;
const ABOVE_IDLE: f64 = 8.0;
const CONNECTS: f64 = 0.9;
const PUMP: &str = "pump-threads";

#[derive(Default)]
struct Costs {
    idle: Figures,
    after_traffic: Figures,
    after_close: Figures,
    per_second: Figures,
    cpu: Figures,
}

type Outcomes = Vec<Outcome<Costs>>;

pub fn measure(setting: &Setting, options: &Options) -> Section {
    section(&interleave(setting, options, false, |peer, costs| once(setting, peer, costs)))
}

fn once(setting: &Setting, peer: &Peer, costs: &mut Costs) -> Result<()> {
    eprintln!("row f, {}", peer.name);
    let mut stage = Stage::new(setting, peer, false)?;
    open(&mut stage, 1)?;
    stage.echo(TRAFFIC)?;
    close(&mut stage)?;
    let before = stage.pss()?;
    for wave in 0..WAVES {
        let opened = open(&mut stage, SESSIONS)?;
        costs.per_second.push(SESSIONS as f64 / opened.seconds);
        costs.cpu.push(opened.cpu.as_secs_f64() * 1e6 / SESSIONS as f64);
        if wave == 0 {
            costs.idle.push((stage.pss()? - before) / SESSIONS as f64);
            stage.echo(TRAFFIC)?;
            sleep(LONG_REST);
            costs.after_traffic.push((stage.pss()? - before) / SESSIONS as f64);
        }
        close(&mut stage)?;
        if wave == 0 {
            sleep(LONG_REST);
            costs.after_close.push(stage.pss()? - before);
        }
    }
    Ok(())
}

struct Opened {
    seconds: f64,
    cpu: Duration,
}

/// What a proxy does for a session after the client has its answer is part of what it costs to open one.
fn open(stage: &mut Stage, count: usize) -> Result<Opened> {
    let before = stage.cpu()?;
    let seconds = stage.open(count, AT_ONCE)?;
    sleep(REST);
    Ok(Opened { seconds, cpu: stage.cpu()? - before })
}

fn close(stage: &mut Stage) -> Result<()> {
    stage.close()?;
    sleep(REST);
    Ok(())
}

fn section(outcomes: &Outcomes) -> Section {
    let mut table = Table::new(&[
        "peer",
        "KiB idle",
        "spread",
        "budget",
        "KiB after traffic",
        "above idle",
        "KiB in all after close",
        "connects/s",
        "spread",
        "× pump-threads",
        "CPU µs/connect",
    ]);
    let pump = find(outcomes, PUMP).and_then(|costs| costs.per_second.median());
    for outcome in outcomes {
        table.push(row(outcome, |costs| cells(outcome.peer, costs, pump)));
    }
    let notes = vec![format!(
        "PSS of the proxy per session: idle, idle again {:.1} s after echoing 4 × 64 KiB each, and what is left in all \
         when they are closed. {AT_ONCE} connects at once.",
        LONG_REST.as_secs_f64()
    )];
    let title = format!("Row f: {SESSIONS} sessions");
    Section { title, table, notes, has_failures: have_failures(outcomes) }
}

fn cells(peer: &Peer, costs: &Costs, pump: Option<f64>) -> Vec<String> {
    let median = |figures: &Figures| figures.median().unwrap_or(f64::NAN);
    let (idle, connects) = (median(&costs.idle), median(&costs.per_second));
    let above = median(&costs.after_traffic) - idle;
    // Event loops have no budget here.
    let most = match peer.shape {
        Shape::Threads => Some(IDLE_THREADS),
        Shape::Caller => Some(IDLE_CALLER),
        Shape::Loop => None,
    };
    let most = most.filter(|_| peer.budget.is_some());
    let budget = most.map_or(String::new(), |most| verdict(idle, most));
    let above = match most {
        Some(_) => verdict(above, ABOVE_IDLE),
        None => format!("{above:.2}"),
    };
    let ratio = pump.map_or("–".into(), |pump| match connects / pump {
        ratio if most.is_some() && ratio < CONNECTS => format!("{ratio:.2} UNDER {CONNECTS}"),
        ratio => format!("{ratio:.2}"),
    });
    vec![
        show(idle),
        costs.idle.spread(),
        budget,
        costs.after_traffic.to_string(),
        above,
        costs.after_close.to_string(),
        format!("{connects:.0}"),
        costs.per_second.spread(),
        ratio,
        costs.cpu.to_string(),
    ]
}
