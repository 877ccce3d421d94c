//! What the figures were measured on and with, and how: they mean nothing without.

use std::fs;
use std::process::Command;

use crate::options::Options;
use crate::stage::Setting;
use crate::Result;

/// The head of the results.
pub fn describe(setting: &Setting, options: &Options) -> Result<String> {
    let lines = [
        ("date", said("date", &["-u", "+%F %R UTC"])),
        ("libwsproxy", format!("{} at {}", version(setting)?, commit())),
        ("how", how(options)),
        ("processor", processor()?),
        ("memory", memory()?),
        ("system", format!("{}, Linux {}", distribution()?, text("/proc/sys/kernel/osrelease"))),
        ("load average at the start", text("/proc/loadavg")),
        ("limits", limits(setting)),
        ("peers", peers(setting)?),
    ];
    Ok(lines.map(|(name, value)| format!("- {name}: {value}\n")).concat())
}

fn how(options: &Options) -> String {
    format!(
        "medians of {} interleaved repetitions of {} s each, {} messages; {}",
        options.repeat,
        options.seconds,
        options.kind(),
        options.placement.words()
    )
}

fn version(setting: &Setting) -> Result<String> {
    let manifest = fs::read_to_string(setting.root.join("Cargo.toml"))?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = "));
    Ok(line.unwrap_or("unknown").trim_matches('"').to_owned())
}

fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    format!("{commit}{}", if changed { " with changes" } else { "" })
}

fn processor() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let names: Vec<&str> = info
        .lines()
        .filter(|line| line.starts_with("model name"))
        .filter_map(|line| line.split_once(": "))
        .map(|(_, name)| name)
        .collect();
    Ok(format!("{} × {}", names.len(), names.first().unwrap_or(&"unknown")))
}

fn memory() -> Result<String> {
    let info = fs::read_to_string("/proc/meminfo")?;
    let kib = info.split_whitespace().nth(1).unwrap_or("0").parse::<u64>()?;
    Ok(format!("{} GiB", kib.div_ceil(1 << 20)))
}

fn distribution() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release")?;
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    Ok(name.unwrap_or("unknown").trim_matches('"').to_owned())
}

/// What decides how many sessions and threads there can be.
fn limits(setting: &Setting) -> String {
    format!(
        "{} descriptors per process, {} threads, {} process ids, {} mappings per process",
        setting.descriptors,
        text("/proc/sys/kernel/threads-max"),
        text("/proc/sys/kernel/pid_max"),
        text("/proc/sys/vm/max_map_count"),
    )
}

fn peers(setting: &Setting) -> Result<String> {
    let lock = fs::read_to_string(setting.peer("message_proxy/Cargo.lock"))?;
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"tokio-tungstenite\"");
    let tokio = lines.nth(1).unwrap_or_default().trim_start_matches("version = ").trim_matches('"');
    let websockets = fs::read_to_string(setting.peer("requirements.txt"))?;
    let nginx = said("/usr/sbin/nginx", &["-v"]);
    let haproxy = said("/usr/sbin/haproxy", &["-v"]);
    Ok([
        said("cc", &["--version"]),
        said("rustc", &["--version"]),
        nginx.trim_start_matches("nginx version: ").to_owned(),
        haproxy.split(" - ").next().unwrap_or_default().to_owned(),
        format!("tokio-tungstenite {tokio}"),
        websockets.trim().replace("==", " "),
        said("python3", &["--version"]),
        said("openssl", &["version"]),
    ]
    .join("; "))
}

/// The first line that a program says, on either output.
fn said(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return format!("no {program}");
    };
    let all = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&all).lines().next().unwrap_or_default().to_owned()
}

fn text(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default().trim().to_owned()
}
