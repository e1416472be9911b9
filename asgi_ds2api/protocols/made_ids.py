"""Ids for calls that an upstream gave none: a caller answers a call by its id, in this turn and in every later one."""

import hashlib


def call_id(salt: str, position: int) -> str:
    """Return an id: the same for a stream and a whole answer, another for another answer.

    Args:
        salt: Tells this answer's calls from those of any other.
        position: Of the call in its answer.
    """
    return f"call_{hashlib.sha256(salt.encode()).hexdigest()[:16]}_{position}"
