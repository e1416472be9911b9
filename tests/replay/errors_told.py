"""What the official SDKs raise where a vendor's error is told to their callers, in one form for all."""

import re
from collections.abc import Mapping
from math import ceil
from typing import Any, Final, NamedTuple

import anthropic
import msgspec
import ollama
import openai
from google.genai import errors
from mistralai.client.errors import SDKError

from tests.support.recorded import Recording
from tests.support.replay import model_of
from tests.support.sdk_google import read_google
from tests.support.sdk_mistral import read_mistral

from .stage import Face, Stage, Way

STATUS: Final = {400: 400, 401: 502, 404: 404, 429: 429}
"""Status of a vendor's error -> what a caller is told. An upstream's 401 is no fault of the caller's."""
_CLASSES: Final = {400: "BadRequestError", 404: "NotFoundError", 429: "RateLimitError", 502: "InternalServerError"}
_DELAY: Final = re.compile(r'"retryDelay":\s*"([\d.]+)s"')
OURS: Final = "ours"
"""How long an account rests whose vendor does not say it."""
MAX_REST_S: Final = 60
_QUESTION: Final = [{"role": "user", "content": "anything"}]


class Raised(NamedTuple):
    """An exception of an SDK."""

    kind: str
    """Its module, up to the first dot, and its class."""
    status: int
    shape: tuple[str, ...]
    """What the SDK found in the body: names of fields, in the order of the alphabet. Details are left out."""
    retry_after: str | None
    """The header; None as well where the SDK does not keep it; `OURS` where no vendor told of any."""


_SHAPES: Final[dict[Face, tuple[str, ...]]] = {
    "openai": ("code", "message", "param", "type"),
    "responses": ("code", "message", "param", "type"),
    "anthropic": ("error", "error.message", "error.type", "request_id", "type"),
    "google": ("code", "message", "status"),
    "ollama": ("error",),
    "mistral": (),
}
"""Fields that each SDK is told; Mistral's reads none."""


def expected(way: Way) -> Raised:
    """Return what has to be raised."""
    status = STATUS[way.record.response.status]
    kinds: dict[Face, str] = {
        "openai": f"openai.{_CLASSES[status]}",
        "responses": f"openai.{_CLASSES[status]}",
        "anthropic": f"anthropic.{_CLASSES[status]}",
        "google": "google.ServerError" if status >= 500 else "google.ClientError",
        "ollama": "ollama.ResponseError",
        "mistral": "mistralai.SDKError",
    }
    return Raised(kinds[way.face], status, _SHAPES[way.face], _wait(way, status))


def _wait(way: Way, status: int) -> str | None:
    if status != 429 or way.face in ("google", "ollama"):
        return None
    body = way.record.response.body.decode()
    if "insufficient_quota" in body:  # no waiting helps
        return None
    if told := way.record.response.headers.get("retry-after"):
        return told
    delay = _DELAY.search(body)
    return str(ceil(float(delay[1]))) if delay else OURS


async def raised(stage: Stage, way: Way) -> Raised:
    """Ask for a recorded error and return what the SDK raised.

    Raises:
        AssertionError: It raised nothing.
    """
    model, is_stream = model_of(way.record, prefix=f"{way.upstream}-status/"), way.record.is_stream
    try:
        await _ask(stage, way.face, model, is_stream=is_stream)
    except errors.APIError as error:
        return _raised(error, error.code, error.details["error"], None)
    except SDKError as error:
        return _raised(error, error.status_code, {}, _told(way, error.headers))
    except ollama.ResponseError as error:
        return _raised(error, error.status_code, {"error": error.error}, None)
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return _raised(error, error.status_code, error.body, _told(way, error.response.headers))
    raise AssertionError("nothing was raised")


def _told(way: Way, headers: Mapping[str, str]) -> str | None:
    """Return how long to wait; `OURS` for any number of seconds where the vendor told none."""
    wait = headers.get("retry-after")
    is_ours = _wait(way, 429) == OURS and wait is not None and 0 < int(wait) < MAX_REST_S
    return OURS if is_ours else wait


def _raised(error: Exception, status: int, body: Any, retry_after: str | None) -> Raised:
    inner = body.get("error") if isinstance(body.get("error"), dict) else {}
    shape = tuple(sorted({*body, *(f"error.{name}" for name in inner)} - {"details"}))
    kind = f"{type(error).__module__.partition('.')[0]}.{type(error).__name__}"
    return Raised(kind, status, shape, retry_after)


async def _ask(stage: Stage, face: Face, model: str, *, is_stream: bool) -> None:
    create: Any
    match face:
        case "google":
            await read_google(stage.google, model, stream=is_stream)
        case "mistral":
            await read_mistral(stage.mistral, model, stream=is_stream)
        case "ollama":
            await stage.ollama.chat(model=model, messages=_QUESTION)
        case "openai":
            create = stage.openai.chat.completions.create
            await create(model=model, messages=_QUESTION, stream=is_stream)
        case "responses":
            create = stage.openai.responses.create
            await create(model=model, input="anything", stream=is_stream)
        case "anthropic":
            create = stage.anthropic.messages.create
            await create(model=model, messages=_QUESTION, max_tokens=9, stream=is_stream)


def waiting(record: Recording, wait_s: int) -> Recording:
    """Return an error whose vendor says how long to wait, as another recording."""
    response = msgspec.structs.replace(record.response, headers={**record.response.headers, "retry-after": str(wait_s)})
    return msgspec.structs.replace(record, id=record.id[::-1], response=response)
