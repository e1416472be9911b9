"""Thoughts that a stream told in pieces are whole again before their seal is opened."""

import json
from typing import Any

from asgi_ds2api.canonical import Block, Reasoning, Text
from asgi_ds2api.codec import HTTPCall
from asgi_ds2api.protocols import gemini_generate
from asgi_ds2api.seal import PREFIX

SEAL = f"{PREFIX}AAAA"


def decoded(*contents: list[dict[str, Any]]) -> list[list[Block]]:
    """Return the blocks of the model's contents of a talk."""
    turns = [{"role": "model", "parts": parts} for parts in contents]
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}, *turns]}).encode()
    call = HTTPCall(method="POST", path="/v1beta/models/m:generateContent", body=body)
    return [list(message.content) for message in gemini_generate.decode_request(call).messages[1:]]


def thought(text: str, signature: str | None = None) -> dict[str, Any]:
    part: dict[str, Any] = {"text": text, "thought": True}
    return part if signature is None else {**part, "thoughtSignature": signature}


def told(blocks: list[Block]) -> list[tuple[str, str | None]]:
    """Return text and signature of each thought, and the texts."""
    return [
        (block.text, block.signature if isinstance(block, Reasoning) else None)
        for block in blocks
        if isinstance(block, Reasoning | Text)
    ]


def test_pieces_are_one_thought_where_their_seal_stood() -> None:
    (blocks,) = decoded([thought("One, "), thought("two."), thought("", SEAL), {"text": "Three."}])
    assert told(blocks) == [("One, two.", SEAL), ("Three.", None)]


def test_pieces_in_contents_of_their_own_are_one_thought() -> None:
    """As the chats of the vendor's SDK keep a stream."""
    messages = decoded([thought("One, ")], [thought("two.")], [thought("", SEAL)], [{"text": "Three."}])
    assert [told(blocks) for blocks in messages] == [[("One, two.", SEAL)], [("Three.", None)]]


def test_two_thoughts_keep_apart() -> None:
    (blocks,) = decoded([thought("One."), thought("", SEAL), thought("Two, "), thought("three.", SEAL + "B")])
    assert told(blocks) == [("One.", SEAL), ("Two, three.", SEAL + "B")]


def test_what_stands_before_a_text_is_no_piece_of_what_follows_it() -> None:
    (blocks,) = decoded([thought("One."), {"text": "Two."}, thought("Three."), thought("", SEAL)])
    assert told(blocks) == [("One.", None), ("Two.", None), ("Three.", SEAL)]


def test_signatures_of_the_vendor_stay_where_they_stood() -> None:
    (blocks,) = decoded([thought("One, "), thought("two."), thought("", "c2lnbmVk")])
    assert told(blocks) == [("One, ", None), ("two.", None), ("", "c2lnbmVk")]
