"""What the official SDKs make of an answer that a gateway gave: the bytes are handed to them without a socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx2
import openai

from .asgi_driver import Answer

MESSAGES: Any = [{"role": "user", "content": "Hi"}]


def sdk_error(face: str, answer: Answer, *, stream: bool) -> Exception | None:
    """Let the SDK of a face ("chat" or "claude") read an answer to its end; return what it raised, or None."""
    try:
        with _transport(answer) as client:
            if face == "chat":
                _read_chat(client, stream=stream)
            else:
                _read_claude(client, stream=stream)
    except (openai.OpenAIError, anthropic.AnthropicError) as error:
        return error
    except ValueError as error:  # an event that is no JSON: the SDKs let the decoder's error through
        return error
    return None


def sdk_message(face: str, answer: Answer) -> dict[str, Any]:
    """Let the stream helper of a face's SDK ("chat" or "claude") add a streamed answer up; return the whole as JSON.

    Raises:
        openai.OpenAIError, anthropic.AnthropicError: The SDK says that the stream failed.
    """
    with _transport(answer) as client:
        if face == "chat":
            with (
                openai.OpenAI(api_key="any", base_url="http://gateway/v1", max_retries=0, http_client=client) as chat,
                chat.chat.completions.stream(model="m", messages=MESSAGES) as completing,
            ):
                return completing.get_final_completion().to_dict(mode="json")
        with (
            anthropic.Anthropic(api_key="any", base_url="http://gateway", max_retries=0, http_client=client) as claude,
            claude.messages.stream(model="m", messages=MESSAGES, max_tokens=9) as speaking,
        ):
            return speaking.get_final_message().to_dict(mode="json")


def _read_chat(client: httpx2.Client, *, stream: bool) -> None:
    with openai.OpenAI(api_key="any", base_url="http://gateway/v1", max_retries=0, http_client=client) as sdk:
        answer = sdk.chat.completions.create(model="m", messages=MESSAGES, stream=stream)
        if isinstance(answer, openai.Stream):
            for _ in answer:
                pass
        else:
            assert answer.choices


def _read_claude(client: httpx2.Client, *, stream: bool) -> None:
    with anthropic.Anthropic(api_key="any", base_url="http://gateway", max_retries=0, http_client=client) as sdk:
        answer = sdk.messages.create(model="m", messages=MESSAGES, max_tokens=9, stream=stream)
        if isinstance(answer, anthropic.Stream):
            for _ in answer:
                pass
        else:
            assert answer.content is not None


@contextmanager
def _transport(answer: Answer) -> Iterator[httpx2.Client]:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]

    def respond(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(answer.status, headers=headers, content=answer.body)

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as client:
        yield client
