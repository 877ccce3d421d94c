//! Both opening handshakes, driven: the client's request is read, the upstream is asked, the client is answered.
//!
//! Rules: one deadline per half; `stop` ends any wait; while the upstream is asked, the client is watched for its
//! leaving but not read, so that nothing it sends can reach the upstream before the upstream's 101. Whoever is
//! refused gets a complete HTTP answer, and its connection is closed.

use std::io::{ErrorKind as IoError, IoSlice};
use std::os::fd::AsFd;
use std::time::Duration;

use tungstenite::handshake::client::generate_key;

use super::control::Control;
use super::patience::{Interrupt, Patience, Watched};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::io::{Dial, Dialled, Events, Resolve, Wire};
use crate::ws::engine::Engine;
use crate::ws::frame::Side;
use crate::ws::handshake::{Answer, ClientRequest, Refusal, UpgradeOptions};
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
}

/// What the upstream may know of the client.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asking<'a> {
    pub(crate) request: Option<&'a ClientRequest>,
    pub(crate) wire: Option<&'a Wire>,
    pub(crate) peer: Option<&'a str>,
}

/// One half of a connect.
pub(crate) struct Connector<'a> {
    config: &'a Config,
    patience: Patience<'a>,
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
            let waited = self.patience.wait((wire.as_fd(), Events::READABLE));
            waited.map_err(|interrupt| match interrupt {
                Interrupt::Late => Failure::Refusal(Refusal::request_timeout()),
                Interrupt::Stopped => Failure::Refusal(Refusal::unavailable(stopped())),
                Interrupt::System(error) => Failure::from(error),
            })?;
            if !read_some(wire, engine, Side::Client).map_err(client_lost)? {
                return Err(Failure::Lost(client_left("before its request was complete")));
            }
        }
    }

    /// Dials the upstream and asks it for an upgrade. Frames that come with its answer stay in the engine.
    pub(crate) fn open_upstream(
        &self,
        url: &Url,
        asking: Asking<'_>,
        engine: &mut Engine,
    ) -> Result<Upgraded, Failure> {
        let wire = self.dial(url, asking.wire)?;
        let options = UpgradeOptions {
            rules: &self.config.headers,
            protocols: &self.config.protocols,
            forwarded: self.config.forwarded,
            peer: asking.peer,
            client_secure: false,
        };
        engine.ask_upstream(url, asking.request, &options, &generate_key());
        let answer = self.ask(&wire, asking.wire, engine);
        if answer.is_err() {
            let _ = wire.shutdown_both(); // never used again: a refused upgrade ends the connection
        }
        Ok(Upgraded { protocol: answer?, wire })
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
        let resolve = Resolve::start(url.host(), url.port(), &self.patience.waker)?;
        let addresses = loop {
            match resolve.answer() {
                Some(answer) => break answer.map_err(bad_gateway)?,
                None => self.wait_upstream(self.patience.nothing(), client)?,
            }
        };
        let mut dial = Dial::start(url.host(), url.port(), addresses).map_err(bad_gateway)?;
        loop {
            self.wait_upstream((dial.as_fd(), Events::WRITABLE), client)?;
            match dial.advance().map_err(bad_gateway)? {
                Dialled::Connected(socket) => return Ok(Wire::plain(socket)),
                Dialled::Pending(next) => dial = next,
            }
        }
    }

    fn ask(
        &self,
        wire: &Wire,
        client: Option<&Wire>,
        engine: &mut Engine,
    ) -> Result<Option<String>, Failure> {
        let request = engine.outboxes.upstream.take_pending();
        self.write_all(wire, &request, Some(client))?;
        let mut eof = false;
        loop {
            match engine.poll_answer(eof).map_err(bad_gateway)? {
                Answer::NeedMore => {}
                Answer::Refused(refusal) => return Err(Failure::Refusal(refusal)),
                Answer::Open { protocol, .. } => return Ok(protocol),
            }
            let waited = self.wait_upstream((wire.as_fd(), Events::READABLE), client);
            if let Err(Failure::Refusal(late)) = waited {
                // A refusal whose body is still coming is worth more than "too slow".
                return Err(Failure::Refusal(engine.give_up_answer().unwrap_or(late)));
            }
            waited?;
            eof = !read_some(wire, engine, Side::Upstream).map_err(upstream_lost)?;
        }
    }

    /// Waits for the upstream, or the waker, while the client is watched for its leaving.
    fn wait_upstream(&self, upstream: Watched<'_>, client: Option<&Wire>) -> Result<(), Failure> {
        let client = match client {
            Some(wire) => (wire.as_fd(), Events::HANG_UP),
            None => self.patience.nothing(),
        };
        match self.patience.wait_for_both(upstream, client) {
            Ok([_, client]) if client.hang_up => {
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
    fn write_all(
        &self,
        wire: &Wire,
        mut bytes: &[u8],
        watched: Option<Option<&Wire>>,
    ) -> Result<(), Failure> {
        while !bytes.is_empty() {
            match wire.try_send(&[IoSlice::new(bytes)]) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == IoError::WouldBlock => match watched {
                    Some(client) => self.wait_upstream((wire.as_fd(), Events::WRITABLE), client)?,
                    None => self.wait_client_writable(wire)?,
                },
                Err(error) if watched.is_some() => return Err(upstream_lost(error)),
                Err(error) => return Err(client_lost(error)),
            }
        }
        Ok(())
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
        while self.patience.wait((wire.as_fd(), Events::READABLE)).is_ok() {
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

/// Reads what is there; `false` at the end of the stream.
fn read_some(wire: &Wire, engine: &mut Engine, from: Side) -> std::io::Result<bool> {
    match wire.try_recv(engine.space(from)) {
        Ok(count) => {
            engine.filled(from, count);
            Ok(count > 0)
        }
        Err(error) if error.kind() == IoError::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

fn bad_gateway(error: Error) -> Failure {
    Failure::Refusal(Refusal::bad_gateway(error))
}

fn client_left(when: &str) -> Error {
    Error::new(ErrorKind::Gone, Fault::Client, format!("closed the connection {when}"))
}

fn client_lost(error: std::io::Error) -> Failure {
    let words = format!("lost during the handshake: {error}");
    Failure::Lost(Error::new(ErrorKind::Gone, Fault::Client, words))
}

fn upstream_lost(error: std::io::Error) -> Failure {
    let words = format!("lost during the handshake: {error}");
    bad_gateway(Error::new(ErrorKind::Unreachable, Fault::Upstream, words))
}

fn stopped() -> Error {
    Error::new(ErrorKind::Stopped, Fault::Host, "stopped during the handshake")
}
