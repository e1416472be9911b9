"""Look-alikes are sent no field that they refuse or have no use for, on any face, and what that means is told."""

from typing import Any

import pytest

from .asking import Asked, ask, chat_answer, error

pytestmark = pytest.mark.anyio

STRICT = ["mistral", "groq", "deepseek", "qwen", "xai", "openrouter", "gemini-openai"]
SAID = {"type": "text", "text": "x"}
MARK = {"prompt_cache_breakpoint": {"mode": "explicit"}}


async def asked_of(profile: str, face: str = "chat", **body: Any) -> Asked:
    return await ask(face, "chat", body, chat_answer(), profile=profile)


def refused_talk(face: str) -> dict[str, Any]:
    """Return a talk whose second turn is a refusal."""
    turns: list[Any] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "refusal": "No."},
                        {"role": "user", "content": "b"}]  # fmt: skip
    if face == "chat":
        return {"messages": turns}
    turns[1] = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    return {"input": turns}


@pytest.mark.parametrize("face", ["chat", "responses"])
@pytest.mark.parametrize("profile", [*STRICT, "lenient", "vllm"])
async def test_refusal_is_said_in_the_text(profile: str, face: str) -> None:
    asked = await asked_of(profile, face, **refused_talk(face))
    assert asked.sent["messages"][1] == {"role": "assistant", "content": "No."}
    assert [severity for path, severity in asked.notices.items() if "refusal" in path or "content" in path] == [
        "changed"
    ]


@pytest.mark.parametrize("profile", ["openai", "azure"])
async def test_refusal_stands_beside_the_text_where_it_may(profile: str) -> None:
    asked = await asked_of(profile, "responses", **refused_talk("responses"))
    assert asked.sent["messages"][1] == {"role": "assistant", "content": None, "refusal": "No."}


@pytest.mark.parametrize("profile", STRICT)
async def test_what_openai_alone_has_is_left_out_for_callers_of_responses(profile: str) -> None:
    fields = {"prompt_cache_options": {"mode": "implicit"}, "moderation": {"model": "x"}}
    asked = await asked_of(profile, "responses", **fields)
    assert not fields.keys() & asked.sent.keys()
    assert {name: asked.notices[name] for name in fields} == dict.fromkeys(fields, "lost")


@pytest.mark.parametrize("profile", STRICT)
async def test_caller_of_chat_is_refused_what_would_be_another_question_without(profile: str) -> None:
    asked = await asked_of(profile, moderation={"model": "x"})
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, "moderation")
    assert asked.upstream.calls == []


async def test_fields_of_openai_pass_where_they_are_taken() -> None:
    fields = {"prompt_cache_options": {"mode": "implicit"}, "moderation": {"model": "x"}}
    asked = await asked_of("azure", "responses", **fields)
    assert {name: asked.sent[name] for name in fields} == fields


async def test_mistral_is_asked_for_no_search_and_no_mark() -> None:
    parts = [{**SAID, **MARK}, {**SAID, "cache_control": {"type": "ephemeral"}}]
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": "b", "annotations": []},
             {"role": "user", "content": "c"}]  # fmt: skip
    asked = await asked_of("mistral", messages=turns, web_search_options={"search_context_size": "low"})
    assert "web_search_options" not in asked.sent
    assert asked.sent["messages"] == [{"role": "user", "content": [SAID, SAID]}, {"role": "assistant", "content": "b"},
                                      {"role": "user", "content": "c"}]  # fmt: skip
    assert asked.notices["web_search_options"] == "lost"
    assert asked.notices["messages[0].content[0].prompt_cache_breakpoint"] == "hint"
    assert asked.notices["messages[0].content[1].cache_control"] == "hint"


async def test_mistral_is_asked_for_log_probabilities() -> None:
    asked = await asked_of("mistral", logprobs=True, top_logprobs=2)
    assert (asked.sent["logprobs"], asked.sent["top_logprobs"]) == (True, 2)


@pytest.mark.parametrize(("detail", "sent"), [("original", "high"), ("low", "low")])
async def test_detail_that_openai_alone_has_is_the_most_that_there_is(detail: str, sent: str) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/y.png", "detail": detail}}
    asked = await asked_of("mistral", messages=[{"role": "user", "content": [SAID, image]}])
    assert asked.sent["messages"][0]["content"][1]["image_url"]["detail"] == sent
    assert ("messages[0].content[1].image_url.detail" in asked.notices) is (detail != sent)


@pytest.mark.parametrize(
    ("profile", "tier", "sent"),
    [
        ("mistral", "flex", None),
        ("mistral", "auto", "auto"),
        ("mistral", "default", "standard_only"),
        ("groq", "default", "on_demand"),
        ("groq", "flex", "flex"),
        ("openrouter", "flex", "flex"),
    ],
)
async def test_tier_is_in_the_vendors_words_or_left_out(profile: str, tier: str, sent: str | None) -> None:
    asked = await asked_of(profile, service_tier=tier)
    assert asked.sent.get("service_tier") == sent
    assert asked.notices.get("service_tier") == (None if sent else "hint")


async def test_field_that_changes_nothing_is_left_out_though_nothing_may_be_lost() -> None:
    body = {"prompt_cache_key": "k", "store": False, "modalities": ["text"]}
    asked = await ask("chat", "chat", body, chat_answer(), profile="gemini-openai", on_unsupported="reject")
    assert asked.answer.status == 200
    assert not {"prompt_cache_key", "store"} & asked.sent.keys()


async def test_extra_that_a_server_refuses_is_taken_out() -> None:
    detail = [{"type": "extra_forbidden", "loc": ["body", "web_search_options"], "input": {},
               "msg": "Extra inputs are not permitted"}]  # fmt: skip
    asked = await ask("chat", "chat", {"web_search_options": {}}, error(422, {"detail": detail}), chat_answer(),
                      profile="lenient")  # fmt: skip
    assert asked.answer.status == 200
    assert "web_search_options" not in asked.sent
    assert asked.notices["web_search_options"] == "lost"
