"""Answers that are kept, so that the next request can go on from them, and so that they can be looked up.

Follows protocol-openai B11. What is kept of an answer is what it answered to (the input that led to it, all earlier
turns included) and the answer as the caller got it. A request that goes on from it is the same request with those items
in front: tools, format and instructions are always those of the new request.

An item of an answer may be named alone: it is looked up among the same answers, and stands where it was named.

Only whole answers are kept, and none that was asked not to be (``store: false``); of one that a vendor goes on with in
the background, that it is there. Who may see one is not decided here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Raw

from ...canonical import Notices, Usage
from ...codec import Envelope, HTTPCall, Kept
from ...errors import MalformedRequest, UnknownItem
from ...fold import unfold
from ...headers import CODEX, forwarded_headers
from ...json_guard import decode_object
from ...json_pieces import fields_of, items_of, text_of
from ...profiles import Profile
from . import wire
from .hosted import REFERENCE
from .request import path_of
from .response import response_of
from .stream_encoder import StreamEncoder
from .usage import decode_usage

MAX_TURNS: Final = 1_000
"""Longest chain of answers that is gone on from."""
MAX_NAMED: Final = 2_000
"""Most items that are looked up for one request, and of one answer."""
_BARE_ID: Final = re.compile(rb'\{\s*(?:"type"\s*:\s*null\s*,\s*)?"id"\s*:\s*"[^"]*"\s*(?:,\s*"type"\s*:\s*null\s*)?\}')
_FALSE: Final = b"false"
_TRUE: Final = b"true"
_KEPT_STATUS: Final = frozenset({"completed", "incomplete"})
_OPEN_STATUS: Final = frozenset({"queued", "in_progress"})
_BEGINNINGS: Final = (b'"type":"response.created"', b'"type": "response.created"')
_ENDS: Final = (b'"type":"response.completed"', b'"type": "response.completed"',
                b'"type":"response.incomplete"', b'"type": "response.incomplete"')  # fmt: skip
_CANCEL: Final = "/cancel"
_STREAM_QUERY: Final = frozenset({"include_obfuscation", "starting_after", "stream"})
_MAX_DIGITS: Final = 9
_FRAME: Final = b"\n\n"
_MAX_PAGE: Final = 100
_USUAL_PAGE: Final = 20


# --- a request that goes on -------------------------------------------------------------------------------------------


def previous_id(call: HTTPCall) -> str | None:
    """Return the id of the answer that a request goes on from; None: it begins a talk.

    Raises:
        MalformedRequest: It goes on from an answer and from a conversation at once.
    """
    if b'"previous_response_id"' not in call.body:
        return None
    fields = decode_object(call.body)
    previous = text_of(fields.get("previous_response_id"))
    if previous is not None and _is_there(fields.get("conversation")):
        raise MalformedRequest(
            "Send previous_response_id or conversation, not both.",
            code="invalid_value",
            param="previous_response_id",
        )
    return previous


def conversation_id(call: HTTPCall) -> str | None:
    """Return the id of the conversation that a request is part of; None: of none."""
    if b'"conversation"' not in call.body:
        return None
    given = decode_object(call.body).get("conversation")
    return text_of(given) or text_of(fields_of(given).get("id"))


def is_background(call: HTTPCall) -> bool:
    """Tell whether the vendor shall go on with the answer when nobody waits for it."""
    return b'"background"' in call.body and bytes(decode_object(call.body).get("background") or b"") == _TRUE


def go_on(call: HTTPCall, kept: Kept) -> HTTPCall:
    """Return a request with what it goes on from in front of its own input.

    Raises:
        MalformedRequest: The talk has more turns than are gone on from, or its last answer has not ended.
    """
    if kept.is_open:
        raise MalformedRequest(
            "The previous response has not ended yet. Wait for it, or ask the model that works on it.",
            code="invalid_value",
            param="previous_response_id",
        )
    if kept.turns >= MAX_TURNS:
        raise MalformedRequest(
            f"The talk has more than {MAX_TURNS} turns. Send the input that matters, and begin another one.",
            code="invalid_value",
            param="previous_response_id",
        )
    fields = decode_object(call.body)
    del fields["previous_response_id"]
    items = [*kept.input, *kept.output, *_own_items(fields.get("input"))]
    return msgspec.structs.replace(call, body=msgspec.json.encode({**fields, "input": items}))


# --- items that are only named ----------------------------------------------------------------------------------------


def named_items(call: HTTPCall) -> Sequence[str]:
    """Return the ids of the items that a request only names, each once.

    Raises:
        MalformedRequest: There are more than are looked up.
    """
    if b'"item_reference"' not in call.body and _BARE_ID.search(call.body) is None:
        return ()
    ids = {id_: None for item in items_of(decode_object(call.body).get("input")) if (id_ := _named(item)) is not None}
    if len(ids) > MAX_NAMED:
        raise MalformedRequest(
            f"At most {MAX_NAMED} items are looked up. Send the items themselves.", code="invalid_value", param="input"
        )
    return tuple(ids)


def item(kept: Kept, id_: str) -> Raw | None:
    """Return an item of an answer that is kept; None: it has none of this id."""
    mark = msgspec.json.encode(id_)
    return next((raw for raw in kept.output if mark in bytes(raw) and _id_of(raw) == id_), None)


def with_items(call: HTTPCall, items: Mapping[str, Raw], before: Kept | None) -> HTTPCall:
    """Return a request with these items where it only names them.

    Args:
        call: As it came.
        items: By their ids; what is not among them stays a name.
        before: What the request goes on from: what stands there is not said again.
    """
    fields = decode_object(call.body)
    said = set() if before is None else {_id_of(raw) for raw in (*before.input, *before.output)}
    told: list[Raw] = []
    for given in items_of(fields.get("input")):
        id_ = _named(given)
        if id_ is None:
            told.append(given)
        elif id_ not in said:
            told.append(items.get(id_, given))
            said.add(id_)
    return msgspec.structs.replace(call, body=msgspec.json.encode({**fields, "input": told}))


def item_ids(kept: Kept) -> Sequence[str]:
    """Return the ids of the items of an answer, by which later requests may name them."""
    return [id_ for raw in kept.output[:MAX_NAMED] if (id_ := _id_of(raw)) is not None]


def _named(raw: Raw) -> str | None:
    """Return the id that an item consists of; None: it says more. A bare id is a reference, too."""
    fields = fields_of(raw)
    kind = text_of(fields.get("type"))
    is_reference = kind == REFERENCE or (kind is None and fields.keys() == {"id"})
    return text_of(fields.get("id")) if is_reference else None


def _id_of(raw: Raw) -> str | None:
    return text_of(fields_of(raw).get("id"))


# --- an answer that is kept -------------------------------------------------------------------------------------------


def is_to_be_kept(call: HTTPCall) -> bool:
    """Tell whether the answer to a request is to be kept: by default it is."""
    return b'"store"' not in call.body or bytes(decode_object(call.body).get("store") or b"") != _FALSE


def first_answer(data: bytes) -> bytes | None:
    """Return the answer, without output, that these frames of a stream begin with; None: they do not begin it."""
    return _answer_in(data, _BEGINNINGS)


def final_answer(data: bytes) -> bytes | None:
    """Return the answer that these frames of a stream end with; None: they do not end it."""
    return _answer_in(data, _ENDS)


def _answer_in(data: bytes, marks: Sequence[bytes]) -> bytes | None:
    if not any(mark in data for mark in marks):
        return None
    for line in reversed(data.splitlines()):
        if line.startswith(b"data:") and any(mark in line for mark in marks):
            return bytes(fields_of(Raw(line[5:].strip())).get("response") or b"") or None
    return None


def keep(call: HTTPCall, answer: bytes, before: Kept | None) -> tuple[str, Kept] | None:
    """Return the id of an answer, and what is kept of it; None: there is nothing that could be gone on from.

    Args:
        call: The caller's request, as it came.
        answer: The whole answer as the caller got it.
        before: What the request went on from.
    """
    fields = fields_of(Raw(answer))
    id_ = text_of(fields.get("id"))
    status = text_of(fields.get("status"))
    is_open = status in _OPEN_STATUS and is_background(call)
    if not id_ or (status not in _KEPT_STATUS and not is_open):
        return None
    own = tuple(_own_items(decode_object(call.body).get("input")))
    earlier = () if before is None else (*before.input, *before.output)
    turns = 1 if before is None else before.turns + 1
    output = tuple(items_of(fields.get("output")))
    kept = Kept(input=(*earlier, *own), output=output, answer=Raw(answer), turns=turns, is_open=is_open)
    return id_, kept


def renew(kept: Kept, answer: bytes) -> Kept | None:
    """Return what is kept of an answer that was open, now that it ended; None: it has not, or failed."""
    fields = fields_of(Raw(answer))
    if text_of(fields.get("status")) not in _KEPT_STATUS:
        return None
    output = tuple(items_of(fields.get("output")))
    return msgspec.structs.replace(kept, output=output, answer=Raw(answer), is_open=False)


def usage(answer: bytes) -> Usage | None:
    """Return what an answer used; None: it has not ended, or does not tell."""
    fields = fields_of(Raw(answer))
    told = fields.get("usage")
    if text_of(fields.get("status")) in _OPEN_STATUS or not _is_there(told):
        return None
    return decode_usage(told)


# --- an answer that is looked up --------------------------------------------------------------------------------------


def id_in(path: str) -> str:
    """Return the id of the answer that a path names."""
    return path.partition("/responses/")[2].partition("/")[0]


def is_for_vendor(call: HTTPCall, kept: Kept) -> bool:
    """Tell whether the account that keeps an answer as well is to be asked: to delete it, and while it is open."""
    return bool(kept.account) and (call.method == "DELETE" or (kept.is_open and not _is_about_input(call)))


def at_vendor(call: HTTPCall, model: str, profile: Profile) -> HTTPCall:
    """Return the same look-up for the vendor."""
    action = _CANCEL if call.path.endswith(_CANCEL) else ""
    return HTTPCall(
        method=call.method,
        path=f"{path_of(profile, model, wire.PATH)}/{quote(id_in(call.path), safe='')}{action}",
        headers=forwarded_headers(call.headers, CODEX),
        query={name: value for name, value in call.query.items() if name in _STREAM_QUERY},
    )


def is_stream(call: HTTPCall) -> bool:
    """Tell whether an answer is to be told as a stream."""
    is_answer = call.method == "GET" and not _is_about_input(call)
    return is_answer and call.query.get("stream", "").lower() == "true"


def _is_about_input(call: HTTPCall) -> bool:
    return call.path.endswith("/input_items")


def tell(call: HTTPCall, kept: Kept) -> bytes:
    """Return what is to be told of an answer that is kept.

    Raises:
        MalformedRequest: It is not in the background, or the page or the place in a stream is odd.
        UnknownItem: It has no such item.
    """
    if call.method == "DELETE":
        return msgspec.json.encode({"id": id_in(call.path), "object": "response", "deleted": True})
    if call.path.endswith(_CANCEL):
        raise MalformedRequest("Cannot cancel a synchronous response.", code="invalid_value", param="response_id")
    if _is_about_input(call):
        return _page(_listed(kept.input), call.query)
    if is_stream(call):
        return _told_again(kept, call)
    return bytes(kept.answer)


def _told_again(kept: Kept, call: HTTPCall) -> bytes:
    """Return the stream of an answer that ended, without the events that the caller says it has."""
    after = call.query.get("starting_after", "-1")
    if after != "-1" and not (after.isascii() and after.isdigit() and len(after) <= _MAX_DIGITS):
        raise MalformedRequest("starting_after is a number.", code="invalid_value", param="starting_after")
    fields = fields_of(Raw(kept.answer))
    is_stored = bytes(fields.get("store", b"")) == _TRUE
    envelope = Envelope(model=text_of(fields.get("model")) or "", stream=True, is_kept=is_stored)
    encoder = StreamEncoder(envelope, Notices())
    *events, end = (encoder.encode(unfold(response_of(fields))) + encoder.close()).split(_FRAME)[:-1]
    return b"".join(event + _FRAME for event in (*events[int(after) + 1 :], end))


def _page(items: Sequence[dict[str, Raw]], query: Mapping[str, str]) -> bytes:
    """Return a page of items: the newest first, unless the query says otherwise."""
    ordered = list(items) if query.get("order") == "asc" else list(reversed(items))
    limit = query.get("limit", str(_USUAL_PAGE))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= _MAX_PAGE):
        raise MalformedRequest(f"limit is a number from 1 to {_MAX_PAGE}.", code="invalid_value", param="limit")
    if after := query.get("after"):
        place = next((n for n, item in enumerate(ordered) if text_of(item["id"]) == after), None)
        if place is None:
            raise UnknownItem("Item not found: no item of this answer's input has this id.", param="after")
        ordered = ordered[place + 1 :]
    page = ordered[: int(limit)]
    return msgspec.json.encode(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(ordered) > len(page),
        }
    )


def _listed(items: Sequence[Raw]) -> list[dict[str, Raw]]:
    """Return items as a list tells them: each has a type and an id."""
    found: list[dict[str, Raw]] = []
    for position, raw in enumerate(items):
        fields = fields_of(raw)
        kind = text_of(fields.get("type")) or "message"
        id_ = f"{kind[:3]}_{position:06d}"
        found.append({"type": Raw(msgspec.json.encode(kind)), "id": Raw(msgspec.json.encode(id_)), **fields})
    return found


def _own_items(given: Raw | None) -> list[Raw]:
    """Return the input of a request as items: a text is a message of the user."""
    if given is not None and bytes(given).startswith(b'"'):
        message = {"type": "message", "role": "user", "content": given}
        return [Raw(msgspec.json.encode(message))]
    return items_of(given)


def _is_there(field: Raw | None) -> bool:
    return field is not None and bytes(field) != b"null"
