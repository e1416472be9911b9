"""Results of tools stand where Chat wants them, whatever order another protocol lets them have."""

from typing import Any

from asgi_ds2api.canonical import Base64Source, Media, Message, Notices, Role, Text, ToolCall, ToolResult
from asgi_ds2api.protocols.calls_and_results import MISSING
from asgi_ds2api.protocols.openai_chat.pairing import MAX_ID, pair_results

PICTURE = Media(kind="image", source=Base64Source(media_type="image/png", data="aGk="), at="picture")


def say(role: Role, *blocks: Any) -> Message:
    return Message(role=role, content=tuple(Text(text=b) if isinstance(b, str) else b for b in blocks))


def call(id_: str) -> ToolCall:
    return ToolCall(id=id_, name="f", arguments="{}", at=f"call {id_}")


def result(id_: str, *blocks: Any) -> ToolResult:
    said = tuple(Text(text=b) if isinstance(b, str) else b for b in blocks or ("ok",))
    return ToolResult(call_id=id_, blocks=said, at=f"result {id_}")


def shape(messages: list[Message]) -> list[Any]:
    def of(block: Any) -> Any:
        match block:
            case Text():
                return block.text
            case ToolCall():
                return ("call", block.id)
            case ToolResult():
                return ("result", block.call_id, *map(of, block.blocks))
            case _:
                return block.at

    return [(message.role, *map(of, message.content)) for message in messages]


def test_openai_C22_results_keep_their_order_and_push_the_rest_behind() -> None:
    notices = Notices()
    paired = pair_results(
        [
            say("user", "go"),
            say("assistant", call("a"), call("b")),
            say("system", "between"),
            say("user", result("b", "B"), "and", result("a", "A")),
        ],
        notices,
    )
    assert shape(paired) == [
        ("user", "go"),
        ("assistant", ("call", "a"), ("call", "b")),
        ("tool", ("result", "b", "B")),
        ("tool", ("result", "a", "A")),
        ("system", "between"),
        ("user", "and"),
    ]
    assert notices == []


def test_pictures_follow_all_results_of_the_turn_under_a_caption_that_names_the_call() -> None:
    notices = Notices()
    talk = [say("assistant", call("a"), call("b")), say("user", result("a", "seen", PICTURE), result("b"), "what?")]
    assert shape(pair_results(talk, notices))[1:] == [
        ("tool", ("result", "a", "seen")),
        ("tool", ("result", "b", "ok")),
        ("user", "From the result of the tool call a:", "picture", "what?"),
    ]
    assert [(notice.path, notice.severity) for notice in notices] == [("picture", "changed")]


def test_missing_result_is_made_up_and_told_as_a_loss() -> None:
    notices = Notices()
    paired = pair_results([say("assistant", call("a")), say("user", "hi")], notices)
    assert shape(paired)[1:] == [("tool", ("result", "a", MISSING)), ("user", "hi")]
    assert [(n.path, n.action, n.severity) for n in notices] == [("call a", "inserted", "lost")]


def test_result_without_a_call_is_said_in_text() -> None:
    notices = Notices()
    paired = pair_results([say("user", result("x", "late"))], notices)
    assert shape(paired) == [("user", "Result of the tool call x:", "late")]
    assert [notice.severity for notice in notices] == ["changed"]


def test_an_id_that_comes_again_gets_another_one_and_its_result_follows() -> None:
    turn = [say("assistant", call("a")), say("user", result("a"))]
    paired = pair_results([*turn, *turn], Notices())
    assert [block.id for m in paired for block in m.content if isinstance(block, ToolCall)] == ["a", "a_2"]
    assert [block.call_id for m in paired for block in m.content if isinstance(block, ToolResult)] == ["a", "a_2"]


def test_ids_are_made_legal_alike_for_a_call_and_its_result() -> None:
    odd = "call:" + "x" * 80
    paired = pair_results([say("assistant", call(odd)), say("user", result(odd))], Notices())
    (made,) = [block.id for m in paired for block in m.content if isinstance(block, ToolCall)]
    (answered,) = [block.call_id for m in paired for block in m.content if isinstance(block, ToolResult)]
    assert made == answered
    assert len(made) == MAX_ID


def test_a_talk_without_tools_stays_as_it_is() -> None:
    talk = [say("system", "s"), say("user", "u"), say("assistant", "a")]
    assert pair_results(talk, Notices()) == talk
