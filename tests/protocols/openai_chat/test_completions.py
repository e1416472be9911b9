"""Legacy completions: the conversation that stands for a prompt, and the answer in the older form."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    BlockStart,
    BlockStop,
    Choice,
    Event,
    Finish,
    Logprobs,
    Notices,
    Reasoning,
    Refusal,
    Response,
    Start,
    Text,
    TextDelta,
    ToolCall,
    Usage,
)
from asgi_ds2api.codec import CompletionForm, Envelope, HTTPCall, RequestLimits
from asgi_ds2api.errors import MalformedRequest, Overloaded, RateLimited, Unsupported
from asgi_ds2api.fold import unfold
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import openai_chat

OPENAI, LENIENT = PROFILES["openai"], PROFILES["lenient"]


def call(**fields: Any) -> HTTPCall:
    body = {"model": "m", "prompt": "Say it", **fields}
    kept = {name: value for name, value in body.items() if value is not ...}
    return HTTPCall(method="POST", path="/v1/completions", body=json.dumps(kept).encode())


def sent(**fields: Any) -> Any:
    """Return what an upstream of Chat is sent."""
    request = openai_chat.decode_request(call(**fields))
    return json.loads(openai_chat.encode_request(request, OPENAI, Notices()).body)


SHARED = {"temperature": 1.5, "top_p": 0.5, "seed": 7, "presence_penalty": 1, "frequency_penalty": -1,
          "logit_bias": {"5": 1}}  # fmt: skip
PLAIN = {"model": "m", "messages": [{"role": "user", "content": "Say it"}], "max_completion_tokens": 16}


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ({}, {}),
        ({"max_tokens": 5}, {"max_completion_tokens": 5}),
        ({"max_tokens": 5.0}, {"max_completion_tokens": 5}),
        ({"prompt": ["Say it"]}, {}),
        ({"suffix": None, "echo": None, "best_of": None, "n": None, "logprobs": None, "max_tokens": None}, {}),
        ({"suffix": "", "echo": True, "best_of": 1, "n": 1}, {"n": 1}),
        ({"n": 2, "best_of": 2}, {"n": 2}),
        ({"logprobs": 0}, {"logprobs": True}),
        ({"logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"stop": "x", **SHARED}, {"stop": ["x"], **SHARED}),
        ({"user": "u"}, {"safety_identifier": "u"}),
        ({"novel": 1}, {"novel": 1}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_prompt_is_asked_as_a_message(fields: dict[str, Any], more: dict[str, Any]) -> None:
    assert sent(**fields) == PLAIN | more


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"prompt": [1, 2]}, "unsupported_value", "prompt"),
        ({"prompt": [[1, 2], [3]]}, "unsupported_value", "prompt[0]"),
        ({"prompt": ["x", [3]]}, "unsupported_value", "prompt[1]"),
        ({"suffix": "end"}, "unsupported_value", "suffix"),
        ({"best_of": 3}, "unsupported_value", "best_of"),
        ({"best_of": 3, "n": 2}, "unsupported_value", "best_of"),
        ({"echo": True, "logprobs": 1}, "unsupported_value", "echo"),
        ({"max_tokens": 0}, "unsupported_value", "max_tokens"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_openai_C2_what_no_conversation_says_is_refused_by_its_name(fields: Any, code: str, param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        openai_chat.decode_request(call(**fields))
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"prompt": ...}, "missing_required_parameter", "prompt"),
        ({"prompt": None}, "missing_required_parameter", "prompt"),
        ({"prompt": []}, "empty_array", "prompt"),
        ({"prompt": ["x", 5]}, "invalid_type", "prompt[1]"),
        ({"prompt": [None]}, "invalid_type", "prompt[0]"),
        ({"prompt": {"x": 1}}, "invalid_type", "prompt"),
        ({"prompt": ["x"] * 129}, "array_above_max_length", "prompt"),
        ({"best_of": 1, "n": 2}, "invalid_value", "best_of"),
        ({"logprobs": True}, "invalid_type", "logprobs"),
        ({"logprobs": -1}, "invalid_value", "logprobs"),
        ({"max_tokens": "16"}, "invalid_type", "max_tokens"),
        ({"max_tokens": 1.5}, "invalid_type", "max_tokens"),
        ({"echo": 1}, "invalid_type", "echo"),
        ({"suffix": 1}, "invalid_type", "suffix"),
        ({"temperature": "hot"}, "invalid_type", "temperature"),
        ({"messages": []}, "unknown_parameter", "messages"),
        ({"tools": []}, "unknown_parameter", "tools"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_B16_B17_what_is_wrong_is_named(fields: Any, code: str, param: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        openai_chat.decode_request(call(**fields))
    assert (caught.value.code, caught.value.param) == (code, param)


def test_each_of_several_prompts_is_a_conversation() -> None:
    request = openai_chat.decode_request(call(prompt=["a", "b", "c"]))
    told = [conversation[0].content for conversation in (request.messages, *request.alternatives)]
    assert told == [(Text(text=text, at=f"prompt[{i}]"),) for i, text in enumerate("abc")]
    with pytest.raises(MalformedRequest):
        openai_chat.decode_request(call(prompt=["a", "b"]), RequestLimits(max_prompts=1))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True, "include_usage": True}),
        ({"prompt": ["a", "b"], "n": 2}, {"choices": 2, "completion": CompletionForm(prompts=2)}),
        ({"prompt": ["a", "b"], "echo": True}, {"completion": CompletionForm(prompts=2, prefixes=("a", "b"))}),
        ({"prompt": [1, 2], "user": "u"}, {}),  # a user has many conversations
        ({"prompt": None}, {}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_envelope_tells_how_the_answer_is_wanted(fields: Any, expected: Any) -> None:
    told = Envelope(operation="complete", model="m", **expected)
    assert openai_chat.peek(call(**fields), "complete") == told


@pytest.mark.parametrize("body", [{"prompt": "x"}, {"model": 5, "prompt": "x"}, {"model": "m", "stream": "yes"}, []])
def test_B16_envelope_that_is_none_is_refused(body: Any) -> None:
    with pytest.raises(MalformedRequest):
        openai_chat.peek(HTTPCall(method="POST", path="/v1/completions", body=json.dumps(body).encode()), "complete")


def test_relayed_request_goes_to_its_endpoint_as_it_came() -> None:
    body = b'{"model":"asked","prompt":[ 1 ],"suffix":"x","novel":null}'
    moved = openai_chat.retarget(HTTPCall(method="POST", path="/v1/completions", body=body), "t", OPENAI, "complete")
    assert (moved.path, moved.body) == ("/completions", body.replace(b"asked", b"t"))


# --- answers ----------------------------------------------------------------------------------------------------------


def envelope(stream: bool = False, **form: Any) -> Envelope:
    choices = form.pop("choices", 1)
    usage = form.pop("include_usage", True)
    return Envelope(operation="complete", model="asked", stream=stream, choices=choices, include_usage=usage,
                    salt="1", created=5, completion=CompletionForm(**form))  # fmt: skip


def token(text: str, logprob: float, **tops: float) -> Raw:
    top = [{"token": name, "logprob": value, "bytes": None} for name, value in tops.items()]
    return Raw(msgspec.json.encode({"token": text, "logprob": logprob, "bytes": None, "top_logprobs": top}))


def response(*blocks: Any, reason: Any = "stop", logprobs: Logprobs | None = None, **fields: Any) -> Response:
    choice = Choice(blocks=blocks, finish=Finish(reason=reason), logprobs=logprobs)
    given: dict[str, Any] = {"source": "openai_chat", "id": "theirs", "model": "up", "choices": (choice,),
                             "usage": Usage(input_total=3, output_total=2)}  # fmt: skip
    return Response(**given | fields)


def whole(answer: Response, form: Envelope | None = None) -> tuple[Any, dict[str, str]]:
    notices = Notices()
    body = json.loads(openai_chat.encode_response(answer, form or envelope(), notices))
    return body, {notice.path: notice.severity for notice in notices}


def streamed(events: list[Event], form: Envelope | None = None) -> tuple[list[Any], dict[str, str]]:
    notices = Notices()
    encoder = openai_chat.StreamEncoder(form or envelope(stream=True), notices)
    data = b"".join(encoder.encode([event]) for event in events) + encoder.close()
    payloads = [line[6:] for line in data.decode().split("\n") if line.startswith("data: ")]
    told = [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]
    return told, {notice.path: notice.severity for notice in notices}


def test_answer_has_the_older_form() -> None:
    body, notices = whole(response(Text(text="Hello"), extras={"system_fingerprint": Raw(b'"fp"')}))
    usage = body.pop("usage")
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (3, 2, 5)
    assert body == {
        "id": "cmpl-theirs",
        "object": "text_completion",
        "created": 5,
        "model": "asked",
        "choices": [{"text": "Hello", "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "system_fingerprint": "fp",
    }
    assert notices == {}


@pytest.mark.parametrize(
    ("reason", "word"),
    [("stop", "stop"), ("stop_sequence", "stop"), ("length", "length"), ("context_window", "length"),
     ("tool_calls", "stop"), ("content_filter", "content_filter"), ("refusal", "content_filter")],
)  # fmt: skip
def test_reason_of_an_end_is_one_of_three(reason: str, word: str) -> None:
    answer = response(Text(text="x"), reason=reason)
    assert whole(answer)[0]["choices"][0]["finish_reason"] == word
    assert streamed(list(unfold(answer)))[0][-3]["choices"][0]["finish_reason"] == word


LOGPROBS = Logprobs(content=(token("He", -0.5, He=-0.5, Hi=-1.5), token("llo", -0.25, llo=-0.25)))


@pytest.mark.parametrize("prefix", ["", "Say it"])
def test_log_probabilities_have_the_older_form(prefix: str) -> None:
    form: dict[str, Any] = {"prefixes": (prefix,)} if prefix else {}
    told = whole(response(Text(text="Hello"), logprobs=LOGPROBS), envelope(**form))[0]["choices"][0]
    assert told["logprobs"] == {
        "tokens": ["He", "llo"],
        "token_logprobs": [-0.5, -0.25],
        "top_logprobs": [{"He": -0.5, "Hi": -1.5}, {"llo": -0.25}],
        "text_offset": [len(prefix), len(prefix) + 2],
    }
    offsets = told["logprobs"]["text_offset"]
    assert [told["text"][start : start + 2] for start in offsets] == ["He", "ll"]


def test_log_probabilities_without_alternatives_have_none() -> None:
    plain = Logprobs(content=(token("Hello", -0.5),))
    assert whole(response(Text(text="Hello"), logprobs=plain))[0]["choices"][0]["logprobs"]["top_logprobs"] is None


def events(*middle: Event) -> list[Event]:
    return [Start(source="openai_chat", id="theirs", model="up", created=9), *middle]


def test_streamed_log_probabilities_come_with_their_text() -> None:
    assert LOGPROBS.content is not None
    first, second = LOGPROBS.content
    told, _ = streamed(
        events(
            BlockStart(index=0, block=Text(text="")),
            Logprobs(content=(first,)),
            TextDelta(index=0, text="He"),
            Logprobs(content=(second,)),
            TextDelta(index=0, text="llo"),
            BlockStop(index=0),
            Finish(reason="stop"),
        ),
        envelope(stream=True, prefixes=("Say: ",)),
    )
    pieces = [chunk["choices"][0] for chunk in told[:-2]]
    assert [piece["text"] for piece in pieces] == ["Say: He", "llo", ""]
    assert [piece["logprobs"] and piece["logprobs"]["text_offset"] for piece in pieces] == [[5], [7], None]


def test_streamed_answer_joins_to_the_whole_one() -> None:
    answer = response(Text(text="Hello"))
    told, notices = streamed(list(unfold(answer)))
    *pieces, end, usage, done = told
    assert "".join(piece["choices"][0]["text"] for piece in pieces) == "Hello"
    assert {chunk["object"] for chunk in told[:-1]} == {"text_completion"}
    assert {chunk["id"] for chunk in told[:-1]} == {"cmpl-theirs"}
    assert (end["choices"][0]["text"], end["choices"][0]["finish_reason"], end["usage"]) == ("", "stop", None)
    assert (usage["choices"], usage["usage"]["total_tokens"], done) == ([], 5, "[DONE]")
    assert notices == {}


def test_no_usage_comes_unasked() -> None:
    told, _ = streamed(list(unfold(response(Text(text="x")))), envelope(stream=True, include_usage=False))
    assert all("usage" not in chunk for chunk in told[:-1])


def test_empty_answer_is_an_answer() -> None:
    told, _ = streamed(events(Finish(reason="length")))
    assert (told[0]["choices"][0]["finish_reason"], told[-1]) == ("length", "[DONE]")
    assert whole(response())[0]["choices"][0]["text"] == ""


LOST: list[Any] = [
    Reasoning(text="think", at="a.b"),
    ToolCall(id="1", name="f", arguments="{}", at="a.b"),
]


@pytest.mark.parametrize("block", LOST, ids=lambda block: type(block).__name__)
def test_what_is_no_text_is_lost_and_said(block: Any) -> None:
    answer = response(block, Text(text="Hello"))
    body, notices = whole(answer)
    told, streamed_notices = streamed(list(unfold(answer)))
    assert notices == streamed_notices == {"a.b": "lost"}
    text = "".join(chunk["choices"][0]["text"] for chunk in told[:-2])
    assert text == body["choices"][0]["text"] == "Hello"


def test_refusal_is_text() -> None:
    answer = response(Refusal(text="I won't"))
    text = "".join(chunk["choices"][0]["text"] for chunk in streamed(list(unfold(answer)))[0][:-2])
    assert text == whole(answer)[0]["choices"][0]["text"] == "I won't"


@pytest.mark.parametrize(("number", "prefix"), [(0, "a"), (1, "a"), (2, "b"), (3, "b")])
def test_every_choice_begins_with_its_own_prompt(number: int, prefix: str) -> None:
    answer = response(Text(text="!"))
    choices = tuple(
        msgspec.structs.replace(answer.choices[0], finish=Finish(reason="stop", choice=i)) for i in range(4)
    )
    form = envelope(prompts=2, prefixes=("a", "b"), choices=2)
    assert whole(msgspec.structs.replace(answer, choices=choices), form)[0]["choices"][number]["text"] == prefix + "!"
    streaming = envelope(stream=True, prompts=2, prefixes=("a", "b"), choices=2)
    chunks, _ = streamed(unfold(msgspec.structs.replace(answer, choices=choices)), streaming)
    said = [choice for chunk in chunks[:-1] for choice in chunk["choices"] if choice["index"] == number]
    assert "".join(choice["text"] for choice in said) == prefix + "!"


def test_error_in_a_stream_has_no_end_behind_it() -> None:
    data = openai_chat.StreamEncoder(envelope(stream=True), Notices()).error(Overloaded("busy"))
    assert json.loads(data.decode()[6:])["error"]["code"] == "server_is_overloaded"
    assert b"[DONE]" not in data


# --- relayed ----------------------------------------------------------------------------------------------------------


def legacy(text: str, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
    return {"id": "cmpl-9", "object": "text_completion", "created": 1, "model": "up", "choices": [choice], **fields}


def test_tap_reads_the_older_form() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    facts = openai_chat.tap_response(json.dumps(legacy("Hi", "length", usage=usage)).encode())
    assert facts.usage == Usage(input_total=3, output_total=2)
    assert (facts.finish and facts.finish.reason, facts.model) == ("length", "up")
    tap = openai_chat.StreamTap(OPENAI, 1_000)
    frames = [
        b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in (legacy(""), legacy("Hi"), legacy("", "stop"))
    ]
    assert (tap.feed(frames[0]), tap.is_meaningful) == (frames[0], False)
    assert (tap.feed(frames[1]), tap.is_meaningful) == (frames[1], True)
    rest = frames[2] + b"data: [DONE]\n\n"
    assert (tap.feed(rest), tap.is_complete) == (rest, True)


def test_tap_finds_the_error_inside_a_200() -> None:
    with pytest.raises(RateLimited):
        openai_chat.tap_response(b'{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}')


def test_answer_of_the_other_shape_is_read_all_the_same() -> None:
    """A whole answer to who asked for a stream, and the reverse."""
    told = openai_chat.decode_response(json.dumps(legacy("Hi", "stop")).encode(), OPENAI)
    assert [block.text for block in told.choices[0].blocks if isinstance(block, Text)] == ["Hi"]
    decoder = openai_chat.StreamDecoder(OPENAI, 10_000)
    chunks = (legacy("H"), legacy("i"), legacy("", "stop"))
    data = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    said = "".join(event.text for event in decoder.feed(data) if isinstance(event, TextDelta))
    assert (said, decoder.is_complete) == ("Hi", True)
