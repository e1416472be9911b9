"""What the fake answers to which request: keys, models, rate limits, the script; and else its own words.

Sans-IO: a complete request in, an `Answer` out.
"""

import itertools
from collections import Counter, deque
from collections.abc import Mapping, Sequence

import msgspec

from . import chat, embeddings, messages
from .answer import Answer, Error, Face, Fault, Frame
from .http1 import BadRequest, Request
from .script import Script, Step, verbatim
from .turn import Turn, turn_of

_METHODS = {
    "/": "GET",
    "/v1/models": "GET",
    "/v1/chat/completions": "POST",
    "/v1/embeddings": "POST",
    "/v1/messages": "POST",
    "/v1/messages/count_tokens": "POST",
}
_MODEL_PREFIX = "/v1/models/"
_DEFAULT_MODELS = ("fake-1",)


class Vendor:
    """Answers requests. The arguments are those of `FakeUpstream`."""

    def __init__(
        self,
        *,
        keys: Sequence[str],
        models: Sequence[str],
        rate_limited_every: Mapping[str, int],
        retry_after_s: float,
        script: Script,
    ) -> None:
        self.script: deque[Step] = deque(script.steps)
        """What is still to be played."""
        self._keys = tuple(keys)
        self._models = tuple(models)
        self._limited = {self._keys.index(key): every for key, every in rate_limited_every.items()}
        self._retry_after_s = retry_after_s
        self._asked: Counter[int | None] = Counter()
        self._serial = itertools.count(1)

    def account(self, request: Request) -> int | None:
        """Return which of the keys a request came with."""
        headers = request.headers
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        key = headers.get("x-api-key") or headers.get("api-key") or bearer
        return self._keys.index(key) if key in self._keys else None

    def refuse(self, problem: BadRequest, head: Request) -> Answer:
        """Answer what could not be read."""
        return _face_of(head).error(Error(status=problem.status, message=problem.message), next(self._serial))

    def answer(self, request: Request) -> Answer:
        """Answer a request, with an error if need be."""
        face, serial = _face_of(request), next(self._serial)
        try:
            _check_path(request)
            return self._routed(request, face, serial)
        except Fault as exc:
            return face.error(exc.error, serial)

    def _routed(self, request: Request, face: Face, serial: int) -> Answer:
        path = request.path
        if path == "/":
            text = b"A fake AI vendor for tests: asgi_ds2api.testing.\n"
            return Answer(headers=(("content-type", "text/plain"),), frames=(Frame(text),), length=len(text))
        if self._keys and self.account(request) is None:
            raise Fault(Error(status=401, message="The API key is missing or not one that this fake knows."))
        if path == "/v1/models":
            return face.models(self._models or _DEFAULT_MODELS, request.query, serial)
        if path.startswith(_MODEL_PREFIX):
            self._check_model(path.removeprefix(_MODEL_PREFIX))
            return face.model(path.removeprefix(_MODEL_PREFIX), serial)
        if path == "/v1/messages/count_tokens":
            return messages.count_tokens(_decoded(request.body), request.headers, serial)
        if path == "/v1/embeddings":
            return self._embedded(request)
        return self._said(request, face, serial)

    def _embedded(self, request: Request) -> Answer:
        body = _decoded(request.body)
        answer = embeddings.embed(body)
        self._check_model(str(body.get("model")) if isinstance(body, dict) else "")
        self._check_rate(self.account(request))
        return answer

    def _said(self, request: Request, face: Face, serial: int) -> Answer:
        """Answer a request for a message: by the script, else by the fake's own lights."""
        prompt = face.read(_decoded(request.body), request.headers)
        step = self.script.popleft() if self.script else Step()
        match step.what:
            case Turn():
                answer = face.answer(prompt, step.what, serial)
            case Error():
                answer = face.error(step.what, serial)
            case None:
                self._check_model(prompt.model)
                self._check_rate(self.account(request))
                answer = face.answer(prompt, turn_of(prompt), serial)
            case what:
                answer = verbatim(what, face)
        return msgspec.structs.replace(answer, cut_after=step.cut_after, hangs=step.hangs)

    def _check_model(self, name: str) -> None:
        if self._models and name not in self._models:
            message = f"The model '{name}' does not exist or you do not have access to it."
            raise Fault(Error(status=404, message=message, code="model_not_found"))

    def _check_rate(self, account: int | None) -> None:
        self._asked[account] += 1
        every = self._limited.get(account) if account is not None else None
        if every and self._asked[account] % every == 0:
            wait_s = self._retry_after_s
            message = f"Rate limit reached: one request in {every} is refused. Please try again in {wait_s:g}s."
            raise Fault(Error(status=429, message=message, headers=(("retry-after", f"{wait_s:g}"),)))


def _check_path(request: Request) -> None:
    allowed = _METHODS.get(request.path) or ("GET" if request.path.startswith(_MODEL_PREFIX) else None)
    if allowed is None:
        raise Fault(Error(status=404, message=f"Invalid URL ({request.method} {request.path})", code="unknown_url"))
    if request.method != allowed and (request.method, allowed) != ("HEAD", "GET"):
        message = f"Not allowed to {request.method} on {request.path}."
        raise Fault(Error(status=405, message=message, code="method_not_supported", headers=(("allow", allowed),)))


def _face_of(request: Request) -> Face:
    """Tell the protocol by the path; on those that both have, by the header that Anthropic's clients always send."""
    if request.path.startswith("/v1/chat/"):
        return chat
    return messages if request.path.startswith("/v1/messages") or "anthropic-version" in request.headers else chat


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise Fault(Error(status=400, message="We could not parse the JSON body of your request.")) from None
