"""JSON that breaks, lies or goes too deep is refused with a path or an offset, and with nothing that it said."""

import subprocess
import sys
import threading
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Raw

from asgi_ds2api.errors import Malformed, MalformedRequest
from asgi_ds2api.json_guard import (
    check_document,
    decode_answer,
    decode_json,
    decode_object,
    encode_object,
    is_too_deep,
)

CANARY = "sk-CANARY-7f3a"


class Part(msgspec.Struct, tag="text"):
    text: str


class Image(msgspec.Struct, tag="image"):
    url: str


class Message(msgspec.Struct):
    role: Literal["user", "assistant"]
    content: str | list[Part | Image]


class Body(msgspec.Struct):
    model: str
    messages: list[Message] = []
    max_tokens: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    temperature: float | None = None
    stream: bool = False
    stop: Annotated[list[str], Meta(max_length=2)] = []
    metadata: dict[str, str] = {}


BODY = msgspec.json.Decoder(Body)


def judge(body: bytes) -> MalformedRequest | None:
    """Judge and read a body as the gateway does; return the refusal."""
    try:
        check_document(body)
        decode_json(BODY, body)
    except MalformedRequest as refusal:
        return refusal
    return None


def refusal_of(body: bytes) -> tuple[str, str | None]:
    refusal = judge(body)
    assert refusal is not None
    return refusal.code, refusal.param


NOT_JSON = [
    pytest.param(b"{'model':1}", 1, id="B1-quotes"),
    pytest.param(b'{"model":"x",}', 13, id="B1-trailing-comma"),
    pytest.param(b'{"model":"x"', 12, id="B1-truncated"),
    pytest.param(b'{"model":"\\q"}', 12, id="B1-escape"),
    pytest.param(b'{"model":txxx}', 12, id="B1-literal"),
    pytest.param(b'{"model":"x"} x', 14, id="B3-trailing-bytes"),
    pytest.param(b'{"model":"x"}{"model":"y"}', 13, id="B3-two-documents"),
    pytest.param(b'{"model":"x"}\x00', 13, id="B3-trailing-nul"),
    pytest.param(b'\xef\xbb\xbf{"model":"x"}', 0, id="B4-bom"),
    pytest.param('{"model":"x"}'.encode("utf-16"), 0, id="B5-utf-16"),
    pytest.param('{"model":"x"}'.encode("utf-32-be"), 0, id="B5-utf-32"),
    pytest.param(b'{"model":"\xff"}', 10, id="B6-invalid-byte"),
    pytest.param(b'{"model":"\xc0\xaf"}', 10, id="B6-overlong"),
    pytest.param(b'{"model":"\xed\xa0\x80"}', 10, id="B6-encoded-surrogate"),
    pytest.param(b'{"model":"x","new":"\xff"}', 20, id="B6-in-an-unknown-field"),
    pytest.param(b'{"model":"x","\xff":1}', 14, id="B6-in-an-unknown-name"),
    pytest.param('{"model":"é'.encode()[:-1] + b'"}', 10, id="B6-cut-character"),
    pytest.param(b'{"model":"a\nb"}', 11, id="B8-newline"),
    pytest.param(b'{"model":"x","new":"a\x1fb"}', 21, id="B8-in-an-unknown-field"),
    pytest.param(b'{"model":"x","temperature":NaN}', 27, id="B10-nan"),
    pytest.param(b'{"model":"x","temperature":Infinity}', 27, id="B10-infinity"),
    pytest.param(b'{"model":"x","new":[-Infinity]}', 20, id="B10-in-an-unknown-field"),
]


