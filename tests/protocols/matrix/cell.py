"""One cell: a row asked of a gateway in memory on one face, in front of one upstream, and what both ends found."""

import json
import re
from dataclasses import dataclass, field, fields
from typing import Any, Final, cast

from tests.support.asgi_driver import Answer, call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.oracle import outcome_of
from tests.support.outcome import Outcome
from tests.support.scripted_client import Answering, ScriptedUpstream

from . import chat, claude, gemini, ollama, responses
from .neutral import Asked, End, Json
from .rows import Row

ENDS: Final[dict[str, End]] = {
    end.NAME: cast("End", end) for end in (chat, responses, claude, gemini, ollama)
}  # fmt: skip
"""The protocols, as faces and as upstreams."""


_INDEX: Final = re.compile(r"\[\d+\]")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is not as it was meant, and what the gateway says of it."""

    asked: frozenset[str] = frozenset()
    """Fields of `Asked` that reached the upstream otherwise."""
    told: frozenset[str] = frozenset()
    """Fields of `Outcome` that reached the caller otherwise; ``word``: the vendor's word for the end."""
    notices: frozenset[tuple[str, str]] = frozenset()
    """Pattern and severity of each Notice, hints apart."""
    hints: frozenset[str] = frozenset()
    """Patterns of the Notices that are hints."""
    refused: frozenset[str] = frozenset()
    """Pattern of the place that was refused before an upstream was asked."""


@dataclass
class Cell:
    """A row in one direction."""

    row: Row
    face: End
    to: End
    stream: bool
    records: Records = field(default_factory=Records)

    def __post_init__(self) -> None:
        self.model = f"{self.to.NAME}/{self.to.MODEL}"
        self.upstream = ScriptedUpstream.by_request(lambda _: self._answer())
        profile = self.row.chat_profile if self.to.NAME == "chat" else None
        self._gateway = make_gateway(
            upstream(self.to.NAME, profile=profile), scripts={self.to.NAME: self.upstream}, hooks=[self.records]
        )

    # --- asking

    async def ask(self) -> Answer:
        """Ask, as often as the row wants it, and return the last answer.

        Raises:
            Wordless: One of the two ends has no words for the row.
        """
        self._whole, self._frames = self.to.whole(self.row.said), self.to.frames(self.row.said)
        body = self.face.write(self.row.ask, self.model, stream=self.stream)
        if self.row.way != "replay":
            return await self._call(body, stream=self.stream)
        answer = await self._call(body, stream=self.stream)
        assert answer.status == 200, answer.text
        return await self._call(self.face.go_on(body, self._whole_of(answer), "It snows."), stream=self.stream)

    async def _call(self, body: Json, *, stream: bool) -> Answer:
        path, query = self.face.path(self.model, stream=stream)
        return await call(self._gateway, "POST", path, query=query, json=body, headers=self.face.HEADERS)

    # --- answering

    def _answer(self) -> Answering:
        row, to = self.row, self.to
        if row.way == "refused":
            assert row.failure is not None
            status, body = to.refuse(row.failure)
            retry = {"retry-after": row.retry_after} if row.retry_after else {}
            return _json(body, status, retry)
        whole, frame = to.fail()
        if not self.stream:
            if row.way == "cut":
                return Answering(200, {"content-type": "application/json"}, [_encoded(self._whole)[:-40]])
            return _json(whole if row.way == "failed" else self._whole)
        frames = self._frames
        if row.way == "failed":
            frames = [frame]
        elif row.way in ("broken", "cut"):
            begun = next(number for number, sent in enumerate(frames) if row.said.text[:6].encode() in sent)
            frames = [*frames[: begun + 1], *([frame] if row.way == "broken" else [])]
        return Answering(200, {"content-type": to.STREAM_TYPE}, frames)

    # --- looking

    def found(self, answer: Answer) -> Found:
        """Compare both ends with what was meant, of a row that is answered."""
        record = self.records[-1]
        notices = frozenset((notice.pattern, notice.severity) for notice in record.notices)
        told = frozenset(notice for notice in notices if notice[1] != "hint")
        hints = frozenset(pattern for pattern, severity in notices if severity == "hint")
        if not self.upstream.calls:
            assert (answer.status, answer.header("x-ds2api-error")) == (400, "unsupported_value"), answer.text
            _, _, place = self.face.trouble(answer.status, json.loads(answer.body))
            return Found(refused=frozenset({_INDEX.sub("[]", place)}))
        return Found(asked=self._asked(), told=self._told(answer), notices=told, hints=hints)

    def _asked(self) -> frozenset[str]:
        body = cast("dict[str, Any]", self.upstream.calls[-1].json())
        found, meant = self.to.read(body), self.row.ask.meant
        if self.row.way == "replay":
            call = self.row.said.calls[0]
            meant.calls, meant.results = [call.told], [(call.name, "It snows.")]
            meant.thoughts = [self.row.said.reasoning]
            meant.signatures = [self.row.said.signature] if self.to.NAME in ("claude", "responses", "gemini") else []
        else:
            found.thoughts = meant.thoughts
            found.signatures = meant.signatures
        if not (self.face.TELLS_FAILURES and self.to.TELLS_FAILURES) and meant.failed:
            meant.failed = []
            meant.results = [(name, f"Error: {text}") for name, text in meant.results]
        return frozenset(item.name for item in fields(Asked) if _differs(item.name, found, meant))

    def _told(self, answer: Answer) -> frozenset[str]:
        assert answer.status == 200, answer.text
        meant = self.row.said.meant
        if self.to.NAME == "ollama":
            meant = Outcome(**{**vars(meant), "cached_tokens": 0, "reasoning_tokens": 0})
        outcome = outcome_of(self.face.ORACLE, answer.body, is_stream=self.stream)
        found = {name for name, value in vars(meant).items() if getattr(outcome, name) != value}
        if self.face.finish_of(self._whole_of(answer)) != self._word():
            found.add("word")
        return frozenset(found)

    def _whole_of(self, answer: Answer) -> Json:
        """Return an answer as a whole, however it came."""
        whole: Json = self.face.gather(answer.body) if self.stream else json.loads(answer.body)
        return whole

    def _word(self) -> str:
        """Return the vendor's word for why the answer ends; only who tells of stop sequences has one for them."""
        is_told = self.row.said.stopped_by and (self.to.NAME == "claude" or self.to.NAME == "responses")
        return self.face.STOPPED if is_told else self.face.WORDS[self.row.said.finish]


def _differs(name: str, found: Asked, meant: Asked) -> bool:
    if name == "thoughts":  # a stream tells them in pieces
        return "".join(found.thoughts) != "".join(meant.thoughts)
    if name == "said":
        rest = iter(found.said)
        return not all(text in rest for text in meant.said)
    return bool(getattr(found, name) != getattr(meant, name))


def _json(body: Json, status: int = 200, headers: dict[str, str] | None = None) -> Answering:
    return Answering(status, {"content-type": "application/json", **(headers or {})}, [_encoded(body)])


def _encoded(body: Json) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
