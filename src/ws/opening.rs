//! Both opening handshakes by pull, before the frames: the client's request, the upstream's answer, the client's
//! answer. The steps are the host's or a driver's to take; the order that keeps requests from being smuggled is
//! kept here.
//!
//! Rules: the client is read up to the end of its request and no further until both sides are open; what came
//! behind a handshake stays where it is, as frames. No frame is looked at before both sides are open.

use super::engine::Engine;
use super::frame::{PerSide, Side};
use super::handshake::{
    Answer, ClientRequest, HeadScan, Headers, Refusal, Upgrade, UpgradeOptions,
};
use super::origin::OriginList;
use super::url::Url;
use crate::error::{Error, Result};

/// How far both handshakes have come.
#[derive(Debug, Default)]
pub struct Opening {
    scan: HeadScan,
    has_request: bool,
    upgrade: Option<Upgrade>,
    open: PerSide<bool>,
}

impl Opening {
    /// Both handshakes are over, wherever they took place.
    pub fn done() -> Self {
        Opening { open: PerSide { client: true, upstream: true }, ..Opening::default() }
    }

    /// Whether frames may be looked at.
    pub fn is_done(&self) -> bool {
        self.open.client && self.open.upstream
    }

    /// Whether there is something to be read from `side` before that.
    pub fn wants_input(&self, side: Side) -> bool {
        match side {
            Side::Client => !self.has_request && !self.open.client,
            Side::Upstream => self.upgrade.is_some() && !self.open.upstream,
        }
    }
}

impl Engine {
    /// Whether the handshake with `side` is over, so that it speaks WebSocket.
    pub fn is_open(&self, side: Side) -> bool {
        *self.opening.open.get(side)
    }

    /// Both handshakes are over: what they needed of memory is given back.
    pub fn settle(&mut self) {
        for side in Side::BOTH {
            self.directions.get_mut(side).rest();
        }
    }

    /// The client's request, once it is whole. A refusal is to be given to [`Engine::refuse_client`].
    pub fn poll_request(&mut self, origins: &OriginList) -> Result<Option<ClientRequest>, Refusal> {
        let inbox = self.directions.client.inbox();
        let Some(end) = self.opening.scan.find_end(inbox.unread())? else { return Ok(None) };
        let request = ClientRequest::parse(inbox.unread().get(..end).unwrap_or_default(), origins);
        inbox.consume(end);
        self.opening.has_request = true;
        request.map(Some)
    }

    /// The host has done the client's handshake itself.
    pub fn client_is_open(&mut self) {
        self.opening.open.client = true;
    }

    /// Queues the upgrade request for the upstream. `key` is 16 random bytes in base64.
    pub fn ask_upstream(
        &mut self,
        url: &Url,
        client: Option<&ClientRequest>,
        options: &UpgradeOptions<'_>,
        key: &str,
    ) {
        let (upgrade, request) = Upgrade::new(url, client, options, key);
        self.opening.upgrade = Some(upgrade);
        self.outboxes.upstream.discard(); // of an upstream that was asked before, and failed
        self.directions.upstream.inbox().clear();
        self.outboxes.upstream.push_head(request);
    }

    /// The upstream's answer, as far as it has come; `eof` says that no more will.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) when it is none that can be relayed.
    pub fn poll_answer(&mut self, eof: bool) -> Result<Answer> {
        let Some(upgrade) = &mut self.opening.upgrade else {
            return Err(Error::state("the upstream was not asked"));
        };
        let inbox = self.directions.upstream.inbox();
        let answer = upgrade.handle_input(inbox.unread(), eof)?;
        if let Answer::Open { consumed, .. } = &answer {
            inbox.consume(*consumed);
            self.opening.open.upstream = true;
        }
        Ok(answer)
    }

    /// The deadline for the upstream's answer has passed: what of a refusal has come, if its head is whole.
    pub fn give_up_answer(&mut self) -> Option<Refusal> {
        let inbox = self.directions.upstream.inbox();
        self.opening.upgrade.as_mut()?.give_up(inbox.unread())
    }

