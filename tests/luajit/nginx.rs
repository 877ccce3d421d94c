//! nginx with a configuration of the README's: started in a folder of its own, ended by its id.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::net::sockopt::set_socket_reuseport;
use rustix::net::{bind, socket_with, AddressFamily, SocketFlags, SocketType};
use rustix::process::{kill_process, Pid, Signal};
use tempfile::TempDir;

use super::readme::with;
use super::script::modules;
use super::shared_library;
use super::support::wait_until;

/// A port that nobody else is given: bound here, never listened on, shared with nginx by SO_REUSEPORT.
pub struct Port(TcpListener);

impl Port {
    pub fn reserve() -> Port {
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        let socket: OwnedFd = socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
        set_socket_reuseport(&socket, true).unwrap();
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        Port(TcpListener::from(socket))
    }

    pub fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub fn listen(&self) -> String {
        format!("listen {} reuseport", self.addr())
    }
}

pub struct Nginx {
    pub addr: SocketAddr,
    child: Child,
    folder: TempDir,
    _port: Port,
}

impl Nginx {
    /// The printed configuration, on a port of the test's; `prepare` puts files into the folder that it runs in.
    pub fn start(conf: &str, prepare: impl FnOnce(&Path)) -> Nginx {
        let (port, folder) = (Port::reserve(), tempfile::tempdir().unwrap());
        let conf = with(conf, "listen 8080", &port.listen());
        let path = format!("{}/?.lua;{}/?.lua", modules().display(), folder.path().display());
        let conf = with(&conf, "/usr/local/share/lua/5.1/?.lua", &path);
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        std::fs::write(folder.path().join("nginx.conf"), conf).unwrap();
        prepare(folder.path());
        let addr = port.addr();
        let mut nginx = Nginx { addr, child: spawn(folder.path()), folder, _port: port };
        nginx.wait_until_it_listens();
        nginx
    }

    fn wait_until_it_listens(&mut self) {
        wait_until("nginx listens", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "nginx has ended: {ended:?}\n{}", self.log());
            TcpStream::connect(self.addr).is_ok()
        });
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("logs/error.log")).unwrap_or_default()
    }

    /// Waits until a line of the log has these words.
    pub fn says(&self, words: &str) {
        wait_until(&format!("the log has {words:?}"), || self.log().contains(words));
    }

    /// Nothing at level error or above.
    pub fn is_content(&self) {
        let bad = ["[error]", "[crit]", "[alert]", "[emerg]"];
        let log = self.log();
        let found: Vec<&str> =
            log.lines().filter(|line| bad.iter().any(|b| line.contains(b))).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// In the foreground, so that it is this process's child; as root its workers are root too, for they read files of root's.
fn spawn(folder: &Path) -> Child {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let program = ["/usr/sbin/nginx", "nginx"].into_iter().find(|name| Path::new(name).is_file());
    let mut command = Command::new(program.unwrap_or("nginx"));
    command.current_dir(folder).args(["-p", ".", "-c", "nginx.conf", "-e", "logs/error.log"]);
    command.args(["-g", &format!("daemon off; {user}")]).env("WSPROXY_LIB", shared_library::file());
    command.stdin(Stdio::null()).spawn().expect("nginx, as tests/setup.sh installs")
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
        if let Some(id) = Pid::from_raw(self.child.id().try_into().unwrap()) {
            let _ = kill_process(id, Signal::TERM); // it may have ended
        }
        let _ = self.child.wait(); // a master ends its workers
    }
}
