"""What the official SDKs make of an answer that a gateway gave: the bytes are handed to them without a socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import openai
from google import genai
from google.genai import errors as google

from .asgi_driver import Answer

MESSAGES: Any = [{"role": "user", "content": "Hi"}]


def sdk_error(face: str, answer: Answer, *, stream: bool) -> Exception | None:
    """Let the SDK of a face read an answer to its end; return what it raised, or None."""
    try:
        with _transport(answer) as client:
            match face:
                case "chat":
                    _read_chat(client, stream=stream)
                case "responses":
                    _read_responses(client, stream=stream)
                case "gemini":
                    _read_gemini(answer, stream=stream)
                case "ollama":
                    _read_ollama(answer, stream=stream)
                case _:
                    _read_claude(client, stream=stream)
    except (openai.OpenAIError, anthropic.AnthropicError, google.APIError, ollama.ResponseError, BrokenOff) as error:
        return error
    except ValueError as error:  # an event that is no JSON: the SDKs let the decoder's error through
        return error
    return None


def sdk_message(face: str, answer: Answer) -> dict[str, Any]:
    """Let the stream helper of a face's SDK add a streamed answer up; return the whole as JSON.

    Args:
        face: "chat", "responses" or "claude".
        answer: The stream.

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
        if face == "responses":
            with (
                openai.OpenAI(api_key="any", base_url="http://gateway/v1", max_retries=0, http_client=client) as sdk,
                sdk.responses.stream(model="m", input="Hi") as answering,
            ):
                return answering.get_final_response().to_dict(mode="json")
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


class BrokenOff(Exception):
    """The SDK raised nothing, and what it gave does not say that the answer is whole."""


def _read_responses(client: httpx2.Client, *, stream: bool) -> None:
    with openai.OpenAI(api_key="any", base_url="http://gateway/v1", max_retries=0, http_client=client) as sdk:
        answer = sdk.responses.create(model="m", input="Hi", stream=stream)
        if isinstance(answer, openai.Stream):
            last = [event.type for event in answer][-1:]
            if last not in (["response.completed"], ["response.incomplete"]):
                raise BrokenOff(f"the last event: {last}")
        else:
            assert answer.output


def _read_gemini(answer: Answer, *, stream: bool) -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda _: _response(answer))) as client:
        options = genai.types.HttpOptions(base_url="http://gateway", api_version="v1beta", httpx_client=client)
        models = genai.Client(api_key="any", http_options=options).models
        if not stream:
            assert models.generate_content(model="m", contents="Hi").candidates
            return
        chunks = list(models.generate_content_stream(model="m", contents="Hi"))
        if not any(candidate.finish_reason for chunk in chunks for candidate in chunk.candidates or ()):
            raise BrokenOff("no reason of an end")


def _read_ollama(answer: Answer, *, stream: bool) -> None:
    transport = httpx.MockTransport(lambda _: _response(answer))
    client: Any = ollama.Client(host="http://gateway", transport=transport)
    told = client.chat(model="m", messages=MESSAGES, stream=stream)
    lines = list(told) if stream else [told]
    if not any(line.done for line in lines):
        raise BrokenOff("no line is the last")


def _response(answer: Answer) -> httpx.Response:
    return httpx.Response(answer.status, headers=_headers(answer), content=answer.body)


def _headers(answer: Answer) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]


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
    def respond(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(answer.status, headers=_headers(answer), content=answer.body)

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as client:
        yield client
