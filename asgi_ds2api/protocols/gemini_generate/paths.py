"""Paths: they name the model, what is asked for, and whether as a stream."""

from typing import Final
from urllib.parse import quote, unquote

from ...profiles import Profile
from . import wire

GENERATE: Final = "generateContent"
STREAM: Final = "streamGenerateContent"
COUNT: Final = "countTokens"
EMBED: Final = "embedContent"
BATCH_EMBED: Final = "batchEmbedContents"

PATH: Final = f"/{wire.VERSION}/models/{{model}}"
"""Of a model at the vendor, without its verb."""


# --- of a caller ------------------------------------------------------------------------------------------------------


def model_in(path: str) -> str:
    """Return the model that a path names."""
    return name_in(path.rpartition(":")[0])


def name_in(place: str) -> str:
    """Return the model of a place (``models/MODEL``), as paths and bodies have it."""
    place = f"/{place}"
    for mark in ("/models/", "/tunedModels/", "/endpoints/"):
        _, found, rest = place.partition(mark)
        if found:
            return unquote(rest)
    return unquote(place.rpartition("/")[2])


def is_stream(path: str) -> bool:
    """Tell whether a path asks for a stream."""
    return path.rstrip("/").endswith(f":{STREAM}")


def is_single(path: str) -> bool:
    """Tell whether a path asks for one vector, not for those of a batch."""
    return path.rstrip("/").endswith(f":{EMBED}")


# --- to an upstream ---------------------------------------------------------------------------------------------------


def path_of(profile: Profile, model: str, verb: str) -> str:
    """Return the path of an operation at an upstream."""
    return (profile.path or PATH).replace("{model}", quote(model, safe="")) + f":{verb}"


def query_of(profile: Profile, verb: str) -> dict[str, str]:
    """Return the query of an operation: streams are asked for as server-sent events always."""
    return {**profile.query, "alt": "sse"} if verb == STREAM else profile.query
