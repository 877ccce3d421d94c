//! The upstream's half of the opening handshake (RFC 6455 section 4.2).

use openssl::base64::encode_block;
use openssl::sha::sha1;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Where the head at the start of `bytes` ends.
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The answer to the request `head`.
pub fn answer(head: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(head).map_err(|error| error.to_string())?;
    let key = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .map(|(_, value)| value.trim())
        .ok_or_else(|| format!("no key in {text:?}"))?;
    let accept = encode_block(&sha1(&[key.as_bytes(), GUID].concat()));
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_gets_the_answer_of_the_rfc() {
        let head = b"GET / HTTP/1.1\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        assert_eq!(end_of_head(head), Some(head.len()));
        assert!(answer(head).unwrap().contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(answer(b"GET / HTTP/1.1\r\n\r\n").is_err());
    }
}
