"""The replay server plays what was recorded, byte for byte, however it is cut."""

import httpx
import msgspec
import pytest

from .recorded import RecordedRequest, RecordedResponse, Recording
from .replay import CUTS, MASKED, ReplayServer, model_of, play
from .script import Send

pytestmark = pytest.mark.anyio

TEXT = 'data: {"text": "日本 😀"}\n\n' * 40 + "data: [DONE]\n\n"


def recording(
    number: int, *, stream: bool = False, status: int = 200, headers: dict[str, str] | None = None
) -> Recording:
    text, json = (TEXT, msgspec.UNSET) if stream else (None, msgspec.Raw(b'{"n": 1}'))
    return Recording(
        id=f"{number:016x}",
        protocol="chat",
        host="h",
        model="m",
        feats=(),
        request=RecordedRequest(method="POST", path="/v1/chat/completions", body={"stream": stream}),
        response=RecordedResponse(status=status, headers=headers or {}, text=text, json_body=json),
    )


@pytest.mark.parametrize("cut_bytes", CUTS)
async def test_stream_is_whole_at_every_cut(cut_bytes: int) -> None:
    record = recording(1, stream=True, headers={"content-type": MASKED, "set-cookie": "a=b"})
    async with ReplayServer([record], cut_bytes=cut_bytes) as server, httpx.AsyncClient() as client:
        answer = await client.post(server.url, json={"model": model_of(record)})
        assert [request.json() for request in server.requests] == [{"model": "rec-0000000000000001"}]
    assert (answer.text, answer.headers["content-type"]) == (TEXT, "text/event-stream")
    assert "set-cookie" not in answer.headers


async def test_model_may_name_the_cut() -> None:
    record = recording(1, stream=True)
    async with ReplayServer([record], cut_bytes=4096) as server, httpx.AsyncClient() as client:
        body = {"model": model_of(record, prefix="x/", cut_bytes=7)}
        async with client.stream("POST", server.url, json=body) as answer:
            pieces = [piece async for piece in answer.aiter_raw()]
        assert len(server.requests_for(record)) == 1
    assert {len(piece) for piece in pieces[:-1]} == {7}


async def test_whole_answers_and_errors_keep_status_and_retry_after() -> None:
    good, bad = recording(1), recording(2, stream=True, status=429, headers={"retry-after": "7"})
    async with ReplayServer([good, bad]) as server, httpx.AsyncClient() as client:
        first = await client.post(f"{server.url}/models/{model_of(good)}:generate", content=b"")
        second = await client.post(server.url, json={"model": model_of(bad)})
        third = await client.post(server.url, json={"model": "other"})
    assert (first.status_code, first.json(), first.headers["content-type"]) == (200, {"n": 1}, "application/json")
    assert (second.status_code, second.headers["retry-after"], second.text) == (429, "7", TEXT)
    assert third.status_code == 404


def test_long_stream_leaves_in_a_bounded_number_of_writes() -> None:
    script = play(recording(1, stream=True), 1)
    assert len(script) <= 502
    assert sum(step.data.count(b"\r\n1\r\n") for step in script if isinstance(step, Send)) > 500
