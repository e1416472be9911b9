"""What a stream tells of an item beside its deltas: how it begins, and the events of its kind when it comes whole.

A call of a tool that the caller runs itself, and a search of the web, are made here of what another vendor told. They
are whole when their turn comes; the vendor's clients see them in the steps that they know.

Source: streams of OpenAI's as recorded, and the event types of ``openai`` 3.54.0 (read 2026-11-22).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from msgspec import Raw

from ...json_pieces import JsonObject, fields_of, items_of, text_of

Event: TypeAlias = tuple[str, JsonObject]
"""Its type, and its fields."""

_LATE: Final = frozenset({"encrypted_content", "content", "result"})
"""Fields of an item that are told when it is done."""
_EMPTY: Final[Mapping[str, object]] = {"input": "", "status": "in_progress", "summary": []}
"""Fields of an item that say nothing at its beginning."""


def begun(shown: JsonObject | Raw) -> JsonObject | Raw:
    """Return an item as it is told when it begins."""
    if isinstance(shown, Raw):
        return shown
    told = {name: _EMPTY.get(name, value) for name, value in shown.items() if name not in _LATE}
    if shown["type"] == "message":
        told["content"] = []
    if "arguments" in told:
        told["arguments"] = "" if isinstance(told["arguments"], str) else {}
    empty = _BEGINNINGS.get(str(shown["type"]))
    return told if empty is None else {**told, **empty(shown)}


def chain(shown: JsonObject | Raw, place: JsonObject) -> Sequence[Event]:
    """Return the events between the beginning and the end of an item that is whole.

    Args:
        shown: The item; one that its vendor tells is told with its own events.
        place: Its id, and its number in the answer.
    """
    told = None if isinstance(shown, Raw) else _CHAINS.get(str(shown["type"]))
    return () if told is None or isinstance(shown, Raw) else told(shown, place)


def _member(shown: JsonObject, name: str) -> Mapping[str, Raw]:
    field = shown[name]
    return fields_of(field) if isinstance(field, Raw) else {}


def _exec_begun(shown: JsonObject) -> JsonObject:
    return {"action": {"type": "exec", "command": [], "env": {}}}


def _commands_begun(shown: JsonObject) -> JsonObject:
    limits = {"max_output_length": None, "timeout_ms": None}  # of a member that is null nothing is there
    return {"action": {**limits, **_member(shown, "action"), "commands": []}}


def _commands(shown: JsonObject, place: JsonObject) -> list[Event]:
    told: list[Event] = []
    for number, raw in enumerate(items_of(_member(shown, "action").get("commands"))):
        command = text_of(raw) or ""
        at = {"output_index": place["output_index"], "command_index": number}
        told += (
            ("response.shell_call_command.added", {**at, "command": ""}),
            ("response.shell_call_command.delta", {**at, "delta": command}),
            ("response.shell_call_command.done", {**at, "command": command}),
        )
    return told


def _operation_begun(shown: JsonObject) -> JsonObject:
    operation = _member(shown, "operation")
    return {"operation": {**operation, "diff": ""}} if "diff" in operation else {}


def _diff(shown: JsonObject, place: JsonObject) -> list[Event]:
    diff = text_of(_member(shown, "operation").get("diff"))
    if diff is None:
        return []
    kind = "response.apply_patch_call_operation_diff"
    return [(f"{kind}.delta", {**place, "delta": diff}), (f"{kind}.done", {**place, "diff": diff})]


def _search_begun(shown: JsonObject) -> JsonObject:
    return {"action": {"type": "search"}}


def _search(shown: JsonObject, place: JsonObject) -> list[Event]:
    is_completed = text_of(shown["status"] if isinstance(shown["status"], Raw) else None) == "completed"
    steps = ("in_progress", "searching", *(("completed",) if is_completed else ()))
    return [(f"response.web_search_call.{step}", place) for step in steps]


_BEGINNINGS: Final[Mapping[str, Callable[[JsonObject], JsonObject]]] = {
    "apply_patch_call": _operation_begun,
    "local_shell_call": _exec_begun,
    "shell_call": _commands_begun,
    "web_search_call": _search_begun,
}
_CHAINS: Final[Mapping[str, Callable[[JsonObject, JsonObject], Sequence[Event]]]] = {
    "apply_patch_call": _diff,
    "shell_call": _commands,
    "web_search_call": _search,
}
"""By the type of the item."""
