//! Frames through the proxy, on every driver: every size, fragments, control frames, any cut of the bytes, many at once.

mod support;

use std::thread;
use std::time::Duration;

use support::host::{config, part, pass, session, session_from, Host};
use support::on_every_policy;
use support::peer::{Peer, BINARY, CONTINUATION, PING, PONG, TEXT};
use wsproxy::{Config, Policy, Side};

const SIZES: [usize; 8] = [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20];

/// Bytes in which a shift or a wrong mask shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ i >> 8 ^ i >> 16) as u8).collect()
}

/// The same for text: characters of one to four bytes.
fn text(len: usize) -> Vec<u8> {
    let mut text = "aß€𝄞".repeat(len / 10).into_bytes();
    text.resize(len, b'.');
    text
}

#[test]
fn a_frame_of_any_size_arrives_intact_either_way() {
    let payloads: Vec<[Vec<u8>; 2]> = SIZES.map(|len| [text(len), pattern(len)]).into();
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        for [text, binary] in &payloads {
            client.send(true, TEXT, text);
            upstream.expect(true, TEXT, text);
            upstream.send(true, BINARY, binary);
            client.expect(true, BINARY, binary);
            if text.len() <= 1 << 20 {
                client.send(true, BINARY, binary);
                upstream.expect(true, BINARY, binary);
                upstream.send(true, TEXT, text);
                client.expect(true, TEXT, text);
            }
        }
        part(client, upstream, &host);
    });
}

#[test]
fn large_frames_cross_both_ways_at_once() {
    let payload = pattern(3 << 20);
    on_every_policy(|policy| {
        let (client, upstream, host) = session(config(policy, |_| {}), pass);
        thread::scope(|scope| {
            for peer in [&client, &upstream] {
                let (mut sends, mut hears) = (peer.twin(), peer.twin());
                let payload = &payload;
                scope.spawn(move || (0..3).for_each(|_| sends.send(true, BINARY, payload)));
                scope.spawn(move || (0..3).for_each(|_| hears.expect(true, BINARY, payload)));
            }
        });
        part(client, upstream, &host);
    });
}

/// A fragmented message with control frames between.
fn send_fragments(peer: &mut Peer) {
    peer.send(false, TEXT, &"größe".as_bytes()[..3]); // ends inside a character
    peer.send(true, PING, b"between");
    peer.send(false, CONTINUATION, b"");
    peer.send(true, PONG, b"");
    peer.send(true, CONTINUATION, &"größe".as_bytes()[3..]);
    peer.send(true, BINARY, b"next");
}

#[test]
fn fragments_and_the_control_frames_between_them_arrive_as_they_were_sent() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            send_fragments(&mut from);
            to.expect(false, TEXT, b"gr\xc3");
            to.expect(true, PING, b"between");
            to.expect(false, CONTINUATION, b"");
            to.expect(true, PONG, b"");
            to.expect(true, CONTINUATION, &"größe".as_bytes()[3..]);
            to.expect(true, BINARY, b"next");
            part(from, to, &host);
        }
    });
}

#[test]
fn a_fragment_is_forwarded_before_the_next_one_comes() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        for (fin, opcode) in [(false, BINARY), (false, CONTINUATION), (true, CONTINUATION)] {
            client.send(fin, opcode, b"part");
            upstream.expect(fin, opcode, b"part");
        }
        part(client, upstream, &host);
    });
}

#[test]
fn aggregated_fragments_are_one_message_and_control_frames_pass_before_it() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let config = config(policy, |c| {
                c.aggregate(side, true);
            });
            let (mut joined, mut other, host) = session_from(side, config, pass);
            send_fragments(&mut joined);
            other.expect(true, PING, b"between");
            other.expect(true, PONG, b"");
            other.expect(true, TEXT, "größe".as_bytes());
            other.expect(true, BINARY, b"next");
            // The other side's fragments are left as they are.
            other.send(false, BINARY, b"1");
            other.send(true, CONTINUATION, b"2");
            joined.expect(false, BINARY, b"1");
            joined.expect(true, CONTINUATION, b"2");
            part(joined, other, &host);
        }
    });
}

#[test]
fn an_aggregated_message_of_many_large_fragments_arrives_whole() {
    let piece = pattern(1 << 20);
    let whole = piece.repeat(20); // over the size of a frame, within that of a message
    on_every_policy(|policy| {
        let config = config(policy, |c| {
            c.aggregate(Side::Client, true);
        });
        let (client, mut upstream, host) = session(config, pass);
        let mut sends = client.twin();
        thread::scope(|scope| {
            scope.spawn(|| {
                sends.send(false, BINARY, &piece);
                (0..18).for_each(|_| sends.send(false, CONTINUATION, &piece));
                sends.send(true, CONTINUATION, &piece);
            });
            upstream.expect(true, BINARY, &whole);
        });
        part(client, upstream, &host);
    });
}

