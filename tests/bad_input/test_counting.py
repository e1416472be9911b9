"""B1 to B28 where tokens are counted: the same checks as where a model is asked, whoever does the counting.

The gateway counts by itself for an upstream that cannot, relays to one that can, and translates to a look-alike.
"""

import json
from typing import Any

import pytest

from tests.faults.bench import WAYS, Bench, Way, assert_told
from tests.support.asgi_driver import Answer
from tests.support.scripted_client import answering

from .bodies import fields_of, text_of, with_fields
from .refusals import ECHO, assert_refused

pytestmark = pytest.mark.anyio

COUNTED = [pytest.param(way, id=name) for name, way in WAYS.items() if way.face.name == "claude"]
every_way_to_count = pytest.mark.parametrize("way", COUNTED)


async def count(bench: Bench, body: bytes) -> Answer:
    """Ask how many tokens a request has."""
    return await bench.ask(stream=False, body=body, path=f"{bench.way.face.path}/count_tokens")


NO_JSON: dict[str, bytes] = {
    "B1-cut": b'{"model": "claude/test"',
    "B2-empty": b"",
    "B3-two": b'{"model": "m"}' * 2,
    "B4-byte-order-mark": b"\xef\xbb\xbf{}",
    "B5-utf-16": "{}".encode("utf-16"),
    "B6-latin-1": b'{"model": "caf\xe9"}',
    "B7-lone": rb'{"model": "claude/test", "zz": "\ud800"}',
    "B8-newline": b'{"model": "a\nb"}',
    "B10-nan": b'{"model": "claude/test", "zz": NaN}',
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
@every_way_to_count
async def test_what_is_no_json_has_no_tokens(way: Way, body: bytes) -> None:
    async with Bench(way) as bench:
        assert_refused(bench, await count(bench, body), 400, "invalid_json")


NO_REQUEST: dict[str, tuple[dict[str, Any], int, str, str | None]] = {
    "B16-no-model": ({"model": ...}, 400, "missing_required_parameter", "model"),
    "B16-model-list": ({"model": [ECHO]}, 400, "invalid_type", "model"),
    "B33-base-url": ({"base_url": ECHO}, 400, "reserved_field", "base_url"),
    "B34-nobody": ({"model": "../../admin"}, 404, "model_not_found", None),
    "B34-crlf": ({"model": f"a\r\n{ECHO}"}, 400, "invalid_value", "model"),
}


@pytest.mark.parametrize("row", NO_REQUEST.values(), ids=NO_REQUEST.keys())
@pytest.mark.parametrize("way", [WAYS["claude>claude"]], ids=["relay"])
async def test_what_is_no_request_has_no_tokens(way: Way, row: tuple[dict[str, Any], int, str, str | None]) -> None:
    fields, status, code, param = row
    async with Bench(way) as bench:
        assert_refused(bench, await count(bench, with_fields(way, **fields)), status, code, param)


@every_way_to_count
async def test_B14_deep_document_has_no_tokens(way: Way) -> None:
    async with Bench(way) as bench:
        body = text_of({**fields_of(way), "zz": b"[" * 200 + b"]" * 200})
        assert_refused(bench, await count(bench, body), 400, "invalid_value")


@pytest.mark.parametrize("way", [WAYS["claude>claude.translated"]], ids=["translate"])
async def test_B16_B24_request_that_is_decoded_to_be_counted_is_judged_whole(way: Way) -> None:
    async with Bench(way) as bench:
        body = with_fields(way, messages=[{"role": "user", "content": 5}])
        assert_refused(bench, await count(bench, body), 400, "invalid_type", "messages[0].content")
    async with Bench(way) as bench:
        body = with_fields(way, messages=[{"role": "user", "content": "x"}] * 20_001)
        assert_refused(bench, await count(bench, body), 400, "invalid_value", "messages")


@pytest.mark.parametrize("way", [WAYS["claude>claude"], WAYS["claude>claude.translated"]], ids=["relay", "translate"])
@pytest.mark.parametrize("told", [-5, 10**30, "NaN", None, 1.5], ids=lambda told: f"B32-{told}")
async def test_count_that_is_no_count_is_no_answer(way: Way, told: Any) -> None:
    async with Bench(way, answering(json.dumps({"input_tokens": told}).encode()), accounts=1) as bench:
        answer = await count(bench, with_fields(way))
        assert_told(bench, answer, "malformed", stream=False)
