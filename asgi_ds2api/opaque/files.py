"""How vendors speak of files: where they are asked, what an answer calls a file, how a list goes on. Pure.

A file is passed on unread, and so is what is told of it: of an answer only the file's id and its age are looked at, and
items of lists leave as the bytes that they came as. Ids are the vendor's own, so that they stand unchanged wherever a
request names them.

Sources (2026-11): https://platform.openai.com/docs/api-reference/files,
https://platform.claude.com/docs/en/api/beta/files, https://ai.google.dev/api/files.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec
from msgspec import Raw

from ..canonical import ProtocolName
from ..envelope import HTTPCall
from ..errors import Malformed, MalformedRequest, UnknownItem, Unsupported
from ..json_guard import decode_answer
from ..profiles import Profile

Step = Literal["upload", "list", "get", "delete", "content"]
_ID: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,256}")
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final = msgspec.json.Decoder(list[Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_NO_FILE: Final = "There is no such file here."


class Item(msgspec.Struct, frozen=True):
    """What is read of a file that an answer tells of."""

    id: str
    age: str
    """Sorts by when it was made."""
    raw: Raw
    """All that was told, as it came."""


class Page(msgspec.Struct, frozen=True):
    """A piece of the list of one account."""

    items: Sequence[Item]
    following: Mapping[str, str] | None
    """The query of the next piece; None: that was all."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of its list a caller asks for."""

    limit: int
    after: str | None
    """Id of the last file that the caller has seen."""
    is_oldest_first: bool = False


class FileWords(Protocol):
    """How a vendor speaks of files."""

    @property
    def most(self) -> Mapping[str, str]:
        """The query of a list with as many files as it may have."""
        ...

    @property
    def are_names_chosen(self) -> bool:
        """Whether a caller may say what its file is to be called."""
        ...

    def call(self, asked: HTTPCall, step: Step, id_: str, profile: Profile) -> HTTPCall:
        """Return the call for an upstream, without its body."""
        ...

    def item(self, body: bytes) -> Item:
        """Read an answer that tells of one file.

        Raises:
            Malformed: It does not.
        """
        ...

    def page(self, body: bytes) -> Page:
        """Read a piece of a list.

        Raises:
            Malformed: It is none.
        """
        ...

    def wanted(self, query: Mapping[str, str]) -> Wanted:
        """Read which part of a list is asked for.

        Raises:
            MalformedRequest: A number is none.
            Unsupported: It is asked for by what nobody here looks at.
        """
        ...

    def told(self, items: Sequence[Item], *, has_more: bool) -> bytes:
        """Write a part of a list."""
        ...


def step_of(call: HTTPCall) -> Step:
    """Return what a call on a path of files asks for."""
    last = call.path.rpartition("/")[2]
    if call.method == "POST":
        return "upload"
    if call.method == "DELETE":
        return "delete"
    if last == "files":
        return "list"
    return "content" if last == "content" or last.endswith(":download") else "get"


def id_in(call: HTTPCall) -> str:
    """Return the id of the file that a path names; empty: it names none.

    Raises:
        UnknownItem: No file is called that.
    """
    step = step_of(call)
    if step in ("upload", "list"):
        return ""
    pieces = call.path.split("/")
    id_ = pieces[-2] if pieces[-1] == "content" else pieces[-1].removesuffix(":download")
    if not _ID.fullmatch(id_):
        raise UnknownItem(_NO_FILE, param="file_id")
    return id_


def no_file() -> UnknownItem:
    """Return the error for a file that is not there, or not for whoever asks."""
    return UnknownItem(_NO_FILE, param="file_id")


def part_of(items: Sequence[Item], wanted: Wanted) -> tuple[Sequence[Item], bool]:
    """Return the part of all files that is asked for, and whether there are more behind it.

    Raises:
        MalformedRequest: It begins behind a file that is not there.
    """
    ordered = sorted(items, key=lambda item: item.age, reverse=not wanted.is_oldest_first)
    start = 0
    if wanted.after is not None:
        places = [place for place, item in enumerate(ordered) if item.id == wanted.after]
        if not places:
            raise MalformedRequest("The list cannot go on: the file behind which it should is not there any more.")
        start = places[0] + 1
    return ordered[start : start + wanted.limit], start + wanted.limit < len(ordered)


