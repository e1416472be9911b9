"""B31, B35, B70 to B72, B77, B78, B86 to B88: who may come in, with which models. If anything is wrong, nobody."""

import json
import logging
from typing import Any

import anyio
import pytest
from starlette.types import Scope

from asgi_ds2api.auth import Authorize, Caller
from asgi_ds2api.errors import ConfigError
from asgi_ds2api.gateway import Gateway
from asgi_ds2api.secret import Secret
from tests.faults.bench import WAYS, Bench, Way, both_faces
from tests.support.asgi_driver import Answer, Exchange
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.scripted_client import ScriptedUpstream, answering
from tests.support.virtual_time import run_virtual

from .refusals import ECHO, MAX_REFUSAL_BYTES, assert_refusal, assert_refused

pytestmark = pytest.mark.anyio

WEB, BATCH = "key-of-web-0123456789", "key-of-batch-0123456789"
CALLERS: dict[str, Any] = {
    "auth": "callers",
    "callers": [{"label": "web", "key": Secret(WEB)}, {"label": "batch", "key": Secret(BATCH)}],
}
Pairs = list[tuple[str, str]]


def guarded(way: Way, *, answers: int = 1, **config: Any) -> Bench:
    """Return a bench that two callers may use."""
    return Bench(way, *[answering(way.upstream.whole())] * answers, **{**CALLERS, **config})


def own(way: Way, key: str) -> tuple[str, str]:
    """Return the header in which an SDK of this face sends a key."""
    return ("authorization", f"Bearer {key}") if way.face.name == "chat" else ("x-api-key", key)


def other(way: Way, key: str) -> tuple[str, str]:
    """Return the header in which SDKs of the other face send it."""
    return ("x-api-key", key) if way.face.name == "chat" else ("authorization", f"Bearer {key}")


