"""What is asked and what is said, in no vendor's form: the terms in which the two ends of a gateway are compared."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from tests.support.outcome import FinishClass, Outcome, json_arguments

Json = dict[str, Any]
Data: TypeAlias = tuple[str, str]
"""Media type, and the bytes in base64."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A model's call of a tool."""

    id: str
    name: str
    arguments: Json

    @property
    def text(self) -> str:
        """The arguments, as a vendor writes them that has them as text."""
        return json.dumps(self.arguments)

    @property
    def told(self) -> tuple[str, str]:
        """The call as an `Outcome` has it."""
        return self.name, json_arguments(self.arguments)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a call came to."""

    call: Call
    text: str
    image: Data | None = None
    is_error: bool = False


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one side says."""

    role: Literal["user", "assistant"] = "user"
    text: str = ""
    image: Data | None = None
    document: Data | None = None
    calls: tuple[Call, ...] = ()
    results: tuple[Result, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool that a caller offers."""

    name: str
    description: str
    schema: Json


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A question, as a caller has it in mind."""

    turns: tuple[Turn, ...] = (Turn(text="Hi there."),)
    system: str = ""
    tools: tuple[Tool, ...] = ()
    schema: Json | None = None
    stop: tuple[str, ...] = ()
    effort: str = ""
    max_tokens: int = 900

    @property
    def meant(self) -> "Asked":
        """What an upstream has to read."""
        results = [result for turn in self.turns for result in turn.results]
        media = [(turn.image, turn.document) for turn in self.turns]
        return Asked(
            system=self.system,
            said=[(turn.role, turn.text) for turn in self.turns if turn.text],
            images=[data for data, _ in media if data] + [result.image for result in results if result.image],
            documents=[data for _, data in media if data],
            calls=[call.told for turn in self.turns for call in turn.calls],
            results=[(result.call.name, result.text) for result in results],
            failed=[result.call.name for result in results if result.is_error],
            tools={tool.name: (tool.description, tool.schema) for tool in self.tools},
            schema=self.schema,
            stop=list(self.stop),
            effort=self.effort,
            max_tokens=self.max_tokens,
        )


@dataclass(kw_only=True)
class Asked:
    """A question, as an upstream read it."""

    system: str = ""
    said: list[tuple[str, str]] = field(default_factory=list)
    images: list[Data] = field(default_factory=list)
    documents: list[Data] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    results: list[tuple[str, str]] = field(default_factory=list)
    """Name of what was called, and the text."""
    failed: list[str] = field(default_factory=list)
    """Names of what was called and failed."""
    tools: dict[str, tuple[str, Json]] = field(default_factory=dict)
    schema: Json | None = None
    stop: list[str] = field(default_factory=list)
    effort: str = ""
    is_hidden: bool = False
    """Thinking is asked for, and not to be shown it."""
    max_tokens: int | None = None
    thoughts: list[str] = field(default_factory=list)
    """Reasoning that came back."""
    signatures: list[str] = field(default_factory=list)
    """What the vendor signed its reasoning with, come back."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer, as an upstream has it in mind."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    signature: str = ""
    calls: tuple[Call, ...] = ()
    finish: FinishClass = "stop"
    stopped_by: str = ""
    """The stop sequence that ended it."""
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    input_tokens: int = 211
    output_tokens: int = 47

    @property
    def meant(self) -> Outcome:
        """What a caller has to read."""
        return Outcome(
            text=self.text + self.refusal,
            reasoning=self.reasoning,
            tools=tuple(call.told for call in self.calls),
            finish=self.finish,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
            reasoning_tokens=self.reasoning_tokens,
        )


Failure: TypeAlias = Literal["bad request", "bad key", "rate limit", "overload", "failure"]
"""What goes wrong at an upstream; a ``failure`` is told inside a 200."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """How a protocol says that something went wrong."""

    status: int
    words: tuple[object, ...]
    """The vendor's own words for the kind of error, as far as the protocol has any."""


class Wordless(Exception):
    """The protocol has no words for what it shall say, or was sent words that it does not have."""


class End(Protocol):
    """A protocol, as one end of a gateway has to speak it: each module of this folder that is named after one."""

    NAME: str
    """As an `upstream` of the tests is called."""
    MODEL: str
    """A model of the vendor's, as an upstream."""
    ORACLE: str
    """Its name for `outcome_of`."""
    HEADERS: dict[str, str]
    """Of a caller."""
    STREAM_TYPE: str
    """Content type of an upstream's stream."""
    WORDS: dict[FinishClass, str]
    """Why an answer ended, as a caller reads it."""
    STOPPED: str
    """Why an answer ended that a stop sequence ended, if it was told that one did."""
    TELLS_FAILURES: bool
    """Whether a tool's failure has a field of its own. Elsewhere it is said in the text of the result."""
    TROUBLE: dict[Failure, Trouble]
    """What a caller gets for an upstream's errors."""

    def path(self, model: str, *, stream: bool) -> tuple[str, str]:
        """Return path and query of a call."""
        ...

    def write(self, ask: Ask, model: str, *, stream: bool) -> Json:
        """Say a question, as a caller.

        Raises:
            Wordless: The protocol cannot say it.
        """
        ...

    def read(self, body: Json) -> Asked:
        """Read a question, as an upstream.

        Raises:
            Wordless: It holds a field that the vendor does not know.
        """
        ...

    def gather(self, stream: bytes) -> Json:
        """Put a complete stream together as the vendor's SDK does, as a caller: a whole answer."""
        ...

    def go_on(self, body: Json, answer: Json, result: str) -> Json:
        """Return the next question: the last one, its answer as it came, and what its call came to."""
        ...

    def whole(self, said: Said) -> Json:
        """Say an answer, as an upstream; `frames` says the same as a stream.

        Raises:
            Wordless: The protocol cannot say it.
        """
        ...

    def frames(self, said: Said) -> list[bytes]:
        """Say an answer as a stream, as an upstream; texts come in two pieces."""
        ...

    def finish_of(self, answer: Json) -> str:
        """Return the vendor's word for why a whole answer ended, as a caller reads it."""
        ...

    def refuse(self, failure: Failure) -> tuple[int, Json]:
        """Say an error, as an upstream: status and body."""
        ...

    def fail(self) -> tuple[Json, bytes]:
        """Say inside a 200 that the answer failed, as an upstream: whole, and as a frame of a stream."""
        ...

    def trouble(self, status: int, body: Json) -> tuple[Trouble, str, str]:
        """Read an error, as a caller: its kind, its message, and the place that it names."""
        ...

    def is_broken(self, stream: bytes) -> bool:
        """Tell whether a stream ends with an error, as a caller, and says nowhere that it is complete."""
        ...


def payloads(stream: bytes) -> list[Json]:
    """Return the data of server-sent events, but for ``[DONE]``."""
    lines = [line[6:] for line in stream.replace(b"\r", b"").split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def halves(text: str) -> tuple[str, str]:
    """Return a text in two pieces."""
    middle = len(text) // 2
    return text[:middle], text[middle:]


def as_text(content: object) -> str:
    """Return the text of a content, which is a text or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def parts_of(content: object) -> Sequence[Json]:
    """Return the parts of a content, which is a text or a list of parts."""
    return content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
