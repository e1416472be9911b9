"""B20, B22, B24, B26: how much a request may hold. A limit and one less are served, one more is not.

The limits bind what is decoded. A relay passes on what its vendor may take, within the size of the body.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from asgi_ds2api.codec import DEFAULT_LIMITS, RequestLimits
from tests.faults.bench import Bench, Way, both_faces
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import answering

from .bodies import every_translation
from .refusals import assert_refused

pytestmark = pytest.mark.anyio

Fill = Callable[[str, int], dict[str, Any]]


class Bound(NamedTuple):
    """A key of ``[limits]``, a value for it, and how a request of that size is made: face, size -> fields."""

    key: str
    limit: int
    fill: Fill
    params: dict[str, str]
    """Face -> path of what is too much."""


def messages(face: str, count: int) -> dict[str, Any]:
    """Return so many messages."""
    return {"messages": [{"role": "user", "content": "x"}] * count}


def parts(face: str, count: int) -> dict[str, Any]:
    """Return a message of so many parts."""
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * count}]}


def result_parts(face: str, count: int) -> dict[str, Any]:
    """Return a tool result of so many parts."""
    content = [{"type": "text", "text": "x"}] * count
    if face == "chat":
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        result = {"role": "tool", "tool_call_id": "c", "content": content}
        return {"messages": [{"role": "assistant", "tool_calls": [call]}, result]}
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c", "content": content}
    return {"messages": [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]}


def system_parts(face: str, count: int) -> dict[str, Any]:
    """Return a system prompt of so many parts."""
    content = [{"type": "text", "text": "x"}] * count
    asked = {"role": "user", "content": "x"}
    if face == "chat":
        return {"messages": [{"role": "system", "content": content}, asked]}
    return {"system": content, "messages": [asked]}


def tools(face: str, count: int) -> dict[str, Any]:
    """Return so many tools."""
    return {"tools": [tool(face, f"f{number}", {"type": "object"}) for number in range(count)]}


def schema(face: str, size: int) -> dict[str, Any]:
    """Return a tool whose schema is so many bytes, as ``json.dumps`` writes it."""
    padding = size - len('{"type": "object", "description": ""}')
    return {"tools": [tool(face, "f", {"type": "object", "description": "x" * padding})]}


def tool(face: str, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a tool."""
    if face == "chat":
        return {"type": "function", "function": {"name": name, "parameters": parameters}}
    return {"name": name, "input_schema": parameters}


def stop(face: str, count: int) -> dict[str, Any]:
    """Return so many stop sequences."""
    return {"stop" if face == "chat" else "stop_sequences": [f"s{number}" for number in range(count)]}


def same(path: str) -> dict[str, str]:
    """Return a path that is the same on both faces."""
    return {"chat": path, "claude": path}


BOUNDS = {
    "B24-messages": Bound("max_messages", 5, messages, same("messages")),
    "B24-parts": Bound("max_parts", 5, parts, same("messages[0].content")),
    "B24-parts-of-a-result": Bound(
        "max_parts", 5, result_parts, {"chat": "messages[1].content", "claude": "messages[1].content[0].content"}
    ),
    "B24-parts-of-the-system": Bound("max_parts", 5, system_parts, {"chat": "messages[0].content", "claude": "system"}),
    "B22-tools": Bound("max_tools", 5, tools, same("tools")),
    "B23-schema": Bound(
        "max_schema_bytes", 2_000, schema, {"chat": "tools[0].function.parameters", "claude": "tools[0].input_schema"}
    ),
    "B26-stop": Bound("max_stop", 4, stop, {"chat": "stop", "claude": "stop_sequences"}),
}
every_bound = pytest.mark.parametrize("bound", BOUNDS.values(), ids=BOUNDS.keys())


async def ask(bench: Bench, fields: dict[str, Any]) -> Any:
    """Ask with ``fields`` in place of what a small request holds."""
    asked = bench.way.face.ask(f"{bench.way.upstream.name}/test", stream=False)
    return await bench.ask(stream=False, body=json.dumps({**asked, **fields}).encode())


@every_bound
@every_translation
async def test_request_within_a_limit_is_served(way: Way, bound: Bound) -> None:
    answers = [answering(way.upstream.whole())] * 2
    async with Bench(way, *answers, limits={bound.key: bound.limit}) as bench:
        for size in (bound.limit - 1, bound.limit):
            answer = await ask(bench, bound.fill(way.face.name, size))
            assert answer.status == 200, answer.text


@every_bound
@every_translation
async def test_request_over_a_limit_is_refused(way: Way, bound: Bound) -> None:
    async with Bench(way, limits={bound.key: bound.limit}) as bench:
        answer = await ask(bench, bound.fill(way.face.name, bound.limit + 1))
        code = answer.header("x-ds2api-error")
        assert code in ("invalid_value", "array_above_max_length", "invalid_function_parameters")
        assert_refused(bench, answer, 400, code, bound.params[way.face.name])


@every_bound
@both_faces
async def test_limits_of_what_is_decoded_do_not_bind_a_relay(way: Way, bound: Bound) -> None:
    async with Bench(way, answering(way.upstream.whole()), limits={bound.key: bound.limit}) as bench:
        answer = await ask(bench, bound.fill(way.face.name, bound.limit + 1))
        assert (answer.status, bench.record.mode) == (200, "relay")


def test_B22_B24_B26_limits_of_the_configuration_are_those_of_the_decoders() -> None:
    assert make_gateway(upstream("chat"))._engine.limits == DEFAULT_LIMITS == RequestLimits()


TOO_MUCH: dict[str, tuple[Fill, int, dict[str, str]]] = {
    "B22-10000-tools": (tools, 10_000, same("tools")),
    "B24-100000-messages": (messages, 100_000, same("messages")),
    "B24-10000-parts": (parts, 10_000, same("messages[0].content")),
    "B26-10000-stops": (stop, 10_000, {"chat": "stop", "claude": "stop_sequences"}),
}


@pytest.mark.parametrize("row", TOO_MUCH.values(), ids=TOO_MUCH.keys())
@every_translation
async def test_request_that_is_far_too_much_is_refused_without_any_setting(
    way: Way, row: tuple[Fill, int, dict[str, str]]
) -> None:
    fill, count, params = row
    async with Bench(way) as bench:
        answer = await ask(bench, fill(way.face.name, count))
        code = answer.header("x-ds2api-error") or ""
        assert code in ("invalid_value", "array_above_max_length")
        assert_refused(bench, answer, 400, code, params[way.face.name])


OUT_OF_RANGE = {
    "B20-top-p": {"top_p": 2},
    "B20-temperature": {"temperature": -3},
    "B20-max-tokens": {"max_tokens": 10**9},
}


@pytest.mark.parametrize("fields", OUT_OF_RANGE.values(), ids=OUT_OF_RANGE.keys())
@both_faces
async def test_number_that_is_only_out_of_range_is_the_vendors_to_judge(way: Way, fields: dict[str, Any]) -> None:
    async with Bench(way, answering(way.upstream.error(400, "range"), status=400), profile={"exact": False}) as bench:
        answer = await ask(bench, fields)
        assert (answer.status, bench.record.code) == (400, "upstream_refused")
        (call,) = bench.scripted.calls
        assert set(fields.values()) <= {value for value in call.json().values() if isinstance(value, int | float)}
