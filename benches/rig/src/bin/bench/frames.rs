//! Rows a to e, and i: the cost of a frame in a steady state.

use crate::figures::{show, Figures};
use crate::options::{Options, Row};
use crate::peers::{Budget, Peer};
use crate::profile::Profile;
use crate::report::Section;
use crate::rounds::{find, have_failures, interleave, row, Outcome};
use crate::stage::{Setting, Stage};
use crate::table::Table;
use crate::Result;

/// Connections that send messages of one size.
#[derive(Debug, Clone, Copy)]
struct Load {
    name: &'static str,
    connections: usize,
    size: usize,
    in_flight: usize,
}

const A: Load = Load { name: "a", connections: 1, size: 125, in_flight: 1 };
const B: Load = Load { name: "b", connections: 32, size: 125, in_flight: 1 };
const C: Load = Load { name: "c", connections: 8, size: 125, in_flight: 64 };
const D: Load = Load { name: "d", connections: 4, size: 64 * 1024, in_flight: 4 };
const E: Load = Load { name: "e", connections: 2, size: 1 << 20, in_flight: 2 };

/// What TLS may cost beside the cheaper of those that terminate the same.
const TLS_FACTOR: f64 = 1.10;
const TERMINATORS: [&str; 2] = ["nginx-64k", "haproxy"];
const PUMPS: [&str; 2] = ["pump-threads", "pump-epoll"];

/// What the repetitions with one peer came to.
#[derive(Default)]
struct Costs {
    cpu: Figures,
    frames: Figures,
    p50: Figures,
    p99: Figures,
}

type Outcomes = Vec<Outcome<Costs>>;

/// One of the rows a to e.
pub fn plain(setting: &Setting, options: &Options, row: Row) -> Section {
    let load = match row {
        Row::A => A,
        Row::B => B,
        Row::C => C,
        Row::D => D,
        _ => E,
    };
    let outcomes = measure(setting, options, load, false);
    let budget =
        |peer: &Peer| limit(&outcomes, peer.budget.filter(|budget| load.size <= budget.most)?);
    section(options, load.name, load, &outcomes, PUMPS, budget)
}

/// Row i: b, c and d over TLS on the upstream leg.
pub fn over_tls(setting: &Setting, options: &Options) -> Vec<Section> {
    let mut sections = Vec::new();
    for (name, load) in [("i, b over TLS", B), ("i, c over TLS", C), ("i, d over TLS", D)] {
        let outcomes = measure(setting, options, load, true);
        let cheapest = TERMINATORS.iter().filter_map(|name| cost(&outcomes, name));
        let cheapest = cheapest.min_by(f64::total_cmp);
        let budget =
            |peer: &Peer| peer.budget.and(cheapest).map(|than| Limit { than, factor: TLS_FACTOR });
        sections.push(section(options, name, load, &outcomes, TERMINATORS, budget));
    }
    sections
}

fn measure(setting: &Setting, options: &Options, load: Load, tls: bool) -> Outcomes {
    interleave(setting, options, tls, |peer, costs| once(setting, options, peer, load, tls, costs))
}

fn once(
    setting: &Setting,
    options: &Options,
    peer: &Peer,
    load: Load,
    tls: bool,
    costs: &mut Costs,
) -> Result<()> {
    eprintln!("row {}, {}", load.name, peer.name);
    let mut stage = Stage::new(setting, peer, tls)?;
    stage.open(load.connections, load.connections)?;
    let echo =
        |seconds| format!("{} {} {} for {seconds}", options.kind(), load.size, load.in_flight);
    stage.echo(&echo(options.seconds / 5.0))?;
    let profile = match options.profile {
        true => Some(Profile::start(setting, &stage, &format!("{}-{}", load.name, peer.name))?),
        false => None,
    };
    let echoed = stage.echo(&echo(options.seconds))?;
    profile.map_or(Ok(()), Profile::show)?;
    costs.cpu.push(echoed.cpu_per_frame());
    costs.frames.push(echoed.frames() / echoed.seconds);
    costs.p50.push(echoed.p50);
    costs.p99.push(echoed.p99);
    stage.close().map(|_| ())
}

fn cost(outcomes: &Outcomes, name: &str) -> Option<f64> {
    find(outcomes, name)?.cpu.median()
}

/// What a frame may cost.
struct Limit {
    than: f64,
    factor: f64,
}

fn limit(outcomes: &Outcomes, budget: Budget) -> Option<Limit> {
    cost(outcomes, budget.than).map(|than| Limit { than, factor: budget.factor })
}

fn section(
    options: &Options,
    name: &str,
    load: Load,
    outcomes: &Outcomes,
    beside: [&str; 2],
    budget: impl Fn(&Peer) -> Option<Limit>,
) -> Section {
    let Load { connections, size, in_flight, .. } = load;
    let title = format!(
        "Row {name}: {connections} connection{}, {size} B ({}), {in_flight} in flight",
        if connections == 1 { "" } else { "s" },
        options.kind()
    );
    let ratios = beside.map(|name| format!("× {name}"));
    let mut table = Table::new(&[
        "peer",
        "CPU µs/frame",
        "spread",
        &ratios[0],
        &ratios[1],
        "budget",
        "frames/s",
        "MiB/s",
        "p50 µs",
        "p99 µs",
    ]);
    let beside = beside.map(|name| cost(outcomes, name));
    for outcome in outcomes {
        table.push(row(outcome, |costs| cells(costs, load, beside, budget(outcome.peer))));
    }
    Section { title, table, notes: Vec::new(), has_failures: have_failures(outcomes) }
}

fn cells(costs: &Costs, load: Load, beside: [Option<f64>; 2], limit: Option<Limit>) -> Vec<String> {
    let own = costs.cpu.median().unwrap_or(f64::NAN);
    let ratio = |than: Option<f64>| than.map_or("–".into(), |than| format!("{:.2}", own / than));
    let budget = limit.map_or(String::new(), |Limit { than, factor }| verdict(own / than, factor));
    let frames = costs.frames.median().unwrap_or(f64::NAN);
    vec![
        costs.cpu.to_string(),
        costs.cpu.spread(),
        ratio(beside[0]),
        ratio(beside[1]),
        budget,
        format!("{frames:.0}"),
        show(frames * load.size as f64 / f64::from(1 << 20)),
        costs.p50.to_string(),
        costs.p99.to_string(),
    ]
}

/// Whether a ratio is within its budget.
pub fn verdict(ratio: f64, most: f64) -> String {
    let sign = if ratio <= most { "≤" } else { "OVER" };
    format!("{ratio:.2} {sign} {most:.2}")
}
