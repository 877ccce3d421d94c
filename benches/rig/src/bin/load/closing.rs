//! Closing all connections with the closing handshake (RFC 6455 section 7).

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use wsproxy_bench::frame::{apply_mask, write_header, CLOSE, MAX_HEADER};

use crate::connection::Connection;
use crate::{Load, Result};

/// 1000, which the upstream echoes.
const CODE: [u8; 2] = 1000u16.to_be_bytes();
const MASK: [u8; 4] = [0x6d, 0xb6, 0xb2, 0x80];
const REPLY: [u8; 4] = [0x80 | CLOSE, 2, CODE[0], CODE[1]];

/// Sends each peer a close frame, and waits for its reply and the end of its stream.
pub fn close(load: &mut Load) -> Result<Duration> {
    let begun = Instant::now();
    let mut frame = [0; MAX_HEADER];
    let header = write_header(&mut frame, CLOSE, CODE.len(), Some(MASK));
    frame[header..header + CODE.len()].copy_from_slice(&CODE);
    apply_mask(&mut frame[header..header + CODE.len()], MASK);
    for connection in &mut load.connections {
        connection.socket.write_all(&frame[..header + CODE.len()])?;
    }
    let mut replies = vec![(Vec::new(), false); load.connections.len()];
    let (mut left, mut ready) = (load.connections.len(), Vec::new());
    while left > 0 {
        load.wait(&mut ready, "connections closed")?;
        for number in &ready {
            let number = usize::try_from(*number)?;
            let (reply, ended) = &mut replies[number];
            if !*ended && read(&mut load.connections[number], reply)? {
                *ended = true;
                left -= 1;
            }
        }
    }
    load.connections.clear();
    match replies.iter().find(|(reply, _)| *reply != REPLY) {
        Some((reply, _)) => Err(format!("closed with {reply:?} instead of {REPLY:?}").into()),
        None => Ok(begun.elapsed()),
    }
}

/// Whether the stream is at its end.
fn read(connection: &mut Connection, reply: &mut Vec<u8>) -> Result<bool> {
    let mut scratch = [0; 64];
    loop {
        match connection.socket.read(&mut scratch) {
            Ok(0) => return Ok(true),
            Ok(count) => reply.extend_from_slice(&scratch[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}
