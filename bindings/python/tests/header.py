"""Reads `include/wsproxy.h` and writes `wsproxy/_abi.py` from it.

Theory: the header is generated (by cbindgen), so its shape is regular: a declaration begins at the margin and ends
with a semicolon. What this reader does not know, it refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SCALARS = {
    "void": "None",
    "int": "c_int",
    "int32_t": "c_int32",
    "int64_t": "c_int64",
    "uint8_t": "c_uint8",
    "uint64_t": "c_uint64",
    "size_t": "c_size_t",
}

BEGINNING = '''"""The C line: constants, structs, callbacks and prototypes of `wsproxy.h`; nothing else knows them.

Generated from include/wsproxy.h (WSPROXY_UPDATE=1 pytest tests/test_abi.py). Do not edit.
"""

from __future__ import annotations

from ctypes import CFUNCTYPE, Structure, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint64, c_void_p
from typing import Any
'''


@dataclass
class Header:
    """What the header declares, each name with its Python spelling."""

    constants: dict[str, int] = field(default_factory=dict)
    structs: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    callbacks: dict[str, list[str]] = field(default_factory=dict)
    functions: dict[str, tuple[str, list[str]]] = field(default_factory=dict)


def read(text: str) -> Header:
    """Everything that the header declares."""
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    code = re.sub(r"//[^\n]*", "", code)
    code = re.sub(r"^#.*$", "", code, flags=re.M)
    header = Header()
    for body in re.findall(r"^typedef enum \w+ \{(.*?)\}", code, flags=re.S | re.M):
        for name, value in re.findall(r"(WSPROXY_\w+) = (-?\d+)", body):
            header.constants[name] = int(value)
    for name, body in re.findall(r"^typedef struct (\w+) \{(.*?)\}", code, flags=re.S | re.M):
        members = (member.strip() for member in body.split(";"))
        header.structs[name] = [_member(member) for member in members if member]
    for result, name, arguments in re.findall(r"^typedef (\w+) \(\*(\w+)\)\((.*?)\);", code, flags=re.S | re.M):
        header.callbacks[name] = [_ctype(result), *_arguments(arguments, header)]
    plain = re.sub(r"^typedef .*?;$", "", code, flags=re.S | re.M)
    for result, name, arguments in re.findall(r"^([a-z][\w ]*[ *]+)(wsproxy_\w+)\((.*?)\);", plain, flags=re.S | re.M):
        header.functions[name] = (_ctype(result), _arguments(arguments, header))
    return header


def _member(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.*?)(\w+)(?:\[(\d+)\])?", text, flags=re.S)
    if match is None:
        raise ValueError(f"no member of a struct: {text!r}")
    ctype = _ctype(match[1]) + (f" * {match[3]}" if match[3] else "")
    # A char pointer would be read up to a NUL: payloads have none at their end.
    return match[2], "c_void_p" if ctype == "c_char_p" else ctype


def _arguments(text: str, header: Header) -> list[str]:
    if text.strip() == "void":
        return []
    arguments = []
    for argument in text.split(","):
        declared = re.sub(r"\w+\s*$", "", argument).strip()
        arguments.append(declared if declared in header.callbacks else _ctype(declared))
    return arguments


def _ctype(declared: str) -> str:
    words = declared.replace("const", "").replace("struct", "").split()
    name = "".join(words)
    if not name.endswith("*"):
        return SCALARS[name]
    return "c_char_p" if name == "char*" else "c_void_p"


def render(header: Header) -> str:
    """The text of `_abi.py`."""
    parts = [BEGINNING]
    parts.append("\n".join(f"{name} = {value}" for name, value in header.constants.items()) + "\n")
    for name, members in header.structs.items():
        lines = [f'        ("{member}", {ctype}),' for member, ctype in members]
        parts.append(f"\nclass {name}(Structure):\n    _fields_ = [\n" + "\n".join(lines) + "\n    ]\n")
    callbacks = (f"{name} = CFUNCTYPE({', '.join(types)})" for name, types in header.callbacks.items())
    parts.append("\n" + "\n".join(callbacks) + "\n")
    lines = []
    for name, (result, arguments) in header.functions.items():
        listed = ", ".join(arguments) + ("," if len(arguments) == 1 else "")
        lines.append(f'    "{name}": ({result}, ({listed})),')
    table = "PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {\n" + "\n".join(lines) + "\n}\n"
    parts.append(table)
    return "\n".join(parts)
