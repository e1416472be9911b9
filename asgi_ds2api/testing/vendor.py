"""What the fake answers to which request: keys, models, rate limits, the script; and else its own words.

Sans-IO: a complete request in, an `Answer` out.
"""

import itertools
import re
from collections import Counter, deque
from collections.abc import Mapping, Sequence

import msgspec

from . import chat, contents, embeddings, lines, messages, responses
from .answer import Answer, Error, Face, Fault, Frame, json_answer
from .files import PATH as FILES
from .files import Files
from .http1 import BadRequest, Request
from .script import Script, Step, verbatim
from .turn import Turn, turn_of

_DEFAULT_MODELS = ("fake-1",)
_TALKS: Mapping[str, Face] = {
    "/v1/chat/completions": chat,
    "/v1/responses": responses,
    "/v1/messages": messages,
    "/api/chat": lines,
    "/api/generate": lines,
}
_METHODS = {
    "/": "GET",
    **dict.fromkeys(_TALKS, "POST"),
    "/v1/embeddings": "POST",
    "/v1/messages/count_tokens": "POST",
    "/v1/responses/input_tokens": "POST",
    "/api/embed": "POST",
    "/api/show": "POST",
    "/api/tags": "GET",
    "/api/ps": "GET",
    "/api/version": "GET",
}
_LISTS = ("/v1/models", "/v1beta/models", "/v1alpha/models")


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
        self._files = Files()

    def account(self, request: Request) -> int | None:
        """Return which of the keys a request came with."""
        headers = request.headers
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        named = (headers.get(name) for name in ("x-api-key", "api-key", "x-goog-api-key"))
        key = next(filter(None, named), None) or request.query.get("key") or bearer
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
            raise Fault(face.no_key())
        if FILES.fullmatch(path):
            return self._files.answer(request, face, self.account(request))
        if request.method in ("GET", "HEAD"):
            return self._shown(request, face, serial)
        if path == "/api/show":
            name = str(_fields(request.body).get("model", ""))
            self._check_model(name, face)
            return face.model(name, serial)
        if path.endswith(("/count_tokens", "/input_tokens", ":countTokens")):
            return _counted(request, face, serial)
        if path.endswith(("/embeddings", "/embed", "mbedContent", "mbedContents")):
            return self._embedded(request, face)
        return self._said(request, face, serial)

    def _shown(self, request: Request, face: Face, serial: int) -> Answer:
        """Answer a request for what there is."""
        path = request.path
        if path == "/api/version":
            return json_answer(200, {"version": lines.VERSION})
        if path == "/api/ps":
            return json_answer(200, {"models": []})
        if path == "/api/tags" or path in _LISTS:
            return face.models(self._models or _DEFAULT_MODELS, request.query, serial)
        name = path.partition("/models/")[2]
        self._check_model(name, face)
        return face.model(name, serial)

    def _embedded(self, request: Request, face: Face) -> Answer:
        body, found = _decoded(request.body), contents.PATH.fullmatch(request.path)
        name = found["model"] if found is not None else str(_fields(request.body).get("model", ""))
        if found is not None:
            answer = embeddings.embed_contents(body, is_batch=found["verb"].startswith("batch"))
        else:
            answer = embeddings.embed_lines(body) if face is lines else embeddings.embed(body)
        self._check_model(name, face)
        self._check_rate(self.account(request))
        return answer

    def _said(self, request: Request, face: Face, serial: int) -> Answer:
        """Answer a request for a message: by the script, else by the fake's own lights."""
        body = _decoded(request.body)
        prompt = face.read(body, request)
        self._files.check(body, face, self.account(request))
        step = self.script.popleft() if self.script else Step()
        match step.what:
            case Turn():
                answer = face.answer(prompt, step.what, serial)
            case Error():
                answer = face.error(step.what, serial)
            case None:
                self._check_model(prompt.model, face)
                self._check_rate(self.account(request))
                answer = face.answer(prompt, turn_of(prompt), serial)
            case what:
                answer = verbatim(what, face)
        return msgspec.structs.replace(answer, cut_after=step.cut_after, hangs=step.hangs)

    def _check_model(self, name: str, face: Face) -> None:
        if self._models and name not in self._models:
            raise Fault(face.no_model(name))

    def _check_rate(self, account: int | None) -> None:
        self._asked[account] += 1
        every = self._limited.get(account) if account is not None else None
        if every and self._asked[account] % every == 0:
            wait_s = self._retry_after_s
            message = f"Rate limit reached: one request in {every} is refused. Please try again in {wait_s:g}s."
            raise Fault(Error(status=429, message=message, headers=(("retry-after", f"{wait_s:g}"),)))


def _check_path(request: Request) -> None:
    if (match := FILES.fullmatch(request.path)) and request.method in _methods_of_files(match):
        return
    allowed = _allowed(request.path)
    if allowed is None:
        raise Fault(Error(status=404, message=f"Invalid URL ({request.method} {request.path})", code="unknown_url"))
    if request.method != allowed and (request.method, allowed) != ("HEAD", "GET"):
        message = f"Not allowed to {request.method} on {request.path}."
        raise Fault(Error(status=405, message=message, code="method_not_supported", headers=(("allow", allowed),)))


def _methods_of_files(match: re.Match[str]) -> tuple[str, ...]:
    if match["upload"]:
        return ("POST",)
    if match["id"] is None:
        return ("GET", "HEAD") if "/v1/" not in match[0] else ("GET", "HEAD", "POST")
    return ("GET", "HEAD") if match["content"] else ("GET", "HEAD", "DELETE")


def _allowed(path: str) -> str | None:
    """Return the method of a path, or None."""
    if path in _METHODS:
        return _METHODS[path]
    if contents.PATH.fullmatch(path):
        return "POST"
    return "GET" if path in _LISTS or path.startswith(tuple(f"{listed}/" for listed in _LISTS)) else None


def _face_of(request: Request) -> Face:
    """Tell the protocol by the path; on those that several have, by the header that a vendor's clients always send."""
    path = request.path
    if path in _TALKS:
        return _TALKS[path]
    if path.startswith("/api/"):
        return lines
    if path.startswith(("/v1beta/", "/v1alpha/", "/upload/")) or contents.PATH.fullmatch(path):
        return contents
    if path.startswith("/v1/responses"):
        return responses
    is_claudes = path.startswith("/v1/messages") or "anthropic-version" in request.headers
    if path.startswith("/v1/models") and "x-goog-api-key" in request.headers and not is_claudes:
        return contents
    return messages if is_claudes else chat


def _counted(request: Request, face: Face, serial: int) -> Answer:
    body = _decoded(request.body)
    if face is messages:
        return messages.count_tokens(body, request, serial)
    prompt = face.read(body, request)
    return contents.count_tokens(prompt) if face is contents else responses.count_tokens(prompt, serial)


def _fields(body: bytes) -> dict[str, object]:
    """Return the fields of a body; none of what is no object."""
    decoded = _decoded(body)
    return decoded if isinstance(decoded, dict) else {}


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise Fault(Error(status=400, message="We could not parse the JSON body of your request.")) from None
