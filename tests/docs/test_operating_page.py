"""``docs/operating.md`` names what there is: loggers, fields of a Record, commands, keys."""

import re
import tomllib

import pytest

from asgi_ds2api import Config, Record, cli
from asgi_ds2api.observe import Attempt
from asgi_ds2api.pool.overrides import OVERRIDES

from .pages import ROOT, code_blocks, table

PAGE = ROOT / "docs/operating.md"
ENVIRON = {"DS2API_STATUS_KEY": "the-status-key-of-tests", "DS2API_CALLER_KEY": "a-caller-key-of-tests"}


def first_cells(heading: str) -> set[str]:
    """Return the words in back quotes of the first column of the tables under a heading."""
    return {code for row in table(PAGE, heading) for code in row.codes}


def test_every_logger_is_named() -> None:
    sources = [path.read_text() for path in (ROOT / "asgi_ds2api").rglob("*.py")]
    used = {name for source in sources for name in re.findall(r'getLogger\("([^"]+)"\)', source)}
    assert first_cells("Loggers") == used


def test_every_field_of_a_record_is_described() -> None:
    assert first_cells("What is recorded of each request") == {
        *Record.__struct_fields__,
        "hedge",
        "output_tokens_per_s",
    }
    (attempts,) = [row for row in table(PAGE, "What is recorded of each request") if row.key == "attempts"]
    assert set(Attempt.__struct_fields__) == set(re.findall(r"`(\w+)`", attempts.cells[1]))


def test_every_word_of_an_operator_is_described() -> None:
    assert first_cells("Steer an account by hand") == set(OVERRIDES)


def test_table_of_the_status_is_one_that_is_taken() -> None:
    (block,) = [block for block in code_blocks(PAGE) if block.language == "toml"]
    rest = {
        "secret": "env:DS2API_CALLER_KEY",
        "callers": [{"label": "me", "key": "env:DS2API_CALLER_KEY"}],
        "upstreams": [{"name": "a", "preset": "ollama"}],
    }
    status = Config.from_dict({**rest, **tomllib.loads(block.text)}, ENVIRON).status
    assert status is not None
    assert status.has_health


@pytest.mark.parametrize(
    "command",
    [line[2:] for block in code_blocks(PAGE) for line in block.text.splitlines() if line.startswith("$ asgi-ds2api")],
)
def test_commands_are_understood(command: str) -> None:
    assert cli._parser().parse_args(command.split()[1:]).run is not None
