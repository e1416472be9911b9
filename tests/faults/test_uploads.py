"""R-44 and R-46 over a whole gateway: uploads in pieces, in bounds, to one account; and files that are found again."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio
import pytest
from starlette.types import Scope

from asgi_ds2api import Gateway
from asgi_ds2api.auth import Caller
from asgi_ds2api.budgets import CallerLimits
from asgi_ds2api.errors import Unreachable, UpstreamError
from asgi_ds2api.seal import Keyring, Sealed
from asgi_ds2api.secret import Secret
from asgi_ds2api.serving.upload import READ_AHEAD_BYTES
from asgi_ds2api.state.contract import Found
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.testing import FakeUpstream
from asgi_ds2api.upstream.contract import UpstreamRequest
from tests.support.asgi_driver import Exchange, call
from tests.support.canary import CANARY, watching
from tests.support.gateways import SECRET, Records, make_gateway, open_leases, upstream
from tests.support.scripted_client import Answering, Delay, ScriptedResponse, ScriptedUpstream, answering
from tests.support.virtual_time import run_virtual
from tests.support.waiting import Gate

from .uploading import CALLERS, FORM, KEYS, bearer, begun, form, naming, over, told, uploaded

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
PIECE = bytes(65_536)


class Vendor(ScriptedUpstream):
    """Takes what is uploaded as fast as it is told to, and holds no more of it than a piece."""

    def __init__(self, *scripts: Any) -> None:
        super().__init__(*scripts)
        self.taken = 0
        self.sizes: list[int] = []
        self.on_piece: Callable[[], None] = lambda: None
        self.gate: Gate | None = None
        """Before each piece is taken."""

    async def open(self, request: UpstreamRequest) -> ScriptedResponse:
        """Take the body, then play the next script."""
        if request.source is not None:
            while piece := await self._piece(request):
                self.taken += len(piece)
                self.sizes.append(len(piece))
                self.on_piece()
        return await super().open(request)

    async def _piece(self, request: UpstreamRequest) -> bytes:
        assert request.source is not None
        if self.gate is not None:
            self.gate.reach()
            await self.gate.opened.wait()
        await anyio.lowlevel.checkpoint()
        return await request.source.next()


def house(*scripts: Any, accounts: int = 1, records: Records | None = None, **config: Any) -> tuple[Gateway, Vendor]:
    """Return a gateway before a vendor in memory."""
    vendor = Vendor(*scripts)
    table = upstream("chat", accounts=accounts) | config.pop("table", {})
    hooks = [] if records is None else [records]
    return make_gateway(table, scripts={"chat": vendor}, hooks=hooks, **config), vendor


def key_of(request: UpstreamRequest) -> str:
    """Return which account a request is of: the last letter of its key."""
    return dict(request.headers)[b"authorization"][-1:].decode()


# --- bounds -----------------------------------------------------------------------------------------------------------


async def test_64_MiB_pass_and_no_more_than_a_few_pieces_are_held() -> None:
    gateway, vendor = house(answering(told("file-1")))
    given = most = 0

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        async def count() -> Any:
            nonlocal given, most
            message = await receive()
            given += len(message.get("body", b""))
            most = max(most, given - vendor.taken)
            return message

        await gateway(scope, count, send)

    headers = {**FORM, "content-length": str(64 * MIB)}
    tracemalloc.start()
    answer = await call(counting, "POST", "/v1/files", body=[PIECE] * 1_024, headers=headers)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.status, vendor.taken) == (200, 64 * MIB)
    assert most <= READ_AHEAD_BYTES + len(PIECE)
    assert peak < 8 * MIB
    assert dict(vendor.calls[0].request.headers)[b"content-type"] == FORM["content-type"].encode()
    assert vendor.calls[0].request.length == 64 * MIB


async def test_file_that_says_it_is_too_large_is_refused_before_anybody_is_asked() -> None:
    gateway, vendor = house(limits={"max_upload_bytes": MIB})
    headers = {**FORM, "content-length": str(MIB + 1)}
    answer = await call(gateway, "POST", "/v1/files", body=[b"x"], headers=headers)
    assert (answer.status, answer.header("connection"), vendor.calls) == (413, "close", [])
    assert answer.header("x-ds2api-error") == "request_too_large"


async def test_file_that_turns_out_too_large_is_cut_off() -> None:
    records = Records()
    gateway, vendor = house(limits={"max_upload_bytes": MIB}, records=records)
    headers = {**FORM, "transfer-encoding": "chunked"}
    answer = await call(gateway, "POST", "/v1/files", body=[PIECE] * 32, headers=headers)
    assert (answer.status, answer.header("connection")) == (413, "close")
    assert vendor.taken <= MIB
    assert (vendor.calls, open_leases(gateway)) == ([], 0)
    assert [(record.code, record.operation, record.status) for record in records] == [
        ("request_too_large", "files", 413)
    ]


async def test_body_that_is_compressed_or_of_a_strange_page_is_no_file() -> None:
    gateway, vendor = house()
    for headers in ({**FORM, "content-encoding": "gzip"}, {**FORM, "origin": "https://elsewhere.example"}):
        answer = await call(gateway, "POST", "/v1/files", body=form(), headers=headers)
        assert answer.status == 415
    assert vendor.calls == []


async def test_caller_who_leaves_in_the_middle_of_an_upload_cancels_it() -> None:
    records = Records()
    gateway, vendor = house(records=records)
    begun = asyncio.Event()
    vendor.on_piece = begun.set
    headers = {**FORM, "content-length": "1000000"}
    async with Exchange(gateway, "POST", "/v1/files", body=None, headers=headers) as exchange:
        exchange.upload(PIECE)
        await begun.wait()
        exchange.disconnect()
        await exchange.finish()
    assert [(record.result, record.status, record.bytes_in) for record in records] == [("client_gone", 499, 65_536)]
    assert [attempt.code for attempt in records[0].attempts] == ["abandoned"]
    assert (vendor.calls, open_leases(gateway)) == ([], 0)


@run_virtual
async def test_caller_who_stops_sending_is_told_and_lets_its_slot_go() -> None:
    gateway, _ = house()
    headers = {**FORM, "content-length": "1000000"}
    async with Exchange(gateway, "POST", "/v1/files", body=None, headers=headers) as exchange:
        exchange.upload(PIECE)
        answer = await exchange.finish()
    assert (answer.status, answer.header("x-ds2api-error")) == (408, "request_timeout")
    assert open_leases(gateway) == 0


# --- failover ---------------------------------------------------------------------------------------------------------


class Refusing(Vendor):
    """Refuses one account before its body goes out, or in the middle of it."""

    def __init__(self, error: UpstreamError, *, after: int) -> None:
        super().__init__(answering(told("file-1")))
        self.asked: list[str] = []
        self._error = error
        self._after = after

    async def open(self, request: UpstreamRequest) -> ScriptedResponse:
        """Refuse whoever comes first."""
        self.asked.append(key_of(request))
        if len(self.asked) > 1:
            return await super().open(request)
        assert request.source is not None
        taken = 0
        while taken < self._after:
            taken += len(await request.source.next())
        raise self._error


@pytest.mark.parametrize(("after", "asked", "status"), [(0, 2, 200), (1, 1, 502)], ids=["before", "behind-a-piece"])
async def test_upload_goes_elsewhere_as_long_as_nothing_of_it_has_gone_out(after: int, asked: int, status: int) -> None:
    gateway, _ = house(accounts=2)
    vendor = Refusing(Unreachable("gone"), after=after)
    gateway._engine.clients = vendor
    answer = await call(gateway, "POST", "/v1/files", body=[form(), PIECE], headers=FORM)
    assert (len(set(vendor.asked)), len(vendor.asked), answer.status) == (asked, asked, status)


# --- affinity ---------------------------------------------------------------------------------------------------------


@run_virtual
async def test_R44_request_that_names_a_file_waits_for_its_account() -> None:
    slow = Answering(pieces=[json.dumps(CHAT).encode()], before=[Delay(1)])
    gateway, vendor = house(answering(told("file-1")), slow, slow, accounts=2, table={"concurrency": 1})
    assert (await call(gateway, "POST", "/v1/files", body=form(), headers=FORM)).status == 200
    owner = key_of(vendor.calls[0].request)

    async def ask() -> None:
        assert (await call(gateway, "POST", "/v1/chat/completions", json=naming("file-1"))).status == 200

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        group.start_soon(ask)
    assert [key_of(one.request) for one in vendor.calls[1:]] == [owner, owner]
    assert asyncio.get_running_loop().time() >= 2


CHAT = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip


async def test_R44_file_whose_account_may_not_be_asked_for_the_model_is_refused_by_name() -> None:
    accounts = [{"label": "a0", "key": Secret("key-0"), "models": ["only-this"]}]
    gateway, _ = house(answering(told("file-1")), answering(CHAT), table={"accounts": accounts})
    assert (await call(gateway, "POST", "/v1/files", body=form(), headers=FORM)).status == 200
    answer = await call(gateway, "POST", "/v1/chat/completions", json=naming("file-1"))
    assert (answer.status, "may not be asked for this model" in answer.text) == (400, True)
    answer = await call(gateway, "POST", "/v1/chat/completions", json=naming("file-1", model="chat/only-this"))
    assert answer.status == 200


async def test_content_that_breaks_off_is_cut_off() -> None:
    pieces: list[Any] = [b"half", UpstreamError("gone", code="truncated")]
    headers = {"content-type": "text/plain", "content-length": "8"}
    gateway, _ = house(answering(told("file-1")), Answering(200, headers, pieces))
    await call(gateway, "POST", "/v1/files", body=form(), headers=FORM)
    async with Exchange(gateway, "GET", "/v1/files/file-1/content", may_cut=True) as exchange:
        answer = await exchange.finish()
    assert (answer.status, answer.body, answer.is_complete) == (200, b"half", False)


# --- what a caller sends steers nothing -------------------------------------------------------------------------------


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream(keys=KEYS) as fake:
        yield fake


async def test_R46_key_of_an_account_reaches_its_vendor_with_a_file_and_nobody_else() -> None:
    content = Answering(200, {"content-type": "text/plain"}, [b"data"])
    refused = answering({"error": {"message": f"Bad key {CANARY}-0"}}, status=400)
    gateway, vendor = house(answering(told("file-1")), answering(told("file-1")), content, refused)
    calls = (("POST", ""), ("GET", "/file-1"), ("GET", "/file-1/content"), ("DELETE", "/file-1"))
    with watching() as watch:
        answers = [
            await call(gateway, method, f"/v1/files{path}", body=form() if method == "POST" else b"", headers=FORM)
            for method, path in calls
        ]
    assert [answer.status for answer in answers] == [200, 200, 200, 400]
    assert watch.leaks == []
    assert {dict(made.request.headers)[b"authorization"] for made in vendor.calls} == {f"Bearer {CANARY}-0".encode()}


async def test_upload_of_googles_goes_on_here_under_a_name_of_ours(fake: FakeUpstream) -> None:
    gateway = over(fake, "gemini")
    answer = await begun(gateway, headers={"host": "gateway.example"}, root_path="")
    url = answer.header("x-goog-upload-url")
    assert url is not None
    assert url.startswith("http://gateway.example/upload/v1beta/files?upload_id=")
    assert url.endswith("&upload_protocol=resumable")
    assert answer.header("x-goog-upload-control-url") is None
    assert "a-key-that-is-not-to-be-told" not in str(answer.headers)
    last = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    query = url.partition("?")[2]
    made = await call(gateway, "POST", "/upload/v1beta/files", body=b"data", headers=last, query=query)
    assert (made.status, made.header("x-goog-upload-status")) == (200, "final")
    assert "key" not in fake.requests[-1].query
    stranger = await call(
        gateway, "POST", "/upload/v1beta/files", body=b"data", headers=last, query="upload_id=upload-1"
    )
    assert (stranger.status, stranger.header("x-ds2api-error")) == (403, "missing_api_key")
    other = {**last, "x-goog-api-key": CALLERS["app"]}
    unknown = await call(gateway, "POST", "/upload/v1beta/files", body=b"x", headers=other, query="upload_id=upload-1")
    assert unknown.status == 404


async def test_R46_name_of_an_upload_opens_that_upload_and_nothing_else(fake: FakeUpstream) -> None:
    gateway = over(fake, "gemini", "chat")
    id_ = await uploaded(gateway)
    query = str((await begun(gateway)).header("x-goog-upload-url")).partition("?")[2]
    count = len(fake.requests)
    paths = ("/v1/files", f"/v1/files/{id_}", f"/v1/files/{id_}/content", "/v1beta/files", "/v1beta/files/upload")
    for method, path in [("GET", path) for path in paths] + [("DELETE", f"/v1/files/{id_}"), ("POST", "/v1/files")]:
        answer = await call(gateway, method, path, query=query, headers=FORM if method == "POST" else {})
        assert (path, answer.header("x-ds2api-error")) == (path, "missing_api_key")
    models = await call(gateway, "POST", "/v1beta/models/upload:generateContent", query=query, json={"contents": []})
    assert models.header("x-ds2api-error") == "missing_api_key"
    assert len(fake.requests) == count


class Asked(MemoryStore):
    """Counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__(time.monotonic)
        self.tables: list[str] = []

    async def find(self, table: str, keys: Collection[str]) -> Found:
        """Note the table."""
        self.tables.append(table)
        return await super().find(table, keys)


