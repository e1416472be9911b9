"""Recorded traffic is read whole, and its absence is told."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from .recorded import (
    CASES,
    Protocol,
    Recording,
    absence,
    case_params,
    clients,
    edge,
    lingua,
    recorded_params,
    records,
    require_cases,
)


class Manifest(msgspec.Struct):
    n: dict[Protocol, int]


@pytest.mark.cases
def test_every_folder_is_read_whole() -> None:
    require_cases()
    manifest = msgspec.json.decode((CASES / "recorded" / "MANIFEST.json").read_bytes(), type=Manifest)
    assert {protocol: len(records(protocol)) for protocol in manifest.n} == manifest.n
    assert len(clients()) == len(list((CASES / "clients").iterdir()))
    assert {case.case for case in lingua()} == {path.name for path in (CASES / "lingua" / "snapshots").iterdir()}
    assert [file.name for file in edge("apisix/anthropic/*tool*")] == [
        "apisix/anthropic/messages-streaming-with-tool-use.sse"
    ]


@pytest.mark.cases
def test_streams_and_whole_answers_are_told_apart() -> None:
    require_cases()
    streams, wholes = records("chat", stream=True), records("chat", stream=False)
    assert len(streams) + len(wholes) == len(records("chat"))
    assert {record.response.text is not None for record in streams} == {True}


@pytest.mark.parametrize("record", recorded_params("anthropic", status=200, stream=True))
def test_stream_of_anthropic_has_its_body_as_it_was(record: Recording) -> None:
    assert record.response.body.startswith(b"event: message_start\n")


def test_client_requests_have_their_bodies() -> None:
    require_cases()
    claude = next(request for request in clients() if request.name == "claude-code-1-02")
    assert claude.path == "/v1/messages"
    assert claude.body is not None
    assert "messages" in claude.body


def test_lingua_has_the_files_of_a_case() -> None:
    require_cases()
    case = next(case for case in lingua("anthropic") if case.case == "simpleRequest")
    assert sorted(case.files)[:2] == ["followup-request", "followup-response"]
    assert case.files["request"].startswith(b"{")


def fail_to_load() -> Iterator[Recording]:
    raise AssertionError("nothing can be loaded where nothing is")


def test_absence_skips_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    (param,) = case_params(fail_to_load, tmp_path)
    assert [mark.name for mark in param.marks] == ["cases", "skip"]
    with pytest.raises(pytest.skip.Exception, match="is absent"):
        require_cases(tmp_path)


def test_absence_fails_under_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    for ask in (absence, require_cases, lambda root: case_params(fail_to_load, root)):
        with pytest.raises(FileNotFoundError, match="it must be there"):
            ask(tmp_path)
