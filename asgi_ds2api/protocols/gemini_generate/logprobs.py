"""How likely each token was, both ways: ``logprobsResult`` <-> `Logprobs`.

The vendor has two lists of equal length: what was chosen, and, at each place, what else was likely. OpenAI has one, in
which each token holds its rivals. Numbers of tokens, and sums, stay in the vendor's own field.

Source: https://ai.google.dev/api/generate-content#LogprobsResult (2026-10)
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Extras, Logprobs
from ...json_pieces import JsonObject, fields_of, items_of, text_of
from . import wire
from .wire import Shape

FIELD: Final = "logprobsResult"

_CHOSEN: Final = "chosenCandidates"
_TOP: Final = "topCandidates"
_SUM: Final = "logProbabilitySum"
_RESULT: Final = Shape(_CHOSEN, _TOP, _SUM)
_RIVALS: Final = Shape("candidates")
_TOKEN: Final = Shape("token", "logProbability")
_NUMBER: Final[msgspec.json.Decoder[float]] = msgspec.json.Decoder(int | float)


class _Theirs(msgspec.Struct):
    """A token as OpenAI writes it."""

    token: str = ""
    logprob: float | None = None
    top_logprobs: list["_Theirs"] | None = None


_THEIRS: Final = msgspec.json.Decoder(_Theirs)


def decode_logprobs(raw: Raw, choice: int) -> Logprobs | None:
    """Return what a chunk tells of its tokens; None: nothing that others have a form for."""
    fields = _RESULT.look(raw)
    rivals = items_of(fields.get(_TOP))
    content: list[Raw] = []
    for position, item in enumerate(items_of(fields.get(_CHOSEN))):
        told = items_of(_RIVALS.look(rivals[position]).get("candidates")) if position < len(rivals) else []
        content.append(wire.raw_of({**_token(item), "top_logprobs": [_token(rival) for rival in told]}))
    return Logprobs(content=tuple(content), choice=choice) if content else None


def _token(raw: Raw) -> JsonObject:
    fields = _TOKEN.look(raw)
    token = text_of(fields.get("token")) or ""
    return {"token": token, "logprob": _number(fields.get("logProbability")), "bytes": list(token.encode())}


def _number(raw: Raw | None) -> float:
    """Return a number; the vendor leaves zeros out, as its kind of message does."""
    try:
        return 0.0 if raw is None else _NUMBER.decode(raw)
    except msgspec.MsgspecError:
        return 0.0


def joined(pieces: Sequence[Raw]) -> Raw:
    """Return what the chunks of a stream tell as one: lists go on, sums add up; a single one stays as it came."""
    if len(pieces) == 1:
        return pieces[0]
    lists: dict[str, list[Raw]] = {}
    sums: dict[str, float] = {}
    others: Extras = {}
    for piece in pieces:
        known, unknown = _RESULT.split(fields_of(piece))
        others |= unknown
        for name, value in known.items():
            if name == _SUM:
                sums[name] = sums.get(name, 0.0) + _number(value)
            else:
                lists.setdefault(name, []).extend(items_of(value))
    return wire.raw_of({**lists, **sums, **others})


def encode_logprobs(logprobs: Logprobs) -> JsonObject:
    """Return ``logprobsResult`` and what belongs to it; empty: there is nothing to tell.

    A refusal is a text here, and so its tokens follow the others.
    """
    tokens = [_read(raw) for raw in (*(logprobs.content or ()), *(logprobs.refusal or ()))]
    if not tokens:
        return {}
    told: JsonObject = {_CHOSEN: [_written(token) for token in tokens]}
    if any(token.top_logprobs for token in tokens):
        told[_TOP] = [{"candidates": [_written(rival) for rival in token.top_logprobs or ()]} for token in tokens]
    return {FIELD: told}


def _read(raw: Raw) -> _Theirs:
    try:
        return _THEIRS.decode(raw)
    except msgspec.MsgspecError:  # another vendor's idea of a token
        return _Theirs()


def _written(token: _Theirs) -> JsonObject:
    return {"token": token.token, "logProbability": token.logprob or 0.0}
