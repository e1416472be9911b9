"""Which operation a path means, and which upstreams serve a model: pure tables.

Rules: a path is looked up as it is, never normalised; a segment that was not typed as it reads (``%2f``, ``%2e``) is no
match. A model name is data: it is compared, never parsed as a pattern, a path or a URL.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from .canonical import Model
from .codec import Codec, HTTPCall, Operation, Route
from .errors import MalformedRequest, MethodNotAllowed, NotServed, UnknownModel, UnknownRoute
from .opaque.families import routes_of

_SMUGGLED = re.compile(rb"%(?:2f|5c|00|2e)", re.IGNORECASE)
_PARAMETER = re.compile(r"\{\w+\}")
_CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")
MAX_MODEL_BYTES = 512
OWN_ROUTES = (Route(method="GET", path="/capabilities", operation="capabilities"),)
"""Paths that no protocol has: each face answers them, in its own words where it has to refuse."""
_WAYS_UP = frozenset({".", ".."})
"""No model is called that, and no quoting keeps them from being a way up where the name stands in a URL."""
NO_MODEL: Final = (
    "The model does not exist or you do not have access to it. GET {prefix}/v1/models lists those that you may ask for."
)
_NO_PATH: Final = (
    "No operation lives at this path. The base URL of an SDK is {prefix}/v1 for OpenAI, and {prefix} for Anthropic, "
    "Gemini and Ollama."
)
_NOT_MANAGED: Final = (
    " Models are configured, and are not pulled, pushed, created, copied or deleted through a gateway."
)
_MANAGING: Final = frozenset({"pull", "push", "create", "copy", "delete", "blobs"})
"""Words in paths by which clients of Ollama's manage models: they are told why that is a 404."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """What a call is: a face, an operation, and the model if the path names one."""

    codec: Codec
    operation: Operation
    model: str = ""
    answer: bytes = b""
    """Of ``tell``: what is said there."""


class _Found(msgspec.Struct, frozen=True):
    """The routes of a path, and which part of it is the model's name."""

    routes: tuple[tuple[Codec, Route], ...] = ()
    model: str = ""
    tail: str = ""
    """What stands behind the model."""


class _Pattern(msgspec.Struct, frozen=True):
    """The routes of a path with parameters."""

    rest: re.Pattern[str]
    """Of what stands from the first parameter on."""
    routes: list[tuple[Codec, Route]]

    @property
    def literals(self) -> int:
        """How much of it is fixed: of two that fit, the more exact one counts."""
        return len(_PARAMETER.sub("", self.routes[0][1].path))


