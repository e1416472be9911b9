"""A whole answer, both ways."""

from typing import Final

import msgspec
from msgspec import Raw

from asgi_ds2api.canonical import Notices, Response
from asgi_ds2api.codec import AnswerFacts, Envelope
from asgi_ds2api.json_guard import decode_answer
from asgi_ds2api.profiles import Profile

from . import wire

_BODY: Final = msgspec.json.Decoder(dict[str, Raw])
_RESPONSE: Final = msgspec.json.Decoder(Response)


def decode_response(body: bytes, profile: Profile, salt: str = "") -> Response:
    """Read an upstream's whole answer.

    Raises:
        UpstreamError: Malformed, or an error inside a 200.
    """
    fields = decode_answer(_BODY, body)
    if failure := wire.failure_in(body):
        raise failure
    return decode_answer(_RESPONSE, wire.ours(fields))


def tap_response(body: bytes) -> AnswerFacts:
    """Judge a whole answer that will be relayed as it is. Raises as `decode_response`."""
    response = decode_response(body, Profile())
    return AnswerFacts(model=response.model, usage=response.usage, finish=response.choices[0].finish)


def encode_response(response: Response, envelope: Envelope, notices: Notices) -> bytes:
    """Write a whole answer for the caller."""
    is_own = response.source == wire.NAME
    for name in () if is_own else response.extras:
        notices.hint(name, "answers have no such field here")
    extras = wire.own(response.extras, is_own=is_own)
    choices = [
        msgspec.structs.replace(choice, finish=wire.finish_of(choice.finish, notices)) for choice in response.choices
    ]
    return msgspec.json.encode(wire.told(response, model=envelope.model, extras=extras, choices=choices))
