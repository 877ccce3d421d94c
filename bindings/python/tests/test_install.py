"""From a checkout to a program that runs, as a new user goes; and from a wheel, where there is no Rust."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from test_readme import PROGRAMS, Upstream, first_example, placed

from program import Program

PACKAGE = Path(__file__).resolve().parents[1]


def clean():
    """The environment of a user who has never heard of these tests."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("WSPROXY_LIB", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONWARNINGS")
    }


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, env=clean(), **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Makes fresh environments; gives their Python."""

    def make(name):
        home = tmp_path_factory.mktemp("environments") / name
        run(sys.executable, "-m", "venv", str(home))
        return str(home / "bin" / "python")

    return make


def test_a_source_distribution_has_all_that_cargo_wants(tmp_path):
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path), cwd=PACKAGE)
    (archive,) = tmp_path.iterdir()
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    (rust,) = tmp_path.glob("wsproxy-*/rust")
    cargo = os.environ.get("CARGO") or shutil.which("cargo") or str(Path.home() / ".cargo/bin/cargo")
    run(cargo, "fetch", "--locked", "--offline", cwd=rust)
    assert not list(rust.parent.rglob("*.so*"))


def works(python, folder):
    upstream = Upstream()
    code, port = placed(PROGRAMS[0][1], upstream)
    program = Program("-c", code, python=python, cwd=folder, env={"PYTHONPATH": ""})
    program.port, program.url = port, f"ws://127.0.0.1:{port}"
    try:
        first_example(program, upstream)
    finally:
        program.close()
        upstream.close()


def test_a_checkout_installs_into_a_fresh_environment_and_runs_the_first_example(fresh, tmp_path):
    python = fresh("checkout")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(PACKAGE))
    works(python, tmp_path)


def test_a_wheel_fits_every_python_3_and_installs_where_there_is_no_rust(fresh, tmp_path):
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(PACKAGE))
    (wheel,) = wheels.iterdir()
    assert re.fullmatch(r"wsproxy-[\d.]+-py3-none-linux_\w+\.whl", wheel.name)
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("wsproxy/libwsproxy.so.0", "wsproxy/py.typed", "wsproxy/aio.py"):
        assert name in names
    assert not [name for name in names if name.startswith("wsproxy/tests")]
    assert [name for name in names if name.endswith("LICENSE")]
    python = fresh("wheel")
    options = {"cwd": tmp_path}
    bare = {**clean(), "PATH": "/nowhere", "HOME": str(tmp_path), "CARGO": "/nowhere/cargo"}
    command = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", str(wheel)]
    subprocess.run(command, check=True, env=bare, **options)
    works(python, tmp_path)
    help_text = run(str(Path(python).with_name("wsproxy")), "--help")
    assert "--upstream" in help_text