class RouteTable:
    """The paths of all faces: each as its codec tells it, and once more under the name of the codec's family.

    A path is looked up as a whole, and then by its fixed beginning, the longest first: in time that does not depend on
    how many routes there are.

    Args:
        codecs: In order of precedence: where a path is shared and nobody claims a call, the first one has it.
    """

    def __init__(self, codecs: Iterable[Codec]) -> None:
        self._codecs = tuple(codecs)
        self.fallback = self._codecs[0]
        """The face of a call of which nothing is known."""
        self._exact: dict[str, list[tuple[Codec, Route]]] = {}
        patterns: dict[str, dict[str, _Pattern]] = {}
        for codec in self._codecs:
            for route in (*_spelled(codec), *OWN_ROUTES):
                fixed, parameter, rest = route.path.partition("{")
                if not parameter:
                    self._exact.setdefault(fixed, []).append((codec, route))
                    continue
                alike = patterns.setdefault(fixed, {})
                pattern = alike.setdefault(rest, _Pattern(_compile(parameter + rest), []))
                pattern.routes.append((codec, route))
        self._patterns = {
            fixed: sorted(alike.values(), key=lambda pattern: -pattern.literals) for fixed, alike in patterns.items()
        }

    def face_of(self, call: HTTPCall) -> Codec:
        """Return the face that a call most likely came from, so that its SDK can read what is wrong with it."""
        family = call.path[1:].partition("/")[0]
        near = (
            [codec for codec, _ in self._find(call.path).routes]
            or [codec for codec in self._codecs if family == codec.FAMILY]
            or [codec for codec in self._codecs if _begins_alike(call.path, codec)]
            or self._codecs
        )
        return next((codec for codec in near if len(near) > 1 and codec.claims(call)), near[0])

    def match(self, call: HTTPCall, raw_path: bytes | None) -> Match:
        """Find the operation of a call.

        Args:
            call: ``path`` is decoded and starts after the prefix; ``HEAD`` is matched as ``GET``.
            raw_path: The whole path as it was sent, if the server tells.

        Raises:
            UnknownRoute: No face has this path.
            MethodNotAllowed: One has, for other methods.
            NotServed: It is there only to say so.
        """
        found = self._find(call.path)
        if not found.routes or is_smuggled(raw_path, found.model, found.tail):
            is_managing = not _MANAGING.isdisjoint(call.path.split("/"))
            raise UnknownRoute(_NO_PATH + _NOT_MANAGED if is_managing else _NO_PATH)
        method = "GET" if call.method == "HEAD" else call.method
        fitting = [(codec, route) for codec, route in found.routes if route.method == method]
        if not fitting:
            methods = {route.method for _, route in found.routes}
            allow = sorted(methods | ({"HEAD"} if "GET" in methods else set()))
            raise MethodNotAllowed(f"This path takes {' and '.join(allow)} only.", allow=allow)
        codec, route = next((pair for pair in fitting if len(fitting) > 1 and pair[0].claims(call)), fitting[0])
        if route.operation == "absent":
            raise NotServed(route.answer.decode())
        return Match(codec=codec, operation=route.operation, model=found.model, answer=route.answer)

    def methods(self, path: str) -> tuple[str, ...]:
        """Return the methods that a path takes, none for an unknown one."""
        return tuple(sorted({route.method for _, route in self._find(path).routes}))

    def _find(self, path: str) -> _Found:
        if routes := self._exact.get(path):
            return _Found(tuple(routes))
        end = len(path)
        while (end := path.rfind("/", 0, end)) > 0:
            for pattern in self._patterns.get(path[: end + 1], ()):
                if match := pattern.rest.fullmatch(path, end + 1):
                    return _found(pattern, match)
        return _Found()


def _spelled(codec: Codec) -> list[Route]:
    """Return the routes of a face, each choice of words made, and then all of them under its family."""
    paths = [(route, path) for route in (*codec.ROUTES, *routes_of(codec.NAME)) for path in _choices(route.path)]
    spelled = [(route, prefix + path) for prefix in ("", f"/{codec.FAMILY}") for route, path in paths]
    return [msgspec.structs.replace(route, path=path) for route, path in spelled]


def _choices(path: str) -> list[str]:
    match = _CHOICE.search(path)
    if match is None:
        return [path]
    made = (path[: match.start()] + word + path[match.end() :] for word in match[1].split("|"))
    return [spelled for one in made for spelled in _choices(one)]


def _found(pattern: _Pattern, match: re.Match[str]) -> _Found:
    routes = tuple(pattern.routes)
    if "model" not in match.groupdict():
        return _Found(routes)
    return _Found(routes, match["model"], match.string[match.end("model") :])


def _begins_alike(path: str, codec: Codec) -> bool:
    """Tell whether a path begins as one that asks this face's models, so that only its end is wrong."""
    generate = (route.path for route in codec.ROUTES if route.operation == "generate")
    return any("{" not in own and path.startswith(own) for own in generate)


@cache
def _compile(template: str) -> re.Pattern[str]:
    """Return the pattern of a path: ``{model}`` takes as much as it can, slashes included, others one segment."""
    pieces = _PARAMETER.split(template)
    parameters = [r"(?P<model>.+)" if name == "{model}" else "[^/]+" for name in _PARAMETER.findall(template)]
    pattern = "".join(re.escape(piece) + name for piece, name in zip(pieces, [*parameters, ""], strict=True))
    return re.compile(pattern, re.DOTALL)


def is_smuggled(raw_path: bytes | None, model: str = "", tail: str = "") -> bool:
    """Tell whether a fixed part of the path, if the server tells how it was typed, holds an escaped separator.

    Args:
        raw_path: As it was sent.
        model: The part that may hold one.
        tail: What stands behind it.
    """
    if not raw_path:
        return False
    end = len(tail.encode(errors="replace"))
    start = end + len(model.encode(errors="replace"))  # what a server made of bytes that are no UTF-8 may not encode
    hits = (len(unquote_to_bytes(raw_path[hit.end() :])) for hit in _SMUGGLED.finditer(raw_path))
    return any(not end <= behind < start for behind in hits)


