"""An answer that breaks is never made to look complete: cut at every byte, the caller's SDK raises or has it all.

Ten recorded streams of each protocol, as the upstream of both faces, end at every byte offset. What the caller is sent
for each of them is judged by its official SDK: it raises, or has the complete answer with its usage; and whatever text
it was given is the beginning of the true one. What stands between is driven without a gateway around it; streams that
are small enough to go through one as well are in ``test_cut_small_streams``.
"""

from typing import Literal

import pytest

from asgi_ds2api.canonical import ProtocolName
from tests.support.oracle import recorded_outcome
from tests.support.recorded import Recording, case_params, records

from .cutting import EXACT, Face, check_truth, heard, told, transcoder_for

pytestmark = pytest.mark.anyio

STREAMS = 10
OF_PROTOCOL: dict[str, ProtocolName] = {"chat": "openai_chat", "anthropic": "anthropic_messages"}


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


@pytest.mark.parametrize("record", case_params(lambda: [*ten("chat"), *ten("anthropic")]))
@pytest.mark.parametrize("face", ["openai_chat", "anthropic_messages"])
async def test_F46_F52_F53_F54_F55_F56_cut_at_every_byte_raises_or_is_complete(face: Face, record: Recording) -> None:
    upstream, stream = OF_PROTOCOL[record.protocol], record.response.body
    profile = EXACT[upstream]
    truth = recorded_outcome(record)
    spoken = {told(transcoder_for(face, upstream, profile), [stream[:cut]]) for cut in range(len(stream) + 1)}
    outcomes = [await heard(face, body) for body in spoken if body is not None]
    assert outcomes, "the whole stream was told to nobody"
    for outcome in outcomes:
        check_truth(truth, outcome)
    assert [outcome.is_error for outcome in outcomes].count(False) == 1
