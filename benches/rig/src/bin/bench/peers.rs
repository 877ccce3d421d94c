//! The proxies: our hosts, and what they are measured against.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::{Place, Setting};
use crate::templates::{fill, Word};
use crate::Result;

/// What a proxy is, as far as its budget and the number of its sessions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Two threads per session.
    Threads,
    /// A thread per session, the caller's.
    Caller,
    /// An event loop.
    Loop,
}

/// What it may cost per frame.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    pub than: &'static str,
    pub factor: f64,
    /// The largest message that it is for.
    pub most: usize,
}

impl Budget {
    const fn of(than: &'static str, factor: f64) -> Self {
        Budget { than, factor, most: usize::MAX }
    }
}

type Flags = &'static [&'static str];

enum Program {
    /// `target/c/NAME LISTEN_PORT UPSTREAM_PORT`
    Pump(&'static str),
    Nginx {
        buffers: &'static str,
    },
    Haproxy,
    TokioTungstenite,
    Websockets,
    /// `target/c/NAME --listen … --upstream … FLAGS`, and `--tls-ca` if it speaks TLS.
    Host {
        name: &'static str,
        flags: Flags,
        tls: bool,
    },
    NginxLua,
    /// The Python binding: `python_host.py LISTEN_PORT UPSTREAM_PORT FRONT`
    Python(&'static str),
}

pub struct Peer {
    pub name: &'static str,
    pub shape: Shape,
    /// Ours have one.
    pub budget: Option<Budget>,
    program: Program,
}

const fn other(name: &'static str, shape: Shape, program: Program) -> Peer {
    Peer { name, shape, budget: None, program }
}

const fn proxy(name: &'static str, shape: Shape, factor: f64, flags: Flags) -> Peer {
    let program = Program::Host { name: "proxy", flags, tls: true };
    Peer { name, shape, budget: Some(Budget::of(PUMP, factor)), program }
}

const fn proxy_epoll(name: &'static str, flags: Flags) -> Peer {
    let program = Program::Host { name: "proxy-epoll", flags, tls: true };
    Peer { name, shape: Shape::Loop, budget: Some(Budget::of(LOOP, 1.15)), program }
}

const BUFFERS: &str = "proxy_buffer_size 64k; proxy_buffers 8 64k;";
const PUMP: &str = "pump-threads";
const LOOP: &str = "pump-epoll";

pub static PEERS: [Peer; 16] = [
    other(PUMP, Shape::Threads, Program::Pump(PUMP)),
    other(LOOP, Shape::Loop, Program::Pump(LOOP)),
    other("nginx", Shape::Loop, Program::Nginx { buffers: "" }),
    other("nginx-64k", Shape::Loop, Program::Nginx { buffers: BUFFERS }),
    other("haproxy", Shape::Loop, Program::Haproxy),
    other("tokio-tungstenite", Shape::Loop, Program::TokioTungstenite),
    other("websockets", Shape::Loop, Program::Websockets),
    proxy("none", Shape::Threads, 1.05, &["--hook", "none"]),
    proxy("pass-serial", Shape::Threads, 1.10, &["--hook", "pass", "--threads", "serial"]),
    proxy("pass-concurrent", Shape::Threads, 1.10, &["--hook", "pass", "--threads", "concurrent"]),
    proxy("pass-caller", Shape::Caller, 1.10, &["--hook", "pass", "--threads", "caller"]),
    proxy_epoll("epoll-none", &["--hook", "none"]),
    proxy_epoll("epoll-pass", &["--hook", "pass"]),
    Peer {
        name: "nginx-lua",
        shape: Shape::Loop,
        budget: Some(Budget { than: "nginx-64k", factor: 1.10, most: 125 }),
        program: Program::NginxLua,
    },
    Peer {
        name: "python",
        shape: Shape::Caller,
        budget: Some(Budget::of("websockets", 1.0)),
        program: Program::Python("threads"),
    },
    Peer {
        name: "python-asyncio",
        shape: Shape::Loop,
        budget: None,
        program: Program::Python("asyncio"),
    },
];

impl Peer {
    /// Why it cannot be measured, if so.
    pub fn unfit(&self, setting: &Setting, tls: bool) -> Option<String> {
        if tls && !self.speaks_tls() {
            return Some("no TLS".into());
        }
        let absent = self.files(setting).into_iter().find(|file| !file.exists())?;
        Some(format!("not built: there is no {}", setting.short(&absent)))
    }

    /// To the upstream.
    fn speaks_tls(&self) -> bool {
        match self.program {
            Program::Pump(_)
            | Program::TokioTungstenite
            | Program::Websockets
            | Program::Python(_) => false,
            Program::Host { tls, .. } => tls,
            Program::Nginx { .. } | Program::Haproxy | Program::NginxLua => true,
        }
    }

    fn files(&self, setting: &Setting) -> Vec<PathBuf> {
        match self.program {
            Program::Pump(name) | Program::Host { name, .. } => vec![setting.c_program(name)],
            Program::Nginx { .. } => vec![system("nginx")],
            Program::Haproxy => vec![system("haproxy")],
            Program::TokioTungstenite => vec![setting.programs.join("message-proxy")],
            Program::Websockets | Program::Python(_) => vec![setting.python()],
            Program::NginxLua => {
                vec![system("nginx"), lua_module(setting), Path::new(MODULES).join(LUA_MODULE)]
            }
        }
    }

    pub fn command(&self, place: &Place) -> Result<Command> {
        let setting = place.setting;
        Ok(match self.program {
            Program::Pump(name) => with_ports(Command::new(setting.c_program(name)), place),
            Program::TokioTungstenite => {
                with_ports(Command::new(setting.programs.join("message-proxy")), place)
            }
            Program::Websockets => {
                let mut python = Command::new(setting.python());
                python.arg(setting.peer("websockets_proxy.py"));
                with_ports(python, place)
            }
            Program::Python(front) => {
                let mut python = Command::new(setting.python());
                python.env("PYTHONPATH", setting.root.join("bindings/python/src"));
                python.env("WSPROXY_LIB", setting.c_program("libwsproxy.so.0"));
                python.arg(setting.peer("python_host.py"));
                let mut python = with_ports(python, place);
                python.arg(front);
                python
            }
            Program::Host { name, flags, .. } => host_command(place, name, flags),
            Program::Nginx { buffers } => nginx(place, buffers)?,
            Program::NginxLua => nginx_lua(place)?,
            Program::Haproxy => haproxy(place)?,
        })
    }
}

fn with_ports(mut command: Command, place: &Place) -> Command {
    command.arg(place.port.to_string()).arg(place.upstream.to_string());
    command
}

/// The largest message that is sent, in one frame.
const LARGEST: &str = "67108864";

fn host_command(place: &Place, name: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(place.setting.c_program(name));
    let scheme = if place.tls { "wss" } else { "ws" };
    command.arg("--listen").arg(format!("127.0.0.1:{}", place.port));
    command.arg("--upstream").arg(format!("{scheme}://127.0.0.1:{}", place.upstream));
    command.args(flags).args(["--max-frame-size", LARGEST]);
    if place.tls {
        command.arg("--tls-ca").arg(place.setting.certificate());
    }
    command
}

/// Where Debian has it, also for users whose path does not lead there.
fn system(name: &str) -> PathBuf {
    Path::new("/usr/sbin").join(name)
}

const MODULES: &str = "/usr/lib/nginx/modules";
const LUA_MODULE: &str = "ngx_http_lua_module.so";

fn lua_folder(setting: &Setting) -> PathBuf {
    setting.root.join("bindings/lua")
}

fn lua_module(setting: &Setting) -> PathBuf {
    lua_folder(setting).join("resty/wsproxy.lua")
}

fn nginx(place: &Place, buffers: &str) -> Result<Command> {
    let certificate = place.setting.certificate();
    let scheme = if place.tls { "https" } else { "http" };
    let tls = format!(
        "proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_trusted_certificate {};",
        certificate.display()
    );
    let words = [
        ("UPSTREAM", format!("{scheme}://127.0.0.1:{}", place.upstream)),
        ("BUFFERS", buffers.to_owned()),
        ("TLS", if place.tls { tls } else { String::new() }),
    ];
    run_nginx(place, "nginx.conf", &words)
}

fn nginx_lua(place: &Place) -> Result<Command> {
    let setting = place.setting;
    let scheme = if place.tls { "wss" } else { "ws" };
    let words = [
        ("UPSTREAM", format!("{scheme}://127.0.0.1:{}", place.upstream)),
        ("MODULES", MODULES.to_owned()),
        ("LUA", lua_folder(setting).display().to_string()),
        ("CA", setting.certificate().display().to_string()),
    ];
    let mut command = run_nginx(place, "nginx_lua.conf", &words)?;
    command.env("WSPROXY_LIB", setting.c_program("libwsproxy.so.0"));
    Ok(command)
}

fn run_nginx(place: &Place, template: &str, words: &[Word]) -> Result<Command> {
    let file = fill(place, template, words)?;
    let mut command = Command::new(system("nginx"));
    command.arg("-p").arg(place.setting.scratch.path()).args(["-e", "stderr", "-c"]).arg(file);
    Ok(command)
}

fn haproxy(place: &Place) -> Result<Command> {
    let verified = format!("ssl verify required ca-file {}", place.setting.certificate().display());
    let words = [
        ("UPSTREAM_PORT", place.upstream.to_string()),
        ("TLS", if place.tls { verified } else { String::new() }),
    ];
    let file = fill(place, "haproxy.cfg", &words)?;
    let mut command = Command::new(system("haproxy"));
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}
