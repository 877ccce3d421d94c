"""REFERENCE.md is what the docstrings say."""

from __future__ import annotations

import os
from pathlib import Path

import reference

HERE = Path(__file__).resolve().parents[1]


def test_the_reference_is_what_the_docstrings_say():
    rendered = reference.render(HERE / "src" / "wsproxy")
    committed = HERE / "REFERENCE.md"
    if os.environ.get("WSPROXY_UPDATE"):
        committed.write_text(rendered)
    assert committed.read_text() == rendered, "WSPROXY_UPDATE=1 pytest tests/test_reference.py writes it"


def test_the_reference_has_every_name():
    text = (HERE / "REFERENCE.md").read_text()
    for name in (*reference.exported(HERE / "src/wsproxy/__init__.py"), "max_message_size", "request_head", "drain"):
        assert name in text, name
