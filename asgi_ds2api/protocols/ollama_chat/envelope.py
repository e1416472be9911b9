"""What routing reads of a request, and the same request for another model."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from ...canonical import Finish
from ...codec import Envelope, HTTPCall, Operation, Route
from ...headers import forwarded_headers
from ...json_guard import decode_json
from ...json_pieces import JsonField, fields_of, missing, number_of, present
from ...profiles import Profile
from ..reserved import for_another_model
from . import wire
from .embeddings import is_single
from .operations import LATEST, VERSION

RUNNING: Final = b"Ollama is running"
"""What clients look for before they ask anything. Under the bare prefix stands the gateway's own greeting."""

ROUTES: Final[Sequence[Route]] = (
    Route(method="POST", path=wire.CHAT_PATH, operation="generate"),
    Route(method="POST", path=wire.GENERATE_PATH, operation="generate"),
    Route(method="POST", path=wire.EMBED_PATH, operation="embed"),
    Route(method="POST", path=wire.EMBEDDINGS_PATH, operation="embed"),
    Route(method="GET", path="/api/tags", operation="list_models"),
    Route(method="POST", path="/api/show", operation="get_model"),
    Route(method="GET", path="/api/ps", operation="tell", answer=b'{"models":[]}'),
    Route(method="GET", path="/api/version", operation="tell", answer=VERSION),
    *(Route(method="GET", path=path, operation="tell", answer=RUNNING) for path in ("", "/")),
)
"""The last ones are found under the name of the family alone."""

SESSION_HEADERS: Final = ("x-session-affinity", "x-session-id")
"""Where clients say which conversation a request belongs to."""


class _Peek(msgspec.Struct):
    """What routing, and the form of the answer, need of a request."""

    model: str | None = None
    name: str | None = None
    """What ``/api/show`` called the model once."""
    images: JsonField = UNSET
    keep_alive: JsonField = UNSET
    messages: JsonField = UNSET
    options: JsonField = UNSET
    prompt: JsonField = UNSET
    stream: bool | None = None
    suffix: JsonField = UNSET


_PEEK: Final = msgspec.json.Decoder(_Peek)
_EMPTY: Final = frozenset({b'""', b"[]"})
_NEVER: Final = re.compile(rb'"?-?0(\.0*)?(ns|us|ms|s|m|h)?"?')
"""Of ``keep_alive``, as a number or a duration: the model shall go."""


def claims(call: HTTPCall) -> bool:
    """Tell whether a call is meant for this face: its paths are its own."""
    return call.path.startswith(("/api/", "/ollama"))


def peek(call: HTTPCall, operation: Operation) -> Envelope:
    """Read what routing needs, without building the message tree.

    Raises:
        MalformedRequest: Not JSON, or a field of the envelope is missing or of the wrong type.
    """
    head = decode_json(_PEEK, call.body)
    model = head.model or head.name
    if not model:
        raise missing("model")
    is_prompt = is_generate(call)
    return Envelope(
        operation=operation,
        model=model,
        other_names=(model.removesuffix(LATEST),) if model.endswith(LATEST) else (f"{model}{LATEST}",),
        stream=head.stream is not False and operation == "generate",
        session=next((value for name in SESSION_HEADERS if (value := call.headers.get(name))), None),
        max_output_tokens=number_of(fields_of(present(head.options)).get("num_predict")),
        plain_prompt=is_prompt,
        is_single=operation == "embed" and is_single(call),
        finish=_nothing_asked(head, is_prompt=is_prompt) if operation == "generate" else None,
    )


def is_generate(call: HTTPCall) -> bool:
    """Tell whether a call sends a prompt in place of messages."""
    return call.path.endswith(wire.GENERATE_PATH)


def retarget(call: HTTPCall, model: str, profile: Profile, operation: Operation) -> HTTPCall:
    """Return the same request for another model; all other values stay byte for byte.

    Raises:
        MalformedRequest: A field that would steer the gateway.
    """
    return HTTPCall(
        method="POST",
        path=_path(call, profile, operation),
        body=for_another_model(call.body, model),
        headers=forwarded_headers(call.headers),
        query=profile.query,
    )


def _path(call: HTTPCall, profile: Profile, operation: Operation) -> str:
    if operation == "embed":
        return wire.EMBEDDINGS_PATH if is_single(call) else wire.EMBED_PATH
    return wire.GENERATE_PATH if is_generate(call) else profile.path or wire.CHAT_PATH


def _nothing_asked(head: _Peek, *, is_prompt: bool) -> Finish | None:
    """Return how the empty answer ends where a model shall be loaded, or let go; None: something is asked."""
    asked = (head.prompt, head.images, head.suffix) if is_prompt else (head.messages,)
    if any((value := present(field)) is not None and bytes(value) not in _EMPTY for field in asked):
        return None
    keep_alive = present(head.keep_alive)
    is_going = keep_alive is not None and _NEVER.fullmatch(keep_alive) is not None
    return Finish(reason="other", raw="unload" if is_going else "load", at="done_reason")
