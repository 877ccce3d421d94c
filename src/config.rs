//! Every setting, its default and the reason for it.
//!
//! Rule: a setter checks its value and says what is wrong with it; a bad value changes nothing.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::io::{ClientTls, TlsVersion, UpstreamTls};
use crate::ws::frame::{PerSide, Side};
use crate::ws::handshake::{check_protocol, Forwarded, HeaderRules};
use crate::ws::limits::Limits;
use crate::ws::origin::OriginList;
use crate::ws::proxy_url::ProxyUrl;
use crate::ws::receive::Rules;
use crate::ws::timers::Periods;

/// Where the hook runs. See [`Config::policy`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// On the session's two threads, never on both at once.
    #[default]
    Serial,
    /// On the session's two threads, for both directions at once.
    Concurrent,
    /// On the thread that called `execute`, which then starts no thread at all.
    Caller,
}

/// The settings of any number of sessions.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) policy: Policy,
    pub(crate) rules: PerSide<Rules>,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) keepalive_interval: Duration,
    pub(crate) pass_headers: bool,
    pub(crate) headers: HeaderRules,
    pub(crate) protocols: Vec<String>,
    pub(crate) forwarded: Forwarded,
    pub(crate) origins: OriginList,
    pub(crate) send_queue: usize,
    pub(crate) thread_stack_size: usize,
    pub(crate) http_proxy: Option<ProxyUrl>,
    pub(crate) upstream_tls: UpstreamTls,
    pub(crate) client_tls: ClientTls,
}

/// The smallest stack that a hook of a few frames' depth fits on.
const MIN_STACK: usize = 64 * 1024;

impl Default for Config {
    fn default() -> Self {
        let limits = Limits {
            // One frame is held whole, so that no peer ever sees half of one. tungstenite and Kong Gateway
            // (upstream) allow the same 16 MiB; Chromium cuts messages into frames of 128 KiB, Node's ws does not cut.
            max_frame_size: 16 << 20,
            // tungstenite's 64 MiB. Matters for memory only when aggregating; checked in both modes, so that
            // switching aggregation on refuses nothing that passed before.
            max_message_size: 64 << 20,
            // Fragments are joined into one buffer and cost no memory beyond their bytes, so this only ends
            // messages that never end (empty fragments, for example).
            max_fragments: 1 << 20,
            // The code says it all, and what a frame says is what the peer's logs keep.
            explain: false,
        };
        let rules = Rules { aggregate: false, check_utf8: true, limits };
        Config {
            policy: Policy::Serial,
            rules: PerSide { client: rules, upstream: rules },
            // nginx waits 60 s for an upstream; a person before a browser does not. curl and Go dial within 30 s.
            connect_timeout: Duration::from_secs(10),
            // Twice nginx's proxy_read_timeout: most WebSocket applications ping every 20 to 60 s.
            idle_timeout: Duration::from_secs(120),
            // A peer that takes no byte for this long is gone; TCP itself would try for 15 minutes.
            write_timeout: Duration::from_secs(30),
            // Python's websockets and browsers wait about as long for the answer to a close frame.
            close_timeout: Duration::from_secs(10),
            // Pings pass end to end, so that peers can do this themselves.
            keepalive_interval: Duration::ZERO,
            // Cookies and credentials are what an upstream decides by; nginx passes them too.
            pass_headers: true,
            headers: HeaderRules::default(),
            protocols: Vec::new(),
            // They tell the upstream about the client; whether it may know is the host's to say.
            forwarded: Forwarded::default(),
            origins: OriginList::default(),
            // Enough for bursts of small frames; one frame of any size always fits.
            send_queue: 1 << 20,
            // What is not touched takes no memory; enough for hooks in C.
            thread_stack_size: 256 * 1024,
            http_proxy: None,
            // Certificates are verified, from TLS 1.2 on: what curl does.
            upstream_tls: UpstreamTls::default(),
            client_tls: ClientTls::default(),
        }
    }
}

impl Config {
    /// The defaults.
    pub fn new() -> Self {
        Config::default()
    }

    /// Where the hook runs; [`Policy::Serial`] by default.
    pub fn policy(&mut self, policy: Policy) -> &mut Self {
        self.policy = policy;
        self
    }

    /// Whether fragments from `side` are joined, so that the hook sees whole messages. Off by default.
    pub fn aggregate(&mut self, side: Side, on: bool) -> &mut Self {
        self.rules.get_mut(side).aggregate = on;
        self
    }

    /// The largest payload of a frame from `side`, in bytes; 16 MiB by default. Larger: close 1009.
    pub fn max_frame_size(&mut self, side: Side, bytes: u64) -> Result<&mut Self> {
        self.rules.get_mut(side).limits.max_frame_size = at_least_one("max_frame_size", bytes)?;
        Ok(self)
    }

    /// The largest message from `side`, in payload bytes, aggregated or not; 64 MiB by default. Larger: close 1009.
    pub fn max_message_size(&mut self, side: Side, bytes: u64) -> Result<&mut Self> {
        self.rules.get_mut(side).limits.max_message_size = at_least_one("max_message_size", bytes)?;
        Ok(self)
    }

