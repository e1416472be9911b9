"""The words of toy talk: its name, its errors, and what it says of the sender's protocol: nothing."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from asgi_ds2api.canonical import Extras, Finish, Notices, Value
from asgi_ds2api.diagnosis import classify, read
from asgi_ds2api.errors import GatewayError, UpstreamError

NAME: Final = "toy_talk"
STREAM_CONTENT_TYPE: Final = b"application/x-toy-talk"
STATUS: Final = "status"

_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_STATUS: Final = msgspec.json.Decoder(int)


def told(value: Value, **instead: object) -> dict[str, object]:
    """Return the fields of a value, some of them replaced; ``source`` is nobody's business."""
    fields = {name: getattr(value, name) for name in value.__struct_fields__ if name != "source"}
    return {**fields, **instead}


def ours(fields: Mapping[str, Raw]) -> bytes:
    """Return fields as they are decoded: said in this protocol."""
    return msgspec.json.encode({**fields, "source": NAME})


def encode_failure(error: GatewayError) -> bytes:
    """Return an error as JSON: a whole answer, or the last line of a stream."""
    said = {"code": error.code, "message": error.message, "param": error.param, STATUS: error.status}
    return msgspec.json.encode({"error": said})


def failure_in(body: bytes) -> UpstreamError | None:
    """Return the error that JSON says; None: it says none."""
    error = _FIELDS.decode(_FIELDS.decode(body).get("error", b"{}"))
    return classify(_STATUS.decode(error.get(STATUS, b"500")), read(body)) if error else None


def finish_of(finish: Finish, notices: Notices) -> Finish:
    """Return why an answer ended, without what only a vendor understands."""
    if finish.details is not None:
        notices.hint("finish.details", "toys give no details")
    return msgspec.structs.replace(finish, details=None)


def own(extras: Extras, *, is_own: bool) -> Extras:
    """Return extras that are in the terms of this protocol."""
    return extras if is_own else {}
