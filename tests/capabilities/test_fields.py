"""No field that a face knows is missing in its table."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest

from asgi_ds2api.canonical import ProtocolName
from asgi_ds2api.protocols import PROTOCOLS
from asgi_ds2api.protocols.anthropic_messages import wire as messages
from asgi_ds2api.protocols.gemini_generate import parts, reasoning, request, settings, tools
from asgi_ds2api.protocols.gemini_generate.wire import Shape
from asgi_ds2api.protocols.ollama_chat import wire as ollama
from asgi_ds2api.protocols.openai_chat import wire as chat
from asgi_ds2api.protocols.openai_responses import wire as responses


class Known(NamedTuple):
    """What a face knows at a place."""

    place: str
    shape: type[msgspec.Struct] | Shape
    whole: tuple[str, ...] = ()
    """Fields that are told with what they make up: a call is its id, its name and its arguments."""


CHAT = (
    Known("", chat.Request, ("model",)),
    Known("messages[]", chat.Message),
    Known("messages[].tool_calls[]", chat.ToolCall, ("id", "type")),
    Known("messages[].tool_calls[].function", chat.FunctionCall, ("name",)),
    *(
        Known("messages[].content[]", part)
        for part in (
            chat.TextPart, chat.OutputTextPart, chat.ImagePart, chat.AudioPart, chat.FilePart, chat.RefusalPart,
            chat.VideoUrlPart, chat.AudioUrlPart, chat.DocumentUrlPart,
        )
    ),
    Known("messages[].content[].image_url", chat.ImageUrl, ("url",)),
    Known("messages[].content[].file", chat.File),
    Known("tools[]", chat.Tool, ("type",)),
    Known("tools[].function", chat.Function, ("description", "parameters")),
    Known("tools[].custom", chat.Custom, ("name", "description")),
    Known("stream_options", chat.StreamOptions),
    Known("reasoning", chat.Reasoning),
    Known("thinking", chat.Thinking),
)  # fmt: skip
RESPONSES = (
    Known("", responses.Request, ("model",)),
    Known("input[]", responses.Message, ("type",)),
    Known("input[]", responses.FunctionCall, ("type", "call_id", "name")),
    Known("input[]", responses.CustomToolCall, ("type", "call_id", "name", "input")),
    Known("input[]", responses.CallOutput, ("type", "call_id", "name", "output")),
    Known("input[]", responses.Reasoning, ("type", "content", "encrypted_content")),
    Known("input[]", responses.AdditionalTools, ("type", "tools")),
    Known("input[]", responses.ConfigurationUpdate, ("type", "reasoning", "text")),
    *(
        Known("input[].content[]", part, ("type",))
        for part in (responses.TextPart, responses.RefusalPart, responses.FilePart, responses.AudioPart)
    ),
    Known("input[].content[]", responses.ImagePart, ("type",)),
    Known("tools[]", responses.Function, ("type", "description", "parameters")),
    Known("tools[]", responses.Custom, ("type", "name", "description")),
    Known("tools[]", responses.Namespace, ("type", "name", "tools", "description")),
    Known("reasoning", responses.ReasoningControl),
    Known("text", responses.Text),
    Known("stream_options", responses.StreamOptions),
)
MESSAGES = (
    Known("", messages.Request, ("model",)),
    Known("messages[]", messages.Message),
    Known("messages[].content[]", messages.TextBlock),
    Known("messages[].content[]", messages.ImageBlock, ("source",)),
    Known("messages[].content[]", messages.DocumentBlock, ("source",)),
    Known("messages[].content[]", messages.ThinkingBlock, ("thinking", "signature")),
    Known("messages[].content[]", messages.RedactedThinkingBlock, ("data",)),
    Known("messages[].content[]", messages.ToolUseBlock, ("id", "name", "input")),
    Known("messages[].content[]", messages.ToolResultBlock, ("tool_use_id", "content")),
    Known("messages[].content[]", messages.ToolReferenceBlock, ("tool_name",)),
    Known("tools[]", messages.Tool, ("type", "description", "input_schema")),
    Known("tool_choice", messages.ToolChoice, ("type", "name")),
    Known("thinking", messages.Thinking),
)
GEMINI = (
    Known("", request._TOP, ("model", "generateContentRequest")),
    Known("contents[]", request._CONTENT),
    Known("contents[].parts[]", parts._PART),
    Known("tools[]", tools._TOOL),
    Known("tools[].functionDeclarations[]", tools._FUNCTION, ("description", "parametersJsonSchema")),
    Known("toolConfig", tools._CONFIG),
    Known("toolConfig.functionCallingConfig", tools._CALLING),
    Known("generationConfig", settings.GENERATION),
    Known("generationConfig.thinkingConfig", reasoning.SHAPE),
)
OLLAMA = (
    Known("", ollama.Chat, ("model",)),
    Known("", ollama.Generate, ("model",)),
    Known("messages[]", ollama.Message),
    Known("tools[]", ollama.Tool, ("type",)),
    Known("tools[].function", ollama.Function, ("description", "parameters")),
    Known("options", ollama.Options),
)
FACES: tuple[tuple[ProtocolName, tuple[Known, ...]], ...] = (
    ("openai_chat", CHAT),
    ("openai_responses", RESPONSES),
    ("anthropic_messages", MESSAGES),
    ("gemini_generate", GEMINI),
    ("ollama_chat", OLLAMA),
)


def told(face: ProtocolName) -> Iterator[str]:
    """Yield the paths that a table names: ``a.b, c: kind`` is ``a.b`` and ``a.c``."""
    for row in PROTOCOLS[face].CAPABILITIES.asks:
        first, *others = row.field.partition(": ")[0].partition(" of a ")[0].split(", ")
        yield first
        parent = first.rpartition(".")[0]
        yield from (f"{parent}.{name}" for name in others)


def names(shape: type[msgspec.Struct] | Shape) -> set[str]:
    return set(shape._names.values()) if isinstance(shape, Shape) else set(shape.__struct_fields__)


@pytest.mark.parametrize(("face", "known"), FACES, ids=[face for face, _ in FACES])
def test_every_field_that_is_known_stands_in_the_table(face: ProtocolName, known: tuple[Known, ...]) -> None:
    paths = set(told(face))
    missing = [
        path
        for place, shape, whole in known
        for path in (f"{place}.{name}".removeprefix(".") for name in sorted(names(shape) - set(whole)))
        if path not in paths and not any(path_told.startswith((f"{path}.", f"{path}[")) for path_told in paths)
    ]
    assert missing == []
