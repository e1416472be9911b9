"""Names that do not fit are replaced reversibly, and always by the same."""

import re

from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.canonical import (
    BlockStart,
    FunctionTool,
    Message,
    Notices,
    Request,
    ToolCall,
    ToolChoice,
)
from asgi_ds2api.profiles import Profile
from asgi_ds2api.shims.tool_names import ToolNames

LONG = "n" * 80


def asking(*names: str) -> Request:
    calls = tuple(ToolCall(id=f"c{i}", name=name, arguments="{}") for i, name in enumerate(names))
    return Request(
        source="anthropic_messages",
        model="m",
        messages=(Message(role="assistant", content=calls),),
        tools=tuple(FunctionTool(name=name, at=f"tools[{i}]") for i, name in enumerate(names)),
        tool_choice=ToolChoice(mode="named", names=names[:1]),
    )


def test_B25_name_is_the_same_in_tools_choice_and_history() -> None:
    sent = ToolNames(64).request(asking(LONG, "plain"), Notices())
    new = sent.tools[0].name
    assert new != LONG
    assert sent.tool_choice == ToolChoice(mode="named", names=(new,))  # type: ignore[arg-type]  # new is a str
    assert [block.name for block in sent.messages[0].content if isinstance(block, ToolCall)] == [new, "plain"]


def test_B25_answer_carries_the_callers_name() -> None:
    shim = ToolNames(64)
    new = shim.request(asking("get weather"), Notices()).tools[0].name
    assert new is not None
    (event,) = shim.events([BlockStart(index=0, block=ToolCall(id="c", name=new, arguments=""))])
    assert event == BlockStart(index=0, block=ToolCall(id="c", name="get weather", arguments=""))


def test_B25_names_equal_after_sanitising_stay_apart() -> None:
    sent = ToolNames(64).request(asking("a b", "a.b", "a_b"), Notices())
    assert len({tool.name for tool in sent.tools}) == 3


def test_fitting_names_need_nothing() -> None:
    assert not ToolNames.is_needed(asking("get_weather", "n" * 64), Profile(tool_name_max=64))
    assert ToolNames.is_needed(asking("n" * 65), Profile(tool_name_max=64))


def test_renaming_is_reported_once_a_tool() -> None:
    notices = Notices()
    ToolNames(64).request(asking("a b", "ok"), notices)
    assert [(n.path, n.action, n.severity) for n in notices] == [("tools[0].name", "renamed", "changed")]


@given(st.lists(st.text(min_size=1, max_size=150), min_size=1, max_size=8, unique=True))
def test_any_names_fit_stay_apart_and_come_back(names: list[str]) -> None:
    shim = ToolNames(64)
    sent = shim.request(asking(*names), Notices())
    new = [tool.name or "" for tool in sent.tools]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in new)
    assert len(set(new)) == len(names)
    events = shim.events([BlockStart(index=0, block=ToolCall(id="c", name=name, arguments="")) for name in new])
    back = [event.block.name for event in events if isinstance(event, BlockStart) and isinstance(event.block, ToolCall)]
    assert back == names
    assert ToolNames(64).request(asking(*names), Notices()) == sent
