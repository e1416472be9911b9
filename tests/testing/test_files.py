"""The fake keeps files as vendors do: each for the account that uploaded it."""

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from asgi_ds2api.testing import FakeUpstream

pytestmark = pytest.mark.anyio

KEYS = ["key-of-account-one-0123", "key-of-account-two-0123"]


async def test_account_knows_its_own_files_and_no_others() -> None:
    async with FakeUpstream(keys=KEYS) as fake:
        one, two = (AsyncOpenAI(base_url=f"{fake.url}/v1", api_key=key, max_retries=0) for key in KEYS)
        async with one, two:
            file = await one.files.create(file=("a.bin", b"\r\n\x00--x\r\n"), purpose="user_data")
            assert (await one.files.content(file.id)).content == b"\r\n\x00--x\r\n"
            part: Any = {"type": "file", "file": {"file_id": file.id}}
            asked: Any = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
            answer = await one.chat.completions.create(**asked)
            assert "I see a file" in str(answer.choices[0].message.content)
            for refused in (
                two.files.retrieve(file.id),
                two.files.delete(file.id),
                two.chat.completions.create(**asked),
            ):
                with pytest.raises(openai.NotFoundError, match="No such File object"):
                    await refused
            assert [found.id async for found in two.files.list()] == []
            assert (await one.files.delete(file.id)).deleted
            with pytest.raises(openai.NotFoundError):
                await one.chat.completions.create(**asked)


async def test_upload_without_a_purpose_is_refused_as_the_vendor_does() -> None:
    async with FakeUpstream() as fake, AsyncOpenAI(base_url=f"{fake.url}/v1", api_key="any", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.files.create(file=("a", b"x"), purpose="")  # type: ignore[arg-type]  # the SDK knows better
    assert (caught.value.param, caught.value.code) == ("purpose", "missing_required_parameter")
