"""Which way an upstream is asked that speaks two protocols under one address. Pure."""

from ..canonical import Request
from ..model_facts import ModelFacts


def chat_takes(request: Request, facts: ModelFacts) -> bool:
    """Tell whether a model is served at Chat with these tools and this reasoning.

    OpenAI's models from gpt-5.4 on refuse functions beside an effort there, later ones also where none is said, as they
    reason by default.

    Source: https://github.com/openai/openai-openapi/issues/541; the error's own words, "use /v1/responses or set
    reasoning_effort to 'none'" (2026-09).
    """
    if facts.chat_tools == "any" or not request.tools:
        return True
    asked = request.reasoning
    if asked is None:
        return facts.chat_tools == "without_effort"
    return asked.mode == "disabled" or asked.effort == "none"
