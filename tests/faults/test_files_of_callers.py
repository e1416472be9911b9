"""R-44 and R-46 over a whole gateway: an uploaded file is found again, at its account and by its caller alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asgi_ds2api import Gateway
from asgi_ds2api.secret import Secret
from asgi_ds2api.testing import FakeUpstream
from tests.support.asgi_driver import Exchange, call
from tests.support.gateways import make_gateway, upstream

from .uploading import CALLERS, FORM, KEYS, bearer, form, naming, over, uploaded

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream(keys=KEYS) as fake:
        yield fake


async def test_R44_file_is_known_after_a_restart_and_to_other_workers(fake: FakeUpstream, tmp_path: Path) -> None:
    place = f"sqlite:{tmp_path / 'state'}"
    first, second = over(fake, state=place), over(fake, state=place)
    async with second.lifespan():
        async with first.lifespan():
            id_ = await uploaded(first)
            owner = fake.requests[0].account
            await ask_of_it(second, id_, fake, owner)
        third = over(fake, state=place)
        async with third.lifespan():
            await ask_of_it(third, id_, fake, owner)
            listed = await call(third, "GET", "/v1/files", headers=bearer())
            assert [file["id"] for file in json.loads(listed.body)["data"]] == [id_]


async def ask_of_it(gateway: Gateway, id_: str, fake: FakeUpstream, owner: int | None) -> None:
    for _ in range(2):
        answer = await call(gateway, "POST", "/v1/chat/completions", json=naming(id_), headers=bearer())
        assert (answer.status, fake.requests[-1].account) == (200, owner)
    assert (await call(gateway, "GET", f"/v1/files/{id_}", headers=bearer())).status == 200
    assert (await call(gateway, "GET", f"/v1/files/{id_}", headers=bearer("app"))).status == 404


async def test_R44_files_of_a_caller_go_to_one_account_and_those_of_two_are_not_read_together(
    fake: FakeUpstream,
) -> None:
    gateway = over(fake)
    together = [await uploaded(gateway) for _ in range(3)]
    home = fake.requests[0].account
    assert {request.account for request in fake.requests} == {home}
    answer = await call(gateway, "POST", "/v1/chat/completions", json=naming(*together), headers=bearer())
    assert (answer.status, fake.requests[-1].account) == (200, home)
    gateway.override(f"chat/a{home}", "disable")
    apart = [together[0], await uploaded(gateway)]
    gateway.override(f"chat/a{home}", "enable")
    count = len(fake.requests)
    answer = await call(gateway, "POST", "/v1/chat/completions", json=naming(*apart), headers=bearer())
    assert (answer.status, len(fake.requests)) == (400, count)
    error: Any = answer.json()["error"]
    assert (error["param"], error["code"]) == ("file_id", "invalid_value")
    assert "with different accounts" in error["message"]
    assert "Upload again the files that are used together." in error["message"]


def asking(text: str, *ids: str, **more: Any) -> dict[str, Any]:
    """Return a question in Responses about files."""
    parts = [{"type": "input_file", "file_id": id_} for id_ in ids]
    content = [*parts, {"type": "input_text", "text": text}]
    return {"model": "responses/m", "input": [{"role": "user", "content": content}], **more}


async def test_R44_file_and_the_answer_that_is_gone_on_from_are_with_one_account(fake: FakeUpstream) -> None:
    gateway = over(fake, "responses", timeouts={"affinity_s": 0})
    first = await call(gateway, "POST", "/v1/responses", json=asking("One"), headers=bearer())
    id_ = await uploaded(gateway)
    assert fake.requests[0].account != fake.requests[1].account
    body = asking("Two", id_, previous_response_id=first.json()["id"])
    answer = await call(gateway, "POST", "/v1/responses", json=body, headers=bearer())
    assert (answer.status, "another account than the answer" in answer.text) == (400, True)
    assert len(fake.requests) == 2


async def test_R44_talk_in_which_a_file_was_named_stays_with_its_account(fake: FakeUpstream) -> None:
    accounts = [{"label": f"a{n}", "key": Secret(key)} for n, key in enumerate(KEYS)]
    table = upstream("responses", url=fake.url, profile="lenient", files=True) | {"accounts": accounts}
    gateway = make_gateway(table, timeouts={"affinity_s": 0})
    made = await call(gateway, "POST", "/v1/files", body=form(), headers=FORM)
    body = asking("One", str(made.json()["id"]))
    for _ in range(4):
        answer = await call(gateway, "POST", "/v1/responses", json=body)
        assert (answer.status, fake.requests[-1].account) == (200, fake.requests[0].account), answer.text
        body = {"model": "responses/m", "input": "More", "previous_response_id": answer.json()["id"]}


async def test_file_of_a_gateway_without_callers_is_found_again_after_its_memory_is_gone(fake: FakeUpstream) -> None:
    def fresh() -> Gateway:
        accounts = [{"label": f"a{n}", "key": Secret(key)} for n, key in enumerate(KEYS)]
        return make_gateway(upstream("chat", url=fake.url) | {"accounts": accounts})

    for _ in range(2):
        made = await call(fresh(), "POST", "/v1/files", body=form(), headers=FORM)
        gateway = fresh()
        for path in ("", "/content"):
            assert (await call(gateway, "GET", f"/v1/files/{made.json()['id']}{path}")).status == 200
    assert (await call(fresh(), "GET", "/v1/files/file-nobody")).status == 404


async def test_list_needs_the_accounts_that_have_files_of_its_caller_and_no_other(fake: FakeUpstream) -> None:
    """An account that is out is nothing to those who have no file there; to the others a part would look like all."""
    gateway = over(fake)
    id_ = await uploaded(gateway)
    home = fake.requests[0].account
    gateway.override(f"chat/a{1 - int(home or 0)}", "disable")
    answer = await call(gateway, "GET", "/v1/files", headers=bearer())
    assert [file["id"] for file in json.loads(answer.body)["data"]] == [id_]
    gateway.override(f"chat/a{home}", "disable")
    answer = await call(gateway, "GET", "/v1/files", headers=bearer())
    assert (answer.status, answer.header("x-ds2api-error")) == (503, "no_capacity")
    count = len(fake.requests)
    answer = await call(gateway, "GET", "/v1/files", headers=bearer("app"))
    assert (answer.status, answer.json()["data"], len(fake.requests)) == (200, [], count)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_file_that_its_vendor_has_no_more_is_forgotten(fake: FakeUpstream, method: str) -> None:
    gateway = over(fake)
    id_ = await uploaded(gateway)
    await call(gateway, "DELETE", f"/v1/files/{id_}", headers=bearer())
    count = len(fake.requests)
    answer = await call(gateway, method, f"/v1/files/{id_}", headers=bearer())
    assert (answer.status, len(fake.requests)) == (404, count)


async def test_R46_name_that_is_written_with_escapes_is_the_same_file(fake: FakeUpstream) -> None:
    gateway = over(fake)
    id_ = await uploaded(gateway)
    body = json.dumps(naming(id_)).replace("file_id", "\\u0066ile_id").encode()
    headers = {"content-type": "application/json"}
    answer = await call(gateway, "POST", "/v1/chat/completions", body=body, headers=headers | bearer("app"))
    assert answer.status == 404
    for _ in range(2):
        answer = await call(gateway, "POST", "/v1/chat/completions", body=body, headers=headers | bearer())
        assert (answer.status, fake.requests[-1].account) == (200, fake.requests[0].account)


@pytest.mark.parametrize("more", [{"type": "file_path"}, {"file_id": "file-b"}, {"annotations": []}])
async def test_R46_nothing_beside_a_name_hides_it(fake: FakeUpstream, more: dict[str, object]) -> None:
    gateway = over(fake)
    id_ = await uploaded(gateway)
    beside = json.dumps(more).strip("{}")
    body = json.dumps(naming(id_)).replace(f'"{id_}"', f'"{id_}", {beside}').encode()
    headers = {"content-type": "application/json"} | bearer("app")
    answer = await call(gateway, "POST", "/v1/chat/completions", body=body, headers=headers)
    assert (answer.status, len(fake.requests)) == (404, 1)


@pytest.mark.parametrize("host", ["generativelanguage.googleapis.com", "GenerativeLanguage.mtls.googleapis.com.:443"])
async def test_R46_google_file_is_no_picture_of_the_web(fake: FakeUpstream, host: str) -> None:
    """The account's key would read it, whoever uploaded it."""
    gateway = over(fake, "gemini")
    picture = {"type": "image_url", "image_url": {"url": f"https://{host}/v1beta/files/abc"}}
    body = {"model": "gemini/m", "messages": [{"role": "user", "content": [picture]}]}
    answer = await call(gateway, "POST", "/v1/chat/completions", json=body, headers=bearer())
    assert (answer.status, answer.header("x-ds2api-error"), fake.requests) == (400, "unsupported_value", ())


