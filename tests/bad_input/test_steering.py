"""B33 to B38, B49, B50: nothing that a caller or an upstream writes chooses a host, a header or a frame."""

from typing import Any

import pytest

from tests.faults.bench import BEFORE_TEXT, WORDS, Bench, Way, both_faces, every_way
from tests.support.asgi_driver import call
from tests.support.dialects import CHAT, CLAUDE
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import ScriptedUpstream, answering, streaming

from .bodies import every_translation, send, with_fields
from .refusals import ECHO, assert_refusal, assert_refused

pytestmark = pytest.mark.anyio

EVIL = "http://evil.example"


def assert_sent_alike(bench: Bench) -> None:
    """The upstream was sent the same twice."""
    first, second = (asked.request for asked in bench.scripted.calls)
    assert (second.method, second.url, second.body) == (first.method, first.url, first.body)
    assert second.headers == first.headers


# --- B33: fields that steer other gateways ----------------------------------------------------------------------------

FIELDS: dict[str, Any] = {
    "api_base": EVIL,
    "api_key": ECHO,
    "base_url": EVIL,
    "callbacks": [ECHO],
    "extra_headers": {"x-evil": ECHO},
    "guardrails": [ECHO],
    "organization": ECHO,
    "proxy": EVIL,
    "timeout": 0.001,
}
every_field = pytest.mark.parametrize("field", FIELDS)


@every_field
@both_faces
async def test_B33_field_that_would_steer_is_refused_where_bodies_are_passed_on(way: Way, field: str) -> None:
    async with Bench(way) as bench:
        answer = await send(bench, with_fields(way, **{field: FIELDS[field]}))
        assert_refused(bench, answer, 400, "reserved_field", field)
        assert bench.failed == 0


@every_field
async def test_B33_field_that_would_steer_is_refused_where_tokens_are_counted(field: str) -> None:
    never = ScriptedUpstream()
    body = {"model": "claude-test", "messages": [{"role": "user", "content": "x"}], field: FIELDS[field]}
    gateway = make_gateway(scripts={"claude": never})
    answer = await call(gateway, "POST", "/v1/messages/count_tokens", headers=CLAUDE.headers, json=body)
    assert_refusal("claude", answer, 400, "reserved_field", field)
    assert never.calls == []


@every_translation
async def test_B33_fields_that_would_steer_are_left_out_of_a_translation_and_reported(way: Way) -> None:
    async with Bench(way, *[answering(way.upstream.whole())] * 2, accounts=1) as bench:
        await send(bench, with_fields(way))
        answer = await send(bench, with_fields(way, **FIELDS))
        assert answer.status == 200
        assert_sent_alike(bench)
        assert {notice.path for notice in bench.record.notices if notice.severity == "lost"} >= FIELDS.keys()


@every_way
async def test_B33_headers_and_query_that_would_steer_are_not_read(way: Way) -> None:
    names = [*FIELDS, "x-portkey-custom-host", "x-base-url", "x-upstream", "x-api-base", "x-forwarded-host"]
    query = "&".join(f"{name}={EVIL}" for name in names)
    async with Bench(way, *[answering(way.upstream.whole())] * 2, accounts=1) as bench:
        await bench.ask(stream=False)
        answer = await bench.ask(stream=False, headers=dict.fromkeys(names, EVIL), query=query)
        assert answer.status == 200
        assert_sent_alike(bench)


# --- B34: names of models ---------------------------------------------------------------------------------------------

ODD_NAMES = ["../../admin", "a#b", "a?key=x", "%2e%2e", "..", "//evil", "@evil.com", "a\\..\\b", EVIL, "gpt-test/.."]
NO_NAMES = {"crlf": "a\r\nb", "nul": "a\x00b", "10-KB": "x" * 10_240, "empty": "", "rtl": "a\u202eb"}


@pytest.mark.parametrize("name", ODD_NAMES)
@both_faces
async def test_B34_model_that_nobody_serves_is_unknown_whatever_it_looks_like(way: Way, name: str) -> None:
    async with Bench(way) as bench:
        answer = await send(bench, with_fields(way, model=name))
        assert_refused(bench, answer, 404, "model_not_found")


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES.keys())
@both_faces
async def test_B34_what_is_no_name_is_refused(way: Way, name: str) -> None:
    async with Bench(way) as bench:
        answer = await send(bench, with_fields(way, model=name))
        assert_refused(bench, answer, 400, "invalid_value", "model")


