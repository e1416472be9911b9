"""Answers of Responses that go on and are looked up, by the official SDK, against a gateway in a real server."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest
from openai import OpenAI

from asgi_ds2api import Gateway
from asgi_ds2api.secret import Secret
from asgi_ds2api.testing import FakeUpstream
from tests.support.serving import serve

from .conftest import KEYS

CALLERS = {"web": "key-of-the-caller-web-0123", "app": "key-of-the-caller-app-0123"}


class Kept:
    """A gateway that two callers use, and the vendor behind it."""

    def __init__(self, url: str, fake: FakeUpstream) -> None:
        self.fake = fake
        self.web, self.app = (OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) for key in CALLERS.values())

    @property
    def messages(self) -> list[Any]:
        """What the vendor was sent last, without instructions."""
        body: Any = self.fake.requests[-1].json
        return [(message["role"], message["content"]) for message in body["messages"] if message["role"] != "system"]


@pytest.fixture
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    timeouts = getattr(request, "param", {})
    with ExitStack() as stack:
        fake = stack.enter_context(FakeUpstream(keys=KEYS))
        upstream = {
            "name": "chat",
            "protocol": "openai_chat",
            "base_url": f"{fake.url}/v1",
            "accounts": [{"label": "a", "key": lambda: KEYS[0]}],
            "models": ["*"],
        }
        callers = [{"label": label, "key": Secret(key)} for label, key in CALLERS.items()]
        served = stack.enter_context(
            serve(Gateway({"auth": "callers", "callers": callers, "upstreams": [upstream], "timeouts": timeouts}))
        )
        stage = Kept(served.url, fake)
        stack.enter_context(stage.web)
        stack.enter_context(stage.app)
        yield stage


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_openai_C48_talk_goes_on_without_its_old_instructions(kept: Kept, streamed: bool) -> None:
    asked: Any = {"model": "gpt-x", "input": "One", "instructions": "Old."}
    if streamed:
        with kept.web.responses.stream(**asked) as stream:
            first = stream.get_final_response()
    else:
        first = kept.web.responses.create(**asked)
    second = kept.web.responses.create(model="gpt-x", input="Two", previous_response_id=first.id)
    kept.web.responses.create(model="gpt-x", input="Three", previous_response_id=second.id)
    assert kept.messages == [
        ("user", "One"),
        ("assistant", first.output_text),
        ("user", "Two"),
        ("assistant", second.output_text),
        ("user", "Three"),
    ]
    assert b"Old." not in kept.fake.requests[-1].body
    assert (first.store, second.previous_response_id) == (True, first.id)  # type: ignore[attr-defined]  # not in the SDK's type


def test_openai_C49_answer_is_known_to_its_own_caller_alone(kept: Kept) -> None:
    first = kept.web.responses.create(model="gpt-x", input="One")
    with pytest.raises(openai.BadRequestError) as caught:
        kept.app.responses.create(model="gpt-x", input="Two", previous_response_id=first.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
    with pytest.raises(openai.NotFoundError):
        kept.app.responses.retrieve(first.id)
    with pytest.raises(openai.NotFoundError):
        kept.app.responses.delete(first.id)
    assert kept.web.responses.retrieve(first.id) == first


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_openai_C50_item_that_is_named_stands_where_it_is_named(kept: Kept, streamed: bool) -> None:
    """Vercel's SDK sends all that the vendor keeps by its id alone."""
    asked: Any = {"model": "gpt-x", "input": "One"}
    if streamed:
        with kept.web.responses.stream(**asked) as stream:
            first = stream.get_final_response()
    else:
        first = kept.web.responses.create(**asked)
    (item,) = first.output
    assert item.type == "message"
    named: Any = {"type": "item_reference", "id": item.id}
    two: Any = [{"role": "user", "content": "One"}, named, {"role": "user", "content": "Two"}]
    second = kept.web.responses.create(model="gpt-x", input=two)
    said = [("user", "One"), ("assistant", first.output_text), ("user", "Two")]
    assert kept.messages == said
    items = kept.web.responses.input_items.list(second.id, order="asc").data
    assert [item.type for item in items] == ["message", "message", "message"]
    kept.web.responses.create(model="gpt-x", input="Three", previous_response_id=second.id)
    assert kept.messages == [*said, ("assistant", second.output_text), ("user", "Three")]


def test_openai_C49_item_is_known_to_its_own_caller_alone(kept: Kept) -> None:
    named: Any = {"type": "item_reference", "id": kept.web.responses.create(model="gpt-x", input="One").output[0].id}
    with pytest.raises(openai.NotFoundError, match=named["id"]) as caught:
        kept.app.responses.create(model="gpt-x", input=[named])
    assert (caught.value.code, caught.value.param) == (None, "input")
    assert len(kept.fake.requests) == 1


