"""Kept answers while shared state is out of reach: nobody is told that there is none who cannot know it."""

from pathlib import Path
from typing import Any

import pytest

from asgi_ds2api.gateway import Gateway
from tests.conformance.asking import response_answer
from tests.state.rig import Place, until_back
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import ScriptedUpstream

pytestmark = pytest.mark.anyio


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "state.sqlite")


def over(store: Any, id_: str) -> Gateway:
    """Return a gateway whose upstream gives its answers an id."""
    scripted = ScriptedUpstream(*[response_answer(id=id_)] * 9)
    return make_gateway(upstream("responses"), scripts={"responses": scripted}, store=store)


async def ask(gateway: Gateway, **fields: Any) -> Answer:
    return await call(gateway, "POST", "/v1/responses", json={"model": "responses/gpt-test", "input": "Hi", **fields})


async def whatever_needs(gateway: Gateway, id_: str) -> list[Answer]:
    """Ask for whatever needs a kept answer."""
    reference = {"type": "item_reference", "id": "msg_of_another_worker"}
    return [
        await ask(gateway, previous_response_id=id_),
        await ask(gateway, input=[reference, {"role": "user", "content": "On."}]),
        await call(gateway, "GET", f"/v1/responses/{id_}"),
        await call(gateway, "GET", f"/v1/responses/{id_}/input_items"),
        await call(gateway, "DELETE", f"/v1/responses/{id_}"),
    ]


async def test_F109_who_needs_an_answer_of_another_worker_is_told_to_try_again(place: Place) -> None:
    async with place.stores(2) as ((one, _), (two, moody)):
        moody.is_broken = True
        gateway = over(two, "resp_two")
        assert ((await ask(gateway)).status, two.is_alone) == (200, True)
        assert (await ask(over(one, "resp_one"))).status == 200
        told = {
            (answer.status, answer.header("x-ds2api-error"), answer.header("retry-after"))
            for answer in await whatever_needs(gateway, "resp_one")
        }
        assert told == {(503, "answer_unknown", "1")}
        moody.is_broken = False
        await until_back(place, two)
        assert (await ask(gateway, previous_response_id="resp_one")).status == 200


async def test_F109_own_answers_are_gone_on_from_all_the_same(place: Place) -> None:
    async with place.stores(1) as ((store, moody),):
        moody.is_broken = True
        gateway = over(store, "resp_one")
        assert (await ask(gateway)).status == 200
        assert ((await ask(gateway, previous_response_id="resp_one")).status, store.is_alone) == (200, True)
