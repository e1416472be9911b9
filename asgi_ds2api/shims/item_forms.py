"""The tools of the Responses protocol whose calls are items of their own, and which the caller runs itself.

A call of ``local_shell`` is no ``function_call`` but a ``local_shell_call`` with an action in it. Any model can call a
function of the same shape: here is what that function takes, and how the item becomes its call, the call an item again,
and the output of one its result.

Source: OpenAI's reference of the Responses API and ``openai`` 3.54.0 (read 2026-11-22); protocol-openai B3, B5, B14.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ..canonical import Extras, Notices, Opaque, ToolCall, ToolResult
from ..canonical import Text as TextBlock
from ..json_pieces import fields_of, text_of
from .client_tools import Signature

PROTOCOL: Final = "openai_responses"
TOOL_SEARCH: Final = "tool_search"
CLIENT: Final = "client"
"""Who searches: the caller's own code."""
_BY_CLIENT: Final = {"execution": CLIENT}
_TYPE: Final = "type"
_NO_ARGUMENTS: Final = Raw(b"{}")
_LOCAL: Final = "local"


# --- what a call must hold --------------------------------------------------------------------------------------------


class _Exec(msgspec.Struct, tag_field=_TYPE, tag="exec", forbid_unknown_fields=True):
    command: list[str]
    env: dict[str, str] = {}
    timeout_ms: int | UnsetType | None = UNSET
    user: str | UnsetType | None = UNSET
    working_directory: str | UnsetType | None = UNSET


class _Commands(msgspec.Struct, forbid_unknown_fields=True):
    commands: list[str]
    max_output_length: int | None = None
    timeout_ms: int | None = None


class _CreateFile(msgspec.Struct, tag_field=_TYPE, tag="create_file", forbid_unknown_fields=True):
    path: str
    diff: str


class _UpdateFile(msgspec.Struct, tag_field=_TYPE, tag="update_file", forbid_unknown_fields=True):
    path: str
    diff: str


class _DeleteFile(msgspec.Struct, tag_field=_TYPE, tag="delete_file"):
    path: str


_EXEC: Final = msgspec.json.Decoder(_Exec).decode
_COMMANDS: Final = msgspec.json.Decoder(_Commands).decode
_OPERATION: Final = msgspec.json.Decoder(_CreateFile | _UpdateFile | _DeleteFile).decode
_ANY: Final = msgspec.json.Decoder(dict[str, Raw]).decode


# --- the table --------------------------------------------------------------------------------------------------------

