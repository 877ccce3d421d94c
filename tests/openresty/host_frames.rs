//! `resty.wsproxy`: what the host sends by itself, from anywhere in the worker, between frames that are relayed.

use super::conf::Conf;
use super::scene::{close, Scene};
use super::support::peer::{BINARY, TEXT};

/// `/tell` sends "told" to the upstream so often, and reports what the last `send` returned.
fn scene(options: &str) -> Scene {
    let mut conf = Conf::running(&format!(
        r#"
            proxy = require "resty.wsproxy".new({{ {options} }})
            local ok, err = proxy:connect("@URL@")
            if not ok then report("connect", ok, err) return ngx.exit(502) end
            report("execute", proxy:execute())
        "#
    ));
    conf.server = r#"location /tell { content_by_lua_block {
            local ok, err, sent
            local words = ("told"):rep(tonumber(ngx.var.arg_size))
            for n = 1, tonumber(ngx.var.arg_times) do
                ok, err = proxy:send("upstream", "text", words)
                if not ok then break end
                sent = n
                ngx.sleep(0.001)
            end
            report("sent", sent, err)
        } }"#
        .to_owned();
    Scene::with(conf)
}

/// Bytes that are read in the turn in which the host has sent must not be lost.
#[test]
fn nothing_of_the_clients_is_lost_among_frames_of_the_hosts() {
    let scene = scene("keepalive_interval = 1");
    let (client, mut upstream) = scene.meet();
    let count = 20_000u32;
    let frames: Vec<u8> =
        (0..count).flat_map(|n| client.frame(true, BINARY, &n.to_be_bytes())).collect();
    let mut sender = client.twin();
    let sending = std::thread::spawn(move || {
        for part in frames.chunks(37) {
            sender.send_bytes(part);
        }
    });
    let mut expected = 0;
    while expected < count {
        let heard = upstream.hear();
        match heard.opcode {
            BINARY => {
                assert_eq!(heard.payload, expected.to_be_bytes());
                expected += 1;
            }
            _ => assert!(heard.payload == b"told" || heard.payload.len() == 8, "{heard:?}"),
        }
        if heard.opcode == BINARY && expected % 2000 == 0 {
            assert_eq!(scene.nginx.get("/tell?times=50&size=1").0, 200);
        }
    }
    sending.join().unwrap();
    drop((client, upstream));
    scene.nginx.report("execute");
}

#[test]
fn a_side_that_takes_nothing_fills_the_queue_of_the_host_and_no_more() {
    let scene = scene("send_queue = 100000");
    let (mut client, mut upstream) = scene.meet();
    // 40 MB, of which the sockets take some.
    assert_eq!(scene.nginx.get("/tell?times=100&size=100000").0, 200);
    let sent = scene.nginx.report("sent");
    let (count, why) = sent.split_once(' ').unwrap();
    let count: usize = count.parse().unwrap();
    assert!(count < 60 && why.contains("wait for the upstream already"), "{sent}");
    let told = "told".repeat(100_000);
    for _ in 0..count {
        upstream.expect(true, TEXT, told.as_bytes());
    }
    client.send_text("and this");
    upstream.expect(true, TEXT, b"and this");
    close(&mut client, &mut upstream);
    drop((client, upstream));
    scene.nginx.report("execute");
}

/// While a large frame is being written.
#[test]
fn what_the_host_sends_during_a_write_goes_when_that_is_over() {
    let scene = scene("");
    let (mut client, mut upstream) = scene.meet();
    let large = vec![7; 8 << 20];
    let frame = client.frame(true, BINARY, &large);
    let mut sender = client.twin();
    let sending = std::thread::spawn(move || sender.send_bytes(&frame));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(scene.nginx.get("/tell?times=1&size=1").0, 200);
    let mut heard = [upstream.hear(), upstream.hear()].map(|heard| heard.payload.len());
    heard.sort_unstable();
    assert_eq!(heard, [4, 8 << 20]);
    sending.join().unwrap();
    close(&mut client, &mut upstream);
    drop((client, upstream));
    scene.nginx.report("execute");
}