async def ask(bench: Bench, *headers: tuple[str, str | bytes], **more: Any) -> Answer:
    """Send a small request with these headers, each as often as it is given."""
    usual = [("content-type", "application/json"), *bench.way.face.headers.items()]
    raw = [
        (name.encode(), value if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in [*usual, *headers]
    ]
    return await bench.ask(stream=False, scope_extra={"headers": raw}, **more)


# --- B70: two credentials ---------------------------------------------------------------------------------------------


@both_faces
async def test_B70_credentials_of_two_callers_are_ambiguous_in_any_order(way: Way) -> None:
    for first, second in [(WEB, BATCH), (BATCH, WEB)]:
        pair = [own(way, first), other(way, second)]
        for headers in (pair, pair[::-1], [own(way, first), own(way, second)]):
            async with guarded(way, answers=0) as bench:
                answer = await ask(bench, *headers)
                assert_refused(bench, answer, 400, "ambiguous_credentials")
                assert bench.record.caller == ""


@both_faces
async def test_B70_header_that_is_there_twice_is_ambiguous_whoever_it_names(way: Way) -> None:
    for first, second in [(WEB, ECHO), (ECHO, WEB)]:
        async with guarded(way, answers=0) as bench:
            answer = await ask(bench, own(way, first), own(way, second))
            assert_refused(bench, answer, 400, "ambiguous_credentials")


@both_faces
async def test_B70_one_key_in_two_places_is_one_key(way: Way) -> None:
    async with guarded(way) as bench:
        answer = await ask(bench, own(way, WEB), own(way, WEB), other(way, WEB))
        assert (answer.status, bench.record.caller) == (200, "web")


@both_faces
async def test_B70_own_header_counts_and_strangers_in_another_do_no_harm(way: Way) -> None:
    async with guarded(way) as bench:
        answer = await ask(bench, other(way, ECHO), own(way, WEB))
        assert (answer.status, bench.record.caller) == (200, "web")
    async with guarded(way, answers=0) as bench:
        answer = await ask(bench, own(way, ECHO), other(way, WEB))
        assert_refused(bench, answer, 401, "invalid_api_key")


@both_faces
async def test_B70_empty_header_is_absent(way: Way) -> None:
    async with guarded(way) as bench:
        answer = await ask(bench, (own(way, "")[0], ""), other(way, WEB))
        assert (answer.status, bench.record.caller) == (200, "web")


# --- B71: what is a credential ----------------------------------------------------------------------------------------

READ = [f"Bearer {WEB}", f"bearer {WEB}", f"BEARER {WEB}", f"Bearer  {WEB}", f"Bearer \t{WEB}", f" Bearer {WEB} \t"]


@pytest.mark.parametrize("value", READ)
@both_faces
async def test_B71_scheme_is_read_in_any_case_and_with_any_blanks(way: Way, value: str) -> None:
    async with guarded(way) as bench:
        answer = await ask(bench, ("authorization", value))
        assert (answer.status, bench.record.caller) == (200, "web")


NOT_READ: dict[str, str | bytes] = {
    "basic": f"Basic {WEB}",
    "no-scheme": WEB,
    "no-token": "Bearer",
    "null": "Bearer null",
    "undefined": "Bearer undefined",
    "echo": f"Bearer {ECHO}",
    "short": f"Bearer {WEB[:-1]}",
    "long": f"Bearer {WEB}0",
    "upper-case": f"Bearer {WEB.upper()}",
    "very-long": "Bearer " + "k" * 8_193,
    "latin-1": f"Bearer {WEB}\xe9",
    "nul": f"Bearer {WEB}\x00",
    "nul-inside": f"Bearer {WEB}\x00{ECHO}",
    "blank-inside": f"Bearer {WEB} {ECHO}",
    "two-schemes": f"Bearer Bearer {WEB}",
    "list": f"Bearer {WEB}, Bearer {BATCH}",
    "quoted": f'Bearer "{WEB}"',
    "no-text": b"Bearer \xff\xfe",
}


@pytest.mark.parametrize("value", NOT_READ.values(), ids=NOT_READ.keys())
@both_faces
async def test_B71_anything_else_is_refused_in_one_shape(
    way: Way, value: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "asgi_ds2api"):
        async with guarded(way, answers=0) as bench:
            answer = await ask(bench, ("authorization", value))
            assert_refused(bench, answer, 401, "invalid_api_key")
            assert bench.record.caller == ""
    assert WEB not in answer.text + caplog.text + repr(bench.record)
    assert ECHO not in caplog.text + repr(bench.record)


@both_faces
async def test_B71_refusal_does_not_tell_how_near_a_key_was(way: Way) -> None:
    """The same answer, but for its id, whether a key is nearly one of ours or nothing like it."""
    shapes = set()
    for key in (WEB[:-1], f"{WEB}0", "x" * 30, "k" * 400):
        async with guarded(way, answers=0) as bench:
            answer = await ask(bench, own(way, key), ("x-request-id", "same"))
            shapes.add((answer.status, answer.headers, answer.body))
    assert len(shapes) == 1


@both_faces
async def test_B71_no_credential_is_refused_before_the_body_is_read(way: Way) -> None:
    async with guarded(way, answers=0) as bench:
        answer = await bench.ask(stream=False, body=None)
        assert_refused(bench, answer, 401, "missing_api_key")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/nobody", "/v1/messages/count_tokens"])
@both_faces
async def test_B71_every_route_asks_for_a_credential(way: Way, path: str) -> None:
    gateway = make_gateway(upstream(way.upstream.name), **CALLERS)
    method = "POST" if path.endswith("tokens") else "GET"
    async with Exchange(gateway, method, path, headers=way.face.headers, body=None) as exchange:
        answer = await exchange.finish()
    face = "claude" if method == "POST" else way.face.name
    assert_refusal(face, answer, 401, "missing_api_key")


# --- B72, B77, B86: what is none --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["key", "api_key", "api-key", "access_token", "authorization", "x-api-key"])
@both_faces
async def test_B72_key_in_a_query_is_none(way: Way, name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "asgi_ds2api"):
        async with guarded(way, answers=0) as bench:
            answer = await bench.ask(stream=False, query=f"{name}={WEB}")
            assert_refused(bench, answer, 401, "missing_api_key")
    assert WEB not in answer.text + caplog.text + repr(bench.record)


@both_faces
async def test_B72_key_in_a_query_beside_a_credential_is_not_forwarded(way: Way) -> None:
    async with guarded(way) as bench:
        answer = await ask(bench, own(way, WEB), query=f"key={ECHO}")
        assert answer.status == 200
        (made,) = bench.scripted.calls
        assert ECHO not in made.request.url


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("x_api_key", id="B77-x_api_key"),
        pytest.param("authorization_", id="B77-authorization_"),
        pytest.param("_authorization", id="B77-_authorization"),
        pytest.param("api_key", id="B77-api_key"),
        pytest.param("x-api-key ", id="B77-blank"),
        pytest.param("cookie", id="B86-cookie"),
        pytest.param("set-cookie", id="B86-set-cookie"),
        pytest.param("proxy-authorization", id="B86-proxy-authorization"),
        pytest.param("x-forwarded-authorization", id="B86-x-forwarded-authorization"),
        pytest.param("x-forwarded-user", id="B86-x-forwarded-user"),
        pytest.param("sec-websocket-protocol", id="B86-sec-websocket-protocol"),
    ],
)
@pytest.mark.parametrize("form", ["{}", "Bearer {}", "session={}", "authorization=Bearer {}; x-api-key={}"])
@both_faces
async def test_other_headers_are_no_credentials(way: Way, name: str, form: str) -> None:
    async with guarded(way, answers=0) as bench:
        answer = await ask(bench, (name, form.format(WEB, WEB)))
        assert_refused(bench, answer, 401, "missing_api_key")


