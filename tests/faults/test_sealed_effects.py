"""R-44, hard, over a whole gateway: encrypted reasoning waits for its account as long as the line lets it wait.

Three callers carry it: a client of Responses that is relayed; one that is translated; and a client of Chat, that drops
what a model thought before its calls, so that the gateway keeps it and puts it back.
"""

import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import pytest

from asgi_ds2api.errors import RateLimited
from asgi_ds2api.pool.model import Account, Lease, Origin, Target
from asgi_ds2api.pool.pool import Pool
from asgi_ds2api.serving.conversation import MAX_BODY_BYTES, may_be_sealed
from asgi_ds2api.serving.waiting import lease_for
from asgi_ds2api.state.memory import MemoryStore
from tests.conformance.asking import called_item, response_answer
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import make_gateway, open_leases, upstream
from tests.support.scripted_client import Script, ScriptedUpstream, answering
from tests.support.virtual_time import run_virtual

from .test_waiting import by_scope, by_task

pytestmark = pytest.mark.anyio

CIPHERTEXT = "gAAAAB+/enc=="
THOUGHT: dict[str, Any] = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": CIPHERTEXT}
CALL = called_item("call_1", "f", "{}")
TOOL: dict[str, Any] = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
SAID = {"role": "user", "content": "Hi"}
ANSWER = response_answer([THOUGHT, CALL])
FOREIGN = answering(
    {
        "error": {
            "message": "The encrypted content gAAA... could not be verified.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_encrypted_content",
        }
    },
    status=400,
)
BROKEN = answering({"error": {"message": "oops", "type": "server_error"}}, status=500)

ways = pytest.mark.parametrize("way", ["relay", "translate", "chat"])


class Talk:
    """A gateway with three accounts of a vendor who seals, and a caller who goes on after a call of a tool.

    Args:
        way: Who the caller is.
        scripts: What the upstream does from the second turn on; then it answers.
        config: Top-level keys.
    """

    def __init__(self, way: str, *scripts: Script, customers: tuple[str, ...] = (), **config: Any) -> None:
        self.way = way
        table = upstream("responses", accounts=3, profile=None if way != "translate" else {"exact": False})
        for account, customer in zip(table["accounts"], customers, strict=False):
            account["customer"] = customer
        self.scripted = ScriptedUpstream(ANSWER, *scripts, *[ANSWER] * 5)
        self.gateway = make_gateway(table, scripts={"responses": self.scripted}, debug_headers=True, **config)

    @property
    def pool(self) -> Any:
        return self.gateway._engine.pool

    async def ask(self, *, goes_on: bool = True, **fields: Any) -> Answer:
        body: dict[str, Any] = {"model": "responses/gpt-test"}
        if self.way == "chat":
            calls = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
            turn = [
                {"role": "assistant", "content": None, "tool_calls": calls},
                {"role": "tool", "tool_call_id": "call_1", "content": "r"},
            ]
            function = {name: value for name, value in TOOL.items() if name != "type"}
            body |= {
                "messages": [SAID, *(turn if goes_on else [])],
                "tools": [{"type": "function", "function": function}],
            }
        else:
            result = {"type": "function_call_output", "call_id": "call_1", "output": "r"}
            body |= {"input": [SAID, *([THOUGHT, CALL, result] if goes_on else [])], "tools": [TOOL]}
        path = "/v1/chat/completions" if self.way == "chat" else "/v1/responses"
        return await call(self.gateway, "POST", path, json={**body, **fields})

    async def begin(self) -> None:
        """Take the first turn, which the first account answers."""
        assert (await self.account(goes_on=False)) == "a0"

    async def account(self, **fields: Any) -> str:
        answer = await self.ask(**fields)
        assert answer.status == 200, answer.text
        return answer.header("x-ds2api-account") or ""

    def sent(self) -> list[Any]:
        """Return the ciphertexts that the last request carried to the upstream."""
        sent: Any = self.scripted.calls[-1].json()
        return [item["encrypted_content"] for item in sent["input"] if "summary" in item]

    def take(self, label: str) -> Lease:
        target = Target(upstream="responses", model="gpt-test")
        lease: Lease = self.pool.acquire(self.pool.plan([target], allowed=[f"responses/{label}"]))
        return lease

    def fill(self, label: str) -> Lease:
        """Let an account take one attempt at a time, and make it."""
        self.pool._slots[self.pool._accounts[f"responses/{label}"]].meter.max_in_flight = 1
        return self.take(label)

    def close(self, label: str, seconds: float) -> None:
        self.pool.release(self.take(label), RateLimited("limit", retry_after_s=seconds))


@ways
@run_virtual
async def test_R_44_encrypted_reasoning_is_asked_of_the_account_that_it_was_sealed_for(way: str) -> None:
    talk = Talk(way)
    await talk.begin()
    assert [await talk.account() for _ in range(3)] == ["a0"] * 3
    assert talk.sent() == [CIPHERTEXT]


