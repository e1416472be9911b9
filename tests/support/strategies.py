"""Hypothesis strategies for canonical values: requests and whole answers. Answers in pieces are in ``streams``.

What they make is sound: tool results follow the calls that they answer, a finish of ``tool_calls`` has a call, names
fit every vendor's alphabet. ``at`` stays empty, as it is no part of the meaning. ``source`` is the protocol whose terms
opaque parts and extras are in; a codec that has no word for something reports it, and the law of that codec says what.
"""

from collections.abc import Sequence
from functools import cache

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from msgspec import Raw
from msgspec.structs import replace

from asgi_ds2api.canonical import (
    Block,
    CacheControl,
    Choice,
    CustomTool,
    Finish,
    FunctionTool,
    Logprobs,
    Message,
    OutputFormat,
    ProtocolName,
    ReasoningControl,
    Refusal,
    Request,
    Response,
    Sampling,
    State,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
    VendorTool,
)
from tests.support.block_strategies import (
    answer_blocks,
    cache_marks,
    extras,
    ids,
    images,
    json_objects,
    maybe,
    names,
    raws,
    reasoning_blocks,
    schemas,
    text_blocks,
    texts,
    tool_calls,
    tool_results,
    tuples_of,
)


@cache
def function_tools() -> SearchStrategy[FunctionTool]:
    """Return functions."""
    return st.builds(
        FunctionTool,
        name=names(),
        description=maybe(texts(min_size=1)),
        parameters=maybe(schemas()),
        strict=maybe(st.booleans()),
        cache=maybe(cache_marks()),
    )


@cache
def toolboxes(source: ProtocolName) -> SearchStrategy[tuple[Tool, ...]]:
    """Return tools of different names: functions first, then a custom and a vendor's one, sometimes."""
    functions = st.lists(function_tools(), max_size=3, unique_by=lambda tool: tool.name)
    custom = st.builds(CustomTool, name=st.just("x_custom"), description=maybe(texts(min_size=1)))
    vendor = VendorTool(
        protocol=source,
        type="x_tool_20260101",
        name="x_vendor",
        raw=Raw(b'{"type":"x_tool_20260101","name":"x_vendor"}'),
        runs_at="provider",
    )
    return st.builds(
        lambda *kinds: tuple(tool for kind in kinds for tool in kind),
        functions,
        tuples_of(custom, max_size=1),
        tuples_of(st.just(vendor), max_size=1),
    )


def tool_choices(tools: Sequence[Tool]) -> SearchStrategy[ToolChoice | None]:
    """Return choices that make sense with these tools."""
    functions = [tool.name for tool in tools if isinstance(tool, FunctionTool)]
    if not functions:
        return st.none()
    named = [ToolChoice(mode="named", names=(name,)) for name in functions]
    plain = [ToolChoice(mode="auto"), ToolChoice(mode="none"), ToolChoice(mode="required")]
    return st.sampled_from([None, *plain, *named])


@cache
def rounds() -> SearchStrategy[tuple[Message, ...]]:
    """Return one turn of a user, and the model's answer with the results of the tools that it called."""
    return st.builds(
        _round,
        tuples_of(text_blocks() | images(), min_size=1, max_size=2),
        tuples_of(reasoning_blocks(), max_size=1),
        tuples_of(text_blocks(), max_size=1),
        st.lists(st.tuples(tool_calls(), tool_results()), max_size=2),
    )


def _round(
    asked: tuple[Block, ...],
    thought: tuple[Block, ...],
    said: tuple[Block, ...],
    calls: Sequence[tuple[ToolCall, ToolResult]],
) -> tuple[Message, ...]:
    messages = [Message(role="user", content=asked)]
    if said or calls:
        messages.append(Message(role="assistant", content=(*thought, *said, *(call for call, _ in calls))))
    messages += [Message(role="tool", content=(replace(result, call_id=call.id),)) for call, result in calls]
    return tuple(messages)


@cache
def conversations() -> SearchStrategy[tuple[Message, ...]]:
    """Return a whole history that ends with a question: every call is answered, every id is used once."""
    said = tuples_of(text_blocks(), min_size=1, max_size=2)
    system = st.builds(Message, role=st.sampled_from(["system", "developer"]), content=said)
    question = st.builds(Message, role=st.just("user"), content=said)
    histories = st.builds(
        lambda first, turns, last: (*first, *(message for turn in turns for message in turn), last),
        tuples_of(system, max_size=1),
        st.lists(rounds(), max_size=2),
        question,
    )
    return histories.filter(_has_unique_ids)


def _has_unique_ids(messages: Sequence[Message]) -> bool:
    used = [block.id for message in messages for block in message.content if isinstance(block, ToolCall)]
    return len(used) == len(set(used))


@cache
def samplings() -> SearchStrategy[Sampling]:
    """Return sampling settings within the ranges that all vendors share."""
    return st.builds(
        Sampling,
        temperature=maybe(st.sampled_from([0.0, 0.5, 1.0])),
        top_p=maybe(st.sampled_from([0.1, 0.95])),
        top_k=maybe(st.integers(1, 100)),
        seed=maybe(st.integers(0, 2**31)),
        frequency_penalty=maybe(st.sampled_from([-1.5, 0.5])),
        presence_penalty=maybe(st.sampled_from([-1.5, 0.5])),
    )


