//! Opening connections, a number of them at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::{Load, Result};

/// The key of RFC 6455 section 1.3, and its answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// More than the head of an answer.
const HEAD: usize = 8 * 1024;

/// Opens `count` connections, `at_once` at a time.
pub fn open(load: &mut Load, proxy: SocketAddr, count: usize, at_once: usize) -> Result<Duration> {
    let begun = Instant::now();
    let first = load.connections.len();
    let mut heads = vec![Vec::new(); count];
    let (mut asked, mut opened) = (0, 0);
    let mut ready = Vec::new();
    while opened < count {
        while asked < count && asked - opened < at_once {
            ask(load, proxy)?;
            asked += 1;
        }
        load.wait(&mut ready, "connections opened")?;
        for number in &ready {
            let number = usize::try_from(*number)?;
            let Some(head) = number.checked_sub(first).and_then(|at| heads.get_mut(at)) else {
                continue;
            };
            let was_whole = is_whole(head);
            read(&mut load.connections[number], head)?;
            opened += usize::from(is_whole(head) && !was_whole);
        }
    }
    let took = begun.elapsed();
    heads.iter().try_for_each(|head| check(head))?;
    Ok(took)
}

/// The listeners are on the loopback: connecting does not wait.
fn ask(load: &mut Load, proxy: SocketAddr) -> Result<()> {
    let mut socket = TcpStream::connect(proxy)?;
    socket.set_nodelay(true)?;
    let request = format!(
        "GET /bench HTTP/1.1\r\nHost: {proxy}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    socket.write_all(request.as_bytes())?;
    socket.set_nonblocking(true)?;
    let number = load.connections.len();
    load.readiness.watch(&socket, number as u64)?;
    load.connections.push(Connection::new(number, socket));
    Ok(())
}

fn read(connection: &mut Connection, head: &mut Vec<u8>) -> Result<()> {
    let mut scratch = [0; HEAD];
    match connection.socket.read(&mut scratch) {
        Ok(0) => Err(format!("closed instead of opened, after {}", show(head)).into()),
        Ok(count) => {
            head.extend_from_slice(&scratch[..count]);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_whole(head: &[u8]) -> bool {
    head.ends_with(b"\r\n\r\n")
}

fn check(head: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(head);
    let accepts = text.lines().filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT
    });
    if !text.starts_with("HTTP/1.1 101") || !accepts {
        return Err(format!("not the answer that opens a connection: {}", show(head)).into());
    }
    Ok(())
}

fn show(head: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(head))
}
