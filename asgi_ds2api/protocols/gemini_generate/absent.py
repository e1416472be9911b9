"""Paths of the vendor's that are not served: what is said there, so that nobody looks for a mistake in the address."""

from collections.abc import Mapping, Sequence
from typing import Final

from ...codec import Route

_CACHED: Final = (
    "Explicit caches are not kept here. Send the content itself, without cachedContent: vendors cache what requests "
    "begin with by themselves."
)
_INTERACTIONS: Final = (
    "Interactions are not served here. Ask models/MODEL:generateContent, or, to go on from answers that are kept, the "
    "Responses API (/v1/responses)."
)
_BATCHES: Final = "Batches are not served here. Send their requests one by one, or ask the vendor itself."
_STORES: Final = "Stores of documents are not served here. Send the documents in the request, or ask the vendor itself."
_TUNING: Final = "Models are not tuned here. Tune them at the vendor, and name them in the configuration."
_TOKENS: Final = "The Live API, and tokens for it, are not served here. Ask models/MODEL:streamGenerateContent."
_VERBS: Final = (
    "This method is not served here. Ask models/MODEL:generateContent for answers and :batchEmbedContents for vectors."
)

_COLLECTION: Final = (("GET", ""), ("POST", ""))
_ITEM: Final = (("GET", "/{id}"), ("PATCH", "/{id}"), ("DELETE", "/{id}"))
_FAMILIES: Final[Mapping[str, tuple[str, Sequence[tuple[str, str]]]]] = {
    "cachedContents": (_CACHED, (*_COLLECTION, *_ITEM)),
    "interactions": (
        _INTERACTIONS,
        (("POST", ""), ("GET", "/{id}"), ("DELETE", "/{id}"), ("POST", "/{id}/cancel")),
    ),
    "batches": (_BATCHES, (("GET", ""), ("GET", "/{id}"), ("DELETE", "/{id}"), ("POST", "/{id}:cancel"))),
    "fileSearchStores": (_STORES, (*_COLLECTION, *_ITEM)),
    "corpora": (_STORES, (*_COLLECTION, *_ITEM)),
    "tunedModels": (_TUNING, (("POST", ""), ("PATCH", "/{id}"), ("DELETE", "/{id}"))),
    "auth_tokens": (_TOKENS, (("POST", ""),)),
}
_METHODS: Final[Mapping[str, str]] = {
    "predict": _VERBS,
    "predictLongRunning": _VERBS,
    "batchGenerateContent": _BATCHES,
    "asyncBatchEmbedContent": _BATCHES,
}


def absent_routes(root: str) -> list[Route]:
    """Return the paths below ``root`` that are refused with a reason."""
    paths = [
        (method, f"{family}{rest}", said) for family, (said, routes) in _FAMILIES.items() for method, rest in routes
    ]
    paths += [("POST", f"models/{{model}}:{verb}", said) for verb, said in _METHODS.items()]
    return [
        Route(method=method, path=f"{root}/{path}", operation="absent", answer=said.encode())
        for method, path, said in paths
    ]
