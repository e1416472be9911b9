"""What vendors refused of the requests in ``lingua/``: the status is told on every face, with what the vendor says."""

import json
import re
from typing import Any

import pytest

from asgi_ds2api.canonical import ProtocolName
from asgi_ds2api.errors import Refused
from asgi_ds2api.protocols import PROTOCOLS
from tests.support.recorded import LinguaCase, case_params, lingua, require_cases

from .leaf_bodies import SNAPSHOTS

CODECS: dict[str, ProtocolName] = {folder: protocol for protocol, folder in SNAPSHOTS.items()}
_TEXT = re.compile(r"Error: (?P<status>\d{3}) (?P<message>.*)", re.DOTALL)
_WHOLE = "Error: ApiError: "


def refused() -> list[LinguaCase]:
    """Return the cases that a vendor refused."""
    return [case for case in lingua() if "error" in case.files]


def body_of(case: LinguaCase) -> tuple[int, dict[str, Any]]:
    """Return status and body of an error; of OpenAI's, an SDK has kept the message alone."""
    text: str = json.loads(case.files["error"])["error"]
    if text.startswith(_WHOLE):
        body: dict[str, Any] = json.loads(text.removeprefix(_WHOLE))
        return body["error"]["code"], body
    found = _TEXT.fullmatch(text)
    assert found is not None
    fields = {"message": found["message"], "type": "invalid_request_error", "param": None, "code": None}
    return int(found["status"]), {"error": fields}


@pytest.mark.parametrize("face", SNAPSHOTS)
@pytest.mark.parametrize("case", case_params(refused))
def test_what_a_vendor_refuses_is_told_in_its_words(case: LinguaCase, face: ProtocolName) -> None:
    status, body = body_of(case)
    error = PROTOCOLS[CODECS[case.protocol]].decode_error(status, {}, json.dumps(body).encode())
    assert isinstance(error, Refused)
    answer = PROTOCOLS[face].encode_error(error, "req_1")
    assert answer.status == status
    assert body["error"]["message"] in json.loads(answer.body)["error"]["message"]


@pytest.mark.cases
def test_every_error_of_lingua_is_of_a_protocol_that_is_spoken() -> None:
    require_cases()
    assert {case.protocol for case in refused()} <= CODECS.keys()
    assert len(refused()) == 7
