"""Images and documents of a Chat client: sent in Anthropic's forms, or refused by their path."""

import base64
from typing import Any

import msgspec
import pytest

from asgi_ds2api.canonical import Base64Source, FileSource, Media, MediaSource, UrlSource
from asgi_ds2api.errors import Unsupported

from .calls import ANTHROPIC, chat, encode, say, told

AT = "messages[0].content[1]"


def block(kind: str, source: MediaSource, **fields: Any) -> dict[str, Any]:
    media = Media(kind=kind, source=source, at=AT, **fields)  # type: ignore[arg-type]  # kinds by name
    written: dict[str, Any] = encode(chat(say("user", "look", media)))[0]["messages"][0]["content"][1]
    return written


def refused(kind: str, source: MediaSource) -> str | None:
    with pytest.raises(Unsupported) as caught:
        block(kind, source)
    return caught.value.param


def data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/gif", "image/webp"])
def test_images_that_anthropic_knows_are_sent_C24(media_type: str) -> None:
    source = {"type": "base64", "media_type": media_type, "data": "aGk="}
    assert block("image", Base64Source(media_type=media_type, data="aGk=")) == {"type": "image", "source": source}


@pytest.mark.parametrize("media_type", ["image/bmp", "image/svg+xml", "image/tiff"])
def test_other_images_are_refused_by_their_path_C24(media_type: str) -> None:
    assert refused("image", Base64Source(media_type=media_type, data="aGk=")) == AT


@pytest.mark.parametrize(
    "source",
    [
        Base64Source(media_type="image/png", data="data:image/png;base64,aGk="),
        Base64Source(media_type="", data="data:image/png;base64,aGk="),
        Base64Source(media_type="IMAGE/PNG; charset=x", data="aGk="),
        UrlSource(url="data:image/png;base64,aGk="),
    ],
    ids=["prefix", "prefix-alone", "type-in-capitals", "url"],
)
def test_a_data_prefix_is_taken_off(source: MediaSource) -> None:
    assert block("image", source)["source"] == {"type": "base64", "media_type": "image/png", "data": "aGk="}


def test_a_misspelt_type_is_mended() -> None:
    assert block("image", Base64Source(media_type="image/jpg", data="aGk="))["source"]["media_type"] == "image/jpeg"


def test_an_url_is_passed_on_and_never_fetched() -> None:
    assert block("image", UrlSource(url="https://10.0.0.1/x"))["source"] == {"type": "url", "url": "https://10.0.0.1/x"}


def test_content_that_stood_in_a_field_is_refused_by_that_field() -> None:
    media = Media(kind="audio", source=UrlSource(url="https://x"), source_at="audio_url.url", at=AT)
    with pytest.raises(Unsupported) as caught:
        encode(chat(say("user", media)))
    assert caught.value.param == f"{AT}.audio_url.url"


def test_an_url_is_refused_where_the_upstream_fetches_nothing() -> None:
    profile = msgspec.structs.replace(ANTHROPIC, image_urls=False)
    media = Media(kind="image", source=UrlSource(url="https://x"), at=AT)
    with pytest.raises(Unsupported) as caught:
        encode(chat(say("user", media)), profile)
    assert caught.value.param == AT


def test_a_pdf_keeps_its_name() -> None:
    written = block("file", Base64Source(media_type="application/pdf", data="aGk="), name="a.pdf")
    assert (written["type"], written["title"], written["source"]["media_type"]) == (
        "document",
        "a.pdf",
        "application/pdf",
    )


def test_a_text_file_is_sent_as_text() -> None:
    written = block("file", Base64Source(media_type="text/markdown", data=data("# hi ü")), name="a.md")
    assert written["source"] == {"type": "text", "media_type": "text/plain", "data": "# hi ü"}


def test_an_image_in_a_file_is_an_image() -> None:
    assert block("file", Base64Source(media_type="image/png", data="aGk="))["type"] == "image"


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("file", Base64Source(media_type="application/zip", data="aGk=")),
        ("file", Base64Source(media_type="text/plain", data="%%%")),
        ("file", FileSource(file_id="f1", protocol="openai_chat")),
        ("audio", Base64Source(media_type="audio/wav", data="aGk=")),
        ("video", UrlSource(url="https://x")),
    ],
    ids=["zip", "B39-no-base64", "file-of-another-vendor", "audio", "video"],
)
def test_what_anthropic_cannot_see_is_refused(kind: str, source: MediaSource) -> None:
    assert refused(kind, source) == AT


def test_media_of_an_assistant_is_refused() -> None:
    media = Media(kind="image", source=UrlSource(url="https://x"), at=AT)
    with pytest.raises(Unsupported) as caught:
        encode(chat(say("user", "hi"), say("assistant", media), say("user", "go")))
    assert caught.value.param == AT


def test_the_resolution_is_reported() -> None:
    media = Media(kind="image", source=UrlSource(url="https://x"), detail="high", detail_at="image_url.detail", at=AT)
    assert told(encode(chat(say("user", media)))[1], "lost") == [f"{AT}.image_url.detail"]


def test_the_name_of_an_image_is_reported() -> None:
    media = Media(kind="image", source=UrlSource(url="https://x"), name="a.png", at=AT)
    assert told(encode(chat(say("user", media)))[1], "hint") == [f"{AT}.name"]