#[test]
fn pings_and_pongs_go_end_to_end_and_the_proxy_answers_none() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (mut one, mut other, host) = session_from(side, config(policy, |_| {}), pass);
            for payload in [&b""[..], b"?", &[0xFF; 125]] {
                one.send(true, PING, payload);
                other.expect(true, PING, payload);
                other.send(true, PONG, payload);
                one.expect(true, PONG, payload);
            }
            one.send(true, PONG, b"nobody asked");
            other.expect(true, PONG, b"nobody asked");
            part(one, other, &host);
        }
    });
}

#[test]
fn a_frame_that_comes_a_byte_at_a_time_slower_than_every_poll_arrives_intact() {
    let slow = |policy, side, aggregate| {
        let config = config(policy, |c: &mut Config| {
            // The supervisor looks eight times within this period: at every byte more than once.
            c.idle_timeout(Duration::from_millis(600)).write_timeout(Duration::from_millis(600));
            c.aggregate(side, aggregate);
        });
        let (mut from, mut to, host) = session_from(side, config, pass);
        let bytes =
            [from.frame(false, TEXT, b"slo"), from.frame(true, CONTINUATION, b"w")].concat();
        for byte in bytes {
            from.send_bytes(&[byte]);
            thread::sleep(Duration::from_millis(100));
        }
        match aggregate {
            true => to.expect(true, TEXT, b"slow"),
            false => {
                to.expect(false, TEXT, b"slo");
                to.expect(true, CONTINUATION, b"w");
            }
        }
        part(from, to, &host);
    };
    on_every_policy(|policy| {
        thread::scope(|scope| {
            for (side, aggregate) in Side::BOTH.map(|side| [(side, false), (side, true)]).concat() {
                scope.spawn(move || slow(policy, side, aggregate));
            }
        });
    });
}

#[test]
fn many_frames_in_one_write_arrive_all_and_in_order() {
    on_every_policy(|policy| {
        for side in Side::BOTH {
            let (mut from, mut to, host) = session_from(side, config(policy, |_| {}), pass);
            let frames = (0..20_000u32).map(|i| {
                let opcode = if i % 3 == 0 { PING } else { BINARY };
                from.frame(true, opcode, &i.to_be_bytes()[..(i % 5) as usize])
            });
            let bytes = frames.collect::<Vec<_>>().concat();
            let mut sends = from.twin();
            thread::scope(|scope| {
                scope.spawn(move || sends.send_bytes(&bytes));
                for i in 0..20_000u32 {
                    let opcode = if i % 3 == 0 { PING } else { BINARY };
                    to.expect(true, opcode, &i.to_be_bytes()[..(i % 5) as usize]);
                }
            });
            from.hear_nothing_for(Duration::from_millis(1));
            part(from, to, &host);
        }
    });
}

#[test]
fn every_frame_sent_upstream_has_a_mask_of_its_own_and_none_sent_to_the_client_has_one() {
    on_every_policy(|policy| {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        let mut masks: Vec<_> = (0..50)
            .map(|_| {
                client.send_text("the same mask each time");
                upstream.hear().mask.expect("a mask")
            })
            .collect();
        masks.sort_unstable();
        masks.dedup();
        assert!(masks.len() > 45, "fresh masks: {masks:?}");
        upstream.send_text("x");
        assert_eq!(client.hear().mask, None);
        part(client, upstream, &host);
    });
}

#[test]
fn a_session_without_a_hook_relays_the_same() {
    use support::host::meet;
    use support::peer::Listener;
    use wsproxy::Client;
    let relays = |policy: Policy| {
        let listener = Listener::bind();
        let url = listener.url();
        let host = Host::serve(config(policy, |_| {}), move |proxy, client| {
            proxy.connect(Client::new(client), &url)?;
            proxy.relay()
        });
        let (mut client, mut upstream) = meet(&host, &listener);
        send_fragments(&mut client);
        upstream.expect(false, TEXT, b"gr\xc3");
        upstream.expect(true, PING, b"between");
        upstream.expect(false, CONTINUATION, b"");
        upstream.expect(true, PONG, b"");
        upstream.expect(true, CONTINUATION, &"größe".as_bytes()[3..]);
        upstream.expect(true, BINARY, b"next");
        upstream.send(true, BINARY, &pattern(100_000));
        client.expect(true, BINARY, &pattern(100_000));
        part(client, upstream, &host);
    };
    on_every_policy(relays);
}
