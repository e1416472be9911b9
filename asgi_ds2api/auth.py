"""Who is this caller, and may they use this model.

A failing check means no: whatever goes wrong here, nobody gets in. Tokens are looked up by their SHA-256, so the
time of a look-up tells nothing of a configured one; a digest itself is never a credential.
"""

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal, TypeAlias

import anyio
import msgspec
from msgspec import Meta
from starlette.types import Scope

from .budgets import NO_LIMITS, CallerLimits
from .codec import Codec, no_time
from .errors import AuthorizerFailed, Forbidden, MalformedRequest, Unauthenticated
from .json_guard import explain
from .secret import KeyDigest

HeaderPairs: TypeAlias = Sequence[tuple[bytes, bytes]]

MAX_TOKEN_BYTES = 8_192
QUERY_KEY = "?key"
"""Stands among a face's credential headers where its clients may put the key into the query."""
_log = logging.getLogger("asgi_ds2api.auth")


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may use the gateway.

    Attributes:
        label: Names the caller in the log and the Record; never a credential.
        models: Globs of the model names, as asked for, that this caller may use.
        limits: What it may use, and how much of it.
        expires_at: Seconds since 1970; from then on its requests are refused. None: never.
    """

    label: Annotated[str, Meta(min_length=1)]
    models: tuple[str, ...] = ("*",)
    limits: CallerLimits = NO_LIMITS
    expires_at: Annotated[float, Meta(ge=0)] | None = None


Authorize: TypeAlias = Callable[[Scope], Awaitable[Caller | None]]
"""The host's own check, an async function: sees the scope of a request and says who it is; None is a no."""

ANONYMOUS = Caller(label="anonymous")


class Authenticator:
    """Decides who a request comes from.

    Args:
        mode: ``callers``: a configured key. ``host``: ``authorize`` decides, and headers are its business.
            ``none``: everybody is `ANONYMOUS`; credentials are not read at all.
        callers: SHA-256 digest of the key -> caller.
        authorize: The host's check, for ``host``.
        timeout_s: Bound of one call of ``authorize``.
        wall_now: Seconds since 1970, for keys that expire.
    """

    def __init__(
        self,
        mode: Literal["callers", "host", "none"],
        callers: Mapping[bytes, Caller],
        authorize: Authorize | None = None,
        timeout_s: float = 5.0,
        wall_now: Callable[[], float] = no_time,
    ) -> None:
        self._mode = mode
        self._callers = dict(callers)
        self._authorize = authorize
        self._timeout_s = timeout_s
        self._wall_now = wall_now

    async def authenticate(self, scope: Scope, codec: Codec, query_key: bytes | None = None) -> Caller:
        """Return who this is.

        Args:
            scope: Of the request.
            codec: Of the face.
            query_key: What stood in the query, where the configuration lets a key stand there.

        Raises:
            Unauthenticated: No credential, an unknown one, or one that has expired; or the host said no.
            MalformedRequest: Two credentials that belong to different callers.
            AuthorizerFailed: ``authorize`` raised, took too long, or answered another type or a limit that is none.
        """
        if self._mode == "none":
            return ANONYMOUS
        if self._mode == "host":
            caller = await self._ask_host(scope)
        else:
            caller = self._by_key(scope["headers"], codec.CREDENTIAL_HEADERS, query_key or b"")
        if caller.expires_at is not None and self._wall_now() >= caller.expires_at:
            raise Unauthenticated("This key has expired. Ask whoever runs this gateway for another one.")
        return caller

    def again(self, then: Caller) -> Caller:
        """Return a caller who was let in before, for what it began then.

        The host is not asked again, as what is gone on with bears no credential of its: what it said then holds.

        Raises:
            Unauthenticated: It is not configured any more, or its key has expired.
        """
        if self._mode == "none":
            return ANONYMOUS
        known = (then,) if self._mode == "host" else self._callers.values()
        caller = next((caller for caller in known if caller.label == then.label), None)
        if caller is None or (caller.expires_at is not None and self._wall_now() >= caller.expires_at):
            raise Unauthenticated("Who began this may not go on with it any more.")
        return caller

    def _by_key(self, headers: HeaderPairs, names: Sequence[str], query_key: bytes) -> Caller:
        values = ((name, query_key if name == QUERY_KEY else _header(headers, name)) for name in names)
        sent = [(name, value) for name, value in values if value]
        if not sent:
            raise Unauthenticated(
                "No credential was sent. Put a key that this gateway is configured with into your SDK's api_key.",
                code="missing_api_key",
            )
        first, *others = (_token(name, value) for name, value in sent)
        if first is None:
            raise Unauthenticated(
                "The credential is malformed. Send `Authorization: Bearer <key>` or your SDK's own header."
            )
        caller = self._lookup(first)
        if caller is None:
            raise Unauthenticated(
                "The credential is not one that this gateway is configured with. A vendor's key is none: ask whoever "
                "runs this gateway for a key of its own."
            )
        if any(self._lookup(other) not in (None, caller) for other in others if other is not None):
            raise MalformedRequest(
                "Two credentials of different callers were sent. Send one of them.", code="ambiguous_credentials"
            )
        return caller

    def _lookup(self, token: bytes) -> Caller | None:
        return self._callers.get(hashlib.sha256(token).digest())

    async def _ask_host(self, scope: Scope) -> Caller:
        if self._authorize is None:
            raise AuthorizerFailed("This gateway has no authorize function.", retry_after_s=1)
        try:
            with anyio.fail_after(self._timeout_s):
                caller = await self._authorize(scope)
        except Exception as exc:
            # The host's own code: whatever it raises, its mistake must end as a no, not as a 500.
            _log.error("authorize failed with %s; the request was refused", type(exc).__name__)
            raise AuthorizerFailed("Who you are could not be checked. Try again.", retry_after_s=1) from None
        if caller is None:
            raise Unauthenticated(
                "The application around this gateway did not recognise you: send the credentials that it asks for."
            )
        if not isinstance(caller, Caller):
            _log.error(
                "authorize returned %s instead of Caller or None; the request was refused", type(caller).__name__
            )
            raise AuthorizerFailed("Who you are could not be checked. Try again.", retry_after_s=1)
        return _judged(caller)


