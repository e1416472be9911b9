"""Undoes content encodings in bounded steps: `BodyDecoder` those of answers, which nobody asked for.

Every request says ``accept-encoding: identity``; some servers compress all the same. A compressed answer may grow a
thousandfold in one call (a 64 KiB chunk became 64 MiB in httpx's decoder), so nothing here decodes more than
`STEP_BYTES` at a time, and the whole is bounded in size and in ratio. This file does no I/O.

gzip and deflate are always known; br and zstd if a library that can stop half-way is installed (``brotli`` 1.2,
``compression.zstd`` or ``backports.zstd``; ``zstandard`` gives 64 MiB out in one call, or takes a cut frame for whole).

Source: RFC 9110 section 8.4.1, RFC 9659 (window of zstd).
"""

import importlib
import zlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Protocol

from .contract import Headers
from .failures import failure

STEP_BYTES = 65_536
"""What one step gives back at most: as much as one read of a socket. (br ends at a block, before twice as much.)"""
MAX_DECODED_BYTES = 16 * 1024 * 1024
"""Of one body. No answer of an API is larger, and the whole of it may be held in memory."""
MAX_RATIO = 100
"""Decoded to encoded bytes. JSON reaches 20, a bomb 1,000."""

MAX_MEMBERS = 1_000
"""Of one gzip body, or frames of a zstd body: one of 20 bytes costs as much as one of 64 KiB."""


class Coding(Protocol):
    """One running decompressor."""

    errors: tuple[type[Exception], ...]
    """What `feed` raises where the data is corrupt."""
    is_complete: bool
    """The encoded stream has reached its own end."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` gives, step by step."""
        ...


class BodyDecoder:
    """Decodes one body."""

    def __init__(self, coding: Coding) -> None:
        self._coding = coding
        self._encoded = 0
        self._decoded = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield decoded pieces, none of them empty.

        Raises:
            Malformed: The data is corrupt, or grows beyond `MAX_DECODED_BYTES` or `MAX_RATIO`.
        """
        self._encoded += len(data)
        try:
            for piece in self._coding.feed(data):
                self._decoded += len(piece)
                if self._decoded > min(MAX_DECODED_BYTES, MAX_RATIO * self._encoded):
                    raise failure("encoded_bomb")
                yield piece
        except self._coding.errors:
            raise failure("encoded_corrupt") from None

    def close(self) -> None:
        """Say that the body is at its end.

        Raises:
            Malformed: The encoded stream is not.
        """
        if self._encoded and not self._coding.is_complete:
            raise failure("encoded_corrupt")


def decoder_for(headers: Headers) -> BodyDecoder | None:
    """Return the decoder that an answer with these headers needs, None if it is not encoded.

    Raises:
        Malformed: The encoding is unknown here, or there are several.
    """
    codings = [
        coding
        for name, value in headers
        if name == b"content-encoding"
        for coding in value.decode("latin-1").lower().replace(" ", "").split(",")
        if coding not in ("", "identity")
    ]
    if not codings:
        return None
    coding = start_coding(codings[0]) if len(codings) == 1 else None
    if coding is None:
        raise failure("encoded_unsupported")
    return BodyDecoder(coding)


def start_coding(name: str) -> Coding | None:
    """Return a fresh decompressor; None if the coding is unknown here, or its library is not installed."""
    make = _CODINGS.get(name)
    return None if make is None else make()


class _Gzip:
    """gzip: members one after another."""

    errors: tuple[type[Exception], ...] = (zlib.error,)

    def __init__(self) -> None:
        self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._members = 1
        self.is_complete = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self.is_complete:
                self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)
                self._members += 1
            if self._members > MAX_MEMBERS:
                raise zlib.error("too many members")
            yield from _steps(self._member, data)
            self.is_complete = self._member.eof
            data = self._member.unused_data


class _Deflate:
    """deflate: with the zlib wrapper that the RFC wants, or without, as some servers have it."""

    errors: tuple[type[Exception], ...] = (zlib.error,)

    def __init__(self) -> None:
        self._head = b""
        self._stream: zlib._Decompress | None = None
        self.is_complete = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None:
            self._head += data
            if len(self._head) < 2:
                return
            is_wrapped = self._head[0] & 15 == 8 and int.from_bytes(self._head[:2]) % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if is_wrapped else -zlib.MAX_WBITS)
            data, self._head = self._head, b""
        elif self.is_complete:
            raise zlib.error("data after the end")
        yield from _steps(self._stream, data)
        self.is_complete = self._stream.eof
        if self._stream.unused_data:
            raise zlib.error("data after the end")


def _steps(stream: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    while True:
        piece = stream.decompress(data, STEP_BYTES)
        if piece:
            yield piece
        data = stream.unconsumed_tail
        # A full step may leave output inside zlib although all input is consumed.
        if stream.eof or (not data and len(piece) < STEP_BYTES):
            return


class _Brotli:
    """br, by ``brotli`` 1.2 or newer: older ones cannot stop half-way."""

    def __init__(self, module: ModuleType) -> None:
        self.errors: tuple[type[Exception], ...] = (module.error,)
        self._stream = module.Decompressor()
        self.is_complete = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece: bytes = self._stream.process(data, output_buffer_limit=STEP_BYTES)
            data = b""
            self.is_complete = self._stream.is_finished()
            if piece:
                yield piece
            elif self._stream.can_accept_more_data():
                return  # only no output says that none is left inside


class _Zstd:
    """zstd: frames one after another, in windows of 8 MiB at most."""

    def __init__(self, module: ModuleType) -> None:
        self.errors: tuple[type[Exception], ...] = (module.ZstdError,)
        self._module = module
        self._frame = self._new_frame()
        self._frames = 1
        self.is_complete = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self.is_complete:
                self._frame = self._new_frame()
                self._frames += 1
            if self._frames > MAX_MEMBERS:
                raise self._module.ZstdError("too many frames")
            yield from self._steps(data)
            self.is_complete = self._frame.eof
            data = self._frame.unused_data if self._frame.eof else b""

    def _steps(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece = self._frame.decompress(data, max_length=STEP_BYTES)
            if piece:
                yield piece
            data = b""
            if self._frame.eof or self._frame.needs_input:
                return

    def _new_frame(self) -> "_ZstdFrame":
        frame: _ZstdFrame = self._module.ZstdDecompressor(
            options={self._module.DecompressionParameter.window_log_max: 23}
        )
        return frame


class _ZstdFrame(Protocol):
    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _br() -> Coding | None:
    module = _first_of("brotli")
    return None if module is None or not hasattr(module.Decompressor, "can_accept_more_data") else _Brotli(module)


def _zstd() -> Coding | None:
    module = _first_of("compression.zstd", "backports.zstd")
    return None if module is None else _Zstd(module)


def _first_of(*names: str) -> ModuleType | None:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_CODINGS: dict[str, Callable[[], Coding | None]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _br,
    "zstd": _zstd,
}
