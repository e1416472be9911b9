"""Server-sent events: what is a frame, at any split of the bytes.

The cases of the standard are those of the web platform tests (``eventsource/format-*``), by their names.
"""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.framing import (
    Frame,
    FrameDecoder,
    FrameSplitter,
    SSEDecoder,
    comment_frame,
    data_frame,
    event_frame,
    parse_frame,
    parse_frames,
    split_frames,
)

BOM = b"\xef\xbb\xbf"


def frames_of(*reads: bytes) -> list[Frame]:
    """Decode a whole stream that comes in these reads."""
    decoder: FrameDecoder = SSEDecoder()
    frames = [frame for read in reads for frame in decoder.feed(read)]
    return frames + decoder.close()


def data_of(*reads: bytes) -> list[bytes]:
    return [frame.data for frame in frames_of(*reads)]


def reference(stream: bytes) -> list[Frame]:
    """The algorithm of the standard, word by word and slowly."""
    stream = stream.removeprefix(BOM)
    lines, line, at = [], b"", 0
    while at < len(stream):
        byte = stream[at : at + 1]
        at += 1
        if byte not in b"\r\n":
            line += byte
            continue
        if byte == b"\r" and stream[at : at + 1] == b"\n":
            at += 1
        lines.append(line)
        line = b""
    frames, event, data = [], b"", b""
    for line in lines:
        if line == b"":
            if data != b"":
                frames.append(Frame(event, data[:-1]))
            event, data = b"", b""
        elif line.startswith(b":"):
            continue
        else:
            name, colon, value = line.partition(b":")
            value = value[1:] if colon and value.startswith(b" ") else value
            if name == b"event":
                event = value
            elif name == b"data":
                data += value + b"\n"
    return frames


STANDARD = {
    "bom": (BOM + b"data:1\n\n" + BOM + b"data:2\n\ndata:3\n\n", [b"1", b"3"]),
    "bom-2": (BOM + BOM + b"data:1\n\ndata:2\n\ndata:3\n\n", [b"2", b"3"]),
    "comments": (
        b"data:1\r:\x00\n:\r\ndata:2\n:" + b"x" * 2048 + b"\rdata:3\n:data:fail\r:y\ndata:4\n\n",
        [b"1\n2\n3\n4"],
    ),
    "data-before-final-empty-line": (b"retry:1000\ndata:test1\n\nid:test\ndata:test2", [b"test1"]),
    "event-data": (
        b"data:msg\ndata:msg\n\n:\n\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\n",
        [b"msg\nmsg", b""],
    ),
    "field-data": (b"data:\n\ndata\ndata\n\ndata:test\n\n", [b"", b"\n", b"test"]),
    "field-event-empty": (b"event: \ndata:data\n\n", [b"data"]),
    "field-id": (b"id: 1\ndata:1\n\n", [b"1"]),
    "field-id-null": (b"id: x\x00\ndata:hello\n\n", [b"hello"]),
    "field-parsing": (
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\n"
        b"da-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
        [b"\0\n 2\n1\n3\n\n4"],
    ),
    "field-retry": (b"retry:03000\ndata:x\n\n", [b"x"]),
    "field-retry-bogus": (b"retry:3000\nretry:1000x\ndata:x\n\n", [b"x"]),
    "field-retry-empty": (b"retry\ndata:test\n\n", [b"test"]),
    "field-unknown": (
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        [b"test\n\ntest"],
    ),
    "leading-space": (b"data:\ttest\rdata: \ndata:test\n\n", [b"\ttest\n\ntest"]),
    "newlines": (b"data:test\r\ndata\ndata:test\r\n\r", [b"test\n\ntest"]),
    "null-character": (b"data:\0\n\n\n\n", [b"\0"]),
    "utf-8": ("data:ok…\n\n".encode(), ["ok…".encode()]),
}

