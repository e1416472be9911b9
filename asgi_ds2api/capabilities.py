"""What becomes of each field between any two protocols: one table a protocol, and what follows from them.

A face says what each field of its requests *means*; an upstream says what becomes of each meaning. So five tables give
all twenty-five directions, and a sixth protocol adds one table. Answers go the other way: an upstream says what its
fields mean, a face what becomes of that. The tables are checked by execution (``tests/capabilities``), published by
``GET {prefix}/capabilities``, and printed in ``docs/capabilities.md``.

They tell of an upstream's default profile and of a usual model. Several letters: it depends on the value, the model or
the profile, and the words say how. Within one protocol a request is relayed as it came.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from .canonical import ProtocolName
from .errors import MalformedRequest
from .meanings import Meaning, Telling

Letter = Literal["L", "E", "H", "W", "X"]
LEGEND: Final[Mapping[Letter, str]] = {
    "L": "lossless: it means the same on the other side",
    "E": "emulated or coerced: a Notice of severity `changed`",
    "H": "left out without effect on the answer: a Notice of severity `hint`, which is only counted",
    "W": 'left out: a Notice of severity `lost`; a 400 with `on_unsupported = "reject"`',
    "X": "refused with a 400 that names the path, before any upstream is asked",
}


class Row(msgspec.Struct, frozen=True):
    """A field of a request, or of an answer, and one thing that it may mean."""

    field: str
    """Its path as Notices write it, ``[]`` for any index; behind a colon the kind of what it belongs to, or of what
    stands there."""
    means: str


class Asks(Row, frozen=True):
    """Of a request."""

    means: Meaning


class Says(Row, frozen=True):
    """Of an answer."""

    means: Telling


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a meaning."""

    letters: str
    """Of `LEGEND`."""
    words: str = ""
    """What it becomes, or why not; empty: the letters say it all."""


LOSSLESS: Final = Verdict("L")
RELAYED: Final = Verdict("L", "relayed as it came")

Takes: TypeAlias = Mapping[Meaning, Verdict]
Tells: TypeAlias = Mapping[Telling, Verdict]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """The table of a protocol."""

    asks: tuple[Asks, ...]
    """As a face: what each field of a request means."""
    takes: Takes
    """As an upstream: what becomes of what another face's request means."""
    says: tuple[Says, ...] = ()
    """As an upstream: what each field of an answer means."""
    tells: Tells = {}
    """As a face: what becomes of what another upstream's answer means."""
    places: Mapping[str, str] = {}
    """As an upstream: names by which faces report parts of an answer, which are Chat's -> where they stood."""


