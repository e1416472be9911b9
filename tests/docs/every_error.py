"""One error of every kind that leaves through a face."""

from collections.abc import Iterator

from asgi_ds2api.errors import ConfigError, GatewayError, MethodNotAllowed, Refused

REFUSALS = (400, 404, 409, 413)
"""Statuses of a `Refused`."""


def leaves(kind: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    """Yield the classes that have no narrower ones."""
    narrower = kind.__subclasses__()
    if not narrower:
        yield kind
    for each in narrower:
        yield from leaves(each)


def made(kind: type[GatewayError]) -> GatewayError:
    """Return an error of a class."""
    return MethodNotAllowed("m", allow=("GET",)) if issubclass(kind, MethodNotAllowed) else kind("m")


def every_error() -> Iterator[GatewayError]:
    """Yield them, a refusal of every status included; not those of the start."""
    for kind in leaves():
        if not issubclass(kind, ConfigError):
            yield made(kind)
    for status in REFUSALS:
        yield Refused("m", status=status)
