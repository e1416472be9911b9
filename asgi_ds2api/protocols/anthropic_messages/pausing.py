"""How a paused answer is gone on from: https://docs.anthropic.com/en/api/handling-stop-reasons (2026-11).

The request is sent again with the answer behind its messages, as it was, and nothing else: another word of the user's
would change what is asked. A container in which the vendor's tools began to work is named, so that they find it again.
"""

from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Notices, Response
from ...codec import Envelope, HTTPCall
from ...json_guard import decode_object
from .response import encode_response

_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final = msgspec.json.Decoder(list[Raw])


def go_on_from(call: HTTPCall, answer: Response) -> HTTPCall:
    """Return the call that goes on from an answer to ``call``, which this codec wrote."""
    body = decode_object(call.body)
    said = _OBJECT.decode(encode_response(answer, Envelope(model=""), Notices()))
    messages: list[object] = [*_LIST.decode(body["messages"]), {"role": "assistant", "content": said["content"]}]
    named = {} if "container" not in said else _container(said["container"], body.get("container"))
    return msgspec.structs.replace(call, body=msgspec.json.encode({**body, "messages": messages, **named}))


def _container(told: Raw, asked: Raw | None) -> dict[str, object]:
    """Return the field that names a container beside what was asked of it (skills)."""
    id_ = _fields(told).get("id")
    if id_ is None:
        return {}
    wanted = {} if asked is None else _fields(asked)
    return {"container": {**wanted, "id": id_} if wanted else id_}


def _fields(raw: Raw) -> dict[str, Raw]:
    """Return the fields of an object; of anything else none."""
    return _OBJECT.decode(raw) if bytes(raw).startswith(b"{") else {}
