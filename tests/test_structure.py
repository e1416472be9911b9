"""The budgets of the code base: short files, short functions, no state in modules, an import that does nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    silent = [node.name for node in public if not node.name.startswith("_") and not ast.get_docstring(node)]
    assert wire or silent == []


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