def _judged(caller: Caller) -> Caller:
    """Return what a host says of a caller, held to what the configuration may say of one.

    Raises:
        AuthorizerFailed: A field is of the wrong type or out of bounds; the log says which.
    """
    at = ""
    try:
        judged = msgspec.convert(msgspec.structs.asdict(caller), Caller)
        at = "limits"
        return msgspec.structs.replace(
            judged, limits=msgspec.convert(msgspec.structs.asdict(judged.limits), CallerLimits)
        )
    except msgspec.ValidationError as exc:
        _log.error(
            "authorize returned a Caller that cannot be (%s); the request was refused", explain(exc, b"", at).message
        )
        raise AuthorizerFailed("Who you are could not be checked. Try again.", retry_after_s=1) from None


def is_bearer_of(headers: HeaderPairs, key: KeyDigest) -> bool:
    """Tell whether a request bears a key in ``Authorization``; whatever is in doubt is a no."""
    values = [value for name, value in headers if name == b"authorization"]
    token = _token("authorization", values[0].strip(b" \t")) if len(values) == 1 else None
    return token is not None and hmac.compare_digest(hashlib.sha256(token).digest(), key.digest())


def check_model(caller: Caller, model: str) -> None:
    """Refuse a model, by the name as asked, that the caller may not use.

    Raises:
        Forbidden: It is not among ``caller.models``.
    """
    if not any(fnmatchcase(model, pattern) for pattern in caller.models):
        raise Forbidden("This key may not use the model that was asked for. List the models to see which it may.")


def check_upstream(caller: Caller, names: Iterable[str]) -> None:
    """Refuse an upstream of whose models the caller may use none.

    Args:
        caller: Who asks.
        names: Names and globs of its models, as they may be asked for. Two globs are thought to meet if one of them
            takes the other for a name.

    Raises:
        Forbidden: None of them is among ``caller.models``.
    """
    pairs = ((name, pattern) for name in names for pattern in caller.models)
    if not any(fnmatchcase(name, pattern) or fnmatchcase(pattern, name) for name, pattern in pairs):
        raise Forbidden("This key may use no model of the upstream that keeps files here.")


def _header(headers: HeaderPairs, name: str) -> bytes:
    """Return the value of a header, empty if it is absent.

    Raises:
        MalformedRequest: It is there twice, with different values.
    """
    wanted = name.encode()
    values = {value.strip(b" \t") for key, value in headers if key == wanted} - {b""}
    if len(values) > 1:
        raise MalformedRequest(
            "One credential header was sent twice with different values. Send it once.", code="ambiguous_credentials"
        )
    return values.pop() if values else b""


def _token(name: str, value: bytes) -> bytes | None:
    """Return the token in a header's value; None: there is none that could be configured."""
    token = value
    if name == "authorization":
        scheme, _, rest = value.partition(b" ")
        token = rest.lstrip(b" \t") if scheme.lower() == b"bearer" else b""
    is_token = 0 < len(token) <= MAX_TOKEN_BYTES and all(0x21 <= byte <= 0x7E for byte in token)
    return token if is_token else None
