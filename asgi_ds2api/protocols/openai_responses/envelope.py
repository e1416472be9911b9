"""What routing reads of a request, and the same request for another model."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw

from ...codec import Envelope, Heard, HTTPCall, Operation, Route
from ...headers import CODEX, forwarded_headers
from ...json_guard import decode_json, decode_object
from ...json_pieces import JsonField, fields_of, items_of, number_of, present, text_of
from ...profiles import Profile
from ..reserved import for_another_model
from . import wire
from .compaction import words_of_user
from .request import path_of
from .response import ECHO
from .tools import NAMESPACE, full_name

_FACES: Final = ("/v1/responses", "/responses")

ROUTES: Final[Sequence[Route]] = (
    *(Route(method="POST", path=path, operation="generate") for path in _FACES),
    *(Route(method="POST", path=f"{path}/input_tokens", operation="count_tokens") for path in _FACES),
    *(Route(method="POST", path=f"{path}/compact", operation="compact") for path in _FACES),
    *(Route(method="GET", path=f"{path}/{{id}}", operation="kept") for path in _FACES),
    *(Route(method="DELETE", path=f"{path}/{{id}}", operation="kept") for path in _FACES),
    *(Route(method="GET", path=f"{path}/{{id}}/input_items", operation="kept") for path in _FACES),
    *(Route(method="POST", path=f"{path}/{{id}}/cancel", operation="kept") for path in _FACES),
)

_UPSTREAM_PATHS: Final[Mapping[Operation, str]] = {
    "count_tokens": wire.COUNT_PATH,
    "compact": wire.COMPACT_PATH,
}

SESSION_HEADERS: Final = ("session-id", "session_id", "x-session-affinity", "x-session-id", "thread-id")
"""Where clients say which conversation a request belongs to: narrower than the user's id."""


class _Peek(msgspec.Struct):
    """What routing, and the form of the answer, need of a request."""

    model: str
    input: JsonField = UNSET
    max_output_tokens: JsonField = UNSET
    prompt_cache_key: str | None = None
    stream: bool | None = None
    tools: JsonField = UNSET


_PEEK: Final = msgspec.json.Decoder(_Peek)
_NULL: Final = b"null"
_BRING_TOOLS: Final = ("additional_tools", "tool_search_output")
"""Items by which further tools can be called."""


def claims(call: HTTPCall) -> bool:
    """Tell whether a path that nobody has is below an answer: Chat, of the same family, has the others."""
    return "responses" in call.path.split("/")


def peek(call: HTTPCall, operation: Operation) -> Envelope:
    """Read what routing needs, without building the message tree.

    Raises:
        MalformedRequest: Not JSON, or a field of the envelope is missing or of the wrong type.
    """
    head = decode_json(_PEEK, call.body)
    header = next((value for name in SESSION_HEADERS if (value := call.headers.get(name))), None)
    fields = decode_object(call.body)
    tools, items = present(head.tools), present(head.input)
    dialect = _dialect(call.headers)
    return Envelope(
        operation=operation,
        model=head.model,
        stream=bool(head.stream) and operation == "generate",
        session=head.prompt_cache_key or header,
        max_output_tokens=number_of(present(head.max_output_tokens)),
        dialect=dialect,
        heard=Heard() if dialect == "codex" else None,
        echo={name: value for name, value in fields.items() if name in ECHO and bytes(value) != _NULL},
        namespaces=_namespaces(tools, items) if b'"namespace"' in call.body else {},
        thoughts=_thoughts(items) if b'"reasoning"' in call.body else {},
        said=words_of_user(items) if operation == "compact" else (),
    )


def retarget(call: HTTPCall, model: str, profile: Profile, operation: Operation) -> HTTPCall:
    """Return the same request for another model; all other values stay byte for byte.

    Raises:
        MalformedRequest: A field that would steer the gateway.
    """
    return HTTPCall(
        method="POST",
        path=path_of(profile, model, _UPSTREAM_PATHS.get(operation, wire.PATH)),
        body=for_another_model(call.body, model),
        headers=forwarded_headers(call.headers, CODEX),
        query=profile.query,
    )


def _dialect(headers: Mapping[str, str]) -> Literal["", "codex", "open_responses"]:
    """Return whose reading of the protocol a caller has: Codex says who it is, Open Responses asks for its own."""
    if "x-openresponses" in headers:
        return "open_responses"
    names = (headers.get("originator", ""), headers.get("user-agent", ""))
    return "codex" if any(name.lower().startswith("codex") for name in names) else ""


def _namespaces(tools: Raw | None, items: Raw | None) -> dict[str, str]:
    """Return the full name of each tool in a namespace, and the namespace."""
    told = items_of(tools)
    for item in map(fields_of, items_of(items)):
        if text_of(item.get("type")) in _BRING_TOOLS:
            told += items_of(item.get("tools"))
    found: dict[str, str] = {}
    for space in map(fields_of, told):
        name = text_of(space.get("name"))
        if name and text_of(space.get("type")) == NAMESPACE:
            inner = (text_of(fields_of(tool).get("name")) for tool in items_of(space.get("tools")))
            found |= {full_name(name, plain): name for plain in inner if plain}
    return found


def _thoughts(items: Raw | None) -> dict[str, str]:
    """Return the places of the reasoning that came with an id, and the ids."""
    found: dict[str, str] = {}
    for position, raw in enumerate(items_of(items)):
        if b'"reasoning"' in bytes(raw):
            item = fields_of(raw)
            id_ = text_of(item.get("id"))
            if id_ and text_of(item.get("type")) == "reasoning":
                found[f"input[{position}]"] = id_
    return found
