"""A whole answer, read and written again: what has no name of ours goes back to where it stood."""

import json

from asgi_ds2api.canonical import Notices
from asgi_ds2api.codec import Envelope
from asgi_ds2api.protocols import gemini_generate
from asgi_ds2api.protocols.gemini_generate.wire import put_within


def test_unknown_fields_of_parts_go_back_into_their_places() -> None:
    call = {"functionCall": {"id": "1", "name": "f", "args": {}, "newer": 1}, "beside.it": 2}
    content = {"role": "model", "parts": [call]}
    body = json.dumps({"candidates": [{"content": content, "finishReason": "STOP"}], "modelVersion": "m"}).encode()

    response = gemini_generate.decode_response(body, gemini_generate.DEFAULT_PROFILE)
    written = json.loads(gemini_generate.encode_response(response, Envelope(model="m"), Notices()))

    assert written["candidates"][0]["content"]["parts"] == [call]


def test_object_that_holds_nothing_but_unknown_fields_is_made_for_them() -> None:
    assert put_within({"a": 1}, {"toolConfig.newer": 2}) == {  # type: ignore[dict-item]  # any JSON
        "a": 1,
        "toolConfig": {"newer": 2},
    }
