"""Recorded questions for a number of tokens mean the same when they are written anew, and what was answered is read."""

import json

import msgspec
import pytest

from asgi_ds2api.canonical import Notices
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.errors import UpstreamError
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import PROTOCOLS
from tests.protocols.test_laws import plain
from tests.support.recorded import Recording, recorded_params

GEMINI = PROTOCOLS["gemini_generate"]


@pytest.mark.parametrize("record", recorded_params("gemini-count", status=200))
def test_a_recorded_count_is_asked_and_read(record: Recording) -> None:
    asked = HTTPCall(method="POST", path=_path(record), body=json.dumps(record.request.body).encode())
    request = GEMINI.decode_request(asked)
    notices = Notices(request.places)
    written = GEMINI.encode_count_request(request, PROFILES["gemini"], notices)
    assert written is not None
    assert (written.path, notices) == (asked.path, [])
    unlimited = msgspec.structs.replace(request, max_output_tokens=None)  # an answer's limit is none of the question
    assert plain(GEMINI.decode_request(written)) == plain(unlimited)
    told = json.loads(record.response.body)["totalTokens"]
    assert GEMINI.decode_token_count(record.response.body).input_tokens == told


@pytest.mark.parametrize("record", recorded_params("gemini-count", status=404))
def test_a_recorded_refusal_to_count_is_read(record: Recording) -> None:
    error = GEMINI.decode_error(404, {}, record.response.body)
    assert isinstance(error, UpstreamError)
    assert json.loads(record.response.body)["error"]["message"] in error.message


def _path(record: Recording) -> str:
    """Return the path that a caller asks on; some were recorded at Google's cloud."""
    return f"/v1beta/models/{record.request.path.rpartition('/models/')[2]}"
