"""A sixth protocol is a folder and a row: with these it is a face and an upstream, to and from every other one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from asgi_ds2api import Gateway
from asgi_ds2api.canonical import (
    Block,
    Choice,
    Finish,
    FunctionTool,
    Message,
    Notices,
    Request,
    Response,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from asgi_ds2api.codec import Codec, Envelope, HTTPCall
from asgi_ds2api.config import Config
from asgi_ds2api.errors import ConfigError
from asgi_ds2api.fold import fold, unfold
from tests.protocols import toy_talk
from tests.protocols.with_toy import WITH_TOY
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.scripted_client import Answering, Script, ScriptedUpstream, answering

pytestmark = pytest.mark.anyio

TOY = "toy_talk"
DIRECTIONS = [
    pytest.param(WITH_TOY[face], WITH_TOY[to], id=f"{face}-{to}") for face in WITH_TOY for to in WITH_TOY
    if TOY in (face, to)
]  # fmt: skip
every_direction = pytest.mark.parametrize(("face", "to"), DIRECTIONS)
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
TOOL = FunctionTool(name="weather", parameters=msgspec.Raw(b'{"type":"object","properties":{}}'))
CALL = ToolCall(id="call_1", name="weather", arguments='{"city":"Rome"}')
ASKED = Message(role="user", content=(Text(text="How is it in Rome?"),))


def test_there_are_eleven_new_directions() -> None:
    assert len(DIRECTIONS) == 11


def told(to: Codec, blocks: Sequence[Block], *, stream: bool) -> Script:
    """Return an upstream's answer in its own protocol."""
    has_calls = any(isinstance(block, ToolCall) for block in blocks)
    choice = Choice(blocks=tuple(blocks), finish=Finish(reason="tool_calls" if has_calls else "stop"))
    usage = Usage(input_total=7, output_total=3)
    response = Response(source="somebody", id="id_1", model="m", choices=(choice,), usage=usage)
    envelope = Envelope(model="m", stream=stream, include_usage=True, salt="up", created=1)
    if not stream:
        return answering(to.encode_response(response, envelope, Notices()))
    encoder = to.StreamEncoder(envelope, Notices())
    data = encoder.encode(unfold(response)) + encoder.close()
    return Answering(200, {"content-type": to.STREAM_CONTENT_TYPE.decode()}, [data])


class Talk:
    """A gateway of six protocols, in front of one upstream."""

    def __init__(self, face: Codec, to: Codec, *scripts: Script) -> None:
        self.face, self.to = face, to
        self.upstream, self.records = ScriptedUpstream(*scripts), Records()
        self.gateway = make_gateway(
            upstream("up", protocol=to.NAME),
            scripts={"up": self.upstream},
            hooks=[self.records],
            protocols=WITH_TOY,
        )

    async def ask(self, *messages: Message, stream: bool = False, tools: tuple[FunctionTool, ...] = ()) -> Answer:
        request = Request(
            source="somebody", model="up/m", messages=messages, tools=tools, stream=stream, max_output_tokens=100
        )
        asked = self.face.encode_request(request, self.face.DEFAULT_PROFILE, Notices())
        query = "&".join(f"{name}={value}" for name, value in asked.query.items())
        return await call(self.gateway, asked.method, unquote(asked.path), body=asked.body, query=query)

    def read(self, answer: Answer, *, stream: bool) -> Response:
        """Return what the caller read."""
        if not stream:
            return self.face.decode_response(answer.body, self.face.DEFAULT_PROFILE)
        decoder = self.face.StreamDecoder(self.face.DEFAULT_PROFILE, 1_000_000)
        events = [*decoder.feed(answer.body), *(() if decoder.is_complete else decoder.close())]
        assert (decoder.is_complete, decoder.failure) == (True, None)
        return fold(events, self.face.join_opaque)

    @property
    def sent(self) -> Request:
        """What the upstream read last."""
        request = self.upstream.calls[-1].request
        path = request.url.partition("127.0.0.1:9")[2].partition("?")[0]
        return self.to.decode_request(HTTPCall(method="POST", path=path, body=request.body))


def blocks_of(response: Response) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for block in response.choices[0].blocks:
        if isinstance(block, Text) and block.text:
            found.append(("text", block.text))
        elif isinstance(block, ToolCall):
            found.append(("call", block.name, json.dumps(json.loads(block.arguments))))
    return found


@every_direction
@both_ways
async def test_text_goes_there_and_back(face: Codec, to: Codec, stream: bool) -> None:
    talk = Talk(face, to, told(to, [Text(text="It is fine.")], stream=stream))
    system = Message(role="system", content=(Text(text="Be brief."),))
    answer = await talk.ask(system, ASKED, stream=stream)
    assert answer.status == 200, answer.text
    response = talk.read(answer, stream=stream)
    assert blocks_of(response) == [("text", "It is fine.")]
    assert response.choices[0].finish.reason == "stop"
    assert response.usage is not None
    assert (response.usage.input_total, response.usage.output_total) == (7, 3)
    sent = talk.sent
    assert [block.text for m in sent.messages for block in m.content if isinstance(block, Text)] == [
        "Be brief.", "How is it in Rome?",
    ]  # fmt: skip
    assert [record.mode for record in talk.records] == ["relay" if face is to else "translate"]