@ways
@run_virtual
async def test_R_44_encrypted_reasoning_waits_for_an_account_that_is_back_in_time(way: str) -> None:
    talk = Talk(way)
    await talk.begin()
    talk.close("a0", 1.5)
    began = anyio.current_time()
    assert await talk.account() == "a0"
    assert 1.5 <= anyio.current_time() - began < 1.8
    assert talk.sent() == [CIPHERTEXT]


@ways
@run_virtual
async def test_R_44_encrypted_reasoning_waits_for_an_account_that_is_busy(way: str) -> None:
    talk = Talk(way)
    await talk.begin()
    lease = talk.fill("a0")
    async with anyio.create_task_group() as group:

        async def end_it() -> None:
            await anyio.sleep(1)  # virtual
            talk.pool.release(lease)

        group.start_soon(end_it)
        assert await talk.account() == "a0"


@ways
@run_virtual
async def test_R_44_encrypted_reasoning_spills_over_at_once_when_its_account_is_closed_for_longer(way: str) -> None:
    talk = Talk(way)
    await talk.begin()
    talk.close("a0", 60)
    began = anyio.current_time()
    assert await talk.account() == "a1"
    assert anyio.current_time() == began
    await anyio.sleep(67)  # virtual
    assert await talk.account() == "a1"


@ways
@run_virtual
async def test_R_44_encrypted_reasoning_spills_over_when_it_has_waited_in_vain(way: str) -> None:
    talk = Talk(way)
    await talk.begin()
    lease = talk.fill("a0")
    began = anyio.current_time()
    assert await talk.account() == "a1"
    assert anyio.current_time() - began == pytest.approx(2.0)
    talk.pool.release(lease)


@ways
@run_virtual
async def test_R_44_encrypted_reasoning_spills_over_where_nobody_may_wait(way: str) -> None:
    talk = Talk(way, limits={"max_waiting": 0})
    await talk.begin()
    talk.close("a0", 1)
    assert await talk.account() == "a1"


@pytest.mark.parametrize("way", ["relay", "translate"])
@run_virtual
async def test_R_44_what_the_vendor_refuses_after_a_spill_waits_for_its_account(way: str) -> None:
    talk = Talk(way, FOREIGN)
    await talk.begin()
    talk.close("a0", 60)
    refused = await talk.ask()
    assert (refused.status, 55 <= int(refused.header("retry-after") or 0) <= 67) == (429, True)
    await anyio.sleep(67)  # virtual
    assert await talk.account() == "a0"
    assert open_leases(talk.gateway) == 0


@run_virtual
async def test_R_44_kept_reasoning_of_another_customer_is_left_out_and_told() -> None:
    """It would be refused: what the gateway keeps it can leave out, where a client's own is the client's."""
    talk = Talk("chat")
    await talk.begin()
    talk.close("a0", 60)
    answer = await talk.ask()
    assert (answer.header("x-ds2api-account"), talk.sent()) == ("a1", [])
    assert "messages[].tool_calls[]" in (answer.header("x-ds2api-notices") or "")


@ways
@run_virtual
async def test_R_44_accounts_of_one_customer_take_each_others_reasoning(way: str) -> None:
    talk = Talk(way, customers=("acme", "bolt", "acme"))
    await talk.begin()
    talk.close("a0", 60)
    assert await talk.account() == "a2"
    assert talk.sent() == [CIPHERTEXT]


@ways
@run_virtual
async def test_R_44_a_fault_of_its_account_is_retried_elsewhere(way: str) -> None:
    talk = Talk(way, BROKEN, BROKEN)
    await talk.begin()
    answer = await talk.ask()
    assert (answer.status, answer.header("x-ds2api-account"), len(talk.scripted.calls)) == (200, "a2", 4)


@ways
@run_virtual
async def test_R_44_a_fault_after_a_spill_is_retried_elsewhere(way: str) -> None:
    talk = Talk(way, BROKEN)
    await talk.begin()
    talk.close("a0", 60)
    assert await talk.account() == "a2"


@run_virtual
async def test_R_44_the_summary_of_a_talk_is_sealed_as_well() -> None:
    talk = Talk("relay")
    await talk.begin()
    talk.close("a0", 1)
    summary = {"type": "compaction", "id": "cmp_1", "encrypted_content": CIPHERTEXT}
    assert await talk.account(input=[SAID, summary]) == "a0"