    /// How many frames a message from `side` may have, aggregated or not; 1,048,576 by default. More: close 1009.
    pub fn max_fragments(&mut self, side: Side, count: u64) -> Result<&mut Self> {
        self.rules.get_mut(side).limits.max_fragments = at_least_one("max_fragments", count)?;
        Ok(self)
    }

    /// Whether the close frame 1009 for a side that went over a limit has the reason `Payload Too Large`; off by
    /// default.
    pub fn explain_limits(&mut self, on: bool) -> &mut Self {
        for side in Side::BOTH {
            self.rules.get_mut(side).limits.explain = on;
        }
        self
    }

    /// Whether text that is not UTF-8 is refused with close 1007 (RFC 6455 section 8.1). On by default.
    pub fn check_utf8(&mut self, on: bool) -> &mut Self {
        for side in Side::BOTH {
            self.rules.get_mut(side).check_utf8 = on;
        }
        self
    }

    /// How long the client's request may take, how long the upstream's name, connection and answer together, and how
    /// long the client may take its answer; 10 s by default. Cannot be off.
    pub fn connect_timeout(&mut self, period: Duration) -> Result<&mut Self> {
        self.connect_timeout = not_zero("connect_timeout", period)?;
        Ok(self)
    }

    /// How long a session may go without anything crossing; 120 s by default, zero = for ever. It then ends with
    /// close 1001 for both. With [`Config::keepalive_interval`] either side alone may be silent no longer than this.
    pub fn idle_timeout(&mut self, period: Duration) -> &mut Self {
        self.idle_timeout = period;
        self
    }

    /// How long a side may take no byte while some wait for it; 30 s by default, zero = for ever. It is then cut
    /// off. With zero a close that came behind those bytes waits with them, until the idle timeout or `stop`.
    pub fn write_timeout(&mut self, period: Duration) -> &mut Self {
        self.write_timeout = period;
        self
    }

    /// How long the closing handshakes of a session may take, from its first close frame on; 10 s by default.
    /// Cannot be off.
    pub fn close_timeout(&mut self, period: Duration) -> Result<&mut Self> {
        self.close_timeout = not_zero("close_timeout", period)?;
        Ok(self)
    }

    /// How often the proxy pings both sides itself; zero, the default, = never. The pongs are not forwarded.
    pub fn keepalive_interval(&mut self, period: Duration) -> &mut Self {
        self.keepalive_interval = period;
        self
    }

    /// Whether the client's end-to-end headers are passed on to the upstream, as nginx's `proxy_pass_request_headers`;
    /// on by default. Off, the upstream gets those that the host sets. The client's target and subprotocols are passed
    /// on either way.
    pub fn pass_headers(&mut self, on: bool) -> &mut Self {
        self.pass_headers = on;
        self
    }

    /// Adds a header to the request sent upstream.
    pub fn add_header(&mut self, name: &str, value: &[u8]) -> Result<&mut Self> {
        self.headers.add(name, value)?;
        Ok(self)
    }

    /// Sets a header of the request sent upstream, in place of any that the client sent.
    pub fn set_header(&mut self, name: &str, value: &[u8]) -> Result<&mut Self> {
        self.headers.set(name, value)?;
        Ok(self)
    }

    /// Takes a header out of the request sent upstream.
    pub fn remove_header(&mut self, name: &str) -> Result<&mut Self> {
        self.headers.remove(name)?;
        Ok(self)
    }

    /// Adds a subprotocol to those offered to an upstream that is connected before, or without, a client's
    /// request; otherwise the client's own offers are passed on.
    pub fn subprotocol(&mut self, name: &str) -> Result<&mut Self> {
        check_protocol(name)?;
        self.protocols.push(name.to_owned());
        Ok(self)
    }

    /// Whether the upstream is told of the client by `X-Forwarded-For`, `-Proto` and `-Host`. Off by default.
    pub fn forwarded(&mut self, on: bool) -> &mut Self {
        self.forwarded.x_forwarded = on;
        self
    }

    /// Whether the upstream is told of the client by `Forwarded` (RFC 7239). Off by default.
    pub fn forwarded_rfc7239(&mut self, on: bool) -> &mut Self {
        self.forwarded.rfc7239 = on;
        self
    }

    /// Reaches upstreams through the HTTP proxy at this URL, `http://[user:password@]host:port`, by CONNECT (RFC 9110
    /// section 9.3.6); Unix sockets directly. The environment (`http_proxy` and the like) is not looked at.
    pub fn http_proxy(&mut self, url: &str) -> Result<&mut Self> {
        self.http_proxy = Some(ProxyUrl::parse(url)?);
        Ok(self)
    }

    /// Adds an origin (`https://example.com`) to those whose pages may connect (RFC 6455 section 10.2). With none,
    /// the default, every origin may.
    pub fn allow_origin(&mut self, origin: &str) -> Result<&mut Self> {
        self.origins.add(origin)?;
        Ok(self)
    }