class TestNotJson:
    @pytest.mark.parametrize(("body", "offset"), NOT_JSON)
    def test_what_is_not_json_is_refused_near_its_offset(self, body: bytes, offset: int) -> None:
        refusal = judge(body)
        assert refusal is not None
        assert (refusal.status, refusal.code, refusal.param) == (400, "invalid_json", None)
        told = int(refusal.message.rpartition("(byte ")[2].rstrip(")."))
        assert abs(told - offset) <= 1

    @pytest.mark.parametrize("body", [b"", b"  \r\n\t"], ids=["B2-empty", "B2-white-space"])
    def test_an_empty_body_is_refused(self, body: bytes) -> None:
        refusal = judge(body)
        assert refusal is not None
        assert (refusal.code, refusal.message) == ("invalid_json", "The JSON document is empty.")

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(rb"\ud800", id="B7-high"),
            pytest.param(rb"\udc00", id="B7-low"),
            pytest.param(rb"\udc00\ud800", id="B7-swapped"),
            pytest.param(rb"\ud83d\ud83d", id="B7-two-high"),
            pytest.param(rb"\ud83d\u0041", id="B7-high-and-letter"),
            pytest.param(rb"\ud83d\\ude00", id="B7-high-and-escaped-backslash"),
            pytest.param(rb"\ud83dx", id="B7-high-and-text"),
        ],
    )
    @pytest.mark.parametrize(
        "template",
        [
            b'{"model":"%s"}',
            b'{"model":"x","new":"%s"}',
            b'{"model":"x","%s":1}',
            b'{"model":"x","metadata":{"%s":"y"},"new":"a long enough tail"}',
        ],
        ids=["value", "unknown-field", "unknown-name", "key"],
    )
    def test_lone_surrogates_are_refused_wherever_they_stand(self, text: bytes, template: bytes) -> None:
        assert refusal_of(template % text) == ("invalid_json", None)

    def test_lone_surrogates_are_refused_in_raw_values_B7(self) -> None:
        with pytest.raises(MalformedRequest):
            decode_object(rb'{"messages":[{"content":"\ud800 and a long enough tail"}]}')

    @given(st.lists(st.integers(0xD700, 0xE0FF) | st.integers(0, 0x7F), max_size=6))
    def test_whatever_is_accepted_can_be_written_again_B7(self, units: list[int]) -> None:
        body = b'{"model":"%s"}' % b"".join(b"\\u%04x" % unit for unit in units)
        if judge(body) is None:
            assert BODY.decode(msgspec.json.encode(decode_json(BODY, body))) == decode_json(BODY, body)

    def test_a_NUL_escape_is_text_like_any_other_B9(self) -> None:
        assert decode_json(BODY, rb'{"model":"a\u0000b"}').model == "a\0b"
        assert msgspec.json.encode("a\0b") == rb'"a\u0000b"'


SHAPES = [
    pytest.param(b'{"model":"x","temperature":1e400}', "invalid_value", "temperature", id="B11-1e400"),
    pytest.param(b'{"model":"x","temperature":-1e400}', "invalid_value", "temperature", id="B11-negative"),
    pytest.param(b'{"model":"x","max_tokens":18446744073709551617}', "invalid_value", "max_tokens", id="B12-2^64"),
    pytest.param(b'{"model":"x","max_tokens":%s}' % (b"9" * 400), "invalid_value", "max_tokens", id="B12-400-digits"),
    pytest.param(b'{"model":"x","max_tokens":%s}' % (b"9" * 5000), "invalid_value", "max_tokens", id="B12-5000-digits"),
    pytest.param(b"[]", "invalid_type", None, id="B16-array"),
    pytest.param(b"null", "invalid_type", None, id="B16-null"),
    pytest.param(b"{}", "missing_required_parameter", "model", id="B16-missing"),
    pytest.param(b'{"model":5}', "invalid_type", "model", id="B16-type"),
    pytest.param(
        b'{"model":"x","messages":[{"role":"user","content":"a"},{"role":"user","content":5}]}',
        "invalid_type",
        "messages[1].content",
        id="B16-nested-type",
    ),
    pytest.param(
        b'{"model":"x","messages":[{"role":"user"}]}',
        "missing_required_parameter",
        "messages[0].content",
        id="B16-nested-missing",
    ),
    pytest.param(
        b'{"model":"x","messages":[{"role":"user","content":[{"type":"text"}]}]}',
        "missing_required_parameter",
        "messages[0].content[0].text",
        id="B16-block",
    ),
    pytest.param(b'{"model":"x","metadata":{"a":1}}', "invalid_type", "metadata", id="B16-dict-value"),
    pytest.param(b'{"model":"x","max_tokens":true}', "invalid_type", "max_tokens", id="B17-true-for-int"),
    pytest.param(b'{"model":"x","temperature":"1"}', "invalid_type", "temperature", id="B17-str-for-float"),
    pytest.param(b'{"model":"x","stream":"true"}', "invalid_type", "stream", id="B17-str-for-bool"),
    pytest.param(b'{"model":"x","max_tokens":-5}', "invalid_value", "max_tokens", id="B20-negative"),
    pytest.param(b'{"model":"x","stop":["a","b","c"]}', "invalid_value", "stop", id="B26-too-many"),
    pytest.param(
        b'{"model":"x","messages":[{"role":"judge","content":""}]}', "invalid_value", "messages[0].role", id="B19-role"
    ),
    pytest.param(
        b'{"model":"x","messages":[{"role":"user","content":[{"type":"zip"}]}]}',
        "invalid_value",
        "messages[0].content[0].type",
        id="B19-block",
    ),
]


