//! Both opening handshakes (RFC 6455 section 4) as pure functions of bytes: we answer the client, we ask the upstream;
//! and what may stand between them: the host's hook, and an HTTP proxy on the way to the upstream.
//!
//! Rules: strict, because two parsers that disagree are a smuggling hole; bounded in bytes and in lines; linear in
//! the input however it is cut. Keys come in as arguments. Texts name no header value: cookies travel there.

mod accept;
mod admission;
mod body;
mod forwarded;
#[cfg(test)]
mod fuzz;
mod head;
mod headers;
mod parse;
mod protocols;
mod refusal;
mod request;
mod rules;
mod switch;
mod tunnel;
mod upgrade;

pub use accept::{check_key, ClientRequest};
pub use admission::{Admission, Handshake, Plan};
pub use forwarded::Forwarded;
pub use head::{HeadError, HeadScan, MAX_HEAD, MAX_HEADERS};
pub use headers::{check_name, check_value, Duplicate, Headers};
pub use protocols::{check_protocol, MAX_PROTOCOLS};
pub use refusal::Refusal;
pub use request::UpgradeOptions;
pub use rules::HeaderRules;
pub use tunnel::{Tunnel, TunnelAnswer};
pub use upgrade::{Answer, Upgrade};
