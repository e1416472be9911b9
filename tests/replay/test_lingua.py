"""The same case, asked of several vendors: a request that is translated means what the vendor's own request means.

Both are read into one neutral form: what was said, the tools and the choice among them, the form of the answer, and
settings. Some cases ask vendors different things; there the translation means what its own caller asked.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from asgi_ds2api.canonical import (
    Base64Source,
    FunctionTool,
    Media,
    ProtocolName,
    Reasoning,
    Request,
    Text,
    ToolCall,
    ToolResult,
    UrlSource,
)
from asgi_ds2api.protocols import PROTOCOLS
from tests.support.recorded import case_params, lingua, require_cases

from .accounting import call_of, request_to
from .leaf_bodies import SNAPSHOTS

VENDORS: Final[dict[ProtocolName, str]] = {
    "openai_chat": "openai",
    "openai_responses": "openai-responses",
    "anthropic_messages": "anthropic",
    "gemini_generate": "gemini",
}
"""Protocol -> who made it."""


@dataclass(frozen=True)
class Pair:
    """One case, as two vendors were asked."""

    case: str
    part: str
    face: ProtocolName
    to: ProtocolName
    asked: bytes
    expected: bytes

    @property
    def name(self) -> str:
        """For pytest."""
        return f"{self.case}-{self.part}-{self.face}-to-{self.to}"


def pairs() -> Iterator[Pair]:
    """Yield all pairs of all cases, in both directions. Talks that went on differently cannot be compared."""
    found: dict[str, dict[ProtocolName, bytes]] = {}
    for protocol, folder in SNAPSHOTS.items():
        for case in lingua(folder):
            found.setdefault(case.case, {})[protocol] = case.files["request"]
    for case_name, asked in found.items():
        for face in asked:
            for to in asked:
                if face != to:
                    yield Pair(case_name, "request", face, to, asked[face], asked[to])


def neutral(protocol: ProtocolName, body: Any) -> dict[str, Any]:
    """Return what a request means."""
    request = PROTOCOLS[protocol].decode_request(call_of(protocol, body))
    return {
        "said": _said(request),
        "tools": sorted((tool.name, json.dumps(_schema(tool.parameters), sort_keys=True)) for tool in request.tools
                        if isinstance(tool, FunctionTool)),
        "choice": (request.tool_choice.mode, request.tool_choice.names) if request.tool_choice else ("auto", ()),
        "format": _format(request),
        "thinks": request.reasoning is not None and request.reasoning.mode != "disabled",
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "seed": request.sampling.seed,
        "limit": request.max_output_tokens,
    }  # fmt: skip


def _said(request: Request) -> list[tuple[str, str]]:
    """Return who said what; texts of one role that follow each other are one."""
    told: list[tuple[str, str]] = []
    for message in request.messages:
        role = "system" if message.role in ("system", "developer") else message.role
        for block in message.content:
            match block:
                case Text(text=text) if told and told[-1][0] == role:
                    told[-1] = (role, told[-1][1] + text)
                case Text(text=text):
                    told.append((role, text))
                case Media(source=Base64Source(data=data)):
                    told.append((f"{role} shows", data))
                case Media(source=UrlSource(url=url)):
                    told.append((f"{role} shows", url))
                case ToolCall(name=name, arguments=arguments):
                    told.append(("calls", f"{name} {arguments}"))
                case ToolResult():
                    told.append(("results", "".join(b.text for b in block.blocks if isinstance(b, Text))))
                case Reasoning():
                    pass  # belongs to its vendor
                case _:
                    told.append((role, type(block).__name__))
    return told


def _schema(raw: Any) -> Any:
    """Return a schema without what says nothing, or what vendors are strict about by themselves."""
    return _plain(json.loads(bytes(raw))) if raw is not None else None


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    return {name: _plain(value) for name, value in node.items() if name not in ("additionalProperties", "$schema")}


def _format(request: Request) -> tuple[str, Any]:
    wanted = request.output_format
    if wanted is None or wanted.kind == "text":
        return ("text", None)
    return (wanted.kind, _schema(wanted.schema))


UNLIMITED: Final = 64_000
"""Tokens that Anthropic, which wants to be told a limit, is told where a caller has none."""
ASKED_OTHERWISE: Final[dict[str, set[str]]] = {
    "anthropicOpus5AdaptiveThinkingMaxEffortParam": {"limit"},
    "fableTemperatureParam": {"limit", "temperature"},
    "jsonSchemaPrefixItemsParam": {"limit", "temperature"},
    "multimodalRequest": {"said"},
    "reasoningRequest": {"limit", "thinks"},
    "simpleRequest": {"limit", "thinks"},
    "storeDisabledParam": {"said"},
    "toolChoiceAnyParam": {"limit"},
    "topPParam": {"limit"},
}
"""Case -> in what its vendors were asked different things."""


def meant(pair: Pair) -> dict[str, Any]:
    """Return what the translated request has to mean."""
    own, asked = neutral(pair.to, json.loads(pair.expected)), neutral(pair.face, json.loads(pair.asked))
    waived = {name: asked[name] for name in ASKED_OTHERWISE.get(pair.case, ())}
    expected = {**own, **waived}
    if pair.to == "anthropic_messages" and expected["limit"] is None:
        expected["limit"] = UNLIMITED
    return expected


@pytest.mark.parametrize("pair", case_params(pairs))
def test_a_translated_request_means_what_the_vendors_own_means(pair: Pair) -> None:
    translated = request_to(pair.face, VENDORS[pair.to])(json.loads(pair.asked)).written
    assert neutral(pair.to, json.loads(translated)) == meant(pair)


@pytest.mark.cases
def test_vendors_were_asked_different_things_where_it_is_said() -> None:
    require_cases()
    found: dict[str, set[str]] = {}
    for pair in pairs():
        own, asked = neutral(pair.to, json.loads(pair.expected)), neutral(pair.face, json.loads(pair.asked))
        if different := {name for name in own if own[name] != asked[name]}:
            found.setdefault(pair.case, set()).update(different)
    assert found == ASKED_OTHERWISE