@every_direction
@both_ways
async def test_tool_is_offered_called_and_answered(face: Codec, to: Codec, stream: bool) -> None:
    talk = Talk(face, to, *[told(to, [CALL], stream=stream)] * 2)
    answer = await talk.ask(ASKED, stream=stream, tools=(TOOL,))
    assert answer.status == 200, answer.text
    response = talk.read(answer, stream=stream)
    assert blocks_of(response) == [("call", "weather", '{"city": "Rome"}')]
    assert response.choices[0].finish.reason == "tool_calls"
    assert [tool.name for tool in talk.sent.tools] == ["weather"]
    (made,) = (block for block in response.choices[0].blocks if isinstance(block, ToolCall))
    said = Message(role="assistant", content=(made,))
    result = Message(role="tool", content=(ToolResult(call_id=made.id, blocks=(Text(text="18 C"),)),))
    await talk.ask(ASKED, said, result, stream=stream, tools=(TOOL,))
    blocks = [block for message in talk.sent.messages for block in message.content]
    (called,) = (block for block in blocks if isinstance(block, ToolCall))
    (given,) = (block for block in blocks if isinstance(block, ToolResult))
    assert (called.name, given.call_id) == ("weather", called.id)
    assert [block.text for block in given.blocks if isinstance(block, Text)] == ["18 C"]


@every_direction
async def test_stream_that_breaks_off_looks_complete_to_nobody(face: Codec, to: Codec) -> None:
    whole = told(to, [Text(text="It is fine.")], stream=True)
    assert isinstance(whole, Answering)
    (data,) = whole.pieces
    assert isinstance(data, bytes)
    broken = data[: data.index(b"fine") + 6]
    talk = Talk(face, to, *[Answering(200, whole.headers, [broken])] * 3)
    answer = await talk.ask(ASKED, stream=True)
    decoder = face.StreamDecoder(face.DEFAULT_PROFILE, 1_000_000)
    if answer.status == 200:
        decoder.feed(answer.body)
        decoder.close()
        assert not decoder.is_complete
    assert talk.records[0].result != "ok"


@pytest.mark.parametrize("prefix", ["", "/toys"])
async def test_its_paths_are_there_and_under_its_family(prefix: str) -> None:
    talk = Talk(toy_talk, toy_talk)
    models = await call(talk.gateway, "GET", f"{prefix}/toy/models")
    assert (models.status, models.body) == (200, b'{"models":[]}')
    refused = await call(talk.gateway, "POST", f"{prefix}/toy/talk", json={"messages": []})
    assert (refused.status, json.loads(refused.body)["error"]["param"]) == (400, "model")


@pytest.mark.parametrize("role", ["face", "upstream"])
async def test_it_is_told_of_with_all_others(role: str) -> None:
    talk = Talk(toy_talk, toy_talk)
    told = json.loads((await call(talk.gateway, "GET", "/capabilities", query=f"{role}={TOY}")).body)["requests"]
    assert list(told) == ([TOY] if role == "face" else list(WITH_TOY))
    upstreams = [list(cell["verdicts"]) for cells in told.values() for cell in cells]
    assert all(names == (list(WITH_TOY) if role == "face" else [TOY]) for names in upstreams)


@pytest.mark.parametrize("face", [codec for codec in WITH_TOY.values() if codec.EMBEDDINGS is not None])
async def test_what_it_lacks_is_refused_by_name(face: Any) -> None:
    talk = Talk(face, toy_talk)
    paths = {"gemini_generate": "/v1beta/models/up/m:embedContent", "ollama_chat": "/api/embed"}
    body = {"model": "up/m", "input": "x", "content": {"parts": [{"text": "x"}]}}
    answer = await call(talk.gateway, "POST", paths.get(face.NAME, "/v1/embeddings"), json=body)
    assert (answer.status, talk.upstream.calls) == (400, [])


# --- what else would have to know it ----------------------------------------------------------------------------------

ROOT = Path(__file__).parents[3]


def test_nothing_but_its_folder_its_row_and_its_cases_knows_it() -> None:
    places = [*(ROOT / "asgi_ds2api").rglob("*.py"), ROOT / "pyproject.toml", *(ROOT / "docs").rglob("*.json")]
    assert [place for place in places if "toy_talk" in place.read_text(encoding="utf-8")] == []


TABLE: dict[str, Any] = {
    "auth": "none",
    "upstreams": [{"name": "up", "protocol": TOY, "base_url": "http://127.0.0.1:9"}],
}


def test_configuration_takes_it_with_its_row_and_with_its_own_dialect() -> None:
    config = Config.from_dict(TABLE, {}, protocols=WITH_TOY)
    assert config.upstreams[0].profile == toy_talk.DEFAULT_PROFILE
    assert Gateway(config).config.protocols is WITH_TOY


def test_configuration_knows_nothing_of_it_without_its_row() -> None:
    with pytest.raises(ConfigError) as caught:
        Gateway(TABLE)
    assert "upstreams[0].protocol: is no known protocol" in str(caught.value)