@pytest.mark.parametrize("name", ["../../admin", "a#b", "a?key=x", "%2e%2e", "/evil", "@evil.com", "a\\..\\b"])
@every_way
async def test_B34_odd_name_of_a_configured_upstream_is_data(way: Way, name: str) -> None:
    async with Bench(way, *[answering(way.upstream.whole())] * 2, accounts=1) as bench:
        await send(bench, with_fields(way))
        answer = await send(bench, with_fields(way, model=f"{way.upstream.name}/{name}"))
        assert answer.status == 200
        plain, odd = bench.scripted.calls
        assert odd.request.url == plain.request.url
        assert odd.json()["model"] == name


def azure() -> dict[str, Any]:
    """Return an upstream that has the name of the model in its URL."""
    return upstream("azure", protocol="openai_chat", profile="azure", models=["*"])


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("../../admin", "..%2F..%2Fadmin"),
        ("a#b", "a%23b"),
        ("a?key=x", "a%3Fkey%3Dx"),
        ("%2e%2e", "%252e%252e"),
        ("/evil", "%2Fevil"),
        ("@evil.com", "%40evil.com"),
        ("a\\..\\b", "a%5C..%5Cb"),
    ],
)
async def test_B34_name_in_a_url_is_one_quoted_segment(name: str, quoted: str) -> None:
    scripted = ScriptedUpstream(answering(CHAT.whole()))
    gateway = make_gateway(azure(), scripts={"azure": scripted})
    answer = await call(gateway, "POST", CHAT.path, json=CHAT.ask(f"azure/{name}", stream=False))
    assert answer.status == 200
    (asked,) = scripted.calls
    path, _, _ = asked.request.url.partition("?")
    assert path == f"http://127.0.0.1:9/openai/deployments/{quoted}/chat/completions"


@pytest.mark.parametrize("name", [".", "..", "azure/.", "azure/.."])
async def test_B34_name_that_is_a_way_up_is_unknown_even_to_who_serves_all(name: str) -> None:
    never = ScriptedUpstream()
    gateway = make_gateway(azure(), scripts={"azure": never})
    answer = await call(gateway, "POST", CHAT.path, json=CHAT.ask(name, stream=False))
    assert_refusal("chat", answer, 404, "model_not_found")
    assert never.calls == []


# --- B36, B37, B38: headers -------------------------------------------------------------------------------------------

NEVER_FORWARDED = [
    "authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "openai-organization",
    "openai-project",
    "x-forwarded-for",
    "x-real-ip",
    "forwarded",
    "via",
    "trailer",
    "keep-alive",
    "proxy-authorization",
    "user-agent",
    "traceparent",
    "x-request-id",
    "referer",
    "origin",
]


@every_way
async def test_B36_headers_that_are_not_on_the_list_are_not_forwarded(way: Way) -> None:
    headers = {"host": "evil.example", "connection": "anthropic-version", **dict.fromkeys(NEVER_FORWARDED, ECHO)}
    async with Bench(way, *[answering(way.upstream.whole())] * 2, accounts=1) as bench:
        await bench.ask(stream=False)
        answer = await bench.ask(stream=False, headers=headers)
        assert answer.status == 200
        assert_sent_alike(bench)


@both_faces
async def test_B36_headers_on_the_list_are_forwarded_within_their_limit(way: Way) -> None:
    name = {"chat": "openai-beta", "claude": "anthropic-beta"}[way.face.name]
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await bench.ask(stream=False, headers={name: "x" * 1_024})
        assert answer.status == 200
        (asked,) = bench.scripted.calls
        assert asked.header(name) == "x" * 1_024


BAD_VALUES = {
    "B36-too-long": "x" * 1_025,
    "B37-crlf": f"a\r\nx-evil: {ECHO}",
    "B37-lf": f"a\nx-evil: {ECHO}",
    "B37-cr": f"a\r{ECHO}",
    "B37-nul": f"a\x00{ECHO}",
    "B37-latin-1": f"é{ECHO}",
    "B37-tab": f"a\t{ECHO}",
    "B37-delete": f"a\x7f{ECHO}",
}


@pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES.keys())
@pytest.mark.parametrize("name", ["anthropic-beta", "openai-beta", "idempotency-key"])
@both_faces
async def test_value_that_cannot_be_forwarded_is_refused(way: Way, name: str, value: str) -> None:
    async with Bench(way) as bench:
        answer = await bench.ask(stream=False, headers={name: value})
        assert_refused(bench, answer, 400, "invalid_header")


