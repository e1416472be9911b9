"""Tokens of requests that nobody has counted."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest

from asgi_ds2api.token_estimate import MIN_FILE_CHARS, PRICES, input_tokens

SIZE = 300_000
FILES = {
    "png": (b"\x89PNG\r\n\x1a\n", "image"),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image"),
    "webp": (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image"),
    "heic": (b"\x00\x00\x00\x18ftypheic", "image"),
    "pdf": (b"%PDF-1.7\n", "document"),
    "wav": (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio"),
    "mp3": (b"ID3\x04\x00", "audio"),
    "mp3-bare": (b"\xff\xfb\x90\x64", "audio"),
    "mp4": (b"\x00\x00\x00\x20ftypisom", "video"),
    "webm": (b"\x1aE\xdf\xa3\x01", "video"),
}


def data_of(name: str, size: int = SIZE) -> bytes:
    head = FILES[name][0]
    return head + b"?" * (size - len(head))


PLACES: dict[str, Callable[[bytes], Any]] = {
    "claude": lambda data: {"type": "image", "source": {"type": "base64", "data": b64encode(data).decode()}},
    "chat": lambda data: {"image_url": {"url": f"data:image/png;base64,{b64encode(data).decode()}"}},
    "gemini": lambda data: {"inlineData": {"data": urlsafe_b64encode(data).decode().rstrip("=")}},
    "ollama": lambda data: {"images": [b64encode(data).decode()]},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FILES)
def test_file_has_the_tokens_of_its_kind_wherever_it_stands(name: str, place: str) -> None:
    part = PLACES[place](data_of(name))
    price = PRICES[FILES[name][1]]  # type: ignore[index]  # a kind, as the table above has it
    least = price.least if not price.bytes_per_token else max(price.least, SIZE // price.bytes_per_token)
    assert least <= input_tokens(json.dumps({"contents": [part]}).encode()) <= least + 50


def test_slashes_may_be_escaped() -> None:
    body = json.dumps({"data": b64encode(data_of("jpeg")).decode()}).replace("/", "\\/").encode()
    assert input_tokens(body) < 2 * PRICES["image"].least


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"text": "' + b"words and words " * 40_000 + b'"}',
        b'{"encrypted_content": "' + b64encode(bytes(range(256)) * 400) + b'"}',
        b'{"cut": "' + b64encode(data_of("png"))[:MIN_FILE_CHARS],
        b"" + b'"' * 10_000,
    ],
    ids=["small", "text", "ciphertext", "cut", "quotes"],
)
def test_all_else_has_a_token_for_four_bytes(body: bytes) -> None:
    assert input_tokens(body) == max(1, len(body) // 4)


def test_files_are_summed_and_text_is_added() -> None:
    data = b64encode(data_of("png")).decode()
    body = json.dumps([{"text": "word " * 8_000}, data, data]).encode()
    assert 10_000 + 2 * PRICES["image"].least <= input_tokens(body) <= 10_100 + 2 * PRICES["image"].least
