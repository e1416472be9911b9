"""Recorded traffic at the codec: requests and answers are written as they were read, at any cut of a stream."""

import json

import pytest

from asgi_ds2api.canonical import Notices
from asgi_ds2api.codec import Envelope, HTTPCall
from asgi_ds2api.fold import fold, unfold
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import gemini_generate as codec
from tests.support.recorded import Recording, recorded_params

PROFILE = PROFILES["gemini"]
ENVELOPE = Envelope(model="m", stream=True, salt="1", created=1)
MAX_EVENT_BYTES = 16 * 1024 * 1024


@pytest.mark.parametrize("record", recorded_params("gemini", status=200))
def test_request_is_written_as_it_was_read(record: Recording) -> None:
    notices = Notices()
    asked = HTTPCall(method="POST", path=record.request.path, body=json.dumps(record.request.body).encode())
    first = codec.encode_request(codec.decode_request(asked), PROFILE, notices)
    second = codec.encode_request(codec.decode_request(first), PROFILE, Notices())
    assert (json.loads(second.body), list(notices)) == (json.loads(first.body), [])


@pytest.mark.parametrize("record", recorded_params("gemini", status=200))
def test_answer_is_written_as_it_was_read(record: Recording) -> None:
    body = record.response.body
    notices = Notices()
    if not body.lstrip().startswith(b"data:"):
        answer = codec.decode_response(body, PROFILE)
    else:
        streams = []
        for size in (1, 7, 64, 4096):
            decoder = codec.StreamDecoder(PROFILE, MAX_EVENT_BYTES)
            pieces = [body[at : at + size] for at in range(0, len(body), size)]
            streams.append([event for piece in pieces for event in decoder.feed(piece)] + decoder.close())
            assert (decoder.is_complete, decoder.failure) == (True, None)
        assert all(stream == streams[0] for stream in streams)
        answer = fold(streams[0])
    written = codec.encode_response(answer, ENVELOPE, notices)
    encoder = codec.StreamEncoder(ENVELOPE, notices)
    streamed = encoder.encode(unfold(answer)) + encoder.close()
    decoder = codec.StreamDecoder(PROFILE, MAX_EVENT_BYTES)
    again = fold(decoder.feed(streamed) + decoder.close())
    assert codec.encode_response(again, ENVELOPE, notices) == written
    assert list(notices) == []
