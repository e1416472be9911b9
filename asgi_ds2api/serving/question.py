"""A caller's question to a model: read once for all attempts, and carried to whoever answers, and back."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Final, NamedTuple

from ..auth import ANONYMOUS
from ..canonical import (
    Choice,
    EmbeddingsRequest,
    Finish,
    Notice,
    Notices,
    ProtocolName,
    Request,
    Response,
    TokenCount,
    Usage,
    placed,
)
from ..codec import Codec, Envelope, Face, HTTPCall
from ..errors import MalformedRequest, UnknownItem
from ..pool.model import Demand, Plan
from ..routing import Target
from ..shims import CallersReasoning, Shim, open_summaries
from ..shims import choose as choose_shims
from ..token_estimate import input_tokens
from ..transcoding.count_tokens import CountTokens
from ..transcoding.embed import Embed, comparable, embeddings_of
from ..transcoding.joint import part_of
from ..transcoding.side import Side
from ..transcoding.transcode import Translate
from ..transcoding.transcode import choose as choose_transcoder
from ..transcoding.transcoder import Transcoder
from ..transcoding.ways import chat_takes
from . import answer_headers
from .answering import Answering
from .answers import KeptAnswer
from .attempts import Attempts
from .conversation import may_be_sealed, session_of
from .engine import Engine
from .fan_out import FanOut
from .look_up import LookUp
from .means import Way
from .off_loop import off_loop
from .reply import Headers, Reply

_IN_CONVERSATION: Final = ("generate", "complete", "compact")
_TOOLS: Final = (b'"tools"', b'"functions"')
"""What a request with tools holds, on every face."""


def look_up(
    engine: Engine, face: Codec, call: HTTPCall, envelope: Envelope, found: KeptAnswer, reply: Reply, base: Headers
) -> Attempts:  # fmt: skip
    """Return what asks the account that keeps an answer as well.

    Args:
        engine: Shared by all requests.
        face: The caller's protocol.
        call: What is asked.
        envelope: Says whether a stream is wanted.
        found: The answer.
        reply: To the caller.
        base: Headers of every answer.

    Raises:
        UnknownItem: That account's upstream is not configured any more, or speaks another protocol by now.
    """
    upstream = found.account.partition("/")[0]
    usual, keeping = engine.upstreams.get(upstream), face.KEEPING
    ways = [way for way in (usual, usual and usual.other_way) if way is not None and way.codec.NAME == face.NAME]
    if not ways or keeping is None:
        raise UnknownItem("Who keeps this answer is not asked any more.", param="response_id")
    return Attempts(
        engine,
        plan=engine.pool.plan((Target(upstream=upstream, model=""),), (found.account,)),
        way=lambda _usual, _model: ways[0],
        face=face,
        envelope=envelope,
        transcoder=lambda _, side: LookUp(
            face=face, keeping=keeping, call=call, envelope=envelope, side=side, kept=found.kept
        ),
        request_bytes=0,
        reply=reply,
        base_headers=base,
    )


class OwnAnswer(NamedTuple):
    """An answer that no upstream was asked for."""

    body: bytes
    notices: tuple[Notice, ...] = ()
    """For the Record."""
    headers: Headers = ()
    """That tell the caller of them."""


class _Terms(NamedTuple):
    """What holds for all attempts of a question."""

    targets: tuple[Target, ...]
    account: str | None
    base_headers: Headers


class Question:
    """One call that a model is to answer.

    Args:
        engine: Shared by all requests.
        face: The caller's protocol.
        call: With its body.
        envelope: What was peeked of it.
        label: Of the caller; empty: nobody is told from anybody.
    """

    def __init__(self, engine: Engine, face: Codec, call: HTTPCall, envelope: Envelope, label: str) -> None:
        self._engine = engine
        self._face = face
        self._call = call
        self._envelope = envelope
        self._label = label
        self._decoded: Request | None = None
        self._decoded_embeddings: EmbeddingsRequest | None = None

    def answer_by_ourselves(self, targets: Sequence[Target]) -> OwnAnswer | None:
        """Return the answer that no upstream is needed for; None: one is."""
        if self._envelope.finish is not None:
            return OwnAnswer(self._answer_to_nothing(self._envelope.finish))
        if self._envelope.operation == "count_tokens" and not self._can_count(targets[0]):
            return self._estimate(targets[0])
        return None

    async def read(self, targets: Sequence[Target]) -> None:
        """Read the whole request before it waits for an account, if whoever answers it has to.

        Raises:
            RequestError: It is wrong: no account is taken for such a one.
        """
        if self._envelope.operation == "embed":
            await off_loop(len(self._call.body), self._embeddings_request)
        elif self._envelope.operation in ("generate", "complete") and all(map(self._is_foreign, targets)):
            await off_loop(len(self._call.body), self._request)

    def begin(
        self, targets: tuple[Target, ...], reply: Reply, base_headers: Headers, account: str | None = None
    ) -> Answering:
        """Return what answers: the attempts of one question, or of each of several prompts and choices.

        Args:
            targets: Who serves the model.
            reply: To the caller.
            base_headers: Of every answer.
            account: Id of the only one that may answer; None: any may.

        Raises:
            MalformedRequest: More choices are wanted than are asked for one at a time.
        """
        envelope, targets = self._envelope, self._eligible(targets)
        is_relayed = envelope.operation == "complete" and self._takes_completions(targets[0])
        is_single = not is_relayed and self._is_fanned_out(targets[0])
        if is_single:
            targets = tuple(target for target in targets if self._may_give_choices(target))
        terms = _Terms(targets, account, base_headers)
        if is_relayed or (envelope.completion.prompts == 1 and not is_single):
            may_hedge = self._may_hedge(targets)
            return self._attempts(terms, self._face, envelope, reply, self._transcoder, may_hedge=may_hedge)
        return self._fan_out(terms, reply, is_single=is_single)

    def _eligible(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Return those that answer as the first one does: what they say has to be the same thing."""
        if self._envelope.operation == "embed":
            return comparable(targets, self._has_embeddings)
        if self._envelope.operation == "complete":
            is_relayed = self._takes_completions(targets[0])
            return tuple(target for target in targets if self._takes_completions(target) == is_relayed)
        return targets

    def _attempts(
        self, terms: _Terms, face: Face, envelope: Envelope, reply: Reply,
        transcoder: Callable[[Way, Side], Transcoder], *, may_hedge: bool,
    ) -> Attempts:  # fmt: skip
        return Attempts(
            self._engine,
            plan=self._plan(terms.targets, terms.account, envelope),
            face=face,
            envelope=envelope,
            transcoder=transcoder,
            request_bytes=len(self._call.body),
            reply=reply,
            base_headers=terms.base_headers,
            way=self._way,
            may_hedge=may_hedge,
        )

    def _fan_out(self, terms: _Terms, reply: Reply, *, is_single: bool) -> FanOut:
        """Return what asks each prompt, and each choice if they are given one at a time, by itself."""

        def part_at(number: int, face: Face, part: Envelope, reply: Reply) -> Attempts:
            make = partial(self._part_transcoder, number, face, part, is_single=is_single)
            return self._attempts(terms, face, part, reply, make, may_hedge=False)

        envelope = self._envelope
        return FanOut(
            self._face,
            envelope,
            reply,
            part_at,
            count=envelope.completion.prompts * (envelope.choices if is_single else 1),
            width=1 if is_single else envelope.choices,
            timing=self._engine.timing,
            source=self._common_source(terms.targets),
        )

    def _is_foreign(self, target: Target) -> bool:
        """Tell whether an upstream speaks another protocol than the caller, whichever way it is asked."""
        way = self._engine.upstreams[target.upstream]
        ways = (way,) if way.other_way is None else (way, way.other_way)
        return all(way.codec.NAME != self._face.NAME for way in ways)

    # --- what is known of it ------------------------------------------------------------------------------------------

    def _answer_to_nothing(self, finish: Finish) -> bytes:
        """Return the answer where nothing was asked."""
        choice = Choice(blocks=(), finish=finish)
        empty = Response(source=self._face.NAME, id="", model=self._envelope.model, choices=(choice,), usage=Usage())
        return self._face.encode_response(empty, self._envelope, Notices())

    def _plan(self, targets: Sequence[Target], account: str | None, envelope: Envelope) -> Plan:
        """Return where the request, or a part of it, may go."""
        pool, session = self._engine.pool, ""
        if account is None and self._envelope.operation in _IN_CONVERSATION and pool.has_choice(targets):
            session = session_of(self._label, self._envelope.session, self._call.body)
        is_sealed = bool(session) and pool.seals(targets) and self._is_sealed(targets)
        allowed = None if account is None else (account,)
        return pool.plan(targets, allowed, self._demand(envelope), self._label, session, is_sealed=is_sealed)

    def _is_sealed(self, targets: Sequence[Target]) -> bool:
        """Tell whether the request carries what was sealed for a customer, or is lent what is kept of it."""
        ways = [self._engine.upstreams[target.upstream] for target in targets]
        own = [way.profile for way in ways if way.codec.NAME == self._face.NAME]
        is_relayed = len(own) == len(ways) and all(profile.exact and profile.sealed_reasoning for profile in own)
        is_lent = not is_relayed and self._engine.reasoning is not None
        return may_be_sealed(self._call.body, is_relayed=is_relayed, is_lent=is_lent)

    def _demand(self, envelope: Envelope) -> Demand:
        """Return what the pool sets aside for an attempt: by the bytes, and by what the answer may have."""
        if envelope.operation == "count_tokens":
            return Demand()
        return Demand(self._input_tokens, (envelope.max_output_tokens or 0) * envelope.choices)

    def _may_hedge(self, targets: Sequence[Target]) -> bool:
        """Tell whether it may be asked twice at the same time: not what a vendor goes on with when nobody waits."""
        if not any(self._engine.upstreams[target.upstream].hedges for target in targets):
            return False
        return self._face.KEEPING is None or not self._face.KEEPING.is_background(self._call)

    def _estimate(self, target: Target) -> OwnAnswer:
        """Return a number of tokens that nobody has counted. No vendor's answer has a place that says so: a Notice."""
        way = self._engine.upstreams[target.upstream]
        notices = Notices()
        notices.changed("input_tokens", "the upstream that serves this model does not count them", action="estimated")
        is_told = (self._envelope.on_unsupported or way.on_unsupported) != "drop"
        return OwnAnswer(
            self._face.encode_token_count(TokenCount(input_tokens=self._input_tokens)),
            tuple(notices),
            tuple(answer_headers.notices(notices)) if is_told else (),
        )

    @cached_property
    def _input_tokens(self) -> int:
        return input_tokens(self._call.body)

    def _can_count(self, target: Target) -> bool:
        return self._engine.upstreams[target.upstream].codec.COUNTS_TOKENS

    def _has_embeddings(self, upstream: str) -> bool:
        return self._engine.upstreams[upstream].codec.EMBEDDINGS is not None

    def _takes_completions(self, target: Target) -> bool:
        """Tell whether an upstream of the caller's protocol has the endpoint of legacy completions for this model."""
        way = self._engine.upstreams[target.upstream]
        return way.codec.NAME == self._face.NAME and way.profile.has_completions(target.model)

    def _way(self, usual: Way, model: str) -> Way:
        """Return how an upstream is asked for a model: in its other way what it refuses in the usual one."""
        other, facts = usual.other_way, usual.profile.facts(model)
        if other is None or facts.chat_tools == "any" or self._envelope.operation != "generate":
            return usual
        if not any(word in self._call.body for word in _TOOLS):  # so that most of what is relayed is not read
            return usual
        return usual if chat_takes(self._request(), facts) else other

    def _gives_choices(self, target: Target) -> bool:
        way = self._way(self._engine.upstreams[target.upstream], target.model)
        return way.codec.HAS_CHOICES and way.profile.choices

    def _may_give_choices(self, target: Target) -> bool:
        return self._gives_choices(target) or self._engine.upstreams[target.upstream].fan_out

    def _is_fanned_out(self, target: Target) -> bool:
        """Tell whether each choice is a call of its own.

        Raises:
            MalformedRequest: There would be too many.
        """
        envelope, most = self._envelope, self._engine.limits.max_choices
        if envelope.choices == 1 or envelope.operation not in ("generate", "complete") or self._gives_choices(target):
            return False
        if not self._engine.upstreams[target.upstream].fan_out:
            return False
        if envelope.choices > most:
            param = placed("n", self._request().places)
            message = f"Invalid '{param}': at most {most} answers are given to one request by this model's upstream."
            raise MalformedRequest(message, code="integer_above_max_value", param=param)
        return True

    def _common_source(self, targets: Sequence[Target]) -> ProtocolName | None:
        """Return what parts count as answers of, so that fields of one protocol are never taken for another's.

        None where all speak one. Else it is one that is not the caller's, and fields of any are foreign.
        """
        ways = (self._way(self._engine.upstreams[target.upstream], target.model) for target in targets)
        names = sorted({way.codec.NAME for way in ways})
        return next((name for name in names if name != self._face.NAME), None) if len(names) > 1 else None

    def _request(self) -> Request:
        if self._decoded is None:
            decoded = self._face.decode_request(self._call, self._engine.limits)
            self._decoded = open_summaries(decoded, self._engine.keyring, self._label)
        return self._decoded

    def _embeddings_request(self) -> EmbeddingsRequest:
        if self._decoded_embeddings is None:
            codec = embeddings_of(self._face)
            self._decoded_embeddings = codec.decode_embeddings_request(self._call, self._engine.limits)
        return self._decoded_embeddings

    # --- there and back -----------------------------------------------------------------------------------------------

    def _transcoder(self, way: Way, side: Side) -> Transcoder:
        face, call, envelope = self._face, self._call, self._envelope
        if envelope.operation == "count_tokens":
            return CountTokens(
                face=face,
                call=call,
                envelope=envelope,
                side=side,
                request=self._request,
                shims=lambda request: self._shims(request, side),
            )
        if envelope.operation == "embed":
            return Embed(
                face=face,
                call=call,
                envelope=envelope,
                side=side,
                request=self._embeddings_request,
                on_unsupported=self._envelope.on_unsupported or way.on_unsupported,
            )
        made = choose_transcoder(
            face=face,
            call=call,
            envelope=envelope,
            side=side,
            request=self._request,
            shims=lambda request: self._shims(request, side),
            on_unsupported=self._envelope.on_unsupported or way.on_unsupported,
        )
        self._tell_way(way, made)
        return made

    def _part_transcoder(
        self, number: int, face: Face, envelope: Envelope, way: Way, side: Side, *, is_single: bool
    ) -> Transcoder:
        """Return the way there and back of one of several parts."""
        request = part_of(self._request(), number, is_single=is_single)
        made = Translate(
            face=face,
            envelope=envelope,
            side=side,
            request=request,
            shims=self._shims(request, side),
            on_unsupported=self._envelope.on_unsupported or way.on_unsupported,
        )
        self._tell_way(way, made)
        if is_single:
            made.notices.changed(placed("n", request.places), "each answer is a call of its own, input included")
        return made

    def _tell_way(self, way: Way, made: Transcoder) -> None:
        if way is not self._engine.upstreams[way.name]:
            made.notices.hint("tools", "the model's Chat takes no functions beside reasoning", action="moved")

    def _shims(self, request: Request, side: Side) -> Sequence[Shim]:
        table, label = self._engine.reasoning, self._label
        kept = None
        if table is not None:
            is_shared = label == ANONYMOUS.label
            kept = CallersReasoning(table=table, label=label, is_shared=is_shared, owner=side.owner)
        return choose_shims(request, side.codec.NAME, side.profile, self._engine.keyring, label, kept)
