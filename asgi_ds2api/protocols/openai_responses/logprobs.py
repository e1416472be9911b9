"""How likely each token was, ours -> wire.

The vendor tells the bytes of each token and a list of rivals, and its SDK's types want both. Many servers of Chat leave
them out, or say null.
"""

from msgspec import Raw

from ...json_pieces import JsonObject, fields_of, items_of, text_of


def encode_token(token: Raw) -> JsonObject | Raw:
    """Return a token of another protocol with its bytes, and those of its rivals."""
    if not fields_of(token):
        return token
    return {**_with_bytes(token), "top_logprobs": [_with_bytes(rival) for rival in _rivals(token)]}


def _rivals(token: Raw) -> list[Raw]:
    return items_of(fields_of(token).get("top_logprobs"))


def _with_bytes(token: Raw) -> JsonObject:
    fields: JsonObject = {**fields_of(token)}
    if "bytes" not in fields:
        fields["bytes"] = list((text_of(fields_of(token).get("token")) or "").encode())
    return fields
