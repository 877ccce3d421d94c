//! Both opening handshakes of a session that is driven by pull: the client's request is read, the upstream is asked,
//! the client is answered.
//!
//! Rules: the host brings the bytes and the time; what is to be sent waits in the engine. Together the client is
//! answered when the upstream has agreed or refused. Alone each half is over by itself: an upstream that has failed
//! may be asked again, and the client is told nothing of it. One deadline per half, as for `connect`.

use super::answer_head::{last_head, refused_head};
use super::connect::{client_left, stopped};
use super::proxy::Outcome;
use super::randomness::fresh_key;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::ws::ending::Cause;
use crate::ws::engine::Engine;
use crate::ws::frame::{PerSide, Side};
use crate::ws::handshake::{Answer, ClientRequest, HeaderRules, Headers, Refusal, UpgradeOptions};
use crate::ws::url::Url;

/// How long a refused client may take to read why, in milliseconds.
const LINGER: u64 = 1000;

/// What the host wants of the next request that goes upstream, beyond its configuration.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) rules: HeaderRules,
    /// In place of the client's.
    pub(super) protocols: Vec<String>,
    pub(super) key: Option<String>,
}

/// What the host knows of the client.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) address: Option<String>,
    pub(super) secure: bool,
}

/// How far the client's half is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientHalf {
    Idle,
    Reading {
        until: u64,
    },
    /// Its request is good, and not answered yet.
    Waiting,
    Open,
    Refused {
        until: u64,
    },
}

/// How far the upstream's half is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UpstreamHalf {
    Idle,
    /// It is asked when the client's request has been read, if that is under way.
    Wanted,
    Asked {
        until: u64,
    },
    Open,
}

/// Both handshakes.
#[derive(Debug)]
pub(super) struct Halves {
    pub(super) wishes: Wishes,
    pub(super) peer: Peer,
    client: ClientHalf,
    upstream: UpstreamHalf,
    /// The client is answered as soon as its request is good; else when the upstream is open, if `together`.
    answer_at_once: bool,
    together: bool,
    url: Option<Url>,
    request: Option<ClientRequest>,
    answer_headers: Headers,
    failed: PerSide<Option<Error>>,
    /// The session has ended.
    lost: bool,
}

/// What the handshakes work with.
pub(super) struct Means<'a> {
    pub(super) config: &'a Config,
    pub(super) engine: &'a mut Engine,
    pub(super) outcome: &'a mut Outcome,
    /// The head of the upstream's answer, for the host to see.
    pub(super) answer_head: &'a mut Vec<u8>,
    /// How the streams have ended.
    pub(super) ended: PerSide<Option<&'a str>>,
    pub(super) now: u64,
}

impl Means<'_> {
    fn deadline(&self) -> u64 {
        let period = u64::try_from(self.config.connect_timeout.as_millis()).unwrap_or(u64::MAX);
        self.now.saturating_add(period)
    }
}

impl Halves {
    pub(super) fn new() -> Self {
        Halves {
            wishes: Wishes::default(),
            peer: Peer::default(),
            client: ClientHalf::Idle,
            upstream: UpstreamHalf::Idle,
            answer_at_once: false,
            together: false,
            url: None,
            request: None,
            answer_headers: Headers::default(),
            failed: PerSide::default(),
            lost: false,
        }
    }

    /// The client's request is to be read, and then the upstream asked; `together`: the client gets its answer.
    pub(super) fn connect(&mut self, url: Url, together: bool, means: &Means<'_>) -> Result<()> {
        self.check_client()?;
        self.ask_upstream(url, together)?;
        self.read_client(means)
    }

    /// The client's request is to be read, and not to be answered yet.
    pub(super) fn read_client(&mut self, means: &Means<'_>) -> Result<()> {
        self.check_client()?;
        self.client = ClientHalf::Reading { until: means.deadline() };
        Ok(())
    }

    /// The client is to be answered, whatever becomes of the upstream.
    pub(super) fn answer_client(&mut self, means: &Means<'_>) -> Result<()> {
        if self.client == ClientHalf::Idle {
            self.read_client(means)?;
        }
        self.check_alive()?;
        if self.answer_at_once || self.together {
            return Err(Error::state("the client's handshake has begun already"));
        }
        self.answer_at_once = true;
        Ok(())
    }

    /// The host has answered the client itself.
    pub(super) fn client_is_upgraded(&mut self, early: &[u8], means: &mut Means<'_>) -> Result<()> {
        self.check_client()?;
        means.engine.directions.client.inbox().give(early);
        means.engine.client_is_open();
        self.client = ClientHalf::Open;
        Ok(())
    }