VENDORS = {
    "openai": b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n',
    "anthropic": b'event: ping\ndata: {"type": "ping"}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
    "openrouter": b': OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\ndata: {"id":"1"}\n\ndata: [DONE]\n\n',
    "gemini": b'data: {"candidates": [{}]}\r\n\r\ndata: {"usageMetadata": {}}\r\n\r\n',
    "no-space": b'event:a\ndata:{"x":1}\n\nid:7\nevent:b\ndata:{"x":2}\n\n',
    "bare-CR": b"event: a\rdata: 1\r\rdata: 2\r\r",
    "pretty": b'data: {\ndata:   "x": 1\ndata: }\n\n',
    "unicode": BOM + "data: é日😀 \u2028\u0085\x0b\x0c\x1c\n\n".encode(),
    "heartbeats": b"\n\ndata: 1\n\n\n\n\n: ping\n\n\r\n\r\ndata: 2\n\n\n",
}

CORPUS = [pytest.param(stream, id=f"F64-{name}") for name, (stream, _) in STANDARD.items()] + [
    pytest.param(stream, id=f"F64-{name}") for name, stream in VENDORS.items()
]


class TestStandard:
    @pytest.mark.parametrize(
        ("stream", "expected"), [pytest.param(*case, id=f"F64-{name}") for name, case in STANDARD.items()]
    )
    def test_events_are_those_of_the_standard(self, stream: bytes, expected: list[bytes]) -> None:
        assert expected == data_of(stream)

    def test_the_name_of_an_event_is_its_own(self) -> None:
        assert [Frame(b"test", b"x"), Frame(b"", b"x")] == frames_of(b"event:test\ndata:x\n\ndata:x\n\n")

    @pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
    def test_what_str_takes_for_a_line_end_is_data_M11(self, separator: str) -> None:
        payload = f'{{"text":"a{separator}b"}}'.encode()
        assert [payload] == data_of(b"data: " + payload + b"\n\n")

    def test_id_and_retry_are_not_passed_on_F64(self) -> None:
        assert [Frame(b"", b"1")] == frames_of(b"id: 5\nretry: 1\ndata: 1\n\nretry: 2\n\nid: 6\n\n")

    def test_bytes_that_are_not_utf_8_are_not_judged_here(self) -> None:
        assert data_of(b"data: \xff\xfe\n\n") == [b"\xff\xfe"]


class TestSplits:
    @pytest.mark.parametrize("stream", CORPUS)
    def test_any_two_cuts_give_the_same_events(self, stream: bytes) -> None:
        expected = reference(stream)
        size = len(stream) if len(stream) < 120 else 0
        cuts = [(a, b) for a in range(size + 1) for b in range(a, size + 1)] or [(a, a) for a in range(len(stream))]
        assert all(expected == frames_of(stream[:a], stream[a:b], stream[b:]) for a, b in cuts)

    @pytest.mark.parametrize("stream", CORPUS)
    def test_single_bytes_give_the_same_events_F63(self, stream: bytes) -> None:
        assert reference(stream) == frames_of(*(bytes([byte]) for byte in stream))

    @pytest.mark.parametrize("stream", CORPUS)
    def test_blocks_and_tail_are_the_input_byte_for_byte(self, stream: bytes) -> None:
        for size in (1, 2, 3, 7, len(stream)):
            splitter = FrameSplitter()
            blocks = b"".join(splitter.feed(stream[at : at + size]) for at in range(0, len(stream), size))
            assert stream == splitter.bom + blocks + splitter.close()

    def test_an_event_is_given_out_with_the_first_byte_of_its_blank_line(self) -> None:
        decoder = SSEDecoder()
        assert [decoder.feed(b"data: 1\r\n"), decoder.feed(b"\r"), decoder.feed(b"\n")] == [[], [Frame(b"", b"1")], []]

    def test_a_read_that_ends_with_an_event_is_passed_on_as_the_same_object(self) -> None:
        splitter = FrameSplitter()
        splitter.feed(b"data: 0\n\n")
        read = b"data: 1\n\ndata: 2\n\n"
        assert splitter.feed(read) is read

    @pytest.mark.parametrize("heartbeat", [b"\n", b"\r\n", b"\r", b"\n\n", b": ping\n\n"])
    def test_heartbeats_between_events_are_passed_on_at_once(self, heartbeat: bytes) -> None:
        splitter = FrameSplitter()
        splitter.feed(b"data: 1\n\n")
        assert heartbeat == splitter.feed(heartbeat)


