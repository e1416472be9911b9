"""What a test wants the fake to say, in the order in which it is to say it.

A `Script` is one or more answers. They are joined with ``+`` and repeated with ``*``:

    fake.play(Script.error(429, retry_after_s=1) + Script.text("Hello.") * 2)

Each request for a message (``/v1/chat/completions``, ``/v1/responses``, ``/v1/messages``, ``:generateContent``,
``/api/chat``, ...) takes the next answer, in the protocol in which it asked; when none is left, the fake says what it
thinks itself. Requests that are refused (an unknown key, a malformed body) take nothing.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Self, TypeAlias

import msgspec

from .answer import Answer, Error, Face, Frame, Headers
from .turn import Call, Ending, Turn, call


class Verbatim(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer as it is: a body, or the events of a stream."""

    status: int
    headers: Headers
    body: bytes = b""
    events: tuple[object, ...] | None = None


What: TypeAlias = Turn | Error | Verbatim | None
"""None: what the fake would say of itself."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One answer and where it breaks off."""

    what: What = None
    cut_after: int | None = None
    """Bytes of the body that are sent."""
    hangs: bool = False
    """Falls silent there, instead of closing the connection; without ``cut_after``, before the status line."""


class Script:
    """One or more answers, made by the class methods below. Immutable: it may be played as often as you like.

    Example:
        >>> script = Script.tool_call("get_weather", {"city": "Oslo"}) + Script.text("It snows.")
        >>> len(script.steps)
        2
    """

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self.steps = tuple(steps)

    def __add__(self, other: "Script") -> "Script":
        return Script(self.steps + other.steps)

    def __mul__(self, times: int) -> "Script":
        return Script(self.steps * times)

    def __repr__(self) -> str:
        return f"<Script of {len(self.steps)} answer(s)>"

    @classmethod
    def text(cls, text: str, *, reasoning: str = "", ending: Ending = "end", stop: str | None = None) -> Self:
        """Say this.

        Args:
            text: Is streamed word by word to those who want a stream.
            reasoning: Comes before it, as thinking or ``reasoning_content``.
            ending: "end", "length" (the token limit) or "stop" (a stop sequence).
            stop: The stop sequence that ended it.
        """
        return cls([Step(what=Turn(text=text, reasoning=reasoning, ending=ending, stop=stop))])

    @classmethod
    def tool_call(cls, name: str, arguments: Mapping[str, object] | None = None, *, text: str = "") -> Self:
        """Call a tool, whether it was offered or not, after saying ``text``."""
        return cls.tool_calls((name, arguments or {}), text=text)

    @classmethod
    def tool_calls(cls, *calls: tuple[str, Mapping[str, object]], text: str = "") -> Self:
        """Call several tools at once: pairs of name and arguments."""
        made: tuple[Call, ...] = tuple(call(name, dict(arguments)) for name, arguments in calls)
        return cls([Step(what=Turn(text=text, calls=made, ending="calls"))])

    @classmethod
    def error(
        cls,
        status: int,
        message: str = "This error was asked for by a script.",
        *,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Answer with an error, in the vendor's body.

        Args:
            status: 400 to 599.
            message: For people.
            type: Default: what the vendor says with this status.
            code: Of OpenAI's bodies, or Google's reason, which is in capitals. Default: as for ``type``.
            param: Of OpenAI's bodies, or the field of Google's violation.
            retry_after_s: Sent as ``Retry-After``.
            headers: More headers.
        """
        retry = () if retry_after_s is None else (("retry-after", f"{retry_after_s:g}"),)
        all_headers = (*retry, *(headers or {}).items())
        return cls(
            [Step(what=Error(status=status, message=message, type=type, code=code, param=param, headers=all_headers))]
        )

    @classmethod
    def answer(
        cls,
        status: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        text: str | bytes | None = None,
        events: Sequence[object] | None = None,
    ) -> Self:
        """Answer with exactly this, whatever was asked: one of ``json``, ``text`` and ``events``.

        Args:
            status: 200 to 999.
            headers: Win over the content type that goes with the body.
            json: Any value that JSON has.
            text: The body as it is.
            events: Of a stream: SSE events, or Ollama's lines. Text is the data as it is (``"[DONE]"``), anything else
                becomes JSON; in Messages and Responses an object with a ``type`` is named after it.
        """
        content_type: Headers = (("content-type", "application/json"),)
        body = b"" if events is not None else _encoded(json)
        if text is not None:
            content_type = (("content-type", "text/plain; charset=utf-8"),)
            body = text.encode() if isinstance(text, str) else text
        if events is not None:
            content_type = ()
        merged = {**dict(content_type), **{name.lower(): value for name, value in (headers or {}).items()}}
        what = Verbatim(
            status=status,
            headers=tuple(merged.items()),
            body=body,
            events=None if events is None else tuple(events),
        )
        return cls([Step(what=what)])

    @classmethod
    def cut(cls, *, after: int, of: "Script | None" = None) -> Self:
        """Close the connection after so many bytes of the body, in the middle of the answer.

        Args:
            after: Bytes, 0 or more. The status line and the headers always go out.
            of: What is cut. Default: what the fake would say of itself.
        """
        steps = of.steps if of is not None else (Step(),)
        return cls([msgspec.structs.replace(step, cut_after=after, hangs=False) for step in steps])

    @classmethod
    def hang(cls, *, after: int | None = None, of: "Script | None" = None) -> Self:
        """Fall silent until the caller leaves.

        Args:
            after: So many bytes of the body. Default: before the status line.
            of: What is broken off. Default: what the fake would say of itself.
        """
        steps = of.steps if of is not None else (Step(),)
        return cls([msgspec.structs.replace(step, cut_after=after, hangs=True) for step in steps])


def verbatim(what: Verbatim, face: Face) -> Answer:
    """Say exactly what a script says."""
    if what.events is None:
        return Answer(status=what.status, headers=what.headers, frames=(Frame(what.body),), length=len(what.body))
    frames = tuple(Frame(face.event(value), is_word=True) for value in what.events)
    headers = {**dict(face.STREAM_HEADERS), **dict(what.headers)}
    return Answer(status=what.status, headers=tuple(headers.items()), frames=frames)


def _encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
