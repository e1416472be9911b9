"""What every upstream client does, over real sockets: one class, run by each client on each event loop it knows.

F14, M8 and the like number faults of upstreams, traps that were measured, and bad inputs; one case, one number.
"""

import gzip
import logging
import socket
import ssl
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import brotli
import pytest
import trustme

from asgi_ds2api.errors import (
    GatewayError,
    InternalError,
    Interrupted,
    Malformed,
    QueueTimeout,
    RequestTimeout,
    Timeout,
    Unreachable,
    UpstreamError,
)
from asgi_ds2api.upstream.contract import Upstream, UpstreamRequest
from asgi_ds2api.upstream.tls import TLSSettings
from tests.support.http_bytes import chunk, head, response
from tests.support.raw_upstream import RawUpstream, refusing
from tests.support.script import Drip, Expect, ExpectBytes, Fin, Hang, Hold, Repeat, Reset, Script, Send
from tests.support.waiting import Gate

from .cases import (
    BAD_BODIES,
    BAD_HEADS,
    BODIES,
    EARLY,
    ENCODED,
    GZIP,
    HELLO,
    KEY,
    RIGHT,
    SHORT_S,
    WAIT_S,
    Pause,
    PauseReading,
    Pieces,
    ResumeReading,
    ask,
    encoded,
    failure_of,
    fetch,
    read_all,
    server_context,
    told,
    whole_text,
)
from .conftest import OWN_SETUPS, MakeClient
from .stage import Stage

pytestmark = pytest.mark.anyio


