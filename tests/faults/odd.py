"""Streams that say odd things, in the words of each upstream: what is new, odd figures, more than one end."""

import json
from typing import Any

from tests.support.dialects import CHAT, CLAUDE, GEMINI, OLLAMA, RESPONSES, TEXT, Dialect

Figures = list[tuple[object, object]]
"""Tokens of the request and of the answer, as often as they are told."""


def news(upstream: Dialect) -> list[bytes]:
    """Return frames, or fields in them, that nobody knows yet; they belong into the midst of an answer."""
    match upstream.name:
        case "chat":
            news = CHAT.frame({}, choices=[], object="chat.completion.news", news={"a": [1]})
            return [news, CHAT.frame({"mood": "good"}, confidence=0.5)]
        case "responses":
            return RESPONSES.frames([{"type": "response.news", "news": {"a": [1]}, "output_index": 0}])
        case "claude":
            pings = [CLAUDE.frame(type="ping"), CLAUDE.frame(type="ping", mood="good")]
            return [CLAUDE.frame(type="news", news={"a": [1]}), *pings]
        case "gemini":
            return [GEMINI.frame([{"text": "", "mood": "good"}], news={"a": [1]})]
        case "ollama":
            return [OLLAMA.frame({"content": "", "mood": "good"}, news={"a": [1]})]


def with_usage(upstream: Dialect, told: Figures) -> list[bytes]:
    """Return a stream that tells its usage so often, and so."""
    match upstream.name:
        case "chat":
            end = [CHAT.usage_frame({"prompt_tokens": a, "completion_tokens": b}) for a, b in told]
            return [*CHAT.text_stream()[:-2], *end, CHAT.text_stream()[-1]]
        case "responses":
            return _responses_with_usage(told)
        case "claude":
            return _claude_with_usage(told)
        case "gemini":
            return _gemini_with_usage(told)
        case "ollama":
            return _ollama_with_usage(told)


def _responses_with_usage(told: Figures) -> list[bytes]:
    """An answer that ends tells its usage once; what it said before counts for nothing."""
    events = RESPONSES.text_events()
    figures = [{"input_tokens": a, "output_tokens": b} for a, b in told]
    events[0]["response"]["usage"] = figures[0] if figures[1:] else None
    events[-1]["response"]["usage"] = figures[-1] if figures else None
    return RESPONSES.frames(events)


def _claude_with_usage(told: Figures) -> list[bytes]:
    start = CLAUDE.start({"type": "text", "text": ""}, told and {"input_tokens": told[0][0], "output_tokens": 1})
    if not told:
        start[0] = start[0].replace(b'"usage": {"input_tokens": 11, "output_tokens": 1}', b'"usage": null')
    ends = [CLAUDE.finish("end_turn", {"input_tokens": a, "output_tokens": b})[0] for a, b in told]
    ends = ends or [CLAUDE.finish("end_turn", {})[0].replace(b', "usage": {}', b"")]
    text = [CLAUDE.delta("text_delta", piece) for piece in TEXT]
    return [*start, *text, CLAUDE.end("end_turn")[0], *ends, CLAUDE.finish("end_turn")[1]]


def _gemini_with_usage(told: Figures) -> list[bytes]:
    figures: list[object] = [{"promptTokenCount": a, "candidatesTokenCount": b} for a, b in told]
    frames = []
    for number, piece in enumerate([*TEXT, ""]):
        chunk: dict[str, Any] = GEMINI.chunk([{"text": piece}], None if piece else "STOP")
        del chunk["usageMetadata"]
        at = number - len(TEXT) - 1 + len(figures)
        frames.append(GEMINI.event(json.dumps({**chunk, "usageMetadata": figures[at]} if at >= 0 else chunk).encode()))
    return frames


def _ollama_with_usage(told: Figures) -> list[bytes]:
    """The last line alone has figures."""
    end = OLLAMA.end()
    counts = [{"prompt_eval_count": a, "eval_count": b} for a, b in told]
    for name in ("prompt_eval_count", "eval_count"):
        del end[name]
    lines = [OLLAMA.frame({"content": piece}) for piece in TEXT[:-1]]
    lines.append(OLLAMA.frame({"content": TEXT[-1]}, **(counts[0] if counts[1:] else {})))
    return [*lines, OLLAMA.event(json.dumps({**end, **(counts[-1] if counts else {})}).encode())]


def with_two_ends(upstream: Dialect, first: str, second: str) -> list[bytes]:
    """Return a stream that goes on after its reason, and gives another one.

    Only where the reason is not what ends the stream.
    """
    match upstream.name:
        case "chat":
            more = [CHAT.frame({}, first), CHAT.frame({"content": "MORE"}), CHAT.frame({}, second)]
            return [*CHAT.text_stream()[:-3], *more, *CHAT.text_stream()[-2:]]
        case "claude":
            words = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
            more = [CLAUDE.finish(words[first])[0], *CLAUDE.start({"type": "text", "text": "MORE"})[1:]]
            more += [CLAUDE.delta("text_delta", "MORE"), CLAUDE.end("x")[0], CLAUDE.finish(words[second])[0]]
            return [*CLAUDE.text_stream()[:-2], *more, CLAUDE.finish("x")[1]]
        case name:
            raise AssertionError(f"the reason ends a stream of {name}")