async def test_R46_name_that_we_did_not_give_asks_nobody(fake: FakeUpstream) -> None:
    """Shared state has little time for a question, and whoever guesses has no credential yet."""
    store = Asked()
    gateway = over(fake, "gemini", store=store)
    name = parse_qs(str((await begun(gateway)).header("x-goog-upload-url")).partition("?")[2])["upload_id"][0]
    store.tables.clear()
    seal = Keyring([SECRET.reveal().encode()]).seal(Sealed(kind="signature", origin="", data=name), "")
    for guess in ("guess", name[:-1], name + "A", name.swapcase(), seal, "%00", "x" * 4_000):
        answer = await call(gateway, "POST", "/upload/v1beta/files", body=b"x", query=f"upload_id={guess}")
        assert (answer.status, answer.header("x-ds2api-error")) == (403, "missing_api_key")
    assert store.tables == []


async def test_upload_is_gone_on_with_at_another_worker_and_by_nobody_without_the_secret(
    fake: FakeUpstream, tmp_path: Path
) -> None:
    place = f"sqlite:{tmp_path / 'state'}"
    first, second, other = (
        over(fake, "gemini", state=place, secret=s) for s in (SECRET, SECRET, Secret("seal-of-another-9876543210"))
    )
    async with first.lifespan(), second.lifespan(), other.lifespan():
        query = str((await begun(first)).header("x-goog-upload-url")).partition("?")[2]
        last = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
        for gateway, status in ((other, 403), (second, 200)):
            made = await call(gateway, "POST", "/upload/v1beta/files", body=b"data", headers=last, query=query)
            assert made.status == status


