"""The files that the fake keeps: each for the account that uploaded it, as vendors do.

What is asked of another account's file is answered as of one that does not exist, also where a message names it.
Nothing ends by itself; the whole is bounded by `MAX_FILES`.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import msgspec

from . import contents, messages
from .answer import Answer, Error, Face, Fault, Frame, invalid, json_answer
from .http1 import Request

MAX_FILES = 10_000
_BEGAN = 1_767_225_600
"""Seconds since 1970; each file is a second younger than the one before."""
PATH = re.compile(
    r"(?P<upload>/upload)?/(?:v1|v1beta|v1alpha)/files(?:/(?P<id>[^/:]+)(?P<content>/content|:download)?)?"
)
_PARAMETER = re.compile(r"(?P<name>name|filename|content-type)(?:=\"|: ?)(?P<value>[^\"\r\n]*)", re.IGNORECASE)
_GOOGLES = re.compile(r"https?://[^/]+/v1beta/files/([a-z0-9]+)")


class _File(msgspec.Struct, frozen=True):
    id: str
    account: int | None
    face: str
    name: str
    purpose: str
    media_type: str
    data: bytes
    number: int


class _Upload(msgspec.Struct):
    """One that Google lets be done in several calls."""

    account: int | None
    name: str | None
    display_name: str
    media_type: str
    data: bytearray


class Files:
    """All files of a fake."""

    def __init__(self) -> None:
        self._files: dict[tuple[int | None, str], _File] = {}
        """By account and id: Google's clients choose names, and accounts know nothing of each other's."""
        self._uploads: dict[str, _Upload] = {}
        self._numbers = itertools.count(1)

    def answer(self, request: Request, face: Face, account: int | None) -> Answer:
        """Answer a call on a path of files.

        Raises:
            Fault: There is no such file for this account, or the call is malformed.
        """
        match = PATH.fullmatch(request.path)
        assert match is not None, "nothing else comes here"
        if request.method == "POST":
            return self._uploaded(request, face, account)
        if match["id"] is None:
            return self._list(request, face, account)
        file = self._find(match["id"], face, account)
        if request.method == "DELETE":
            del self._files[account, file.id]
            return json_answer(200, _deleted(file, face))
        if match["content"]:
            headers = (("content-type", file.media_type),)
            return Answer(headers=headers, frames=(Frame(file.data),), length=len(file.data))
        return json_answer(200, _told(file, face, request))

    def check(self, body: object, face: Face, account: int | None) -> None:
        """Look for the files that a message names.

        Raises:
            Fault: One is not there for this account.
        """
        for name in _named(body, face):
            self._find(name, face, account)

    def _find(self, id_: str, face: Face, account: int | None) -> _File:
        file = self._files.get((account, id_))
        if file is None:
            raise Fault(_no_file(id_, face))
        return file

    def _keep(
        self, face: Face, account: int | None, *, name: str, purpose: str, media_type: str, data: bytes,
        id_: str | None = None,
    ) -> _File:  # fmt: skip
        if len(self._files) >= MAX_FILES:
            raise Fault(Error(status=400, message="This fake keeps no more files."))
        number = next(self._numbers)
        made = {"contents": f"f{number:011d}", "messages": f"file_{number:024d}"}.get(
            _word(face), f"file-{number:022d}"
        )
        file = _File(
            id=id_ or made, account=account, face=_word(face), name=name, purpose=purpose, media_type=media_type,
            data=data, number=number,
        )  # fmt: skip
        self._files[account, file.id] = file
        return file

    def _uploaded(self, request: Request, face: Face, account: int | None) -> Answer:
        if face is contents:
            return self._googles(request, account)
        parts = _parts(request)
        if "file" not in parts:
            raise invalid("Missing required parameter: 'file'.", "file", "missing_required_parameter")
        name, media_type, data = parts["file"]
        purpose = parts["purpose"][2].decode() if "purpose" in parts else ""
        if face is not messages and not purpose:
            raise invalid("Missing required parameter: 'purpose'.", "purpose", "missing_required_parameter")
        file = self._keep(face, account, name=name, purpose=purpose, media_type=media_type, data=data)
        return json_answer(200, _told(file, face, request))

    def _googles(self, request: Request, account: int | None) -> Answer:
        headers = request.headers
        if "upload_id" not in request.query:
            if headers.get("x-goog-upload-protocol") != "resumable":
                raise invalid("This fake takes resumable uploads alone.")
            asked = _metadata(request.body)
            number = f"upload-{len(self._uploads) + 1}"
            media_type = headers.get("x-goog-upload-header-content-type", "application/octet-stream")
            display = headers.get("x-goog-upload-file-name", "")
            name = asked.get("name", "").removeprefix("files/") or None
            self._uploads[number] = _Upload(account, name, asked.get("displayName", display), media_type, bytearray())
            query = urlencode(
                {"key": "a-key-that-is-not-to-be-told", "upload_id": number, "upload_protocol": "resumable"}
            )
            url = f"http://{headers['host']}{request.path}?{query}"
            begun = (("x-goog-upload-status", "active"), ("x-goog-upload-url", url), ("x-goog-upload-control-url", url))
            return Answer(headers=begun, frames=(), length=0)
        upload = self._uploads.get(request.query["upload_id"])
        if upload is None or upload.account != account:
            raise Fault(Error(status=404, message="Upload not found."))
        if headers.get("x-goog-upload-offset", "0") != str(len(upload.data)):
            raise invalid("The offset is not where the upload stands.")
        upload.data += request.body
        if "finalize" not in headers.get("x-goog-upload-command", ""):
            told = (("x-goog-upload-status", "active"), ("x-goog-upload-size-received", str(len(upload.data))))
            return Answer(headers=told, frames=(), length=0)
        file = self._keep(
            contents, account, name=upload.display_name, purpose="", media_type=upload.media_type,
            data=bytes(upload.data), id_=upload.name,
        )  # fmt: skip
        return json_answer(200, {"file": _told(file, contents, request)}, (("x-goog-upload-status", "final"),))

    def _list(self, request: Request, face: Face, account: int | None) -> Answer:
        query, word = request.query, _word(face)
        own = [file for file in self._files.values() if (file.account, file.face) == (account, word)]
        own = [file for file in own if query.get("purpose", file.purpose) == file.purpose]
        if query.get("order") != "asc":
            own.reverse()
        names = [file.id for file in own]
        after = query.get("after") or query.get("page") or query.get("pageToken")
        start = names.index(after) + 1 if after in names else 0
        size = int(query.get("pageSize" if face is contents else "limit", "20"))
        page, has_more = own[start : start + size], start + size < len(own)
        told = [_told(file, face, request) for file in page]
        if face is contents:
            following = {"nextPageToken": page[-1].id} if has_more else {}
            return json_answer(200, {**({"files": told} if told else {}), **following})
        if face is messages:
            return json_answer(200, {"data": told, "next_page": page[-1].id if has_more else None})
        return json_answer(200, {"object": "list", "data": told, "has_more": has_more})


def _word(face: Face) -> str:
    return {messages: "messages", contents: "contents"}.get(face, "chat")  # type: ignore[call-overload,no-any-return]  # modules


def _told(file: _File, face: Face, request: Request) -> dict[str, object]:
    created = _BEGAN + file.number
    moment = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    if face is contents:
        return {
            "name": f"files/{file.id}",
            "displayName": file.name,
            "mimeType": file.media_type,
            "sizeBytes": str(len(file.data)),
            "createTime": moment,
            "uri": f"http://{request.headers['host']}/v1beta/files/{file.id}",
            "state": "ACTIVE",
            "source": "UPLOADED",
        }
    if face is messages:
        return {
            "id": file.id, "type": "file", "filename": file.name, "mime_type": file.media_type,
            "size_bytes": len(file.data), "created_at": moment, "downloadable": True,
        }  # fmt: skip
    return {
        "id": file.id, "object": "file", "bytes": len(file.data), "created_at": created, "filename": file.name,
        "purpose": file.purpose, "status": "processed",
    }  # fmt: skip


def _deleted(file: _File, face: Face) -> dict[str, object]:
    if face is contents:
        return {}
    if face is messages:
        return {"id": file.id, "type": "file_deleted"}
    return {"id": file.id, "object": "file", "deleted": True}


def _no_file(id_: str, face: Face) -> Error:
    if face is contents:
        message = f"You do not have permission to access the File {id_} or it may not exist."
        return Error(status=403, message=message, type="PERMISSION_DENIED")
    if face is messages:
        return Error(status=404, message=f"File not found: {id_}")
    return Error(status=404, message=f"No such File object: {id_}", param="id")


def _named(body: object, face: Face) -> Iterator[str]:
    left = [body]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            left += value.values()
            uri = value.get("fileUri") or value.get("file_uri")
            if face is contents and isinstance(uri, str) and (match := _GOOGLES.fullmatch(uri)):
                yield match[1]
            if face is not contents and isinstance(id_ := value.get("file_id"), str):
                yield id_


def _parts(request: Request) -> dict[str, tuple[str, str, bytes]]:
    """Return the parts of a form: name -> file name, content type, bytes."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise invalid("Expected multipart/form-data.")
    boundary = kind.partition("boundary=")[2].strip('"').encode("latin-1")
    found: dict[str, tuple[str, str, bytes]] = {}
    for part in request.body.split(b"--" + boundary)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        told = {match["name"].lower(): match["value"] for match in _PARAMETER.finditer(head.decode("latin-1"))}
        if "name" in told:
            media_type = told.get("content-type", "application/octet-stream").strip()
            found[told["name"]] = (told.get("filename", ""), media_type, data.removesuffix(b"\r\n"))
    return found


def _metadata(body: bytes) -> Mapping[str, str]:
    asked = msgspec.json.decode(body) if body else {}
    file = asked.get("file", {}) if isinstance(asked, dict) else {}
    return {name: value for name, value in file.items() if isinstance(value, str)} if isinstance(file, dict) else {}
