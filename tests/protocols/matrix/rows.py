"""The rows of the matrix: each is a question and what becomes of it, told once for all protocols."""

from dataclasses import dataclass
from typing import Final, Literal

from .neutral import Ask, Call, Failure, Json, Result, Said, Tool, Turn

PNG: Final = (
    "image/png",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mOoBwAAgQCAN1gVZgAAAABJRU5ErkJggg==",
)
PDF: Final = ("application/pdf", "JVBERi0xLjQKMSAwIG9iago8PD4+CmVuZG9iagp0cmFpbGVyCjw8Pj4KJSVFT0YK")
PLACE: Final[Json] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "description": "How many."}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER: Final = Tool(name="get_weather", description="Tell the weather.", schema=PLACE)
TIME: Final = Tool(
    name="get_time",
    description="Tell the time.",
    schema={"type": "object", "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}}},
)
OSLO: Final = Call(id="call_a1", name="get_weather", arguments={"city": "Tromsø", "days": 2})
ZONE: Final = Call(id="call_b2", name="get_time", arguments={"zone": "CET"})
HI: Final = Ask()
HELLO: Final = Said(text="Hello, é日😀 world.")

Way = Literal["answer", "replay", "refused", "failed", "broken", "cut"]
"""What becomes of a question: it is answered; answered, and its answer goes back with the next question; refused with a
status; refused inside a 200; its stream is broken by an error, or by the end of the connection."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row."""

    name: str
    ask: Ask = HI
    said: Said = HELLO
    way: Way = "answer"
    failure: Failure | None = None
    streams: tuple[bool, ...] = (False, True)
    retry_after: str | None = None
    """What the upstream says."""
    chat_profile: str | None = None
    """Which Chat is spoken where the vendor's own has no words for it."""


def _called(**result: object) -> tuple[Turn, ...]:
    """Return a talk in which a tool was called."""
    told = Result(call=OSLO, text="It snows.", **result)  # type: ignore[arg-type]  # its own fields
    return (
        Turn(text="How is the weather?"),
        Turn(role="assistant", text="I look.", calls=(OSLO,)),
        Turn(results=(told,)),
    )


THOUGHT: Final = Said(text="Sixteen.", reasoning="Four times four, é日.", signature="c2lnbmVkLTE2", reasoning_tokens=31)
WEIGHED: Final = Said(
    reasoning="I should look outside.", signature="c2lnbmVkLTE3", calls=(OSLO,), finish="tool", reasoning_tokens=31
)

ROWS: Final = (
    Row(name="text"),
    Row(name="system", ask=Ask(system="Be brief, é日.")),
    Row(
        name="multi-turn",
        ask=Ask(turns=(Turn(text="Hi."), Turn(role="assistant", text="Yes?"), Turn(text="How are you, 日?"))),
    ),
    Row(name="one tool", ask=Ask(tools=(WEATHER,)), said=Said(calls=(OSLO,), finish="tool")),
    Row(
        name="parallel tools",
        ask=Ask(tools=(WEATHER, TIME)),
        said=Said(text="I look.", calls=(OSLO, ZONE), finish="tool"),
    ),
    Row(name="tool result with image", ask=Ask(turns=_called(image=PNG), tools=(WEATHER,))),
    Row(name="tool error", ask=Ask(turns=_called(is_error=True), tools=(WEATHER,))),
    Row(name="image", ask=Ask(turns=(Turn(text="What is it?", image=PNG),))),
    Row(name="document", ask=Ask(turns=(Turn(text="Sum it up.", document=PDF),))),
    Row(name="reasoning", ask=Ask(effort="high"), said=THOUGHT, chat_profile="lenient"),
    Row(
        name="reasoning that goes back",
        ask=Ask(effort="high", tools=(WEATHER,)),
        said=WEIGHED,
        way="replay",
        chat_profile="lenient",
    ),
    Row(name="structured output", ask=Ask(schema=PLACE), said=Said(text='{"city": "Tromsø", "days": 2}')),
    Row(name="stop sequence", ask=Ask(stop=("END",)), said=Said(text="One, two, ", stopped_by="END")),
    Row(name="length", ask=Ask(max_tokens=30), said=Said(text="Once upon a", finish="length")),
    Row(name="refusal", said=Said(refusal="I cannot help with that.", finish="filter")),
    Row(name="cached usage", said=Said(text="Hello again.", cached_tokens=199)),
    Row(name="400", way="refused", failure="bad request"),
    Row(name="401", way="refused", failure="bad key"),
    Row(name="429 with Retry-After", way="refused", failure="rate limit", retry_after="7"),
    Row(name="529", way="refused", failure="overload"),
    Row(name="error inside a 200", way="failed", failure="failure"),
    Row(name="error mid-stream", way="broken", failure="failure", streams=(True,)),
    Row(name="cut stream", way="cut", failure="failure"),
)
