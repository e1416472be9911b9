"""What a request goes on with, and what an answer tells that the vendor holds."""

import json
from typing import Any

import pytest

from asgi_ds2api.codec import Held, HTTPCall
from asgi_ds2api.protocols.anthropic_messages import holding
from tests.support.http_bytes import sse_body

THREAD, CONTAINER = Held(kind="thread", id="msg_1"), Held(kind="container", id="c1")


def request(body: bytes) -> HTTPCall:
    return HTTPCall(method="POST", path="/v1/messages", body=body)


def named(body: bytes) -> list[Held]:
    return list(holding.named(request(body)))


CONTINUE = b'{"type":"continue","previous_message_id":"msg_1"}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"messages":[]}', [], id="nothing"),
        pytest.param(b'{"thread":{"type":"create"},"container":{"skills":[]}}', [], id="what begins"),
        pytest.param(b'{"thread":null,"container":null}', [], id="null"),
        pytest.param(b'{"thread":7,"container":["c1"]}', [], id="what the vendor refuses"),
        pytest.param(b'{"thread":' + CONTINUE + b"}", [THREAD], id="thread"),
        pytest.param(b'{"\\u0074hread":' + CONTINUE + b"}", [THREAD], id="letters as numbers"),
        pytest.param(b'{"container":"c1"}', [CONTAINER], id="container"),
        pytest.param(b'{"container":{"id":"c1","skills":[]}}', [CONTAINER], id="container with skills"),
        pytest.param(
            b'{"container":{"id":"c1","id":"c2"}}', [CONTAINER, Held(kind="container", id="c2")], id="equal members"
        ),
        pytest.param(b'{"messages":[{"thread":' + CONTINUE + b"}]}", [], id="elsewhere"),
    ],
)
def test_request_names_what_it_goes_on_with(body: bytes, expected: list[Held]) -> None:
    assert named(body) == expected


MESSAGE: dict[str, Any] = {"type": "message", "id": "msg_1", "content": [{"type": "text", "text": '"container"'}]}
START = {"type": "message_start", "message": {**MESSAGE, "content": []}}
TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": '{"container":{"id":"x"}}'}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "container": {"id": "c1"}}, "usage": {}}


@pytest.mark.parametrize("asked", [b"{}", b'{"thread":{"type":"create"}}'], ids=["alone", "in a thread"])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(json.dumps(MESSAGE).encode(), [THREAD], id="whole"),
        pytest.param(json.dumps({**MESSAGE, "container": {"id": "c1"}}).encode(), [THREAD, CONTAINER], id="with one"),
        pytest.param(sse_body([START], named=True), [THREAD], id="start"),
        pytest.param(sse_body([TEXT], named=True), [], id="text"),
        pytest.param(sse_body([TEXT, END], named=True), [CONTAINER], id="end"),
        pytest.param(b'data: {"type":"message_start","message":{"id":"\xff"}}\n\n', [], id="what cannot be read"),
    ],
)
def test_answer_tells_what_the_vendor_holds(asked: bytes, data: bytes, expected: list[Held]) -> None:
    is_held = b"thread" in asked
    wanted = [held for held in expected if is_held or held.kind != "thread"]
    assert list(holding.told(request(asked), data)) == wanted
