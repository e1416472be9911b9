"""Who gets in: configured keys, the host's word, or everybody, in so many words."""

import hashlib
import logging
import math
from types import SimpleNamespace
from typing import Any

import anyio
import msgspec
import pytest
from starlette.types import Scope

from asgi_ds2api.auth import ANONYMOUS, Authenticator, Authorize, Caller, check_model
from asgi_ds2api.budgets import CallerLimits
from asgi_ds2api.errors import AuthorizerFailed, Forbidden, GatewayError, MalformedRequest, Unauthenticated

pytestmark = pytest.mark.anyio

WEB = Caller(label="web", models=("gpt-*", "claude-*"))
BATCH = Caller(label="batch")
KEYS = {hashlib.sha256(key).digest(): caller for key, caller in [(b"web-key-1", WEB), (b"batch-key", BATCH)]}
OPENAI: Any = SimpleNamespace(CREDENTIAL_HEADERS=("authorization", "api-key", "x-api-key", "x-goog-api-key"))
ANTHROPIC: Any = SimpleNamespace(CREDENTIAL_HEADERS=("x-api-key", "authorization", "api-key", "x-goog-api-key"))


def scope(*headers: tuple[str, str | bytes]) -> Scope:
    pairs = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers]
    return {"type": "http", "headers": pairs}


async def who(*headers: tuple[str, str | bytes], face: Any = OPENAI) -> Caller:
    return await Authenticator("callers", KEYS).authenticate(scope(*headers), face)


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", "Bearer web-key-1"),
        ("authorization", "bearer web-key-1"),
        ("authorization", "BEARER  web-key-1 "),
        ("authorization", "Bearer \tweb-key-1"),
        ("x-api-key", "web-key-1"),
        ("api-key", "web-key-1"),
        ("x-goog-api-key", " web-key-1"),
    ],
)
async def test_B71_anthropic_C02_key_is_read_where_every_sdk_puts_it(header: tuple[str, str]) -> None:
    assert await who(header) == WEB


@pytest.mark.parametrize(
    "value",
    ["Basic d2ViOmtleQ==", "Bearer", "Bearer null", "web-key-1", "Bearer " + "k" * 8_193, "Bearer web-key-é",
     b"Bearer web\x00key", "Bearer web-key", hashlib.sha256(b"web-key-1").hexdigest(),
     "Bearer " + hashlib.sha256(b"web-key-1").hexdigest()],
)  # fmt: skip
async def test_B71_anything_else_is_refused(value: str | bytes) -> None:
    with pytest.raises(Unauthenticated):
        await who(("authorization", value))


async def test_anthropic_C02_no_credential_is_told_apart() -> None:
    with pytest.raises(Unauthenticated) as caught:
        await who(("authorization", ""))
    assert caught.value.code == "missing_api_key"


async def test_B70_two_credentials_of_different_callers_are_ambiguous() -> None:
    with pytest.raises(MalformedRequest) as caught:
        await who(("authorization", "Bearer web-key-1"), ("x-api-key", "batch-key"))
    assert caught.value.code == "ambiguous_credentials"


async def test_B70_one_header_twice_with_different_values_is_ambiguous() -> None:
    with pytest.raises(MalformedRequest):
        await who(("authorization", "Bearer web-key-1"), ("authorization", "Bearer batch-key"))


@pytest.mark.parametrize(
    "headers",
    [
        (("authorization", "Bearer web-key-1"), ("x-api-key", "web-key-1")),
        (("authorization", "Bearer web-key-1"), ("authorization", "Bearer web-key-1")),
        (("authorization", "Bearer web-key-1"), ("x-api-key", "not-configured")),
        (("x-api-key", ""), ("authorization", "Bearer web-key-1")),
    ],
)
async def test_B70_equal_or_unknown_or_empty_seconds_do_no_harm(headers: tuple[tuple[str, str], ...]) -> None:
    assert await who(*headers) == WEB


async def test_B70_each_face_reads_its_own_header_first() -> None:
    headers = (("authorization", "Bearer not-configured"), ("x-api-key", "web-key-1"))
    assert await who(*headers, face=ANTHROPIC) == WEB
    with pytest.raises(Unauthenticated):
        await who(*headers, face=OPENAI)


@pytest.mark.parametrize("name", ["x_api_key", "authorization_", "cookie", "x-forwarded-authorization"])
async def test_B77_B86_other_names_are_no_credentials(name: str) -> None:
    with pytest.raises(Unauthenticated):
        await who((name, "Bearer web-key-1"))


async def test_none_means_everybody_and_reads_no_header() -> None:
    authenticator = Authenticator("none", {})
    assert await authenticator.authenticate({"type": "http"}, OPENAI) == ANONYMOUS


