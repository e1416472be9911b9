"""A caller's request as it comes in: its head is judged before its body is asked for, and the body within bounds."""

import asyncio
import gzip
import importlib
import itertools
import random
import zlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
import msgspec
import pytest
from backports import zstd
from starlette.types import Message

from asgi_ds2api.errors import (
    GatewayError,
    HeadersTooLarge,
    MalformedRequest,
    RequestTimeout,
    RequestTooLarge,
    UnsupportedMediaType,
)
from asgi_ds2api.secret import Secret
from asgi_ds2api.serving.inbound import ClientGone, InboundLimits, judge_content_type, judge_head, read_body
from asgi_ds2api.upstream import decoding
from tests.support.gateways import CALLER_KEY, make_gateway, upstream
from tests.support.virtual_time import run_virtual

Header = tuple[bytes, bytes]

LIMITS = InboundLimits(
    max_body_bytes=1_000,
    max_header_bytes=400,
    max_headers=5,
    max_header_value_bytes=100,
    max_query_bytes=50,
    upload_idle_s=30,
    upload_grace_s=10,
    upload_min_bytes_s=50,
)
GONE: Message = {"type": "http.disconnect"}


def scope(*headers: Header, query: bytes = b"") -> dict[str, object]:
    """Return as much of a scope as is judged here."""
    return {"type": "http", "headers": list(headers), "query_string": query}


