"""A character that an upstream cut in two: told whole where both halves came, and no end of an answer where not."""

import pytest

from asgi_ds2api.canonical import BlockStart, BlockStop, Choice, Finish, Notices, Response, Start, Text, TextDelta
from asgi_ds2api.codec import Codec, Envelope
from asgi_ds2api.fold import fold
from asgi_ds2api.framing import MAX_EVENT_BYTES
from asgi_ds2api.protocols import PROTOCOLS

ENVELOPE = Envelope(model="m", stream=True, salt="1")
HALVES = {b"<high>": rb"\ud83d", b"<low>": rb"\ude42"}
"""What stands for a half in our texts, and what is sent."""

every_protocol = pytest.mark.parametrize("codec", PROTOCOLS.values(), ids=PROTOCOLS)


def cut(written: bytes) -> bytes:
    for mark, half in HALVES.items():
        written = written.replace(mark, half)
    return written


def streamed(codec: Codec, *texts: str) -> str:
    """Return the text of an answer that comes in these pieces."""
    told = [TextDelta(index=0, text=text) for text in texts]
    encoder = codec.StreamEncoder(ENVELOPE, Notices())
    start, block = Start(source=codec.NAME, id="a", model="m"), BlockStart(index=0, block=Text(text=""))
    sent = encoder.encode([start, block, *told, BlockStop(index=0), Finish(reason="stop")]) + encoder.close()
    decoder = codec.StreamDecoder(codec.DEFAULT_PROFILE, MAX_EVENT_BYTES)
    events = [*decoder.feed(cut(sent)), *decoder.close()]
    assert (decoder.failure, decoder.is_complete) == (None, True)
    return text_of(fold(events))


def text_of(response: Response) -> str:
    return "".join(block.text for block in response.choices[0].blocks if isinstance(block, Text))


@every_protocol
def test_two_halves_in_two_events_are_one_character(codec: Codec) -> None:
    assert streamed(codec, "hi ", "<high>", "<low>", " ok") == "hi 🙂 ok"


@every_protocol
def test_a_half_alone_ends_no_stream(codec: Codec) -> None:
    assert streamed(codec, "hi ", "a<high>b", "<low>", " ok") == "hi a\ufffdb\ufffd ok"


@every_protocol
def test_a_half_alone_ends_no_whole_answer(codec: Codec) -> None:
    said = Choice(blocks=(Text(text="hi <high> ok"),), finish=Finish(reason="stop"))
    answer = Response(source=codec.NAME, id="a", model="m", choices=(said,))
    sent = codec.encode_response(answer, ENVELOPE, Notices())
    assert text_of(codec.decode_response(cut(sent), codec.DEFAULT_PROFILE)) == "hi \ufffd ok"