@both_faces
async def test_B86_session_and_user_of_the_host_are_no_credentials(way: Way) -> None:
    known = {"session": {"user": "web"}, "user": "web", "auth": "web", "state": {"user": "web"}}
    async with guarded(way, answers=0) as bench:
        answer = await bench.ask(stream=False, scope_extra=known)
        assert_refused(bench, answer, 401, "missing_api_key")


@both_faces
async def test_B71_key_of_a_caller_never_reaches_an_upstream(way: Way) -> None:
    async with guarded(way) as bench:
        await ask(bench, own(way, WEB), other(way, WEB))
        (made,) = bench.scripted.calls
        assert not any(WEB.encode() in value for _, value in made.request.headers)
        assert WEB.encode() not in made.request.body


@pytest.mark.parametrize("kind", ["full-width", "cyrillic", "decomposed", "trailing-joiner"])
@both_faces
async def test_B31_key_that_only_looks_like_one_is_none(way: Way, kind: str) -> None:
    looks = {
        "full-width": WEB.replace("k", "\uff4b"),
        "cyrillic": WEB.replace("e", "\u0435"),
        "decomposed": WEB + "\u0301",
        "trailing-joiner": WEB + "\u200d",
    }
    name, value = own(way, looks[kind])
    async with guarded(way, answers=0) as bench:
        answer = await ask(bench, (name, value.encode()))
        assert_refused(bench, answer, 401, "invalid_api_key")


@both_faces
async def test_B78_credential_that_connection_names_counts_as_before(way: Way) -> None:
    async with guarded(way) as bench:
        answer = await ask(bench, own(way, WEB), ("connection", "authorization, x-api-key"))
        assert (answer.status, bench.record.caller) == (200, "web")
    async with guarded(way, answers=0) as bench:
        answer = await ask(bench, ("connection", own(way, WEB)[0]))
        assert_refused(bench, answer, 401, "missing_api_key")


# --- B35: models of a caller ------------------------------------------------------------------------------------------

ALIASES = [
    {"name": "granted", "targets": ["chat/secret-1", "claude/secret-2"]},
    {"name": "secret-3", "targets": ["chat/gpt-test"]},
]


