"""What Anthropic holds of an answer, a thread or a container: only for the caller who got it, and at its account."""

from pathlib import Path
from typing import Any

import pytest

from asgi_ds2api.secret import Secret
from asgi_ds2api.state.contract import StateStore
from tests.state.rig import Place
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.scripted_client import Answering, ScriptedUpstream

from .asking import HELLO, TEXT_BLOCK, chat_answer, claude_answer, claude_events, claude_stream

pytestmark = pytest.mark.anyio

CALLERS = {"alice": "key-of-the-caller-alice-0123", "bob": "key-of-the-caller-bob-0123"}
TOLD_APART = {
    "auth": "callers",
    "callers": [{"label": label, "key": Secret(key)} for label, key in CALLERS.items()],
}
CREATE = {"type": "create"}
CONTAINER = {"id": "container_1", "expires_at": "2026-12-26T00:00:00Z"}


def going_on(id_: str) -> dict[str, Any]:
    return {"thread": {"type": "continue", "previous_message_id": id_}}


def whole(id_: str, **fields: Any) -> Answering:
    return claude_answer(id=id_, **fields)


def streamed(id_: str, **end: Any) -> Answering:
    events = claude_events(TEXT_BLOCK, end=end)
    events[0]["message"]["id"] = id_
    return claude_stream(events)


class Talking:
    """A gateway in front of a vendor of Messages with three accounts, and of one of Chat."""

    def __init__(self, *scripts: Answering, profile: Any = None, **config: Any) -> None:
        self.upstream = ScriptedUpstream(*scripts)
        self.records = Records()
        self._gateway = make_gateway(
            upstream("claude", accounts=3, profile=profile),
            upstream("chat"),
            scripts={"claude": self.upstream, "chat": self.upstream},
            hooks=[self.records],
            timeouts={"affinity_s": 0},  # of several accounts the next one is asked, unless something binds
            **{**TOLD_APART, **config},
        )

    async def ask(self, caller: str = "alice", *, model: str = "claude/m", path: str = "", **body: Any) -> Answer:
        asked = {"model": model, "max_tokens": 9, "messages": HELLO, **body}
        headers = {"x-api-key": CALLERS[caller]}
        return await call(self._gateway, "POST", path or "/v1/messages", json=asked, headers=headers)

    @property
    def keys(self) -> list[str | None]:
        return [made.header("x-api-key") for made in self.upstream.calls]


def refusal(answer: Answer) -> tuple[int, str | None, Any]:
    body: Any = answer.json()
    error = body["error"]
    return answer.status, answer.header("x-ds2api-error"), error.get("details")


NO_THREAD = (404, "thread_not_found", {"error_code": "thread_not_found"})
NO_CONTAINER = (404, "item_not_found", None)
SHAPES = {"whole": whole, "streamed": streamed}
PROFILES = {"relayed": None, "translated": {"exact": False}}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("shape", SHAPES)
async def test_thread_goes_on_at_the_account_that_holds_it(shape: str, profile: str) -> None:
    answers = [SHAPES[shape](f"msg_{turn}") for turn in range(4)]
    talking = Talking(*answers, profile=PROFILES[profile])
    is_stream = shape == "streamed"
    await talking.ask(thread=CREATE, stream=is_stream)
    for turn in range(3):
        answer = await talking.ask(**going_on(f"msg_{turn}"), stream=is_stream)
        assert answer.status == 200, answer.text
    assert len(set(talking.keys)) == 1
    assert talking.upstream.calls[-1].json()["thread"] == going_on("msg_2")["thread"]


@pytest.mark.parametrize("shape", SHAPES)
async def test_thread_of_another_caller_is_not_there(shape: str) -> None:
    talking = Talking(SHAPES[shape]("msg_1"))
    await talking.ask("alice", thread=CREATE, stream=shape == "streamed")
    assert refusal(await talking.ask("bob", **going_on("msg_1"))) == NO_THREAD
    assert refusal(await talking.ask("bob", path="/v1/messages/count_tokens", **going_on("msg_1"))) == NO_THREAD
    assert len(talking.keys) == 1


