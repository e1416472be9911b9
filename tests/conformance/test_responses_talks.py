"""Talks of Responses that go on: at the vendor that keeps them as well, or with all that came before."""

import json
from typing import Any

import pytest

from asgi_ds2api.errors import Interrupted
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import make_gateway, upstream
from tests.support.http_bytes import HeaderPairs, sse_body
from tests.support.scripted_client import ScriptedUpstream, answering, streaming

from .asking import response_events, response_stream, said_item

pytestmark = pytest.mark.anyio

SAID = {
    "type": "message",
    "id": "msg_1",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
}


def vendors(id_: str) -> Any:
    answer = {"id": id_, "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": [SAID]}
    return answering(json.dumps(answer).encode())


def chats(id_: str = "c1") -> Any:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    return answering(json.dumps({"id": id_, "object": "chat.completion", "model": "m", "choices": [choice]}).encode())


class Talking:
    """A gateway in front of a vendor of Responses with two accounts, and of one of Chat with one."""

    def __init__(self, *scripts: Any, profile: Any = "openai-responses", **config: Any) -> None:
        self.upstream = ScriptedUpstream(*scripts)
        self._gateway = make_gateway(
            upstream("responses", accounts=2, profile=profile),
            upstream("chat"),
            scripts={"responses": self.upstream, "chat": self.upstream},
            models=[{"name": "both", "targets": ["responses/m", "chat/m"]}],
            **config,
        )

    async def ask(
        self, body: dict[str, Any], *, method: str = "POST", path: str = "", query: str = "",
        headers: HeaderPairs = (),
    ) -> Answer:  # fmt: skip
        path = f"/v1/responses{path}"
        return await call(self._gateway, method, path, json=body or None, query=query, headers=headers)

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Method and end of the path of each call upstream."""
        calls = [made.request for made in self.upstream.calls]
        return [(request.method, request.url.partition("/v1")[2]) for request in calls]

    @property
    def sent(self) -> list[Any]:
        return [made.json() for made in self.upstream.calls]

    @property
    def keys(self) -> list[str | None]:
        return [made.header("authorization") for made in self.upstream.calls]


async def test_openai_C48_vendor_that_keeps_an_answer_is_asked_by_its_id_and_at_its_account() -> None:
    talking = Talking(vendors("resp_1"), vendors("resp_2"), vendors("resp_3"))
    await talking.ask({"model": "responses/m", "input": "One"})
    for earlier in ("resp_1", "resp_2"):
        await talking.ask({"model": "responses/m", "input": "More", "previous_response_id": earlier})
    assert [body.get("previous_response_id") for body in talking.sent] == [None, "resp_1", "resp_2"]
    assert [body["input"] for body in talking.sent] == ["One", "More", "More"]
    assert len(set(talking.keys)) == 1


async def test_openai_C48_another_vendor_is_told_all_that_came_before() -> None:
    talking = Talking(vendors("resp_1"), chats())
    await talking.ask({"model": "responses/m", "input": "One"})
    answer = await talking.ask({"model": "chat/m", "input": "Two", "previous_response_id": "resp_1"})
    said = [(message["role"], message["content"]) for message in talking.sent[-1]["messages"]]
    assert answer.status == 200
    assert said == [("user", "One"), ("assistant", "Hi"), ("user", "Two")]


@pytest.mark.parametrize("id_", ["chatcmpl-542", "resp_542"])
async def test_answers_that_a_server_gives_one_id_are_kept_apart(id_: str) -> None:
    """Ollama draws the ids of Chat out of 999, and programs pass on the id of a request of their own."""
    talking, headers = Talking(chats(id_), chats(id_), chats()), [("x-request-id", "req-1")]
    asked = [{"model": "chat/m", "input": said} for said in ("I am Alice.", "I am Bob.")]
    alice, bob = [json.loads((await talking.ask(body, headers=headers)).body) for body in asked]
    await talking.ask({"model": "chat/m", "input": "Who am I?", "previous_response_id": alice["id"]}, headers=headers)
    said = [message["content"] for message in talking.sent[-1]["messages"]]
    assert said == ["I am Alice.", "Hi", "Who am I?"]
    assert alice["output"][0]["id"] != bob["output"][0]["id"]


# --- items that are only named ----------------------------------------------------------------------------------------

NAMED = {"type": "item_reference", "id": "msg_1"}
TWO = {"role": "user", "content": "Two"}


async def test_openai_C50_vendor_that_keeps_an_item_is_asked_by_its_id_and_at_its_account() -> None:
    talking = Talking(vendors("resp_1"), vendors("resp_2"), vendors("resp_3"))
    await talking.ask({"model": "responses/m", "input": "One"})
    for _ in range(2):
        await talking.ask({"model": "responses/m", "input": [NAMED, TWO]})
    assert [body["input"] for body in talking.sent[1:]] == [[NAMED, TWO], [NAMED, TWO]]
    assert len(set(talking.keys)) == 1


@pytest.mark.parametrize(
    "named", [NAMED, {"id": "msg_1"}, {"id": "msg_1", "type": None}], ids=["typed", "bare", "null"]
)
async def test_openai_C50_another_vendor_is_told_the_item_itself(named: Any) -> None:
    talking = Talking(vendors("resp_1"), chats())
    await talking.ask({"model": "responses/m", "input": "One"})
    answer = await talking.ask({"model": "chat/m", "input": [{"role": "user", "content": "One"}, named, TWO]})
    said = [(message["role"], message["content"]) for message in talking.sent[-1]["messages"]]
    assert answer.status == 200
    assert said == [("user", "One"), ("assistant", "Hi"), ("user", "Two")]


async def test_openai_C50_items_that_no_single_account_knows_are_told_whole() -> None:
    talking = Talking(vendors("resp_1"), chats(), vendors("resp_2"))
    await talking.ask({"model": "responses/m", "input": "One"})
    other = json.loads((await talking.ask({"model": "chat/m", "input": "One"})).body)["output"][0]
    items = [NAMED, {"type": "item_reference", "id": other["id"]}, TWO]
    await talking.ask({"model": "responses/m", "input": items})
    assert talking.sent[-1]["input"] == [SAID, other, TWO]


async def test_openai_C50_item_of_what_is_gone_on_from_is_said_once() -> None:
    talking = Talking(vendors("resp_1"), chats())
    await talking.ask({"model": "responses/m", "input": "One"})
    body = {"model": "chat/m", "previous_response_id": "resp_1", "input": [NAMED, NAMED, TWO]}
    await talking.ask(body)
    assert [message["content"] for message in talking.sent[-1]["messages"]] == ["One", "Hi", "Two"]


async def test_openai_C50_where_nobody_is_told_from_anybody_the_vendor_may_know_an_item() -> None:
    talking = Talking(vendors("resp_1"))
    items = [{"type": "item_reference", "id": "msg_9"}, TWO]
    answer = await talking.ask({"model": "responses/m", "input": items})
    assert (answer.status, talking.sent[-1]["input"]) == (200, items)


async def test_more_items_than_are_looked_up_are_refused() -> None:
    talking = Talking(chats())
    items = [{"type": "item_reference", "id": f"msg_{number}"} for number in range(2_001)]
    answer = await talking.ask({"model": "chat/m", "input": items})
    assert (answer.status, json.loads(answer.body)["error"]["param"]) == (400, "input")


async def test_failed_answer_is_not_kept() -> None:
    talking = Talking(answering(b'{"error":{"message":"no"}}', status=400))
    await talking.ask({"model": "responses/m", "input": "One"})
    answer = await talking.ask({}, method="GET", path="/resp_1")
    assert (answer.status, len(talking.sent)) == (404, 1)


async def test_talk_too_large_to_be_kept_cannot_be_gone_on_from() -> None:
    talking = Talking(chats())
    first = await talking.ask({"model": "chat/m", "input": "x" * (8 * 1024 * 1024)})
    id_ = json.loads(first.body)["id"]
    answer = await talking.ask({"model": "chat/m", "input": "Two", "previous_response_id": id_})
    assert json.loads(answer.body)["error"]["code"] == "previous_response_not_found"


# --- deleting, where the vendor keeps it as well ----------------------------------------------------------------------

DELETED = {"id": "resp_1", "object": "response", "deleted": True}


async def test_openai_C48_deleting_an_answer_deletes_it_at_the_vendor_that_keeps_it() -> None:
    talking = Talking(vendors("resp_0"), vendors("resp_1"), answering({"id": "resp_1", "deleted": True}))
    for text in ("One", "Another"):
        await talking.ask({"model": "responses/m", "input": text})
    deleted = await talking.ask({}, method="DELETE", path="/resp_1")
    assert (deleted.status, json.loads(deleted.body)) == (200, DELETED)
    assert talking.asked[-1] == ("DELETE", "/responses/resp_1")
    assert talking.keys[-1] == talking.keys[1] != talking.keys[0]
    gone = await talking.ask({}, method="GET", path="/resp_1")
    assert (gone.status, len(talking.asked)) == (404, 3)


async def test_deletion_that_the_vendor_refuses_is_none() -> None:
    talking = Talking(vendors("resp_1"), *[answering(b'{"error":{"message":"busy"}}', status=500)] * 3)
    await talking.ask({"model": "responses/m", "input": "One"})
    refused = await talking.ask({}, method="DELETE", path="/resp_1")
    told = await talking.ask({}, method="GET", path="/resp_1")
    assert (refused.status, told.status, json.loads(told.body)["output"]) == (502, 200, [SAID])


@pytest.mark.parametrize("status", [404, 405])
async def test_what_the_vendor_does_not_keep_is_deleted_here(status: int) -> None:
    talking = Talking(vendors("resp_1"), answering(b'{"error":{"message":"Not found."}}', status=status))
    await talking.ask({"model": "responses/m", "input": "One"})
    deleted = await talking.ask({}, method="DELETE", path="/resp_1")
    gone = await talking.ask({}, method="GET", path="/resp_1")
    assert (deleted.status, json.loads(deleted.body), gone.status) == (200, DELETED, 404)


async def test_answer_of_another_protocol_is_deleted_here_alone() -> None:
    talking = Talking(chats())
    id_ = json.loads((await talking.ask({"model": "chat/m", "input": "One"})).body)["id"]
    deleted = await talking.ask({}, method="DELETE", path=f"/{id_}")
    assert (deleted.status, len(talking.asked)) == (200, 1)


async def test_look_alike_is_told_of_a_deletion_as_well_and_is_sent_the_whole_talk() -> None:
    talking = Talking(vendors("resp_1"), vendors("resp_2"), answering({"deleted": True}), profile=almost())
    await talking.ask({"model": "responses/m", "input": "One"})
    await talking.ask({"model": "responses/m", "input": "More", "previous_response_id": "resp_1"})
    assert len(talking.sent[1]["input"]) == 3
    await talking.ask({}, method="DELETE", path="/resp_2")
    assert talking.asked[-1] == ("DELETE", "/responses/resp_2")


def almost() -> Any:
    return {"base": "openai-responses", "exact": False}


# --- answers in the background ----------------------------------------------------------------------------------------

QUEUED = {"id": "resp_1", "object": "response", "created_at": 1, "status": "queued", "model": "m", "output": [],
          "background": True}  # fmt: skip
DONE = {**QUEUED, "status": "completed", "output": [SAID]}
BACKGROUND = {"model": "responses/m", "input": "One", "background": True}
both_ways = pytest.mark.parametrize("profile", ["openai-responses", {"base": "openai-responses", "exact": False}],
                                    ids=["relayed", "translated"])  # fmt: skip


@both_ways
async def test_background_answer_is_asked_for_at_its_account_until_it_ends(profile: Any) -> None:
    talking = Talking(
        answering(QUEUED), answering({**QUEUED, "status": "in_progress"}), answering(DONE), profile=profile
    )
    begun = json.loads((await talking.ask(BACKGROUND)).body)
    assert (begun["id"], begun["status"], begun["background"]) == ("resp_1", "queued", True)
    told = [json.loads((await talking.ask({}, method="GET", path="/resp_1")).body)["status"] for _ in range(3)]
    assert told == ["in_progress", "completed", "completed"]
    assert talking.asked[1:] == [("GET", "/responses/resp_1")] * 2
    assert len(set(talking.keys)) == 1


async def test_background_answer_that_ended_is_gone_on_from() -> None:
    talking = Talking(answering(QUEUED), answering(DONE), chats())
    await talking.ask(BACKGROUND)
    more = {"model": "chat/m", "input": "Two", "previous_response_id": "resp_1"}
    early = await talking.ask(more)
    assert (early.status, json.loads(early.body)["error"]["param"]) == (400, "previous_response_id")
    await talking.ask({}, method="GET", path="/resp_1")
    await talking.ask(more)
    messages: Any = talking.upstream.calls[-1].json()["messages"]
    assert [message["content"] for message in messages] == ["One", "Hi", "Two"]


async def test_background_answer_is_cancelled_at_the_vendor() -> None:
    cancelled = {**QUEUED, "status": "cancelled"}
    talking = Talking(answering(QUEUED), answering(cancelled), answering(cancelled))
    await talking.ask(BACKGROUND)
    answer = await talking.ask({}, path="/resp_1/cancel")
    assert (answer.status, json.loads(answer.body)) == (200, cancelled)
    assert talking.asked[-1] == ("POST", "/responses/resp_1/cancel")
    told = await talking.ask({}, method="GET", path="/resp_1")
    assert json.loads(told.body)["status"] == "cancelled"


async def test_background_answer_that_failed_is_told_as_the_vendor_tells_it() -> None:
    failed = {**QUEUED, "status": "failed", "error": {"code": "server_error", "message": "no"}}
    talking = Talking(answering(QUEUED), answering(failed))
    await talking.ask(BACKGROUND)
    told = await talking.ask({}, method="GET", path="/resp_1")
    assert (told.status, json.loads(told.body)) == (200, failed)


async def test_input_of_a_background_answer_is_told_here() -> None:
    talking = Talking(answering(QUEUED))
    await talking.ask(BACKGROUND)
    items = json.loads((await talking.ask({}, method="GET", path="/resp_1/input_items")).body)
    assert [item["content"] for item in items["data"]] == ["One"]


async def test_stream_in_the_background_is_taken_up_again_where_it_broke_off() -> None:
    events = response_events(said_item("Hello"), end={"id": "resp_1", "background": True})
    events[0]["response"] = QUEUED
    broken = streaming(sse_body(events[:4], named=True), Interrupted("reset"))
    talking = Talking(broken, response_stream(events[4:]))
    cut = await talking.ask({**BACKGROUND, "stream": True})
    assert types_of(cut)[:4] == [event["type"] for event in events[:4]]
    assert "response.completed" not in cut.text
    rest = await talking.ask({}, method="GET", path="/resp_1", query="stream=true&starting_after=3")
    assert talking.asked[-1] == ("GET", "/responses/resp_1?stream=true&starting_after=3")
    assert types_of(rest) == [event["type"] for event in events[4:]]
    told = await talking.ask({}, method="GET", path="/resp_1")
    assert (json.loads(told.body)["status"], len(talking.asked)) == ("completed", 2)


async def test_background_is_refused_by_name_where_no_vendor_keeps_answers() -> None:
    talking = Talking()
    refused = await talking.ask({**BACKGROUND, "model": "chat/m"})
    error = json.loads(refused.body)["error"]
    assert (refused.status, error["param"], error["code"]) == (400, "background", "unsupported_value")
    assert talking.asked == []


async def test_background_is_refused_where_nothing_is_kept() -> None:
    talking = Talking(timeouts={"answers_s": 0})
    refused = await talking.ask(BACKGROUND)
    assert (refused.status, json.loads(refused.body)["error"]["param"], talking.asked) == (400, "background", [])


async def test_answer_that_was_waited_for_cannot_be_cancelled() -> None:
    talking = Talking(vendors("resp_1"))
    await talking.ask({"model": "responses/m", "input": "One"})
    refused = await talking.ask({}, path="/resp_1/cancel")
    error = json.loads(refused.body)["error"]
    assert (refused.status, error["message"]) == (400, "Cannot cancel a synchronous response.")
    assert len(talking.asked) == 1


# --- a stream of what is kept -----------------------------------------------------------------------------------------


def types_of(answer: Answer) -> list[str]:
    return [json.loads(line[6:])["type"] for line in answer.text.split("\n") if line.startswith("data: {")]


@pytest.mark.parametrize("model", ["responses/m", "chat/m"])
async def test_kept_answer_is_told_as_a_stream_from_any_event_on(model: str) -> None:
    talking = Talking(vendors("resp_1") if model == "responses/m" else chats())
    whole = json.loads((await talking.ask({"model": model, "input": "One"})).body)
    stream = await talking.ask({}, method="GET", path=f"/{whole['id']}", query="stream=true")
    assert stream.header("content-type") == "text/event-stream; charset=utf-8"
    assert stream.text.endswith("data: [DONE]\n\n")
    events = [json.loads(line[6:]) for line in stream.text.split("\n") if line.startswith("data: {")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hi"
    assert {event["response"]["id"] for event in events if "response" in event} == {whole["id"]}
    rest = await talking.ask({}, method="GET", path=f"/{whole['id']}", query="stream=true&starting_after=3")
    assert types_of(rest) == [event["type"] for event in events[4:]]
    assert len(talking.asked) == 1


@pytest.mark.parametrize("place", ["x", "-2", "1" * 10])
async def test_odd_place_in_a_stream_is_refused(place: str) -> None:
    talking = Talking(vendors("resp_1"))
    await talking.ask({"model": "responses/m", "input": "One"})
    refused = await talking.ask({}, method="GET", path="/resp_1", query=f"stream=true&starting_after={place}")
    assert (refused.status, json.loads(refused.body)["error"]["param"]) == (400, "starting_after")


# --- conversations ----------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
async def test_conversation_that_a_vendor_keeps_stays_at_its_account(profile: Any, conversation: Any) -> None:
    talking = Talking(*[vendors(f"resp_{number}") for number in range(4)], profile=profile)
    for _ in range(3):
        await talking.ask({"model": "responses/m", "input": "One", "conversation": conversation})
    assert [body["conversation"] for body in talking.sent] == [conversation] * 3
    assert len(set(talking.keys)) == 1
    await talking.ask({"model": "responses/m", "input": "Another", "conversation": "conv_2"})
    assert talking.keys[3] != talking.keys[0]


async def test_conversation_stays_at_its_account_though_no_answer_is_kept() -> None:
    talking = Talking(*[vendors(f"resp_{number}") for number in range(2)])
    for _ in range(2):
        await talking.ask({"model": "responses/m", "input": "One", "conversation": "conv_1", "store": False})
    assert len(set(talking.keys)) == 1
    assert (await talking.ask({}, method="GET", path="/resp_0")).status == 404


async def test_conversation_is_refused_by_name_where_no_vendor_keeps_it() -> None:
    talking = Talking()
    refused = await talking.ask({"model": "chat/m", "input": "One", "conversation": "conv_1"})
    error = json.loads(refused.body)["error"]
    assert (refused.status, error["param"], error["code"]) == (400, "conversation", "unsupported_value")
    assert talking.asked == []
