//! The command line.

use crate::peers::{Peer, PEERS};
use crate::placement::Placement;

pub const USAGE: &str = "\
usage: make bench ARGS=\"[--rows a,b,...] [--peers NAME,...] [--seconds S] [--repeat N] [--place apart|one|free]
                        [--text] [--write] [--profile]\"
  --rows     of a to i; all of them without
  --peers    names, or beginnings of names (pump, pass, nginx); all of them without
  --seconds  of each measurement, after a warm-up of a fifth; 1 without
  --repeat   how many measurements a median is of; 3 without
  --place    proxy and load on two CPUs, on one, or where the scheduler puts them; apart without
  --text     text messages instead of binary ones, for rows a to e, h and i
  --write    replace benches/RESULTS.md by what this run measures
  --profile  rows a to e: record each proxy with perf while it is measured, and show where the time went
benches/README.md tells what the rows and the peers are.
";

/// What is measured; benches/README.md has them in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    A,
    B,
    C,
    D,
    E,
    F,
    G,
    H,
    I,
}

const ROWS: [(&str, Row); 9] = [
    ("a", Row::A),
    ("b", Row::B),
    ("c", Row::C),
    ("d", Row::D),
    ("e", Row::E),
    ("f", Row::F),
    ("g", Row::G),
    ("h", Row::H),
    ("i", Row::I),
];

pub struct Options {
    pub rows: Vec<Row>,
    pub peers: Vec<&'static Peer>,
    pub seconds: f64,
    pub repeat: usize,
    pub placement: Placement,
    pub text: bool,
    pub write: bool,
    pub profile: bool,
}

impl Options {
    /// `None` when help was asked for.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Options {
            rows: ROWS.iter().map(|(_, row)| *row).collect(),
            peers: PEERS.iter().collect(),
            seconds: 1.0,
            repeat: 3,
            placement: Placement::Apart,
            text: false,
            write: false,
            profile: false,
        };
        while let Some(flag) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--rows" => options.rows = rows(&value()?)?,
                "--peers" => options.peers = peers(&value()?)?,
                "--seconds" => options.seconds = positive(&value()?)?,
                "--repeat" => options.repeat = positive(&value()?)? as usize,
                "--place" => options.placement = placement(&value()?)?,
                "--text" => options.text = true,
                "--write" => options.write = true,
                "--profile" => options.profile = true,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown flag {flag}")),
            }
        }
        options.repeat = options.repeat.max(1);
        Ok(Some(options))
    }

    /// What the load generator calls the messages.
    pub fn kind(&self) -> &'static str {
        if self.text {
            "text"
        } else {
            "binary"
        }
    }

    /// The numbers of the peers in the order of a repetition: each begins with another, and every other one goes
    /// backwards.
    pub fn turns(&self, repetition: usize) -> Vec<usize> {
        let count = self.peers.len();
        let mut turns: Vec<usize> = (0..count).collect();
        turns.rotate_left(repetition % count);
        if repetition % 2 == 1 {
            turns.reverse();
        }
        turns
    }
}

fn rows(names: &str) -> Result<Vec<Row>, String> {
    let row = |name| {
        let found = ROWS.iter().find(|(known, _)| *known == name);
        found.map(|(_, row)| *row).ok_or_else(|| format!("no row {name:?}"))
    };
    names.split(',').map(row).collect()
}

fn peers(names: &str) -> Result<Vec<&'static Peer>, String> {
    let names: Vec<&str> = names.split(',').collect();
    for name in &names {
        if name.is_empty() || !PEERS.iter().any(|peer| peer.name.starts_with(name)) {
            let known: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
            return Err(format!("no peer {name:?}; there are {}", known.join(", ")));
        }
    }
    // A whole name means that peer alone, though another's begins with it.
    let is_meant = |peer: &Peer, name: &str| {
        let is_whole = PEERS.iter().any(|other| other.name == name);
        if is_whole {
            peer.name == name
        } else {
            peer.name.starts_with(name)
        }
    };
    Ok(PEERS.iter().filter(|peer| names.iter().any(|name| is_meant(peer, name))).collect())
}

fn placement(name: &str) -> Result<Placement, String> {
    Placement::parse(name).ok_or_else(|| format!("not apart, one or free: {name:?}"))
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("not a number above 0: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Option<Options>, String> {
        Options::parse(words.split_whitespace().map(str::to_owned))
    }

    fn names(words: &str) -> Vec<&'static str> {
        parse(words).unwrap().unwrap().peers.iter().map(|peer| peer.name).collect()
    }

    #[test]
    fn peers_are_chosen_by_their_names_or_beginnings_of_names() {
        assert_eq!(names("--peers pump"), ["pump-threads", "pump-epoll"]);
        assert_eq!(names("--peers nginx"), ["nginx"]);
        assert_eq!(names("--peers pass-c,haproxy"), ["haproxy", "pass-concurrent", "pass-caller"]);
        assert!(parse("--peers pumps").is_err() && parse("--peers ,").is_err());
    }

    #[test]
    fn rows_and_numbers_are_checked() {
        assert_eq!(parse("--rows a,i").unwrap().unwrap().rows, [Row::A, Row::I]);
        for wrong in [
            "--rows j",
            "--rows",
            "--seconds 0",
            "--seconds x",
            "--repeat -1",
            "--place x",
            "--what",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("--help").unwrap().is_none());
    }

    #[test]
    fn every_repetition_has_every_peer_once() {
        let options = parse("--peers pump,nginx-64k,none").unwrap().unwrap();
        assert_eq!(options.turns(0), [0, 1, 2, 3]);
        assert_eq!(options.turns(1), [0, 3, 2, 1]);
        assert_eq!(options.turns(2), [2, 3, 0, 1]);
    }
}
