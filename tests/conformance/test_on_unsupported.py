"""What happens to a loss is for the configuration to say: in general, and for one upstream; alike on every face."""

from collections.abc import Mapping
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from asgi_ds2api import DS2APIMiddleware, Gateway
from tests.support.asgi_driver import call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.scripted_client import ScriptedUpstream

from .asking import CONTENTS, HELLO, chat_answer, claude_answer

pytestmark = pytest.mark.anyio

LOSSES: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "chat": ("/v1/chat/completions", {"messages": HELLO, "x_new": 1}, "claude"),
    "responses": ("/v1/responses", {"input": "Hi", "x_new": 1}, "claude"),
    "claude": ("/v1/messages", {"messages": HELLO, "max_tokens": 9, "x_new": 1}, "chat"),
    "gemini": ("/v1beta/models/{model}:generateContent", {"contents": CONTENTS, "x_new": 1}, "claude"),
    "ollama": ("/api/chat", {"messages": HELLO, "stream": False, "x_new": 1}, "claude"),
}
"""Face -> path, a request of which a field is lost, and at which upstream."""
every_face = pytest.mark.parametrize("face", LOSSES)


async def asked(
    face: str, general: str, own: str | None = None, **fields: Any
) -> tuple[Any, ScriptedUpstream, Records]:
    """Ask what loses a field; return the answer, the upstream and the Records."""
    path, body, to = LOSSES[face]
    scripted, records = ScriptedUpstream(chat_answer() if to == "chat" else claude_answer()), Records()
    table = {**upstream(to), "on_unsupported": own}
    gateway = make_gateway(table, scripts={to: scripted}, hooks=[records], on_unsupported=general)
    model = f"{to}/claude-sonnet-4-5"
    whole = {**({} if face == "gemini" else {"model": model}), **body, **fields}
    kept = {name: value for name, value in whole.items() if value is not ...}
    headers = {"anthropic-version": "2023-06-01"} if face == "claude" else {}
    return await call(gateway, "POST", path.format(model=model), json=kept, headers=headers), scripted, records


def losses(records: Records) -> list[str]:
    return [notice.path for notice in records[-1].notices if notice.severity == "lost"]


@every_face
async def test_notice_says_a_loss_in_the_header_and_in_the_record(face: str) -> None:
    answer, upstream_, records = await asked(face, "notice")
    assert (answer.status, len(upstream_.calls)) == (200, 1)
    assert "x_new" in (answer.header("x-ds2api-notices") or "")
    assert losses(records) == ["x_new"]


@every_face
async def test_drop_says_it_in_the_record_alone(face: str) -> None:
    answer, _, records = await asked(face, "drop")
    assert (answer.status, answer.header("x-ds2api-notices")) == (200, None)
    assert losses(records) == ["x_new"]


@every_face
async def test_reject_refuses_before_anybody_is_asked_and_names_the_field(face: str) -> None:
    answer, upstream_, _ = await asked(face, "reject")
    assert (answer.status, answer.header("x-ds2api-error"), upstream_.calls) == (400, "unsupported_value", [])
    assert face in ("claude", "ollama") or "x_new" in answer.text


@every_face
async def test_reject_lets_pass_what_loses_nothing(face: str) -> None:
    answer, upstream_, records = await asked(face, "reject", x_new=...)
    assert (answer.status, len(upstream_.calls), losses(records)) == (200, 1, [])


@every_face
@pytest.mark.parametrize(("general", "own", "status"), [("reject", "drop", 200), ("drop", "reject", 400)])
async def test_what_an_upstream_says_goes_before_the_general(face: str, general: str, own: str, status: int) -> None:
    answer, _, _ = await asked(face, general, own)
    assert (answer.status, answer.header("x-ds2api-notices")) == (status, None)


async def test_each_prefix_has_the_policy_of_its_own_gateway() -> None:
    def gateway(policy: str) -> Gateway:
        return make_gateway(scripts={"claude": ScriptedUpstream(claude_answer())}, on_unsupported=policy)

    strict = DS2APIMiddleware(no_host, gateway=gateway("reject"), prefix="/strict")
    app = DS2APIMiddleware(strict, gateway=gateway("notice"), prefix="/ai")
    path, body, _ = LOSSES["chat"]
    asks = {"model": "claude/claude-sonnet-4-5", **body}
    statuses = {prefix: (await call(app, "POST", prefix + path, json=asks)).status for prefix in ("/ai", "/strict")}
    assert statuses == {"/ai": 200, "/strict": 400}


async def no_host(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("the host is not asked")