@cache
def output_formats() -> SearchStrategy[OutputFormat]:
    """Return the forms that an answer may be asked for in."""
    return st.one_of(
        st.sampled_from([OutputFormat(kind="text"), OutputFormat(kind="json_object")]),
        st.builds(
            OutputFormat,
            kind=st.just("json_schema"),
            name=names(),
            description=maybe(texts(min_size=1)),
            schema=schemas(),
            strict=maybe(st.booleans()),
        ),
    )


@cache
def reasoning_controls() -> SearchStrategy[ReasoningControl]:
    """Return how hard the model is asked to think."""
    return st.one_of(
        st.builds(ReasoningControl, effort=st.sampled_from(["low", "medium", "high"])),
        st.builds(ReasoningControl, mode=st.just("enabled"), budget_tokens=st.integers(1_024, 32_000)),
        st.just(ReasoningControl(mode="disabled")),
        st.just(ReasoningControl(mode="adaptive")),
    )


@cache
def requests(source: ProtocolName = "openai_chat") -> SearchStrategy[Request]:
    """Return a sound request in the terms of ``source``."""
    settings = st.builds(
        Request,
        source=st.just(source),
        model=st.sampled_from(["gpt-5", "claude-opus-5", "org/model:free"]),
        messages=conversations(),
        tools=toolboxes(source),
        max_output_tokens=maybe(st.integers(1, 100_000)),
        sampling=samplings(),
        stop=tuples_of(st.sampled_from(["END", "\n\n", "###"]), max_size=2),
        output_format=maybe(output_formats()),
        reasoning=maybe(reasoning_controls()),
        cache=st.builds(CacheControl, key=maybe(names()), mark=maybe(cache_marks())),
        user=maybe(ids("user")),
        metadata=st.dictionaries(names(), texts(max_size=8), max_size=2),
        service_tier=maybe(st.sampled_from(["auto", "default"])),
        state=st.builds(State, store=maybe(st.booleans())),
        stream=st.booleans(),
        extras=extras(),
    )
    return settings.flatmap(
        lambda request: st.builds(
            replace,
            st.just(request),
            tool_choice=tool_choices(request.tools),
            parallel_tool_calls=maybe(st.booleans()) if request.tools else st.none(),
        )
    )


@cache
def usages() -> SearchStrategy[Usage]:
    """Return token counts whose parts are no larger than their wholes."""
    return st.builds(
        lambda fresh, read, write, said, thought: Usage(
            input_total=fresh + read + write,
            cache_read=read or None,
            cache_write=write or None,
            output_total=said + thought,
            reasoning=thought or None,
        ),
        *(st.integers(0, 10_000) for _ in range(5)),
    )


@cache
def finishes() -> SearchStrategy[Finish]:
    """Return reasons for which an answer without calls and refusals ends."""
    plain = st.sampled_from([Finish(reason="stop"), Finish(reason="length"), Finish(reason="content_filter")])
    return plain | st.builds(Finish, reason=st.just("stop_sequence"), stop_sequence=st.just("END"))


def choices(source: ProtocolName, blocks: SearchStrategy[Block]) -> SearchStrategy[Choice]:
    """Return one choice of an answer, as its first."""
    logprobs = st.builds(Logprobs, content=maybe(tuples_of(raws(json_objects()))))
    return st.builds(
        Choice,
        blocks=tuples_of(blocks, max_size=4),
        finish=finishes(),
        logprobs=maybe(logprobs),
        message_extras=extras(),
        extras=extras(),
    ).map(_with_fitting_finish)


def _with_fitting_finish(choice: Choice) -> Choice:
    kinds = {type(block) for block in choice.blocks}
    if ToolCall in kinds:
        return replace(choice, finish=Finish(reason="tool_calls"))
    return replace(choice, finish=Finish(reason="refusal")) if Refusal in kinds else choice


def _numbered(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    return tuple(
        replace(
            choice,
            finish=replace(choice.finish, choice=number),
            logprobs=None if choice.logprobs is None else replace(choice.logprobs, choice=number),
        )
        for number, choice in enumerate(choices)
    )


@cache
def responses(
    source: ProtocolName = "openai_chat", *, blocks: SearchStrategy[Block] | None = None, max_choices: int = 1
) -> SearchStrategy[Response]:
    """Return a sound answer in the terms of ``source``.

    Args:
        source: Protocol that the answer came in.
        blocks: What it may be made of; `answer_blocks` by default.
        max_choices: Most choices it may have.
    """
    made_of = answer_blocks(source) if blocks is None else blocks
    return st.builds(
        Response,
        source=st.just(source),
        id=ids("chatcmpl"),
        model=st.sampled_from(["gpt-5", "claude-opus-5"]),
        choices=st.lists(choices(source, made_of), min_size=1, max_size=max_choices).map(_numbered),
        created=maybe(st.integers(0, 2**32)),
        usage=maybe(usages()),
        service_tier=maybe(st.just("default")),
        extras=extras(),
    )
