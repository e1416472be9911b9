"""R-44 over a whole gateway: the turns of a conversation reach one account, however the caller names it."""

import json
from typing import Any

import anyio
import pytest

from tests.support.asgi_driver import Answer, call
from tests.support.dialects import DIALECTS, Dialect
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import Answering, Script, ScriptedUpstream, answering
from tests.support.virtual_time import run_virtual

pytestmark = pytest.mark.anyio

dialects = pytest.mark.parametrize("dialect", [DIALECTS["chat"], DIALECTS["claude"]], ids=["chat", "claude"])


class Talk:
    """A gateway with three accounts, and a caller who talks.

    Args:
        dialect: Of face and upstream.
        scripts: What the upstream does; by default it answers.
        config: Top-level keys.
    """

    def __init__(self, dialect: Dialect, *scripts: Script, **config: Any) -> None:
        self.dialect = dialect
        answers = scripts or tuple([answering(dialect.whole())] * 20)
        self.gateway = make_gateway(
            upstream(dialect.name, accounts=3),
            scripts={dialect.name: ScriptedUpstream(*answers)},
            debug_headers=True,
            **config,
        )

    async def ask(self, *texts: str, headers: dict[str, str] | None = None, **fields: Any) -> Answer:
        """Ask with the user's messages so far; each but the last one was answered."""
        messages = []
        for text in texts:
            messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}]
        body = {**self.dialect.ask(f"{self.dialect.name}/test", stream=False), "messages": messages[:-1], **fields}
        return await call(
            self.gateway, "POST", self.dialect.path, json=body, headers={**self.dialect.headers, **(headers or {})}
        )

    async def account(self, *texts: str, headers: dict[str, str] | None = None, **fields: Any) -> str:
        answer = await self.ask(*texts, headers=headers, **fields)
        assert answer.status == 200
        return answer.header("x-ds2api-account") or ""


@dialects
@run_virtual
async def test_R_44_a_conversation_is_known_by_its_first_words(dialect: Dialect) -> None:
    talk = Talk(dialect)
    assert [await talk.account("Hello", *["More"] * n) for n in range(3)] == ["a0"] * 3
    assert [await talk.account("Another", *["More"] * n) for n in range(3)] == ["a1"] * 3


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("claude", "x-claude-code-session-id"),
        ("claude", "x-session-id"),
        ("chat", "session_id"),
        ("chat", "x-session-affinity"),
    ],
)
@run_virtual
async def test_R_44_a_conversation_is_known_by_the_header_of_an_agent(name: str, header: str) -> None:
    talk = Talk(DIALECTS[name])
    seen = [await talk.account(text, headers={header: session}) for session in "ab" for text in ("One", "Two")]
    assert seen == ["a0", "a0", "a1", "a1"]


@run_virtual
async def test_R_44_a_conversation_is_known_by_the_key_of_its_prompt_cache() -> None:
    talk = Talk(DIALECTS["chat"])
    seen = [await talk.account(text, prompt_cache_key=key) for key in "ab" for text in ("One", "Two")]
    assert seen == ["a0", "a0", "a1", "a1"]


@dialects
@run_virtual
async def test_a_user_is_no_conversation(dialect: Dialect) -> None:
    """One user's name for all requests of an application must not put them all on one account."""
    talk = Talk(dialect)
    field = {"user": "app"} if dialect.name == "chat" else {"metadata": {"user_id": "app"}}
    assert [await talk.account(text, **field) for text in ("One", "Two", "Three")] == ["a0", "a1", "a2"]


@dialects
@run_virtual
async def test_R_44_a_limited_account_lets_its_conversation_go_before_the_caller_notices(dialect: Dialect) -> None:
    right = answering(dialect.whole())
    limited = Answering(429, {"retry-after": "60"})
    talk = Talk(dialect, right, limited, right, right)
    seen = [await talk.account("Hello", *["More"] * n) for n in range(3)]
    assert seen == ["a0", "a1", "a1"]


@dialects
@run_virtual
async def test_R_44_what_caches_saved_is_published(dialect: Dialect) -> None:
    body = json.loads(dialect.whole())
    body["usage"] = (
        {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 80}}
        if dialect.name == "chat"
        else {"input_tokens": 20, "cache_read_input_tokens": 80, "output_tokens": 5}
    )
    talk = Talk(dialect, answering(dialect.whole()), *[answering(json.dumps(body).encode())] * 2)
    for n in range(3):
        await talk.account("Hello", *["More"] * n)
    (told,) = talk.gateway.status()["pool"]["affinity"]
    assert (told["upstream"], told["began"], told["followed"], told["spilled"]) == (dialect.name, 1, 2, 0)
    assert told["cached_tokens"] == 160
    assert told["input_tokens"] >= 200


@dialects
@run_virtual
async def test_affinity_can_be_switched_off(dialect: Dialect) -> None:
    talk = Talk(dialect, timeouts={"affinity_s": 0})
    assert [await talk.account("Hello") for _ in range(3)] == ["a0", "a1", "a2"]


def refusing(message: str, code: str) -> Answering:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return answering({"error": error}, status=400)


@run_virtual
async def test_R_44_encrypted_reasoning_waits_for_the_account_that_it_was_sealed_for() -> None:
    chat = DIALECTS["chat"]
    limited = answering({"error": {"message": "Slow down."}}, status=429, headers={"retry-after": "60"})
    foreign = refusing("The encrypted content gAAA... could not be verified.", "invalid_encrypted_content")
    talk = Talk(chat, answering(chat.whole()), limited, foreign, answering(chat.whole()))
    assert await talk.account("Hello") == "a0"
    refused = await talk.ask("Hello", "More")
    assert (refused.status, 60 <= int(refused.header("retry-after") or 0) <= 67) == (429, True)
    await anyio.sleep(67)  # virtual
    assert await talk.account("Hello", "More") == "a0"


@run_virtual
async def test_thoughts_that_no_account_of_ours_had_are_the_callers_to_mend() -> None:
    chat = DIALECTS["chat"]
    talk = Talk(chat, refusing("The encrypted content gAAA... could not be verified.", "invalid_encrypted_content"))
    refused = await talk.ask("Hello")
    assert refused.status == 400
    assert json.loads(refused.body)["error"]["code"] == "invalid_encrypted_content"
