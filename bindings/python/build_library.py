"""Builds `libwsproxy.so` with cargo and puts it into the package; what hatchling calls.

Rules: cargo decides what is up to date; CARGO, CARGO_TARGET_DIR and WSPROXY_LIB are honoured (the last one names a
library that is built already). The wheel fits every CPython 3 on this kind of machine, so its tag says just that.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
NAME = "libwsproxy.so.0"


def crate() -> Path:
    """Where Cargo.toml is: in a checkout two up, in a source distribution beside this file."""
    for folder in (HERE / "rust", HERE.parents[1]):
        if (folder / "Cargo.toml").is_file():
            return folder
    raise FileNotFoundError("no Cargo.toml: build from a checkout of libwsproxy or from its source distribution")


def version() -> str:
    """That of the crate."""
    found = re.search(r'^version = "(.*)"', (crate() / "Cargo.toml").read_text(), flags=re.M)
    if found is None:
        raise ValueError("Cargo.toml has no version")
    return found[1]


def cargo() -> str:
    """The command, also where a fresh installation of Rust has not reached the path yet."""
    named = os.environ.get("CARGO") or shutil.which("cargo") or str(Path.home() / ".cargo/bin/cargo")
    if shutil.which(named) is None:
        raise FileNotFoundError("cargo is missing: install Rust (https://rustup.rs), or install a wheel of wsproxy")
    return named


def build() -> Path:
    """The library, built from the source that is here."""
    named = os.environ.get("WSPROXY_LIB")
    if named:
        return Path(named).resolve()
    root = crate()
    subprocess.run([cargo(), "build", "--release", "--locked", "--lib"], cwd=root, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or root / "target")
    return (root / target / "release" / "libwsproxy.so").resolve()


class LibraryHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the library into the wheel, and the wheel's tag right."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        library = build()
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + re.sub(r"[-.]", "_", sysconfig.get_platform())
        if version == "editable":
            shutil.copy2(library, HERE / "src" / "wsproxy" / NAME)
        else:
            build_data["force_include"][str(library)] = f"wsproxy/{NAME}"
            licence = next(path for path in (HERE / "LICENSE", crate() / "LICENSE") if path.is_file())
            build_data["force_include"][str(licence)] = "wsproxy/LICENSE"
