"""Answers that are kept, so that the next request can go on from them, and so that they can be looked up.

Follows protocol-openai B11. What is kept of an answer is what it answered to (the input that led to it, all earlier
turns included) and the answer as the caller got it. A request that goes on from it is the same request with those items
in front: tools, format and instructions are always those of the new request.

Only whole answers are kept, and none that was asked not to be (``store: false``). Who may see one is not decided here.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...codec import HTTPCall, Kept
from ...errors import MalformedRequest, UnknownItem, Unsupported
from ...json_guard import decode_object
from ...json_pieces import fields_of, items_of, text_of

MAX_TURNS: Final = 1_000
"""Longest chain of answers that is gone on from."""
_FALSE: Final = b"false"
_KEPT_STATUS: Final = frozenset({"completed", "incomplete"})
_ENDS: Final = (b'"type":"response.completed"', b'"type": "response.completed"',
                b'"type":"response.incomplete"', b'"type": "response.incomplete"')  # fmt: skip
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


def go_on(call: HTTPCall, kept: Kept) -> HTTPCall:
    """Return a request with what it goes on from in front of its own input.

    Raises:
        MalformedRequest: The talk has more turns than are gone on from.
    """
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


# --- an answer that is kept -------------------------------------------------------------------------------------------


def is_to_be_kept(call: HTTPCall) -> bool:
    """Tell whether the answer to a request is to be kept: by default it is."""
    return b'"store"' not in call.body or bytes(decode_object(call.body).get("store") or b"") != _FALSE


def final_answer(data: bytes) -> bytes | None:
    """Return the answer that these frames of a stream end with; None: they do not end it."""
    if not any(end in data for end in _ENDS):
        return None
    for line in reversed(data.splitlines()):
        if line.startswith(b"data:") and any(end in line for end in _ENDS):
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
    if not id_ or text_of(fields.get("status")) not in _KEPT_STATUS:
        return None
    own = tuple(_own_items(decode_object(call.body).get("input")))
    earlier = () if before is None else (*before.input, *before.output)
    turns = 1 if before is None else before.turns + 1
    kept = Kept(input=(*earlier, *own), output=tuple(items_of(fields.get("output"))), answer=Raw(answer), turns=turns)
    return id_, kept


# --- an answer that is looked up --------------------------------------------------------------------------------------


def id_in(path: str) -> str:
    """Return the id of the answer that a path names."""
    return path.partition("/responses/")[2].partition("/")[0]


def tell(call: HTTPCall, kept: Kept) -> bytes:
    """Return what is to be told of an answer that is kept.

    Raises:
        MalformedRequest: It is not in the background, or the page is odd.
        UnknownItem: It has no such item.
        Unsupported: It cannot be done here.
    """
    if call.method == "DELETE" and kept.account:
        raise Unsupported("The vendor keeps this answer as well: delete it there.", param="response_id")
    if call.method == "DELETE":
        return msgspec.json.encode({"id": id_in(call.path), "object": "response", "deleted": True})
    if call.path.endswith("/cancel"):
        raise MalformedRequest(
            "Only answers in the background can be cancelled, and none is here.", code="invalid_value"
        )
    if call.path.endswith("/input_items"):
        return _page(_listed(kept.input), call.query)
    if call.query.get("stream") == "true":
        raise Unsupported("A stream cannot be taken up again here. Ask without stream.", param="stream")
    return bytes(kept.answer)


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
