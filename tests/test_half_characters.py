"""Halves of characters: what is put together, what is replaced, and what is left alone."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.half_characters import MAX_HELD, HalfCharacters, without_halves

HIGH, LOW = r"\ud83d", r"\uDE42"


def delta(text: str, index: int = 0, name: str = "content") -> bytes:
    return f'{{"choices":[{{"index":{index},"delta":{{"{name}": "{text}"}}}}]}}'.encode()


def joined(*events: bytes) -> list[bytes]:
    halves = HalfCharacters()
    return [halves.join(event) for event in events]


def test_two_halves_in_two_events_become_one_character() -> None:
    assert joined(delta(f"hi {HIGH}"), delta(f"{LOW} ok")) == [delta("hi "), delta(f"{HIGH}{LOW} ok")]


def test_a_half_waits_while_its_event_is_all_there_is_of_it() -> None:
    assert joined(delta(HIGH), delta(LOW + HIGH), delta(LOW)) == [delta(""), delta(HIGH + LOW), delta(HIGH + LOW)]


@pytest.mark.parametrize("other", [{"index": 1}, {"name": "reasoning_content"}])
def test_a_half_waits_for_its_own_block(other: dict[str, object]) -> None:
    elsewhere = delta(LOW, **other)  # type: ignore[arg-type]  # one argument a case
    _, there, here = joined(delta(HIGH), elsewhere, delta(LOW))
    assert (there, here) == (elsewhere.replace(LOW.encode(), rb"\ufffd"), delta(HIGH + LOW))


def test_a_half_is_replaced_where_its_other_half_cannot_come() -> None:
    assert joined(delta(f"{LOW}a{HIGH}b{LOW}")) == [delta(r"\ufffda\ufffdb\ufffd")]


def test_as_many_halves_wait_as_a_stream_has_blocks() -> None:
    assert joined(*[delta(HIGH, index) for index in range(MAX_HELD + 1)])[-1] == delta(r"\ufffd", MAX_HELD)


@pytest.mark.parametrize(
    "document",
    [delta(HIGH + LOW), delta(r"\\ud83d"), delta(r"\n\t\u00e4\\"), b"<html>", b""],
)
def test_a_document_without_halves_stays_as_it_is(document: bytes) -> None:
    assert (without_halves(document), joined(document)) == (document, [document])


def test_a_whole_document_has_the_mark_of_a_lost_character_for_every_half() -> None:
    assert without_halves(delta(f"a{HIGH}")) == delta(r"a\ufffd")


def test_what_surrounds_a_half_stays_byte_for_byte() -> None:
    document = b'{ "a\\"" :"\\\\" , "n": 1.0e5, "b" : ["\\ud83d" ,"\\ude42"],"c":"\xc3\xa4\\/" }'
    assert without_halves(document) == document.replace(rb"\ud83d", rb"\ufffd").replace(rb"\ude42", rb"\ufffd")


@given(st.text(st.one_of(st.characters(), st.characters(categories=["Cs"])), max_size=20), st.data())
def test_any_text_can_be_read_however_it_is_cut(text: str, data: st.DataObject) -> None:
    """A text that is whole comes out whole, cut at any UTF-16 unit."""
    units = text.encode("utf-16-le", "surrogatepass")
    cut = 2 * data.draw(st.integers(0, len(units) // 2))
    pieces = [piece.decode("utf-16-le", "surrogatepass") for piece in (units[:cut], units[cut:])]
    events = joined(*[json.dumps({"text": piece}).encode() for piece in pieces])
    read = "".join(msgspec.json.decode(event)["text"] for event in events)
    if units.decode("utf-16-le", "ignore") == text:
        assert read == text
