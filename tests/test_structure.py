"""The budgets of the code base: short files, short functions, no state in modules, an import that does nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asgi_ds2api.protocols import PROTOCOLS

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "asgi_ds2api").rglob("*.py"))
EVERYTHING = [*PACKAGE, ROOT / "demo_app.py", *sorted((ROOT / "tests").rglob("*.py"))]
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)

pytestmark = pytest.mark.filterwarnings("default::SyntaxWarning")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", EVERYTHING, ids=named)
def test_file_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("path", PACKAGE, ids=named)
def test_functions_are_short(path: Path) -> None:
    lengths = {f.name: (f.end_lineno or 0) - f.lineno + 1 for f in functions(ast.parse(path.read_text()))}
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", PACKAGE, ids=named)
def test_module_and_its_public_functions_say_what_they_are_for(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module has no docstring"
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    wire = path.name == "wire.py"
    silent = [
        node.name for node in public if not (node.name.startswith("_") or ast.get_docstring(node) or overloads(node))
    ]
    assert wire or silent == []


def overloads(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Tell whether a definition is one more signature of the one that follows."""
    return any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list)


PROTOCOL_FILES = frozenset(
    {
        "__init__", "capabilities", "envelope", "errors", "media", "operations", "repair", "request", "response",
        "stream_decoder", "stream_encoder", "stream_tap", "tools", "usage", "wire",
    }
)  # fmt: skip
"""What a newcomer finds in the folder of every protocol (docs/architecture.md)."""


@pytest.mark.parametrize("name", PROTOCOLS)
def test_folder_of_a_protocol_has_the_files_that_all_have(name: str) -> None:
    files = {path.stem for path in (ROOT / "asgi_ds2api" / "protocols" / name).glob("*.py")}
    assert PROTOCOL_FILES - files == set()


CATCH_ALL = {
    "asgi_ds2api/auth.py Authenticator._ask_host Exception",
    "asgi_ds2api/config/keys.py ProvidedKey.current Exception",
    "asgi_ds2api/serving/exchange.py Exchange._last_resort Exception",
    "asgi_ds2api/serving/exchange.py Exchange._run_attempts Exception",
    "asgi_ds2api/serving/fan_out.py FanOut._ask_each Exception",
    "asgi_ds2api/serving/race.py Race._run Exception",
    "asgi_ds2api/observe.py Observatory.publish Exception",
    "asgi_ds2api/observe.py Observatory.publish suppress(Exception)",
    "asgi_ds2api/serving/prober.py Prober._probe Exception",
    "asgi_ds2api/state/asker.py Asker._ask Exception",
    "asgi_ds2api/upstream/tasks.py _spawn_trio.main Exception",
    "asgi_ds2api/upstream/httpx_client.py HttpxUpstream.open BaseException",
}
"""Where a mistake may be caught that nobody foresaw: around code of the application's, at the last resort of a request,
at one probe of many and at one asking of many, and where an error is carried out of a task as it is or a resource is
given back before it goes on. No other place."""
BROAD = {"Exception", "BaseException", "ExceptionGroup", "BaseExceptionGroup"}


def names(node: ast.expr | None) -> set[str]:
    """Return the names in what an ``except`` lists; of one that lists nothing, what it stands for."""
    return {"BaseException"} if node is None else {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def broad(node: ast.AST) -> str | None:
    """Return what a node catches, if that is everything."""
    match node:
        case ast.ExceptHandler(type=listed):
            return next(iter(sorted(names(listed) & BROAD)), None)
        case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=listed):
            found = {name for argument in listed for name in names(argument)} & BROAD
            return f"suppress({min(found)})" if found else None
    return None


def catch_alls(node: ast.AST, where: str) -> Iterator[tuple[str, int]]:
    """Return each place that catches everything, and its line."""
    for child in ast.iter_child_nodes(node):
        inner = where
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner += ("." if " " in where else " ") + child.name
        if caught := broad(child):
            assert isinstance(child, ast.ExceptHandler | ast.Call)
            yield f"{where} {caught}", child.lineno
        yield from catch_alls(child, inner)


def test_everything_is_caught_where_it_is_said_and_nowhere_else_each_with_its_reason() -> None:
    places = [(path, *place) for path in PACKAGE for place in catch_alls(ast.parse(path.read_text()), named(path))]
    assert sorted(name for _, name, _ in places) == sorted(CATCH_ALL)
    beside = {name: path.read_text().splitlines()[line - 1 : line + 1] for path, name, line in places}
    assert [name for name, lines in beside.items() if not any("#" in text for text in lines)] == []


@pytest.mark.parametrize("path", PACKAGE, ids=named)
def test_module_holds_no_state(path: Path) -> None:
    """A table is a constant: its name is in capitals, and it is typed so that nobody may write to it, or private."""
    found = [
        target.id
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, MUTABLE)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and not target.id.strip("_").isupper() and target.id != "__all__"
    ]
    assert found == []


def test_import_starts_nothing_and_opens_nothing() -> None:
    watch = (
        "import socket, sys, threading\n"
        "def forbidden(*a, **k): raise AssertionError('a socket was made')\n"
        "socket.socket.connect = forbidden\n"
        "import asgi_ds2api\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "heavy = {'django', 'uvicorn', 'openai', 'anthropic', 'fastapi'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", watch], check=True, cwd=ROOT)


def test_wheel_would_hold_nothing_but_the_package() -> None:
    assert not [path for path in (ROOT / "asgi_ds2api").rglob("*") if path.suffix in (".pth", ".so")]
    assert (ROOT / "asgi_ds2api" / "py.typed").is_file()
