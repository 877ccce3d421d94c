//! The way to the upstream through an HTTP proxy, driven: CONNECT and its answer, under the deadline of the half.
//!
//! Rule: behind the proxy's answer comes nothing before the upstream was asked. Whoever speaks all the same is not
//! the upstream.

use std::io::ErrorKind as IoError;
use std::os::fd::AsFd;

use super::connect::{bad_gateway, upstream_lost, Connector, Failure};
use crate::error::{Error, ErrorKind, Fault};
use crate::io::{Events, Socket, Wire};
use crate::ws::handshake::{Tunnel, TunnelAnswer};
use crate::ws::proxy_url::ProxyUrl;
use crate::ws::url::Url;

impl Connector<'_> {
    /// Asks `proxy`, at the other end of `socket`, for a connection to the upstream.
    pub(super) fn tunnel(
        &self,
        url: &Url,
        proxy: &ProxyUrl,
        socket: Socket,
        client: Option<&Wire>,
    ) -> Result<Socket, Failure> {
        let (mut tunnel, request) = Tunnel::new(url, proxy.credentials());
        let wire = Wire::plain(socket);
        self.write_all(&wire, &request, Some(client))?;
        let (mut answer, mut eof) = (Vec::new(), false);
        loop {
            match tunnel.handle_input(&answer, eof).map_err(bad_gateway)? {
                TunnelAnswer::Open { consumed } if consumed == answer.len() => {
                    return wire.into_socket().ok_or_else(|| too_early().into());
                }
                TunnelAnswer::Open { .. } => return Err(bad_gateway(too_early())),
                TunnelAnswer::NeedMore => {}
            }
            self.wait_upstream((wire.as_fd(), Events::READABLE), client)?;
            eof = read_more(&wire, &mut answer)?;
        }
    }
}

/// Reads what is there; `true` at the end of the stream.
#[inline(never)] // else its buffer is part of the frame of every handshake, also of those without a proxy
fn read_more(wire: &Wire, answer: &mut Vec<u8>) -> Result<bool, Failure> {
    let mut room = [0; 4096];
    match wire.try_recv(&mut room) {
        Ok(count) => {
            answer.extend_from_slice(room.get(..count).unwrap_or_default());
            Ok(count == 0)
        }
        Err(error) if error.kind() == IoError::WouldBlock => Ok(false),
        Err(error) => Err(upstream_lost(error)),
    }
}

fn too_early() -> Error {
    let words = "the HTTP proxy sent something behind its answer, before the upstream was asked";
    Error::new(ErrorKind::Unreachable, Fault::Upstream, words)
}
