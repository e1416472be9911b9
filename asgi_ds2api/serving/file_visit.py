"""One call on a path of files: to the account that has the file, for the caller whose file it is.

Uploads go to the first upstream in the configuration that keeps files of the face's vendor: to the account that has the
caller's last one, if it can be, so that they can be read together; else to any. A list is put together from those
accounts that have files of the caller's, and only these are told. A file of somebody else is no file.
"""

import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlencode

import msgspec
from starlette.types import Receive, Scope

from ..auth import ANONYMOUS, Caller
from ..codec import Codec, HTTPCall
from ..errors import (
    Malformed,
    MalformedRequest,
    Refused,
    RequestTooLarge,
    UnknownItem,
    UnknownRoute,
    UnsupportedMediaType,
)
from ..opaque import files
from ..opaque.files import Item, Step
from ..pool.model import Plan
from ..routing import Match, Target
from ..upstream.outbound import Cargo
from .catalog import Catalog
from .engine import Engine
from .inbound import judge_content_type
from .means import Way
from .owned_files import BegunUpload, OwnedFiles
from .passage import Asked, Errand, Passage, is_unknown, read_small
from .reply import Headers, Reply
from .upload import Upload

MAX_PAGES = 100
"""Of one account's list: with what vendors tell at once, a million files of OpenAI's, and ten thousand of Google's."""
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")


async def caller_of_upload(engine: Engine, match: Match, call: HTTPCall) -> Caller | None:
    """Return who began the upload that a call goes on with; None: it goes on with none.

    The name of an upload was told to that caller alone, cannot be guessed and ends with it, so that it stands for the
    credential where a piece of that file is sent: clients of Google's send no other with it.

    Raises:
        Unauthenticated: The caller is nobody any more.
    """
    name = files.upload_named(call) if match.operation == "files" else ""
    if engine.files is None or not name:
        return None
    upload = await engine.files.upload(name)
    return None if upload is None else engine.authenticator.again(upload.caller)


