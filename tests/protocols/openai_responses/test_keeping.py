"""What is kept of an answer, what a request that goes on from it becomes, and what is told of it."""

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from asgi_ds2api.codec import HTTPCall, Kept
from asgi_ds2api.errors import MalformedRequest, UnknownItem
from asgi_ds2api.framing import data_frame
from asgi_ds2api.profiles import PROFILES
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


def test_whole_answer_cannot_be_cancelled() -> None:
    with pytest.raises(MalformedRequest, match="synchronous"):
        keeping.tell(call(path="/v1/responses/resp_1/cancel"), kept())


# --- what a vendor keeps as well --------------------------------------------------------------------------------------

OPEN = {**ANSWER, "status": "queued", "output": []}
BACKGROUND = {**FIRST, "background": True}
OPENAI = PROFILES["openai-responses"]
PATH = "/v1/responses/resp_1"


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_background_answer_is_open_until_it_ends(status: str) -> None:
    held = kept(BACKGROUND, {**OPEN, "status": status})
    assert held.is_open
    assert keeping.renew(held, json.dumps({**OPEN, "status": "in_progress"}).encode()) is None
    ended = keeping.renew(held, json.dumps(ANSWER).encode())
    assert ended is not None
    assert (ended.is_open, values(ended.input), values(ended.output)) == (False, [ASKED], [SAID])


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_background_answer_that_failed_is_nothing_to_go_on_from(status: str) -> None:
    assert keeping.renew(kept(BACKGROUND, OPEN), json.dumps({**OPEN, "status": status}).encode()) is None


def test_answer_that_is_waited_for_is_never_open() -> None:
    assert keeping.keep(call(FIRST), json.dumps(OPEN).encode(), None) is None


def test_open_answer_is_not_gone_on_from() -> None:
    with pytest.raises(MalformedRequest, match="not ended"):
        keeping.go_on(call({"model": "m", "previous_response_id": "resp_1"}), kept(BACKGROUND, OPEN))


def test_stream_in_the_background_is_known_by_its_first_frame() -> None:
    begun = data_frame(json.dumps({"type": "response.created", "response": OPEN}).encode())
    assert json.loads(keeping.first_answer(begun) or b"") == OPEN
    assert keeping.first_answer(data_frame(b'{"type":"response.output_text.delta"}')) is None
    assert keeping.final_answer(begun) is None


@pytest.mark.parametrize(
    ("method", "path", "body", "account", "expected"),
    [
        ("DELETE", PATH, FIRST, "openai/a", True),
        ("DELETE", PATH, FIRST, "", False),
        ("GET", PATH, FIRST, "openai/a", False),
        ("GET", PATH, BACKGROUND, "openai/a", True),
        ("POST", f"{PATH}/cancel", BACKGROUND, "openai/a", True),
        ("GET", f"{PATH}/input_items", BACKGROUND, "openai/a", False),
    ],
)
def test_vendor_is_asked_where_it_alone_can_answer(
    method: str, path: str, body: Any, account: str, expected: bool
) -> None:
    held = replace(kept(body, OPEN if "background" in body else ANSWER), account=account)
    assert keeping.is_for_vendor(call(path=path, method=method), held) is expected


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("DELETE", PATH, {}, "/responses/resp_1"),
        ("POST", f"{PATH}/cancel", {}, "/responses/resp_1/cancel"),
        ("GET", PATH, {"stream": "true", "starting_after": "3", "limit": "4"}, "/responses/resp_1"),
        ("GET", "/v1/responses/a%b?c", {}, "/responses/a%25b%3Fc"),
    ],
)
def test_vendor_is_asked_the_same_by_its_own_path(method: str, path: str, query: Any, expected: str) -> None:
    asked = keeping.at_vendor(call(path=path, method=method, **query), "m", OPENAI)
    assert (asked.method, asked.path, asked.body) == (method, expected, b"")
    assert dict(asked.query) == {name: value for name, value in query.items() if name != "limit"}


@pytest.mark.parametrize("given", ["conv_1", {"id": "conv_1"}])
def test_conversation_is_known_in_both_its_forms(given: Any) -> None:
    assert keeping.conversation_id(call({**FIRST, "conversation": given})) == "conv_1"


@pytest.mark.parametrize("body", [FIRST, {**FIRST, "conversation": None}, {**FIRST, "input": "conversation"}])
def test_request_without_a_conversation_has_none(body: Any) -> None:
    assert keeping.conversation_id(call(body)) is None


@pytest.mark.parametrize("value", [False, None, "true"])
def test_background_is_true_or_it_is_not(value: Any) -> None:
    assert keeping.is_background(call({**FIRST, "background": value})) is False


def test_stream_of_a_kept_answer_begins_where_the_caller_left_off() -> None:
    asked = call(path=PATH, method="GET", stream="true")
    whole = keeping.tell(asked, kept()).split(b"\n\n")
    rest = keeping.tell(call(path=PATH, method="GET", stream="true", starting_after="2"), kept())
    assert rest.split(b"\n\n") == whole[3:]
    assert whole[-2] == b"data: [DONE]"
    late = keeping.tell(call(path=PATH, method="GET", stream="true", starting_after="999"), kept())
    assert late == b"data: [DONE]\n\n"