_STRING: Final = {"type": "string"}
_STRINGS: Final = {"type": "array", "items": _STRING}
_INTEGER: Final = {"type": "integer"}
_DIFF: Final = (
    "For create_file every line of the file, each behind a '+'. For update_file hunks: a line '@@', perhaps with the "
    "line above the change behind it, then lines that stay behind a ' ', lines that go behind a '-' and new ones "
    "behind a '+'. Not for delete_file."
)


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A tool whose calls are items of their own."""

    call: str
    """Type of the item of a call."""
    output: str
    """Type of the item of what it gave back."""
    field: str
    """Where the item has what a function has in its arguments."""
    decode: Callable[[str], object]
    """Reads arguments that an item can be made of."""
    signature: Signature
    said: Mapping[str, str] = {}
    """What every such item says beside."""


FORMS: Final[Mapping[str, Form]] = {
    "local_shell": Form(
        call="local_shell_call",
        output="local_shell_call_output",
        field="action",
        decode=_EXEC,
        signature=Signature(
            description="Run a command on the user's machine.",
            properties={
                "command": {**_STRINGS, "description": "The program and its arguments."},
                "env": {"type": "object", "additionalProperties": _STRING},
                "timeout_ms": _INTEGER,
                "user": _STRING,
                "working_directory": _STRING,
            },
            required=("command",),
        ),
    ),
    "shell": Form(
        call="shell_call",
        output="shell_call_output",
        field="action",
        decode=_COMMANDS,
        signature=Signature(
            description="Run shell commands on the user's machine.",
            properties={
                "commands": {**_STRINGS, "description": "Each is a line for a shell; they may run side by side."},
                "timeout_ms": _INTEGER,
                "max_output_length": {**_INTEGER, "description": "Most characters of output that are wanted."},
            },
            required=("commands",),
        ),
    ),
    "apply_patch": Form(
        call="apply_patch_call",
        output="apply_patch_call_output",
        field="operation",
        decode=_OPERATION,
        signature=Signature(
            description="Create, update or delete one file.",
            properties={
                "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                "path": _STRING,
                "diff": {"type": "string", "description": _DIFF},
            },
            required=("type", "path"),
        ),
    ),
    TOOL_SEARCH: Form(
        call="tool_search_call",
        output="tool_search_output",
        field="arguments",
        decode=_ANY,
        signature=Signature(
            description="Find further tools for what is to be done. Those that are found can be called afterwards.",
            properties={"query": _STRING},
            required=("query",),
        ),
        said=_BY_CLIENT,
    ),
}
"""By the type of the tool."""
TOOL_OF_CALL: Final[Mapping[str, str]] = {form.call: type_ for type_, form in FORMS.items()}
TOOL_OF_OUTPUT: Final[Mapping[str, str]] = {form.output: type_ for type_, form in FORMS.items()}


# --- an item of the history -> a call, a result -----------------------------------------------------------------------


def call_of(item: Opaque, name: str, notices: Notices) -> ToolCall:
    """Return the call that an item is.

    Args:
        item: Of a type in `TOOL_OF_CALL`.
        name: Of the function.
        notices: What belongs to the item alone is reported here, or by who writes the call.
    """
    fields = fields_of(item.raw)
    form = FORMS[TOOL_OF_CALL[item.type]]
    arguments = fields.get(form.field, _NO_ARGUMENTS)
    if form.decode is _EXEC:
        arguments = Raw(msgspec.json.encode({n: raw for n, raw in fields_of(arguments).items() if n != _TYPE}))
    extras = _rest(fields, {"call_id", form.field, *form.said})
    if text_of(fields_of(extras.get("environment")).get(_TYPE)) == _LOCAL:
        notices.hint(f"{item.at}.environment", "it is the caller's own anyway")
        del extras["environment"]
    return ToolCall(id=id_of(fields), name=name, arguments=bytes(arguments).decode(), extras=extras, at=item.at)


def result_of(
    item: Opaque, name: str, call_ids: Mapping[str, str], found: Sequence[str], notices: Notices
) -> ToolResult:  # fmt: skip
    """Return the result that an item is.

    Args:
        item: Of a type in `TOOL_OF_OUTPUT`.
        name: Of the function.
        call_ids: Id of the item of a call -> that of the call: an output may name either.
        found: Names of the tools that a search found.
        notices: See `call_of`.
    """
    fields = fields_of(item.raw)
    asked = id_of(fields)
    used = {"call_id", "output", "tools", "max_output_length", *FORMS[TOOL_OF_OUTPUT[item.type]].said}
    if "call_id" not in fields:
        used.add("id")
    if "max_output_length" in fields:
        notices.hint(f"{item.at}.max_output_length", "the call says it")
    is_failed = text_of(fields.get("status")) == "failed"
    if item.type == FORMS[TOOL_SEARCH].output:
        text = f"Tools that can be called now: {', '.join(found)}." if found else "No tools were found."
    else:
        said = fields.get("output")
        plain = text_of(said)
        text = (bytes(said).decode() if said is not None else "") if plain is None else plain
    return ToolResult(
        call_id=call_ids.get(asked, asked),
        blocks=(TextBlock(text=text or ("failed" if is_failed else "completed"), at=item.at),),
        is_error=True if is_failed else None,
        name=name,
        extras=_rest(fields, used),
        at=item.at,
    )


def id_of(fields: Mapping[str, Raw]) -> str:
    """Return the id by which a call and its output are one; of old items it is their own."""
    return text_of(fields.get("call_id")) or text_of(fields.get("id")) or ""


def is_searched_by_client(item: Opaque) -> bool:
    """Tell whether the caller searched for tools, not the vendor: then there is a call that it can be known by."""
    fields = fields_of(item.raw)
    execution = text_of(fields.get("execution"))
    return execution == CLIENT or (execution is None and text_of(fields.get("call_id")) is not None)


def _rest(fields: Mapping[str, Raw], used: set[str]) -> Extras:
    return {name: raw for name, raw in fields.items() if name not in used and name != _TYPE and bytes(raw) != b"null"}


# --- a call of the answer -> an item ----------------------------------------------------------------------------------


def item_of(call: ToolCall, type_: str) -> Opaque | None:
    """Return the item that a call is; None: its arguments are none that an item could hold.

    Args:
        call: Whole.
        type_: Of the tool.
    """
    form = FORMS[type_]
    try:
        held = form.decode(call.arguments or "{}")
    except msgspec.MsgspecError:  # a model that kept to no schema
        return None
    fields = {"type": form.call, "status": "completed", "call_id": call.id, form.field: held, **form.said}
    return Opaque(protocol=PROTOCOL, type=form.call, raw=Raw(msgspec.json.encode(fields)), at=call.at)
