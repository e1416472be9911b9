"""Lends structured output to an upstream that has no switch for it: asks in words, and unwraps the answer.

Half a switch is used: where a JSON object may be asked for, a schema is asked for as one, and in words; where only a
schema may, an object is asked for as the schema of any object, unless a schema must name all fields: of such a schema
nothing but ``{}`` is valid. Some want to be spoken to of JSON before they give any.

Models like to put JSON into a Markdown fence; a caller who asked for JSON gets it bare. Nothing else is mended: what
is not JSON is passed on as it is, and the caller's own parser tells.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from ..canonical import Event, Message, Notices, OutputFormat, Request, Text
from ..profiles import Profile
from .texts import FilteredTexts

ASK_OBJECT = "Reply with a single JSON object and nothing else: no explanation, no Markdown."
ASK_SCHEMA = (
    "Reply with a single JSON value and nothing else: no explanation, no Markdown. It must be valid for this schema:\n"
)
ANY_OBJECT = Raw(b'{"type":"object"}')
_FENCE = "```"
_LONGEST_OPENING = len("```jsonc\n")


class JsonMode:
    """See the module."""

    is_over = False

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._texts = FilteredTexts(_Unfencer)

    @staticmethod
    def is_needed(request: Request, profile: Profile) -> bool:
        """Tell whether the request asks for a form that the upstream has no switch for, or not by itself."""
        wanted = request.output_format
        if wanted is None or wanted.kind == "text":
            return False
        if not _has_switch(request, wanted, profile):
            return True
        return wanted.kind == "json_object" and profile.json_word and not _speaks_of_json(request)

    def request(self, request: Request, notices: Notices) -> Request:
        """Replace the switch by a sentence at the end of the leading system text, or by half of it."""
        wanted = request.output_format
        assert wanted is not None
        switch = self._half_of_it(request, wanted)
        if switch is not None and switch.kind == "json_schema":
            notices.changed(wanted.at, "asked for by the schema of any object")
            return msgspec.structs.replace(request, output_format=switch)
        notices.changed(wanted.at, "asked for in words: the upstream has no switch for it")
        schema = b"" if wanted.schema is None else bytes(wanted.schema)
        ask = ASK_OBJECT if wanted.kind == "json_object" else ASK_SCHEMA + schema.decode()
        leading = next(
            (i for i, message in enumerate(request.messages) if message.role not in ("system", "developer")),
            len(request.messages),
        )
        hint = Message(role="system", content=(Text(text=ask),), at=wanted.at)
        messages = (*request.messages[:leading], hint, *request.messages[leading:])
        return msgspec.structs.replace(request, messages=messages, output_format=switch)

    def _half_of_it(self, request: Request, wanted: OutputFormat) -> OutputFormat | None:
        """Return the form that is nearest to what is wanted and has a switch; None: there is none."""
        nearest = OutputFormat(kind="json_object", at=wanted.at)
        if wanted.kind == "json_object" and not self._profile.json_object and self._profile.open_schemas:
            nearest = OutputFormat(kind="json_schema", name="output", schema=ANY_OBJECT, strict=False, at=wanted.at)
        return nearest if _has_switch(request, nearest, self._profile) else None

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take the fence off."""
        return self._texts.events(events)


def _has_switch(request: Request, wanted: OutputFormat, profile: Profile) -> bool:
    if request.tools and not profile.json_with_tools:
        return False
    if wanted.kind == "json_object":
        return profile.json_object
    return profile.json_schema and profile.facts(request.model).structured_outputs


def _speaks_of_json(request: Request) -> bool:
    texts = (block.text for message in request.messages for block in message.content if isinstance(block, Text))
    return any("json" in text.lower() for text in texts)


class _Unfencer:
    """Passes text through without a Markdown fence around the whole of it."""

    def __init__(self) -> None:
        self._held = ""
        self._is_open = False
        self._is_fenced = False

    def feed(self, text: str) -> str:
        self._held += text
        if not self._is_open and not self._opens():
            return ""
        if not self._is_fenced:
            text, self._held = self._held, ""
            return text
        # Whatever could be the closing fence, with the white space around it, waits for what follows.
        body = self._held.rstrip()
        keep = len(self._held) - len(body.rstrip("`").rstrip())
        cut = len(self._held) - keep
        text, self._held = self._held[:cut], self._held[cut:]
        return text

    def close(self) -> str:
        if not self._is_fenced:
            return self._held
        return "" if self._held.strip() in ("", _FENCE) else self._held

    def _opens(self) -> bool:
        """Decide whether the text begins with a fence; False: more is needed to tell."""
        start = self._held.lstrip()
        if len(start) < len(_FENCE) and _FENCE.startswith(start):
            return False
        if start.startswith(_FENCE):
            line, newline, rest = start.partition("\n")
            if not newline:
                return len(start) > _LONGEST_OPENING and self._decide(start, is_fenced=False)
            is_fenced = line[len(_FENCE) :].strip().lower() in ("", "json", "jsonc", "json5")
            return self._decide(rest if is_fenced else self._held, is_fenced=is_fenced)
        return self._decide(self._held, is_fenced=False)

    def _decide(self, text: str, *, is_fenced: bool) -> bool:
        self._held, self._is_fenced, self._is_open = text, is_fenced, True
        return True