class FileVisit:
    """One call on a path of files.

    Args:
        engine: Shared by all requests.
        face: Of the path.
        call: What is asked.
        scope: Of the request.
        caller: Who asks.
        owned: The files of all callers.
        way: Who is asked.
        account: Id of the only account that may be asked; None: any.
        begun: The upload that the call goes on with, if it does.
        home: Id of the account that is asked first, if it can be; empty: none is preferred.
    """

    def __init__(
        self, engine: Engine, face: Codec, call: HTTPCall, scope: Scope, caller: Caller, owned: OwnedFiles,
        way: Way, account: str | None, begun: BegunUpload | None, home: str,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._face = face
        self._words = files.WORDS[face.NAME]
        self._call = call
        self._scope = scope
        self._caller = caller
        self._owned = owned
        self._way = way
        self._account = account
        self._begun = begun
        self._home = home
        self._step: Step = files.step_of(call)
        self._id = files.id_in(call)
        self._cargo: Cargo | None = None

    @classmethod
    async def begin(
        cls, engine: Engine, face: Codec, call: HTTPCall, scope: Scope, caller: Caller | None
    ) -> "FileVisit":  # fmt: skip
        """Find out who is to be asked.

        Raises:
            UnknownRoute: Nobody keeps files here.
            UnknownItem: There is no such file, or it is not this caller's.
            Forbidden: The caller may ask nothing of that upstream.
            QueueFull: Too many requests wait here.
        """
        assert caller is not None, "nobody comes here unknown"
        engine.pool.turn_away(caller.label)
        owned = engine.files
        way = next(
            (way for way in engine.upstreams.values() if way.keeps_files and way.codec.FAMILY == face.FAMILY), None
        )
        if owned is None or way is None:
            raise UnknownRoute("No upstream of this gateway keeps files for callers of this protocol.")
        account, begun, home = None, None, ""
        if id_ := files.id_in(call):
            account = await _account_of(owned, face.FAMILY, id_, caller)
        elif name := files.upload_named(call):
            begun = await owned.upload(name)
            if begun is None or begun.caller.label != caller.label:
                raise UnknownItem("There is no such upload here. Begin it again.", param=files.UPLOAD_ID)
            account = begun.account
        elif files.step_of(call) == "upload":
            home = await owned.home(face.FAMILY, caller.label)
        if account is not None:
            way = _way_to(engine, account)
        Catalog(engine.models, engine.upstreams, caller).check_upstream(way.name)
        return cls(engine, face, call, scope, caller, owned, way, account, begun, home)

    @property
    def target(self) -> Target:
        """Who is asked, for nothing of a model's."""
        return Target(upstream=self._way.name, model="")

    def upload(self, receive: Receive, declared: int | None) -> Upload | None:
        """Return the body that is passed on; None: the call has none."""
        return Upload(receive, self._engine.uploads, declared) if self._step == "upload" else None

    def passage(self, reply: Reply, base_headers: Headers, upload: Upload | None) -> Passage:
        """Return what answers.

        Raises:
            RequestTooLarge: The file will be larger than may be.
            MalformedRequest: How large it is was not told in numbers.
            UnsupportedMediaType: The body is compressed, or comes from a page of another origin without a credential.
        """
        if upload is not None:
            most = self._engine.uploads.max_body_bytes
            if files.end_of(self._call) + (upload.length or 0 if self._begun else 0) > most:
                raise RequestTooLarge(f"The file is larger than {most} bytes. Send a smaller one.")
            if self._begun is None and judge_content_type(self._scope) is not None:
                raise UnsupportedMediaType("A file is passed on as it comes. Send the body uncompressed.")
            content_type = dict(self._scope["headers"]).get(b"content-type", b"")
            self._cargo = Cargo(source=upload, content_type=content_type)
        works: dict[Step, Callable[[Passage], Awaitable[None]]] = {
            "upload": self._pass_upload,
            "list": self._list,
            "get": self._get,
            "delete": self._delete,
            "content": self._pass_content,
        }
        return Passage(
            self._engine, reply=reply, base_headers=base_headers, upload=upload, work=works[self._step]
        )  # fmt: skip

    def _plan(self, account: str | None) -> Plan:
        pool, targets, label = self._engine.pool, (self.target,), self._caller.label
        plan = pool.plan(targets, None if account is None else (account,), caller=label)
        if account is not None or not self._home:
            return plan
        preferred = pool.plan(targets, (self._home,), caller=label)
        return msgspec.structs.replace(preferred, otherwise=plan.tiers) if preferred.tiers else plan

    def _vendor_call(self) -> HTTPCall:
        return self._words.call(self._call, self._step, self._id, self._way.profile)

    # --- one file -----------------------------------------------------------------------------------------------------

    async def _pass_upload(self, passage: Passage) -> None:
        call = self._vendor_call()
        if self._begun is not None:
            call = files.upload_call(call, self._begun.query)

        async def take(asked: Asked) -> None:
            body = await read_small(asked.response)
            told = [(name, asked.header(name)) for name in files.TOLD_OF_UPLOADS]
            headers = [(name.encode(), value.encode("latin-1")) for name, value in told if value is not None]
            url = asked.header(files.UPLOAD_URL)
            self._owned.note_home(self._face.FAMILY, self._caller.label, asked.account)
            if url is not None and self._begun is None:
                headers.append((files.UPLOAD_URL.encode(), self._own_url(asked, url)))
            elif body.strip() and asked.header("x-goog-upload-status") != "active":
                await self._take_over(self._words.item(body), asked)
            await self._owned.settled()
            await passage.tell(asked, body, headers)

        await passage.ask(Errand(self._plan(self._account), call, take, cargo=self._cargo))

    def _own_url(self, asked: Asked, url: str) -> bytes:
        """Return where the caller sends the rest of its upload: here, under a name that only it knows."""
        query = files.upload_at(url, asked.way.base_url)
        name = self._owned.begin_upload(BegunUpload(asked.account, self._caller, query))
        host = dict(self._scope["headers"]).get(b"host", b"").decode("latin-1")
        if not _HOST.fullmatch(host):
            host = ":".join(map(str, self._scope.get("server") or ("localhost",)))
        asked_for = urlencode({files.UPLOAD_ID: name, "upload_protocol": "resumable"})
        return f"{self._scope.get('scheme', 'http')}://{host}{quote(self._scope['path'])}?{asked_for}".encode("latin-1")

    async def _take_over(self, item: Item, asked: Asked) -> None:
        """Note whose a new file is. Where callers may choose its name, that of another's is not to be had.

        Raises:
            MalformedRequest: Somebody's file at another account is called so.
            OwnerUnknown: Whether it is cannot be looked up.
        """
        known = await self._owned.find(self._face.FAMILY, (item.id,)) if self._words.are_names_chosen else {}
        file = known.get(item.id)
        if file is not None and file.owner not in ("", self._caller.label) and file.account != asked.account:
            raise MalformedRequest("There is a file of this name already. Choose another name.", param="file.name")
        self._note(item, asked)

    def _note(self, item: Item, asked: Asked) -> None:
        self._owned.note(self._face.FAMILY, item.id, account=asked.account, owner=self._caller.label)

    async def _get(self, passage: Passage) -> None:
        async def take(asked: Asked) -> None:
            body = await read_small(asked.response)
            if self._account is None:
                self._note(self._words.item(body), asked)
            await passage.tell(asked, body)

        await self._ask_for_it(passage, Errand(self._plan(self._account), self._vendor_call(), take))

    async def _delete(self, passage: Passage) -> None:
        async def take(asked: Asked) -> None:
            body = await read_small(asked.response)
            await self._forget()
            await passage.tell(asked, body)

        await self._ask_for_it(passage, Errand(self._plan(self._account), self._vendor_call(), take))

    async def _pass_content(self, passage: Passage) -> None:
        errand = Errand(self._plan(self._account), self._vendor_call(), passage.stream, is_content=True)
        await self._ask_for_it(passage, errand)

    async def _ask_for_it(self, passage: Passage, errand: Errand[None]) -> None:
        """Ask for a file; what its account knows nothing of is no more."""
        try:
            await passage.ask(errand)
        except Refused as error:
            if is_unknown(error):
                await self._forget()
            raise

    async def _forget(self) -> None:
        self._owned.forget(self._face.FAMILY, self._id)
        await self._owned.settled()

    # --- all of them --------------------------------------------------------------------------------------------------

    async def _list(self, passage: Passage) -> None:
        """Tell the caller's files. One account of theirs that does not answer ends it: a part would look like all."""
        wanted = self._words.wanted(self._call.query)
        places = await self._owned.places(self._face.FAMILY, self._caller.label, self._way.accounts)
        own = [item for account in places for item in await self._own_at(passage, account)]
        part, has_more = files.part_of(own, wanted)
        await passage.tell(None, self._words.told(part, has_more=has_more))

    async def _own_at(self, passage: Passage, account: str) -> list[Item]:
        """Return the caller's files of one account."""
        call = self._vendor_call()
        call = msgspec.structs.replace(call, query={**call.query, **self._words.most})
        max_bytes = self._engine.timing.max_event_bytes

        async def take(asked: Asked) -> files.Page:
            return self._words.page(await read_small(asked.response, max_bytes))

        own: list[Item] = []
        for _ in range(MAX_PAGES):
            page = await passage.ask(Errand(self._plan(account), call, take))
            known = await self._owned.find(self._face.FAMILY, [item.id for item in page.items])
            own += [item for item in page.items if item.id in known and known[item.id].owner == self._caller.label]
            if page.following is None:
                return own
            call = msgspec.structs.replace(call, query={**call.query, **page.following})
        raise Malformed("The upstream lists more files than are looked through here.", code="answer_too_large")


async def _account_of(owned: OwnedFiles, family: str, id_: str, caller: Caller) -> str | None:
    """Return the account that has a caller's file; None: nobody knows, and callers are not told apart.

    Raises:
        UnknownItem: It is not this caller's.
        OwnerUnknown: Whose it is cannot be looked up.
    """
    file = (await owned.find(family, (id_,))).get(id_)
    is_anybodys = caller is ANONYMOUS and (file is None or not file.owner)
    if not is_anybodys and (file is None or file.owner != caller.label):
        raise files.no_file()
    return None if file is None else file.account


def _way_to(engine: Engine, account: str) -> Way:
    """Return the upstream of an account.

    Raises:
        UnknownItem: It is not configured any more.
    """
    way = engine.upstreams.get(account.partition("/")[0])
    if way is None or account not in way.accounts:
        raise UnknownItem("The account that has this file is not configured any more.", param="file_id")
    return way
