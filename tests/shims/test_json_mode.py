"""Structured output where the upstream has no switch for it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from asgi_ds2api.canonical import (
    BlockStart,
    BlockStop,
    Event,
    Message,
    Notices,
    OutputFormat,
    Request,
    Text,
    TextDelta,
)
from asgi_ds2api.profiles import Profile
from asgi_ds2api.shims.json_mode import ASK_OBJECT, ASK_SCHEMA, JsonMode

SCHEMA = b'{"type":"object","properties":{"a":{"type":"integer"}}}'


def asking(wanted: OutputFormat | None) -> Request:
    return Request(
        source="openai_chat",
        model="m",
        messages=(
            Message(role="system", content=(Text(text="Be kind."),)),
            Message(role="user", content=(Text(text="hi"),)),
        ),
        output_format=wanted,
    )


def unfenced(*pieces: str) -> str:
    shim = JsonMode(Profile())
    deltas: list[Event] = [TextDelta(index=0, text=piece) for piece in pieces]
    events = [BlockStart(index=0, block=Text(text="")), *deltas, BlockStop(index=0)]
    out = [event for sent in events for event in shim.events([sent])]
    return "".join(event.text for event in out if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("wanted", "profile", "needed"),
    [
        (None, Profile(json_object=False), False),
        (OutputFormat(kind="text"), Profile(json_object=False), False),
        (OutputFormat(kind="json_object"), Profile(json_object=False), True),
        (OutputFormat(kind="json_object"), Profile(), False),
        (OutputFormat(kind="json_schema"), Profile(json_schema=False), True),
        (OutputFormat(kind="json_schema"), Profile(), False),
    ],
)
def test_is_needed_where_the_switch_is_missing(wanted: OutputFormat | None, profile: Profile, needed: bool) -> None:
    assert JsonMode.is_needed(asking(wanted), profile) is needed


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (OutputFormat(kind="json_object", at="response_format"), ASK_OBJECT),
        (OutputFormat(kind="json_schema", schema=Raw(SCHEMA), at="response_format"), ASK_SCHEMA + SCHEMA.decode()),
    ],
)
def test_the_switch_becomes_a_sentence_after_the_leading_system_text(wanted: OutputFormat, text: str) -> None:
    notices = Notices()
    sent = JsonMode(Profile(json_object=False, json_schema=False)).request(asking(wanted), notices)
    assert [message.role for message in sent.messages] == ["system", "system", "user"]
    assert sent.messages[1].content == (Text(text=text),)
    assert sent.output_format is None
    assert [(n.path, n.severity) for n in notices] == [("response_format", "changed")]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"a":1}', '{"a":1}'),
        ('```json\n{"a":1}\n```', '{"a":1}'),
        ('```\n{"a":1}\n```\n', '{"a":1}'),
        ('\n ```JSON\n{"a":"``` x"}\n```', '{"a":"``` x"}'),
        ("```python\nprint()\n```", "```python\nprint()\n```"),
        ("no json at all", "no json at all"),
        ("``", "``"),
        ("", ""),
        ("``` ```", "``` ```"),
        ('```json\n{"a":1}', '{"a":1}'),
    ],
)
def test_fence_around_the_whole_is_taken_off(answer: str, expected: str) -> None:
    assert unfenced(answer) == expected


@given(
    body=st.text(alphabet='{}"a`\n ', max_size=20), fence=st.sampled_from(["", "```json\n", "```\n"]), data=st.data()
)
def test_any_split_gives_the_same_text(body: str, fence: str, data: st.DataObject) -> None:
    answer = f"{fence}{body}\n```" if fence else body
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=5)))
    points = [0, *cuts, len(answer)]
    pieces = [answer[a:b] for a, b in itertools.pairwise(points)]
    assert unfenced(*pieces) == unfenced(answer)
