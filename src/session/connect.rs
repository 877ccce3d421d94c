//! Both opening handshakes, driven: the client's request is read, the upstream is asked, the client is answered.
//!
//! Rules: one deadline per half; `stop` ends any wait; while the upstream is asked, the client is watched for its
//! leaving but not read, so that nothing it sends can reach the upstream before the upstream's 101. Whoever is
//! refused gets a complete HTTP answer, and its connection is closed.

use std::io::{ErrorKind as IoError, IoSlice};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::control::Control;
use super::dialling;
use super::patience::{Interrupt, Patience, Watched};
use super::randomness::fresh_key;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::io::{tls_failure, Events, Wire};
use crate::ws::engine::Engine;
use crate::ws::frame::Side;
use crate::ws::handshake::{Answer, ClientRequest, HeaderRules, Headers, Refusal, UpgradeOptions};
use crate::ws::url::Url;

/// How long a refused client may take to read its answer before the connection is closed under it.
const LINGER: Duration = Duration::from_secs(1);

/// Why a handshake did not come about.
pub(crate) enum Failure {
    /// To be answered to the client, if it still waits for an answer.
    Refusal(Refusal),
    /// Nobody is left to be answered.
    Lost(Error),
}

impl From<Error> for Failure {
    /// The system failed us: the client is not to suffer in silence.
    fn from(error: Error) -> Self {
        Failure::Refusal(Refusal::internal(error))
    }
}

/// A connection that was asked for an upgrade and agreed.
pub(crate) struct Upgraded {
    pub(crate) wire: Wire,
    pub(crate) protocol: Option<String>,
    /// Of its answer, for the client.
    pub(crate) headers: Headers,
}

/// What the upstream may know of the client.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) request: Option<&'a ClientRequest>,
    /// What the handshake hook has changed.
    pub(crate) rules: &'a HeaderRules,
    pub(crate) wire: Option<&'a Wire>,
    pub(crate) peer: Option<&'a str>,
}

/// One half of a connect.
pub(crate) struct Connector<'a> {
    pub(super) config: &'a Config,
    pub(super) patience: Patience<'a>,
}

impl<'a> Connector<'a> {
    /// The deadline starts now.
    pub(crate) fn start(config: &'a Config, control: &'a Control) -> Result<Self> {
        Ok(Connector { config, patience: Patience::start(control, config.connect_timeout)? })
    }

    /// For a client that is turned away, which a stop must not hold up.
    pub(crate) fn start_fresh(config: &'a Config, control: &'a Control) -> Result<Self> {
        Ok(Connector { config, patience: Patience::start(control, LINGER)?.deaf_to_stop() })
    }

    /// Reads the client's request; the host may have given the engine what it has read already.
    pub(crate) fn read_request(
        &self,
        wire: &Wire,
        engine: &mut Engine,
    ) -> Result<ClientRequest, Failure> {
        if self.patience.is_over() {
            return Err(Failure::Refusal(Refusal::unavailable(stopped())));
        }
        loop {
            let request = engine.poll_request(&self.config.origins).map_err(Failure::Refusal)?;
            if let Some(request) = request {
                return Ok(request);
            }
            // The request mostly came with the connection: a wait before each read would be one too many.
            match read_some(wire, engine, Side::Client).map_err(client_lost)? {
                Came::Bytes => {}
                Came::Nothing => self.wait_readable(wire)?,
                Came::End => {
                    return Err(Failure::Lost(client_left("before its request was complete")));
                }
            }
        }
    }

    /// Waits for more of the request.
    fn wait_readable(&self, wire: &Wire) -> Result<(), Failure> {
        if wire.has_input() {
            return Ok(());
        }
        let waited = self.patience.wait((wire.as_fd(), Events::READABLE));
        waited.map(|_| ()).map_err(|interrupt| match interrupt {
            Interrupt::Late => Failure::Refusal(Refusal::request_timeout()),
            Interrupt::Stopped => Failure::Refusal(Refusal::unavailable(stopped())),
            Interrupt::System(error) => Failure::from(error),
        })
    }

    /// Dials the upstream and asks it for an upgrade. Frames that come with its answer stay in the engine.
    pub(crate) fn open_upstream(
        &self,
        url: &Url,
        asking: Asking<'_>,
        engine: &mut Engine,
    ) -> Result<Upgraded, Failure> {
        if self.patience.is_over() {
            return Err(Failure::Refusal(Refusal::unavailable(stopped()))); // nobody is even dialled
        }
        let wire = self.dial(url, asking.wire)?;
        let options = UpgradeOptions {
            rules: &self.config.headers,
            protocols: &self.config.protocols,
            request_rules: Some(asking.rules),
            forwarded: self.config.forwarded,
            peer: asking.peer,
            client_secure: asking.wire.is_some_and(Wire::is_secure),
        };
        let bare = asking.request.filter(|_| !self.config.pass_headers);
        let bare = bare.map(ClientRequest::without_headers);
        engine.ask_upstream(url, bare.as_ref().or(asking.request), &options, &fresh_key()?);
        let answer = self.ask(&wire, asking.wire, engine);
        if answer.is_err() {
            let _ = wire.shutdown_both(); // never used again: a refused upgrade ends the connection
        }
        let (protocol, headers) = answer?;
        Ok(Upgraded { wire, protocol, headers })
    }

