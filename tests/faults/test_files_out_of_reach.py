"""Files while shared state is out of reach: none is shown to another caller, and none is taken from its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asgi_ds2api.secret import Secret
from asgi_ds2api.testing import FakeUpstream
from tests.state.rig import Place, until_back
from tests.support.asgi_driver import call
from tests.support.gateways import make_gateway, upstream

from .uploading import CALLERS, FORM, KEYS, bearer, begun, form, naming, over, uploaded

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream(keys=KEYS) as fake:
        yield fake


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "state.sqlite")


async def test_file_is_refused_to_all_as_long_as_nobody_can_say_whose_it_is_and_its_owner_s_again_then(
    fake: FakeUpstream, place: Place
) -> None:
    async with place.stores(1) as ((one, _),):
        id_ = await uploaded(over(fake, store=one))
    count = len(fake.requests)
    async with place.stores(2) as ((two, moody), (three, _)):
        gateway = over(fake, store=two)
        moody.is_broken = True
        for caller in CALLERS:
            answers = [
                await call(gateway, "POST", "/v1/chat/completions", json=naming(id_), headers=bearer(caller)),
                await call(gateway, "GET", f"/v1/files/{id_}", headers=bearer(caller)),
                await call(gateway, "DELETE", f"/v1/files/{id_}", headers=bearer(caller)),
                await call(gateway, "GET", "/v1/files", headers=bearer(caller)),
            ]
            told = {
                (answer.status, answer.header("x-ds2api-error"), answer.header("retry-after")) for answer in answers
            }
            assert told == {(503, "owner_unknown", "1")}
        assert len(fake.requests) == count
        moody.is_broken = False
        await until_back(place, two)
        await two.settled()
        for each in (gateway, over(fake, store=three)):
            for caller, statuses in (("web", (200, 200)), ("app", (404, 404))):
                asked = await call(each, "POST", "/v1/chat/completions", json=naming(id_), headers=bearer(caller))
                looked = await call(each, "GET", f"/v1/files/{id_}", headers=bearer(caller))
                assert (caller, (asked.status, looked.status)) == (caller, statuses)


async def test_file_that_this_worker_knows_is_served_all_the_same(fake: FakeUpstream, place: Place) -> None:
    async with place.stores(1) as ((store, moody),):
        gateway = over(fake, store=store)
        moody.is_broken = True
        id_ = await uploaded(gateway)
        assert store.is_alone
        for caller, status in (("web", 200), ("app", 404)):
            answer = await call(gateway, "POST", "/v1/chat/completions", json=naming(id_), headers=bearer(caller))
            assert (caller, answer.status) == (caller, status)


async def test_where_callers_are_one_a_file_is_asked_for_all_the_same(fake: FakeUpstream, place: Place) -> None:
    accounts = [{"label": f"a{n}", "key": Secret(key)} for n, key in enumerate(KEYS)]
    async with place.stores(2) as ((one, _), (two, moody)):
        table = upstream("chat", url=fake.url) | {"accounts": accounts}
        first, second = make_gateway(table, store=one), make_gateway(table, store=two)
        moody.is_broken = True
        made = await call(first, "POST", "/v1/files", body=form(), headers=FORM)
        answer = await call(second, "POST", "/v1/chat/completions", json=naming(str(made.json()["id"])))
        assert (answer.status, two.is_alone) == (200, True)


async def test_file_whose_name_its_caller_may_have_chosen_is_not_taken_over_unseen(
    fake: FakeUpstream, place: Place
) -> None:
    """Google's clients may: it could be the name of another's. OpenAI and Anthropic give names that nobody had."""
    last = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    async with place.stores(1) as ((store, moody),):
        gateway = over(fake, "gemini", "chat", store=store)
        moody.is_broken = True
        await uploaded(gateway)
        url = str((await begun(gateway)).header("x-goog-upload-url"))
        query = url.partition("?")[2]
        answer = await call(gateway, "POST", "/upload/v1beta/files", body=b"data", headers=last, query=query)
        assert (answer.status, answer.header("x-ds2api-error")) == (503, "owner_unknown")


async def test_upload_that_cannot_be_looked_up_is_not_said_to_be_none(fake: FakeUpstream, place: Place) -> None:
    async with place.stores(1) as ((one, _),):
        url = str((await begun(over(fake, "gemini", store=one))).header("x-goog-upload-url"))
    async with place.stores(1) as ((two, moody),):
        moody.is_broken = True
        answer = await call(
            over(fake, "gemini", store=two), "POST", "/upload/v1beta/files", body=b"data", query=url.partition("?")[2]
        )
        assert (answer.status, answer.header("x-ds2api-error")) == (503, "owner_unknown")
