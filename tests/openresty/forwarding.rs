//! What passes as it came: fragments, control frames, sizes.

use super::scene::{both_ways, close, session, HOOKS};
use super::support::peer::{Peer, BINARY, CONTINUATION, PING, PONG, TEXT};

#[test]
fn fragments_are_forwarded_at_once_one_by_one() {
    for hook in HOOKS {
        both_ways(hook, |from, to| {
            for (fin, opcode, payload) in [
                (false, TEXT, "one "),
                (false, CONTINUATION, ""),
                (false, CONTINUATION, "two "),
                (true, CONTINUATION, "three"),
                (false, BINARY, ""),
                (true, CONTINUATION, ""),
            ] {
                from.send(fin, opcode, payload.as_bytes());
                to.expect(fin, opcode, payload.as_bytes()); // before the next is sent
            }
        });
    }
}

#[test]
fn control_frames_keep_their_place_between_fragments() {
    for hook in HOOKS {
        both_ways(hook, |from, to| {
            let frames = [
                (false, TEXT, "one"),
                (true, PING, "a"),
                (true, PONG, "b"),
                (false, CONTINUATION, "two"),
                (true, PING, ""),
                (true, CONTINUATION, "three"),
                (true, PING, "after"),
            ];
            let all =
                frames.map(|(fin, opcode, payload)| from.frame(fin, opcode, payload.as_bytes()));
            from.send_bytes(&all.concat());
            for (fin, opcode, payload) in frames {
                to.expect(fin, opcode, payload.as_bytes());
            }
        });
    }
}

#[test]
fn with_aggregation_control_frames_pass_before_the_joined_message() {
    for hook in HOOKS {
        both_ways(&format!("{hook} aggregate_fragments = true"), |from, to| {
            from.send(false, BINARY, b"one ");
            from.send(true, PING, b"at once");
            to.expect(true, PING, b"at once");
            from.send(false, CONTINUATION, b"");
            from.send(true, PONG, b"and this");
            to.expect(true, PONG, b"and this");
            from.send(true, CONTINUATION, b"two");
            to.expect(true, BINARY, b"one two");
        });
    }
}

#[test]
fn with_aggregation_messages_are_joined_one_after_another() {
    for hook in HOOKS {
        both_ways(&format!("{hook} aggregate_fragments = 1"), |from, to| {
            for (opcode, words) in [(TEXT, "first"), (BINARY, "second"), (TEXT, "third")] {
                from.send(false, opcode, words.as_bytes());
                for _ in 0..20 {
                    from.send(false, CONTINUATION, b"-part");
                }
                from.send(true, CONTINUATION, b"");
                to.expect(true, opcode, (words.to_owned() + &"-part".repeat(20)).as_bytes());
                from.send(true, opcode, b"whole");
                to.expect(true, opcode, b"whole");
            }
            from.send(false, TEXT, b"");
            from.send(true, CONTINUATION, b"");
            to.expect(true, TEXT, b"");
        });
    }
}

#[test]
fn pings_are_answered_by_the_other_end_alone() {
    both_ways("", |from, to| {
        from.send(true, PING, b"are you there");
        to.expect(true, PING, b"are you there");
        from.hear_nothing_for(std::time::Duration::from_millis(50));
        to.send(true, PONG, b"I am");
        from.expect(true, PONG, b"I am");
        from.send(true, PONG, b"unasked");
        to.expect(true, PONG, b"unasked");
    });
}

#[test]
fn frames_of_every_size_up_to_65535_pass() {
    for hook in HOOKS {
        both_ways(hook, |from, to| {
            for len in [0, 1, 124, 125, 126, 127, 128, 255, 256, 4096, 65_534, 65_535] {
                let payload: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
                from.send(true, BINARY, &payload);
                to.expect(true, BINARY, &payload);
            }
            for len in [0, 1, 125] {
                from.send(true, PING, &vec![0xFF; len]);
                to.expect(true, PING, &vec![0xFF; len]);
            }
        });
    }
}

#[test]
fn both_directions_carry_a_stream_at_once() {
    for hook in HOOKS {
        let (scene, mut client, mut upstream) = session(hook);
        let payload = vec![b'x'; 10_000];
        let talk = |mut peer: Peer| {
            let mut twin = peer.twin();
            let payload = payload.clone();
            let sender = std::thread::spawn(move || {
                for _ in 0..200 {
                    twin.send(true, TEXT, &payload);
                }
                payload
            });
            (0..200).for_each(|_| peer.expect(true, TEXT, &vec![b'x'; 10_000]));
            sender.join().unwrap();
        };
        std::thread::scope(|scope| {
            scope.spawn(|| talk(client.twin()));
            scope.spawn(|| talk(upstream.twin()));
        });
        close(&mut client, &mut upstream);
        drop((client, upstream));
        scene.ends_well();
    }
}
