"""An AI vendor for your own tests: it speaks five protocols and costs nothing.

    from asgi_ds2api.testing import FakeUpstream, Script

    async def test_my_app_shows_the_answer():
        async with FakeUpstream(script=Script.text("It is noon.")) as fake:
            client = AsyncOpenAI(base_url=f"{fake.url}/v1", api_key="any")
            ...
            assert fake.requests[0].json["model"] == "my-model"

`FakeUpstream` listens on a free port of 127.0.0.1, and speaks OpenAI Chat Completions (``/v1/chat/completions``) and
Responses (``/v1/responses``), Anthropic Messages (``/v1/messages``), Gemini (``/v1beta/models/...``) and Ollama
(``/api/chat``), all at once and of the same script. What a `Script` does not say it makes up: it repeats what it was
told, calls a tool when it is offered one, cites what the tool answered, fills in the JSON Schema of a structured
output, says what images it sees, counts words as tokens, and answers errors as the vendors do.

As a pytest fixture, for tests that are async and tests that are not:

    @pytest.fixture
    def fake() -> Iterator[FakeUpstream]:
        with FakeUpstream() as fake:
            yield fake

It shares no code with the gateway: what the gateway's codecs write, the fake reads with its own eyes.
"""

from .fake import FakeUpstream, RecordedRequest
from .http1 import Limits
from .script import Script

__all__ = ["FakeUpstream", "Limits", "RecordedRequest", "Script"]
