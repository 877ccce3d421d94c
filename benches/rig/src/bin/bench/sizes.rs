//! Row h: the cost of a frame against its size, on one connection with one message in flight.

use crate::figures::{show, Figures};
use crate::options::Options;
use crate::peers::{Peer, Shape};
use crate::report::Section;
use crate::rounds::{find, have_failures, interleave, row, Outcome};
use crate::stage::{Setting, Stage};
use crate::table::Table;
use crate::Result;

/// On both sides of where a header changes, and then by fours.
const SIZES: [(&str, usize); 13] = [
    ("1 B", 1),
    ("16 B", 16),
    ("125 B", 125),
    ("126 B", 126),
    ("1 KiB", 1 << 10),
    ("4 KiB", 1 << 12),
    ("16 KiB", 1 << 14),
    ("64 KiB", 1 << 16),
    ("256 KiB", 1 << 18),
    ("1 MiB", 1 << 20),
    ("4 MiB", 1 << 22),
    ("16 MiB", 1 << 24),
    ("64 MiB", 1 << 26),
];

/// Of the seconds of a measurement, for each size.
const PART: f64 = 0.2;

/// By size.
type Costs = [Figures; SIZES.len()];
type Outcomes = Vec<Outcome<Costs>>;

pub fn measure(setting: &Setting, options: &Options) -> Vec<Section> {
    let outcomes =
        interleave(setting, options, false, |peer, costs| once(setting, options, peer, costs));
    vec![costs(&outcomes), ratios(&outcomes)]
}

fn once(setting: &Setting, options: &Options, peer: &Peer, costs: &mut Costs) -> Result<()> {
    eprintln!("row h, {}", peer.name);
    let mut stage = Stage::new(setting, peer, false)?;
    stage.open(1, 1)?;
    for ((name, size), figures) in SIZES.iter().zip(costs) {
        let kind = options.kind();
        let seconds = options.seconds * PART;
        let mut echo = |amount: &str| {
            let echoed = stage.echo(&format!("{kind} {size} 1 {amount}"));
            echoed.map_err(|error| format!("{name}: {error}"))
        };
        echo("times 2")?; // buffers grow
        figures.push(echo(&format!("for {seconds}"))?.cpu_per_frame());
    }
    stage.close().map(|_| ())
}

fn heading() -> Table {
    let names = SIZES.iter().map(|(name, _)| *name);
    Table::new(&std::iter::once("peer").chain(names).collect::<Vec<_>>())
}

fn costs(outcomes: &Outcomes) -> Section {
    let mut table = heading();
    for outcome in outcomes {
        table.push(row(outcome, |costs| costs.iter().map(Figures::to_string).collect()));
    }
    let has_failures = have_failures(outcomes);
    let title = "Row h: CPU µs per frame against the size of a message".into();
    Section { title, table, notes: Vec::new(), has_failures }
}

/// The same beside the pump of the same shape: a step upwards shows here, whatever the size costs in itself.
fn ratios(outcomes: &Outcomes) -> Section {
    let mut table = heading();
    for outcome in outcomes.iter().filter(|outcome| outcome.unfit.is_none()) {
        let is_loop = outcome.peer.shape == Shape::Loop;
        let pump = find(outcomes, if is_loop { "pump-epoll" } else { "pump-threads" });
        let Some(pump) = pump else { continue };
        let ratio = |(own, pump): (&Figures, &Figures)| {
            let ratio = own.median().zip(pump.median()).map(|(own, pump)| own / pump);
            ratio.map_or("–".into(), show)
        };
        table.push(row(outcome, |costs| costs.iter().zip(pump).map(ratio).collect()));
    }
    let title = "Row h: the same, beside the pump of the same shape".into();
    Section { title, table, notes: Vec::new(), has_failures: false }
}