async def test_answer_that_begins_no_thread_is_gone_on_from_by_nobody() -> None:
    talking = Talking(whole("msg_1"))
    await talking.ask()
    assert refusal(await talking.ask(**going_on("msg_1"))) == NO_THREAD


async def test_where_callers_are_one_an_unknown_thread_is_the_vendors_to_judge() -> None:
    talking = Talking(whole("msg_2"), auth="none", callers=[])
    assert (await talking.ask(**going_on("msg_1"))).status == 200


async def test_thread_whose_account_may_not_be_asked_is_not_there() -> None:
    """Its SDK then begins another one, with all that was said."""
    talking = Talking(whole("msg_1"), models=[{"name": "other", "targets": ["chat/m"]}])
    await talking.ask(thread=CREATE)
    refused = refusal(await talking.ask(model="other", **going_on("msg_1")))
    assert refused == (400, "unsupported_value", {"error_code": "thread_unsupported_request"})


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("named", ["container_1", {"id": "container_1", "skills": []}], ids=["text", "object"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_container_is_used_again_at_its_account(shape: str, named: Any, profile: str) -> None:
    said_by = SHAPES[shape]
    answers = [said_by(f"msg_{turn}", container=CONTAINER) for turn in range(3)]
    talking = Talking(*answers, profile=PROFILES[profile])
    for turn in range(3):
        fields = {"container": named} if turn else {}
        answer = await talking.ask(stream=shape == "streamed", **fields)
        assert answer.status == 200, answer.text
    assert len(set(talking.keys)) == 1


@pytest.mark.parametrize("named", ["container_1", {"id": "container_1", "skills": []}], ids=["text", "object"])
async def test_container_of_another_caller_is_not_there(named: Any) -> None:
    talking = Talking(whole("msg_1", container=CONTAINER))
    await talking.ask("alice")
    assert refusal(await talking.ask("bob", container=named)) == NO_CONTAINER
    assert len(talking.keys) == 1


async def test_what_is_with_two_accounts_is_not_there_together() -> None:
    talking = Talking(whole("msg_1", container=CONTAINER), whole("msg_2"))
    await talking.ask()
    await talking.ask(thread=CREATE)
    assert len(set(talking.keys)) == 2
    assert refusal(await talking.ask(container="container_1", **going_on("msg_2"))) == NO_CONTAINER


async def test_container_means_nothing_to_another_vendor() -> None:
    talking = Talking(chat_answer())
    answer = await talking.ask("bob", model="chat/m", container="container_1")
    lost = [notice.path for notice in talking.records[-1].notices if notice.severity == "lost"]
    assert (answer.status, lost) == (200, ["container"])


async def test_none_is_named_in_what_is_merged_last() -> None:
    talking = Talking(whole("msg_1"), profile={"exact": False})
    answer = await talking.ask(extra_body={"anthropic": {"container": "container_1", **going_on("msg_1")}})
    assert answer.status == 200, answer.text
    assert not {"container", "thread"} & talking.upstream.calls[-1].json().keys()


async def test_whose_it_is_is_asked_of_all_who_share_the_state(tmp_path: Path) -> None:
    def worker(store: StateStore, *scripts: Answering) -> Talking:
        return Talking(*scripts, store=store)

    async with Place(tmp_path / "state.sqlite").stores(2) as ((one, _), (two, moody)):
        await worker(one, whole("msg_1")).ask(thread=CREATE)
        other = worker(two, whole("msg_2"))
        assert refusal(await other.ask("bob", **going_on("msg_1"))) == NO_THREAD
        moody.is_broken = True
        for caller in CALLERS:
            refused = await worker(two).ask(caller, **going_on("msg_9"))
            assert (refused.status, refused.header("x-ds2api-error")) == (503, "owner_unknown")