def route_path(scope_path: str, root_path: str) -> str:
    """Return the path after the mount point; a root path that ends inside a segment is none."""
    if not root_path or not scope_path.startswith(root_path):
        return scope_path
    rest = scope_path[len(root_path) :]
    return rest if not rest or rest.startswith("/") else scope_path


def after_prefix(path: str, prefixes: Sequence[str]) -> str | None:
    """Return what follows the prefix that ``path`` starts with at a segment boundary; None: the path is the host's."""
    for prefix in prefixes:
        if path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == "/"):
            return path[len(prefix) :]
    return None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream, and the name that it knows the model by."""

    upstream: str
    model: str


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A name that callers may ask for. ``targets`` read ``upstream/model``; ``*`` as the model passes the name on."""

    name: str
    targets: tuple[str, ...]


class ModelTable:
    """Which upstreams serve a model, in order of preference.

    Args:
        aliases: In file order.
        upstreams: Name -> globs of the bare model names it serves; in file order.
    """

    def __init__(self, aliases: Sequence[Alias], upstreams: Mapping[str, Sequence[str]]) -> None:
        self._upstreams = dict(upstreams)
        self._exact = {alias.name: alias for alias in aliases if not _is_glob(alias.name)}
        patterns: list[tuple[str, tuple[str, ...]]] = [(a.name, a.targets) for a in aliases if _is_glob(a.name)]
        for name, globs in upstreams.items():
            patterns += [(glob, (f"{name}/*",)) for glob in globs]
        self._patterns = _merge_equal(patterns)

    def resolve(self, asked: str) -> tuple[Target, ...]:
        """Return the targets of a model name, in order; at least one.

        Raises:
            MalformedRequest: Not a name at all.
            UnknownModel: Nobody serves it.
        """
        check_model_name(asked)
        if asked.rpartition("/")[2] in _WAYS_UP:
            raise UnknownModel(NO_MODEL, asked=asked)
        if alias := self._exact.get(asked):
            return self._targets(alias.targets, asked)
        upstream, slash, model = asked.partition("/")
        if slash and model and upstream in self._upstreams:
            return (Target(upstream=upstream, model=model),)
        for pattern, targets in self._patterns:
            if fnmatchcase(asked, pattern):
                return self._targets(targets, asked)
        raise UnknownModel(NO_MODEL, asked=asked)

    def names(self) -> list[Model]:
        """Return the names without a wildcard, in file order, each once."""
        owners = {name: alias.targets[0].partition("/")[0] for name, alias in self._exact.items()}
        for pattern, targets in self._patterns:
            if not _is_glob(pattern):
                owners.setdefault(pattern, targets[0].partition("/")[0])
        return [Model(id=name, owner=owner) for name, owner in owners.items()]

    def names_at(self, upstream: str) -> list[str]:
        """Return all names and globs by which models of an upstream may be asked for."""
        aliases = [(name, alias.targets) for name, alias in self._exact.items()]
        named = [name for name, targets in (*aliases, *self._patterns) for t in targets if t.startswith(f"{upstream}/")]
        return [f"{upstream}/*", *named]

    def _targets(self, targets: Sequence[str], asked: str) -> tuple[Target, ...]:
        pairs = (target.partition("/") for target in targets)
        return tuple(Target(upstream=upstream, model=asked if model == "*" else model) for upstream, _, model in pairs)


def check_model_name(name: str) -> None:
    """Refuse what cannot be a model name.

    Raises:
        MalformedRequest: Empty, too long, or with characters that do not print.
    """
    if not name or not name.isprintable() or len(name.encode()) > MAX_MODEL_BYTES:
        raise MalformedRequest(
            f"A model name is 1 to {MAX_MODEL_BYTES} bytes of printable text.", param="model", code="invalid_value"
        )


def _is_glob(name: str) -> bool:
    return any(character in name for character in "*?[")


def _merge_equal(patterns: Sequence[tuple[str, tuple[str, ...]]]) -> list[tuple[str, tuple[str, ...]]]:
    """Join the targets of equal globs in file order; the most specific (longest literal part) comes first."""
    merged: dict[str, tuple[str, ...]] = {}
    for pattern, targets in patterns:
        merged[pattern] = merged.get(pattern, ()) + targets
    return sorted(merged.items(), key=lambda item: -len(re.sub(r"[*?]|\[[^\]]*\]", "", item[0])))
