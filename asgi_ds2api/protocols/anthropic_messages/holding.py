"""What the vendor holds of an answer, for later requests to go on with: a thread, under the answer's id; a container.

Follows the SDK's types (2.14, November 2026): ``thread`` of messages-threads, and ``container``, in which code ran.
Both are with the account that answered. Whose one is, is not decided here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...codec import Held, HTTPCall
from ...errors import UnknownItem
from ...framing import parse_frames
from ...json_guard import decode_object
from ...json_pieces import fields_of, text_of
from .errors import NO_THREAD

_THREAD: Final = "thread"
_CONTAINER: Final = "container"
_NAMING: Final = (b'"thread"', b'"container"', b"\\u00")
"""One of these stands in a request that names something; the last begins a letter that is written as its number."""
_TELLING: Final = (b'"message_start"', b'"container"')
"""One of these stands in a frame that tells of something."""


def named(call: HTTPCall) -> Sequence[Held]:
    """Return what a request goes on with."""
    if not any(sign in call.body for sign in _NAMING):
        return ()
    fields = decode_object(call.body)
    threads = [Held(kind=_THREAD, id=id_) for id_ in _ids(fields.get(_THREAD), "previous_message_id")]
    given = fields.get(_CONTAINER)
    plain = text_of(given)
    ids = _ids(given, "id") if plain is None else [plain]
    return *threads, *(Held(kind=_CONTAINER, id=id_) for id_ in ids)


def told(call: HTTPCall, data: bytes) -> Sequence[Held]:
    """Return what the vendor holds, as these bytes of an answer say: a whole one, or frames of a stream."""
    try:
        found = list(_told(data))
    except (msgspec.MsgspecError, UnicodeDecodeError):  # what the vendor said goes out as it is; nothing is noted of it
        return ()
    return [held for held in found if held.kind != _THREAD or _has_thread(call)]


def unknown(held: Held) -> UnknownItem:
    """Return the error for what is not there, or not for whoever asks. Of a thread the SDK then begins another one."""
    if held.kind == _THREAD:
        return UnknownItem(
            "No thread was found for this message. Send the whole talk, and begin a thread with it.",
            code=NO_THREAD,
            param="thread.previous_message_id",
        )
    return UnknownItem("There is no such container here. Leave it out, and get another one.", param=_CONTAINER)


def _told(data: bytes) -> Iterator[Held]:
    if data[:64].lstrip().startswith(b"{"):
        yield from _of_message(fields_of(data.strip()))
        return
    if not any(sign in data for sign in _TELLING):
        return
    for frame in parse_frames(data):
        if any(sign in frame.data for sign in _TELLING):
            event = fields_of(frame.data)
            kind = text_of(event.get("type"))
            if kind == "message_start":
                yield from _of_message(fields_of(event.get("message")))
            elif kind == "message_delta":
                yield from _of_container(fields_of(event.get("delta")))


def _of_message(fields: Mapping[str, Raw]) -> Iterator[Held]:
    id_ = text_of(fields.get("id"))
    if id_:
        yield Held(kind=_THREAD, id=id_)
    yield from _of_container(fields)


def _of_container(fields: Mapping[str, Raw]) -> Iterator[Held]:
    id_ = text_of(fields_of(fields.get(_CONTAINER)).get("id"))
    if id_:
        yield Held(kind=_CONTAINER, id=id_)


def _has_thread(call: HTTPCall) -> bool:
    return b'"thread"' in call.body and bool(fields_of(decode_object(call.body).get(_THREAD)))


def _ids(raw: Raw | None, member: str) -> list[str]:
    """Return each id that an object has under a name: of two that are equal, a reader may take either."""
    if raw is None or not bytes(raw).startswith(b"{"):
        return []
    pairs = json.loads(bytes(raw), object_pairs_hook=tuple, parse_int=float)  # no number has too many digits so
    return [value for name, value in pairs if name == member and isinstance(value, str)]
