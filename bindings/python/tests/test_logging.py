"""The library's log comes through Python's logger `wsproxy`."""

from __future__ import annotations

import logging

import pytest
from test_handshakes import closed_port

import wsproxy

from peer import request


def test_lines_have_levels_and_no_secrets(scenes, caplog):
    caplog.set_level(logging.DEBUG, logger="wsproxy")
    s = scenes(headers={"Authorization": "Bearer secret"}).start()
    s.client.send_text("secret")
    s.upstream.hear_text()
    s.close_normally()
    levels = {record.levelno for record in caplog.records}
    assert levels == {logging.DEBUG} and {record.name for record in caplog.records} == {"wsproxy"}
    assert "execute: the session: done" in caplog.messages
    assert "secret" not in caplog.text


def test_what_peers_do_is_information_and_what_the_host_does_a_warning(scenes, caplog):
    caplog.set_level(logging.INFO, logger="wsproxy")
    s = scenes()
    s.url = f"ws://127.0.0.1:{closed_port()}"
    s.run()
    s.join_client().sock.sendall(request())
    with pytest.raises(wsproxy.Unreachable):
        s.result()
    s = scenes(close_timeout=0.1).start(lambda frame: 7)
    s.client.send_text("a")
    with pytest.raises(wsproxy.HookError):
        s.result()
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.WARNING]


def test_levels_may_change_at_any_time(scenes, caplog):
    for level, expected in ((logging.CRITICAL, 0), (logging.DEBUG, 2)):
        caplog.set_level(level, logger="wsproxy")
        scenes().start().close_normally()
        assert len(caplog.records) == expected


def test_a_log_handler_may_use_the_session(scenes):
    seen = []

    class Handler(logging.Handler):
        def emit(self, record):
            seen.append(s.proxy.stats.client.frames["close"])

    handler = Handler()
    logger = logging.getLogger("wsproxy")
    logger.addHandler(handler)
    before, logger.level = logger.level, logging.DEBUG
    try:
        s = scenes()
        s.start().close_normally()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert seen[-1] == 1
