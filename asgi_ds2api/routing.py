"""Which operation a path means, and which upstreams serve a model: pure tables.

Rules: a path is looked up as it is, never normalised; a segment that was not typed as it reads (``%2f``, ``%2e``) is no
match. A model name is data: it is compared, never parsed as a pattern, a path or a URL.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from urllib.parse import unquote_to_bytes

import msgspec

from .canonical import Model
from .codec import Codec, HTTPCall, Operation, Route
from .errors import MalformedRequest, MethodNotAllowed, UnknownModel, UnknownRoute

_SMUGGLED = re.compile(rb"%(?:2f|5c|00|2e)", re.IGNORECASE)
_PARAMETER = "{model}"
_CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")
_SEGMENT = re.compile(r"\{\w+\}")
MAX_MODEL_BYTES = 512
_WAYS_UP = frozenset({".", ".."})
"""No model is called that, and no quoting keeps them from being a way up where the name stands in a URL."""
_NO_MODEL = "The model does not exist or you do not have access to it. List the models to see which do."


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """What a call is: a face, an operation, and the model if the path names one."""

    codec: Codec
    operation: Operation
    model: str = ""


class RouteTable:
    """The paths of all faces.

    Args:
        codecs: In order of precedence: where a path is shared and nobody claims a call, the first one has it.
    """

    def __init__(self, codecs: Iterable[Codec]) -> None:
        self._codecs = tuple(codecs)
        self.fallback = self._codecs[0]
        """The face of a call of which nothing is known."""
        self._exact: dict[str, list[tuple[Codec, Route]]] = {}
        self._greedy: dict[str, list[_Place]] = {}
        """What stands before the model -> what may stand behind it."""
        self._shaped: list[tuple[re.Pattern[str], _Place]] = []
        """The same, where segments before the model may be any."""
        for codec in self._codecs:
            for route in codec.ROUTES:
                for path in _spelled(route.path):
                    self._add(path, codec, route)

    def face_of(self, call: HTTPCall) -> Codec:
        """Return the face that an unroutable call most likely came from, so that its SDK can read the error."""
        for codec in self._codecs:
            own = (route for route in codec.ROUTES if route.operation == "generate" and _PARAMETER not in route.path)
            if any(call.path.startswith(route.path) for route in own):
                return codec
        if found := self._find(call.path)[0]:
            return next((codec for codec, _ in found if codec.claims(call)), found[0][0])
        return next((codec for codec in self._codecs if codec.claims(call)), self.fallback)

    def match(self, call: HTTPCall, raw_path: bytes | None) -> Match:
        """Find the operation of a call.

        Args:
            call: ``path`` is decoded and starts after the prefix; ``HEAD`` is matched as ``GET``.
            raw_path: The whole path as it was sent, if the server tells.

        Raises:
            UnknownRoute: No face has this path.
            MethodNotAllowed: One has, for other methods.
        """
        found, model, tail = self._find(call.path)
        if not found or is_smuggled(raw_path, tail):
            raise UnknownRoute("There is no such path here. See the list of faces in the gateway's documentation.")
        method = "GET" if call.method == "HEAD" else call.method
        fitting = [(codec, route) for codec, route in found if route.method == method]
        if not fitting:
            allow = sorted({route.method for _, route in found} | {"HEAD" for _, r in found if r.method == "GET"})
            raise MethodNotAllowed(f"This path takes {' and '.join(allow)} only.", allow=allow)
        codec, route = next((pair for pair in fitting if len(fitting) > 1 and pair[0].claims(call)), fitting[0])
        return Match(codec=codec, operation=route.operation, model=model)

    def methods(self, path: str) -> tuple[str, ...]:
        """Return the methods that a path takes, none for an unknown one."""
        return tuple(sorted({route.method for _, route in self._find(path)[0]}))

    def _add(self, path: str, codec: Codec, route: Route) -> None:
        before, parameter, behind = path.partition(_PARAMETER)
        place = _Place(behind, codec, route)
        if not parameter:
            self._exact.setdefault(path, []).append((codec, route))
        elif _SEGMENT.search(before):
            pattern = "[^/]+".join(re.escape(fixed) for fixed in _SEGMENT.split(before))
            self._shaped.append((re.compile(pattern), place))
        else:
            self._greedy.setdefault(before, []).append(place)

    def _find(self, path: str) -> tuple[list[tuple[Codec, Route]], str, str]:
        """Return who has a path, the model that it names, and what of the path may hold escaped separators."""
        if found := self._exact.get(path):
            return found, "", ""
        end = len(path)
        while (end := path.rfind("/", 0, end)) > 0:
            tail = path[end + 1 :]
            found, model = _with_ending(self._greedy.get(path[: end + 1], ()), tail)
            if found:
                return found, model, tail
        for pattern, place in self._shaped:
            if match := pattern.match(path):
                tail = path[match.end() :]
                found, model = _with_ending((place,), tail)
                if found:
                    return found, model, tail
        return [], "", ""


class _Place(msgspec.Struct, frozen=True):
    """Where a path names a model."""

    behind: str
    """What follows the name."""
    codec: Codec
    route: Route


def _spelled(path: str) -> list[str]:
    """Return a path with each choice of words made."""
    match = _CHOICE.search(path)
    if match is None:
        return [path]
    made = (path[: match.start()] + word + path[match.end() :] for word in match[1].split("|"))
    return [spelled for one in made for spelled in _spelled(one)]


def _with_ending(places: Iterable[_Place], tail: str) -> tuple[list[tuple[Codec, Route]], str]:
    """Return the places whose ending is the longest that ``tail`` has, and what stands before it."""
    fitting = [place for place in places if tail.endswith(place.behind) and len(tail) > len(place.behind)]
    longest = max((len(place.behind) for place in fitting), default=0)
    found = [(place.codec, place.route) for place in fitting if len(place.behind) == longest]
    return found, tail[: len(tail) - longest]


def is_smuggled(raw_path: bytes | None, tail: str = "") -> bool:
    """Tell whether a fixed part of the path, if the server tells how it was typed, holds an escaped separator.

    Args:
        raw_path: The whole path as it was sent.
        tail: What the path ends with from the model's name on.
    """
    if not raw_path:
        return False
    tail_bytes = len(tail.encode(errors="replace"))  # what a server made of bytes that are no UTF-8 may not encode
    return any(len(unquote_to_bytes(raw_path[hit.end() :])) >= tail_bytes for hit in _SMUGGLED.finditer(raw_path))


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
            raise UnknownModel(_NO_MODEL)
        if alias := self._exact.get(asked):
            return self._targets(alias.targets, asked)
        upstream, slash, model = asked.partition("/")
        if slash and model and upstream in self._upstreams:
            return (Target(upstream=upstream, model=model),)
        for pattern, targets in self._patterns:
            if fnmatchcase(asked, pattern):
                return self._targets(targets, asked)
        raise UnknownModel(_NO_MODEL)

    def names(self) -> list[Model]:
        """Return the names without a wildcard, in file order, each once."""
        owners = {name: alias.targets[0].partition("/")[0] for name, alias in self._exact.items()}
        for pattern, targets in self._patterns:
            if not _is_glob(pattern):
                owners.setdefault(pattern, targets[0].partition("/")[0])
        return [Model(id=name, owner=owner) for name, owner in owners.items()]

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
