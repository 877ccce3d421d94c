//! Random and mutated heads: never a panic, and the same judgement however the bytes are cut.
//!
//! Rule: deterministic; the seed stands in every failure.

use super::{
    Answer, ClientRequest, Forwarded, HeadScan, HeaderRules, Headers, Tunnel, TunnelAnswer,
    Upgrade, UpgradeOptions,
};
use crate::ws::origin::OriginList;
use crate::ws::proxy_url::ProxyUrl;
use crate::ws::url::Url;

const ROUNDS: u64 = 20_000;
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const REQUEST: &[u8] = b"GET /chat?a=b HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nOrigin: https://good.com\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b\r\n\r\n";
const ANSWERS: [&[u8]; 3] = [
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a\r\n\r\n3\r\nabc\r\n1f;x\r\nd",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 12\r\n\r\nabc",
];
const TUNNELS: [&[u8]; 3] = [
    b"HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\n\x16\x03\x01",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 X\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\nno",
];
const FORWARDED: &[u8] = b"for=\"[2001:db8::1]:80\";host=\"h:1\", for=192.0.2.7; proto=https";
/// Bytes that parsers disagree about.
const SPICE: &[u8] = b"\r\n\0\t :,;@/#*[]\"\x7f\x80\xff0Aa";

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn byte(&mut self) -> u8 {
        match self.below(3) {
            0 => self.below(256) as u8,
            _ => SPICE[self.below(SPICE.len())],
        }
    }

    fn mutate(&mut self, valid: &[u8]) -> Vec<u8> {
        let mut bytes = valid.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let byte = self.byte();
            match self.below(4) {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => {
                    let piece = bytes[at..bytes.len().min(at + 30)].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
        bytes
    }

    fn noise(&mut self) -> Vec<u8> {
        (0..self.below(200)).map(|_| self.byte()).collect()
    }
}

fn origins() -> OriginList {
    let mut origins = OriginList::default();
    origins.add("https://good.com").unwrap();
    origins
}

fn answer_in_pieces(bytes: &[u8], dice: &mut Dice) -> String {
    let rules = HeaderRules::default();
    let options = UpgradeOptions {
        rules: &rules,
        request_rules: None,
        protocols: &[],
        forwarded: Forwarded::default(),
        peer: None,
        client_secure: false,
    };
    let (mut upgrade, _) = Upgrade::new(&Url::parse("ws://up").unwrap(), None, &options, KEY);
    let mut have = 0;
    loop {
        have = (have + 1 + dice.below(bytes.len() + 1)).min(bytes.len());
        match upgrade.handle_input(&bytes[..have], have == bytes.len()) {
            Ok(Answer::NeedMore) => assert!(have < bytes.len(), "eof is the end"),
            Ok(Answer::Refused(refusal)) => {
                return String::from_utf8_lossy(&refusal.to_bytes()).into_owned();
            }
            other => return format!("{other:?}"),
        }
    }
}

#[test]
fn mutated_and_random_requests_are_judged_without_a_panic() {
    let origins = origins();
    assert!(ClientRequest::parse(REQUEST, &origins).is_ok());
    for seed in 0..ROUNDS {
        let mut dice = Dice::new(seed);
        let bytes = if seed % 4 == 0 { dice.noise() } else { dice.mutate(REQUEST) };
        let result = std::panic::catch_unwind(|| match ClientRequest::parse(&bytes, &origins) {
            Ok(request) => {
                let scan = HeadScan::default().find_end(&bytes);
                assert_eq!(scan, Ok(Some(bytes.len())));
                assert!(request.target().starts_with('/'));
                assert!(request
                    .answer(request.protocols().first().map(String::as_str), &Headers::default())
                    .ends_with(b"\r\n\r\n"));
            }
            Err(refusal) => {
                assert!((400..=505).contains(&refusal.status()));
                // Our pages repeat nothing of the request: one empty line, one body.
                assert_eq!(refusal.to_bytes().windows(4).filter(|w| w == b"\r\n\r\n").count(), 1);
            }
        });
        assert!(result.is_ok(), "seed {seed}");
    }
}

#[test]
fn mutated_and_random_answers_are_judged_alike_however_they_are_cut() {
    for seed in 0..ROUNDS {
        let mut dice = Dice::new(seed);
        let valid = ANSWERS[dice.below(ANSWERS.len())];
        let bytes = if seed % 4 == 0 { dice.noise() } else { dice.mutate(valid) };
        let result = std::panic::catch_unwind(|| {
            let mut dice = Dice::new(seed);
            let first = answer_in_pieces(&bytes, &mut dice);
            assert_eq!(first, answer_in_pieces(&bytes, &mut dice));
        });
        assert!(result.is_ok(), "seed {seed}");
    }
}

fn tunnel_in_pieces(bytes: &[u8], dice: &mut Dice) -> String {
    let (mut tunnel, _) = Tunnel::new(&Url::parse("ws://up").unwrap(), None);
    let mut have = 0;
    loop {
        have = (have + 1 + dice.below(bytes.len() + 1)).min(bytes.len());
        match tunnel.handle_input(&bytes[..have], have == bytes.len()) {
            Ok(TunnelAnswer::NeedMore) => assert!(have < bytes.len(), "eof is the end"),
            other => return format!("{other:?}"),
        }
    }
}

#[test]
fn mutated_and_random_answers_to_connect_are_judged_alike_however_they_are_cut() {
    for seed in 0..ROUNDS {
        let mut dice = Dice::new(seed);
        let valid = TUNNELS[dice.below(TUNNELS.len())];
        let bytes = if seed % 4 == 0 { dice.noise() } else { dice.mutate(valid) };
        let result = std::panic::catch_unwind(|| {
            let mut dice = Dice::new(seed);
            let first = tunnel_in_pieces(&bytes, &mut dice);
            assert_eq!(first, tunnel_in_pieces(&bytes, &mut dice));
        });
        assert!(result.is_ok(), "seed {seed}");
    }
}

#[test]
fn mutated_and_random_proxy_urls_and_socket_paths_are_judged_without_a_panic() {
    for seed in 0..ROUNDS {
        let mut dice = Dice::new(seed);
        let proxy = dice.mutate(b"http://secret%40:secret%3a@[2001:db8::1]:8080/");
        let socket = dice.mutate(b"ws+unix:///run/a.sock:/path?secret=b:c");
        let result = std::panic::catch_unwind(|| {
            let parsed = std::str::from_utf8(&proxy).ok().map(ProxyUrl::parse);
            assert!(!format!("{parsed:?}").contains("secret"));
            if let Some(Ok(proxy)) = parsed {
                assert!(proxy.port() != 0 && !proxy.host().is_empty());
                let (_, request) =
                    Tunnel::new(&Url::parse("ws://up").unwrap(), proxy.credentials());
                let lines = request.iter().filter(|&&byte| byte == b'\n').count();
                assert_eq!(lines, if proxy.credentials().is_some() { 4 } else { 3 });
            }
            let parsed = std::str::from_utf8(&socket).ok().map(Url::parse);
            if let Some(Ok(url)) = parsed {
                let path = url.unix_path().unwrap();
                assert!(path.starts_with('/') && path.len() <= 107 && !path.contains([':', '?']));
                assert!(url.target_for(None).starts_with('/'));
            }
        });
        assert!(result.is_ok(), "seed {seed}");
    }
}

/// Whatever the client claims, a reader of the list comes to our element at its end.
#[test]
fn mutated_and_random_forwarded_lines_never_hide_ours() {
    let rules = HeaderRules::default();
    let options = UpgradeOptions {
        rules: &rules,
        request_rules: None,
        protocols: &[],
        forwarded: Forwarded { x_forwarded: true, rfc7239: true },
        peer: Some("192.0.2.7"),
        client_secure: true,
    };
    let url = Url::parse("ws://up").unwrap();
    let mut taken = 0;
    for seed in 0..ROUNDS {
        let mut dice = Dice::new(seed);
        let claim = if seed % 4 == 0 { dice.noise() } else { dice.mutate(FORWARDED) };
        let at = REQUEST.len() - 2;
        let line = [b"Forwarded: ", &claim[..], b"\r\n\r\n"].concat();
        let head = [&REQUEST[..at], &line[..]].concat();
        let Ok(client) = ClientRequest::parse(&head, &OriginList::default()) else { continue };
        taken += 1;
        let (_, request) = Upgrade::new(&url, Some(&client), &options, KEY);
        let text = String::from_utf8_lossy(&request).into_owned();
        let mut lines = text.split("\r\n").filter(|line| line.starts_with("Forwarded: "));
        let (line, another) = (lines.next().unwrap(), lines.next());
        let ours = "for=192.0.2.7;host=example.com;proto=https";
        assert!(another.is_none() && line.ends_with(ours), "seed {seed}: {line}");
        let before = line.trim_end_matches(ours);
        assert_eq!(quotes_left_open(before), (false, false), "seed {seed}: {line}");
    }
    assert!(taken > ROUNDS / 4, "only {taken}");
}

/// As two readers see it: one to whom every quote is one, and one that looks for them behind `=` only.
fn quotes_left_open(text: &str) -> (bool, bool) {
    let open_for = |opens: fn(char) -> bool| {
        let (mut open, mut escaped, mut last) = (false, false, ' ');
        for c in text.chars() {
            match (open, c) {
                (true, _) if escaped => escaped = false,
                (true, '\\') => escaped = true,
                (true, '"') => open = false,
                (false, '"') => open = opens(last),
                _ => {}
            }
            last = c;
        }
        open
    };
    (open_for(|_| true), open_for(|last| last == '='))
}

#[test]
fn mutated_and_random_urls_and_origins_are_judged_without_a_panic() {
    let list = origins();
    for seed in 0..ROUNDS {
        let mut dice = Dice::new(seed);
        let url = dice.mutate(b"wss://[2001:db8::1]:8443/path?query");
        let origin = dice.mutate(b"https://good.com:443");
        let result = std::panic::catch_unwind(|| {
            if let Ok(url) =
                std::str::from_utf8(&url).map_err(drop).and_then(|u| Url::parse(u).map_err(drop))
            {
                let target = url.target_for(None);
                assert!(target.starts_with('/') && target.bytes().all(|b| b.is_ascii_graphic()));
                assert!(url.port() != 0 && !url.host().is_empty());
            }
            if list.allows(Some(&origin)) {
                let text = String::from_utf8(origin.to_ascii_lowercase()).unwrap();
                assert_eq!(
                    text.trim_end_matches(|c: char| c.is_ascii_digit() || c == ':'),
                    "https://good.com"
                );
            }
        });
        assert!(result.is_ok(), "seed {seed}");
    }
}

/// One pass over the bytes, whatever the pieces: a quadratic scan would look at two thousand million of them.
#[test]
fn largest_head_in_pieces_of_one_byte_is_linear() {
    let mut head = b"HTTP/1.1 101 X\r\nA: ".to_vec();
    head.resize(super::MAX_HEAD - 1, b'x');
    for _ in 0..20 {
        let rules = HeaderRules::default();
        let options = UpgradeOptions {
            rules: &rules,
            request_rules: None,
            protocols: &[],
            forwarded: Forwarded::default(),
            peer: None,
            client_secure: false,
        };
        let url = Url::parse("ws://up").unwrap();
        let (mut upgrade, _) = Upgrade::new(&url, None, &options, KEY);
        let (mut tunnel, _) = Tunnel::new(&url, None);
        for end in 0..=head.len() {
            assert!(matches!(upgrade.handle_input(&head[..end], false), Ok(Answer::NeedMore)));
            assert_eq!(tunnel.handle_input(&head[..end], false), Ok(TunnelAnswer::NeedMore));
        }
    }
}
