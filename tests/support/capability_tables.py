"""The tables of the protocols for people: the section "Field by field" of `docs/capabilities.md`."""

from collections.abc import Iterable, Sequence
from typing import get_args

from asgi_ds2api.canonical import ProtocolName
from asgi_ds2api.capabilities import LEGEND, USUAL, Matrix, Meaning, Verdict
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

What becomes of each field of a request on its way from any protocol to any other. A face says what its fields *mean*,
an upstream what becomes of that: so there is one table a protocol (`protocols/*/capabilities.py`), of which this part,
`GET {prefix}/capabilities` and the tests are made. Each row is asked of each upstream by
[`tests/capabilities`](../tests/capabilities); a verdict that is not what happens fails.

| verdict | what becomes of it |
|---|---|
"""
NOTES = """
Several letters: it depends on the value, the model or the profile; the usual one comes first, and
[what becomes of it](#what-becomes-of-it) says more. The tables tell of an upstream's default profile, and of a model of
which nothing special is known. Within one protocol a request is relayed as it came where the profile says `exact`;
where it does not, every field is written again. What happens to W is for `on_unsupported` to say, see
[configuration](configuration.md).

`GET {prefix}/capabilities` tells the same as JSON, to who may use the gateway: `legend`, and `requests`, which has for
each face a list of `field`, what it `means`, `verdicts` (protocol of the upstream: letters) and `words` (where there
are any). `face` and `upstream` in the query name one protocol (`openai_chat`, `openai_responses`, `anthropic_messages`,
`gemini_generate`, `ollama_chat`); with `model`, the upstreams are those alone that serve this model for the caller:

```sh
curl -H "Authorization: Bearer $KEY" "http://127.0.0.1:8000/ai/capabilities?face=openai_chat&model=claude-opus-4-6"
```
"""


def fields() -> str:
    """Return the section: how to read it, a table a face, and what becomes of what they mean."""
    legend = "".join(f"| {letter} | {words} |\n" for letter, words in LEGEND.items())
    return INTRODUCTION + legend + NOTES + requests() + becoming()


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


def becoming() -> str:
    """Return a table for each upstream of what there is to be said of a meaning."""
    parts = [
        "\n### What becomes of it\n\nWhere there is more to say than the letters do. At every upstream:\n\n",
        table(["means", "verdict", "what becomes of it"], _worded(USUAL.items())),
    ]
    for name, codec in PROTOCOLS.items():
        own = ((means, verdict) for means, verdict in codec.CAPABILITIES.takes.items() if USUAL.get(means) != verdict)
        parts.append(f"\n#### At {TITLES[name]}\n\n" + table(["means", "verdict", "what becomes of it"], _worded(own)))
    return "".join(parts)


def _worded(verdicts: Iterable[tuple[str, Verdict]]) -> list[list[str]]:
    order = get_args(Meaning)
    found = sorted(verdicts, key=lambda pair: order.index(pair[0]))
    return [[means, _letters(verdict.letters), verdict.words] for means, verdict in found if verdict.words]


def _letters(letters: str) -> str:
    return ", ".join(letters)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    told = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in (head, *rows)]
    return "".join([told[0], "|---" * len(head) + "|\n", *told[1:]])
