"""One request's life: judge, route, authenticate, read, plan, answer, record.

The order of checks is the cheapest and most secret-safe first; nothing before authentication depends on the body. One
task listens on ``receive()`` from the end of the body to the end of the answer: a caller who leaves cancels the
upstream, whichever await that happens in.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import anyio
import msgspec
from starlette.types import Receive, Scope, Send

from ..auth import ANONYMOUS, Caller
from ..budgets import NO_LIMITS
from ..canonical import Notice, Usage
from ..codec import Codec, Envelope, HTTPCall
from ..envelope import OnUnsupported
from ..errors import (
    GatewayError,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    Refused,
    ShuttingDown,
    UnknownItem,
    UnknownRoute,
)
from ..headers import patience_s, read_headers, request_id_from
from ..json_guard import check_document
from ..observe import Record, Result, stack_of
from ..routing import Match, Target, is_smuggled
from . import answer_headers
from .answering import Answering
from .answers import Answers, KeptAnswer, Talk, begin_talk
from .bound_files import BoundFiles
from .catalog import Catalog
from .engine import Engine
from .failover import spread_out
from .file_visit import FileVisit, caller_of_upload
from .holdings import Holdings
from .inbound import BAD_FRAMING, ClientGone, judge_content_type, judge_head, read_body, read_query, take_query_key
from .off_loop import off_loop
from .question import Question, look_up
from .reply import CLIENT_GONE_STATUS, Headers, Reply
from .spending import Spending, owed_of, reserve, settle_owed
from .upload import Upload

_log = logging.getLogger("asgi_ds2api")

LAST_WORDS_S = 1.0
"""What a request that the server cancels may still take to say so to its caller."""
LIVENESS_PATHS = frozenset({"", "/"})


class Exchange:
    """One request under our prefix.

    Args:
        engine: Shared by all requests.
        scope: The ASGI scope; read, and changed in nothing but a key that its query loses.
        receive: The server's.
        send: The server's.
        path: Decoded, after the prefix.
        on_unsupported: What the prefix says of losses; None: what the upstreams say holds.
    """

    def __init__(
        self, engine: Engine, scope: Scope, receive: Receive, send: Send, path: str,
        on_unsupported: OnUnsupported | None = None,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._on_unsupported = on_unsupported
        self._scope = scope
        self._query_key: bytes | None = None
        self._receive = receive
        self._reply = Reply(send, is_head=scope["method"] == "HEAD")
        self._call = HTTPCall(method=scope["method"], path=path)
        self._request_id = engine.new_id()
        self._face = engine.routes.fallback
        self._started = anyio.current_time()
        self._operation = ""
        self._caller: Caller | None = None
        self._envelope: Envelope | None = None
        self._attempts: Answering | None = None
        self._notices: tuple[Notice, ...] = ()  # of an answer that nobody was asked for
        self._spending: Spending | None = None
        self._late_usage: Usage | None = None
        """Of an answer that is looked up, and has ended since it was last."""
        self._upload: Upload | None = None
        self._is_gone = False
        self._cut_reason: GatewayError | None = None
        self._failure: GatewayError | None = None

    async def run(self) -> None:
        """Answer the request. Raises nothing but the server's own cancellation."""
        patience_s = self._engine.timing.send_s
        try:
            with self._last_resort():
                self._engine.active.add(self)
                await self._answer()
        except anyio.get_cancelled_exc_class():
            if not self._reply.is_ended:
                self._failure = ShuttingDown("The server is shutting down. Try again.", retry_after_s=1)
            patience_s = LAST_WORDS_S
            raise
        finally:
            with self._last_resort(), anyio.move_on_after(patience_s, shield=True):
                await self._end()
            with self._last_resort():
                self._close_books()
            self._engine.active.discard(self)

    @contextmanager
    def _last_resort(self) -> Iterator[None]:
        """Keep what went wrong for the end. Our own mistakes reach neither the caller nor the host's server."""
        try:
            yield
        except ClientGone:
            self._is_gone = True
        except GatewayError as error:
            self._failure = spread_out(error, self._engine.rng)
        except Exception as exc:  # a mistake of ours, or of a codec: the host's server must not see it
            _log.error("request %s failed inside the gateway:\n%s", self._request_id, stack_of(exc))
            self._failure = InternalError("The gateway made a mistake. Its log has the request id.")

    def _close_books(self) -> None:
        """Settle what was reserved, and tell the observers."""
        record = self._record()
        if self._spending is not None:
            self._spending.settle(record)
        self._engine.observatory.publish(self._engine.costs.priced(record))

    def cut(self, reason: GatewayError) -> None:
        """End the request now, because the gateway shuts down; one that is still being sent ends when it is read."""
        self._cut_reason = reason
        if self._attempts is not None:
            self._attempts.cut(reason)

    # --- before the upstream ------------------------------------------------------------------------------------------

    async def _answer(self) -> None:
        if self._engine.hides_query_key:
            self._query_key = take_query_key(self._scope)
        self._face = self._engine.routes.face_of(self._call)
        query = read_query(self._scope, self._engine.inbound.max_query_bytes)
        asked = dict(reversed(query))
        if self._query_key is not None:
            asked["key"] = ""  # a codec may know that there was one
        self._call = msgspec.structs.replace(self._call, headers=read_headers(self._scope["headers"]), query=asked)
        self._request_id = request_id_from(self._call.headers.get("x-request-id")) or self._request_id
        self._face = self._engine.routes.face_of(self._call)
        raw_path = self._scope.get("raw_path")
        if self._call.path in LIVENESS_PATHS and not is_smuggled(raw_path):
            await self._greet()
            return
        if self._call.method == "OPTIONS" and self._cors():
            await self._answer_preflight()
            return
        match = self._engine.routes.match(self._call, raw_path)
        self._face, self._operation = match.codec, match.operation
        if match.operation == "tell":
            await self._send_told(match.answer)
            return
        await self._begin_work()
        declared = judge_head(self._scope, self._engine.bounds(match.operation))
        began = await caller_of_upload(self._engine, match, self._call)
        self._caller = began or await self._engine.authenticator.authenticate(
            self._scope, match.codec, self._query_key if self._engine.takes_query_key else None
        )
        if len(query) != len(dict(query)):
            raise MalformedRequest("A query parameter was sent twice. Send it once.", code="duplicate_parameter")
        self._call = msgspec.structs.replace(self._call, model=match.model, query=dict(query))
        await self._carry_out(match, declared)

    async def _carry_out(self, match: Match, declared: int | None) -> None:
        match match.operation:
            case "list_models":
                await self._send_json(match.codec.encode_models(self._catalog().models(), self._call.query))
            case "get_model":
                await self._tell_model(match, declared)
            case "capabilities":
                await self._send_json(self._tell_capabilities())
            case "kept":
                await self._tell_kept(match.codec)
            case "files":
                await self._pass_on(match, declared)
            case "generate" | "count_tokens" | "embed" | "complete" | "compact":
                await self._ask_model(match, declared)

    async def _begin_work(self) -> None:
        """Refuse what is more than a word while the gateway drains; hear of others, and probe, from here on."""
        if self._engine.is_draining:
            raise ShuttingDown("This server is shutting down. Try again.", retry_after_s=1)
        if self._engine.store.is_shared:
            await self._engine.store.open()
        self._engine.prober.attend()

    async def _greet(self) -> None:
        if self._call.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("This path takes GET and HEAD only.", allow=("GET", "HEAD"))
        await self._send_json(b'{"status":"ok","gateway":"asgi_ds2api"}')

    async def _answer_preflight(self) -> None:
        """Tell a browser that a page of an allowed origin may call this path."""
        methods = self._engine.routes.methods(self._call.path)
        if not methods:
            raise UnknownRoute("There is no such path here.")
        wanted = dict(self._scope["headers"]).get(b"access-control-request-headers", b"")
        headers = [*answer_headers.preflight(wanted, methods), *self._base_headers()]
        await self._reply.start(204, headers)
        await self._reply.end()

    def _cors(self) -> list[tuple[bytes, bytes]]:
        if not self._engine.cors_origins:
            return []
        return answer_headers.cors(dict(self._scope["headers"]).get(b"origin"), self._engine.cors_origins)

    async def _send_told(self, answer: bytes) -> None:
        """Say what is said to everybody."""
        content_type = b"application/json" if answer.startswith(b"{") else b"text/plain; charset=utf-8"
        await self._reply.whole(200, [(b"content-type", content_type), *self._base_headers()], answer)

    async def _peeked(self, match: Match, declared: int | None) -> Envelope:
        """Read the body, and return what routing needs of it."""
        encoding = judge_content_type(self._scope)
        body = await read_body(self._receive, self._engine.inbound, declared, encoding)
        self._call = msgspec.structs.replace(self._call, body=body)
        return await self._peeked_again(match)

    async def _peeked_again(self, match: Match) -> Envelope:
        peeked = await off_loop(len(self._call.body), lambda: self._peek(match))
        self._envelope = msgspec.structs.replace(
            peeked,
            model=match.model or peeked.model,
            on_unsupported=self._on_unsupported,
            patience_s=patience_s(self._call.headers, stream=peeked.stream),
            request_id=self._request_id,
            salt=self._engine.new_id().removeprefix("req_"),
            created=int(self._engine.wall_now()),
            elapsed_s=lambda: anyio.current_time() - self._started,
        )
        return self._envelope

    async def _tell_model(self, match: Match, declared: int | None) -> None:
        if match.model:
            model = self._catalog().model(match.model)
        else:
            envelope = await self._peeked(match, declared)
            model = self._catalog().model(envelope.model, envelope.other_names)
        await self._send_json(match.codec.encode_model(model))

    async def _ask_model(self, match: Match, declared: int | None) -> None:
        self._engine.pool.turn_away(self._label)
        envelope = await self._peeked(match, declared)
        targets = self._catalog().targets(envelope.model, envelope.other_names)
        if self._cut_reason is not None:
            raise self._cut_reason
        talk = await begin_talk(self._answers(), match, self._call, stream=envelope.stream)
        account = None if talk is None else talk.account(targets)
        if talk is not None:
            envelope = await self._go_on(match, envelope, talk, is_bound=account is not None)
        holdings = await Holdings.of(self._engine, match.codec, self._call, self._caller, targets)
        named = await BoundFiles.of(self._engine, match.codec.FAMILY, self._call.body, self._label)
        account = named.account(targets, holdings.account(targets, account))
        question = Question(self._engine, match.codec, self._call, envelope, self._label)
        own = question.answer_by_ourselves(targets)
        if own is not None:
            self._notices = own.notices
            await self._send_json(own.body, own.headers)
            return
        await question.read(targets)
        await self._reserve(envelope, targets[0])
        attempts = question.begin(targets, self._reply, self._base_headers(), account)
        if talk is not None and talk.is_heard and match.operation == "generate":
            self._reply.heard_by = partial(self._hear, talk, attempts)
        elif holdings.are_heard and match.operation == "generate":
            self._reply.heard_by = partial(holdings.hear, attempts)
        await self._run_attempts(attempts)
        named.learn(attempts, targets)

    async def _pass_on(self, match: Match, declared: int | None) -> None:
        """Carry a call that nobody here reads to who has what it asks for."""
        visit = await FileVisit.begin(self._engine, match.codec, self._call, self._scope, self._caller)
        self._envelope = Envelope(operation="files", model="", request_id=self._request_id)
        self._upload = visit.upload(self._receive, declared)
        await self._reserve(self._envelope, visit.target)
        await self._run_attempts(visit.passage(self._reply, self._base_headers(), self._upload))

    async def _reserve(self, envelope: Envelope, target: Target) -> None:
        """Set aside what the request may need of what its caller may use.

        Raises:
            CallerLimited: It has used that for now.
            CallerBudgetSpent: It does not suffice.
        """
        if self._caller is None or self._caller.limits == NO_LIMITS:
            return
        engine = self._engine
        self._spending = await reserve(
            engine.store, engine.costs, engine.spenders, self._caller, engine.new_id(), envelope,
            self._call.body, target, engine.wall_now(), is_strict=engine.is_strict,
        )  # fmt: skip

    @property
    def _label(self) -> str:
        return "" if self._caller is None else self._caller.label

    def _answers(self) -> Answers | None:
        table = self._engine.answers
        is_anybodys = self._caller is ANONYMOUS
        return None if table is None else Answers(table, self._label, is_anybodys=is_anybodys)

    async def _go_on(self, match: Match, envelope: Envelope, talk: Talk, *, is_bound: bool) -> Envelope:
        """Return what routing needs of the request with all that it goes on from."""
        call = self._call if is_bound else await off_loop(len(self._call.body), talk.call)
        if call is not self._call:
            self._call = call
            envelope = msgspec.structs.replace(await self._peeked_again(match), echo=envelope.echo)
        self._envelope = msgspec.structs.replace(envelope, is_kept=talk.is_kept)
        return self._envelope

    async def _hear(self, talk: Talk, asked: Answering, data: bytes) -> None:
        """Let a talk hear what goes out. What a vendor's own answer is called, its account knows as well."""
        owed = owed_of(self._spending, asked.account, asked.model, self._engine.wall_now())
        is_known = asked.is_native and asked.mode == "relay"
        await talk.hear(data, asked.account if asked.is_native else "", is_known=is_known, owed=owed)
        if self._spending is not None:
            self._spending.is_open = talk.is_open

    async def _tell_kept(self, codec: Codec) -> None:
        keeping, answers = codec.KEEPING, self._answers()
        assert keeping is not None, "a protocol with such a route keeps answers"
        if answers is None:
            raise UnknownItem("Answers are not kept here.", param="response_id")
        found = await KeptAnswer.find(answers, keeping, self._call)
        if found.account:
            await self._ask_keeper(codec, found)
            return
        told = await found.tell()
        if not found.is_stream:
            await self._send_json(told)
            return
        headers = [(b"content-type", codec.STREAM_CONTENT_TYPE), *answer_headers.STREAM, *self._base_headers()]
        await self._reply.start(200, headers)
        await self._reply.end(told)

    async def _ask_keeper(self, codec: Codec, found: KeptAnswer) -> None:
        """Pass on what the vendor who keeps an answer as well says; what it has nothing of is gone."""
        self._envelope = Envelope(
            operation="kept", model=found.model, stream=found.is_stream, request_id=self._request_id,
            created=int(self._engine.wall_now()),
        )  # fmt: skip
        self._reply.heard_by = partial(self._hear_kept, found)
        attempts = look_up(self._engine, codec, self._call, self._envelope, found, self._reply, self._base_headers())
        try:
            await self._run_attempts(attempts)
        except Refused as error:
            if not found.is_gone(error):
                raise
            await self._send_json(await found.tell())

    async def _hear_kept(self, found: KeptAnswer, data: bytes) -> None:
        """Let what is kept hear what the vendor says of it, and settle what was owed for it."""
        owed = found.kept.owed
        self._late_usage = await found.hear(data)
        if owed is not None and self._late_usage is not None and self._caller is not None:
            engine = self._engine
            await settle_owed(engine.store, engine.costs, self._caller, found.id, owed, self._late_usage, found.kept_s)

    def _tell_capabilities(self) -> bytes:
        query = self._call.query
        return self._engine.capabilities.told(query, self._catalog().protocols(query.get("model")))

    def _peek(self, match: Match) -> Envelope:
        check_document(self._call.body, self._engine.max_depth)
        return match.codec.peek(self._call, match.operation)

    def _catalog(self) -> Catalog:
        return Catalog(self._engine.models, self._engine.upstreams, self._caller)

    # --- with the upstream --------------------------------------------------------------------------------------------

    async def _run_attempts(self, attempts: Answering) -> None:
        self._attempts = attempts
        problem: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen, group.cancel_scope)
            group.start_soon(attempts.pulse)
            try:
                await attempts.run()
            except Exception as exc:  # carried out of the group as it is: a group would wrap it
                problem = exc
            group.cancel_scope.cancel()
        if problem is not None:
            raise problem
        if self._is_gone:
            raise ClientGone
        if attempts.failure is not None:
            raise attempts.failure

    async def _listen(self, scope: anyio.CancelScope) -> None:
        """Wait for the caller to leave; never ask again after it did.

        Servers say the same of a caller that has its whole answer. Then it is too late to leave: the answer counts.
        """
        receive = self._receive if self._upload is None else self._upload.receive
        while (await receive())["type"] != "http.disconnect":
            pass
        if not self._reply.is_ended:
            self._is_gone = True
            scope.cancel()

    # --- the answer ---------------------------------------------------------------------------------------------------

    def _base_headers(self) -> list[tuple[bytes, bytes]]:
        ids = answer_headers.ids(self._request_id, self._face.REQUEST_ID_HEADER)
        return [*ids, *answer_headers.COMMON, *self._cors()]

    async def _send_json(self, body: bytes, more: Headers = ()) -> None:
        await self._reply.whole(200, [(b"content-type", b"application/json"), *self._base_headers(), *more], body)

    async def _refuse(self, error: GatewayError) -> None:
        """Send an error in the face's own words, unless an answer has begun."""
        if self._reply.is_started:
            return
        answer = self._face.encode_error(error, self._request_id)
        is_cut_off = error.code == BAD_FRAMING or (self._upload is not None and not self._upload.is_whole)
        headers = [*answer.headers, *self._base_headers(), *answer_headers.refusal(error, is_cut_off=is_cut_off)]
        if self._engine.show_route and self._attempts is not None:
            headers += answer_headers.route(None, len(self._attempts.log), with_account=False)
        await self._reply.whole(answer.status, headers, answer.body)

    async def _end(self) -> None:
        """Tell the caller what went wrong, in-band if its answer has begun; keep the contract with the server."""
        try:
            if self._failure is not None and not self._is_gone and not self._reply.is_ended:
                await self._tell(self._failure)
        except ClientGone:
            self._is_gone = True
        await self._reply.ensure_ended()

    async def _tell(self, failure: GatewayError) -> None:
        if self._reply.is_started and self._attempts is not None:
            await self._attempts.break_off(failure)
        else:
            await self._refuse(failure)

    def _result(self) -> Result:
        failure = self._failure
        if self._is_gone:
            return "client_gone"
        if failure is None:
            return "ok"
        if isinstance(failure, ShuttingDown) or failure.code in ("client_stalled", "deadline_exceeded"):
            return "cut"
        return "interrupted" if self._attempts is not None and self._attempts.is_committed else "error"

    def _record(self) -> Record:
        attempts, envelope, result = self._attempts, self._envelope, self._result()
        code = result if self._failure is None else self._failure.code
        facts = None if attempts is None else attempts.facts
        first_byte = None if attempts is None else attempts.committed_at
        return Record(
            request_id=self._request_id,
            result=result,
            code=code,
            status=self._reply.status or CLIENT_GONE_STATUS,
            protocol=self._face.NAME,
            operation=self._operation,
            model=envelope.model if envelope is not None and attempts is not None else "",
            caller="" if self._caller is None else self._caller.label,
            mode="" if attempts is None else attempts.mode,
            stream=envelope is not None and envelope.stream,
            attempts=() if attempts is None else tuple(attempts.log),
            queued_s=0.0 if attempts is None else attempts.queued_s,
            usage=self._late_usage if facts is None or facts.usage is None else facts.usage,
            finish=None if facts is None or facts.finish is None else facts.finish.reason,
            notices=self._notices if attempts is None else tuple(attempts.notices),
            bytes_in=len(self._call.body) if self._upload is None else self._upload.size,
            bytes_out=self._reply.bytes_out,
            first_byte_s=None if first_byte is None else first_byte - self._started,
            duration_s=anyio.current_time() - self._started,
        )
