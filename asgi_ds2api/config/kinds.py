"""Kinds of values that keys have: a type each, with what the reading, the reference page and the schema need of it.

What is said of a kind in general stands here, what is said of a key where the key is (``tables``).
"""

from typing import Annotated, Final

from msgspec import Meta

from ..presets import PRESETS
from ..protocols import PROTOCOLS
from ..secret import KeyDigest, Secret
from . import texts
from .keys import AccountKey as _AccountKey
from .keys import account_key, caller_key, readable_file, seal_secret
from .places import StatePlace, state_place

ONE_OR_LIST: Final = "x-one-or-list"
"""Says in the JSON Schema what ``one_or_list`` says to the reading."""

_SOURCE: Final = {"type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"}
_DIGEST_TOO: Final = {"pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|sha256:[0-9a-fA-F]{64})$"}

OneOrList = Meta(extra={"one_or_list": True}, extra_json_schema={ONE_OR_LIST: True})
Name = Annotated[str, Meta(pattern=texts.NAME, extra={"check": texts.name})]
ModelGlob = Annotated[str, Meta(min_length=1, extra={"check": texts.model_glob})]
ModelTarget = Annotated[str, Meta(pattern="^[^/]+/.+$", extra={"check": texts.target})]
Prefix = Annotated[str, Meta(pattern=texts.PREFIX, extra={"check": texts.prefix})]
PresetName = Annotated[str, Meta(extra={"check": texts.preset}, extra_json_schema={"enum": list(PRESETS)})]
ProtocolWord = Annotated[str, Meta(extra={"read": texts.protocol}, extra_json_schema={"enum": list(PROTOCOLS)})]
BaseURL = Annotated[str, Meta(pattern="^https?://", extra={"check": texts.base_url})]
WebOrigin = Annotated[str, Meta(pattern=texts.ORIGIN, extra={"check": texts.origin})]
FilePath = Annotated[str, Meta(min_length=1, extra={"read": readable_file})]
AccountKey = Annotated[_AccountKey, Meta(extra={"read": account_key}, extra_json_schema=_SOURCE)]
CallerKey = Annotated[KeyDigest, Meta(extra={"read": caller_key}, extra_json_schema={**_SOURCE, **_DIGEST_TOO})]
Place = Annotated[StatePlace, Meta(extra={"read": state_place}, extra_json_schema={"type": "string"})]
SealSecret = Annotated[Secret, Meta(extra={"read": seal_secret}, extra_json_schema=_SOURCE)]
