"""What is reported: by which path, and how grave it is."""

import pytest

from asgi_ds2api.canonical import Notices, naming, placed
from asgi_ds2api.errors import Unsupported

PLACES = {
    "seed": "options.seed",
    "stop": "options.stop",
    "tools[].name": "tools[].function.name",
    "tools[1].name": "tools[1].custom.name",
    "tools[].parameters": "tools[].function.parameters",
    "contents[].parts[].id": "contents[].parts[].functionCall.id",
    "reasoning.display": "",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("seed", "options.seed", id="a setting"),
        pytest.param("stop[2]", "options.stop[2]", id="an item of a setting"),
        pytest.param("seeds", "seeds", id="another field whose name begins alike"),
        pytest.param("tools[0].name", "tools[0].function.name", id="a field of a value"),
        pytest.param("tools[1].name", "tools[1].custom.name", id="a field of one value"),
        pytest.param("tools[12].parameters.a[3]", "tools[12].function.parameters.a[3]", id="below it"),
        pytest.param("contents[1].parts[20].id", "contents[1].parts[20].functionCall.id", id="two indexes"),
        pytest.param("tools[0]", "tools[0]", id="a value"),
        pytest.param("reasoning.display", "", id="not said"),
    ],
)
def test_a_path_leads_to_where_the_sender_has_it(path: str, expected: str) -> None:
    assert placed(path, PLACES) == expected


def told(notices: Notices) -> list[tuple[str, str]]:
    return [(notice.path, notice.severity) for notice in notices]


def test_what_is_the_senders_own_stands_where_it_says() -> None:
    notices = Notices(PLACES)
    notices.extra("seed", (), "why")
    notices.extra("stop", ("stop",), "why")
    notices.unknown("tools[0]", "name", "why")
    notices.overruled(("seed",))
    assert told(notices) == [("seed", "lost"), ("stop", "hint"), ("tools[0].name", "lost"), ("seed", "hint")]


def test_what_was_not_said_is_not_reported() -> None:
    notices = Notices(PLACES)
    notices.hint("reasoning.display", "why")
    notices.lost("", "of a request as a whole")
    assert told(notices) == [("", "lost")]


def test_a_refusal_names_the_senders_place() -> None:
    with pytest.raises(Unsupported) as caught, naming(PLACES):
        raise Unsupported("It cannot be said.", param="tools[3].parameters")
    assert caught.value.param == "tools[3].function.parameters"
