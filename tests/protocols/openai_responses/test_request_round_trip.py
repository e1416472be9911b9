"""What is decoded and encoded for the same protocol is the same JSON, but for the losses that are written down."""

import json
from pathlib import Path
from typing import Any

import pytest

from asgi_ds2api.canonical import Notices
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.json_guard import check_document
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import openai_responses as codec
from tests.support.recorded import ClientRequest, Recording, case_params, clients, records

from .normal import normal_request

CASES = Path(__file__).parents[2] / "cases" / "openai_responses" / "requests.json"
BODIES = [pytest.param(case["body"], id=case["id"]) for case in json.loads(CASES.read_text())]
MISFILED = "099f4335afb7742d"


def call(body: object) -> HTTPCall:
    data = json.dumps(body).encode()
    check_document(data)
    return HTTPCall(method="POST", path="/v1/responses", body=data)


def round_trip(body: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    notices = Notices()
    sent = codec.encode_request(codec.decode_request(call(body)), PROFILES["openai-responses"], notices)
    return normal_request(json.loads(sent.body)), {notice.severity for notice in notices}


@pytest.mark.parametrize("body", BODIES)
def test_every_field_comes_back_in_its_place(body: dict[str, Any]) -> None:
    assert round_trip(body) == (normal_request(body), set())


def recorded() -> list[Recording]:
    return [record for record in records("responses") if record.id != MISFILED]


@pytest.mark.parametrize("record", case_params(recorded))
def test_recorded_requests_come_back_as_they_were(record: Recording) -> None:
    body = record.request.body
    assert body is not None
    written, severities = round_trip(body)
    assert written == normal_request(body)
    assert severities <= {"hint"}  # tools that move


def responses_clients() -> list[ClientRequest]:
    return [client for client in clients() if client.path.endswith("/responses") and client.body is not None]


@pytest.mark.parametrize("client", case_params(responses_clients))
def test_requests_of_real_clients_come_back_as_they_were(client: ClientRequest) -> None:
    assert client.body is not None
    written, severities = round_trip(client.body)
    assert written == normal_request(client.body)
    assert severities <= {"hint"}  # fields that a client keeps for itself