def restricted(hooks: Records | None = None) -> tuple[Gateway, ScriptedUpstream, ScriptedUpstream]:
    """Return a gateway whose only caller may use two of the names that it serves, and its upstreams."""
    chat, claude = ScriptedUpstream(), ScriptedUpstream()
    gateway = make_gateway(
        upstream("chat", models=["gpt-test", "secret-*"]),
        upstream("claude", models=["claude-test", "secret-*"]),
        scripts={"chat": chat, "claude": claude},
        hooks=[] if hooks is None else [hooks],
        auth="callers",
        callers=[{"label": "web", "key": Secret(WEB), "models": ["gpt-test", "granted"]}],
        models=ALIASES,
    )
    return gateway, chat, claude


async def ask_for(way: Way, gateway: Gateway, model: str, path: str = "", method: str = "POST") -> Answer:
    """Ask as the restricted caller."""
    headers = dict([("content-type", "application/json"), own(way, WEB), *way.face.headers.items()])
    body = json.dumps(way.face.ask(model, stream=False)).encode() if method == "POST" else b""
    async with Exchange(gateway, method, path or way.face.path, headers=headers, body=body) as exchange:
        return await exchange.finish()


@pytest.mark.parametrize(
    "model",
    ["claude-test", "claude/claude-test", "chat/gpt-test", "chat/secret-1", "secret-1", "secret-3", "claude/granted"],
)
@both_faces
async def test_B35_model_that_is_not_granted_is_forbidden_by_whatever_way_to_it(way: Way, model: str) -> None:
    records = Records()
    gateway, chat, claude = restricted(records)
    answer = await ask_for(way, gateway, model)
    assert_refusal(way.face.name, answer, 403, "model_not_allowed")
    assert (records[-1].caller, records[-1].code) == ("web", "model_not_allowed")
    assert chat.calls == claude.calls == []


@pytest.mark.parametrize(
    "model", ["GPT-TEST", "Gpt-test", "models/gpt-test", "gpt-test:free", "gpt-test ", "granted/x"]
)
@both_faces
async def test_B35_name_that_nearly_is_a_granted_one_is_none(way: Way, model: str) -> None:
    gateway, chat, claude = restricted()
    answer = await ask_for(way, gateway, model)
    assert_refusal(way.face.name, answer, 404, "model_not_found")
    assert chat.calls == claude.calls == []


@pytest.mark.parametrize("model", ["claude-test", "chat/secret-1", "secret-3"])
async def test_B35_counting_tokens_is_using_a_model(model: str) -> None:
    gateway, chat, claude = restricted()
    answer = await ask_for(WAYS["claude>claude"], gateway, model, "/v1/messages/count_tokens")
    assert_refusal("claude", answer, 403, "model_not_allowed")
    assert chat.calls == claude.calls == []


@both_faces
async def test_B35_list_holds_what_is_granted_and_nothing_else(way: Way) -> None:
    gateway, _, _ = restricted()
    answer = await ask_for(way, gateway, "", "/v1/models", "GET")
    data = json.loads(answer.body)["data"]
    assert {model["id"] for model in data} == {"gpt-test", "granted"}


@pytest.mark.parametrize("model", ["claude-test", "claude/claude-test", "secret-1", "nobody"])
@both_faces
async def test_B35_model_that_is_not_granted_is_not_there_to_look_at(way: Way, model: str) -> None:
    gateway, _, _ = restricted()
    answer = await ask_for(way, gateway, "", f"/v1/models/{model}", "GET")
    assert_refusal(way.face.name, answer, 404, "model_not_found")


@both_faces
async def test_B35_granted_alias_grants_its_targets(way: Way) -> None:
    gateway, chat, claude = restricted()
    script = answering(WAYS["chat>chat"].upstream.error(429), status=429)
    chat._next = lambda _: script
    claude._next = lambda _: answering(WAYS["claude>claude"].upstream.whole())
    answer = await ask_for(way, gateway, "granted")
    assert answer.status == 200
    assert [made.json()["model"] for made in chat.calls + claude.calls] == ["secret-1", "secret-2"]


# --- B87: the host's check --------------------------------------------------------------------------------------------


