//! What `connect` and its halves do, step by step: take the client over, read its request, ask the handshake hook, ask
//! the upstream, answer the client.
//!
//! Rules: whoever waits for an answer gets one, whatever fails. What the hook has changed stays with the session until
//! the client is answered.

use openssl::ssl::SslAcceptor;

use super::client::{Client, Progress};
use super::connect::{Asking, Connector, Failure};
use super::hook;
use super::legs::Legs;
use super::proxy::{Outcome, Proxy};
use crate::error::{Error, Result};
use crate::io::{Socket, Wire};
use crate::ws::frame::Side;
use crate::ws::handshake::{Admission, ClientRequest, Handshake, Refusal};
use crate::ws::url::Url;

/// Asked about each client before its upstream is.
pub(super) type HandshakeHook<'h> = &'h mut dyn FnMut(&mut Handshake<'_>) -> Admission;

impl Proxy {
    pub(super) fn connect_both(
        &self,
        opening: &mut Legs,
        client: Client,
        url: &Url,
        hook: HandshakeHook<'_>,
    ) -> Result<()> {
        self.take_client(opening, client, hook)?;
        if let Err(failure) = self.open_upstream(opening, url) {
            return Err(self.turn_away(opening, failure));
        }
        self.answer(opening)
    }

    pub(super) fn connect_client_alone(
        &self,
        opening: &mut Legs,
        client: Client,
        hook: HandshakeHook<'_>,
    ) -> Result<()> {
        self.take_client(opening, client, hook)?;
        self.answer(opening)
    }

    /// Adopts the connection and reads the request, unless the host has answered it already.
    fn take_client(
        &self,
        opening: &mut Legs,
        client: Client,
        hook: HandshakeHook<'_>,
    ) -> Result<()> {
        let (socket, progress) = client.into_parts()?;
        let acceptor = self.config.client_tls.acceptor()?;
        let _ = socket.set_nodelay(); // no worse without
        opening.peer = socket.peer_ip();
        let head = match progress {
            Progress::Request(head) => head,
            Progress::Upgraded(_) if acceptor.is_some() => {
                let words = "a client that is upgraded already cannot begin TLS";
                return Err(Error::argument(words));
            }
            Progress::Upgraded(early) => {
                opening.client = Some(Wire::plain(socket));
                opening.engine.directions.client.inbox().append(&early);
                opening.engine.client_is_open();
                return Ok(());
            }
        };
        let admitted = self
            .read_request(opening, socket, acceptor, head)
            .and_then(|request| admit(opening, request, hook));
        admitted.map_err(|failure| self.turn_away(opening, failure))
    }

    /// Reads the client's request, of which the host may have read `head`; under TLS, as it came from the connection.
    fn read_request(
        &self,
        opening: &mut Legs,
        socket: Socket,
        acceptor: Option<&SslAcceptor>,
        head: Vec<u8>,
    ) -> Result<ClientRequest, Failure> {
        let Some(acceptor) = acceptor else {
            opening.engine.directions.client.inbox().append(&head);
            let wire = opening.client.insert(Wire::plain(socket));
            let connector = Connector::start(&self.config, &self.control)?;
            return connector.read_request(wire, &mut opening.engine);
        };
        let connector = Connector::start(&self.config, &self.control)?;
        let wire = opening.client.insert(connector.secure_client(acceptor, socket, head)?);
        connector.read_request(wire, &mut opening.engine)
    }

    /// Connects to the upstream at `url`, or at the one that the handshake hook has chosen.
    pub(super) fn open_upstream(&self, opening: &mut Legs, url: &Url) -> Result<(), Failure> {
        let connector = Connector::start(&self.config, &self.control)?;
        let asking = Asking {
            request: opening.request.as_ref(),
            rules: &opening.plan.rules,
            wire: opening.client.as_ref(),
            peer: opening.peer.as_deref(),
        };
        let chosen = opening.plan.url.take(); // for one attempt: the next may be made elsewhere
        let url = chosen.as_ref().unwrap_or(url);
        let upgraded = connector.open_upstream(url, asking, &mut opening.engine)?;
        opening.upstream = Some(upgraded.wire);
        opening.answer_headers = upgraded.headers;
        *self.outcome.lock() = Outcome { protocol: upgraded.protocol, ..Outcome::default() };
        Ok(())
    }

    /// Sends the client its 101, unless the host has done so.
    fn answer(&self, opening: &mut Legs) -> Result<()> {
        if opening.engine.is_open(Side::Client) {
            return Ok(());
        }
        self.send_answer(opening).map_err(|failure| self.turn_away(opening, failure))
    }

    fn send_answer(&self, opening: &mut Legs) -> Result<(), Failure> {
        let (Some(request), Some(wire)) = (&mut opening.request, &opening.client) else {
            return Ok(());
        };
        let protocol = self.subprotocol();
        if protocol.as_ref().is_some_and(|chosen| !request.offers(chosen)) {
            let what = "the upstream's subprotocol is not among those offered";
            return Err(Failure::Refusal(Refusal::bad_request(what)));
        }
        let connector = Connector::start(&self.config, &self.control)?;
        let mut headers = std::mem::take(&mut opening.answer_headers);
        headers.append(&opening.plan.answer_headers);
        opening.engine.answer_client(request, protocol.as_deref(), &headers);
        // An upstream that is connected later cannot choose any more: the client has its answer.
        request.forget_protocols();
        connector.answer_client(wire, &mut opening.engine).map_err(Failure::Lost)
    }

    /// Answers a client that still waits for an answer.
    fn turn_away(&self, opening: &mut Legs, failure: Failure) -> Error {
        if let Failure::Refusal(refusal) = &failure {
            let refusal = refusal.clone().with_headers(&opening.plan.answer_headers);
            opening.refuse(&self.config, &self.control, &refusal);
        }
        self.explain(failure)
    }

    pub(super) fn explain(&self, failure: Failure) -> Error {
        match failure {
            Failure::Lost(error) => error,
            Failure::Refusal(refusal) => {
                self.outcome.lock().note_refusal(&refusal);
                refusal.into_error()
            }
        }
    }
}

/// Asks the hook whether to let the client in, and how.
fn admit(
    opening: &mut Legs,
    request: ClientRequest,
    hook: HandshakeHook<'_>,
) -> Result<(), Failure> {
    let secure = opening.client.as_ref().is_some_and(Wire::is_secure);
    let may_choose = opening.upstream.is_none();
    let mut handshake = Handshake::new(&request, opening.peer.as_deref(), secure, may_choose);
    let admission = hook::admit(hook, &mut handshake);
    let plan = handshake.finish();
    if let Some(refusal) = admission.into_refusal(&plan.answer_headers) {
        return Err(Failure::Refusal(refusal));
    }
    if let Some(url) = &plan.url {
        log::debug!("the handshake hook chose {}", url.place());
    }
    opening.plan = plan;
    opening.request = Some(request);
    Ok(())
}
