//! The closing handshake through the proxy, on every driver.

mod support;

use support::host::{config, pass, session};
use support::POLICIES;

#[test]
fn a_close_crosses_with_code_and_reason_and_so_does_its_answer() {
    for policy in POLICIES {
        let (mut client, mut upstream, host) = session(config(policy, |_| {}), pass);
        client.send_close(4001, "enough");
        assert_eq!(upstream.hear_close(), (Some(4001), "enough".into()));
        upstream.send_close(4002, "so be it");
        assert_eq!(client.hear_close(), (Some(4002), "so be it".into()));
        client.hear_end();
        drop(upstream);
        assert_eq!(host.outcome(), Ok(()), "{policy:?}");
    }
}

#[test]
fn a_vanished_upstream_is_1011_for_the_client_and_a_vanished_client_1001_for_the_upstream() {
    for policy in POLICIES {
        let (mut client, upstream, host) = session(config(policy, |_| {}), pass);
        drop(upstream);
        assert_eq!(client.hear_close(), (Some(1011), String::new()));
        drop(client);
        assert!(host.outcome().is_err());
        let (client, mut upstream, host) = session(config(policy, |_| {}), pass);
        client.reset();
        assert_eq!(upstream.hear_close(), (Some(1001), String::new()));
        drop(upstream);
        assert!(host.outcome().is_err());
    }
}