async def test_gateway_that_remembers_no_files_has_no_path_for_them(fake: FakeUpstream) -> None:
    gateway = over(fake, timeouts={"files_s": 0})
    for method, path in (("POST", "/v1/files"), ("GET", "/v1/files"), ("GET", "/v1/files/file-1")):
        answer = await call(gateway, method, path, headers=bearer())
        assert (answer.status, answer.header("x-ds2api-error")) == (404, "unknown_url")


async def test_upstream_that_keeps_no_files_is_not_asked_for_any(fake: FakeUpstream) -> None:
    accounts = [{"label": "a", "key": Secret(KEYS[0])}]
    plain = {"accounts": accounts, "protocol": "openai_chat"}
    without = upstream("without", url=fake.url, files=False) | plain | {"base_url": f"{fake.url}/v1"}
    lenient = upstream("lenient", url=fake.url, profile="lenient") | plain | {"base_url": f"{fake.url}/v1"}
    gateway = make_gateway(without, lenient)
    assert (await call(gateway, "POST", "/v1/files", body=form(), headers=FORM)).status == 404
    gateway = make_gateway(without, lenient | {"files": True})
    answer = await call(gateway, "POST", "/v1/files", body=form(), headers=FORM)
    assert (answer.status, answer.header("x-ds2api-served-by")) == (200, "lenient")