async def test_piece_of_an_upload_is_held_to_what_the_host_said_of_its_caller(fake: FakeUpstream) -> None:
    callers = [Caller(label="anna", limits=CallerLimits(rpm=3), models=("gemini/*",))]

    async def authorize(scope: Scope) -> Caller | None:
        return callers.pop() if callers else None

    accounts = [{"label": "a", "key": Secret(KEYS[0])}]
    table = upstream("gemini", url=fake.url) | {"accounts": accounts}
    gateway = make_gateway(table, auth="host", authorize=authorize)
    query = str((await begun(gateway)).header("x-goog-upload-url")).partition("?")[2]
    answers = []
    for offset in range(3):
        headers = {"x-goog-upload-command": "upload", "x-goog-upload-offset": str(offset)}
        answers.append(await call(gateway, "POST", "/upload/v1beta/files", body=b"x", headers=headers, query=query))
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[-1].header("x-ds2api-error") == "caller_rate_limited"
    assert (await begun(gateway)).header("x-ds2api-error") == "invalid_api_key"


async def test_R46_name_of_another_callers_file_is_not_to_be_had(fake: FakeUpstream) -> None:
    """Google lets clients choose the name, and accounts know nothing of each other's files."""
    gateway = over(fake, "gemini")
    last = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    made = []
    for caller in ("web", "app"):
        answer = await begun(gateway, file={"name": "files/report"}, headers={"x-goog-api-key": CALLERS[caller]})
        query = str(answer.header("x-goog-upload-url")).partition("?")[2]
        made.append(await call(gateway, "POST", "/upload/v1beta/files", body=b"data", headers=last, query=query))
    assert [answer.status for answer in made] == [200, 400]
    assert len({request.account for request in fake.requests}) == 2
    for caller, status in (("web", 200), ("app", 404)):
        answer = await call(gateway, "GET", "/v1beta/files/report", headers={"x-goog-api-key": CALLERS[caller]})
        assert answer.status == status