def test_who_goes_on_with_what_it_began_is_who_it_is_by_now() -> None:
    """With keys the configuration says so; the host has said it before, as nobody can ask it again."""
    now = 100.0
    then = Caller(label="web", limits=CallerLimits(rpm=1), expires_at=101.0)
    assert Authenticator("none", {}).again(then) == ANONYMOUS
    assert Authenticator("callers", KEYS).again(then) == WEB
    assert Authenticator("host", KEYS, wall_now=lambda: now).again(then) == then
    gone = msgspec.structs.replace(then, label="gone")
    nobody = [(Authenticator("callers", KEYS), gone), (Authenticator("host", {}, wall_now=lambda: now + 1), then)]
    for authenticator, caller in nobody:
        with pytest.raises(Unauthenticated):
            authenticator.again(caller)


async def ask_host(authorize: Authorize | None) -> Caller:
    authenticator = Authenticator("host", KEYS, authorize, timeout_s=0.01)
    return await authenticator.authenticate(scope(("authorization", "Bearer web-key-1")), OPENAI)


async def test_host_says_who_it_is() -> None:
    async def authorize(scope: Scope) -> Caller | None:
        return BATCH

    assert await ask_host(authorize) == BATCH


async def test_host_says_no() -> None:
    async def authorize(scope: Scope) -> Caller | None:
        return None

    with pytest.raises(Unauthenticated):
        await ask_host(authorize)


async def _raises(scope: Scope) -> Caller | None:
    raise RuntimeError("canary-secret")


async def _hangs(scope: Scope) -> Caller | None:
    await anyio.sleep_forever()
    return None


async def _answers_nonsense(scope: Scope) -> Any:
    return {"label": "root"}


@pytest.mark.parametrize("authorize", [_raises, _hangs, _answers_nonsense, None])
async def test_B87_failing_check_means_no(authorize: Authorize | None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(AuthorizerFailed) as caught:
        await ask_host(authorize)
    assert caught.value.status == 503
    assert "canary" not in caplog.text
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"limits": {"rpm": 0}}, "'limits.rpm': expected a decimal number > 0.0"),
        ({"limits": {"rpm": -1}}, "'limits.rpm': expected a decimal number > 0.0"),
        ({"limits": {"tpm": 0}}, "'limits.tpm': expected a decimal number > 0.0"),
        ({"limits": {"tpm": math.nan}}, "'limits.tpm': expected a decimal number > 0.0"),
        ({"limits": {"usd_per_day": math.inf}}, "'limits.usd_per_day': expected a decimal number <= "),
        (
            {"limits": {"usd_per_month": True}},
            "'limits.usd_per_month': expected a decimal number or null, but got a bool",
        ),
        (
            {"limits": {"tokens_per_day": "canary"}},
            "'limits.tokens_per_day': expected a decimal number or null, but got",
        ),
        ({"limits": {"tokens_per_month": object()}}, "'limits.tokens_per_month': expected a decimal number or null"),
        ({"limits": {"concurrency": 0}}, "'limits.concurrency': expected an integer >= 1"),
        (
            {"limits": {"concurrency": 1.5}},
            "'limits.concurrency': expected an integer or null, but got a decimal number",
        ),
        ({"label": ""}, "'label': expected a string of length >= 1"),
        ({"label": 7}, "'label': expected a string, but got an integer"),
        ({"models": "canary"}, "'models': expected an array, but got a string"),
        ({"expires_at": math.nan}, "'expires_at': expected a decimal number >= 0.0"),
    ],
)
async def test_caller_of_the_host_is_held_to_what_the_configuration_may_say(
    fields: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def authorize(scope: Scope) -> Caller | None:
        limits = CallerLimits(**fields.get("limits", {}))
        return Caller(**{"label": "anna"} | fields | {"limits": limits})

    with caplog.at_level(logging.DEBUG), pytest.raises(AuthorizerFailed):
        await ask_host(authorize)
    assert told in caplog.text
    assert "canary" not in caplog.text


async def test_limits_of_the_host_that_are_no_limits_are_refused() -> None:
    async def authorize(scope: Scope) -> Any:
        return Caller(label="anna", limits={"rpm": "canary"})  # type: ignore[arg-type]  # what is tried

    with pytest.raises(AuthorizerFailed):
        await ask_host(authorize)


async def test_limits_of_the_host_are_those_of_the_caller() -> None:
    anna = Caller(label="anna", models=("gpt-*",), limits=CallerLimits(rpm=2, usd_per_day=0.5), expires_at=10.0)

    async def authorize(scope: Scope) -> Caller | None:
        return anna

    assert await ask_host(authorize) == anna


@pytest.mark.parametrize(
    ("model", "allowed"), [("gpt-5", True), ("claude-x", True), ("GPT-5", False), ("other", False)]
)
def test_B35_model_is_checked_by_the_name_as_asked(model: str, allowed: bool) -> None:
    caught: GatewayError | None = None
    try:
        check_model(WEB, model)
    except Forbidden as error:
        caught = error
    assert (caught is None) is allowed