SEARCHED: Final = "the vendor's own search; domains, uses and places that it does not take are lost"
"""Of a search of the web that another vendor defines."""
USUAL: Final[Takes] = {
    "system": LOSSLESS,
    "system.later": LOSSLESS,
    "text": LOSSLESS,
    "text.blank": LOSSLESS,
    "assistant.first": LOSSLESS,
    "assistant.last": LOSSLESS,
    "bookkeeping": Verdict("H"),
    "refusal": LOSSLESS,
    "citation": Verdict("W"),
    "vendor.text": Verdict("E", "what it says, in plain text"),
    "vendor.other": Verdict("W"),
    "vendor.required": Verdict("X", "only who wrote it can read it"),
    "image.base64": LOSSLESS,
    "image.file": Verdict("X", "it lives at the vendor that it was uploaded to"),
    "image.type": LOSSLESS,
    "image.detail": LOSSLESS,
    "image.assistant": LOSSLESS,
    "image.made": Verdict("EW", "that one was made is said; it is left out"),
    "document.base64": LOSSLESS,
    "document.plain": LOSSLESS,
    "document.file": Verdict("X", "it lives at the vendor that it was uploaded to"),
    "document.type": LOSSLESS,
    "audio.base64": LOSSLESS,
    "audio.earlier": Verdict("X", "it lives at the vendor that made it"),
    "call": LOSSLESS,
    "call.arguments": LOSSLESS,
    "result": LOSSLESS,
    "result.image": LOSSLESS,
    "result.error": LOSSLESS,
    "result.orphan": Verdict("E", "as text"),
    "result.refused": Verdict("X", "as the vendor of the face does"),
    "tool": LOSSLESS,
    "tool.strict": Verdict(
        "LE", "where it leaves fields open, narrowed to closed objects; else the model is only asked"
    ),
    "tool.examples": Verdict("E", "said in the description"),
    "tool.deferred": Verdict("H", "all tools are sent at once"),
    "tool.eager": Verdict("H", "arguments are streamed as they come"),
    "tool.later": Verdict("H", "listed among the others"),
    "tool.namespace": Verdict("EH", "by their full names, `namespace__tool`"),
    "tool.grammar": LOSSLESS,
    "tool.client": Verdict("E", "a function of the vendor's published shape"),
    "tool.client.call": Verdict("E", "a call of that function, or its result"),
    "tool.search": Verdict("E", "all tools are sent at once"),
    "tool.computer": Verdict("X"),
    "tool.vendor": Verdict("X", "the vendor that defined it runs it"),
    "web_search.gemini": Verdict("X"),
    "choice.auto": LOSSLESS,
    "choice.none": LOSSLESS,
    "choice.required": LOSSLESS,
    "choice.named": LOSSLESS,
    "choice.allowed": LOSSLESS,
    "choice.validated": Verdict("E", "as `auto`; functions that every vendor can be held to are strict"),
    "parallel": LOSSLESS,
    "limit": LOSSLESS,
    "limit.zero": Verdict("X", "no cache is warmed"),
    "temperature": LOSSLESS,
    "top_p": LOSSLESS,
    "top_k": LOSSLESS,
    "seed": LOSSLESS,
    "frequency_penalty": LOSSLESS,
    "presence_penalty": LOSSLESS,
    "logit_bias": Verdict("W"),
    "logprobs": LOSSLESS,
    "top_logprobs": LOSSLESS,
    "stop": LOSSLESS,
    "stop.many": LOSSLESS,
    "answers.one": LOSSLESS,
    "answers.many": LOSSLESS,
    "format.text": LOSSLESS,
    "format.object": LOSSLESS,
    "format.word": Verdict("E", "asked for as a field of an object, and taken out of it"),
    "budget": LOSSLESS,
    "adaptive": LOSSLESS,
    "verbosity": LOSSLESS,
    "user": LOSSLESS,
    "metadata": LOSSLESS,
    "tier": LOSSLESS,
    "tier.other": LOSSLESS,
    "store": LOSSLESS,
    "previous": Verdict("X", "`previous_response_not_found`, unless the gateway kept it"),
    "cache.key": LOSSLESS,
    "cache.retention": LOSSLESS,
    "cache.options": LOSSLESS,
    "stream": LOSSLESS,
    "stream.usage": LOSSLESS,
    "modalities": Verdict("X"),
    "headers": Verdict("H"),
    "effort": LOSSLESS,
    "effort.none": LOSSLESS,
    "own": Verdict("W"),
    "own.idle": Verdict("H"),
    "own.usual": Verdict("H", "what happens anyway"),
    "own.required": Verdict("X"),
}
"""What becomes of a request's meanings where an upstream says nothing else."""


USUALLY_TOLD: Final[Tells] = {
    "text": LOSSLESS,
    "text.behind": LOSSLESS,
    "citation.document": Verdict("W"),
    "refusal": LOSSLESS,
    "image.generated": Verdict("W"),
    "audio": Verdict("W"),
    "vendor.run": Verdict("W"),
    "vendor.search": Verdict("W"),
    "code.run": Verdict("E", "the code and what it printed, in fences"),
    "call": LOSSLESS,
    "call.arguments": LOSSLESS,
    "call.custom": LOSSLESS,
    "usage": LOSSLESS,
    "usage.cached": LOSSLESS,
    "usage.reasoning": LOSSLESS,
    "usage.times": Verdict("H"),
    "logprobs": LOSSLESS,
    "choices": LOSSLESS,
    "end.stop": LOSSLESS,
    "end.length": LOSSLESS,
    "end.calls": LOSSLESS,
    "end.filter": LOSSLESS,
    "end.other": Verdict("E", "as an end like any other"),
    "own.idle": Verdict("H"),
}
"""What becomes of an answer's meanings where a face says nothing else."""


