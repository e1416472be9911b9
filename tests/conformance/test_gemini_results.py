"""Results of tools that hold more than a text, as Gemini gets them."""

from typing import Any

import pytest

from .asking import HELLO, Asked, ask, gemini_answer
from .test_gemini_upstream import NEW, responses

pytestmark = pytest.mark.anyio


def document(text: str) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}


def picture(data: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


FOUND = {"type": "search_result", "source": "s", "title": "T", "content": [{"type": "text", "text": "found"}]}


async def results_of(*contents: list[dict[str, Any]], model: str = NEW) -> Asked:
    """Ask as a caller of Messages whose tools gave these contents back."""
    calls = [{"type": "tool_use", "id": f"t{n}", "name": "f", "input": {}} for n, _ in enumerate(contents)]
    results = [{"type": "tool_result", "tool_use_id": f"t{n}", "content": said} for n, said in enumerate(contents)]
    messages = [*HELLO, {"role": "assistant", "content": calls}, {"role": "user", "content": results}]
    return await ask("claude", "gemini", {"messages": messages}, gemini_answer([{"text": "x"}]), model=model)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([{"type": "text", "text": "A"}, document("B"), {"type": "text", "text": "C"}], ["A", "B", "C"]),
        ([FOUND], ["T", "found"]),
        ([{"type": "tool_reference", "tool_name": "g"}], ["g"]),
        ([{"type": "browser_state", "tabs": [{"url": "https://a.example"}]}], ["https://a.example"]),
    ],
    ids=["document", "search", "reference", "browser"],
)
async def test_gemini_C15_text_of_any_kind_stays_in_its_result(content: list[dict[str, Any]], words: list[str]) -> None:
    asked = await results_of(content)
    said = str(responses(asked)[0]["response"])
    assert [word for word in words if word in said] == words
    assert sorted(words, key=said.index) == words
    assert len(asked.sent["contents"][2]["parts"]) == 1


async def test_gemini_C15_pictures_that_cannot_stand_in_a_result_say_whose_they_are() -> None:
    """Those of models from 3 on stand inside."""
    contents = [[picture("AAAA")], [{"type": "text", "text": "seen"}, picture("BBBB")]]
    asked = await results_of(*contents, model="gemini-2.5-flash")
    first, second = responses(asked)
    assert (first["response"], second["response"]) == ({"output": "(shown behind the results)"}, {"output": "seen"})
    behind = [part.get("text") or part["inlineData"]["data"] for part in asked.sent["contents"][2]["parts"][2:]]
    caption = "From the result of the tool call {}:"
    assert behind == [caption.format("t0"), "AAAA", caption.format("t1"), "BBBB"]
    inside = await results_of(*contents)
    assert [part["parts"][0]["inlineData"]["data"] for part in responses(inside)] == ["AAAA", "BBBB"]
