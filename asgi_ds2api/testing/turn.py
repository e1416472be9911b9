"""What the fake was asked and what it says, freed of any protocol; and how it decides.

Pure: the same `Prompt` gets the same `Turn`. A token is a word (what is left between white space), so that a test can
count usage by hand. An attachment counts `MEDIA_TOKENS`.
"""

import itertools
import json
import re
from typing import Literal, TypeAlias

import msgspec

from .schema import sample

MEDIA_TOKENS = 100
MAX_QUOTED_CHARS = 2_000
"""Of what it was told, the fake repeats so much."""

Ending: TypeAlias = Literal["end", "length", "stop", "calls"]
"""Why a turn ended: by itself, at the token limit, at a stop sequence, or to have tools called."""


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """An image, a document or a sound that came with a message."""

    kind: str
    """A noun: "image"."""
    media_type: str = ""
    """Empty where nothing was said about it (a URL, a file id)."""
    size_bytes: int | None = None
    """Of the decoded data; None for what is elsewhere."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool answered."""

    call_id: str
    text: str
    is_error: bool = False


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message. What a tool answered is the user's, as in Anthropic's Messages."""

    role: Literal["system", "user", "assistant"]
    text: str = ""
    media: tuple[Media, ...] = ()
    results: tuple[Result, ...] = ()
    call_ids: tuple[str, ...] = ()
    """Ids of the tool calls of an assistant's message."""
    hidden_tokens: int = 0
    """Tokens of what is counted and not shown: arguments of calls, earlier reasoning."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the caller offers."""

    name: str
    description: str = ""
    schema: dict[str, object] = {}


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Whether tools may, must or must not be called."""

    mode: Literal["none", "auto", "required"] = "auto"
    name: str | None = None
    """The one tool that may be called, if one is named."""
    is_parallel: bool = True


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    choice: Choice = Choice()
    output_schema: dict[str, object] | None = None
    """The answer must be JSON of this schema."""
    reasons: bool = False
    """Reasoning was asked for."""
    shows_reasoning: bool = True
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    is_array: bool = False
    """The stream is wanted as a JSON array (Gemini's without ``alt=sse``)."""
    is_plain: bool = False
    """A text is wanted, not a message (Ollama's ``/api/generate``)."""
    include_usage: bool = False
    copies: int = 1
    """How many answers are wanted (Chat's ``n``)."""

    @property
    def input_tokens(self) -> int:
        """Words of all messages and tool definitions, plus the attachments."""
        said = sum(
            count(message.text)
            + sum(count(result.text) for result in message.results)
            + len(message.media) * MEDIA_TOKENS
            + message.hidden_tokens
            for message in self.messages
        )
        return said + sum(count(tool.name) + count(tool.description) for tool in self.tools)

    @property
    def latest(self) -> tuple[Message, ...]:
        """The user's messages since the assistant last spoke; all of them if that was the last word."""
        users = [message for message in self.messages if message.role != "system"]
        tail = list(itertools.takewhile(lambda message: message.role == "user", reversed(users)))
        return tuple(reversed(tail)) or tuple(message for message in users if message.role == "user")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool."""

    name: str
    arguments: str
    """JSON text of an object."""

    @property
    def tokens(self) -> int:
        """The name is one, the arguments count by the word."""
        return 1 + count(self.arguments)


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One answer."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    ending: Ending = "end"
    stop: str | None = None
    """The stop sequence that ended it."""

    @property
    def reasoning_tokens(self) -> int:
        """Part of `output_tokens`."""
        return count(self.reasoning)

    @property
    def output_tokens(self) -> int:
        """Words of reasoning, text and calls."""
        return self.reasoning_tokens + count(self.text) + sum(call.tokens for call in self.calls)


def count(text: str) -> int:
    """Return the number of words."""
    return len(text.split())


def pieces(text: str) -> list[str]:
    """Split text as it is streamed: each word with the white space after it. Joined, they are the text."""
    return re.findall(r"\S+\s*|^\s+", text)


def turn_of(prompt: Prompt) -> Turn:
    """Decide what the fake says."""
    reasoning = f"I was asked: {_quoted(_asked(prompt))}. I shall make something up." if prompt.reasons else ""
    if calls := _calls(prompt):
        return _within(Turn(reasoning=reasoning, calls=calls, ending="calls"), prompt)
    if prompt.output_schema is not None:
        text = json.dumps(sample(prompt.output_schema), ensure_ascii=False)
    else:
        text = _words(prompt)
    return _within(Turn(reasoning=reasoning, text=text), prompt)


def call(name: str, arguments: object) -> Call:
    """Return a call with its arguments as JSON text."""
    return Call(name=name, arguments=json.dumps(arguments, ensure_ascii=False))


def _asked(prompt: Prompt) -> str:
    return "\n".join(message.text for message in prompt.latest if message.text)


def _quoted(text: str) -> str:
    return f'"{text}"' if len(text) <= MAX_QUOTED_CHARS else f'"{text[:MAX_QUOTED_CHARS]}..."'


def _words(prompt: Prompt) -> str:
    """Repeat what the fake was told, seen and answered by tools, and say that it is a fake."""
    told = [
        *(_cited(result) for message in prompt.latest for result in message.results),
        *(_seen(media) for message in prompt.latest for media in message.media),
    ]
    if asked := _asked(prompt):
        told.append(f"You said: {_quoted(asked)}.")
    return " ".join([*told, f"I am {prompt.model}, a fake: I only repeat."])


def _cited(result: Result) -> str:
    return f"The tool {'failed' if result.is_error else 'answered'}: {_quoted(result.text)}."


def _seen(media: Media) -> str:
    article = "an" if media.kind[0] in "aeiou" else "a"
    size = "elsewhere: I do not fetch" if media.size_bytes is None else f"{media.size_bytes} bytes"
    return f"I see {article} {media.kind}: {', '.join(filter(None, (media.media_type, size)))}."


def _calls(prompt: Prompt) -> tuple[Call, ...]:
    """Return the calls to make: one, or two where the question speaks of two, or none."""
    tools = [tool for tool in prompt.tools if prompt.choice.name in (None, tool.name)]
    has_results = any(message.results for message in prompt.latest)
    if not tools or prompt.choice.mode == "none" or (has_results and prompt.choice.mode == "auto"):
        return ()
    words = set(re.findall(r"\w+", _asked(prompt).lower()))
    ranked = sorted(tools, key=lambda tool: -_mentions(tool, words))
    chosen = ranked[:1]
    if prompt.choice.is_parallel and words & {"both", "two"}:
        chosen = ranked[:2] if len(ranked) > 1 and _mentions(ranked[1], words) else ranked[:1] * 2
    return tuple(
        call(tool.name, sample(tool.schema or {"type": "object"}, variant=i if tool is chosen[0] else 0))
        for i, tool in enumerate(chosen)
    )


def _mentions(tool: Tool, words: set[str]) -> int:
    """Return how many words of a tool's name the question has."""
    name = re.sub(r"([a-z])([A-Z])", r"\1 \2", tool.name).lower()
    return len(set(re.split(r"[^a-z0-9]+", name)) & words)


def _within(turn: Turn, prompt: Prompt) -> Turn:
    """End a turn at the first stop sequence and at the token limit."""
    found = [(place, stop) for stop in prompt.stop if stop and (place := turn.text.find(stop)) >= 0]
    if found:
        place, stop = min(found)
        turn = msgspec.structs.replace(turn, text=turn.text[:place], ending="stop", stop=stop)
    if prompt.max_tokens is None or turn.output_tokens <= prompt.max_tokens:
        return turn
    left = prompt.max_tokens
    reasoning = _first_words(turn.reasoning, left)
    text = _first_words(turn.text, left := left - count(reasoning))
    left -= count(text)
    calls = itertools.takewhile(lambda made: made[1] <= left, _running(turn.calls))
    return Turn(reasoning=reasoning, text=text, calls=tuple(made for made, _ in calls), ending="length")


def _running(calls: tuple[Call, ...]) -> list[tuple[Call, int]]:
    """Pair each call with the tokens of all up to it."""
    return list(zip(calls, itertools.accumulate(made.tokens for made in calls), strict=True))


def _first_words(text: str, most: int) -> str:
    if count(text) <= most:
        return text
    return "".join(itertools.islice(re.findall(r"\s*\S+", text), most))
