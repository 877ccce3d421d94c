//! `make bench`: runs every row against its peers, prints a table for each, and writes benches/RESULTS.md if asked.
//!
//! Rules. The figure that counts is the CPU time of the proxy's processes per forwarded frame, from the kernel's own
//! accounting: what is left of the machine goes to the load, so that its throughput tells less. Peers take turns within
//! each repetition, each in fresh processes; medians and spreads are told, never single figures. What is not built or
//! fails has a row that says so. Everything that was started is ended, by its process id.

mod accounting;
mod connections;
mod crowd;
mod figures;
mod frames;
mod machine;
mod options;
mod others;
mod peers;
mod placement;
mod process;
mod profile;
mod report;
mod rounds;
mod sizes;
mod stage;
mod table;
mod templates;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use options::{Options, Row};
use others::Others;
use report::Section;
use stage::Setting;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

const RESULTS: &str = "benches/RESULTS.md";

fn measure(setting: &Setting, options: &Options, row: Row) -> Vec<Section> {
    match row {
        Row::A | Row::B | Row::C | Row::D | Row::E => vec![frames::plain(setting, options, row)],
        Row::F => vec![connections::measure(setting, options)],
        Row::G => vec![crowd::measure(setting, options)],
        Row::H => sizes::measure(setting, options),
        Row::I => frames::over_tls(setting, options),
    }
}

/// Whether every peer that is built did its work.
fn run(options: &Options) -> Result<bool> {
    let setting = Setting::new(options.placement)?;
    let mut head = machine::describe(&setting, options)?;
    println!("{head}");
    let others = Others::watch()?;
    let mut sections = Vec::new();
    for row in &options.rows {
        for section in measure(&setting, options, *row) {
            println!("{section}");
            sections.push(section);
        }
    }
    let others = others.words()?;
    println!("{others}");
    head.push_str(&others);
    if options.write {
        fs::write(Path::new(RESULTS), report::page(&head, &sections))?;
        println!("written to {RESULTS}");
    }
    Ok(sections.iter().all(|section| !section.has_failures))
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(words) => {
            eprintln!("bench: {words}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("bench: some peers failed, see above");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