def piece(body: bytes, *, more: bool = True) -> Message:
    """Return a piece of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


def receiving(*messages: Message, every_s: float = 0) -> Callable[[], Awaitable[Message]]:
    """Return a ``receive`` that gives out the messages, and then waits for ever."""
    return _receive_of(messages, every_s)


def _receive_of(messages: Iterable[Message], every_s: float) -> Callable[[], Awaitable[Message]]:
    rest = iter(messages)

    async def receive() -> Message:
        await anyio.sleep(every_s)
        for message in rest:
            return message
        await anyio.sleep_forever()
        raise AssertionError

    return receive


# --- the head ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "declared"),
    [
        ([], None),
        ([(b"transfer-encoding", b"chunked")], None),
        ([(b"content-length", b"0")], 0),
        ([(b"content-length", b"1000")], 1_000),
        ([(b"content-length", b"0007")], 7),
    ],
)
def test_length_is_what_the_head_declares(headers: list[Header], declared: int | None) -> None:
    assert judge_head(scope(*headers), LIMITS) == declared


def test_B53_declared_length_over_the_limit_is_refused() -> None:
    with pytest.raises(RequestTooLarge) as caught:
        judge_head(scope((b"content-length", b"1001")), LIMITS)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    "lengths",
    [
        [b"5", b"5"],
        [b"5", b"6"],
        [b"5, 5"],
        [b"+5"],
        [b"-1"],
        [b"0x5"],
        [b"5.0"],
        [b""],
        [b" 5"],
        [b"1_0"],
        ["٣".encode()],
        [b"9" * 20],
        [b"9" * 5_000],
    ],
    ids=lambda lengths: f"B56-{b'+'.join(lengths)[:20]!r}",
)
def test_ambiguous_length_is_refused(lengths: list[bytes]) -> None:
    roomy = InboundLimits(
        max_body_bytes=10**30,
        max_header_bytes=10_000,
        max_headers=5,
        max_header_value_bytes=10_000,
        max_query_bytes=50,
        upload_idle_s=30,
    )
    with pytest.raises(MalformedRequest) as caught:
        judge_head(scope(*((b"content-length", value) for value in lengths)), roomy)
    assert caught.value.code == "invalid_framing"


def test_B57_length_beside_transfer_encoding_is_refused() -> None:
    with pytest.raises(MalformedRequest) as caught:
        judge_head(scope((b"content-length", b"5"), (b"transfer-encoding", b"chunked")), LIMITS)
    assert (caught.value.status, caught.value.code) == (400, "invalid_framing")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"a", b"")] * 5, id="B69-as-many-as-are-read"),
        pytest.param([(b"a", b"x" * 100)], id="B69-value-as-long-as-is-read"),
        pytest.param([(b"abcd", b"x" * 96)] * 4, id="B69-block-as-large-as-is-read"),
        pytest.param([(b"authorization", b"x" * 300)], id="B69-credential-has-a-limit-of-its-own"),
    ],
)
def test_header_block_within_its_limits_is_read(headers: list[Header]) -> None:
    assert judge_head(scope(*headers), LIMITS) is None


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"a", b"")] * 6, id="B69-too-many"),
        pytest.param([(b"a", b"x" * 101)], id="B69-one-too-long"),
        pytest.param([*[(b"abcd", b"x" * 96)] * 3, (b"abcd", b"x" * 97)], id="B69-too-large-together"),
        pytest.param([(b"authorization", b"x" * 400)], id="B69-credential-too-large"),
        pytest.param([(b"x" * 401, b"")], id="B69-name-too-long"),
    ],
)
def test_header_block_over_a_limit_is_refused(headers: list[Header]) -> None:
    with pytest.raises(HeadersTooLarge) as caught:
        judge_head(scope(*headers), LIMITS)
    assert caught.value.status == 431


def test_query_has_a_limit() -> None:
    assert judge_head(scope(query=b"q" * 50), LIMITS) is None
    with pytest.raises(RequestTooLarge):
        judge_head(scope(query=b"q" * 51), LIMITS)


# --- content type and encoding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="B58-none"),
        pytest.param([(b"origin", b"null"), (b"authorization", b"Bearer x")], id="B58-none-with-a-credential"),
        pytest.param([(b"content-type", b"text/plain")], id="B59-text"),
        pytest.param([(b"content-type", b"application/x-www-form-urlencoded")], id="B59-form"),
        pytest.param([(b"content-type", b"application/json; charset=latin1")], id="B59-charset"),
        pytest.param([(b"origin", b"https://a"), (b"content-type", b"application/json")], id="B59-page-with-json"),
        pytest.param([(b"origin", b"https://a"), (b"content-type", b"Application/JSON ;x=y")], id="B59-page-in-case"),
        pytest.param(
            [(b"origin", b"https://a"), (b"content-type", b"text/plain"), (b"x-api-key", b"k")],
            id="B59-page-with-a-credential",
        ),
    ],
)
def test_any_content_type_is_json(headers: list[Header]) -> None:
    assert judge_content_type(scope(*headers)) is None


@pytest.mark.parametrize(
    "types",
    [
        pytest.param([], id="B58-none"),
        pytest.param([b"text/plain"], id="B59-text"),
        pytest.param([b"multipart/form-data; boundary=x"], id="B59-form"),
        pytest.param([b"application/jsonp"], id="B59-longer"),
        pytest.param([b"text/plain", b"application/json"], id="B59-text-and-json"),
        pytest.param([b"application/json", b"text/plain"], id="B59-json-and-text"),
    ],
)
def test_page_without_a_credential_must_send_json(types: list[bytes]) -> None:
    """A browser sends these without a preflight, wherever the page is from."""
    with pytest.raises(UnsupportedMediaType) as caught:
        judge_content_type(scope((b"origin", b"https://a"), *((b"content-type", value) for value in types)))
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("sent", "encoding"),
    [
        pytest.param([b"identity"], None, id="B61-identity"),
        pytest.param([b""], None, id="B61-empty"),
        pytest.param([b"gzip"], "gzip", id="B61-gzip"),
        pytest.param([b" GZip "], "gzip", id="B61-gzip-in-case"),
        pytest.param([b"x-gzip"], "gzip", id="B61-x-gzip"),
        pytest.param([b"zstd"], "zstd", id="B61-zstd"),
    ],
)
def test_encoding_is_known(sent: list[bytes], encoding: str | None) -> None:
    assert judge_content_type(scope(*((b"content-encoding", value) for value in sent))) == encoding


@pytest.mark.parametrize(
    "sent",
    [[b"br"], [b"deflate"], [b"gzip, gzip"], [b"gzip", b"gzip"], [b"gzip", b"zstd"], [b"identity, gzip"], [b"\xff"]],
    ids=lambda sent: f"B61-{b'+'.join(sent)!r}",
)
def test_other_encoding_is_refused(sent: list[bytes]) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        judge_content_type(scope(*((b"content-encoding", value) for value in sent)))
    assert caught.value.status == 415


def test_B61_zstd_without_a_library_is_refused_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(UnsupportedMediaType) as caught:
        judge_content_type(scope((b"content-encoding", b"zstd")))
    assert "backports.zstd" in caught.value.message


REFUSED_HEADS: dict[str, tuple[str, list[Header], int]] = {
    "F81-method": ("PUT", [], 405),
    "F81-credential": ("POST", [(b"authorization", b"Bearer wrong")], 401),
    "F81-length": ("POST", [(b"content-length", b"99999999")], 413),
    "F81-headers": ("POST", [(b"a", b"b")] * 1_000, 431),
    "F81-encoding": ("POST", [(b"content-encoding", b"br")], 415),
    "F81-type": ("POST", [(b"origin", b"https://a")], 415),
}


@pytest.mark.parametrize(("method", "headers", "status"), REFUSED_HEADS.values(), ids=REFUSED_HEADS.keys())
@run_virtual
async def test_refused_head_ends_before_the_body_is_asked_for(method: str, headers: list[Header], status: int) -> None:
    """A server says ``100 Continue`` when the body is asked for: at the first ``receive``."""
    callers: dict[str, Any] = {"auth": "callers", "callers": [{"label": "c", "key": Secret(CALLER_KEY)}]}
    gateway = make_gateway(upstream("chat"), **(callers if status == 401 else {}))
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    async def send(message: Message) -> None:
        sent.append(message)

    whole = {"type": "http", "method": method, "path": "/v1/chat/completions", "root_path": "", "query_string": b""}
    await gateway({**whole, "headers": [(b"expect", b"100-continue"), *headers]}, receive, send)
    assert [message.get("status") for message in sent] == [status, None]


# --- the body ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [[b""], [b"abc"], [b"a", b"", b"bc"], [b"x" * 1_000], [b"x"] * 1_000])
@run_virtual
async def test_body_is_its_pieces(pieces: list[bytes]) -> None:
    messages = [piece(body) for body in pieces[:-1]] + [piece(pieces[-1], more=False)]
    assert await read_body(receiving(*messages), LIMITS, None, None) == b"".join(pieces)


@run_virtual
async def test_keys_of_a_message_that_say_nothing_may_be_missing() -> None:
    assert await read_body(receiving({"type": "http.request"}), LIMITS, None, None) == b""


@run_virtual
async def test_message_of_another_type_is_passed_over() -> None:
    receive = receiving({"type": "http.later"}, piece(b"abc", more=False))
    assert await read_body(receive, LIMITS, None, None) == b"abc"


@run_virtual
async def test_B54_body_over_the_limit_is_refused_at_the_byte() -> None:
    asked = itertools.count()

    async def receive() -> Message:
        assert next(asked) < 11, "more is read than is refused"
        return piece(b"x" * 100)

    with pytest.raises(RequestTooLarge) as caught:
        await read_body(receive, LIMITS, None, None)
    assert (caught.value.status, next(asked)) == (413, 11)


@run_virtual
async def test_B55_body_longer_than_declared_is_refused() -> None:
    with pytest.raises(MalformedRequest) as caught:
        await read_body(receiving(piece(b"123456", more=False)), LIMITS, 5, None)
    assert caught.value.code == "invalid_framing"


@run_virtual
async def test_B55_body_as_long_as_declared_is_read() -> None:
    assert await read_body(receiving(piece(b"12345", more=False)), LIMITS, 5, None) == b"12345"


@run_virtual
async def test_B55_body_shorter_than_declared_is_waited_for() -> None:
    with pytest.raises(RequestTimeout):
        await read_body(receiving(piece(b"123")), LIMITS, 5, None)


@pytest.mark.parametrize("before", [[], [piece(b"12")], [piece(b""), piece(b"12")]], ids=["F71-0", "F71-1", "F71-2"])
@run_virtual
async def test_caller_that_leaves_during_upload_is_gone(before: list[Message]) -> None:
    with pytest.raises(ClientGone):
        await read_body(receiving(*before, GONE), LIMITS, 5, None)


@run_virtual
async def test_F80_body_that_never_comes_is_waited_for_so_long() -> None:
    started = anyio.current_time()
    with pytest.raises(RequestTimeout) as caught:
        await read_body(receiving(), LIMITS, None, None)
    assert (caught.value.status, anyio.current_time() - started) == (408, 30)


@run_virtual
async def test_F80_body_that_stops_is_waited_for_so_long() -> None:
    started = anyio.current_time()
    with pytest.raises(RequestTimeout):
        await read_body(receiving(piece(b"x" * 900), every_s=5), LIMITS, None, None)
    assert anyio.current_time() - started == 5 + 30


@pytest.mark.parametrize(
    ("size", "every_s", "until_s"),
    [
        pytest.param(1, 1, 11, id="F80-one-byte-a-second"),
        pytest.param(0, 1, 11, id="F80-nothing-a-second"),
        pytest.param(49, 1, 11, id="F80-just-too-slow"),
        pytest.param(900, 29, 29, id="F80-late-and-little"),
    ],
)
@run_virtual
async def test_slow_body_is_refused_after_the_grace(size: int, every_s: int, until_s: int) -> None:
    started = anyio.current_time()
    with pytest.raises(RequestTimeout):
        await read_body(_receive_of(itertools.repeat(piece(b"x" * size)), every_s), LIMITS, None, None)
    assert anyio.current_time() - started == until_s


@pytest.mark.parametrize(("size", "every_s", "count"), [(1, 2, 5), (100, 2, 9), (1_000, 29, 1)])
@run_virtual
async def test_F80_body_that_is_fast_enough_or_done_is_read(size: int, every_s: float, count: int) -> None:
    """The grace covers 10 seconds of any speed; a body that is complete is not slow any more."""
    messages = [piece(b"x" * size, more=number < count) for number in range(1, count + 1)]
    body = await read_body(receiving(*messages, every_s=every_s), LIMITS, None, None)
    assert len(body) == size * count


# --- packed bodies ----------------------------------------------------------------------------------------------------

PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
packed = pytest.mark.parametrize(("encoding", "pack"), PACK.items(), ids=[f"B61-{name}" for name in PACK])


async def unpack(body: bytes, encoding: str) -> bytes:
    """Read a packed body that comes in two pieces."""
    return await read_body(receiving(piece(body[:9]), piece(body[9:], more=False)), LIMITS, None, encoding)


@packed
@pytest.mark.parametrize("size", [0, 1, 999, 1_000])
@run_virtual
async def test_packed_body_within_the_limit_is_read(encoding: str, pack: Callable[[bytes], bytes], size: int) -> None:
    assert await unpack(pack(b"x" * size), encoding) == b"x" * size


@packed
@pytest.mark.parametrize("size", [1_001, 50_000_000])
@run_virtual
async def test_packed_body_that_grows_over_the_limit_is_refused(
    encoding: str, pack: Callable[[bytes], bytes], size: int
) -> None:
    bomb = pack(bytes(size))
    roomy = msgspec.structs.replace(LIMITS, max_body_bytes=max(1_000, len(bomb)))
    with pytest.raises(RequestTooLarge) as caught:
        await read_body(receiving(piece(bomb, more=False)), roomy, None, encoding)
    assert caught.value.status == 413


@packed
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda body: body[:-1], id="cut"),
        pytest.param(lambda body: body[:3], id="cut-in-its-head"),
        pytest.param(lambda body: b"", id="empty"),
        pytest.param(lambda body: b'{"model": "m"}', id="not-packed"),
        pytest.param(lambda body: body + b"tail", id="tail"),
    ],
)
@run_virtual
async def test_packed_body_that_is_none_is_refused(
    encoding: str, pack: Callable[[bytes], bytes], spoil: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(MalformedRequest) as caught:
        await unpack(spoil(pack(b'{"model": "m"}')), encoding)
    assert (caught.value.status, caught.value.code) == (400, "invalid_encoding")


@run_virtual
async def test_B61_raw_deflate_is_not_gzip() -> None:
    with pytest.raises(GatewayError, match="not the gzip"):
        await unpack(zlib.compress(b"{}"), "gzip")


@packed
@run_virtual
async def test_packed_body_of_very_many_members_is_refused(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    roomy = msgspec.structs.replace(LIMITS, max_body_bytes=10_000_000)
    few, many = pack(b"x") * decoding.MAX_MEMBERS, pack(b"x") * (decoding.MAX_MEMBERS + 1)
    assert await read_body(receiving(piece(few, more=False)), roomy, None, encoding) == b"x" * decoding.MAX_MEMBERS
    with pytest.raises(MalformedRequest) as caught:
        await read_body(receiving(piece(many, more=False)), roomy, None, encoding)
    assert caught.value.code == "invalid_encoding"


@packed
@run_virtual
async def test_packed_body_is_unpacked_slice_by_slice_while_others_go_on(
    encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    body = random.Random(1).randbytes(10 * decoding.STEP_BYTES)
    roomy = msgspec.structs.replace(LIMITS, max_body_bytes=2 * len(body))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)  # virtual
            turns += 1

    other = asyncio.create_task(others())
    assert await read_body(receiving(piece(pack(body), more=False)), roomy, None, encoding) == body
    other.cancel()
    assert turns >= 10
