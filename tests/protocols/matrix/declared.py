"""What each direction loses, declared: the matrix fails where something else is lost, and where one of these is not.

A `Loss` is what a cell finds otherwise than it was meant, with the Notice that says so. What a protocol has no words
for at all is in `WORDLESS`: there is nothing to lose.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .cell import ENDS, Found

Verdict = Literal["E", "H", "W", "X"]
"""Emulated, a hint, lost, refused: as the pages of the protocols have it."""
SEVERITY: Final[dict[Verdict, str]] = {"E": "changed", "W": "lost"}
Names: TypeAlias = tuple[str, ...]

CHAT, RESPONSES, CLAUDE, GEMINI, OLLAMA = EVERY = tuple(ENDS)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What some directions lose of a row."""

    row: str
    faces: Names = EVERY
    to: Names = EVERY
    verdict: Verdict
    at: str
    """Pattern of the Notice's path, or of the place that is refused."""
    why: str
    asked: frozenset[str] = frozenset()
    """As `Found.asked`."""
    told: frozenset[str] = frozenset()
    """As `Found.told`."""
    streamed: frozenset[str] = frozenset()
    """As `told`, of streams alone."""

    def is_of(self, row: str, face: str, to: str) -> bool:
        """Tell whether it is a cell's."""
        return row == self.row and face in self.faces and to in self.to


def _each(places: dict[str, str], *, to: Names, **fields: object) -> Iterator[Loss]:
    """Return the same loss for faces that have it in another place each."""
    for face, at in places.items():
        yield Loss(faces=(face,), to=to, at=at, **fields)  # type: ignore[arg-type]  # its own fields


LOSSES: Final = (
    *_each(
        {
            RESPONSES: "input[].output[]",
            CLAUDE: "messages[].content[].content[]",
            GEMINI: "contents[].parts[].functionResponse.parts[]",
            OLLAMA: "messages[].images[]",
        },
        to=(CHAT,),
        row="tool result with image",
        verdict="E",
        why="a tool message holds text: the picture follows in a user message",
    ),
    *_each(
        {CLAUDE: "messages[].content[].is_error", GEMINI: "contents[].parts[].functionResponse.response"},
        to=(CHAT, RESPONSES, OLLAMA),
        row="tool error",
        verdict="E",
        why="a result has no mark there: `Error:` stands before its text",
    ),
    *_each(
        {
            CHAT: "messages[].content[]",
            RESPONSES: "input[].content[]",
            CLAUDE: "messages[].content[]",
            GEMINI: "contents[].parts[]",
        },
        to=(OLLAMA,),
        row="document",
        verdict="X",
        why="the upstream takes pictures, and no document",
    ),
    Loss(
        row="reasoning",
        faces=(OLLAMA,),
        to=(CHAT, RESPONSES, CLAUDE),
        verdict="H",
        at="usage.reasoning",
        why="tokens are counted whole",
        told=frozenset({"reasoning_tokens"}),
    ),
    Loss(
        row="reasoning",
        faces=(OLLAMA,),
        to=(GEMINI,),
        verdict="H",
        at="usageMetadata.thoughtsTokenCount",
        why="tokens are counted whole",
        told=frozenset({"reasoning_tokens"}),
    ),
    Loss(
        row="reasoning that goes back",
        faces=(OLLAMA,),
        to=(CHAT, RESPONSES, CLAUDE),
        verdict="H",
        at="usage.reasoning",
        why="tokens are counted whole",
        told=frozenset({"reasoning_tokens"}),
    ),
    Loss(
        row="reasoning that goes back",
        faces=(OLLAMA,),
        to=(GEMINI,),
        verdict="H",
        at="usageMetadata.thoughtsTokenCount",
        why="tokens are counted whole",
        told=frozenset({"reasoning_tokens"}),
    ),
    *_each(
        {
            CHAT: "messages[].reasoning_details[]",
            RESPONSES: "input[]",
            CLAUDE: "messages[].content[]",
            OLLAMA: "messages[].thinking",
        },
        to=(GEMINI,),
        row="reasoning that goes back",
        verdict="H",
        why="the vendor wants its signature back, which goes; the text of a thought without one stays here",
        asked=frozenset({"thoughts"}),
    ),
    *_each(
        {
            CHAT: "stop[]",
            CLAUDE: "stop_sequences[]",
            GEMINI: "generationConfig.stopSequences[]",
            OLLAMA: "options.stop[]",
        },
        to=(RESPONSES,),
        row="stop sequence",
        verdict="E",
        why="the vendor takes none: the gateway looks for it, ends a stream there, and estimates its tokens",
        asked=frozenset({"stop"}),
        streamed=frozenset({"input_tokens", "output_tokens"}),
    ),
    *(
        Loss(
            row="refusal",
            faces=(OLLAMA,),
            to=to,
            verdict="E",
            at=at,
            why="a refusal is a text there, and its end is `stop`",
            told=frozenset({"finish"}),
        )
        for to, at in (
            ((CHAT,), "choices[].message.refusal"),
            ((RESPONSES,), "output[].content[]"),
            ((CLAUDE,), "stop_reason"),
            ((GEMINI,), "candidates[].finishReason"),
        )
    ),
    Loss(
        row="cached usage",
        faces=(OLLAMA,),
        to=(CHAT, RESPONSES, CLAUDE),
        verdict="H",
        at="usage.cache_read",
        why="tokens are counted whole",
        told=frozenset({"cached_tokens"}),
    ),
    Loss(
        row="cached usage",
        faces=(OLLAMA,),
        to=(GEMINI,),
        verdict="H",
        at="usageMetadata.cachedContentTokenCount",
        why="tokens are counted whole",
        told=frozenset({"cached_tokens"}),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """A cell in which there is nothing to say."""

    row: str
    faces: Names = EVERY
    to: Names = EVERY
    why: str


WORDLESS: Final = (
    Nothing(row="document", faces=(OLLAMA,), why="Ollama's callers send pictures, and no document"),
    Nothing(
        row="stop sequence",
        faces=(RESPONSES,),
        to=(RESPONSES,),
        why="a stop sequence is relayed, and the vendor's to judge",
    ),
    Nothing(row="refusal", to=(OLLAMA,), why="Ollama's models refuse in plain text"),
    Nothing(row="cached usage", to=(OLLAMA,), why="Ollama tells no cached tokens"),
)


def is_wordless(row: str, face: str, to: str) -> bool:
    """Tell whether there is nothing to say in a cell."""
    return any(row == cell.row and face in cell.faces and to in cell.to for cell in WORDLESS)


def losses(row: str, face: str, to: str) -> list[Loss]:
    """Return what a cell loses."""
    return [loss for loss in LOSSES if loss.is_of(row, face, to)]


def declared(row: str, face: str, to: str, *, stream: bool) -> Found:
    """Return what a cell has to find."""
    found = losses(row, face, to)
    refused = frozenset(loss.at for loss in found if loss.verdict == "X")
    told = frozenset[str]().union(*(loss.told | (loss.streamed if stream else frozenset()) for loss in found))
    notices = frozenset((loss.at, SEVERITY[loss.verdict]) for loss in found if loss.verdict in SEVERITY)
    hints = frozenset(loss.at for loss in found if loss.verdict == "H")
    asked = frozenset[str]().union(*(loss.asked for loss in found))
    return Found(asked=asked, told=told, notices=notices, hints=hints, refused=refused)
