"""B62, B63, B65, B67, B76, B80 to B84: methods and paths that nearly mean a route; the host's stays the host's."""

from typing import Any

import pytest

from asgi_ds2api import DS2APIMiddleware
from tests.faults.bench import Bench, Way, both_faces
from tests.support.asgi_driver import Answer, Exchange, call
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import ScriptedUpstream, answering

from .refusals import ECHO, assert_refusal

pytestmark = pytest.mark.anyio


async def host(scope: Any, receive: Any, send: Any) -> None:
    """Answer everything, as an application with a catch-all route does."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"the host's"})


def in_front(way: Way, *answers: bytes) -> tuple[DS2APIMiddleware, ScriptedUpstream]:
    """Return a gateway under ``/ai`` of `host`, and the upstream behind it."""
    scripted = ScriptedUpstream(*map(answering, answers))
    return DS2APIMiddleware(host, gateway=make_gateway(scripts={way.upstream.name: scripted})), scripted


def asked(way: Way) -> dict[str, Any]:
    """Return a small request."""
    return way.face.ask(f"{way.upstream.name}/test", stream=False)


# --- B62, B63, B65: methods -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("GET", id="B62-get"),
        pytest.param("PUT", id="B62-put"),
        pytest.param("DELETE", id="B62-delete"),
        pytest.param("HEAD", id="B63-head"),
        pytest.param("TRACE", id="B65-trace"),
        pytest.param("CONNECT", id="B65-connect"),
        pytest.param("FOO", id="B65-foo"),
        pytest.param("post", id="B65-lower-case"),
        pytest.param(f"<{ECHO}>", id="B65-markup"),
    ],
)
@both_faces
async def test_wrong_method_is_405_with_the_right_one_and_the_body_unread(way: Way, method: str) -> None:
    app, scripted = in_front(way)
    headers = {**way.face.headers, "x-echo": ECHO}
    # The body never comes: whoever waits for it never answers.
    async with Exchange(app, method, f"/ai{way.face.path}", headers=headers, body=None) as exchange:
        answer = await exchange.finish()
    assert (answer.status, answer.header("allow")) == (405, "POST")
    assert scripted.calls == []
    if method == "HEAD":
        assert answer.body == b""
    else:
        assert_refusal(way.face.name, answer, 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/ai", "/ai/", "/ai/v1/models", "/ai/v1/models/{model}", "/ai/v1/models/nobody"])
@both_faces
async def test_B63_head_has_the_headers_of_get_and_no_body(way: Way, path: str) -> None:
    app, _ = in_front(way)
    headers = {**way.face.headers, "x-request-id": "same"}
    path = path.replace("{model}", f"{way.upstream.name}/test")
    get = await call(app, "GET", path, headers=headers)
    head = await call(app, "HEAD", path, headers=headers)
    assert get.body
    assert get.header("content-length") == str(len(get.body))
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")


@both_faces
async def test_B62_list_of_models_takes_no_post(way: Way) -> None:
    app, _ = in_front(way)
    answer = await call(app, "POST", "/ai/v1/models", headers=way.face.headers, json={})
    assert_refusal(way.face.name, answer, 405, "method_not_allowed")
    assert answer.header("allow") == "GET, HEAD"


# --- B67: what is no request ------------------------------------------------------------------------------------------


async def test_B67_host_of_asgi_2_behind_its_adapter_gets_what_is_its_own() -> None:
    """Every scope is passed on as it is, so that whoever adapts the host to ASGI 3 has it as before."""
    seen: list[str] = []

    class Old:
        def __init__(self, scope: Any) -> None:
            seen.append(scope["type"])

        async def __call__(self, receive: Any, send: Any) -> None:
            seen.append(scope_path)

    async def adapted(scope: Any, receive: Any, send: Any) -> None:
        await Old(scope)(receive, send)

    scope_path = "/page"
    app = DS2APIMiddleware(adapted, gateway=make_gateway(upstream("chat")))
    for kind in ("http", "websocket", "lifespan", "of.tomorrow"):
        await app({"type": kind, "path": scope_path}, never_asked, never_asked)
    assert seen == [text for kind in ("http", "websocket", "lifespan", "of.tomorrow") for text in (kind, scope_path)]


async def never_asked(*_: Any) -> Any:
    """Be a channel that nobody uses."""
    raise AssertionError("nobody reads or answers what is the host's")


# --- B76: Host --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hosts",
    [[], [b"x/health?y="], [b"evil.example"], [b"a", b"b"], [b"\xff\x00"], [b"x/ai/v1/models#"]],
    ids=["missing", "path", "other", "two", "no-text", "other-route"],
)
@both_faces
async def test_B76_host_has_no_effect(way: Way, hosts: list[bytes]) -> None:
    async with Bench(way, *[answering(way.upstream.whole())] * 2, accounts=1) as bench:
        await bench.ask(stream=False)
        pairs = [(name.encode(), value.encode()) for name, value in way.face.headers.items()]
        raw = [*((b"host", host) for host in hosts), (b"content-type", b"application/json"), *pairs]
        answer = await bench.ask(stream=False, scope_extra={"headers": raw, "server": None, "scheme": "ftp"})
        assert answer.status == 200
        first, second = (made.request for made in bench.scripted.calls)
        assert (second.url, second.headers, second.body) == (first.url, first.headers, first.body)


# --- B80 to B84: paths ------------------------------------------------------------------------------------------------


async def post(way: Way, path: str, **more: Any) -> tuple[Answer, ScriptedUpstream]:
    """Send a good request to a path, of which an upstream would answer one."""
    app, scripted = in_front(way, way.upstream.whole())
    return await call(app, "POST", path, headers=way.face.headers, json=asked(way), **more), scripted


OURS_AND_UNCLEAN = {
    "B80-empty-segment": "/ai/{path}",
    "B80-dot": "/ai/.{path}",
    "B80-dot-dot": "/ai/x/..{path}",
    "B80-out-and-back": "/ai/../ai{path}",
    "B80-trailing-slash": "/ai{path}/",
    "B80-two-slashes-at-the-end": "/ai{path}//",
    "B80-parameter": "/ai{path};x",
    "B80-escaped-twice": "/ai/%76%31{path}",
    "B80-twice-the-prefix": "/ai/ai{path}",
    "B80-nul": "/ai{path}\x00",
    "B80-blank": "/ai{path} ",
    "B80-line": "/ai{path}\n",
    "B80-upper-case": "/ai{upper}",
    "B80-backslashes": "/ai/{backslashed}",
    "B84-no-utf-8": "/ai/\ufffd\ufffd{path}",
    "B84-lone-surrogate": "/ai/\udcc0\udcaf{path}",
    "B84-full-width": "/ai/\uff0fv1{path}",
}


@pytest.mark.parametrize("shape", OURS_AND_UNCLEAN.values(), ids=OURS_AND_UNCLEAN.keys())
@both_faces
async def test_unclean_path_under_the_prefix_is_our_404_and_never_the_hosts(way: Way, shape: str) -> None:
    plain = way.face.path
    path = shape.format(path=plain, upper=plain.upper(), backslashed=plain.replace("/", "\\"))
    answer, scripted = await post(way, path, raw_path=b"")
    assert (answer.status, answer.header("x-ds2api-error")) == (404, "unknown_url")
    assert scripted.calls == []


THE_HOSTS = {
    "B80-two-slashes": "//ai{path}",
    "B80-parameter": "/ai;x{path}",
    "B80-upper-case": "/AI{path}",
    "B80-backslash": "/ai\\v1",
    "B80-nul": "/ai\x00{path}",
    "B80-dot": "/./ai{path}",
    "B82-longer": "/aiX{path}",
    "B82-shorter": "/a{path}",
    "B82-elsewhere": "/x/ai{path}",
    "B76-absolute-form": "http://evil.example/ai{path}",
    "B76-no-slash": "ai{path}",
    "B76-star": "*",
    "B84-no-utf-8": "/ai\ufffd{path}",
}


@pytest.mark.parametrize("shape", THE_HOSTS.values(), ids=THE_HOSTS.keys())
@both_faces
async def test_path_that_is_not_under_the_prefix_is_the_hosts(way: Way, shape: str) -> None:
    answer, scripted = await post(way, shape.format(path=way.face.path), raw_path=b"")
    assert (answer.status, answer.body) == (299, b"the host's")
    assert scripted.calls == []


@pytest.mark.parametrize("escape", ["%2f", "%2F"])
@both_faces
async def test_B81_route_that_was_typed_with_an_escaped_slash_is_our_404(way: Way, escape: str) -> None:
    """The decoded path is the same each time; only how it was typed tells."""
    path = f"/ai{way.face.path}"
    slashes = [index for index, character in enumerate(path) if character == "/"]
    for index in slashes:
        typed = path[:index] + escape + path[index + 1 :]
        answer, scripted = await post(way, path, raw_path=typed.encode())
        assert (answer.status, answer.header("x-ds2api-error")) == (404, "unknown_url"), typed
        assert scripted.calls == []


@pytest.mark.parametrize("typed", ["/ai%2f", "/ai%2F", "%2fai/", "/%2e/ai/", "/ai/%00", "/ai%5c"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_B81_liveness_that_was_typed_with_an_escape_is_our_404(typed: str, method: str) -> None:
    gateway = make_gateway(upstream("chat"))
    answer = await call(DS2APIMiddleware(host, gateway=gateway), method, "/ai/", raw_path=typed.encode())
    assert (answer.status, answer.header("x-ds2api-error")) == (404, "unknown_url")


@both_faces
async def test_B81_server_that_does_not_tell_how_a_path_was_typed_is_believed(way: Way) -> None:
    answer, _ = await post(way, f"/ai{way.face.path}", scope_extra={"raw_path": None})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("root", "path", "is_ours"),
    [
        ("/x", "/x/ai{path}", True),
        ("/x", "/ai{path}", True),
        ("/x/y", "/x/y/ai{path}", True),
        ("", "/ai{path}", True),
        ("/ai", "/ai/ai{path}", True),
        ("/x", "/xy/ai{path}", False),
        ("/x", "/x/x/ai{path}", False),
        ("/x", "/x//ai{path}", False),
        ("/ai", "/ai{path}", False),
    ],
    ids=[
        "mounted",
        "stripped",
        "deep",
        "none",
        "mounted-at-the-prefix",
        "longer",
        "twice",
        "two-slashes",
        "stripped-twice",
    ],
)
@both_faces
async def test_B83_prefix_is_looked_for_behind_the_mount_point(way: Way, root: str, path: str, is_ours: bool) -> None:
    answer, scripted = await post(way, path.format(path=way.face.path), root_path=root)
    assert answer.status == (200 if is_ours else 299)
    assert len(scripted.calls) == is_ours


@pytest.mark.parametrize(("root", "status"), [("/x", 200), ("/xy", 404), ("/x/v", 404), ("", 404)])
@both_faces
async def test_B83_mounted_gateway_serves_what_is_behind_its_mount_point(way: Way, root: str, status: int) -> None:
    scripted = ScriptedUpstream(answering(way.upstream.whole()))
    gateway = make_gateway(scripts={way.upstream.name: scripted})
    path = f"/x{way.face.path}"
    answer = await call(gateway, "POST", path, headers=way.face.headers, json=asked(way), root_path=root)
    assert (answer.status, len(scripted.calls)) == (status, int(status == 200))


@pytest.mark.parametrize("model", ["\ufffd\ufffd", "a\udc80", "..", "a\x00b", "x" * 600])
@both_faces
async def test_B84_odd_model_in_a_path_is_unknown(way: Way, model: str) -> None:
    gateway = make_gateway(upstream(way.upstream.name, models=["*"]) if model == ".." else upstream(way.upstream.name))
    path = f"/v1/models/{model}"
    answer = await call(gateway, "GET", path, headers=way.face.headers, raw_path=b"/v1/models/%c0%af")
    assert_refusal(way.face.name, answer, 404, "model_not_found")