    /// How many bytes of frames sent by the host may wait for one side; 1 MiB by default. Each frame counts 64 bytes
    /// besides its payload; a single one of any size may always wait.
    pub fn send_queue(&mut self, bytes: u64) -> Result<&mut Self> {
        self.send_queue = as_size("send_queue", at_least_one("send_queue", bytes)?)?;
        Ok(self)
    }

    /// The stack of each session thread, in bytes; 256 KiB by default, at least 64 KiB.
    pub fn thread_stack_size(&mut self, bytes: u64) -> Result<&mut Self> {
        let size = as_size("thread_stack_size", bytes)?;
        if size < MIN_STACK {
            return Err(Error::argument(format!(
                "thread_stack_size {bytes} is less than {MIN_STACK}"
            )));
        }
        self.thread_stack_size = size;
        Ok(self)
    }

    /// Whether the certificate of a `wss://` upstream and the name in it are verified. On by default; off, anybody
    /// on the way can read and change everything.
    pub fn upstream_verify(&mut self, on: bool) -> &mut Self {
        self.upstream_tls.set_verify(on);
        self
    }

    /// Trusts these certificate authorities (PEM, one or more) for upstreams too, besides the system's.
    pub fn upstream_ca(&mut self, pem: &[u8]) -> Result<&mut Self> {
        self.upstream_tls.add_authorities(pem)?;
        Ok(self)
    }

    /// The name to ask `wss://` upstreams for (SNI, RFC 6066 section 3) and to verify, instead of the URL's host.
    pub fn upstream_server_name(&mut self, name: &str) -> Result<&mut Self> {
        self.upstream_tls.set_server_name(name)?;
        Ok(self)
    }

    /// The certificate to show to upstreams that ask for one, with the chain behind it, and its private key; both
    /// PEM, the key unencrypted.
    pub fn upstream_certificate(&mut self, chain: &[u8], key: &[u8]) -> Result<&mut Self> {
        self.upstream_tls.set_identity(chain, key)?;
        Ok(self)
    }

    /// Clients speak TLS, and are shown this certificate, with the chain behind it; both PEM, the key unencrypted.
    pub fn client_certificate(&mut self, chain: &[u8], key: &[u8]) -> Result<&mut Self> {
        self.client_tls.set_identity(chain, key)?;
        Ok(self)
    }

    /// Clients that speak TLS have to show a certificate of one of these authorities (PEM, one or more), for TLS clients
    /// alone. May be called several times. By default none is asked for.
    pub fn client_ca(&mut self, pem: &[u8]) -> Result<&mut Self> {
        self.client_tls.add_authorities(pem)?;
        Ok(self)
    }

    /// The lowest version of TLS that is spoken on a leg; [`TlsVersion::Tls12`] by default.
    pub fn min_tls_version(&mut self, side: Side, version: TlsVersion) -> &mut Self {
        match side {
            Side::Upstream => self.upstream_tls.set_lowest(version),
            Side::Client => self.client_tls.set_lowest(version),
        }
        self
    }

    pub(crate) fn periods(&self) -> Periods {
        Periods {
            idle: millis(self.idle_timeout),
            write: millis(self.write_timeout),
            close: millis(self.close_timeout),
            keepalive: millis(self.keepalive_interval),
        }
    }
}

/// Rounded up, so that a short period is not "off".
fn millis(period: Duration) -> u64 {
    u64::try_from(period.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn at_least_one(what: &str, value: u64) -> Result<u64> {
    match value {
        0 => Err(Error::argument(format!("{what} must be at least 1"))),
        value => Ok(value),
    }
}

fn as_size(what: &str, value: u64) -> Result<usize> {
    usize::try_from(value)
        .ok()
        .filter(|&size| size <= isize::MAX as usize)
        .ok_or_else(|| Error::argument(format!("{what} {value} is more than can be addressed")))
}

fn not_zero(what: &str, period: Duration) -> Result<Duration> {
    match period.is_zero() {
        true => Err(Error::argument(format!("{what} must be more than 0"))),
        false => Ok(period),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_refused_and_changes_nothing() {
        let mut config = Config::new();
        assert!(config.max_frame_size(Side::Client, 0).is_err());
        assert!(config.connect_timeout(Duration::ZERO).is_err());
        assert!(config.close_timeout(Duration::ZERO).is_err());
        assert!(config.set_header("X-Note", b"a\r\nEvil: 1").is_err());
        assert!(config.thread_stack_size(1).is_err());
        assert_eq!(config.rules.client.limits.max_frame_size, 16 << 20);
        assert_eq!(config.thread_stack_size, 256 * 1024);
    }

    #[test]
    fn a_period_under_a_millisecond_is_not_off() {
        let mut config = Config::new();
        config.idle_timeout(Duration::from_micros(1));
        assert_eq!(config.periods().idle, 1);
    }
}