    /// Queues the client's 101, with `headers`: the host's and, if the upstream was connected first, those of its answer.
    /// A client that is answered before there is an upstream gets nothing of that one's: its 101 is gone.
    pub fn answer_client(
        &mut self,
        request: &ClientRequest,
        protocol: Option<&str>,
        headers: &Headers,
    ) {
        self.outboxes.client.push_head(request.answer(protocol, headers));
        self.opening.open.client = true;
    }

    /// Queues an HTTP response that refuses the client. Nothing may follow it.
    pub fn refuse_client(&mut self, refusal: &Refusal) {
        self.outboxes.client.push_head(refusal.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::engine::Seeds;
    use super::super::limits::Limits;
    use super::super::receive::Rules;
    use super::*;
    use crate::ws::handshake::{Forwarded, HeaderRules};
    use tungstenite::handshake::derive_accept_key;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn engine() -> Engine {
        let limits =
            Limits { max_frame_size: 100, max_message_size: 100, max_fragments: 9, explain: false };
        let rules = Rules { aggregate: false, check_utf8: true, limits };
        let seeds = Seeds { masks: [[1; 32], [2; 32]], keepalive: [3; 8] };
        Engine::opening(PerSide { client: rules, upstream: rules }, &seeds)
    }

    fn give(engine: &mut Engine, from: Side, bytes: &[u8]) {
        let room = engine.space(from);
        room[..bytes.len()].copy_from_slice(bytes);
        engine.filled(from, bytes.len());
    }

    fn take(engine: &mut Engine, to: Side) -> Vec<u8> {
        let bytes = engine.output(to).concat();
        engine.wrote(to, bytes.len());
        bytes
    }

    #[test]
    fn frames_that_come_with_the_handshakes_wait_for_both_and_then_cross() {
        let mut engine = engine();
        let request = format!(
            "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n\u{1}\u{1}"
        );
        let mut bytes = request.into_bytes();
        let early = bytes.len() - 2;
        bytes.splice(early.., [0x82, 0x81, 0, 0, 0, 0, b'c']);
        assert!(engine.wants_input(Side::Client) && !engine.wants_input(Side::Upstream));
        give(&mut engine, Side::Client, &bytes);
        let request = engine.poll_request(&OriginList::default()).unwrap().unwrap();
        assert!(!engine.wants_input(Side::Client), "nothing more before both sides are open");
        assert!(!engine.poll(Side::Client));

        let rules = HeaderRules::default();
        let options = UpgradeOptions {
            rules: &rules,
            request_rules: None,
            protocols: &[],
            forwarded: Forwarded::default(),
            peer: None,
            client_secure: false,
        };
        let url = Url::parse("ws://u").unwrap();
        engine.ask_upstream(&url, Some(&request), &options, KEY);
        assert!(take(&mut engine, Side::Upstream).starts_with(b"GET /chat HTTP/1.1\r\n"));
        let accept = derive_accept_key(KEY.as_bytes());
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSet-Cookie: a=b\r\n\r\n"
        )
        .into_bytes();
        answer.extend([0x82, 0x01, b'u']);
        give(&mut engine, Side::Upstream, &answer);
        let Ok(Answer::Open { protocol: None, headers, .. }) = engine.poll_answer(false) else {
            panic!("the answer is valid")
        };
        assert!(!engine.poll(Side::Upstream), "the client is not open");

        engine.answer_client(&request, None, &headers);
        let answer = take(&mut engine, Side::Client);
        assert!(
            answer.starts_with(b"HTTP/1.1 101 ") && answer.ends_with(b"Set-Cookie: a=b\r\n\r\n")
        );
        for (from, payload) in [(Side::Client, b"c"), (Side::Upstream, b"u")] {
            assert!(engine.poll(from));
            assert_eq!(engine.frame(from).unwrap().payload(), payload);
            engine.resolve(from, crate::Verdict::Forward);
            assert!(engine.has_output(from.other()));
        }
    }
}