def test_openai_C50_item_of_an_answer_that_is_not_kept_is_not_found(kept: Kept) -> None:
    first = kept.web.responses.create(model="gpt-x", input="One")
    unkept = kept.web.responses.create(model="gpt-x", input="One", store=False)
    kept.web.responses.delete(first.id)
    for answer in (first, unkept):
        named: Any = {"type": "item_reference", "id": answer.output[0].id}
        with pytest.raises(openai.NotFoundError, match="store"):
            kept.web.responses.create(model="gpt-x", input=[named])


def test_answer_is_looked_up_and_deleted(kept: Kept) -> None:
    first = kept.web.responses.create(model="gpt-x", input="One")
    second = kept.web.responses.create(model="gpt-x", input="Two", previous_response_id=first.id)
    items = kept.web.responses.input_items.list(second.id, order="asc").data
    assert [item.type for item in items] == ["message", "message", "message"]
    kept.web.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        kept.web.responses.retrieve(first.id)
    assert kept.web.responses.retrieve(second.id).output_text == second.output_text


def test_answer_that_shall_not_be_kept_is_not(kept: Kept) -> None:
    first = kept.web.responses.create(model="gpt-x", input="One", store=False)
    assert first.store is False  # type: ignore[attr-defined]  # not in the SDK's type
    with pytest.raises(openai.NotFoundError):
        kept.web.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        kept.web.responses.create(model="gpt-x", input="Two", previous_response_id=first.id)


@pytest.mark.parametrize("kept", [{"answers_s": 0}], indirect=True)
def test_openai_C48_gateway_that_keeps_nothing_says_so(kept: Kept) -> None:
    first = kept.web.responses.create(model="gpt-x", input="One")
    assert first.store is False  # type: ignore[attr-defined]  # not in the SDK's type
    with pytest.raises(openai.NotFoundError, match="not kept"):
        kept.web.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError) as caught:
        kept.web.responses.create(model="gpt-x", input="Two", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"


def test_openai_C57_sdk_compacts_a_talk_and_goes_on_from_it(kept: Kept) -> None:
    compacted = kept.web.responses.compact(model="gpt-x", input=[{"role": "user", "content": "I am Ada."}])
    assert compacted.object == "response.compaction"
    assert [item.type for item in compacted.output] == ["message", "compaction"]
    assert compacted.usage.total_tokens == compacted.usage.input_tokens + compacted.usage.output_tokens
    again: Any = [item.model_dump(exclude_none=True, warnings=False) for item in compacted.output]
    kept.web.responses.create(model="gpt-x", input=[*again, {"role": "user", "content": "Go on."}])
    (_, own), (_, summary), (_, new) = kept.messages
    assert (own, new) == ("I am Ada.", "Go on.")
    assert summary.startswith("Summary of the conversation so far:")
    assert "You said:" in summary
    with pytest.raises(openai.BadRequestError) as caught:
        kept.app.responses.create(model="gpt-x", input=again)
    assert caught.value.code == "invalid_encrypted_content"


def test_openai_C57_sdk_raises_where_no_model_is_named(kept: Kept) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        kept.web.post("/responses/compact", body={"input": "x"}, cast_to=object)
    assert caught.value.param == "model"


def test_kept_answer_is_streamed_again_from_where_the_sdk_left_off(kept: Kept) -> None:
    first = kept.web.responses.create(model="gpt-x", input="One")
    with kept.web.responses.retrieve(first.id, stream=True) as stream:
        events = list(stream)
    final: Any = events[-1]
    assert final.response.output == first.output
    with kept.web.responses.retrieve(first.id, stream=True, starting_after=3) as stream:
        assert [event.sequence_number for event in stream] == [event.sequence_number for event in events[4:]]


def test_answer_that_is_whole_cannot_be_cancelled(kept: Kept) -> None:
    first = kept.web.responses.create(model="gpt-x", input="One")
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        kept.web.responses.cancel(first.id)
    with pytest.raises(openai.NotFoundError):
        kept.app.responses.cancel(first.id)


@pytest.mark.parametrize("field", [{"background": True}, {"conversation": "conv_1"}])
def test_what_only_a_vendor_could_keep_is_refused_by_name(kept: Kept, field: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        kept.web.responses.create(model="gpt-x", input="One", **field)
    assert (caught.value.code, caught.value.param) == ("unsupported_value", next(iter(field)))