class TestUpstreamContract:
    """`asgi_ds2api.upstream.contract`, of every client."""

    # --- what goes out and what comes back -------------------------------------------------------------------------

    @pytest.mark.parametrize("answer", BODIES.values(), ids=BODIES.keys())
    async def test_body_arrives_as_it_was_framed(self, client: Upstream, stage: Stage, answer: bytes) -> None:
        upstream = stage.script([Expect(), Send(answer)])
        assert await fetch(client, ask(upstream.url)) == (200, b"hello world")

    @pytest.mark.parametrize("answer", BODIES.values(), ids=BODIES.keys())
    async def test_body_arrives_in_single_bytes_too(self, client: Upstream, stage: Stage, answer: bytes) -> None:
        upstream = stage.script([Expect(), Drip(answer)])
        assert await fetch(client, ask(upstream.url)) == (200, b"hello world")

    async def test_request_leaves_as_it_was_built_M8_M10(self, client: Upstream, stage: Stage) -> None:
        """M8, M10: no cookie, nothing of the library's, identity encoding."""
        upstream = stage.script(RIGHT)
        await fetch(client, ask(upstream.url, path="/v1/a%2Fb/c%2e:d;p?q=%C3%A9&r=~%27", body=b"x" * 300_000))
        (request,) = upstream.requests
        assert (request.method, request.target) == ("POST", "/v1/a%2Fb/c%2e:d;p?q=%C3%A9&r=~%27")
        assert request.body == b"x" * 300_000
        assert request.headers == (
            (b"host", upstream.url.removeprefix("http://").encode()),
            (b"authorization", KEY),
            (b"content-type", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"connection", b"close"),
            (b"content-length", b"300000"),
        )

    async def test_path_that_was_checked_is_the_path_that_is_sent_M13(self, client: Upstream, stage: Stage) -> None:
        """M13: httpx resolves ``..`` after everybody has looked. Not to send at all is right too."""
        upstream = stage.script(RIGHT)
        try:
            await fetch(client, ask(upstream.url, path="/v1/models/../../admin"))
        except InternalError:
            assert upstream.connections == []
        else:
            assert upstream.requests[0].target == "/v1/models/../../admin"

    @pytest.mark.parametrize(
        "url", ["ftp://h/", "http://", "h/x", "http://h:x/", "http://h/a b", "http://h/\n", "http://é/"]
    )
    async def test_url_that_cannot_be_used_is_refused(self, client: Upstream, url: str) -> None:
        assert told(await failure_of(client, ask(url, path=""))) == (InternalError, "internal_error", None)

    async def test_framing_of_a_builder_is_not_trusted(self, client: Upstream, stage: Stage) -> None:
        upstream = stage.script(RIGHT)
        headers = (
            (b"accept-encoding", b"gzip"),
            (b"content-length", b"7"),
            (b"transfer-encoding", b"chunked"),
            (b"connection", b"keep-alive"),
            (b"expect", b"100-continue"),
        )
        await fetch(client, UpstreamRequest(method="POST", url=upstream.url, headers=headers, body=b"{}"))
        (request,) = upstream.requests
        assert (request.target, request.body) == ("/", b"{}")
        assert {name: value for name, value in request.headers if name != b"host"} == {
            b"accept-encoding": b"identity",
            b"connection": b"close",
            b"content-length": b"2",
        }

    @pytest.mark.parametrize("is_length_known", [True, False], ids=["length", "chunked"])
    async def test_body_that_comes_in_pieces_is_sent_as_one(
        self, client: Upstream, stage: Stage, is_length_known: bool
    ) -> None:
        upstream = stage.script(RIGHT)
        pieces = [b"a" * 10, b"b" * 300_000, b"c" * 70_000, b"d"]
        body = Pieces(*pieces, length=370_011 if is_length_known else None)
        assert await fetch(client, ask(upstream.url, source=body)) == (200, b'{"a":1}')
        (request,) = upstream.requests
        assert request.body == b"".join(pieces)
        named = {name.lower() for name, _ in request.headers}
        assert {b"content-length", b"transfer-encoding"} & named == (
            {b"content-length"} if is_length_known else {b"transfer-encoding"}
        )

    async def test_body_whose_sender_gives_up_ends_the_exchange_with_its_own_error(
        self, client: Upstream, stage: Stage
    ) -> None:
        upstream = stage.script([Hang()])
        source = Pieces(b"x" * 300_000, RequestTimeout("slow"), length=400_000)
        error = await failure_of(client, ask(upstream.url, source=source))
        assert (type(error), str(error)) == (RequestTimeout, "slow")
        await stage.wait(upstream.wait_closed())

    async def test_get_has_no_body_and_no_length(self, client: Upstream, stage: Stage) -> None:
        upstream = stage.script(RIGHT)
        await fetch(client, UpstreamRequest(method="GET", url=upstream.url + "/v1/models", headers=(), body=b""))
        assert (upstream.requests[0].method, upstream.requests[0].header("content-length")) == ("GET", None)

    @pytest.mark.parametrize("status", [200, 204, 299, 400, 429, 500, 529, 999])
    async def test_status_is_returned_whatever_it_is(self, client: Upstream, stage: Stage, status: int) -> None:
        upstream = stage.script([Expect(), Send(head(status, framing="length", length=0))])
        assert await fetch(client, ask(upstream.url)) == (status, b"")

    async def test_headers_arrive_in_order_in_lower_case_and_repeated_F20(self, client: Upstream, stage: Stage) -> None:
        """F20: which of them a caller sees is decided above."""
        sent = [("Content-Type", "a/b"), ("Set-Cookie", "a=1"), ("SET-COOKIE", "b=2"), ("X-Foo", "\xe9")]
        upstream = stage.script([Expect(), Send(response(200, sent, b""))])
        answer = await client.open(ask(upstream.url))
        await answer.close()
        assert list(answer.headers) == [
            (b"content-type", b"a/b"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"x-foo", b"\xe9"),
            (b"content-length", b"0"),
        ]

    async def test_read_gives_all_that_came(self, client: Upstream, stage: Stage) -> None:
        """Many small chunks of one segment are one read: above, each read costs a send."""
        chunks = b"".join([chunk(b"%04d" % n) for n in range(1_000)])
        upstream = stage.script([Expect(), Send(head(200) + chunks), Hang()])
        answer = await client.open(ask(upstream.url))
        body, reads = b"", 0
        while len(body) < 4_000:
            body += await answer.read()
            reads += 1
        await answer.close()
        assert body == b"".join([b"%04d" % n for n in range(1_000)])
        assert reads <= 4

    async def test_end_of_the_body_is_told_again_and_again(self, client: Upstream, stage: Stage) -> None:
        upstream = stage.script(RIGHT)
        answer = await client.open(ask(upstream.url))
        assert await read_all(answer) == b'{"a":1}'
        assert [await answer.read(), await answer.read()] == [b"", b""]
        await answer.close()

    @pytest.mark.parametrize(("coding", "body"), ENCODED.values(), ids=[f"F47-{name}" for name in ENCODED])
    async def test_encoding_that_nobody_asked_for_is_undone(
        self, client: Upstream, stage: Stage, coding: str, body: bytes
    ) -> None:
        upstream = stage.script([Expect(), Drip(encoded(coding, body), (3,))])
        assert await fetch(client, ask(upstream.url)) == (200, b"hello world")

    # --- what is never done ----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_redirect_is_returned_and_not_followed_F21_M9(
        self, client: Upstream, stage: Stage, status: int
    ) -> None:
        """F21, M9: a 307 that was followed took the key and the body to another host."""
        elsewhere = stage.script(RIGHT)
        upstream = stage.script([Expect(), Send(response(status, {"location": elsewhere.url}))])
        assert await fetch(client, ask(upstream.url)) == (status, b"")
        assert (len(upstream.connections), len(elsewhere.connections)) == (1, 0)

    async def test_cookie_of_one_account_never_reaches_another_M8(self, client: Upstream, stage: Stage) -> None:
        """M8."""
        upstream = stage.script([Expect(), Send(response(200, {"set-cookie": "__cf_bm=account-a; path=/"}))])
        for _ in range(2):
            await fetch(client, ask(upstream.url))
        assert [request.header("cookie") for request in upstream.requests] == [None, None]

    async def test_environment_is_not_read_F8(
        self, client: Upstream, stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """F8: neither proxies nor ``.netrc``."""
        proxy, upstream = stage.script(RIGHT), stage.script(RIGHT)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        (tmp_path / "netrc").write_text("default login somebody password else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        await fetch(client, ask(upstream.url))
        assert len(proxy.connections) == 0
        assert upstream.requests[0].header("authorization") == KEY.decode()

    @pytest.mark.parametrize("name", [name for name in BODIES if "beyond" in name])
    async def test_surplus_of_one_answer_never_reaches_the_next_request(
        self, client: Upstream, stage: Stage, name: str
    ) -> None:
        """The surplus is a whole answer: a client that keeps the connection takes it for the next one's."""
        upstream = stage.play(RawUpstream.per_request([Send(BODIES[name])], [Send(response(200, {}, b"mine"))]))
        assert await fetch(client, ask(upstream.url)) == (200, b"hello world")
        assert await fetch(client, ask(upstream.url)) == (200, b"mine")
        assert [request.connection for request in upstream.requests] == [0, 1]

    @pytest.mark.parametrize("value", [KEY + b"\n", KEY + b"\r\nx: y", b" " + KEY, KEY + b"\0"])
    async def test_key_is_in_no_error_and_no_log_M7(
        self, client: Upstream, stage: Stage, caplog: pytest.LogCaptureFixture, value: bytes
    ) -> None:
        """M7: h11 quotes the header, httpx masks only one of four names, both log what they do."""
        caplog.set_level(logging.DEBUG)
        upstream = stage.script([Expect(), Fin()])
        for name in (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"):
            good = UpstreamRequest(method="POST", url=upstream.url, headers=((name, KEY),), body=b"{}")
            bad = UpstreamRequest(method="POST", url=upstream.url, headers=((name, value),), body=b"{}")
            for request, kind in ((good, Interrupted), (bad, InternalError)):
                error = await failure_of(client, request)
                assert type(error) is kind
                assert "canary" not in whole_text(error)
        assert "canary" not in caplog.text
        assert len(upstream.requests) == 4

    # --- failures before an answer ---------------------------------------------------------------------------------

    async def test_refused_connection_F1(self, client: Upstream) -> None:
        """F1."""
        with refusing() as url:
            assert told(await failure_of(client, ask(url))) == (Unreachable, "connect_refused", False)

    async def test_unknown_name_F2(self, client: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
        """F2."""

        def resolve(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "SECRET")

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        error = await failure_of(client, ask("http://upstream.invalid"))
        assert told(error) == (Unreachable, "dns_error", False)
        assert "SECRET" not in whole_text(error)

    async def test_hanging_resolver_F2(self, client: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
        """F2: bounded by the limit on connecting."""
        is_over = threading.Event()

        def resolve(*args: int) -> None:
            if args[5] & socket.AI_NUMERICHOST:  # trio asks that first, on the event loop
                raise socket.gaierror(socket.EAI_NONAME, "no number")
            is_over.wait(WAIT_S)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        try:
            error = await failure_of(client, ask("http://upstream.invalid", connect_s=SHORT_S))
        finally:
            is_over.set()
        assert told(error) == (Timeout, "connect_timeout", False)

    @pytest.mark.skipif(sys.platform != "linux", reason="a full backlog drops packets on Linux alone")
    async def test_black_hole_F6(self, client: Upstream) -> None:
        """F6."""
        with socket.socket() as listener, socket.socket() as filler:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            filler.connect(listener.getsockname())
            error = await failure_of(client, ask(f"http://127.0.0.1:{listener.getsockname()[1]}", connect_s=SHORT_S))
        assert told(error) == (Timeout, "connect_timeout", False)

    async def test_stalled_handshake_F5(self, client: Upstream, stage: Stage) -> None:
        """F5: and the socket is closed, which httpcore forgets."""
        upstream = stage.script([Hang()])
        url = upstream.url.replace("http:", "https:")
        assert told(await failure_of(client, ask(url, connect_s=1))) == (Timeout, "tls_timeout", False)
        await stage.wait(upstream.wait_closed())

    @pytest.mark.parametrize("fault", ["unknown-ca", "wrong-host", "expired"])
    async def test_certificate_that_is_not_trusted_F4(
        self, make_client: MakeClient, stage: Stage, ca: trustme.CA, ca_file: str, fault: str
    ) -> None:
        """F4."""
        names = "api.example.com" if fault == "wrong-host" else "127.0.0.1"
        until = datetime.now(UTC) - timedelta(days=1) if fault == "expired" else None
        upstream = stage.script(RIGHT, ssl_context=server_context(ca.issue_cert(names, not_after=until)))
        client = make_client(tls=TLSSettings(ca_file=None if fault == "unknown-ca" else ca_file))
        error = await failure_of(client, ask(upstream.url))
        assert told(error) == (Unreachable, "tls_verify_failed", False)
        assert upstream.requests == []

    async def test_plain_server_behind_https(self, client: Upstream, stage: Stage) -> None:
        upstream = stage.script([ExpectBytes(20), Send(HELLO), Fin()])
        error = await failure_of(client, ask(upstream.url.replace("http:", "https:")))
        assert told(error) == (Unreachable, "tls_failed", False)

    async def test_private_ca_and_client_certificate(
        self, make_client: MakeClient, stage: Stage, ca: trustme.CA, ca_file: str, tmp_path: Path
    ) -> None:
        context = server_context(ca.issue_cert("127.0.0.1"))
        context.verify_mode = ssl.CERT_REQUIRED
        ca.configure_trust(context)
        own = ca.issue_cert("gateway@example.com")
        own.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
        upstream = stage.script(RIGHT, ssl_context=context)
        client = make_client(tls=TLSSettings(ca_file=ca_file, client_cert=str(tmp_path / "own.pem")))
        assert await fetch(client, ask(upstream.url, body=b"x" * 600_000)) == (200, b'{"a":1}')
        assert len(upstream.requests[0].body) == 600_000

    async def test_reset_as_soon_as_connected_F7(self, client: Upstream, stage: Stage) -> None:
        """F7: whether the request left before the reset came is a race, which ``test_connection`` decides."""
        upstream = stage.script([Reset()])
        error = await failure_of(client, ask(upstream.url))
        assert isinstance(error, Unreachable | Interrupted)
        assert error.may_be_billed is isinstance(error, Interrupted)

    @pytest.mark.parametrize(("script", "kind", "code"), BAD_HEADS.values(), ids=BAD_HEADS.keys())
    async def test_answer_that_does_not_begin(
        self, client: Upstream, stage: Stage, script: Script, kind: type[UpstreamError], code: str
    ) -> None:
        upstream = stage.script(script)
        error = await failure_of(client, ask(upstream.url, first_byte_s=SHORT_S if kind is Timeout else 600))
        assert told(error) == (kind, code, True)
        assert "SECRET" not in whole_text(error)
        await stage.wait(upstream.wait_closed())

    @pytest.mark.parametrize("setup", OWN_SETUPS, ids="-".join, indirect=True)
    async def test_flood_of_early_answers_F16_F18(self, client: Upstream, stage: Stage) -> None:
        """F16, F18: they count towards the size of the head."""
        upstream = stage.script([Expect(), Repeat([Send(EARLY * 500)])])
        assert told(await failure_of(client, ask(upstream.url))) == (Malformed, "bad_protocol", True)
        await stage.wait(upstream.wait_closed())

    async def test_limit_on_the_first_byte_begins_when_the_request_is_out(self, client: Upstream, stage: Stage) -> None:
        """An upload that takes longer than the limit on the answer is no slow answer."""
        upstream = stage.script([PauseReading(), Pause(1.2), ResumeReading(), Expect(), Send(HELLO)])
        request = ask(upstream.url, body=bytes(16_000_000), first_byte_s=1)
        assert await fetch(client, request) == (200, b'{"a":1}')

    async def test_answer_that_comes_before_the_upload_is_done_F13(self, client: Upstream, stage: Stage) -> None:
        """F13."""
        upstream = stage.script([ExpectBytes(10), Send(response(413, {}, b"too large")), Hang()])
        assert await fetch(client, ask(upstream.url, body=bytes(16_000_000))) == (413, b"too large")

    async def test_upstream_that_does_not_read(self, client: Upstream, stage: Stage) -> None:
        upstream = stage.script([ExpectBytes(10), PauseReading(), Hang()])
        error = await failure_of(client, ask(upstream.url, body=bytes(32_000_000), write_s=SHORT_S))
        assert told(error) == (Timeout, "write_timeout", False)

    async def test_full_client_makes_wait_and_then_refuses_F9(self, make_client: MakeClient, stage: Stage) -> None:
        """F9: the fault is nobody's but ours."""
        client = make_client(max_connections=1)
        upstream = stage.script([Expect(), Send(head(200)), Hang()], RIGHT)
        first = await client.open(ask(upstream.url))
        assert type(await failure_of(client, ask(upstream.url, connect_s=SHORT_S))) is QueueTimeout
        await first.close()
        assert await fetch(client, ask(upstream.url)) == (200, b'{"a":1}')
        assert len(upstream.connections) == 2

    # --- failures within an answer ---------------------------------------------------------------------------------

    @pytest.mark.parametrize(("sent", "then", "kind", "code"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
    async def test_answer_that_breaks_off(
        self, client: Upstream, stage: Stage, sent: bytes, then: Script, kind: type[UpstreamError], code: str
    ) -> None:
        gate = Gate()
        upstream = stage.script([Expect(), Send(sent), Hold(gate), *then])
        answer = await client.open(ask(upstream.url, idle_s=SHORT_S if kind is Timeout else 120))
        body = await answer.read() if kind is not Malformed else b"hello"
        stage.open(gate)
        with anyio.fail_after(WAIT_S), pytest.raises(GatewayError) as caught:
            await read_all(answer)
        await answer.close()
        assert body == b"hello"
        assert told(caught.value) == (kind, code, True)
        await stage.wait(upstream.wait_closed())

    @pytest.mark.parametrize(
        ("coding", "body", "code"),
        [
            pytest.param("gzip", b"no gzip", "encoded_corrupt", id="F47-corrupt"),
            pytest.param("gzip", GZIP[:-9], "encoded_corrupt", id="F47-cut"),
            pytest.param("gzip", gzip.compress(bytes(40_000_000)), "encoded_bomb", id="F47-M10-bomb"),
            pytest.param("br", brotli.compress(bytes(40_000_000)), "encoded_bomb", id="F47-M10-br-bomb"),
        ],
    )
    async def test_encoded_answer_that_cannot_be_decoded(
        self, client: Upstream, stage: Stage, coding: str, body: bytes, code: str
    ) -> None:
        upstream = stage.script([Expect(), Send(encoded(coding, body))])
        assert told(await failure_of(client, ask(upstream.url))) == (Malformed, code, True)

    # --- closing ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("reads", [0, 1])
    async def test_closed_answer_closes_the_connection_F57(self, client: Upstream, stage: Stage, reads: int) -> None:
        """F57: the upstream keeps the connection open after its last event, and nobody waits for it."""
        upstream = stage.script([Expect(), Send(head(200) + chunk(b"data: [DONE]\n\n")), Hang()])
        answer = await client.open(ask(upstream.url))
        for _ in range(reads):
            await answer.read()
        await answer.close()
        await answer.close()
        await stage.wait(upstream.wait_closed())

    async def test_endless_answer_is_closed_half_way(self, client: Upstream, stage: Stage) -> None:
        upstream = stage.script([Expect(), Send(head(200)), Repeat([Send(chunk(bytes(60_000)))])])
        answer = await client.open(ask(upstream.url))
        await answer.read()
        await answer.close()
        await stage.wait(upstream.wait_closed())

    @pytest.mark.parametrize(
        "until",
        [
            pytest.param([Expect()], id="M5-waiting"),
            pytest.param([ExpectBytes(10), PauseReading()], id="M5-sending"),
            pytest.param([Expect(), Send(head(200))], id="M5-reading"),
        ],
    )
    async def test_cancelled_request_closes_the_connection(self, client: Upstream, stage: Stage, until: Script) -> None:
        gate = Gate()
        upstream = stage.script([*until, Hold(gate), ResumeReading(), Hang()])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetch, client, ask(upstream.url, body=bytes(16_000_000)))
            await stage.wait(gate.reached())
            tasks.cancel_scope.cancel()
        stage.open(gate)
        await stage.wait(upstream.wait_closed())

    async def test_cancelled_handshake_closes_the_connection_F5(self, client: Upstream, stage: Stage) -> None:
        """F5: httpcore forgets the socket."""
        gate = Gate()
        upstream = stage.script([ExpectBytes(100), Hold(gate)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetch, client, ask(upstream.url.replace("http:", "https:")))
            await stage.wait(gate.reached())
            tasks.cancel_scope.cancel()
        await stage.wait(upstream.wait_closed())

    async def test_closed_client_ends_its_exchanges(self, client: Upstream, stage: Stage) -> None:
        upstream = stage.script([Expect(), Send(head(200)), Hang()])
        answer = await client.open(ask(upstream.url))
        await client.close()
        with pytest.raises(Interrupted):
            await answer.read()
        await answer.close()
        await stage.wait(upstream.wait_closed())
        assert told(await failure_of(client, ask(upstream.url))) == (Unreachable, "client_closed", False)
