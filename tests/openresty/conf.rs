//! nginx.conf for tests: one process by default, in which any blocking call would stop everything.
//!
//! In every text these stand for what is known only when nginx starts: `@PORT@`, `@TLS_PORT@`, `@PREFIX@`.

use std::net::SocketAddr;
use std::path::Path;

use super::authority::Identity;

/// What is special about an nginx.
pub struct Conf {
    pub log_level: &'static str,
    /// A master and so many workers, instead of one process.
    pub workers: Option<usize>,
    /// What `location /` runs.
    pub content: String,
    /// More for the blocks `http` and `server`.
    pub http: String,
    pub server: String,
    /// Lua that runs before the workers start, and in each worker before the first request.
    pub init: String,
    pub init_worker: String,
    /// `listen … ssl` besides.
    pub tls: Option<Identity>,
}

impl Default for Conf {
    fn default() -> Conf {
        let none = String::new;
        Conf {
            log_level: "info",
            workers: None,
            content: none(),
            http: none(),
            server: none(),
            init: none(),
            init_worker: none(),
            tls: None,
        }
    }
}

const REPORT: &str = include_str!("report.lua");

/// Our modules first, and a module whose place they take before them if the tests are to be tested.
fn package_path() -> String {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings/lua/?.lua");
    let first = std::env::var("WSPROXY_TEST_LUA_PATH").map(|path| path + ";").unwrap_or_default();
    format!("{first}{};/usr/share/lua/5.1/?.lua;;", ours.display())
}

impl Conf {
    /// With this in `location /`.
    pub fn running(content: &str) -> Conf {
        Conf { content: content.to_owned(), ..Conf::default() }
    }

    pub fn text(&self, prefix: &Path, plain: SocketAddr, tls: SocketAddr) -> String {
        let text = [self.main(), self.http(plain), self.server(tls)].concat();
        text.replace("@PORT@", &plain.port().to_string())
            .replace("@TLS_PORT@", &tls.port().to_string())
            .replace("@PREFIX@", &prefix.display().to_string())
    }

    fn main(&self) -> String {
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let processes = match self.workers {
            None => "master_process off;".to_owned(),
            Some(workers) => format!("worker_processes {workers};"),
        };
        format!(
            "daemon off; {processes} {user}
env WSPROXY_LIB;
pid @PREFIX@/pid;
error_log @PREFIX@/error.log {};
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
events {{ worker_connections 512; }}
",
            self.log_level
        )
    }

    fn http(&self, plain: SocketAddr) -> String {
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path @PREFIX@/{name};\n"))
            .concat();
        format!(
            "http {{
    access_log off; keepalive_timeout 0;
{temporary}    lua_package_path \"{}\";
    init_by_lua_block {{
{REPORT}
{}
    }}
    init_worker_by_lua_block {{ {} }}
    {}
    server {{
        listen {} reuseport;
",
            package_path(),
            self.init,
            self.init_worker,
            self.http,
            plain
        )
    }

    fn server(&self, tls: SocketAddr) -> String {
        let listen = self.tls.as_ref().map(|_| {
            format!(
                "        listen {} ssl reuseport;
        ssl_certificate @PREFIX@/certificate.pem;
        ssl_certificate_key @PREFIX@/key.pem;
",
                tls
            )
        });
        format!(
            "{}{}
        location = /ready {{ return 204; }}
        location / {{
            content_by_lua_block {{
{}
            }}
        }}
    }}
}}
",
            listen.unwrap_or_default(),
            self.server,
            self.content
        )
    }
}
