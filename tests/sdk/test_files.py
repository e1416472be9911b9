"""R-44, hard, and R-46: uploaded files, by the official SDKs, against a gateway of two accounts in a real server.

A file is with the account that it was uploaded to, and with the caller who uploaded it.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from google import genai
from google.genai import errors, types
from openai import OpenAI

from asgi_ds2api import Gateway
from asgi_ds2api.secret import Secret
from asgi_ds2api.testing import FakeUpstream
from tests.support.gateways import PROTOCOLS, Records
from tests.support.serving import serve

from .conftest import KEYS

CALLERS = {"web": "key-of-the-caller-web-0123", "app": "key-of-the-caller-app-0123"}
CONTENT = bytes(range(256)) * 40 + b"\r\n--\r\n"
FILES = ("chat", "claude", "gemini", "responses")


def config(fake: FakeUpstream, names: Sequence[str] = FILES, **more: Any) -> dict[str, Any]:
    """Return a gateway that two callers use, with two accounts at each vendor."""
    accounts = [{"label": f"a{n}", "key": lambda key=key: key} for n, key in enumerate(KEYS)]
    upstreams = [
        {
            "name": name,
            "protocol": PROTOCOLS[name],
            "base_url": f"{fake.url}/v1" if PROTOCOLS[name].startswith("openai_") else fake.url,
            "accounts": accounts,
        }
        for name in names
    ]
    callers = [{"label": label, "key": Secret(key)} for label, key in CALLERS.items()]
    return {"auth": "callers", "callers": callers, "upstreams": upstreams, "debug_headers": True, **more}


@dataclass
class House:
    """A gateway, its vendor, and the clients of a caller."""

    url: str
    fake: FakeUpstream
    records: Records

    def openai(self, caller: str = "web") -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=CALLERS[caller], max_retries=0)

    def claude(self, caller: str = "web") -> Anthropic:
        return Anthropic(base_url=self.url, api_key=CALLERS[caller], max_retries=0)

    def google(self, caller: str = "web") -> genai.Client:
        return genai.Client(
            api_key=CALLERS[caller], http_options=types.HttpOptions(base_url=self.url, api_version="v1beta")
        )

    @property
    def account(self) -> int | None:
        """Which account was asked last."""
        return self.fake.requests[-1].account


@pytest.fixture
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    with ExitStack() as stack:
        fake = stack.enter_context(FakeUpstream(keys=KEYS))
        records = Records()
        names = getattr(request, "param", FILES)
        served = stack.enter_context(serve(Gateway(config(fake, names), hooks=[records])))
        yield House(served.url, fake, records)


# --- OpenAI -----------------------------------------------------------------------------------------------------------


def test_R44_openai_sdk_uploads_uses_lists_and_deletes_files_of_two_accounts(house: House) -> None:
    with house.openai() as client, house.openai("app") as other:
        clients = [client, client, client, other]
        made = [one.files.create(file=("a.bin", CONTENT), purpose="user_data") for one in clients]
        accounts = accounts_of(house)
        assert [(file.bytes, file.purpose) for file in made] == [(len(CONTENT), "user_data")] * 4
        assert client.files.retrieve(made[0].id) == made[0]
        assert client.files.content(made[1].id).content == CONTENT
        assert [file.id for file in client.files.list(limit=2)] == [file.id for file in made[2::-1]]
        assert [file.id for file in client.files.list(order="asc")] == [file.id for file in made[:3]]
        assert list(client.files.list(purpose="batch")) == []
        for one, file, account in list(zip(clients, made, accounts, strict=True)) * 2:
            part: Any = {"type": "file", "file": {"file_id": file.id}}
            one.chat.completions.create(model="chat/gpt-x", messages=[{"role": "user", "content": [part]}])
            assert house.account == account
            item: Any = {"role": "user", "content": [{"type": "input_file", "file_id": file.id}]}
            with pytest.raises(openai.BadRequestError, match="was uploaded to 'chat'"):
                one.responses.create(model="responses/gpt-x", input=[item])
        assert client.files.delete(made[0].id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(made[0].id)
        assert [file.id for file in client.files.list()] == [made[2].id, made[1].id]


def accounts_of(house: House) -> list[int | None]:
    """Return the accounts of three uploads of one caller and one of another, each caller's on one of its own."""
    accounts = [request.account for request in house.fake.requests if "upload_id" not in request.query]
    assert accounts in ([0, 0, 0, 1], [1, 1, 1, 0])
    return accounts


@pytest.mark.parametrize("house", [("responses",)], indirect=True)
def test_R44_responses_of_one_upstream_are_bound_to_a_file_of_it(house: House) -> None:
    with house.openai() as client, house.openai("app") as other:
        clients = [client, client, client, other]
        made = [one.files.create(file=("a.png", CONTENT), purpose="vision") for one in clients]
        for one, file, account in zip(clients, made, accounts_of(house), strict=True):
            image: Any = {"type": "input_image", "file_id": file.id, "detail": "auto"}
            for _ in range(2):
                one.responses.create(model="responses/gpt-x", input=[{"role": "user", "content": [image]}])
                assert house.account == account


