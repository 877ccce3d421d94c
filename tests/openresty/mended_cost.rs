//! Mended: one read takes many frames, and one write sends them.
//!
//! Told by nginx itself: at level debug it writes a line for each `recv` and each `send`.

use super::conf::Conf;
use super::scene::{close, handler, Scene};
use super::support::peer::BINARY;

const FRAMES: usize = 500;

/// How often nginx called `what` so far, by its own lines.
fn calls(scene: &Scene, what: &str) -> usize {
    let begin = format!("{what}: fd:");
    let alone = format!("{what}: eof:");
    let log = scene.nginx.log();
    let said = |text: &str| text.contains(&begin) && !text.contains(&alone);
    log.iter().filter(|entry| entry.level == "debug" && said(&entry.text)).count()
}

#[test]
fn many_small_frames_take_few_reads_and_writes() {
    for options in ["", "on_frame = function(_, _, _, payload) return payload end"] {
        let conf = Conf { log_level: "debug", ..Conf::running(&handler(options, "nil")) };
        let scene = Scene::with(conf);
        let (mut client, mut upstream) = scene.meet();
        for client_talks in [true, false] {
            let (from, to) = match client_talks {
                true => (&mut client, &mut upstream),
                false => (&mut upstream, &mut client),
            };
            let before = ["recv", "send"].map(|what| calls(&scene, what));
            let frames: Vec<u8> =
                (0..FRAMES).flat_map(|_| from.frame(true, BINARY, b"small")).collect();
            from.send_bytes(&frames);
            (0..FRAMES).for_each(|_| to.expect(true, BINARY, b"small"));
            scene.nginx.get("/ready"); // whatever it did before is in its log now
            let after = ["recv", "send"].map(|what| calls(&scene, what));
            // Some: how the bytes come is the kernel's affair. A call per frame would be 500 and more.
            let (reads, writes) = (after[0] - before[0], after[1] - before[1]);
            assert!((1..=FRAMES / 10).contains(&reads), "{reads} reads, {options}");
            assert!((1..=FRAMES / 10).contains(&writes), "{writes} writes, {options}");
        }
        close(&mut client, &mut upstream);
        drop((client, upstream));
        scene.ends_well();
    }
}
