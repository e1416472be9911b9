"""What is decoded and encoded for the same protocol is the same JSON, but for the losses that are written down."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import FileSource, Media, Notices, Opaque, OutputFormat, Request
from asgi_ds2api.errors import Unsupported
from asgi_ds2api.protocols import anthropic_messages as codec
from tests.support.recorded import ClientRequest, Recording, case_params, clients, recorded_params

from .calls import ANTHROPIC, OLD, chat, encode, native, result, say, told, tool_call
from .normal import normal_request

CASES = Path(__file__).parents[2] / "cases" / "anthropic_messages" / "requests.json"
BODIES = [pytest.param(case["body"], id=case["id"]) for case in json.loads(CASES.read_text())]


def round_trip(body: dict[str, Any], headers: dict[str, str] | None = None) -> tuple[dict[str, Any], list[str]]:
    written, notices = encode(native(body, headers=headers))
    return normal_request(written), told(notices)


@pytest.mark.parametrize("body", BODIES)
def test_every_field_comes_back_in_its_place(body: dict[str, Any]) -> None:
    assert round_trip(body) == (normal_request(body), [])


@pytest.mark.parametrize("record", recorded_params("anthropic"))
def test_recorded_requests_come_back_as_they_were(record: Recording) -> None:
    body = record.request.body
    assert body is not None
    assert round_trip(body) == (normal_request(body), [])


def anthropic_clients() -> list[ClientRequest]:
    return [c for c in clients() if c.path.endswith("/messages") and c.body is not None and "max_tokens" in c.body]


@pytest.mark.parametrize("client", case_params(anthropic_clients))
def test_requests_of_real_clients_come_back_as_they_were(client: ClientRequest) -> None:
    assert client.body is not None
    headers = {name.lower(): value for name, value in client.headers.items()}
    assert round_trip(client.body, headers) == (normal_request(client.body), [])


def test_the_callers_version_and_betas_go_along() -> None:
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b", "user-agent": "x"}
    written = codec.encode_request(native(headers=headers), ANTHROPIC, Notices())
    assert written.headers == {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b"}


def test_a_billing_text_goes_back_as_it_came_and_to_nobody_else() -> None:
    billing = {
        "type": "text",
        "text": "x-anthropic-billing-header: cc_version=2.1.330;",
        "cache_control": {"type": "ephemeral"},
    }
    request = native(system=[billing, {"type": "text", "text": "be brief"}])
    assert encode(request)[0]["system"] == [billing, {"type": "text", "text": "be brief"}]
    (block, _) = request.messages[0].content
    assert isinstance(block, Opaque)
    assert block.fallback == ""
    foreign = chat(say("system", msgspec.structs.replace(block, protocol="gemini_generate")), say("user", "hi"))
    written, notices = encode(foreign)
    assert ("system" in written, told(notices)) == (False, ["system[0]"])
    assert told(notices, "hint") == ["system[0]"]


def test_fields_that_steer_gateways_are_never_written_B33() -> None:
    written, notices = encode(native(api_base="http://evil", timeout=1))
    assert {"api_base", "timeout"}.isdisjoint(written)
    assert told(notices, "lost") == ["api_base", "timeout"]


def test_thinking_that_is_still_sealed_is_not_sent_C27() -> None:
    thought = {"type": "thinking", "thinking": "t", "signature": "ds2r1.abc"}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "ok"}]},
        {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "ds2r1.x"}]},
        {"role": "user", "content": "go"},
    ]
    written, notices = encode(native(messages=messages))
    assert written["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "go"},
    ]
    assert told(notices, "lost") == ["messages[1].content[0]", "messages[2].content[0]"]


def test_extra_body_is_merged_for_its_vendor_alone() -> None:
    extra = {"anthropic": {"new": 1, "model": "other", "max_tokens": 9}, "openai": {"seed": 1}}
    written, notices = encode(native(extra_body=extra))
    assert (written["new"], written["model"], written["max_tokens"]) == (1, "claude-sonnet-4-5", 64)
    assert told(notices, "lost") == ["extra_body.anthropic.model", "extra_body.anthropic.max_tokens"]
    assert told(notices, "hint") == ["extra_body.openai"]


def test_a_hook_may_put_what_only_others_have_into_a_native_request() -> None:
    """Messages of roles that only other protocols know, fields without a place, no limit of the answer."""
    request = Request(
        source="anthropic_messages",
        model=OLD,
        messages=(say("developer", "d"), say("user", "hi"), say("assistant", tool_call("t")), say("tool", result("t"))),
        verbosity="low",
    )
    written, notices = encode(request)
    assert [m["role"] for m in written["messages"]] == ["user", "assistant", "user"]
    assert (written["system"], written["max_tokens"]) == ("d", 64_000)
    assert told(notices, "lost") == ["verbosity"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": (say("user", Opaque(protocol="gemini_generate", type="x", raw=Raw(b"{}"), at="a")),)}, "a"),
        (
            {
                "messages": (
                    say("user", Media(kind="image", source=FileSource(file_id="f", protocol="openai_chat"), at="b")),
                )
            },
            "b",
        ),
        ({"output_format": OutputFormat(kind="json_object", at="c")}, "c"),
        ({"choices": 2}, "n"),
    ],
    ids=["opaque", "file", "json-object", "choices"],
)
def test_what_a_hook_may_not_put_there_is_refused(fields: dict[str, Any], param: str) -> None:
    whole = {"messages": (say("user", "hi"),), **fields}
    with pytest.raises(Unsupported) as caught:
        encode(Request(source="anthropic_messages", model=OLD, **whole))
    assert caught.value.param == param


def test_fields_of_a_leading_system_message_have_no_place() -> None:
    leading = {"role": "system", "content": "s", "clear_at": "never"}
    written, notices = encode(native(messages=[leading, {"role": "user", "content": "hi"}]))
    assert (written["system"], told(notices, "lost")) == ("s", ["messages[0].clear_at"])
