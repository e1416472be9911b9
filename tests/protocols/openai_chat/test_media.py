"""Images, recordings, films and documents of another protocol: sent in Chat's forms, or refused by their path."""

from typing import Any

import pytest

from asgi_ds2api.canonical import (
    Base64Source,
    BlocksSource,
    CacheMark,
    FileSource,
    Media,
    MediaSource,
    Text,
    TextSource,
    UrlSource,
)
from asgi_ds2api.errors import Unsupported

from .calls import encode, foreign, say, told

AT = "messages[0].content[1]"
PNG = Base64Source(media_type="image/png", data="aGk=")
PDF = Base64Source(media_type="application/pdf", data="aGk=")


def sent(kind: str, source: MediaSource, model: str = "gpt-5", **fields: Any) -> tuple[list[Any], list[str]]:
    """Return the parts behind a text, and what was reported."""
    media = Media(kind=kind, source=source, at=AT, **fields)  # type: ignore[arg-type]  # kinds by name
    written, notices = encode(foreign(say("user", "look", media), model=model))
    content = written["messages"][0]["content"]
    return content[1:], told(notices)


@pytest.mark.parametrize(
    ("kind", "source", "part"),
    [
        pytest.param(
            "image", PNG, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}, id="image"
        ),
        pytest.param(
            "image",
            UrlSource(url="https://x"),
            {"type": "image_url", "image_url": {"url": "https://x"}},
            id="image-url",
        ),
        pytest.param(
            "document", PNG, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}, id="image-file"
        ),
        pytest.param(
            "document",
            PDF,
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "document.pdf"}},
            id="pdf",
        ),
        pytest.param(
            "file",
            Base64Source(media_type="text/csv", data="aGk="),
            {"type": "file", "file": {"file_data": "data:text/csv;base64,aGk=", "filename": "document"}},
            id="any-file",
        ),
        pytest.param(
            "audio",
            Base64Source(media_type="audio/x-wav", data="aGk="),
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
            id="wav",
        ),
        pytest.param(
            "audio",
            Base64Source(media_type="audio/mpeg", data="aGk="),
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
            id="mp3",
        ),
    ],
)
def test_what_chat_has_a_part_for_is_sent_as_one(kind: str, source: MediaSource, part: dict[str, Any]) -> None:
    assert sent(kind, source) == ([part], [])


def test_a_document_keeps_its_name_and_an_image_its_resolution() -> None:
    assert sent("document", PDF, name="a.pdf")[0][0]["file"]["filename"] == "a.pdf"
    assert sent("image", PNG, detail="low")[0][0]["image_url"]["detail"] == "low"


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        pytest.param("file", FileSource(file_id="f1", protocol="anthropic_messages"), id="file-of-another-vendor"),
        pytest.param("document", UrlSource(url="https://x/a.pdf"), id="document-url"),
        pytest.param("audio", UrlSource(url="https://x/a.wav"), id="audio-url"),
        pytest.param("audio", Base64Source(media_type="audio/flac", data="aGk="), id="flac"),
        pytest.param("video", UrlSource(url="https://x/a.mp4"), id="video-url"),
        pytest.param("video", Base64Source(media_type="video/mp4", data="aGk="), id="video"),
    ],
)
def test_what_chat_has_no_part_for_is_refused_by_its_path(kind: str, source: MediaSource) -> None:
    with pytest.raises(Unsupported) as caught:
        sent(kind, source)
    assert caught.value.param == AT


def test_a_document_of_text_is_said_under_its_title() -> None:
    parts, reported = sent("document", TextSource(text="body"), name="T", context="C")
    assert (parts, reported) == ([{"type": "text", "text": "T\n\nC\n\nbody"}], [AT])


def test_a_document_of_blocks_is_said_block_by_block() -> None:
    blocks = BlocksSource(blocks=(Text(text="a"), Media(kind="image", source=PNG)))
    parts, reported = sent("document", blocks, name="T")
    assert [part["type"] for part in parts] == ["text", "text", "image_url"]
    assert reported == [AT]


def test_what_is_said_about_a_file_stands_before_it() -> None:
    parts, reported = sent("document", PDF, context="C")
    assert (parts[0], parts[1]["type"], reported) == ({"type": "text", "text": "C"}, "file", [f"{AT}.context"])


def test_that_a_document_is_to_be_cited_is_told_as_lost() -> None:
    assert sent("document", PDF, citations_enabled=True)[1] == [f"{AT}.citations"]


@pytest.mark.parametrize(
    ("model", "part", "reported"),
    [
        ("gpt-5.6", {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}, [f"{AT}.cache_control"]),
        ("gpt-5", {}, [f"{AT}.cache_control"]),
    ],
    ids=["takes-marks", "takes-none"],
)
def test_a_cache_mark_is_sent_to_models_that_take_one(model: str, part: dict[str, Any], reported: list[str]) -> None:
    parts, found = sent("image", PNG, model, cache=CacheMark(ttl="1h"))
    assert (parts, found) == (
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}, **part}],
        reported,
    )


def test_an_assistants_picture_has_no_place() -> None:
    picture = Media(kind="image", source=PNG, at=AT)
    written, notices = encode(foreign(say("assistant", "see", picture), say("user", "hi")))
    assert (written["messages"][0], told(notices, "lost")) == ({"role": "assistant", "content": "see"}, [AT])