    /// The upstream is to be asked; `together`: the client gets its answer.
    pub(super) fn ask_upstream(&mut self, url: Url, together: bool) -> Result<()> {
        self.check_alive()?;
        if self.upstream != UpstreamHalf::Idle {
            return Err(Error::state("the upstream's handshake has begun already"));
        }
        self.failed.upstream = None;
        self.url = Some(url);
        self.upstream = UpstreamHalf::Wanted;
        self.together = together;
        Ok(())
    }

    /// Whether the handshake with `side` has failed, and why.
    pub(super) fn failure(&self, side: Side) -> Option<&Error> {
        self.failed.get(side).as_ref()
    }

    /// Whether the session has ended before it was established.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether both sides are open.
    pub(super) fn are_open(&self) -> bool {
        self.client == ClientHalf::Open && self.upstream == UpstreamHalf::Open && !self.lost
    }

    /// When to look at the time again.
    pub(super) fn deadline(&self) -> Option<u64> {
        let client = match self.client {
            ClientHalf::Reading { until } | ClientHalf::Refused { until } => Some(until),
            _ => None,
        };
        let upstream = match self.upstream {
            UpstreamHalf::Asked { until } => Some(until),
            _ => None,
        };
        client.into_iter().chain(upstream).min()
    }

    /// Goes on with what has come.
    pub(super) fn advance(&mut self, means: &mut Means<'_>) {
        if !self.lost {
            self.read_request(means);
        }
        if !self.lost {
            self.watch_client(means);
        }
        if !self.lost {
            self.ask(means);
            self.read_answer(means);
            self.answer(means);
        }
    }

    /// What is too late by now.
    pub(super) fn keep_time(&mut self, means: &mut Means<'_>) {
        match self.client {
            ClientHalf::Reading { until } if until <= means.now => {
                self.turn_away(Refusal::request_timeout(), means);
            }
            ClientHalf::Refused { until } if until <= means.now => {
                means.engine.output_failed(Side::Client);
            }
            _ => {}
        }
        if matches!(self.upstream, UpstreamHalf::Asked { until } if until <= means.now) {
            // A refusal whose body is still coming is worth more than "too slow".
            let refusal = means.engine.give_up_answer();
            self.turn_away(refusal.unwrap_or_else(|| too_slow(means.config)), means);
        }
    }

    /// The host does not want the session any more.
    pub(super) fn stop(&mut self, means: &mut Means<'_>) {
        match self.lost {
            true => {}
            false if self.client_waits() => self.turn_away(Refusal::unavailable(stopped()), means),
            false => self.lose(stopped(), means),
        }
    }

    fn check_client(&self) -> Result<()> {
        self.check_alive()?;
        match self.client {
            ClientHalf::Idle => Ok(()),
            _ => Err(Error::state("the client's handshake has begun already")),
        }
    }

    fn check_alive(&self) -> Result<()> {
        match self.lost {
            true => Err(Error::state("the session has ended")),
            false => Ok(()),
        }
    }

    fn read_request(&mut self, means: &mut Means<'_>) {
        if !matches!(self.client, ClientHalf::Reading { .. }) {
            return;
        }
        match means.engine.poll_request(&means.config.origins) {
            Ok(Some(request)) => {
                self.request = Some(request);
                self.client = ClientHalf::Waiting;
            }
            Ok(None) if means.ended.client.is_some() => {
                self.lose(client_left("before its request was complete"), means);
            }
            Ok(None) => {}
            Err(refusal) => self.turn_away(refusal, means),
        }
    }

    /// A client that leaves while the upstream is asked takes the session with it.
    fn watch_client(&mut self, means: &mut Means<'_>) {
        let asking = matches!(self.upstream, UpstreamHalf::Wanted | UpstreamHalf::Asked { .. });
        if asking && means.ended.client.is_some() {
            self.lose(client_left("while the upstream was asked"), means);
        }
    }

    fn ask(&mut self, means: &mut Means<'_>) {
        if self.upstream != UpstreamHalf::Wanted
            || matches!(self.client, ClientHalf::Reading { .. })
        {
            return;
        }
        let Some(url) = self.url.take() else { return };
        let wishes = std::mem::take(&mut self.wishes);
        match wishes.key.clone().map_or_else(fresh_key, Ok) {
            Ok(key) => {
                self.write_request(&url, &key, &wishes, means);
                self.upstream = UpstreamHalf::Asked { until: means.deadline() };
            }
            Err(error) => self.turn_away(Refusal::internal(error), means),
        }
    }

