"""Writes REFERENCE.md from the docstrings of what `wsproxy` and `wsproxy.aio` offer.

Theory: signatures and the words after attributes are read off the sources (`ast`), since Python keeps neither default
values as written nor words of attributes.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Iterator, List

BEGINNING = """# Reference

Made from the docstrings (`WSPROXY_UPDATE=1 pytest tests/test_reference.py`). Do not edit.
"""


def render(package: Path) -> str:
    """The whole text."""
    parts = [BEGINNING, "## wsproxy\n"]
    for name in exported(package / "__init__.py"):
        parts += describe(find(package, name))
    parts.append("## wsproxy.aio\n")
    module = ast.parse((package / "aio.py").read_text())
    parts.append(ast.get_docstring(module) or "")
    for name in exported(package / "aio.py"):
        for node in module.body:
            if name in names(node):
                parts += describe(node)
    return "\n".join(parts).rstrip() + "\n"


def exported(file: Path) -> List[str]:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and "__all__" in names(node):
            listed: List[str] = ast.literal_eval(node.value)
            return listed
    raise ValueError(f"{file} has no __all__")


def find(package: Path, name: str) -> ast.stmt:
    for file in sorted(package.glob("_*.py")):
        if file.name not in ("__init__.py", "_abi.py"):
            for node in ast.parse(file.read_text()).body:
                if name in names(node):
                    return node
    raise ValueError(f"no {name}")


def names(node: ast.stmt) -> List[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return [node.name]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def describe(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ClassDef):
        yield from of_class(node)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield f"### `{signature(node)}`\n\n{words(node)}\n"
    else:
        yield f"### `{names(node)[0]}`\n"
        if isinstance(node, ast.Assign):
            yield f"`{unparse(node.value)}`\n"


def of_class(node: ast.ClassDef) -> Iterator[str]:
    bases = ", ".join(unparse(base) for base in node.bases)
    yield f"### `class {node.name}{f'({bases})' if bases else ''}`\n\n{words(node)}\n"
    following = [*node.body[1:], None]
    for member, after in zip(node.body, following):
        if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from of_method(member)
        elif isinstance(member, (ast.AnnAssign, ast.Assign)) and not names(member)[0].startswith("_"):
            said = inspect.cleandoc(after.value.value) if is_words(after) else ""
            shown = unparse(member).replace("field(default_factory=dict, repr=False)", "{}")
            shown = re.sub(r"field\(default=(.*), repr=False\)", r"\1", shown)
            yield f"- `{shown}`{': ' if said else ''}{said}"
    yield ""


def of_method(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    arguments = [argument.arg for argument in (*node.args.args[1:], *node.args.kwonlyargs)]
    if node.name == "__init__" and arguments and arguments[0] not in ("handle", "pointer", "session"):
        yield f"- `{signature(node)}`"
    if node.name.startswith("_"):
        return
    is_property = any(unparse(decorator) == "property" for decorator in node.decorator_list)
    shown = f"{node.name}: {unparse(node.returns)}" if is_property and node.returns else signature(node)
    yield f"- `{shown}`: {words(node)}".replace("\n\n", "\n\n  ").rstrip()


def is_words(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def words(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return ast.get_docstring(node) or ""


def unparse(node: ast.AST) -> str:
    """As Python 3.10 and later write it: 3.9 puts parentheses into subscripts."""
    return re.sub(r"\[\(([^()]*)\)\]", r"[\1]", ast.unparse(node))


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    node.args.args = [argument for argument in node.args.args if argument.arg != "self"]
    start = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{start}{node.name}({unparse(node.args)})"