    /// Sends the client what the engine has queued for it.
    pub(crate) fn answer_client(&self, wire: &Wire, engine: &mut Engine) -> Result<()> {
        let answer = engine.outboxes.client.take_pending();
        self.write_all(wire, &answer, None).map_err(|failure| match failure {
            Failure::Lost(error) => error,
            Failure::Refusal(refusal) => refusal.into_error(),
        })
    }

    fn dial(&self, url: &Url, client: Option<&Wire>) -> Result<Wire, Failure> {
        let wait =
            |several: &[Watched<'_>], until| self.wait_upstream_until(several, client, until);
        let waker = &self.patience.waker;
        let socket = match (url.unix_path(), &self.config.http_proxy) {
            (Some(path), _) => dialling::dial_unix(path, wait)?,
            (None, None) => dialling::dial(url.host(), url.port(), waker, wait)?,
            (None, Some(proxy)) => {
                let socket = dialling::dial(proxy.host(), proxy.port(), waker, wait)?;
                self.tunnel(url, proxy, socket, client)?
            }
        };
        self.secure_upstream(url, socket, client)
    }

    fn ask(
        &self,
        wire: &Wire,
        client: Option<&Wire>,
        engine: &mut Engine,
    ) -> Result<(Option<String>, Headers), Failure> {
        let request = engine.outboxes.upstream.take_pending();
        if let Err(lost) = self.write_all(wire, &request, Some(client)) {
            return Err(alert(wire, engine).unwrap_or(lost));
        }
        let mut eof = false;
        loop {
            match engine.poll_answer(eof).map_err(bad_gateway)? {
                Answer::NeedMore => {}
                Answer::Refused(refusal) => return Err(Failure::Refusal(refusal)),
                Answer::Open { protocol, headers, .. } => return Ok((protocol, headers)),
            }
            let waited = match wire.has_input() {
                true => Ok(()),
                false => self.wait_upstream((wire.as_fd(), Events::READABLE), client),
            };
            if let Err(Failure::Refusal(late)) = waited {
                // A refusal whose body is still coming is worth more than "too slow".
                return Err(Failure::Refusal(engine.give_up_answer().unwrap_or(late)));
            }
            waited?;
            eof = match read_some(wire, engine, Side::Upstream) {
                Ok(came) => came == Came::End,
                // The same of a connection that breaks under its body.
                Err(error) => {
                    let refusal = engine.give_up_answer().map(Failure::Refusal);
                    return Err(refusal.unwrap_or_else(|| upstream_lost(error)));
                }
            };
        }
    }

    /// Waits for the upstream, or the waker, while the client is watched for its leaving.
    pub(super) fn wait_upstream(
        &self,
        upstream: Watched<'_>,
        client: Option<&Wire>,
    ) -> Result<(), Failure> {
        self.wait_upstream_until(&[upstream], client, None)
    }

    /// The same for any of several sockets, and no longer than until then.
    fn wait_upstream_until(
        &self,
        upstream: &[Watched<'_>],
        client: Option<&Wire>,
        until: Option<Instant>,
    ) -> Result<(), Failure> {
        let client = match client {
            Some(wire) => (wire.as_fd(), Events::HANG_UP),
            None => self.patience.nothing(),
        };
        let waited = match upstream {
            [only] => self.patience.wait_for_both(*only, client, until).map(|[_, client]| client),
            several => {
                let came = self.patience.wait_until(&[several, &[client]].concat(), until);
                came.map(|came| came.last().copied().unwrap_or_default())
            }
        };
        match waited {
            Ok(client) if client.hang_up => {
                Err(Failure::Lost(client_left("while the upstream was asked")))
            }
            Ok(_) => Ok(()),
            Err(Interrupt::Stopped) => Err(Failure::Refusal(Refusal::unavailable(stopped()))),
            Err(Interrupt::Late) => {
                Err(Failure::Refusal(Refusal::gateway_timeout(self.too_slow())))
            }
            Err(Interrupt::System(error)) => Err(Failure::from(error)),
        }
    }

    /// Writes to the upstream (`watched` is the client, if there is one) or, without `watched`, to the client.
    pub(super) fn write_all(
        &self,
        wire: &Wire,
        mut bytes: &[u8],
        watched: Option<Option<&Wire>>,
    ) -> Result<(), Failure> {
        loop {
            let sent = match bytes.is_empty() {
                true => wire.flush().map(|_| 0),
                false => wire.try_send(&[IoSlice::new(bytes)]),
            };
            match sent {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == IoError::WouldBlock => {}
                Err(error) if watched.is_some() => return Err(upstream_lost(error)),
                Err(error) => return Err(client_lost(error)),
            }
            if bytes.is_empty() && !wire.has_backlog() {
                return Ok(());
            }
            self.wait_writable(wire, watched)?;
        }
    }

    fn wait_writable(&self, wire: &Wire, watched: Option<Option<&Wire>>) -> Result<(), Failure> {
        match watched {
            Some(client) => self.wait_upstream((wire.as_fd(), Events::WRITABLE), client),
            None => self.wait_client_writable(wire),
        }
    }

    fn wait_client_writable(&self, wire: &Wire) -> Result<(), Failure> {
        match self.patience.wait((wire.as_fd(), Events::WRITABLE)) {
            Ok(_) => Ok(()),
            Err(Interrupt::System(error)) => Err(Failure::Lost(error)),
            Err(Interrupt::Stopped) => Err(Failure::Lost(stopped())),
            Err(Interrupt::Late) => {
                let words = "did not read the handshake's answer in time";
                Err(Failure::Lost(Error::new(ErrorKind::Timeout, Fault::Client, words)))
            }
        }
    }

    /// Answers the client with a refusal, lets it read that, and ends its connection.
    pub(crate) fn refuse(&self, wire: &Wire, engine: &mut Engine, refusal: &Refusal) {
        engine.refuse_client(refusal);
        let answer = engine.outboxes.client.take_pending();
        // A client that cannot even be refused is gone, which is what was to be achieved.
        if self.write_all(wire, &answer, None).is_ok() {
            let _ = wire.shutdown_write();
            self.read_to_end(wire);
        }
        let _ = wire.shutdown_both();
    }

    /// Closing a socket with bytes unread would destroy the answer on its way (RFC 9112 section 9.6).
    fn read_to_end(&self, wire: &Wire) {
        let mut unread = vec![0; 16 * 1024];
        let comes = || match wire.has_input() {
            true => self.patience.lasts(), // a client that never stops sending is let go all the same
            false => self.patience.wait((wire.as_fd(), Events::READABLE)).is_ok(),
        };
        while comes() {
            match wire.try_recv(&mut unread) {
                Ok(0) => return,
                Err(error) if error.kind() != IoError::WouldBlock => return,
                _ => {}
            }
        }
    }

    fn too_slow(&self) -> Error {
        let words = format!("did not answer within {:?}", self.config.connect_timeout);
        Error::new(ErrorKind::Timeout, Fault::Upstream, words)
    }
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Bytes,
    Nothing,
    /// The end of the stream.
    End,
}

/// Reads what is there. Under TLS an end without a close_notify is as good: heads say themselves where they end, and
/// whoever ends a body by it cannot be asked for more (RFC 9112 section 9.8).
fn read_some(wire: &Wire, engine: &mut Engine, from: Side) -> std::io::Result<Came> {
    match wire.try_recv(engine.space(from)) {
        Ok(0) => Ok(Came::End),
        Ok(count) => {
            engine.filled(from, count);
            Ok(Came::Bytes)
        }
        Err(error) if error.kind() == IoError::WouldBlock => Ok(Came::Nothing),
        Err(error) if error.kind() == IoError::UnexpectedEof => Ok(Came::End),
        Err(error) => Err(error),
    }
}

/// What the upstream has said before it closed the connection under our request: under TLS 1.3 it looks at our
/// certificate when the handshake is over for us.
fn alert(wire: &Wire, engine: &mut Engine) -> Option<Failure> {
    let error = wire.try_recv(engine.space(Side::Upstream)).err()?;
    tls_failure(&error, Fault::Upstream).map(bad_gateway)
}

pub(super) fn bad_gateway(error: Error) -> Failure {
    Failure::Refusal(Refusal::bad_gateway(error))
}

pub(super) fn client_left(when: &str) -> Error {
    Error::new(ErrorKind::Gone, Fault::Client, format!("closed the connection {when}"))
}

fn client_lost(error: std::io::Error) -> Failure {
    if let Some(error) = tls_failure(&error, Fault::Client) {
        return Failure::Lost(error);
    }
    let words = format!("lost during the handshake: {error}");
    Failure::Lost(Error::new(ErrorKind::Gone, Fault::Client, words))
}

pub(super) fn upstream_lost(error: std::io::Error) -> Failure {
    if let Some(error) = tls_failure(&error, Fault::Upstream) {
        return bad_gateway(error);
    }
    let words = format!("lost during the handshake: {error}");
    bad_gateway(Error::new(ErrorKind::Unreachable, Fault::Upstream, words))
}

pub(super) fn stopped() -> Error {
    Error::new(ErrorKind::Stopped, Fault::Host, "stopped during the handshake")
}
