"""Recorded real traffic, read from ``../shared/cases`` beside the project; its README says what it is.

Nothing of it is copied into the project. Where it is absent, tests that need it are skipped, saying so; under CI
(``CI`` is set) they fail, so that nobody's green run proves less than it seems.

For ``parametrize``: ``@pytest.mark.parametrize("record", recorded_params("chat", status=200))``; the ids are those of
the records.
"""

import base64
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar
from typing import Protocol as Interface

import msgspec
import pytest
from _pytest.mark import ParameterSet

CASES = Path(__file__).parents[3] / "shared" / "cases"
Protocol: TypeAlias = Literal[
    "anthropic",
    "anthropic-count",
    "bedrock-converse",
    "bedrock-invoke",
    "chat",
    "cohere-v2",
    "gemini",
    "gemini-count",
    "gemini-interactions",
    "ollama",
    "responses",
]
"""The name of a file in ``recorded/``."""


class RecordedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked."""

    method: str
    path: str
    query: str = ""
    body: dict[str, object] | None = None


class RecordedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered; exactly one of the three bodies is set."""

    status: int
    headers: dict[str, str]
    json_body: msgspec.Raw | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="json")
    text: str | None = None
    base64: str | None = None

    @property
    def body(self) -> bytes:
        """The body as it was on the wire, but for the white space of JSON."""
        if self.json_body is not msgspec.UNSET:
            return bytes(self.json_body)
        if self.text is not None:
            return self.text.encode()
        assert self.base64 is not None
        return base64.b64decode(self.base64)


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange with a provider."""

    id: str
    """16 hex digits."""
    protocol: Protocol
    host: str
    """Empty where it was not recorded."""
    model: str | None
    feats: tuple[str, ...]
    """Found by pattern: good for choosing, not exact."""
    request: RecordedRequest
    response: RecordedResponse

    @property
    def is_stream(self) -> bool:
        """A stream was asked for."""
        body = self.request.body or {}
        return bool(body.get("stream")) or "stream" in self.request.path

    @property
    def name(self) -> str:
        """For pytest: ``chat-api.openai.com-0123456789abcdef``."""
        return f"{self.protocol}-{self.host or 'unknown'}-{self.id}"


class ClientRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a real client sent. Long texts are cut to a mark, shapes are exact."""

    name: str = ""
    """Name of its file: ``claude-code-1-01``."""
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: dict[str, object] | None


class LinguaCase(msgspec.Struct, frozen=True, kw_only=True):
    """The same case recorded against one vendor: ``case`` is common to several ``protocol``."""

    case: str
    protocol: str
    """chat-completions, responses, anthropic, google, bedrock, ..."""
    files: dict[str, bytes]
    """``request``, ``response``, ``response-streaming``, ``error``, ``followup-...``: JSON each."""

    @property
    def name(self) -> str:
        """For pytest."""
        return f"{self.case}-{self.protocol}"


class EdgeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A dirty or split stream, or a body, of another project's tests."""

    name: str
    """Path below ``edge/``."""
    data: bytes


class Case(Interface):
    """What a test can be parametrized with."""

    @property
    def name(self) -> str:
        """Its id."""
        ...


AnyCase = TypeVar("AnyCase", bound=Case)


def records(
    protocol: Protocol, *, status: int | None = None, stream: bool | None = None, root: Path = CASES
) -> list[Recording]:
    """Return the recordings of a protocol; ``status`` and ``stream`` choose, None takes all."""
    lines = (root / "recorded" / f"{protocol}.jsonl").read_bytes()
    found = msgspec.json.Decoder(Recording).decode_lines(lines)
    return [
        record for record in found if status in (None, record.response.status) and stream in (None, record.is_stream)
    ]


def clients(root: Path = CASES) -> list[ClientRequest]:
    """Return the requests of real clients, by name."""
    files = sorted((root / "clients").glob("*.json"))
    decode = msgspec.json.Decoder(ClientRequest).decode
    return [msgspec.structs.replace(decode(file.read_bytes()), name=file.stem) for file in files]


def lingua(protocol: str | None = None, root: Path = CASES) -> list[LinguaCase]:
    """Return the snapshots, all or those of one protocol."""
    folders = sorted((root / "lingua" / "snapshots").glob(f"*/{protocol or '*'}"))
    return [
        LinguaCase(
            case=folder.parent.name,
            protocol=folder.name,
            files={file.stem: file.read_bytes() for file in sorted(folder.glob("*.json"))},
        )
        for folder in folders
    ]


def edge(pattern: str = "**/*", root: Path = CASES) -> list[EdgeFile]:
    """Return the files below ``edge/`` that match a glob, licences left out."""
    base = root / "edge"
    files = sorted(path for path in base.glob(pattern) if path.is_file() and path.name != "LICENSE")
    return [EdgeFile(name=path.relative_to(base).as_posix(), data=path.read_bytes()) for path in files]


def absence(root: Path = CASES) -> str | None:
    """Return why the recorded traffic cannot be read, or None.

    Raises:
        FileNotFoundError: It is absent, and this is CI.
    """
    if (root / "recorded").is_dir():
        return None
    reason = "the recorded traffic (../shared/cases) is absent"
    if os.environ.get("CI"):
        raise FileNotFoundError(f"{reason}, and CI is set: it must be there")
    return reason


def require_cases(root: Path = CASES) -> None:
    """Skip the running test where the recorded traffic is absent; under CI, fail it."""
    if reason := absence(root):
        pytest.skip(reason)


def case_params(load: Callable[[], Iterable[AnyCase]], root: Path = CASES) -> list[ParameterSet]:
    """Return pytest params with ids; where the traffic is absent, one that is skipped.

    Raises:
        FileNotFoundError: As `absence`: an error at collection.
    """
    if reason := absence(root):
        return [pytest.param(None, id="absent", marks=[pytest.mark.cases, pytest.mark.skip(reason)])]
    return [pytest.param(case, id=case.name, marks=pytest.mark.cases) for case in load()]


def recorded_params(*protocols: Protocol, status: int | None = None, stream: bool | None = None) -> list[ParameterSet]:
    """Return pytest params of the recordings of these protocols; see `records` and `case_params`."""
    return case_params(lambda: [r for p in protocols for r in records(p, status=status, stream=stream)])