@both_faces
async def test_B38_request_id_of_a_caller_is_kept_everywhere(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        answer = await bench.ask(stream=False, headers={"x-request-id": "Run_7.a-1"})
        told = {answer.header("x-request-id"), answer.header("request-id"), bench.record.request_id}
        assert told <= {"Run_7.a-1", None}
        assert bench.record.request_id == answer.header("x-request-id") == "Run_7.a-1"


@pytest.mark.parametrize(
    "value",
    ["x" * 129, "x" * 8_000, f"{ECHO}\r", f'"{ECHO}"', "${jndi:ldap://evil}", "a b", "é", ""],
    ids=["129", "8-KB", "cr", "quotes", "jndi", "blank", "latin-1", "empty"],
)
@both_faces
async def test_B38_request_id_that_could_harm_a_log_is_replaced(way: Way, value: str) -> None:
    async with Bench(way, answering(way.upstream.error(400), status=400)) as bench:
        answer = await bench.ask(stream=False, headers={"x-request-id": value})
        assert answer.status == 400
        assert bench.record.request_id.startswith("req_")
        assert answer.header("x-request-id") == bench.record.request_id


@both_faces
async def test_B38_request_id_of_ten_kilobytes_is_refused_under_one_of_ours(way: Way) -> None:
    async with Bench(way) as bench:
        answer = await bench.ask(stream=False, headers={"x-request-id": ECHO * 700})
        assert_refused(bench, answer, 431, "headers_too_large")
        assert bench.record.request_id.startswith("req_")


# --- B49, B50: text that looks like frames ----------------------------------------------------------------------------

FRAMES = (
    "a\n\ndata: [DONE]\n\nevent: error\ndata: {}\n\nretry: 1\nid: 5\r\n\r\n: x\r\rdata: y\u0085\u2028\u2029\x0b\x00\n\n"
)
every_split = pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])


def split(frames: list[bytes], size: int) -> list[bytes]:
    """Return the bytes of a stream in pieces of ``size``."""
    whole = b"".join(frames)
    return [whole[start : start + size] for start in range(0, len(whole), size)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@every_way
async def test_B49_prompt_that_looks_like_frames_stays_one_string(way: Way, stream: bool) -> None:
    script = streaming(*way.upstream.text_stream()) if stream else answering(way.upstream.whole())
    messages = [{"role": "user", "content": FRAMES}]
    async with Bench(way, script) as bench:
        answer = await bench.ask(stream=stream, body=with_fields(way, messages=messages, stream=stream))
        assert bench.seen(answer, stream=stream).is_success
        (asked,) = bench.scripted.calls
        assert asked.json()["messages"] == messages
        assert b"\n" not in asked.request.body


@every_split
@every_way
async def test_B50_answer_that_looks_like_frames_stays_text(way: Way, size: int) -> None:
    async with Bench(way, streaming(*split(way.upstream.text_stream([FRAMES, FRAMES]), size))) as bench:
        answer = await bench.ask(stream=True)
        seen = bench.seen(answer, stream=True)
        assert (seen.is_success, seen.text) == (True, FRAMES * 2)


@every_split
@every_way
async def test_B50_arguments_that_look_like_frames_stay_arguments(way: Way, size: int) -> None:
    pieces = ['{"a": "\\n\\ndata: [DONE]', '\\n\\nevent: error\\n"', "\n\n", "}"]
    async with Bench(way, streaming(*split(way.upstream.tool_stream(pieces), size))) as bench:
        answer = await bench.ask(stream=True)
        seen = bench.seen(answer, stream=True)
        assert (seen.is_success, seen.arguments) == (True, "".join(pieces))


@every_split
@every_way
async def test_B50_error_that_looks_like_frames_is_one_event(way: Way, size: int) -> None:
    frames = way.upstream.text_stream([FRAMES])[: BEFORE_TEXT[way.upstream.name] + 1]
    async with Bench(way, streaming(*split([*frames, way.upstream.error_frame(500, FRAMES)], size))) as bench:
        answer = await bench.ask(stream=True)
        seen = bench.seen(answer, stream=True)
        assert seen.error is not None
        assert (seen.text, seen.is_ended, seen.error["type"]) == (FRAMES, False, WORDS[way.face.name]["fault"][1])


@every_way
async def test_B50_whole_answer_that_looks_like_frames_stays_text(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole(FRAMES))) as bench:
        answer = await bench.ask(stream=False)
        assert bench.seen(answer, stream=False).text == FRAMES
