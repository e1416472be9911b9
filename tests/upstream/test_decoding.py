"""Encodings that nobody asked for, undone in bounded steps (F47, M10)."""

import gzip
import importlib
import itertools
import zlib
from collections.abc import Callable

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.errors import Malformed
from asgi_ds2api.upstream import decoding
from asgi_ds2api.upstream.contract import Headers
from asgi_ds2api.upstream.decoding import MAX_RATIO, STEP_BYTES, BodyDecoder, decoder_for

Encode = Callable[[bytes], bytes]


def _raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


ENCODERS: dict[str, tuple[str, Encode]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip-members": ("gzip", lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:])),
    "deflate": ("deflate", zlib.compress),
    "deflate-raw": ("deflate", _raw_deflate),
    "br": ("br", lambda data: brotli.compress(data, quality=4)),
    "zstd": ("zstd", zstd.compress),
    "zstd-frames": ("zstd", lambda data: zstd.compress(data[:7]) + zstd.compress(data[7:])),
}
CODINGS = pytest.mark.parametrize(("coding", "encode"), ENCODERS.values(), ids=[f"F47-{name}" for name in ENCODERS])


def decoder(coding: str) -> BodyDecoder:
    """Return the decoder of an answer in this coding."""
    made = decoder_for(headers(coding))
    assert made is not None
    return made


def headers(*codings: str) -> Headers:
    """Return headers that name codings."""
    return [(b"content-type", b"text/plain"), *((b"content-encoding", coding.encode()) for coding in codings)]


def decode(coding: str, pieces: list[bytes]) -> list[bytes]:
    """Decode a whole body."""
    stream = decoder(coding)
    decoded = [part for piece in pieces for part in stream.feed(piece)]
    stream.close()
    return decoded


@CODINGS
@given(
    data=st.binary(max_size=300) | st.binary(max_size=20).map(lambda seed: bytes(range(256)) * 40 + seed * 30),
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=20),
)
def test_any_split_decodes_to_the_same(coding: str, encode: Encode, data: bytes, sizes: list[int]) -> None:
    encoded, pieces = encode(data), []
    for size in itertools.cycle(sizes):
        if not encoded:
            break
        pieces.append(encoded[:size])
        encoded = encoded[size:]
    assert b"".join(decode(coding, pieces)) == data


@CODINGS
def test_nothing_grows_beyond_a_step_at_a_time_M10(coding: str, encode: Encode) -> None:
    """M10: a 64 KiB chunk became 64 MiB in one call."""
    data = b"".join(b"%d " % (n * n) for n in range(300_000))
    decoded = decode(coding, [encode(data)])
    assert max(map(len, decoded)) <= STEP_BYTES * (2 if coding == "br" else 1)
    assert b"".join(decoded) == data


@CODINGS
def test_bomb_is_stopped_long_before_it_is_large(coding: str, encode: Encode) -> None:
    bomb, grown = encode(bytes(1 << 26)), list[bytes]()
    with pytest.raises(Malformed) as caught:
        grown.extend(decoder(coding).feed(bomb))
    assert caught.value.code == "encoded_bomb"
    assert len(b"".join(grown)) <= MAX_RATIO * len(bomb)


def test_body_of_modest_ratio_has_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_DECODED_BYTES", 1_000)
    data = b"".join(b"%d " % (n * n) for n in range(1_000))
    with pytest.raises(Malformed) as caught:
        decode("gzip", [gzip.compress(data)])
    assert caught.value.code == "encoded_bomb"


@CODINGS
@pytest.mark.parametrize("spoil", [lambda data: b"?!" + data[2:], lambda data: data[:-5]], ids=["wrong", "cut"])
def test_spoiled_data_is_said_to_be_so(coding: str, encode: Encode, spoil: Encode) -> None:
    data = b"".join(b"%d " % n for n in range(2_000))
    with pytest.raises(Malformed) as caught:
        decode(coding, [spoil(encode(data))])
    assert caught.value.code in ("encoded_corrupt", "encoded_bomb")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_data_after_the_end_is_no_part_of_the_body(coding: str) -> None:
    encoded = ENCODERS[coding][1](b"hello")
    for pieces in ([encoded + b"more"], [encoded, b"more"]):
        with pytest.raises(Malformed):
            decode(coding, pieces)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_empty_body_needs_no_encoding(coding: str) -> None:
    assert decode(coding, []) == []


@pytest.mark.parametrize("codings", [(), ("identity",), ("",), ("identity, identity",)])
def test_identity_needs_no_decoder(codings: tuple[str, ...]) -> None:
    assert decoder_for(headers(*codings)) is None


@pytest.mark.parametrize("codings", [("gzip, br",), ("gzip", "gzip"), ("compress",), ("gzip, ,\xe9",)])
def test_other_encodings_are_refused(codings: tuple[str, ...]) -> None:
    with pytest.raises(Malformed) as caught:
        decoder_for(headers(*codings))
    assert caught.value.code == "encoded_unsupported"


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_encoding_without_a_library_is_refused(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(Malformed) as caught:
        decoder_for(headers(coding))
    assert caught.value.code == "encoded_unsupported"
