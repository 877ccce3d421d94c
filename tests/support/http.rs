//! Handshakes byte by byte: whoever asks says exactly what it is told, and hears all that it is answered.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tungstenite::handshake::derive_accept_key;

use super::peer::{header, read_head, Listener};
use super::LONG;

/// A connection of which every call is bounded.
pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `bytes`, as far as anybody takes them, and hears everything until the end of the connection.
pub fn ask(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(addr);
    let _ = stream.write_all(bytes); // whoever is refused early may be cut off
    hear_all(&mut stream)
}

/// Everything until the end of the connection, which may be a reset.
pub fn hear_all(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => heard.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("no end: {error}: {:?}", String::from_utf8_lossy(&heard)),
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// The status of an answer.
pub fn status(answer: &str) -> u16 {
    let words: Vec<&str> = answer.splitn(3, ' ').collect();
    assert!(words.len() > 1 && words[0] == "HTTP/1.1", "no answer: {answer:?}");
    words[1].parse().unwrap()
}

/// The good answer to a request head.
pub fn good_answer(head: &str, more: &str) -> String {
    let accept = derive_accept_key(header(head, "Sec-WebSocket-Key").unwrap().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
}

/// Accepts one connection and reads its request.
pub fn asked(listener: &Listener) -> (TcpStream, String) {
    let mut stream = listener.accept_tcp();
    let head = read_head(&mut stream);
    (stream, head)
}

/// Nobody may have called, and nobody does.
pub fn nobody_called(listener: &Listener) {
    listener.0.set_nonblocking(true).unwrap();
    let outcome = listener.0.accept();
    listener.0.set_nonblocking(false).unwrap();
    assert_eq!(outcome.expect_err("a call").kind(), ErrorKind::WouldBlock);
}

/// Not a byte may come for this long.
pub fn silent_for(stream: &mut TcpStream, period: Duration) {
    stream.set_read_timeout(Some(period)).unwrap();
    let mut byte = [0];
    let outcome = stream.read(&mut byte);
    stream.set_read_timeout(Some(LONG)).unwrap();
    let error = outcome.expect_err("neither a byte nor the end");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}
