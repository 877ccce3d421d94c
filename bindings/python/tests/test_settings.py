"""Settings: what cannot be taken, and the value that they are."""

from __future__ import annotations

import pytest

from wsproxy import Config

BAD_SETTINGS = [
    {"max_frame_size": 0},
    {"max_frame_size": -1},
    {"max_message_size": {"client": 1 << 70}},
    {"connect_timeout": 0},
    {"idle_timeout": -1},
    {"headers": {"A": "b\r\nC: d"}},
    {"headers": {"Upgrade": "a"}},
    {"http_proxy": "nonsense"},
    {"origins": ["nonsense"]},
    {"origins": ["https://a\0b"]},
    {"subprotocols": ["a b"]},
    {"thread_stack_size": 1},
    {"upstream_ca": b"nonsense"},
    {"upstream_ca": "/does/not/exist"},
]


@pytest.mark.parametrize("settings", BAD_SETTINGS, ids=str)
def test_settings_that_cannot_be_taken_are_refused_with_words(settings):
    with pytest.raises(ValueError) as caught:
        Config(**settings)
    assert str(caught.value)


def test_settings_are_a_value_without_secrets():
    import dataclasses

    config = Config(max_frame_size=10, headers={"Authorization": "secret"}, http_proxy="http://u:secret@proxy:1")
    assert "secret" not in repr(config) and "max_frame_size=10" in repr(config)
    assert config == dataclasses.replace(config) != dataclasses.replace(config, max_frame_size=11)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.max_frame_size = 11
    with pytest.raises(TypeError, match="sequence"):
        Config(origins="https://example.com")
    with pytest.raises(ValueError):
        Config(aggregate={"downstream": True})
