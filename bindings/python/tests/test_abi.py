"""The C line of this package is that of the header, and of the library that is loaded."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

import wsproxy
from wsproxy import _abi, _errors, _frame, _library

import header

ROOT = Path(__file__).resolve().parents[3]
HEADER = ROOT / "include" / "wsproxy.h"
OURS = ROOT / "bindings" / "python" / "src" / "wsproxy" / "_abi.py"


def test_the_abi_file_is_what_the_header_says():
    rendered = header.render(header.read(HEADER.read_text()))
    if os.environ.get("WSPROXY_UPDATE"):
        OURS.write_text(rendered)
    assert OURS.read_text() == rendered, "WSPROXY_UPDATE=1 pytest tests/test_abi.py writes it"
    assert Path(_abi.__file__).read_text() == rendered, "what is installed is not what is here"


def test_every_function_of_the_library_has_a_prototype_and_no_other():
    library = _library.lib._name
    symbols = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--format=posix", library], check=True, capture_output=True, text=True
    )
    exported = {line.split()[0] for line in symbols.stdout.splitlines()}
    assert exported == set(_abi.PROTOTYPES)
    assert len(exported) > 80


def test_every_function_has_its_prototype_set():
    for name, (result, arguments) in _abi.PROTOTYPES.items():
        function = getattr(_library.lib, name)
        assert (function.restype, tuple(function.argtypes)) == (result, arguments), name


def test_structs_have_the_layout_that_a_c_compiler_gives_them(tmp_path):
    declared = header.read(HEADER.read_text()).structs
    lines, expected = [], []
    for name, members in declared.items():
        struct = getattr(_abi, name)
        lines.append(f'printf("%zu\\n", sizeof({name}));')
        expected.append(ctypes.sizeof(struct))
        for member, _ in members:
            lines.append(f'printf("%zu\\n", offsetof({name}, {member}));')
            expected.append(getattr(struct, member).offset)
    source = tmp_path / "layout.c"
    source.write_text("#include <stdio.h>\n#include <wsproxy.h>\nint main(void) {" + "\n".join(lines) + "return 0;}\n")
    program = tmp_path / "layout"
    subprocess.run(["cc", "-I", HEADER.parent, source, "-o", program], check=True)
    found = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    assert [int(number) for number in found] == expected


def test_the_reader_of_the_header_refuses_what_it_does_not_know():
    with pytest.raises(KeyError):
        header.read("int wsproxy_new_thing(struct other by_value);")
    with pytest.raises(KeyError):
        header.read("double wsproxy_new_thing(void);")


def test_every_result_has_an_exception_and_every_number_a_word():
    results = {value for name, value in vars(_abi).items() if name.startswith("WSPROXY_ERR_")}
    assert set(_errors.KINDS) == results
    assert len(set(_errors.KINDS.values())) == len(results)
    for number, side in _frame.SIDES.items():
        assert _library.lib.wsproxy_side_name(number).decode() == side.value
    for number, kind in _frame.KINDS.items():
        assert _library.lib.wsproxy_kind_name(number).decode() == kind.value


def test_the_version_is_that_of_the_crate():
    assert f'version = "{wsproxy.__version__}"' in (ROOT / "Cargo.toml").read_text()


@pytest.mark.parametrize("place", ["/does/not/exist.so", "libc.so.6"])
def test_what_is_no_library_of_ours_is_an_import_error(place):
    import sys

    code = "try:\n    import wsproxy\nexcept ImportError as error:\n    print(error.path)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "WSPROXY_LIB": place}, capture_output=True, text=True
    )
    assert done.stdout.strip() == place, done.stderr
