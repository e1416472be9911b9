"""Talks of Responses that go on: at the vendor that keeps them as well, or with all that came before."""

import json
from typing import Any

import pytest

from tests.support.asgi_driver import Answer, call
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import ScriptedUpstream, answering

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


def chats() -> Any:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    return answering(json.dumps({"id": "c1", "object": "chat.completion", "model": "m", "choices": [choice]}).encode())


class Talking:
    """A gateway in front of a vendor of Responses with two accounts, and of one of Chat with one."""

    def __init__(self, *scripts: Any) -> None:
        self.upstream = ScriptedUpstream(*scripts)
        self._gateway = make_gateway(
            upstream("responses", accounts=2, profile="openai-responses"),
            upstream("chat"),
            scripts={"responses": self.upstream, "chat": self.upstream},
            models=[{"name": "both", "targets": ["responses/m", "chat/m"]}],
        )

    async def ask(self, body: dict[str, Any], *, method: str = "POST", path: str = "") -> Answer:
        return await call(self._gateway, method, f"/v1/responses{path}", json=body or None)

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


async def test_failed_answer_is_not_kept() -> None:
    talking = Talking(answering(b'{"error":{"message":"no"}}', status=400))
    await talking.ask({"model": "responses/m", "input": "One"})
    answer = await talking.ask({}, method="GET", path="/resp_1")
    assert (answer.status, len(talking.sent)) == (404, 1)


async def test_answer_that_the_vendor_keeps_as_well_is_not_said_to_be_deleted() -> None:
    talking = Talking(vendors("resp_1"))
    await talking.ask({"model": "responses/m", "input": "One"})
    refused = await talking.ask({}, method="DELETE", path="/resp_1")
    told = await talking.ask({}, method="GET", path="/resp_1")
    assert (refused.status, told.status, json.loads(told.body)["output"]) == (400, 200, [SAID])


async def test_talk_too_large_to_be_kept_cannot_be_gone_on_from() -> None:
    talking = Talking(chats())
    first = await talking.ask({"model": "chat/m", "input": "x" * (8 * 1024 * 1024)})
    id_ = json.loads(first.body)["id"]
    answer = await talking.ask({"model": "chat/m", "input": "Two", "previous_response_id": id_})
    assert json.loads(answer.body)["error"]["code"] == "previous_response_not_found"
