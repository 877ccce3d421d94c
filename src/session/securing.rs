//! TLS on either leg, driven: under the deadline of the half that it belongs to, the client watched meanwhile.

use openssl::ssl::SslAcceptor;

use super::connect::{bad_gateway, stopped, Connector, Failure};
use super::patience::Interrupt;
use crate::error::{Error, ErrorKind, Fault};
use crate::io::{Handshake, Shaken, Socket, Wire};
use crate::ws::url::Url;

impl Connector<'_> {
    /// The connection to the upstream, encrypted when the URL says so.
    pub(super) fn secure_upstream(
        &self,
        url: &Url,
        socket: Socket,
        client: Option<&Wire>,
    ) -> Result<Wire, Failure> {
        match url.secure() {
            true => self.encrypt(url, socket, client),
            false => Ok(Wire::plain(socket)),
        }
    }

    #[inline(never)] // what it needs of the stack is not to be part of the handshakes of those without TLS
    fn encrypt(&self, url: &Url, socket: Socket, client: Option<&Wire>) -> Result<Wire, Failure> {
        let tls = &self.config.upstream_tls;
        let name = tls.name_for(url.host());
        let mut step = Handshake::connect(tls.connector()?, name, socket).map_err(bad_gateway)?;
        loop {
            let handshake = match step {
                Shaken::Done(wire) => return Ok(wire),
                Shaken::Pending(handshake) => handshake,
            };
            self.wait_upstream(handshake.watched(), client)?;
            step = handshake.advance().map_err(bad_gateway)?;
        }
    }

    /// The connection of a client that speaks TLS; the host may have read its first bytes. One that fails cannot be
    /// answered.
    #[inline(never)] // as above
    pub(super) fn secure_client(
        &self,
        acceptor: &SslAcceptor,
        socket: Socket,
        early: Vec<u8>,
    ) -> Result<Wire, Failure> {
        let lost = Failure::Lost;
        let mut step = Handshake::accept(acceptor, socket, early).map_err(lost)?;
        loop {
            let handshake = match step {
                Shaken::Done(wire) => return Ok(wire),
                Shaken::Pending(handshake) => handshake,
            };
            let waited = self.patience.wait(handshake.watched());
            if let Err(interrupt) = waited {
                handshake.give_up();
                return Err(lost(match interrupt {
                    Interrupt::Late => too_slow(),
                    Interrupt::Stopped => stopped(),
                    Interrupt::System(error) => error,
                }));
            }
            step = handshake.advance().map_err(lost)?;
        }
    }
}

fn too_slow() -> Error {
    let words = "the TLS handshake did not arrive in time";
    Error::new(ErrorKind::Timeout, Fault::Client, words)
}
