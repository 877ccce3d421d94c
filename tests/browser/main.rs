//! A real browser through the proxy: Chromium opens a page over https://, and the page's WebSockets go over wss://
//! through a `Server` to tungstenite.
//!
//! The browser starts once, makes one visit, and the page says what it found; each test looks at its part of that.
//! Certificates are verified in earnest: their authority is made here and is in the browser's own database only.

mod authority;
mod browser;
mod door;
mod pages;
mod proxy;
mod upstream;
mod visit;

use std::sync::LazyLock;

use serde_json::{json, Value};
use tungstenite::Message;
use visit::Visit;

/// What all tests look at. Should it fail, one test says why and the others that it has.
static VISIT: LazyLock<Visit> = LazyLock::new(Visit::make);

/// What page.js sends besides, byte by byte.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn found(pointer: &str) -> &'static Value {
    VISIT.report.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {:#}", VISIT.report))
}

/// What a page sees of a connection that never came to be, whatever the reason.
fn never_opened(pointer: &str) {
    let close = json!({ "code": 1006, "reason": "", "wasClean": false });
    assert_eq!(found(pointer), &json!({ "events": ["error", "close"], "close": close }));
}

#[test]
fn text_and_binary_messages_of_a_page_come_back_as_they_were() {
    let echoes = found("/talk/echoes").as_array().unwrap();
    let sizes: Vec<&Value> = echoes.iter().map(|echo| &echo["bytes"]).collect();
    assert_eq!(sizes, [0, 5, 80_000, 0, 1 << 20, 300]);
    for echo in echoes {
        assert_eq!(echo["same"], true, "{echo}");
    }
}

#[test]
fn the_upstream_gets_a_pages_messages_whole_and_in_order() {
    let characters = "\u{1F600}\u{1D11E}".repeat(10_000);
    let binary = |len| Message::binary(pattern(len));
    let expected = [
        Message::text(""),
        Message::text("gross"),
        Message::text(characters),
        binary(0),
        binary(1 << 20),
        binary(300),
        Message::text("close 4001 done"),
    ];
    let heard = &VISIT.call("/talk").messages;
    assert_eq!(heard.len(), expected.len());
    for (i, (heard, expected)) in heard.iter().zip(&expected).enumerate() {
        assert!(heard == expected, "message {i}");
    }
}

#[test]
fn a_page_sees_the_upstreams_close_code_and_reason() {
    let close = json!({ "code": 4001, "reason": "done", "wasClean": true });
    assert_eq!(found("/talk/close"), &close);
    assert_eq!(VISIT.call("/talk").closed.as_deref(), Some("4001 done"), "the browser's answer");
}

#[test]
fn the_upstream_sees_a_pages_close_code_and_reason() {
    assert_eq!(VISIT.call("/again").closed.as_deref(), Some("4002 genug für heute"));
    let close = found("/again/close");
    assert_eq!((&close["code"], &close["wasClean"]), (&json!(4002), &json!(true)), "{close}");
}

#[test]
fn the_subprotocol_that_the_upstream_chooses_is_the_pages() {
    assert_eq!(VISIT.call("/talk").header("Sec-WebSocket-Protocol"), Some("chat.v1, chat.v2"));
    assert_eq!(found("/talk/protocol"), "chat.v2");
    assert_eq!(found("/again/protocol"), "", "none was offered");
}

#[test]
fn permessage_deflate_that_a_browser_offers_is_stripped() {
    let asked = VISIT.asked("/talk");
    let offer = asked.header("Sec-WebSocket-Extensions").expect("an offer");
    assert!(offer.contains("permessage-deflate"), "{offer}");
    assert_eq!(VISIT.call("/talk").header("Sec-WebSocket-Extensions"), None);
    assert_eq!(found("/talk/extensions"), "");
}

#[test]
fn the_cookies_of_a_page_reach_the_upstream() {
    let mut cookies = VISIT.call("/talk").cookies();
    cookies.sort_unstable();
    assert_eq!(cookies, ["hidden=from-the-page-server", "theme=dark"]);
}

#[test]
fn a_cookie_that_the_upstreams_101_sets_is_in_the_browsers_next_request() {
    assert!(!VISIT.call("/talk").cookies().contains(&"seat=12"));
    assert!(VISIT.call("/again").cookies().contains(&"seat=12"));
    let visible = found("/cookies").as_str().unwrap();
    assert_eq!(visible, "theme=dark", "HttpOnly cookies are the browser's alone");
}

#[test]
fn a_request_of_a_browser_reaches_the_upstream_as_the_browser_made_it() {
    let (asked, call) = (VISIT.asked("/talk"), VISIT.call("/talk"));
    assert_eq!(call.target, "/talk?room=1&name=%C3%A9");
    assert_eq!(call.header("Origin"), Some(VISIT.origin.as_str()));
    for name in ["Origin", "User-Agent", "Accept-Language", "Cache-Control", "Pragma"] {
        assert!(asked.header(name).is_some(), "the browser sends {name}");
        assert_eq!(call.header(name), asked.header(name), "{name}");
    }
}

#[test]
fn a_page_of_an_origin_that_is_not_on_the_list_is_refused() {
    never_opened("/foreign/guarded");
    assert_eq!(VISIT.calls("/foreign-guarded").len(), 0);
    assert!(VISIT.net_log.contains("Unexpected response code: 403"), "the browser saw no 403");
    let errors = VISIT.guarded.errors();
    let refused = |error: &String| error.ends_with("this origin may not connect");
    assert_eq!(errors.iter().filter(|error| refused(error)).count(), 1, "{errors:?}");
}

#[test]
fn the_same_page_gets_in_where_there_is_no_list() {
    let close = json!({ "code": 4001, "reason": "done", "wasClean": true });
    assert_eq!(found("/foreign/open/close"), &close);
    let origin = VISIT.origin.replace("app.test", "other.test");
    assert_eq!(VISIT.call("/foreign-open").header("Origin"), Some(origin.as_str()));
}

#[test]
fn a_certificate_of_an_authority_that_the_browser_does_not_know_is_refused() {
    never_opened("/stranger");
    assert!(VISIT.net_log.contains("\"net_error\":-202"), "no ERR_CERT_AUTHORITY_INVALID");
    assert_eq!(VISIT.calls("/stranger").len(), 0);
    let errors = VISIT.stranger.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("refused the certificate"), "{errors:?}");
}

#[test]
fn a_certificate_of_another_name_is_refused() {
    never_opened("/misnamed");
    assert!(VISIT.net_log.contains("\"net_error\":-200"), "no ERR_CERT_COMMON_NAME_INVALID");
    assert_eq!(VISIT.calls("/misnamed").len(), 0);
}

#[test]
fn a_page_has_the_message_under_way_before_a_drain_ends_it_with_an_orderly_1001() {
    assert_eq!(found("/drain/message"), "half a message");
    let close = json!({ "code": 1001, "reason": "", "wasClean": true });
    assert_eq!(found("/drain/close"), &close);
    assert_eq!(found("/drain/events"), &json!(["open", "message", "close"]));
    assert_eq!(VISIT.call("/drain").closed.as_deref(), Some("1001 "));
    assert_eq!(VISIT.guarded.stats.active, 0);
}

#[test]
fn every_session_of_a_page_that_got_in_ends_well() {
    let stats = VISIT.guarded.stats;
    assert_eq!((stats.completed, stats.dropped, stats.refused), (3, 0, 0), "{stats:?}");
    assert_eq!(VISIT.open.stats.completed, 1, "{:?}", VISIT.open.errors());
}
