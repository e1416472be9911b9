"""What may be said of single prefixes."""

from typing import Any

import pytest

from .samples import load, problems


def test_prefix_has_its_own_word_on_what_is_unsupported() -> None:
    words = [{"path": "/strict", "on_unsupported": "reject"}, {"path": "", "on_unsupported": "drop"}]
    assert load(prefixes=words).prefixes == {"/strict": "reject", "": "drop"}
    assert load().prefixes == {}


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            {"path": "/strict/"},
            'path: is no prefix; write a path like "/ai": absolute, plain segments, no slash at the end',
        ),
        ({"path": "/"}, 'path: is no prefix; write "" for a gateway that is an app of its own'),
        ({"path": 3}, "path: is an integer; write a string"),
        ({"path": None}, "path: is missing; every table of this kind needs it"),
        ({"on_unsupported": None}, "on_unsupported: is missing; every table of this kind needs it"),
        (
            {"on_unsupported": "rejct"},
            "on_unsupported: is none of the words that may stand here; did you mean 'reject'?",
        ),
        ({"pathh": "/x"}, "pathh: there is no such key; did you mean 'path'?"),
        (
            {"fan_out": True},
            "fan_out: there is no such key; it is a key of the whole: write it above the first [table]",
        ),
    ],
)
def test_F96_what_is_wrong_with_a_prefix_is_told(row: dict[str, Any], line: str) -> None:
    assert problems(prefixes=[{"path": "/strict", "on_unsupported": "reject", **row}]) == [f"prefixes[0].{line}"]


def test_F96_prefix_that_is_named_twice_is_told() -> None:
    twice = [{"path": "/strict", "on_unsupported": word} for word in ("reject", "drop")]
    assert problems(prefixes=twice) == [
        "prefixes[1].path: is the same path as prefixes[0].path; each may be there once"
    ]


@pytest.mark.parametrize(
    ("prefix", "path", "is_doubted"),
    [("/ai", "/strict", True), ("/ai", "/ai", False), (["/ai", "/strict"], "/strict", False), ("/ai", "", False)],
)
def test_prefix_that_only_the_application_may_know_is_warned_of(prefix: Any, path: str, is_doubted: bool) -> None:
    warning = (
        "prefixes[0].path: is none of prefix, so it acts only where the application says so: a middleware with "
        "prefix=, or a mount; name it in prefix, too"
    )
    found = load(prefix=prefix, prefixes=[{"path": path, "on_unsupported": "reject"}]).warnings()
    assert found == ((warning,) if is_doubted else ())