def test_R46_file_of_another_caller_is_not_there(house: House) -> None:
    with house.openai() as web, house.openai("app") as app:
        mine = web.files.create(file=("a.txt", b"mine"), purpose="user_data")
        count = len(house.fake.requests)
        for ask in (app.files.retrieve, app.files.delete, app.files.content):
            with pytest.raises(openai.NotFoundError, match="no such file"):
                ask(mine.id)
        part: Any = {"type": "file", "file": {"file_id": mine.id}}
        for spelled in (part, {"type": "text", "text": "x"}):
            content = [spelled, part]
            with pytest.raises(openai.NotFoundError) as caught:
                app.chat.completions.create(model="chat/gpt-x", messages=[{"role": "user", "content": content}])
            assert caught.value.param == "file_id"
        assert len(house.fake.requests) == count
        assert list(app.files.list()) == []
        assert [file.id for file in web.files.list()] == [mine.id]


def test_R44_unknown_file_is_looked_for_at_the_other_account_and_remembered(house: House) -> None:
    with OpenAI(base_url=f"{house.fake.url}/v1", api_key=KEYS[1]) as direct:
        file = direct.files.create(file=("a.txt", CONTENT), purpose="user_data")
    part: Any = {"type": "file", "file": {"file_id": file.id}}
    asked: Any = {"model": "chat/gpt-x", "messages": [{"role": "user", "content": [part]}]}
    with house.openai() as client:
        for _ in range(4):
            client.chat.completions.create(**asked)
        assert [request.account for request in house.fake.requests[1:]] in ([0, 1, 1, 1, 1], [1, 1, 1, 1])
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)
        missing: Any = {"type": "file", "file": {"file_id": "file-nobody"}}
        with pytest.raises(openai.NotFoundError, match="No such File"):
            client.chat.completions.create(model="chat/gpt-x", messages=[{"role": "user", "content": [missing]}])


# --- Anthropic --------------------------------------------------------------------------------------------------------


def test_R44_anthropic_sdk_uploads_uses_lists_and_deletes_files_of_two_accounts(house: House) -> None:
    with house.claude() as client, house.claude("app") as other:
        clients = [client, client, client, other]
        made = [one.beta.files.upload(file=("a.pdf", CONTENT, "application/pdf")) for one in clients]
        accounts = accounts_of(house)
        assert house.fake.requests[0].headers["anthropic-beta"] == "files-api-2025-04-14"
        assert client.beta.files.retrieve_metadata(made[0].id) == made[0]
        assert client.beta.files.download(made[1].id).read() == CONTENT
        assert [file.id for file in client.beta.files.list(limit=2)] == [file.id for file in made[2::-1]]
        for one, file, account in list(zip(clients, made, accounts, strict=True)) * 2:
            source: Any = {"type": "document", "source": {"type": "file", "file_id": file.id}}
            message: Any = {"role": "user", "content": [source, {"type": "text", "text": "What is this?"}]}
            asked: Any = {"model": "claude/claude-x", "max_tokens": 9, "messages": [message]}
            one.beta.messages.create(**asked, betas=["files-api-2025-04-14"])
            assert house.account == account
            with pytest.raises(anthropic.NotFoundError):
                (client if one is other else other).beta.messages.create(**asked)
        assert client.beta.files.delete(made[0].id).id == made[0].id
        with pytest.raises(anthropic.NotFoundError):
            client.beta.files.retrieve_metadata(made[0].id)
        assert [file.id for file in other.beta.files.list()] == [made[3].id]


# --- Google -----------------------------------------------------------------------------------------------------------


def test_R44_google_sdk_uploads_uses_lists_and_deletes_files_of_two_accounts(house: House, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(CONTENT)
    with house.google() as client, house.google("app") as other:
        clients = [client, client, client, other]
        made = [one.files.upload(file=str(path)) for one in clients]
        accounts = accounts_of(house)
        assert [request.account for request in house.fake.requests if "upload_id" in request.query] == accounts
        assert [(file.mime_type, file.size_bytes, file.display_name) for file in made] == [
            ("image/png", len(CONTENT), "picture.png")
        ] * 4
        assert client.files.get(name=str(made[0].name)) == made[0]
        pager = client.files.list(config={"page_size": 2})
        assert [file.name for file in pager] == [file.name for file in made[2::-1]]
        for one, file, account in list(zip(clients, made, accounts, strict=True)) * 2:
            contents: Any = [file, "What is this?"]
            one.models.generate_content(model="gemini/gemini-x", contents=contents)
            assert house.account == account
            with pytest.raises(errors.ClientError) as caught:
                (client if one is other else other).models.generate_content(model="gemini/gemini-x", contents=contents)
            assert caught.value.code == 404
        client.files.delete(name=str(made[0].name))
        with pytest.raises(errors.ClientError):
            client.files.get(name=str(made[0].name))
        assert [file.name for file in other.files.list()] == [made[3].name]


def test_google_sdk_uploads_a_file_in_several_calls(house: House) -> None:
    """Its pieces are of 8 MiB, and come without a credential: the name of the upload is one."""
    content = b"0123456789abcdef" * (9 * 65_536)
    with house.google() as client:
        file = client.files.upload(file=io.BytesIO(content), config={"mime_type": "text/plain"})
    assert file.size_bytes == len(content)
    assert [len(request.body) for request in house.fake.requests[1:]] == [8 * 1024 * 1024, 1024 * 1024]
    assert {request.account for request in house.fake.requests} == {house.account}
    assert {record.caller for record in house.records.wait(3)} == {"web"}
