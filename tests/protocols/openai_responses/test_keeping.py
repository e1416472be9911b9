"""What is kept of an answer, what a request that goes on from it becomes, and what is told of it."""

import json
from typing import Any

import pytest
from msgspec import Raw

from asgi_ds2api.codec import HTTPCall, Kept
from asgi_ds2api.errors import MalformedRequest, UnknownItem, Unsupported
from asgi_ds2api.framing import data_frame
from asgi_ds2api.protocols.openai_responses import keeping

SAID = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
ANSWER = {"id": "resp_1", "object": "response", "status": "completed", "output": [SAID]}
FIRST = {"model": "m", "input": "Hello", "instructions": "Be brief."}
ASKED = {"type": "message", "role": "user", "content": "Hello"}


def call(body: Any = None, *, path: str = "/v1/responses", method: str = "POST", **query: str) -> HTTPCall:
    data = b"" if body is None else json.dumps(body).encode()
    return HTTPCall(method=method, path=path, body=data, query=query)


def kept(body: Any = FIRST, answer: Any = ANSWER, before: Kept | None = None) -> Kept:
    found = keeping.keep(call(body), json.dumps(answer).encode(), before)
    assert found is not None
    return found[1]


def values(items: tuple[Raw, ...]) -> list[Any]:
    return [json.loads(bytes(item)) for item in items]


def test_openai_C48_request_that_goes_on_has_all_earlier_items_in_front_and_keeps_its_own_settings() -> None:
    second = {
        "model": "m",
        "previous_response_id": "resp_1",
        "input": [{"role": "user", "content": "More"}],
        "top_p": 1,
    }
    went_on = keeping.go_on(call(second), kept())
    assert json.loads(went_on.body) == {
        "model": "m",
        "input": [ASKED, SAID, {"role": "user", "content": "More"}],
        "top_p": 1,
    }


def test_openai_C48_chain_of_answers_keeps_every_turn() -> None:
    second = kept({"model": "m", "previous_response_id": "resp_1", "input": "More"}, {**ANSWER, "id": "resp_2"}, kept())
    assert values(second.input) == [ASKED, SAID, {**ASKED, "content": "More"}]
    assert (values(second.output), second.turns) == ([SAID], 2)


def test_endless_chain_is_refused() -> None:
    endless = Kept(input=(), output=(), answer=Raw(b"{}"), turns=keeping.MAX_TURNS)
    with pytest.raises(MalformedRequest, match="turns"):
        keeping.go_on(call({"model": "m", "previous_response_id": "resp_1"}), endless)


@pytest.mark.parametrize(
    "body", [FIRST, {**FIRST, "previous_response_id": None}, {**FIRST, "input": "previous_response_id"}]
)
def test_talk_that_begins_goes_on_from_nothing(body: Any) -> None:
    assert keeping.previous_id(call(body)) is None


def test_answer_and_conversation_at_once_are_refused() -> None:
    with pytest.raises(MalformedRequest) as caught:
        keeping.previous_id(call({**FIRST, "previous_response_id": "resp_1", "conversation": "conv_1"}))
    assert caught.value.param == "previous_response_id"


@pytest.mark.parametrize(
    ("store", "expected"), [({}, True), ({"store": None}, True), ({"store": True}, True), ({"store": False}, False)]
)
def test_answer_is_kept_unless_the_caller_says_no(store: Any, expected: bool) -> None:
    assert keeping.is_to_be_kept(call({**FIRST, **store})) is expected


@pytest.mark.parametrize("answer", [{**ANSWER, "status": "failed"}, {**ANSWER, "id": ""}, {"error": {}}])
def test_failed_answer_is_not_kept(answer: Any) -> None:
    assert keeping.keep(call(FIRST), json.dumps(answer).encode(), None) is None


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete"])
def test_last_event_of_a_stream_has_the_answer(kind: str) -> None:
    frames = data_frame(b'{"type":"response.output_text.done"}')
    frames += data_frame(json.dumps({"type": kind, "response": ANSWER}).encode()) + data_frame(b"[DONE]")
    answer = keeping.final_answer(frames)
    assert answer is not None
    assert json.loads(answer) == ANSWER


@pytest.mark.parametrize(
    "frames",
    [
        data_frame(json.dumps({"type": "response.failed", "response": ANSWER}).encode()),
        data_frame(json.dumps({"type": "response.output_text.delta", "delta": '"type":"response.completed"'}).encode()),
        b"",
    ],
)
def test_stream_that_did_not_end_well_has_none(frames: bytes) -> None:
    assert keeping.final_answer(frames) is None


@pytest.mark.parametrize("tail", ["", "/input_items", "/cancel"])
def test_path_names_an_answer(tail: str) -> None:
    assert keeping.id_in(f"/openai/v1/responses/resp_1{tail}") == "resp_1"


def test_answer_is_told_as_it_was() -> None:
    told = keeping.tell(call(path="/v1/responses/resp_1", method="GET"), kept())
    assert json.loads(told) == ANSWER


def test_deleted_answer_is_said_to_be() -> None:
    told = keeping.tell(call(path="/v1/responses/resp_1", method="DELETE"), kept())
    assert json.loads(told) == {"id": "resp_1", "object": "response", "deleted": True}


def items(**query: str) -> Any:
    body = {"model": "m", "input": [{"role": "user", "content": str(n), "id": f"i{n}"} for n in range(30)]}
    return json.loads(keeping.tell(call(path="/v1/responses/resp_1/input_items", method="GET", **query), kept(body)))


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ({}, range(29, 9, -1), True),
        ({"order": "asc", "limit": "3"}, range(3), True),
        ({"order": "asc", "after": "i27"}, range(28, 30), False),
        ({"limit": "100"}, range(29, -1, -1), False),
    ],
)
def test_input_is_told_page_by_page(query: dict[str, str], ids: range, more: bool) -> None:
    page = items(**query)
    assert [item["id"] for item in page["data"]] == [f"i{n}" for n in ids]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (f"i{ids[0]}", f"i{ids[-1]}", more)
    assert {item["type"] for item in page["data"]} == {"message"}


@pytest.mark.parametrize("limit", ["0", "101", "x", "-1", "\u0661"])
def test_odd_page_is_refused(limit: str) -> None:
    with pytest.raises(MalformedRequest, match="1 to 100"):
        items(limit=limit)


def test_unknown_place_in_the_input_is_refused() -> None:
    with pytest.raises(UnknownItem):
        items(after="i30")


@pytest.mark.parametrize(
    ("path", "query"), [("/v1/responses/resp_1/cancel", {}), ("/v1/responses/resp_1", {"stream": "true"})]
)
def test_what_needs_the_background_is_refused(path: str, query: dict[str, str]) -> None:
    with pytest.raises((MalformedRequest, Unsupported)):
        keeping.tell(call(path=path, method="GET", **query), kept())
