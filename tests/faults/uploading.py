"""What tests of uploaded files share: forms, questions about files, and gateways of two callers and two accounts."""

from collections.abc import Sequence
from typing import Any

from asgi_ds2api import Gateway
from asgi_ds2api.secret import Secret
from asgi_ds2api.testing import FakeUpstream
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import make_gateway, upstream

FORM = {"content-type": "multipart/form-data; boundary=b"}
CALLERS = {"web": "key-of-the-caller-web-0123", "app": "key-of-the-caller-app-0123"}
KEYS = ["key-of-account-one-0123", "key-of-account-two-0123"]


def form(data: bytes = b"content") -> bytes:
    """Write a form with a file."""
    head = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--b\r\n'
    head += b'content-disposition: form-data; name="file"; filename="a.txt"\r\ncontent-type: text/plain\r\n\r\n'
    return head + data + b"\r\n--b--\r\n"


def told(id_: str) -> dict[str, object]:
    """Return a file as OpenAI tells of it."""
    return {"id": id_, "object": "file", "created_at": 1}


def naming(*ids: str, model: str = "chat/m") -> dict[str, Any]:
    """Return a question about files."""
    parts = [{"type": "file", "file": {"file_id": id_}} for id_ in ids]
    return {"model": model, "messages": [{"role": "user", "content": parts}]}


def over(fake: FakeUpstream, *names: str, callers: Sequence[dict[str, Any]] = (), **config: Any) -> Gateway:
    """Return a gateway of two accounts, used by these callers."""
    accounts = [{"label": f"a{n}", "key": Secret(key)} for n, key in enumerate(KEYS)]
    tables = [upstream(name, url=fake.url) | {"accounts": accounts} for name in names or ("chat",)]
    known = [{"label": label, "key": Secret(key)} for label, key in CALLERS.items()]
    return make_gateway(*tables, auth="callers", callers=list(callers) or known, **config)


def bearer(caller: str = "web") -> dict[str, str]:
    return {"authorization": f"Bearer {CALLERS[caller]}"}


async def uploaded(gateway: Gateway, caller: str = "web") -> str:
    """Upload a file and return its id."""
    answer = await call(gateway, "POST", "/v1/files", body=form(), headers=FORM | bearer(caller))
    assert answer.status == 200, answer.text
    return str(answer.json()["id"])


async def begun(gateway: Gateway, **more: Any) -> Answer:
    """Begin an upload as Google's clients do."""
    headers = {
        "x-goog-api-key": CALLERS["web"], "x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": "4", "x-goog-upload-header-content-type": "text/plain",
    } | more.pop("headers", {})  # fmt: skip
    file = {"file": more.pop("file", {})}
    return await call(gateway, "POST", "/upload/v1beta/files", json=file, headers=headers, **more)
