"""``docs/errors.md`` lists every code that the code base can say, each with the statuses that it has."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import mode
from typing import get_args

import pytest

from asgi_ds2api import errors, json_guard
from asgi_ds2api.errors import ConfigError, GatewayError, MalformedRequest, NoCapacity, Refused, UpstreamError
from asgi_ds2api.protocols import PROTOCOLS
from asgi_ds2api.serving import websockets
from asgi_ds2api.upstream import failures

from .every_error import REFUSALS, leaves, made
from .pages import ROOT, table

PAGE = ROOT / "docs/errors.md"
SECTIONS = ("The request", "Nothing free", "The upstream", "The gateway")
PACKAGE = ROOT / "asgi_ds2api"
ELSEWHERE = {ConfigError.code, websockets.CODE}
"""Told in the text, as no face says them."""
FACES = {
    "openai_chat": "Chat",
    "openai_responses": "Responses",
    "anthropic_messages": "Messages",
    "gemini_generate": "Gemini",
    "ollama_chat": "Ollama",
}
"""As the page calls them."""


def rows() -> Iterator[tuple[str, str]]:
    """Yield each code of the page, and the statuses beside it."""
    for section in SECTIONS:
        for row in table(PAGE, section):
            yield from ((code, row.cells[1]) for code in row.codes)


@cache
def said() -> frozenset[tuple[type[GatewayError], str]]:
    """Return each class with each code that it is made with."""
    return frozenset(
        [
            *((kind, kind.code) for kind in leaves()),
            (UpstreamError, UpstreamError.code),
            *((kind, code) for code, (kind, _, _) in failures._FAILURES.items()),
            *((NoCapacity, code) for code in failures._EXHAUSTED.values()),
            *((MalformedRequest, code) for code in get_args(json_guard.Code)),
            *(found for path in PACKAGE.rglob("*.py") if "testing" not in path.parts for found in _said_in(path)),
        ]
    )


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _names_in(path: Path) -> dict[str, set[str]]:
    """Return the texts that each name of a module stands for."""
    nodes = [node for node in ast.walk(_tree(path)) if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
    pairs = [
        (t, node.value) for node in nodes for t in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return {target.id: _texts(value) for target, value in pairs if isinstance(target, ast.Name) and value}


def _said_in(path: Path) -> Iterator[tuple[type[GatewayError], str]]:
    tree = _tree(path)
    imported = [
        _names_in(source)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level and node.module
        if (source := path.parents[node.level - 1] / f"{node.module.replace('.', '/')}.py").is_file()
    ]
    names = {name: texts for found in (*imported, _names_in(path)) for name, texts in found.items()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and (kind := _error_named(node.func.id)):
            for value in (keyword.value for keyword in node.keywords if keyword.arg == "code"):
                codes = names.get(value.id, set()) if isinstance(value, ast.Name) else _texts(value)
                yield from ((kind, code) for code in codes)


def _error_named(name: str) -> type[GatewayError] | None:
    kind = getattr(errors, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, GatewayError) else None


def _texts(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value}


def statuses(kind: type[GatewayError], code: str) -> str:
    """Return the statuses of an error as the page writes them: that of most faces, then each that is a face's own."""
    if kind is Refused:
        return ", ".join(map(str, REFUSALS))
    error = made(kind)
    error.code = code
    found = {name: codec.encode_error(error, "req_1").status for name, codec in PROTOCOLS.items()}
    usual = mode(found.values())
    own = [f"{FACES[name]} {status}" for name, status in found.items() if status != usual]
    return ", ".join([str(usual), *own])


def test_page_lists_every_code() -> None:
    assert {code for code, _ in rows()} == {code for _, code in said()} - ELSEWHERE


@pytest.mark.parametrize("code", sorted(ELSEWHERE))
def test_page_tells_in_its_text_what_no_face_says(code: str) -> None:
    assert f"`{code}`" in PAGE.read_text()


def test_page_leads_to_the_errors_of_every_face() -> None:
    assert set(FACES) == set(PROTOCOLS)
    assert {name for name in FACES.values() if f"[{name}](protocols/" not in PAGE.read_text()} == set()


def test_page_lists_no_code_twice() -> None:
    codes = [code for code, _ in rows()]
    assert sorted(set(codes)) == sorted(codes)


@pytest.mark.parametrize(("code", "told"), list(rows()), ids=[code for code, _ in rows()])
def test_status_is_the_one_that_callers_get(code: str, told: str) -> None:
    assert {told} == {statuses(kind, code) for kind, each in said() if each == code}
