//! Both connections before `execute`: how far each has come, and how they end if it never runs.

use super::connect::Connector;
use super::control::Control;
use super::farewell::farewell;
use crate::config::Config;
use crate::io::Wire;
use crate::ws::ending::Cause;
use crate::ws::engine::Engine;
use crate::ws::frame::Side;
use crate::ws::handshake::{ClientRequest, Headers, Plan, Refusal};

/// What there is before `execute`.
#[derive(Debug)]
pub(super) struct Legs {
    pub(super) engine: Box<Engine>,
    pub(super) client: Option<Wire>,
    pub(super) upstream: Option<Wire>,
    pub(super) request: Option<ClientRequest>,
    /// The client's IP address.
    pub(super) peer: Option<String>,
    /// What the handshake hook has changed.
    pub(super) plan: Plan,
    /// What the upstream's answer had for the client.
    pub(super) answer_headers: Headers,
}

impl Legs {
    /// Neither is there.
    pub(super) fn new(engine: Box<Engine>) -> Self {
        Legs {
            engine,
            client: None,
            upstream: None,
            request: None,
            peer: None,
            plan: Plan::default(),
            answer_headers: Headers::default(),
        }
    }

    /// Answers a client that still waits for an answer, and lets it read that.
    pub(super) fn refuse(&mut self, config: &Config, control: &Control, refusal: &Refusal) {
        let Some(wire) = &self.client else { return };
        if self.engine.is_open(Side::Client) {
            return;
        }
        match Connector::start_fresh(config, control) {
            Ok(connector) => connector.refuse(wire, &mut self.engine, refusal),
            Err(_) => {
                // Not even a descriptor to wait with: what fits at once has to do.
                wire.discard_input();
                self.engine.refuse_client(refusal);
                farewell(&mut self.engine, Side::Client, wire);
                let _ = wire.shutdown_write();
            }
        }
    }

    /// Ends what connections there are. A side that speaks WebSocket already is told that it lost the other.
    pub(super) fn shut_down(&mut self) {
        for (side, wire) in [(Side::Client, &self.client), (Side::Upstream, &self.upstream)] {
            let Some(wire) = wire else { continue };
            if self.engine.is_open(side) {
                let close = Cause::Left(side.other()).close_for(side);
                self.engine.outboxes.get_mut(side).push_close(&close);
                farewell(&mut self.engine, side, wire);
            }
            let _ = wire.shutdown_both(); // already ended is as good
            wire.discard_input(); // frames that came early
        }
    }
}
