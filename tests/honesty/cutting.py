"""What a caller is sent of a stream that is cut, without a gateway around it, and what its SDK makes of it."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import httpx2
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from asgi_ds2api.canonical import ProtocolName, Request
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.profiles import PROFILES, Profile
from asgi_ds2api.protocols import PROTOCOLS
from asgi_ds2api.seal import Keyring
from asgi_ds2api.shims import choose as choose_shims
from asgi_ds2api.transcoding.side import Side
from asgi_ds2api.transcoding.transcode import choose
from asgi_ds2api.transcoding.transcoder import Transcoder
from tests.support.outcome import Outcome
from tests.support.sdk_outcome import ask_anthropic, ask_openai

Face: TypeAlias = Literal["openai_chat", "anthropic_messages"]

KEYRING = Keyring([b"seal-of-the-tests-0123456789"])
EXACT: dict[ProtocolName, Profile] = {
    "openai_chat": PROFILES["openai"],
    "anthropic_messages": PROFILES["anthropic"],
}
"""The profile of the vendor who made a protocol: its streams are relayed to a caller of the same protocol."""
QUESTIONS = {
    "openai_chat": b'{"model":"m","stream":true,"stream_options":{"include_usage":true},'
    b'"messages":[{"role":"user","content":"q"}]}',
    "anthropic_messages": b'{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"q"}]}',
}


def transcoder_for(face: Face, upstream: ProtocolName, profile: Profile) -> Transcoder:
    """Return what stands between an upstream's stream and a caller, its request made."""
    codec, target = PROTOCOLS[face], PROTOCOLS[upstream]
    side = Side(codec=target, profile=profile, model="m", max_event_bytes=1 << 24)
    call = HTTPCall(method="POST", path="/", body=QUESTIONS[face])

    def shims(request: Request) -> Sequence[Any]:
        return choose_shims(request, target.NAME, profile, KEYRING, "caller")

    made = choose(
        face=codec,
        call=call,
        envelope=codec.peek(call, "generate"),
        side=side,
        request=lambda: codec.decode_request(call),
        shims=shims,
        on_unsupported="notice",
    )
    made.request()
    return made


def told(transcoder: Transcoder, pieces: Iterable[bytes]) -> bytes | None:
    """Return what a caller is sent of a stream that ends; None: an HTTP error, as nothing of it was sent."""
    out = b"".join(transcoder.feed(piece) for piece in pieces)
    if not transcoder.is_complete and transcoder.failure is None:
        out += transcoder.close()
    if transcoder.is_complete:
        return out
    assert transcoder.failure is not None, "neither complete nor broken"
    return out + transcoder.error(transcoder.failure) if transcoder.is_meaningful else None


async def heard(face: Face, body: bytes) -> Outcome:
    """Return what the SDK makes of a stream; ``is_error`` where it raised."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        if face == "openai_chat":
            client = AsyncOpenAI(base_url="http://sdk/v1", api_key="k", http_client=http, max_retries=0)
            return await ask_openai(client, "m", stream=True)
        claude = AsyncAnthropic(base_url="http://sdk", api_key="k", http_client=http, max_retries=0)
        return await ask_anthropic(claude, "m", stream=True)


def check_truth(truth: Outcome, outcome: Outcome) -> None:
    """Check that an SDK raised and had nothing but the beginning of the truth, or has all of it."""
    if outcome.is_error:
        assert truth.text.startswith(outcome.text)
        assert truth.reasoning.startswith(outcome.reasoning)
        assert [name for name, _ in truth.tools][: len(outcome.tools)] == [name for name, _ in outcome.tools]
        assert outcome.finish is None
        return
    assert (outcome.text, outcome.tools, outcome.finish) == (truth.text, truth.tools, truth.finish)
    assert truth.output_tokens in (None, outcome.output_tokens), "usage was told, and differs"