    fn write_request(&self, url: &Url, key: &str, wishes: &Wishes, means: &mut Means<'_>) {
        let Wishes { rules, protocols, .. } = wishes;
        let options = UpgradeOptions {
            rules: &means.config.headers,
            request_rules: Some(rules),
            protocols: if protocols.is_empty() { &means.config.protocols } else { protocols },
            forwarded: means.config.forwarded,
            peer: self.peer.address.as_deref(),
            client_secure: self.peer.secure,
        };
        let request = self.request.as_ref().map(|request| {
            let request = match means.config.pass_headers {
                true => request.clone(),
                false => request.without_headers(),
            };
            match protocols.is_empty() {
                true => request,
                false => request.offering(protocols.clone()),
            }
        });
        means.engine.ask_upstream(url, request.as_ref(), &options, key);
    }

    fn read_answer(&mut self, means: &mut Means<'_>) {
        if !matches!(self.upstream, UpstreamHalf::Asked { .. }) {
            return;
        }
        let ended = means.ended.upstream;
        if let (Some(how), false) = (ended, means.engine.outboxes.upstream.pending().is_empty()) {
            let error = Error::new(ErrorKind::Unreachable, Fault::Upstream, how);
            return self.turn_away(Refusal::bad_gateway(error), means);
        }
        match means.engine.poll_answer(false) {
            Ok(Answer::NeedMore) => {
                if let Some(how) = ended {
                    let refusal = broken_off(how, means.engine);
                    *means.answer_head = refused_head(means.engine);
                    self.turn_away(refusal, means);
                }
            }
            Ok(Answer::Refused(refusal)) => {
                *means.answer_head = refused_head(means.engine);
                self.turn_away(refusal, means);
            }
            Ok(Answer::Open { protocol, headers, consumed }) => {
                *means.answer_head = last_head(means.engine, consumed);
                *means.outcome = Outcome { protocol, ..Outcome::default() };
                self.answer_headers = headers;
                self.upstream = UpstreamHalf::Open;
            }
            Err(error) => {
                *means.answer_head = refused_head(means.engine);
                self.turn_away(Refusal::bad_gateway(error), means);
            }
        }
    }

    fn answer(&mut self, means: &mut Means<'_>) {
        let is_time = self.answer_at_once || (self.together && self.upstream == UpstreamHalf::Open);
        if self.client != ClientHalf::Waiting || !is_time {
            return;
        }
        if let Some(request) = &mut self.request {
            let protocol = means.outcome.protocol.as_deref();
            let headers = std::mem::take(&mut self.answer_headers);
            means.engine.answer_client(request, protocol, &headers);
            // An upstream that is asked later cannot choose any more: the client has its answer.
            request.forget_protocols();
            self.client = ClientHalf::Open;
        }
    }

    /// Whether the client is owed an answer by what goes on now.
    fn client_waits(&self) -> bool {
        match self.client {
            ClientHalf::Reading { .. } => true,
            ClientHalf::Waiting => self.together,
            ClientHalf::Idle | ClientHalf::Open | ClientHalf::Refused { .. } => false,
        }
    }

    /// A handshake has failed: the client hears of it if it waits for an answer; else only the host, who may try again.
    fn turn_away(&mut self, refusal: Refusal, means: &mut Means<'_>) {
        means.outcome.note_refusal(&refusal);
        if self.client_waits() {
            means.engine.refuse_client(&refusal);
            self.client = ClientHalf::Refused { until: means.now.saturating_add(LINGER) };
            self.lose(refusal.into_error(), means);
        } else {
            self.upstream = UpstreamHalf::Idle;
            self.failed.upstream = Some(refusal.into_error());
            means.engine.outboxes.upstream.discard();
        }
    }

    /// Nothing comes of the session. A side that speaks WebSocket already is told that it lost the other.
    fn lose(&mut self, error: Error, means: &mut Means<'_>) {
        for side in Side::BOTH {
            if means.engine.is_open(side) && means.ended.get(side).is_none() {
                let close = Cause::Left(side.other()).close_for(side);
                means.engine.outboxes.get_mut(side).push_close(&close);
            }
        }
        if !means.engine.is_open(Side::Upstream) {
            means.engine.outboxes.upstream.discard();
        }
        self.failed = PerSide { client: Some(error.clone()), upstream: Some(error) };
        self.lost = true;
    }
}

/// What an answer that is not whole is worth: what of a refusal has come, or words.
fn broken_off(how: &str, engine: &mut Engine) -> Refusal {
    let refusal = engine.give_up_answer();
    let in_full = match engine.directions.upstream.inbox().unread().is_empty() {
        true => "",
        false => " in full",
    };
    let words = format!("{how} before answering the handshake{in_full}");
    let error = Error::new(ErrorKind::Refused, Fault::Upstream, words);
    refusal.unwrap_or_else(|| Refusal::bad_gateway(error))
}

fn too_slow(config: &Config) -> Refusal {
    let words = format!("did not answer within {:?}", config.connect_timeout);
    Refusal::gateway_timeout(Error::new(ErrorKind::Timeout, Fault::Upstream, words))
}
