"""What is alike in every answer that says an error."""

import pytest

from asgi_ds2api.codec import Codec
from asgi_ds2api.error_answers import error_answer
from asgi_ds2api.errors import Refused, UnknownRoute
from asgi_ds2api.protocols import PROTOCOLS

OURS = b'{"ours":1}'
THEIRS = b'{"theirs":1}'


def test_body_of_the_callers_protocol_passes_as_it_came() -> None:
    answer = error_answer(Refused("No.", body=THEIRS), 400, OURS, is_own=lambda body: True)

    assert (answer.status, answer.body) == (400, THEIRS)


def test_body_of_another_protocol_is_told_in_our_words() -> None:
    assert error_answer(Refused("No.", body=THEIRS), 400, OURS, is_own=lambda body: False).body == OURS


def test_error_of_ours_has_no_body_that_could_pass() -> None:
    assert error_answer(UnknownRoute("No."), 404, OURS, is_own=lambda body: True).body == OURS


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.NAME)
@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b'{"error":"\xff"}', b'{"type":"error","error":' + b"[" * 100_000], ids=range(4)
)
def test_body_that_cannot_be_read_is_told_in_our_words(protocol: Codec, body: bytes) -> None:
    answer = protocol.encode_error(Refused("No.", body=body), "req_1")

    assert b"No." in answer.body