class TestEndOfStream:
    @pytest.mark.parametrize("name", VENDORS)
    def test_a_cut_inside_an_event_drops_it_and_reports_a_tail_F54(self, name: str) -> None:
        stream = VENDORS[name]
        for cut in range(len(stream)):
            decoder = SSEDecoder()
            frames = decoder.feed(stream[:cut]) + decoder.close()
            whole = FrameSplitter()
            block = whole.feed(stream[:cut])
            assert reference(whole.bom + block) == frames
            assert (cut > len(whole.bom + block)) == decoder.has_tail

    def test_a_cut_inside_a_character_gives_no_part_of_it_F54(self) -> None:
        stream = "data: é日😀\n\n".encode()
        assert {0} == {len(data_of(stream[:cut])) for cut in range(len(stream))}

    def test_no_tail_is_left_after_a_whole_stream(self) -> None:
        decoder = SSEDecoder()
        decoder.feed(b"data: 1\n\n: bye\n\n\n")
        assert not decoder.has_tail

    @pytest.mark.parametrize("blank_line", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\r\r\n", b"\n\r\n", b"\r\n\n", b"\n\r"])
    def test_no_part_of_a_blank_line_is_a_tail(self, blank_line: bytes) -> None:
        decoder = SSEDecoder()
        assert [Frame(b"", b"1")] == decoder.feed(b"data: 1" + blank_line)
        assert not decoder.has_tail

    def test_the_tail_of_a_stream_can_still_be_read_as_a_frame(self) -> None:
        splitter = FrameSplitter()
        splitter.feed(b"data: 1\n\ndata: [DONE]\n")
        assert Frame(b"", b"[DONE]") == parse_frame(splitter.close())


class TestLimit:
    def test_an_event_of_the_limit_passes_F62(self) -> None:
        decoder = SSEDecoder(max_event_bytes=32)
        assert [Frame(b"", b"x" * 24)] == decoder.feed(b"data: " + b"x" * 24 + b"\n\n")
        assert decoder.failure is None

    def test_an_event_of_the_limit_passes_among_others_F62(self) -> None:
        decoder = SSEDecoder(max_event_bytes=32)
        assert len(decoder.feed(b"data: 1\n\n" + b"data: " + b"x" * 24 + b"\n\n" + b"data: 2\n\n")) == 3
        assert decoder.failure is None

    @pytest.mark.parametrize("size", [1, 7, 16, 1000])
    def test_a_longer_event_ends_the_stream_after_those_before_it_F62(self, size: int) -> None:
        stream = b"data: 1\n\ndata: 2\n\ndata: " + b"x" * 25 + b"\n\ndata: 4\n\n"
        decoder = SSEDecoder(max_event_bytes=32)
        frames = [f for at in range(0, len(stream), size) for f in decoder.feed(stream[at : at + size])]
        assert [Frame(b"", b"1"), Frame(b"", b"2")] == frames
        assert decoder.failure is not None
        assert decoder.failure.code == "event_too_large"

    def test_bytes_without_a_blank_line_are_held_up_to_the_limit_only_F62(self) -> None:
        decoder = SSEDecoder(max_event_bytes=17 * 1024)
        for _ in range(17):
            decoder.feed(b"x" * 1024)
        assert decoder.failure is None
        decoder.feed(b"x")
        assert decoder.failure is not None
        assert not decoder.has_tail

    def test_the_default_limit_is_16_MiB_F62(self) -> None:
        decoder = SSEDecoder()
        decoder.feed(b"x" * 16 * 1024 * 1024)
        assert decoder.failure is None
        decoder.feed(b"x")
        assert decoder.failure is not None

    def test_many_events_in_one_read_may_exceed_the_limit_together(self) -> None:
        decoder = SSEDecoder(max_event_bytes=32)
        assert len(decoder.feed(b"data: 1\n\n" * 100)) == 100
        assert decoder.failure is None

    def test_a_hundred_thousand_tiny_events_in_odd_reads_all_arrive_F63(self) -> None:
        stream = b"data: 1\n\n" * 100_000
        decoder = SSEDecoder()
        assert sum(len(decoder.feed(stream[at : at + 7])) for at in range(0, len(stream), 7)) == 100_000

    def test_a_large_event_in_small_reads_costs_a_fixed_number_of_copies_F63(self) -> None:
        """Were each read to copy all that came before, these 131,072 reads would move 550 GB."""
        decoder = SSEDecoder()
        for _ in range(131_072):
            decoder.feed(b"data: " + b"x" * 57 + b"\n")
        (frame,) = decoder.feed(b"\n")
        assert len(frame.data) == 131_072 * 58 - 1

    @pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
    def test_a_line_full_of_field_names_is_read_once_F63(self, line_end: bytes) -> None:
        """A search that starts again at each ``data:`` would need 10 ** 12 steps."""
        line = b"x: " + b"data: event: " * 400_000
        assert data_of(line + line_end + b"data: y" + line_end * 2) == [b"y"]


class TestEncoding:
    def test_frames_are_written_as_vendors_write_them(self) -> None:
        assert data_frame(b'{"a":1}') == b'data: {"a":1}\n\n'
        assert event_frame(b"ping", b'{"type":"ping"}') == b'event: ping\ndata: {"type":"ping"}\n\n'
        assert comment_frame(b"keepalive") == b": keepalive\n\n"

    @pytest.mark.parametrize("text", [b"a\nb", b"a\rb", b"a\r\ndata: x", b"\n"])
    def test_a_line_break_in_a_name_or_comment_is_refused_B49(self, text: bytes) -> None:
        with pytest.raises(ValueError, match="line break"):
            event_frame(text, b"{}")
        with pytest.raises(ValueError, match="line break"):
            comment_frame(text)

    @pytest.mark.parametrize("payload", [b"{\n}", b"{\r}"])
    def test_a_payload_of_two_lines_is_a_mistake_of_ours_B49(self, payload: bytes) -> None:
        with pytest.raises(AssertionError, match="one line"):
            data_frame(payload)

    @pytest.mark.parametrize(
        "text",
        [
            "\n\ndata: [DONE]\n\n",
            "x\r\n\r\nevent: error\r\ndata: {}\r\n\r\n",
            "retry: 1\n\n",
            "\u2028data: 1\u2028\u2028",
            ": keepalive\n\n",
            "\ufeff",
        ],
    )
    def test_text_that_looks_like_frames_stays_inside_its_own_B49(self, text: str) -> None:
        payload = msgspec.json.encode({"content": text})
        stream = data_frame(payload) + event_frame(b"delta", payload)
        for cut in range(len(stream)):
            assert [Frame(b"", payload), Frame(b"delta", payload)] == frames_of(stream[:cut], stream[cut:])

    @given(st.lists(st.tuples(st.sampled_from([b"", b"delta", b"message_stop"]), st.text())), st.data())
    def test_what_is_written_is_read_back_at_any_split_B50(
        self, events: list[tuple[bytes, str]], data: st.DataObject
    ) -> None:
        expected = [Frame(name, msgspec.json.encode([text, name.decode()])) for name, text in events]
        stream = b"".join(event_frame(f.event, f.data) if f.event else data_frame(f.data) for f in expected)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
        reads = [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]
        assert expected == frames_of(*reads)


TOKENS = [b"data", b"data:", b"data: ", b"event: ", b"event:", b"id: 1", b"retry: 9", b":", b" ", b"x", b"\0", b"{}"]
ENDS = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r"]
STREAMS = st.lists(st.sampled_from([*TOKENS, *ENDS, *ENDS, BOM, BOM[:2], "\u2028".encode(), b"\x85"])).map(b"".join)


class TestAgainstReference:
    @given(STREAMS, st.lists(st.integers(0, 60), max_size=4))
    def test_any_bytes_at_any_split_give_the_events_of_the_standard_F64(self, stream: bytes, cuts: list[int]) -> None:
        edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
        reads = [stream[a:b] for a, b in pairwise(edges)]
        assert reference(stream) == frames_of(*reads)

    @given(STREAMS)
    def test_raw_frames_joined_are_the_block_and_each_holds_one_event(self, stream: bytes) -> None:
        splitter = FrameSplitter()
        block = splitter.feed(stream)
        raw = split_frames(block)
        assert block == b"".join(raw)
        assert parse_frames(block) == [frame for part in raw if (frame := parse_frame(part)) is not None]

    @given(st.binary(max_size=200))
    def test_no_bytes_at_all_raise(self, stream: bytes) -> None:
        assert reference(stream) == frames_of(stream)