class TestShape:
    @pytest.mark.parametrize(("body", "code", "param"), SHAPES)
    def test_a_wrong_shape_is_refused_with_the_path_as_openai_writes_it(
        self, body: bytes, code: str, param: str | None
    ) -> None:
        assert refusal_of(body) == (code, param)

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"{}", "Missing required parameter: 'model'."),
            (b'{"model":5}', "Invalid type for 'model': expected a string, but got an integer instead."),
            (b"[]", "Invalid type for the JSON document: expected an object, but got an array instead."),
            (
                b'{"model":"x","temperature":"1"}',
                "Invalid type for 'temperature': expected a decimal number or null, but got a string instead.",
            ),
            (b'{"model":"x","max_tokens":-1}', "Invalid value for 'max_tokens': expected an integer >= 0."),
            (
                b'{"model":"x","stop":["a","b","c"]}',
                "Invalid value for 'stop': expected an array of length <= 2.",
            ),
        ],
    )
    def test_messages_are_in_the_words_that_callers_know(self, body: bytes, message: str) -> None:
        refusal = judge(body)
        assert refusal is not None
        assert refusal.message == message

    def test_the_path_of_a_part_is_that_in_the_whole(self) -> None:
        with pytest.raises(MalformedRequest) as caught:
            decode_json(msgspec.json.Decoder(Message), Raw(b'{"role":"user","content":[5]}'), at="messages[7]")
        assert caught.value.param == "messages[7].content[0]"
        with pytest.raises(MalformedRequest) as caught:
            decode_json(msgspec.json.Decoder(list[int]), Raw(b'["x"]'), at="stop")
        assert caught.value.param == "stop[0]"

    @pytest.mark.parametrize(
        "body",
        [
            b'{"model":"x","messages":[{"role":"%s","content":""}]}',
            b'{"model":"x","messages":[{"role":"%s - at `$.messages[9].x`","content":""}]}',
            b'{"model":"x","messages":[{"role":"user","content":[{"type":"%s"}]}]}',
            b'{"model":"x","metadata":{"%s":5}}',
            b'{"model":["%s"]}',
            b'{"model":"%s',
            b'{"model":"x","%s":NaN}',
            b'{"%s":"\xff"}',
        ],
    )
    def test_a_refusal_quotes_nothing_of_what_was_sent_M14(self, body: bytes) -> None:
        refusal = judge(body.replace(b"%s", CANARY.encode()))
        assert refusal is not None
        assert CANARY not in f"{refusal.message} {refusal.param} {refusal.detail} {refusal.args} {refusal.__cause__}"
        assert refusal.param is None or not refusal.param.startswith("messages[9]")

    def test_the_decoders_own_words_are_not_chained_to_the_refusal_M14(self) -> None:
        refusal = judge(b'{"model":"x","messages":[{"role":"secret","content":""}]}')
        assert refusal is not None
        assert refusal.__suppress_context__

    @given(st.binary(max_size=64) | st.text(alphabet='{}[]",:\\u0d8e1 \u20ac').map(str.encode))
    def test_any_bytes_are_accepted_or_refused_with_our_own_error_B1(self, body: bytes) -> None:
        judge(body)


class TestDuplicateKeys:
    def test_the_last_of_equal_keys_counts_for_the_check_and_for_the_call_B13(self) -> None:
        body = rb'{"model":"allowed","mo\u0064el":"forbidden","messages":[1, 2]}'
        fields = decode_object(body)
        assert decode_json(BODY, body[: -len(b',"messages":[1, 2]}')] + b"}").model == "forbidden"
        assert encode_object(fields) == b'{"model":"forbidden","messages":[1, 2]}'

    def test_values_that_nobody_touched_stay_byte_for_byte(self) -> None:
        body = b'{"a":[1, 2.50 ,{"x" : 1e5}],"b":"\\u00e9","c":-0.0,"d":12345678901234567890123}'
        assert encode_object(decode_object(body)) == body

    def test_a_body_that_is_no_object_has_no_fields(self) -> None:
        with pytest.raises(MalformedRequest) as caught:
            decode_object(b"[]")
        assert caught.value.code == "invalid_type"


def depth_reached(body: bytes) -> int:
    """How deep a decoder gets before it stops, byte by byte."""
    depth = deepest = 0
    is_string = is_escape = False
    for byte in body.decode("latin-1"):
        if is_string:
            if is_escape:
                is_escape = False
            elif byte == "\\":
                is_escape = True
            elif byte == '"':
                is_string = False
        elif byte == '"':
            is_string = True
        elif byte in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in "]}":
            depth -= 1
            if depth < 0:
                return deepest
        elif byte == "\\":
            return deepest
    return deepest


JSON_VALUES = st.recursive(
    st.none() | st.text(alphabet='a"\\[]{}\n'), lambda inner: st.lists(inner) | st.dictionaries(st.text('"[\\'), inner)
)
BRACKETS = st.text(alphabet='[]{}"\\,a').map(str.encode)


