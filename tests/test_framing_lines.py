"""Lines of JSON: what is a frame, at any split of the bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.framing import (
    Frame,
    FrameDecoder,
    LineSplitter,
    NDJSONDecoder,
    frame_mark,
    json_line,
    split_lines,
)

STREAMS = [
    b'{"a":1}\n{"b":"\xc3\xa9\xe2\x80\xa8"}\n',
    b' {"a":1}\r\n\n\r\n  {"b":2}',
    b'\n\n {"a":1}\n ',
    b"",
    b"no json\n",
]


def frames_of(*reads: bytes) -> list[Frame]:
    decoder: FrameDecoder = NDJSONDecoder()
    frames = [frame for read in reads for frame in decoder.feed(read)]
    return frames + decoder.close()


@pytest.mark.parametrize("stream", STREAMS)
def test_lines_are_stripped_and_empty_ones_are_none(stream: bytes) -> None:
    assert frames_of(stream) == [Frame(b"", line.strip()) for line in stream.split(b"\n") if line.strip()]


@pytest.mark.parametrize("stream", STREAMS)
def test_any_split_gives_the_same_lines_F63(stream: bytes) -> None:
    for a in range(len(stream) + 1):
        for b in range(a, len(stream) + 1):
            assert frames_of(stream[:a], stream[a:b], stream[b:]) == frames_of(stream)


@given(st.lists(st.sampled_from([b"\n", b"\r\n", b'{"a":1}', b" ", b"\xff"])))
def test_blocks_and_tail_are_the_input_byte_for_byte(reads: list[bytes]) -> None:
    splitter = LineSplitter()
    blocks = [splitter.feed(read) for read in reads]
    assert b"".join(blocks) + splitter.close() == b"".join(reads)
    assert all(block.endswith(b"\n") for block in blocks if block)


def test_a_read_that_ends_with_a_line_is_passed_on_as_it_is() -> None:
    splitter = LineSplitter()
    splitter.feed(b"{}\n")
    read = b"{}\n{}\n"
    assert splitter.feed(read) == read
    assert not splitter.has_tail


def test_line_that_has_begun_is_a_tail_and_white_space_is_none() -> None:
    decoder = NDJSONDecoder()
    decoder.feed(b"{}\n  ")
    assert not decoder.has_tail
    decoder.feed(b'{"a"')
    assert decoder.has_tail


@pytest.mark.parametrize("size", [1, 7, 16, 1000])
def test_longer_line_ends_the_stream_after_those_before_it_F62(size: int) -> None:
    stream = b'{"a":1}\n{"b":2}\n' + b"x" * 33 + b"\n{}\n"
    decoder = NDJSONDecoder(max_event_bytes=32)
    frames = [frame for at in range(0, len(stream), size) for frame in decoder.feed(stream[at : at + size])]
    assert [frame.data for frame in frames] == [b'{"a":1}', b'{"b":2}']
    assert decoder.failure is not None
    assert decoder.failure.code == "event_too_large"
    assert decoder.feed(b"{}\n") == []


def test_line_of_the_limit_passes_among_others_F62() -> None:
    decoder = NDJSONDecoder(max_event_bytes=32)
    assert len(decoder.feed(b"{}\n" + b"x" * 31 + b"\n{}\n")) == 3
    assert decoder.failure is None


@pytest.mark.parametrize("block", [b"", b"a\n", b"a\nb", b"\n\na\n"])
def test_lines_of_a_block_joined_are_the_block(block: bytes) -> None:
    assert b"".join(split_lines(block)) == block


def test_a_line_is_written_with_its_end() -> None:
    assert json_line(b"{}") == b"{}\n"
    with pytest.raises(AssertionError):
        json_line(b"{\n}")


def test_mark_stands_once_in_every_frame_of_its_format() -> None:
    assert b'{"a":1}\n{}\n'.count(frame_mark(b"application/x-ndjson")) == 2
    assert b"data: 1\n\nevent: x\ndata: 2\n\n".count(frame_mark(b"text/event-stream; charset=utf-8")) == 2
