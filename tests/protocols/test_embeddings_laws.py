"""What holds for the embeddings of every protocol that has them, whatever it is."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from asgi_ds2api.canonical import EmbeddingInput, Embeddings, EmbeddingsRequest, Notices, ProtocolName, Usage
from asgi_ds2api.codec import Codec, EmbeddingsCodec, Envelope
from asgi_ds2api.profiles import Profile
from asgi_ds2api.protocols import PROTOCOLS
from asgi_ds2api.transcoding.embed import embeddings_of

ABLE = {name: codec for name, codec in PROTOCOLS.items() if codec.EMBEDDINGS is not None}
FOREIGN: ProtocolName = "cohere_chat"
"""A protocol that no codec takes for its own."""

every_able = pytest.mark.parametrize("codec", ABLE.values(), ids=ABLE)
both_forms = pytest.mark.parametrize("form", ["float", "base64"])
few = settings(max_examples=50, deadline=None)
floats = st.floats(allow_nan=False, allow_infinity=False, width=32)


def profile_of(codec: Codec) -> Profile:
    return codec.DEFAULT_PROFILE


def made(codec: Codec) -> EmbeddingsCodec:
    return embeddings_of(codec)


@every_able
@both_forms
@few
@given(data=st.data())
def test_vectors_survive_bit_for_bit(codec: Codec, form: str, data: st.DataObject) -> None:
    vectors = data.draw(
        st.lists(st.lists(floats, min_size=1, max_size=8).map(tuple), min_size=1, max_size=4).map(tuple)
    )
    given_ = Embeddings(source=codec.NAME, model="m", vectors=vectors, usage=Usage(input_total=7))
    envelope = msgspec.convert({"model": "m", "operation": "embed", "vectors": form}, Envelope)
    told = made(codec).decode_embeddings(made(codec).encode_embeddings(given_, envelope, Notices()), profile_of(codec))
    assert [list(map(float.hex, vector)) for vector in told.vectors] == [list(map(float.hex, v)) for v in vectors]


@every_able
@few
@given(
    texts=st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=5),
    dimensions=st.none() | st.integers(1, 4_096),
)
def test_request_reads_back_as_it_was(codec: Codec, texts: list[str], dimensions: int | None) -> None:
    inputs = tuple(EmbeddingInput(text=text) for text in texts)
    asked = EmbeddingsRequest(source=codec.NAME, model="m", inputs=inputs, dimensions=dimensions)
    call = made(codec).encode_embeddings_request(asked, profile_of(codec), Notices())
    told = made(codec).decode_embeddings_request(call)
    assert ([item.text for item in told.inputs], told.dimensions) == (texts, dimensions)


@every_able
def test_every_leaf_of_a_foreign_request_is_sent_or_in_a_notice(codec: Codec) -> None:
    item = EmbeddingInput(text="S-text", title="S-title", task="S-task", extras={"x": Raw(b'"S-x"')}, at="content")
    asked = EmbeddingsRequest(
        source=FOREIGN,
        model="m",
        inputs=(item,),
        dimensions=77,
        truncate=True,
        user="S-user",
        extras={"y": Raw(b'"S-y"')},
    )
    notices = Notices()
    sent = made(codec).encode_embeddings_request(asked, profile_of(codec), notices).body.decode()
    told = " ".join(notice.path for notice in notices)
    places = {"S-text": "content", "S-title": "title", "S-task": "task", "S-x": "content.x", "77": "dimensions",
              "true": "truncate", "S-user": "user", "S-y": "y"}  # fmt: skip
    assert [leaf for leaf, place in places.items() if leaf not in sent and place not in told] == []
    assert json.loads(sent)


@every_able
@pytest.mark.parametrize("is_single", [False, True])
def test_what_only_another_protocol_tells_of_vectors_is_in_a_notice(codec: Codec, is_single: bool) -> None:
    beside: tuple[dict[str, Raw], ...] = ({"x": Raw(b'"S-x"')}, {"y": Raw(b'"S-y"')})
    told = Embeddings(
        source=FOREIGN, model="m", vectors=((1.0,), (2.0,)), beside=beside, extras={"z": Raw(b'"S-z"')}
    )  # fmt: skip
    notices = Notices()
    envelope = Envelope(model="m", operation="embed", is_single=is_single)
    written = made(codec).encode_embeddings(told, envelope, notices)
    assert b"S-" not in written
    assert [notice.path for notice in notices] == ["z", "vectors[].x", "vectors[].y"]
