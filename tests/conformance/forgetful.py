"""Clients that carry nothing of what a model thought, on every face; and what upstreams of every kind think.

Each client sends a turn back with its calls alone: names and arguments, and ids where the protocol demands them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asgi_ds2api.state.memory import MemoryStore

from .asking import (
    CONTENTS,
    HELLO,
    STREAM,
    Asked,
    ask,
    called_item,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    gemini_answer,
    gemini_chunk,
    gemini_stream,
    ollama_answer,
    ollama_end,
    ollama_line,
    ollama_stream,
    response_answer,
    response_events,
    response_stream,
    tool_block,
)

SIGNATURE = "EqQB+/sig=="
BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Let me see.", "signature": SIGNATURE},
    {"type": "redacted_thinking", "data": "EmwK+/red=="},
    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1, "b": [2.5, "é"]}},
    {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
]
PARTS: list[dict[str, Any]] = [
    {"text": "Let me see.", "thought": True},
    {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "U0lH+/=="},
    {"functionCall": {"name": "g", "args": {}}},
]
ITEMS = [
    {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAAAB+/enc=="},
    called_item("call_1", "f", '{"a":1}'),
    called_item("call_2", "g", "{}"),
]
CALLS = [
    {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
    for number, name, arguments in ((1, "f", '{"a":1}'), (2, "g", "{}"))
]
TOOLS: dict[str, Any] = {
    "chat": [{"type": "function", "function": {"name": name}} for name in "fg"],
    "responses": [{"type": "function", "name": name, "parameters": None} for name in "fg"],
    "claude": [{"name": name, "input_schema": {"type": "object"}} for name in "fg"],
    "gemini": [{"functionDeclarations": [{"name": name} for name in "fg"]}],
    "ollama": [{"type": "function", "function": {"name": name, "parameters": {}}} for name in "fg"],
}


# --- what upstreams think, and what they are to get back --------------------------------------------------------------


def streamed_blocks() -> Any:
    thought = BLOCKS[0]
    deltas = [
        {"type": "thinking_delta", "thinking": "Let me "},
        {"type": "thinking_delta", "thinking": "see."},
        {"type": "signature_delta", "signature": SIGNATURE},
    ]
    calls = [tool_block(block["id"], block["name"], json.dumps(block["input"])) for block in BLOCKS[2:]]
    start = {**thought, "thinking": "", "signature": ""}
    return claude_stream(claude_events((start, deltas), (BLOCKS[1], []), *calls, stop="tool_use"))


def streamed_calls() -> Any:
    pieces = [{"tool_calls": [{"index": index, **made}]} for index, made in enumerate(CALLS)]
    thoughts = [{"reasoning_content": "Let me "}, {"reasoning_content": "see."}]
    return chat_stream(*map(chunk, [*thoughts, *pieces]), chunk(finish="tool_calls"))


OLLAMA_CALLS = [{"function": {"name": "f", "arguments": {"a": 1}}}, {"function": {"name": "g", "arguments": {}}}]
THOUGHT = "Let me see."
ANSWERS: Mapping[tuple[str, bool], Callable[[], Any]] = {
    ("claude", False): lambda: claude_answer(BLOCKS, "tool_use"),
    ("claude", True): streamed_blocks,
    ("gemini", False): lambda: gemini_answer(PARTS),
    ("gemini", True): lambda: gemini_stream(*(gemini_chunk([part]) for part in PARTS), gemini_chunk([], "STOP")),
    ("responses", False): lambda: response_answer(ITEMS),
    ("responses", True): lambda: response_stream(response_events(*ITEMS)),
    ("chat", False): lambda: chat_answer(
        {"content": None, "reasoning_content": THOUGHT, "tool_calls": CALLS}, "tool_calls"
    ),
    ("chat", True): streamed_calls,
    ("ollama", False): lambda: ollama_answer({"content": "", "thinking": THOUGHT, "tool_calls": OLLAMA_CALLS}),
    ("ollama", True): lambda: ollama_stream(
        ollama_line({"thinking": "Let me "}), ollama_line({"thinking": "see."}),
        ollama_line({"tool_calls": OLLAMA_CALLS}), ollama_end({"content": ""}),
    ),
}  # fmt: skip
PROFILES = {
    "claude": "anthropic", "gemini": "gemini", "responses": "openai-responses", "chat": "deepseek", "ollama": "ollama",
}  # fmt: skip
MODELS = {"claude": "claude-sonnet-4-5", "gemini": "gemini-3.6-flash"}
BYE: Mapping[str, Callable[[], Any]] = {
    "claude": claude_answer, "gemini": lambda: gemini_answer([{"text": "x"}]), "responses": response_answer,
    "chat": chat_answer, "ollama": ollama_answer,
}  # fmt: skip


def thought_back(to: str, sent: Any) -> Any:
    """Return what an upstream was given back of its reasoning, and the order in which it stands among the calls."""
    match to:
        case "claude":
            blocks = sent["messages"][1]["content"]
            return [block if block["type"] != "tool_use" else block["name"] for block in blocks]
        case "gemini":
            return [
                (part["functionCall"]["name"], part.get("thoughtSignature")) for part in sent["contents"][1]["parts"]
            ]
        case "responses":
            return [(item["type"], item.get("encrypted_content")) for item in sent["input"][1:4]]
        case "chat":
            return sent["messages"][1]["reasoning_content"]
        case _:
            return sent["messages"][1]["thinking"]


BACK: Mapping[str, Any] = {
    "claude": [*BLOCKS[:2], "f", "g"],
    "gemini": [("f", "U0lH+/=="), ("g", None)],
    "responses": [("reasoning", "gAAAAB+/enc=="), ("function_call", None), ("function_call", None)],
    "chat": THOUGHT,
    "ollama": THOUGHT,
}


# --- clients that carry nothing ---------------------------------------------------------------------------------------

Made = tuple[str, str, Any]
"""Id, name and arguments of a call."""


def calls_in(face: str, asked: Asked, streamed: bool) -> list[Made]:
    """Return the calls that a client of this face takes out of an answer."""
    match face:
        case "chat" if streamed:
            pieces = [piece for event in asked.events if event != "[DONE]" for choice in event["choices"]
                      for piece in choice["delta"].get("tool_calls", ())]  # fmt: skip
            made: dict[int, list[str]] = {}
            for piece in pieces:
                call = made.setdefault(piece["index"], ["", "", ""])
                told = piece.get("function", {})
                for place, text in enumerate((piece.get("id"), told.get("name"), told.get("arguments"))):
                    call[place] += text or ""
            return [(id_, name, json.loads(arguments)) for id_, name, arguments in made.values()]
        case "chat":
            made_whole = asked.json["choices"][0]["message"]["tool_calls"]
            return [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in made_whole]
        case "responses":
            whole = asked.events[-2]["response"] if streamed else asked.json
            items = [item for item in whole["output"] if item["type"] == "function_call"]
            return [(item["call_id"], item["name"], json.loads(item["arguments"])) for item in items]
        case "claude" if streamed:
            starts = {e["index"]: e["content_block"] for e in asked.events if e["type"] == "content_block_start"}
            texts = {index: "" for index, block in starts.items() if block["type"] == "tool_use"}
            for event in asked.events:
                if event["type"] == "content_block_delta" and event["index"] in texts:
                    texts[event["index"]] += event["delta"]["partial_json"]
            return [(starts[i]["id"], starts[i]["name"], json.loads(text or "{}")) for i, text in texts.items()]
        case "claude":
            blocks = [block for block in asked.json["content"] if block["type"] == "tool_use"]
            return [(block["id"], block["name"], block["input"]) for block in blocks]
        case "gemini":
            told = asked.events if streamed else [asked.json]
            parts = [p for e in told for p in e["candidates"][0].get("content", {}).get("parts", ())]
            return [
                ("", p["functionCall"]["name"], p["functionCall"].get("args", {})) for p in parts if "functionCall" in p
            ]
        case _:
            lines = asked.lines if streamed else [asked.json]
            made_here = [call["function"] for line in lines for call in line["message"].get("tool_calls", ())]
            return [("", call["name"], call["arguments"]) for call in made_here]


def bare_turn(face: str, calls: Sequence[Made], text: str = "") -> list[Any]:
    """Return a turn and the results of its calls, as a client sends them that dropped all else."""
    match face:
        case "chat":
            made = [
                {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}} for i, n, a in calls
            ]
            results = [{"role": "tool", "tool_call_id": i, "content": "r"} for i, _, _ in calls]
            return [{"role": "assistant", "content": text, "tool_calls": made}, *results]
        case "responses":
            items = [
                {"type": "function_call", "call_id": i, "name": n, "arguments": json.dumps(a)} for i, n, a in calls
            ]
            return [*items, *({"type": "function_call_output", "call_id": i, "output": "r"} for i, _, _ in calls)]
        case "claude":
            blocks = [{"type": "tool_use", "id": i, "name": n, "input": a} for i, n, a in calls]
            results = [{"type": "tool_result", "tool_use_id": i, "content": "r"} for i, _, _ in calls]
            return [{"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
        case "gemini":
            parts = [{"functionCall": {"name": n, "args": a}} for _, n, a in calls]
            given = [{"functionResponse": {"name": n, "response": {"output": "r"}}} for _, n, _ in calls]
            return [{"role": "model", "parts": parts}, {"role": "user", "parts": given}]
        case _:
            functions = [{"function": {"name": n, "arguments": dict(reversed(a.items()))}} for _, n, a in calls]
            results = [{"role": "tool", "tool_name": n, "content": "r"} for _, n, _ in calls]
            return [{"role": "assistant", "content": text, "tool_calls": functions}, *results]


class Client:
    """Talks on one face to one upstream at a time; all gateways share a state, as one process has it."""

    def __init__(self, face: str, **config: Any) -> None:
        self.face = face
        self.time = 0.0
        self.store = MemoryStore(lambda: self.time)
        self._config = config
        self._field = {"gemini": "contents", "responses": "input"}.get(face, "messages")
        self.talk: list[Any] = list(CONTENTS if face == "gemini" else HELLO)

    async def ask(
        self, to: str, script: Any, *, streamed: bool = False, profile: Any = None, more: Any = (), **config: Any
    ) -> Asked:
        body: dict[str, Any] = {self._field: self.talk, "tools": TOOLS[self.face], **dict(more)}
        if self.face != "gemini":
            body["stream"] = streamed
        return await ask(
            self.face, to, body, script, model=MODELS.get(to, "test-model"), store=self.store,
            profile=profile or {"base": PROFILES[to], "exact": False},
            verb=STREAM if streamed else "generateContent", **{**self._config, **config},
        )  # fmt: skip

    async def take_turn(self, to: str, *, streamed: bool = False, **config: Any) -> Asked:
        """Let the model call its tools, and put that into the talk with all reasoning dropped."""
        asked = await self.ask(to, ANSWERS[to, streamed](), streamed=streamed, **config)
        assert asked.answer.status == 200, asked.answer.text
        calls = calls_in(self.face, asked, streamed)
        assert [name for _, name, _ in calls] == ["f", "g"]
        self.talk += bare_turn(self.face, calls)
        return asked

    async def go_on(self, to: str, **config: Any) -> Asked:
        """Send the talk back."""
        asked = await self.ask(to, BYE[to](), **config)
        assert asked.answer.status == 200, asked.answer.text
        return asked


FACES = ["chat", "responses", "claude", "gemini", "ollama"]