async def test_B33_upload_that_a_vendor_wants_elsewhere_ends() -> None:
    headers = {"x-goog-upload-url": "https://elsewhere.example/upload/x?upload_id=1", "x-goog-upload-status": "active"}
    vendor = ScriptedUpstream(Answering(200, headers))
    gateway = make_gateway(upstream("gemini"), scripts={"gemini": vendor})
    answer = await begun(gateway)
    assert (answer.status, answer.header("x-goog-upload-url")) == (502, None)
    assert "elsewhere" not in answer.text


async def test_piece_of_an_upload_beyond_the_limit_is_refused(fake: FakeUpstream) -> None:
    gateway = over(fake, "gemini", limits={"max_upload_bytes": 1_024})
    assert (await begun(gateway, headers={"x-goog-upload-header-content-length": "1025"})).status == 413
    query = str((await begun(gateway)).header("x-goog-upload-url")).partition("?")[2]
    count = len(fake.requests)
    headers = {"x-goog-upload-command": "upload", "x-goog-upload-offset": "1000"}
    answer = await call(gateway, "POST", "/upload/v1beta/files", body=bytes(25), headers=headers, query=query)
    assert (answer.status, len(fake.requests)) == (413, count)


async def test_googles_no_to_a_file_is_no_word_about_the_key(fake: FakeUpstream) -> None:
    """Google says 403 of a file that is not there: an account that was closed for it would be lost to everybody."""
    gateway = over(fake, "gemini")
    data = {"fileData": {"fileUri": f"{fake.url}/v1beta/files/nobodys", "mimeType": "text/plain"}}
    body = {"contents": [{"role": "user", "parts": [data, {"text": "x"}]}]}
    headers = {"x-goog-api-key": CALLERS["web"]}
    for _ in range(4):
        answer = await call(gateway, "POST", "/v1beta/models/gemini/m:generateContent", json=body, headers=headers)
        assert (answer.status, "may not exist" in answer.text) == (404, True)
    states = {account.state for account in gateway._engine.pool.snapshot().accounts}
    assert states == {"healthy"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/fine_tuning/jobs"),
        ("GET", "/v1/files/a/b/content"),
        ("GET", "/v1/files/../models"),
        ("GET", "/v1/files/%2e%2e"),
        ("POST", "/v1/uploads"),
        ("POST", "/upload/v1beta/models"),
        ("GET", "/v1/files/file-1/"),
    ],
)
async def test_B80_path_that_is_not_declared_is_no_path(fake: FakeUpstream, method: str, path: str) -> None:
    gateway = over(fake)
    answer = await call(gateway, method, path, headers=bearer())
    assert (answer.status, len(fake.requests)) == (404, 0)