class TestDepth:
    @pytest.mark.parametrize("limit", [0, 1, 2, 128])
    def test_the_limit_itself_is_not_too_deep_B14(self, limit: int) -> None:
        assert not is_too_deep(b"[" * limit + b"]" * limit, limit)
        assert is_too_deep(b"[" * (limit + 1) + b"]" * (limit + 1), limit)

    def test_brackets_inside_strings_do_not_count_B14(self) -> None:
        assert not is_too_deep(b'{"a":"' + b"[" * 1000 + b'","b":"\\"' + b"{" * 1000 + b'"}')

    def test_depth_is_counted_on_over_a_long_document_B14(self) -> None:
        siblings = b",".join([b"[]"] * 200_000)
        body = b"[" * 60 + siblings + b"," + b"[" * 68 + b"]" * 68 + b"]" * 60
        assert not is_too_deep(body, 128)
        assert is_too_deep(body, 127)

    def test_many_siblings_are_not_deep_B14(self) -> None:
        assert not is_too_deep(b"[" + b'{"a":[]},' * 10_000 + b"0]")

    @given(JSON_VALUES, st.integers(0, 4))
    def test_the_guard_is_exact_for_json_B14(self, value: Any, limit: int) -> None:
        body = msgspec.json.encode(value)
        assert (depth_reached(body) > limit) == is_too_deep(body, limit)

    @given(BRACKETS, st.integers(0, 3))
    def test_whatever_would_take_a_decoder_too_deep_is_caught_B14(self, body: bytes, limit: int) -> None:
        assert is_too_deep(body, limit) or depth_reached(body) <= limit

    @pytest.mark.parametrize("depth", [129, 1_000, 10_000, 1_000_000], ids=lambda depth: f"B14-{depth}")
    @pytest.mark.parametrize("unit", [b"[", b'{"a":', b'[{"a":'])
    def test_deep_documents_are_refused(self, depth: int, unit: bytes) -> None:
        with pytest.raises(MalformedRequest) as caught:
            check_document(unit * depth)
        assert (caught.value.status, caught.value.code) == (400, "invalid_value")

    def test_a_decoder_that_recurses_too_deep_is_survived_B14(self) -> None:
        """Where a codec reads what nobody judged, with Python's own limit in place."""
        with pytest.raises(MalformedRequest) as caught:
            decode_json(msgspec.json.Decoder(), b"[" * 100_000)
        assert caught.value.code == "invalid_value"

    @pytest.mark.parametrize("payload", ["b'[' * 10**6", "b'{\"a\":' * 10**6", "b'[' * 128 + b']' * 128"])
    def test_no_crash_on_a_small_stack_without_recursion_limit_B14(self, payload: str) -> None:
        """In a process of its own: a failure here is a segmentation fault."""
        program = f"""
import sys, threading, msgspec
from asgi_ds2api.errors import Malformed
from asgi_ds2api.json_guard import decode_answer
sys.setrecursionlimit(10**7)
threading.stack_size(256 * 1024)
outcome = []
def run():
    try:
        decode_answer(msgspec.json.Decoder(), {payload})
    except Malformed:
        outcome.append("refused")
    else:
        outcome.append("accepted")
thread = threading.Thread(target=run)
thread.start()
thread.join()
print(outcome[0])
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, "accepted" if "128" in payload else "refused")

    def test_the_guard_itself_needs_no_stack_B14(self) -> None:
        before = threading.stack_size(32 * 1024)
        try:
            results: list[bool] = []
            thread = threading.Thread(target=lambda: results.append(is_too_deep(b"[" * 1_000_000)))
            thread.start()
            thread.join()
        finally:
            threading.stack_size(before)
        assert results == [True]


class TestAnswers:
    @pytest.mark.parametrize(
        ("body", "detail"),
        [
            pytest.param(b'{"model":', "The JSON document cannot be parsed (byte 9).", id="F45-truncated"),
            pytest.param(b"", "The JSON document is empty.", id="F43-empty"),
            pytest.param(b'{"model":"\xff"}', "The JSON document is not UTF-8 (byte 10).", id="B6-answer"),
            pytest.param(b"[" * 200, "The JSON document is nested deeper than 128 levels.", id="B14-answer"),
            pytest.param(b"{}", "Missing required parameter: 'model'.", id="F45-shape"),
        ],
    )
    def test_an_answer_that_cannot_be_read_is_the_upstreams_fault(self, body: bytes, detail: str) -> None:
        with pytest.raises(Malformed) as caught:
            decode_answer(BODY, body)
        assert (caught.value.status, caught.value.code) == (502, "bad_upstream_answer")
        assert (caught.value.message, caught.value.detail) == (
            "The upstream sent an answer that cannot be read.",
            detail,
        )

    def test_an_answer_of_the_right_shape_is_read(self) -> None:
        assert Body(model="x") == decode_answer(BODY, b'{"model":"x","new":{"y":[1]}}')
