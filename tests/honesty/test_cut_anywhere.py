"""An answer that breaks is never made to look complete: cut at every byte, the caller's SDK raises or has it all.

Ten recorded streams of each protocol, as the upstream of both faces, end at every byte offset. What the caller is sent
for each of them is judged by its official SDK: it raises, or has the complete answer with its usage; and whatever text
it was given is the beginning of the true one.
"""

from collections.abc import Sequence
from typing import Any, Literal

import httpx2
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from asgi_ds2api.canonical import ProtocolName, Request
from asgi_ds2api.codec import Codec, Envelope, HTTPCall
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import PROTOCOLS
from asgi_ds2api.seal import Keyring
from asgi_ds2api.shims import choose as choose_shims
from asgi_ds2api.transcode import Side, Transcoder, choose
from tests.support.oracle import recorded_outcome
from tests.support.outcome import Outcome
from tests.support.recorded import Recording, case_params, records
from tests.support.sdk_outcome import ask_anthropic, ask_openai

pytestmark = pytest.mark.anyio

KEYRING = Keyring([b"seal-of-the-tests-0123456789"])
STREAMS = 10
OF_PROTOCOL: dict[str, ProtocolName] = {"chat": "openai_chat", "anthropic": "anthropic_messages"}
PROFILE_OF = {"chat": "openai", "anthropic": "anthropic"}


def ten(protocol: Literal["chat", "anthropic"]) -> list[Recording]:
    """Return ten recorded streams that are whole, the shortest of each kind of content first."""
    found: dict[tuple[str, ...], Recording] = {}
    streams = [record for record in records(protocol, status=200, stream=True) if is_whole(record)]
    for record in sorted(streams, key=lambda record: len(record.response.body)):
        found.setdefault(record.feats, record)
    rest = [record for record in streams if record not in found.values()]
    return [*found.values(), *rest][:STREAMS]


def is_whole(record: Recording) -> bool:
    """Tell whether the vendor itself ended the stream as the protocol to the letter demands."""
    body = record.response.body
    if record.protocol == "anthropic":
        return b"message_stop" in body and b"event: error" not in body
    is_official = record.host == "api.openai.com"
    return is_official and b"[DONE]" in body and b'"finish_reason":"' in body.replace(b": ", b":")


def transcoder_for(face: Codec, record: Recording, envelope: Envelope) -> Transcoder:
    target = PROTOCOLS[OF_PROTOCOL[record.protocol]]
    profile = PROFILES[PROFILE_OF[record.protocol]]
    side = Side(codec=target, profile=profile, model="m", max_event_bytes=1 << 24)
    call = HTTPCall(method="POST", path="/", body=QUESTIONS[face.NAME])
    made = choose(
        face=face,
        call=call,
        envelope=envelope,
        side=side,
        request=lambda: face.decode_request(call),
        shims=lambda request: shims_for(request, target, side),
        on_unsupported="notice",
    )
    made.request()
    return made


def shims_for(request: Request, target: Codec, side: Side) -> Sequence[Any]:
    return choose_shims(request, target.NAME, side.profile, KEYRING, "caller")


QUESTIONS = {
    "openai_chat": b'{"model":"m","stream":true,"stream_options":{"include_usage":true},'
    b'"messages":[{"role":"user","content":"q"}]}',
    "anthropic_messages": b'{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"q"}]}',
}


def told(face: Codec, record: Recording, length: int) -> bytes | None:
    """Return what a caller is sent of the first ``length`` bytes; None: an HTTP error, as nothing of it was sent."""
    envelope = face.peek(HTTPCall(method="POST", path="/", body=QUESTIONS[face.NAME]), "generate")
    transcoder = transcoder_for(face, record, envelope)
    out = transcoder.feed(record.response.body[:length])
    if not transcoder.is_complete and transcoder.failure is None:
        out += transcoder.close()
    if transcoder.is_complete:
        return out
    assert transcoder.failure is not None, f"cut at {length}: neither complete nor broken"
    return out + transcoder.error(transcoder.failure) if transcoder.is_meaningful else None


async def heard(face: str, body: bytes) -> Outcome:
    """Return what the SDK makes of a stream; ``is_error`` where it raised."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        if face == "openai_chat":
            client = AsyncOpenAI(base_url="http://sdk/v1", api_key="k", http_client=http, max_retries=0)
            outcome = await ask_openai(client, "m", stream=True)
        else:
            claude = AsyncAnthropic(base_url="http://sdk", api_key="k", http_client=http, max_retries=0)
            outcome = await ask_anthropic(claude, "m", stream=True)
    return outcome


@pytest.mark.parametrize("record", case_params(lambda: [*ten("chat"), *ten("anthropic")]))
@pytest.mark.parametrize("face", ["openai_chat", "anthropic_messages"])
async def test_F46_F52_F53_F54_F55_F56_cut_at_every_byte_raises_or_is_complete(
    face: Literal["openai_chat", "anthropic_messages"], record: Recording
) -> None:
    codec = PROTOCOLS[face]
    truth = recorded_outcome(record)
    length = len(record.response.body)
    spoken = {told(codec, record, cut) for cut in range(length + 1)} - {None}
    assert spoken, "the whole stream was told to nobody"
    complete = 0
    for body in spoken:
        assert body is not None
        outcome = await heard(face, body)
        if outcome.is_error:
            assert truth.text.startswith(outcome.text)
            assert truth.reasoning.startswith(outcome.reasoning)
        else:
            complete += 1
            assert (outcome.text, outcome.tools) == (truth.text, truth.tools)
            assert outcome.finish == truth.finish
            assert truth.output_tokens in (None, outcome.output_tokens), "usage was told, and differs"
    assert complete == 1
