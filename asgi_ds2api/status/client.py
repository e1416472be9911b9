"""Asks the status route of a running gateway: what the command line shows and steers by.

No redirect is followed and no proxy of the environment is used, so that the key goes where it was meant for. Whatever
goes wrong is told with what to do about it.
"""

from typing import Final, TypeVar

import httpx
import msgspec

from ..pool.model import Override
from ..secret import Secret
from .app import ACCOUNTS, ROOT
from .snapshot import AccountView, Snapshot

T = TypeVar("T")

TIMEOUT_S: Final = 10.0
"""The route looks at memory, and waits a second at most for others to hear."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of an answer: a thousand times what a hundred accounts take."""
_NO_ROUTE: Final = (
    "there is no status route. Does the address end with the gateway's prefix (--url http://HOST:PORT/PREFIX; what "
    '"asgi-ds2api serve" runs has none)? Does its configuration have [status] with a key?'
)
_REFUSED: Final = (
    "the gateway refused the key. Set DS2API_STATUS_KEY to the key of its [status] table, or say where it is with "
    "--key env:NAME"
)


class _Error(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error = _Error()


class StatusError(Exception):
    """The gateway could not be asked; the text says what to do, and holds no key."""


class StatusClient:
    """Asks one gateway.

    Args:
        url: Of the gateway, its prefix included.
        key: Of its status route.
    """

    def __init__(self, url: str, key: Secret) -> None:
        self._url = url
        self._key = key

    def snapshot(self) -> Snapshot:
        """Return the gateway as it is now.

        Raises:
            StatusError: It did not say.
        """
        return self._ask("GET", ROOT, Snapshot)

    def steer(self, account: str, word: Override) -> AccountView:
        """Let an account be disabled, enabled or reset; return it as it is then.

        Args:
            account: ``UPSTREAM/LABEL``.
            word: Which.

        Raises:
            StatusError: It was not done.
        """
        return self._ask("POST", f"{ACCOUNTS}{account}/{word}", AccountView)

    def _ask(self, method: str, path: str, shape: type[T]) -> T:
        answer, body = self._send(method, path)
        if answer.status_code == 200:
            try:
                return msgspec.json.decode(body, type=shape)
            except msgspec.MsgspecError:
                raise self._error("what answers is no gateway, or one of another version") from None
        if answer.status_code == 401:
            raise self._error(_REFUSED)
        refusal = _refusal(body)
        if refusal.code == "item_not_found":
            raise self._error(refusal.message)
        if answer.status_code in (404, 405):
            raise self._error(_NO_ROUTE)
        if answer.is_redirect:
            raise self._error("the address leads elsewhere. Give the one where it leads to")
        raise self._error(f"the answer was {answer.status_code} {refusal.code}".rstrip())

    def _send(self, method: str, path: str) -> tuple[httpx.Response, bytes]:
        headers = {"authorization": f"Bearer {self._key.reveal()}", "accept": "application/json"}
        try:
            with (
                httpx.Client(trust_env=False, follow_redirects=False, timeout=TIMEOUT_S) as client,
                client.stream(method, self._url + path, headers=headers) as response,
            ):
                return response, self._read(response)
        except httpx.ConnectError:
            problem = (
                "nothing answers. Does the gateway run there? Say where it runs with --url http://HOST:PORT/PREFIX"
            )
        except httpx.TimeoutException:
            problem = f"no answer came within {TIMEOUT_S:.0f} s"
        except httpx.HTTPError as error:
            problem = f"the connection broke ({type(error).__name__})"
        raise self._error(problem)

    def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MAX_BYTES:
                raise self._error("what answers is no gateway: it sends too much")
        return bytes(body)

    def _error(self, what: str) -> StatusError:
        return StatusError(f"{self._url}: {what}")


def _refusal(body: bytes) -> _Error:
    """Return what a gateway says of a refusal; nothing where it is somebody else's."""
    try:
        return msgspec.json.decode(body, type=_Refusal).error
    except msgspec.MsgspecError:
        return _Error()
