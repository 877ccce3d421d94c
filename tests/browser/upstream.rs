//! The upstream, tungstenite: echoes messages, closes when told to, chooses a subprotocol, sets a cookie, has the proxy
//! drained in the middle of a message, and keeps what it was asked and told.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::{HeaderMap, HeaderValue};
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Bytes, Message, WebSocket};

use super::door::Door;
use super::proxy::Asked;

const PATIENCE: Duration = Duration::from_secs(60);

/// Long enough for a drain to be carried out.
const A_WHILE: Duration = Duration::from_millis(100);

/// A connection that has ended.
#[derive(Debug, Clone)]
pub struct Call {
    asked: Asked,
    pub messages: Vec<Message>,
    /// Code and reason of the close frame that was heard.
    pub closed: Option<String>,
}

impl std::ops::Deref for Call {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.asked
    }
}

pub type Calls = Arc<Mutex<Vec<Call>>>;

/// Where it is, and what it will have heard; `drain` is called in the middle of a message.
pub fn serve(drain: impl Fn() + Send + Sync + 'static) -> (Door, Calls) {
    let calls = Calls::default();
    let keep = Arc::clone(&calls);
    let door = Door::open(move |stream| {
        if let Some(call) = converse(stream, &drain) {
            keep.lock().unwrap().push(call);
        }
    });
    (door, calls)
}

#[allow(clippy::result_large_err)] // the callback's type is tungstenite's
fn converse(stream: TcpStream, drain: &impl Fn()) -> Option<Call> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut asked = None;
    let socket = tungstenite::accept_hdr(stream, |request: &Request, mut response: Response| {
        asked = Some(as_asked(request));
        let headers = response.headers_mut();
        headers.insert("Set-Cookie", HeaderValue::from_static("seat=12; Secure; HttpOnly; Path=/"));
        choose_protocol(request.headers(), headers);
        Ok(response)
    });
    let mut socket = socket.ok()?;
    let mut call = Call { asked: asked?, messages: Vec::new(), closed: None };
    talk(&mut socket, &mut call, drain);
    Some(call)
}

fn as_asked(request: &Request) -> Asked {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
    Asked { target: request.uri().to_string(), headers }
}

/// The last one offered, so that it is nobody's default.
fn choose_protocol(offers: &HeaderMap, answer: &mut HeaderMap) {
    let offers = offers.get("Sec-WebSocket-Protocol").and_then(|offers| offers.to_str().ok());
    if let Some(last) = offers.and_then(|offers| offers.rsplit(", ").next()) {
        answer.insert("Sec-WebSocket-Protocol", HeaderValue::from_str(last).unwrap());
    }
}

/// Until the connection is over, however it ends.
fn talk(socket: &mut WebSocket<TcpStream>, call: &mut Call, drain: &impl Fn()) {
    while let Ok(message) = socket.read() {
        match &message {
            Message::Close(close) => {
                let words =
                    |close: &CloseFrame| format!("{} {}", u16::from(close.code), close.reason);
                call.closed = Some(close.as_ref().map_or("1005 ".into(), words));
                continue;
            }
            Message::Text(order) if order.starts_with("close ") => {
                let words: Vec<&str> = order.splitn(3, ' ').collect();
                let code = words[1].parse::<u16>().unwrap().into();
                let _ = socket.close(Some(CloseFrame { code, reason: words[2].into() }));
            }
            Message::Text(order) if order.as_str() == "drain" => {
                let _ = socket.send(part(Data::Text, "half a ", false));
                let _ = socket.send(Message::Ping(Bytes::new()));
            }
            // The browser has what came before the ping.
            Message::Pong(_) => {
                drain();
                sleep(A_WHILE);
                let _ = socket.send(part(Data::Continue, "message", true));
                continue;
            }
            Message::Text(_) | Message::Binary(_) => {
                let _ = socket.send(message.clone());
            }
            _ => continue,
        }
        call.messages.push(message);
    }
}

fn part(data: Data, text: &'static str, fin: bool) -> Message {
    Message::Frame(Frame::message(text, OpCode::Data(data), fin))
}