async def test_B35_caller_who_may_ask_nothing_of_an_upstream_uploads_nothing_there(fake: FakeUpstream) -> None:
    key = {"label": "web", "key": Secret(CALLERS["web"])}
    for models, status in ((["gpt-test"], 200), (["gpt-*"], 200), (["chat/*"], 200), (["claude-*"], 403)):
        gateway = over(fake, callers=[key | {"models": models}])
        answer = await call(gateway, "POST", "/v1/files", body=form(), headers=FORM | bearer())
        assert (models, answer.status) == (models, status)


async def test_upload_counts_among_the_requests_of_its_caller_and_costs_no_tokens(fake: FakeUpstream) -> None:
    limits = {"concurrency": 1, "tokens_per_day": 100}
    gateway = over(fake, callers=[{"label": "web", "key": Secret(CALLERS["web"])} | limits])
    for _ in range(3):
        body = form(bytes(10_000))
        assert (await call(gateway, "POST", "/v1/files", body=body, headers=FORM | bearer())).status == 200
    async with Exchange(gateway, "POST", "/v1/files", body=None, headers=FORM | bearer()) as exchange:
        exchange.upload(b"x")
        while not gateway._engine.spenders.in_flight("web"):  # noqa: ASYNC110  nothing sets an event when it is admitted
            await asyncio.sleep(0)  # lets the upload begin
        answer = await call(gateway, "GET", "/v1/files", headers=bearer())
        assert (answer.status, answer.header("x-ds2api-error")) == (429, "caller_rate_limited")


async def test_content_is_told_as_an_attachment(fake: FakeUpstream) -> None:
    gateway = over(fake)
    page = form(b"<script>").replace(b"text/plain", b"text/html")
    answer = await call(gateway, "POST", "/v1/files", body=page, headers=FORM | bearer())
    answer = await call(gateway, "GET", f"/v1/files/{answer.json()['id']}/content", headers=bearer())
    assert (answer.body, answer.header("content-type")) == (b"<script>", "text/html")
    assert (answer.header("content-disposition"), answer.header("x-content-type-options")) == ("attachment", "nosniff")
