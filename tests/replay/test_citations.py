"""A stream cites what the whole answer cites, and where: over every recorded stream with sources."""

import pytest

from asgi_ds2api.canonical import Event, Notices, Response, Text
from asgi_ds2api.codec import Codec, Envelope
from asgi_ds2api.fold import fold
from asgi_ds2api.protocols import PROTOCOLS
from tests.support.recorded import Recording, case_params, records

MAX_EVENT_BYTES = 10_000_000
MARKS = (b"citations_delta", b"url_citation", b"groundingSupports")
VENDORS = {"anthropic": "anthropic_messages", "chat": "openai_chat", "gemini": "gemini_generate",
           "responses": "openai_responses"}  # fmt: skip
"""File of recordings -> protocol."""
CITING = ("openai_chat", "openai_responses")
"""Those that say where a source is cited."""


def citing() -> list[Recording]:
    """Return the streams in which sources are cited."""
    return [
        record
        for vendor in ("anthropic", "chat", "gemini", "responses")
        for record in records(vendor, status=200, stream=True)
        if any(mark in record.response.body for mark in MARKS)
    ]


def events_of(codec: Codec, data: bytes) -> list[Event]:
    decoder = codec.StreamDecoder(codec.DEFAULT_PROFILE, MAX_EVENT_BYTES)
    events = [*decoder.feed(data.rstrip() + b"\n\n")]
    return events if decoder.is_complete else [*events, *decoder.close()]


def cited(answer: Response) -> list[tuple[str | None, int | None, int | None]]:
    """Return address, begin and end of each source, in order."""
    texts = [block for choice in answer.choices for block in choice.blocks if isinstance(block, Text)]
    return [(source.url, source.start, source.end) for text in texts for source in text.citations]


@pytest.mark.parametrize("face", CITING)
@pytest.mark.parametrize("record", case_params(citing))
def test_stream_cites_where_the_whole_answer_does(record: Recording, face: str) -> None:
    source, target = PROTOCOLS[VENDORS[record.protocol]], PROTOCOLS[face]
    events = events_of(source, record.response.body)
    envelope = Envelope(model="asked", stream=True, request_id="req_1", created=1_700_000_000)
    told = target.encode_response(fold(events, source.join_opaque), envelope, Notices())
    whole = cited(target.decode_response(told, target.DEFAULT_PROFILE))
    encoder = target.StreamEncoder(envelope, Notices())
    streamed = cited(fold(events_of(target, encoder.encode(events) + encoder.close()), target.join_opaque))
    assert streamed == whole
    if record.protocol == "anthropic":  # the others say where themselves
        assert [source for source in streamed if (source[1] or 0) >= (source[2] or 0)] == []