class Cell(msgspec.Struct, frozen=True):
    """One row of the matrix."""

    field: str
    means: str
    verdicts: dict[ProtocolName, str]
    """Protocol of the other side -> letters."""
    words: dict[ProtocolName, str]
    """What it becomes there, or why not; only where there is something to say."""


class ToldCapabilities(msgspec.Struct, frozen=True):
    """What ``GET {prefix}/capabilities`` tells."""

    legend: Mapping[Letter, str]
    requests: Mapping[ProtocolName, tuple[Cell, ...]]
    """Face -> its fields, and what becomes of them at each upstream."""
    answers: Mapping[ProtocolName, tuple[Cell, ...]]
    """Upstream -> its fields, and what becomes of them on each face."""


Tables: TypeAlias = Mapping[ProtocolName, Capabilities]


class Matrix:
    """All directions.

    Args:
        tables: Of all protocols.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._told: dict[tuple[tuple[ProtocolName, ...], tuple[ProtocolName, ...]], bytes] = {}
        """Faces and upstreams -> what is told of them. As many as there are sets of protocols, and no more."""

    def request(self, face: ProtocolName, upstream: ProtocolName, means: Meaning) -> Verdict:
        """Return what becomes at an upstream of what a face's request means."""
        return RELAYED if face == upstream else self._tables[upstream].takes[means]

    def requests(self, face: ProtocolName, upstreams: Sequence[ProtocolName]) -> tuple[Cell, ...]:
        """Return what becomes of the fields of a face's requests at each of some upstreams."""
        return tuple(
            _cell(row, {upstream: self.request(face, upstream, row.means) for upstream in upstreams})
            for row in self._tables[face].asks
        )

    def answer(self, upstream: ProtocolName, face: ProtocolName, means: Telling) -> Verdict:
        """Return what becomes on a face of what an upstream's answer means."""
        return RELAYED if face == upstream else self._tables[face].tells[means]

    def answers(self, upstream: ProtocolName, faces: Sequence[ProtocolName]) -> tuple[Cell, ...]:
        """Return what becomes of the fields of an upstream's answers on each of some faces."""
        return tuple(
            _cell(row, {face: self.answer(upstream, face, row.means) for face in faces})
            for row in self._tables[upstream].says
        )

    def told(self, query: Mapping[str, str], served_by: Collection[ProtocolName] | None) -> bytes:
        """Return what a caller asks of it, as JSON.

        Args:
            query: ``face`` and ``upstream`` name the one protocol that is wanted.
            served_by: The protocols of the upstreams of the model that is asked for; None: of all.

        Raises:
            MalformedRequest: With ``param``: there is no such protocol.
        """
        faces = self._named(query, "face")
        upstreams = tuple(name for name in self._named(query, "upstream") if served_by is None or name in served_by)
        if (faces, upstreams) not in self._told:
            told = ToldCapabilities(
                LEGEND,
                requests={face: self.requests(face, upstreams) for face in faces},
                answers={upstream: self.answers(upstream, faces) for upstream in upstreams},
            )
            self._told[faces, upstreams] = msgspec.json.encode(told)
        return self._told[faces, upstreams]

    def _named(self, query: Mapping[str, str], param: str) -> tuple[ProtocolName, ...]:
        wanted = query.get(param)
        found = tuple(name for name in self._tables if wanted in (None, name))
        if not found:
            known = ", ".join(self._tables)
            raise MalformedRequest(
                f"There is no such protocol here. Known are {known}.", code="invalid_value", param=param
            )
        return found


def _cell(row: Row, found: Mapping[ProtocolName, Verdict]) -> Cell:
    letters = {name: verdict.letters for name, verdict in found.items()}
    return Cell(
        row.field, row.means, letters, {name: verdict.words for name, verdict in found.items() if verdict.words}
    )
