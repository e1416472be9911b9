"""Fields by which a caller would steer the gateway: refused in what is relayed, reported in what is translated."""

from collections.abc import Iterator, Set

import msgspec
from msgspec import Raw

from ..canonical import Notices, Request
from ..codec import RESERVED_FIELDS
from ..errors import MalformedRequest
from ..json_guard import decode_object, encode_object


def for_another_model(body: bytes, model: str) -> bytes:
    """Return a request's body with another model; all other values stay byte for byte.

    Raises:
        MalformedRequest: A field that would steer the gateway.
    """
    fields = decode_object(body)
    if reserved := sorted(RESERVED_FIELDS & fields.keys()):
        raise MalformedRequest("This field is reserved. Leave it out.", code="reserved_field", param=reserved[0])
    fields["model"] = Raw(msgspec.json.encode(model))
    return encode_object(fields)


def is_reserved(name: str, notices: Notices) -> bool:
    """Tell whether a top-level field is one of these, and report it if so."""
    if name not in RESERVED_FIELDS:
        return False
    notices.lost(name, "the upstream's address, key and limits are the gateway's")
    return True


def vendor_fields(request: Request, vendor: str, protected: Set[str], notices: Notices) -> Iterator[tuple[str, Raw]]:
    """Yield what the caller wrote for this very vendor (``extra_body.VENDOR``), to be merged last.

    Args:
        request: Of any protocol.
        vendor: The upstream's (``Profile.vendor``).
        protected: Fields of the upstream's protocol that cannot be set like this.
        notices: What is left out is reported here.
    """
    for name, fields in request.vendor_fields.items():
        if name != vendor:
            notices.hint(f"extra_body.{name}", "meant for another vendor")
            continue
        for field, value in fields.items():
            if field in protected or field in RESERVED_FIELDS:
                notices.lost(f"extra_body.{vendor}.{field}", "this field cannot be set here")
            else:
                yield field, value