class OpenAIFiles:
    """OpenAI's. ``file-...``; lists go on behind an id."""

    most: Final = {"limit": "10000"}
    are_names_chosen: Final = False

    def call(self, asked: HTTPCall, step: Step, id_: str, profile: Profile) -> HTTPCall:
        """See `FileWords`."""
        path = f"{_beside(profile, '/chat/completions', '/responses')}/files{_tail(step, id_)}"
        query = {name: asked.query[name] for name in ("purpose",) if step == "list" and name in asked.query}
        return HTTPCall(method=_method(asked), path=path, query={**profile.query, **query})

    def item(self, body: bytes) -> Item:
        """See `FileWords`."""
        return _item(Raw(body), "id", "created_at")

    def page(self, body: bytes) -> Page:
        """See `FileWords`."""
        fields = decode_answer(_OBJECT, body)
        items = [_item(raw, "id", "created_at") for raw in _items(fields, "data")]
        has_more = bytes(fields.get("has_more", b"false")) == b"true"
        return Page(items, {**self.most, "after": items[-1].id} if has_more and items else None)

    def wanted(self, query: Mapping[str, str]) -> Wanted:
        """See `FileWords`."""
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise MalformedRequest("Invalid 'order': expected 'asc' or 'desc'.", param="order")
        limit = _limit(query, "limit", default=10_000, most=10_000)
        return Wanted(limit=limit, after=query.get("after"), is_oldest_first=order == "asc")

    def told(self, items: Sequence[Item], *, has_more: bool) -> bytes:
        """See `FileWords`."""
        ids = {"first_id": items[0].id, "last_id": items[-1].id} if items else {"first_id": None, "last_id": None}
        data = [item.raw for item in items]
        return msgspec.json.encode({"object": "list", "data": data, **ids, "has_more": has_more})


class AnthropicFiles:
    """Anthropic's. ``file_...``; lists go on by ``page``, before 2026 behind an id: both are told and understood."""

    most: Final = {"limit": "1000"}
    are_names_chosen: Final = False
    _BETA: Final = "files-api-2025-04-14"
    _VERSION: Final = "2023-06-01"

    def call(self, asked: HTTPCall, step: Step, id_: str, profile: Profile) -> HTTPCall:
        """See `FileWords`. A caller that names no version of the files' API gets the first."""
        beta = asked.headers.get("anthropic-beta", "")
        headers = {
            "anthropic-version": profile.version or asked.headers.get("anthropic-version", self._VERSION),
            "anthropic-beta": beta if "files-api-" in beta else ",".join(filter(None, (beta, self._BETA))),
        }
        query = {name: asked.query[name] for name in ("beta", "scope_id") if name in asked.query}
        path = f"/v1/files{_tail(step, id_)}"
        return HTTPCall(method=_method(asked), path=path, headers=headers, query={**profile.query, **query})

    def item(self, body: bytes) -> Item:
        """See `FileWords`."""
        return _item(Raw(body), "id", "created_at")

    def page(self, body: bytes) -> Page:
        """See `FileWords`."""
        fields = decode_answer(_OBJECT, body)
        items = [_item(raw, "id", "created_at") for raw in _items(fields, "data")]
        cursor = _text(fields, "next_page")
        has_more = bytes(fields.get("has_more", b"false")) == b"true"
        if cursor:
            return Page(items, {**self.most, "page": cursor})
        return Page(items, {**self.most, "after_id": items[-1].id} if has_more and items else None)

    def wanted(self, query: Mapping[str, str]) -> Wanted:
        """See `FileWords`."""
        if other := [name for name in ("before_id", "ids", "ids[]") if name in query]:
            raise Unsupported(f"Files are not listed by '{other[0]}' here. Leave it out.", param=other[0])
        after = query.get("page", query.get("after_id"))
        return Wanted(limit=_limit(query, "limit", default=20, most=1_000), after=after)

    def told(self, items: Sequence[Item], *, has_more: bool) -> bytes:
        """See `FileWords`."""
        ids = {"first_id": items[0].id, "last_id": items[-1].id} if items else {"first_id": None, "last_id": None}
        data = [item.raw for item in items]
        following = items[-1].id if has_more else None
        return msgspec.json.encode({"data": data, **ids, "has_more": has_more, "next_page": following})


class GeminiFiles:
    """Google's. ``files/...``; an upload that is resumable is begun in one call and done in others."""

    most: Final = {"pageSize": "100"}
    are_names_chosen: Final = True
    _UPLOAD: Final = "/upload/v1beta/files"
    _CARRIED: Final = (
        "x-goog-upload-command",
        "x-goog-upload-file-name",
        "x-goog-upload-header-content-length",
        "x-goog-upload-header-content-type",
        "x-goog-upload-offset",
        "x-goog-upload-protocol",
    )

    def call(self, asked: HTTPCall, step: Step, id_: str, profile: Profile) -> HTTPCall:
        """See `FileWords`."""
        if step == "upload":
            headers = {name: asked.headers[name] for name in self._CARRIED if name in asked.headers}
            query = {name: asked.query[name] for name in ("uploadType",) if name in asked.query}
            return HTTPCall(method="POST", path=self._UPLOAD, headers=headers, query={**profile.query, **query})
        path = f"/v1beta/files{'/' if id_ else ''}{id_}{':download' if step == 'content' else ''}"
        query = {"alt": "media"} if step == "content" else {}
        return HTTPCall(method=_method(asked), path=path, query={**profile.query, **query})

    def item(self, body: bytes) -> Item:
        """See `FileWords`. An upload's answer has the file in a wrapping."""
        fields = decode_answer(_OBJECT, body)
        found = _item(fields.get("file", Raw(body)), "name", "createTime")
        return msgspec.structs.replace(found, id=found.id.removeprefix("files/"))

    def page(self, body: bytes) -> Page:
        """See `FileWords`."""
        fields = decode_answer(_OBJECT, body)
        items = [self.item(bytes(raw)) for raw in _items(fields, "files")]
        cursor = _text(fields, "nextPageToken")
        return Page(items, {**self.most, "pageToken": cursor} if cursor else None)

    def wanted(self, query: Mapping[str, str]) -> Wanted:
        """See `FileWords`."""
        return Wanted(limit=_limit(query, "pageSize", default=10, most=100), after=query.get("pageToken"))

    def told(self, items: Sequence[Item], *, has_more: bool) -> bytes:
        """See `FileWords`."""
        told: dict[str, object] = {"files": [item.raw for item in items]} if items else {}
        return msgspec.json.encode({**told, "nextPageToken": items[-1].id} if has_more else told)


