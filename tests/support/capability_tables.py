"""The tables of the protocols for people: the section "Field by field" of `docs/capabilities.md`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from asgi_ds2api.canonical import ProtocolName
from asgi_ds2api.capabilities import LEGEND, USUAL, USUALLY_TOLD, Matrix, Verdict
from asgi_ds2api.meanings import Meaning, Telling
from asgi_ds2api.protocols import PROTOCOLS

TITLES: dict[ProtocolName, str] = {
    "openai_chat": "OpenAI Chat",
    "openai_responses": "OpenAI Responses",
    "anthropic_messages": "Anthropic Messages",
    "gemini_generate": "Gemini",
    "ollama_chat": "Ollama",
}
_MATRIX = Matrix({name: codec.CAPABILITIES for name, codec in PROTOCOLS.items()})

INTRODUCTION = """## Field by field

What becomes of each field on its way from any protocol to any other. Of a request, the face says what its fields
*mean*, and the upstream what becomes of that; of an answer, the upstream and the face. So there is one table a protocol
(`protocols/*/capabilities.py`), of which this part, `GET {prefix}/capabilities` and the tests are made: each row is
sent in all directions by [`tests/capabilities`](../tests/capabilities), and a verdict that is not what happens fails.

| verdict | what becomes of it |
|---|---|
"""
NOTES = """
Several letters: it depends on the value, the model or the profile, and [what becomes of it](#what-becomes-of-it) says
more. The tables tell of an upstream's default profile, and of a model of
which nothing special is known. Within one protocol a request is relayed as it came where the profile says `exact`;
where it does not, every field is written again. What happens to W is for `on_unsupported` to say, see
[configuration](configuration.md).

`GET {prefix}/capabilities` tells the same as JSON, to who may use the gateway: `legend`; `requests`, which has for
each face a list of `field`, what it `means`, `verdicts` (protocol of the upstream: letters) and `words` (where there
are any); `answers`, which has the same for each upstream, by protocols of faces. `face` and `upstream` in the query
name one protocol (`openai_chat`, `openai_responses`, `anthropic_messages`, `gemini_generate`, `ollama_chat`); with
`model`, the upstreams are those alone that serve this model for the caller:

```sh
curl -H "Authorization: Bearer $KEY" "http://127.0.0.1:8000/ai/capabilities?face=openai_chat&model=claude-opus-4-6"
```
"""


def fields() -> str:
    """Return the section: how to read it, a table a face, and what becomes of what they mean."""
    legend = "".join(f"| {letter} | {words} |\n" for letter, words in LEGEND.items())
    return INTRODUCTION + legend + NOTES + requests() + answers() + becoming()


def requests() -> str:
    """Return a table for each face: field, meaning, a column for each upstream."""
    upstreams = tuple(PROTOCOLS)
    parts = []
    for face, title in TITLES.items():
        rows = [
            [f"`{cell.field}`", cell.means, *(_letters(cell.verdicts[name]) for name in upstreams)]
            for cell in _MATRIX.requests(face, upstreams)
        ]
        parts.append(f"\n### Requests of {title}\n\n" + table(["field", "means", *TITLES.values()], rows))
    return "".join(parts)


def answers() -> str:
    """Return a table for each upstream: field, meaning, a column for each face."""
    faces = tuple(PROTOCOLS)
    parts = []
    for upstream, title in TITLES.items():
        rows = [
            [f"`{cell.field}`", cell.means, *(_letters(cell.verdicts[name]) for name in faces)]
            for cell in _MATRIX.answers(upstream, faces)
        ]
        parts.append(f"\n### Answers of {title}\n\n" + table(["field", "means", *TITLES.values()], rows))
    return "".join(parts)


def becoming() -> str:
    """Return a table for each protocol of what there is to be said of a meaning."""
    parts = ["\n### What becomes of it\n\nWhere there is more to say than the letters do. At every upstream:\n\n"]
    parts.append(_worded(USUAL.items()))
    for name, codec in PROTOCOLS.items():
        parts.append(f"\n#### Requests at {TITLES[name]}\n\n" + _worded(_own(codec.CAPABILITIES.takes, USUAL)))
    for name, codec in PROTOCOLS.items():
        parts.append(f"\n#### Answers on {TITLES[name]}\n\n" + _worded(_own(codec.CAPABILITIES.tells, USUALLY_TOLD)))
    return "".join(parts)


def _own(told: Mapping[Any, Verdict], usual: Mapping[Any, Verdict]) -> list[tuple[str, Verdict]]:
    return [(means, verdict) for means, verdict in told.items() if usual.get(means) != verdict]


def _worded(verdicts: Iterable[tuple[str, Verdict]]) -> str:
    order = [*get_args(Meaning), *get_args(Telling)]
    found = sorted(verdicts, key=lambda pair: order.index(pair[0]))
    rows = [[means, _letters(verdict.letters), verdict.words] for means, verdict in found if verdict.words]
    return table(["means", "verdict", "what becomes of it"], rows)


def _letters(letters: str) -> str:
    return ", ".join(letters)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    told = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in (head, *rows)]
    return "".join([told[0], "|---" * len(head) + "|\n", *told[1:]])