@run_virtual
async def test_R_44_a_seal_of_ours_around_ciphertext_is_known() -> None:
    """A client of Anthropic's protocol carries it in a signature."""
    talk = Talk("relay")
    hello = {"model": "responses/gpt-test", "max_tokens": 100, "messages": [SAID]}
    headers = {"anthropic-version": "2023-06-01"}
    first = await call(talk.gateway, "POST", "/v1/messages", json=hello, headers=headers)
    content = json.loads(first.body)["content"]
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "r"}
    messages = [SAID, {"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
    talk.close("a0", 1.5)
    second = await call(talk.gateway, "POST", "/v1/messages", json={**hello, "messages": messages}, headers=headers)
    assert (second.status, second.header("x-ds2api-account"), talk.sent()) == (200, "a0", [CIPHERTEXT])


@run_virtual
async def test_R_44_reasoning_that_a_client_of_responses_dropped_is_kept_for_it_and_waited_for() -> None:
    talk = Talk("translate")
    await talk.begin()
    talk.close("a0", 1.5)
    dropped = [SAID, CALL, {"type": "function_call_output", "call_id": "call_1", "output": "r"}]
    assert (await talk.account(input=dropped), talk.sent()) == ("a0", [CIPHERTEXT])


@ways
@run_virtual
async def test_a_turn_that_carries_none_goes_elsewhere_without_a_wait(way: str) -> None:
    talk = Talk(way)
    await talk.begin()
    talk.close("a0", 1)
    assert await talk.account(goes_on=False) == "a1"


@ways
@run_virtual
async def test_who_leaves_while_encrypted_reasoning_waits_leaves_nothing_behind(way: str) -> None:
    talk = Talk(way)
    await talk.begin()
    talk.close("a0", 1.5)
    with anyio.move_on_after(1):
        await talk.ask()
    assert (open_leases(talk.gateway), len(talk.pool._line)) == (0, 0)
    await anyio.sleep(1)  # virtual
    assert await talk.account() == "a0"


def pool_of_two() -> Pool:
    origin = Origin("https", "one.example", 443)
    accounts = [
        Account(upstream="one", label=str(n), origin=origin, concurrency=1, seals_reasoning=True) for n in range(2)
    ]
    return Pool(accounts, store=MemoryStore(anyio.current_time), now=anyio.current_time, rng=lambda: 0.0)


@pytest.mark.parametrize("cancel", [by_scope, by_task])
@run_virtual
async def test_F103_who_is_cancelled_anywhere_in_its_waits_loses_nothing(
    cancel: Callable[[Callable[[], Coroutine[Any, Any, None]], int], Awaitable[bool]],
) -> None:
    """It waits for its customer in vain, and then takes whom it gets."""
    target, number, was_interrupted = Target(upstream="one", model="m"), 0, True
    while was_interrupted:
        pool = pool_of_two()
        home = pool.acquire(pool.plan([target], session="s"))
        pool.answered(home)
        got: list[str] = []

        async def wait(pool: Pool = pool, got: list[str] = got) -> None:
            plan = pool.plan([target], session="s", is_sealed=True)
            lease = await lease_for(pool, plan, 2.0)
            got.append(lease.candidate.account.label)
            pool.release(lease)

        was_interrupted = await cancel(wait, number)
        assert got in ([], ["1"])
        pool.release(home)
        states = [account.in_flight for account in pool.snapshot().accounts]
        assert (states, len(pool._line), pool.snapshot().stray_releases) == ([0, 0], 0, 0)
        number += 1
    assert (number > 1, got) == (True, ["1"])


# --- knowing it by its bytes ------------------------------------------------------------------------------------------

BODIES: dict[str, tuple[bytes, bool]] = {
    "reasoning": (b'{"type":"reasoning","encrypted_content":"gAAA"}', True),
    "spaces": (b'{"encrypted_content" :\n "gAAA"}', True),
    "seal of ours": (b'{"encrypted_content":"ds2r1.abc"}', True),
    "seal in a signature": (b'{"signature":"ds2r1.abc"}', True),
    "null": (b'{"encrypted_content":null}', False),
    "null, then text": (b'{"encrypted_content":null},{"encrypted_content":"gAAA"}', True),
    "include": (b'{"include":["reasoning.encrypted_content"]}', False),
    "said in a text": (rb'{"content":"\"encrypted_content\":\"gAAA\""}', False),
    "nothing": (b'{"input":"Hi"}', False),
    "large": (b" " * (MAX_BODY_BYTES + 1), True),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_is_sealed_is_known_by_its_bytes(name: str) -> None:
    body, expected = BODIES[name]
    assert may_be_sealed(body, is_relayed=False, is_lent=False) is expected


@pytest.mark.parametrize("mark", ["tool_calls", "tool_use", "functionCall", "function_call"])
def test_calls_of_tools_matter_where_reasoning_is_lent(mark: str) -> None:
    body = json.dumps({mark: []}).encode()
    assert [may_be_sealed(body, is_relayed=False, is_lent=is_lent) for is_lent in (False, True)] == [False, True]