WORDS: Final[Mapping[ProtocolName, FileWords]] = {
    "openai_chat": OpenAIFiles(),
    "anthropic_messages": AnthropicFiles(),
    "gemini_generate": GeminiFiles(),
}
"""By the protocol of the face that has the routes."""


# --- uploads in several calls -----------------------------------------------------------------------------------------


UPLOAD_URL: Final = "x-goog-upload-url"
UPLOAD_ID: Final = "upload_id"
TOLD_OF_UPLOADS: Final = ("x-goog-upload-chunk-granularity", "x-goog-upload-size-received", "x-goog-upload-status")
"""What is told of an upload's state in headers. Not the other addresses that Google tells: they lead past us."""
_OWN_QUERY: Final = frozenset({"key", "access_token"})
_MAX_URL_BYTES: Final = 4_096


def upload_named(call: HTTPCall) -> str:
    """Return the name of the upload that a call goes on with; empty: it goes on with none."""
    is_upload = call.method == "POST" and "upload" in call.path.split("/")
    return call.query.get(UPLOAD_ID, "") if is_upload else ""


def upload_at(told_url: str, base_url: str) -> dict[str, str]:
    """Return the query by which a vendor knows an upload that has begun.

    Args:
        told_url: Where the vendor wants the rest. No more than its query is ever used: where it is sent is configured.
        base_url: As configured.

    Raises:
        Malformed: It is not a place of this vendor's for uploads.
    """
    told, wanted = _split(told_url), urlsplit(base_url)
    is_same_place = told is not None and (told.scheme, told.netloc) == (wanted.scheme, wanted.netloc)
    if told is None or not is_same_place or not told.path.startswith(f"{wanted.path}/upload/"):
        raise Malformed("The upstream wants an upload in a place that is not its own.", code="upstream_redirect")
    return {name: value for name, value in parse_qsl(told.query) if name not in _OWN_QUERY}


def upload_call(begun: HTTPCall, query: Mapping[str, str]) -> HTTPCall:
    """Return the call that goes on with an upload, at the vendor."""
    return msgspec.structs.replace(begun, query={**begun.query, **query})


def end_of(asked: HTTPCall) -> int:
    """Return how large a file will at least be that is sent in several calls, as far as their heads tell.

    Raises:
        MalformedRequest: A number is none.
    """
    names = ("x-goog-upload-offset", "x-goog-upload-header-content-length")
    return max(_number(asked.headers.get(name, "0"), name, 10**15) for name in names)


def _split(url: str) -> SplitResult | None:
    if len(url) > _MAX_URL_BYTES:
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


# --- pieces -----------------------------------------------------------------------------------------------------------


def _method(asked: HTTPCall) -> str:
    return "GET" if asked.method == "HEAD" else asked.method


def _tail(step: Step, id_: str) -> str:
    return f"{'/' if id_ else ''}{id_}{'/content' if step == 'content' else ''}"


def _beside(profile: Profile, *mains: str) -> str:
    """Return what stands before the paths of an upstream, whose profile says so of its main one."""
    return next((profile.path.removesuffix(main) for main in mains if profile.path and profile.path.endswith(main)), "")


def _item(raw: Raw, id_member: str, age_member: str) -> Item:
    fields = decode_answer(_OBJECT, bytes(raw))
    id_, age = _text(fields, id_member), bytes(fields.get(age_member, b'""'))
    if not id_ or not _ID.fullmatch(id_.rpartition("/")[2]):
        raise Malformed("The upstream told of a file, and not what it is called.")
    return Item(id_, age.strip(b'"').decode("ascii", "replace").rjust(20, "0"), raw)


def _items(fields: Mapping[str, Raw], member: str) -> list[Raw]:
    return decode_answer(_LIST, bytes(fields.get(member, b"[]")))


def _text(fields: Mapping[str, Raw], member: str) -> str:
    raw = bytes(fields.get(member, b'""'))
    return decode_answer(_TEXT, raw) if raw.startswith(b'"') else ""


def _limit(query: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    """Return how many files are wanted at most; Google's clients may ask for more than there are told at once."""
    return min(most, max(1, _number(query[name], name, 10**9))) if name in query else default


def _number(value: str, name: str, most: int) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 15 or int(value) > most:
        raise MalformedRequest(f"Invalid '{name}': expected a whole number.", param=name)
    return int(value)
