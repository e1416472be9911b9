"""`Gateway.override`: accounts are steered by the application's own code."""

import pytest

from asgi_ds2api.errors import UnknownItem
from asgi_ds2api.gateway import Gateway
from tests.support.gateways import make_gateway, upstream


def states(gateway: Gateway) -> list[str]:
    return [account["state"] for account in gateway.status()["pool"]["accounts"]]


def test_application_disables_and_enables_an_account() -> None:
    gateway = make_gateway(upstream("chat", accounts=2))
    gateway.override("chat/a0", "disable")
    assert (states(gateway), gateway.status()["ready"]) == (["disabled", "healthy"], True)
    gateway.override("chat/a1", "disable")
    assert gateway.status()["ready"] is False
    gateway.override("chat/a0", "reset")
    gateway.override("chat/a0", "enable")
    assert states(gateway) == ["healthy", "disabled"]


def test_account_that_is_not_configured_is_told() -> None:
    with pytest.raises(UnknownItem):
        make_gateway(upstream("chat")).override("claude/a0", "disable")