async def raises(scope: Scope) -> Caller | None:
    """Break, with what nobody should read."""
    raise RuntimeError(ECHO)


async def hangs(scope: Scope) -> Caller | None:
    """Never answer."""
    await anyio.sleep_forever()
    return None


async def answers_a_table(scope: Scope) -> Any:
    """Answer what looks like a caller."""
    return {"label": ECHO, "models": ["*"]}


async def answers_yes(scope: Scope) -> Any:
    """Answer another type."""
    return True


BROKEN: list[Any] = [raises, hangs, answers_a_table, answers_yes]
"""One that is not async is refused at the start: `tests/test_arguments.py`."""


def hosted(way: Way, authorize: Authorize) -> tuple[Gateway, ScriptedUpstream, Records]:
    """Return a gateway that asks ``authorize``."""
    scripted, records = ScriptedUpstream(answering(way.upstream.whole())), Records()
    gateway = make_gateway(
        scripts={way.upstream.name: scripted}, hooks=[records], auth="host", authorize=authorize
    )  # fmt: skip
    return gateway, scripted, records


async def ask_host(way: Way, gateway: Gateway) -> Answer:
    """Ask with everything that could be taken for a credential."""
    headers = dict([("content-type", "application/json"), ("cookie", "a=b"), own(way, WEB), *way.face.headers.items()])
    body = json.dumps(way.face.ask(f"{way.upstream.name}/test", stream=False)).encode()
    async with Exchange(gateway, "POST", way.face.path, headers=headers, body=body) as exchange:
        return await exchange.finish()


@pytest.mark.parametrize("authorize", BROKEN)
@both_faces
@run_virtual
async def test_B87_check_that_fails_lets_nobody_in(
    way: Way, authorize: Authorize, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, scripted, records = hosted(way, authorize)
    answer = await ask_host(way, gateway)
    assert (answer.status, answer.header("x-ds2api-error")) == (503, "authorization_unavailable")
    assert len(answer.body) <= MAX_REFUSAL_BYTES
    assert ECHO not in answer.text + caplog.text + repr(records)
    assert (records[-1].caller, records[-1].code) == ("", "authorization_unavailable")
    assert scripted.calls == []


@both_faces
async def test_B87_check_that_says_no_means_no(way: Way) -> None:
    async def authorize(scope: Scope) -> Caller | None:
        return None

    gateway, scripted, _ = hosted(way, authorize)
    assert_refusal(way.face.name, await ask_host(way, gateway), 401, "invalid_api_key")
    assert scripted.calls == []


@both_faces
async def test_B87_check_that_says_yes_grants_what_it_says(way: Way) -> None:
    callers = iter([Caller(label="ada"), Caller(label="ada", models=("other",))])

    async def authorize(scope: Scope) -> Caller | None:
        return next(callers)

    gateway, scripted, records = hosted(way, authorize)
    assert ((await ask_host(way, gateway)).status, records[-1].caller) == (200, "ada")
    assert_refusal(way.face.name, await ask_host(way, gateway), 403, "model_not_allowed")
    assert len(scripted.calls) == 1


# --- B88: open by mistake ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"auth": "callers"},
        {"auth": "callers", "callers": []},
        {"auth": "host"},
        {"auth": ""},
        {"auth": None},
        {"auth": False},
        {"auth": "callers", "callers": [{"label": "a", "key": Secret("sk-1234")}]},
        {"auth": "callers", "callers": [{"label": "a", "key": Secret("123456")}]},
        {"auth": "callers", "callers": [{"label": "a", "key": Secret("change-me-change-me")}]},
    ],
)
def test_B88_gateway_that_lets_strangers_in_by_mistake_does_not_start(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Gateway({"upstreams": [upstream("chat")], **config})


def test_B88_gateway_for_everybody_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "asgi_ds2api"):
        Gateway({"upstreams": [upstream("chat")], "auth": "none"})
    assert [record.getMessage() for record in caplog.records if "none" in record.getMessage()] == [
        'auth = "none": everybody who can reach this gateway may use it, at your expense'
    ]
