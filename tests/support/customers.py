"""A vendor of Responses whose accounts belong to different customers, and a conversation that is sealed for one."""

import json
from typing import Any

from asgi_ds2api.upstream.contract import UpstreamRequest
from tests.conformance.asking import HELLO, error, response_answer, response_events, response_stream, said_item
from tests.support.asgi_driver import call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.scripted_client import Script, ScriptedUpstream


class Customers:
    """A vendor with accounts of several customers, who seals reasoning for one of them; asked on his own face.

    Args:
        owner: Number of the account that can read it; None: none can.
        accounts: How many there are.
        profile: Of the upstream.
        policy: What the upstream says of losses.
    """

    def __init__(self, owner: int | None, *, accounts: int, profile: Any, **policy: Any) -> None:
        self._owner = owner
        self.asked: list[tuple[int, bool]] = []
        """Account and whether it was sent the ciphertext, of each call."""
        self._scripted, self._records = ScriptedUpstream.by_request(self._reply), Records()
        table = {**upstream("responses", accounts=accounts, profile=profile), **policy}
        self._gateway = make_gateway(table, scripts={"responses": self._scripted}, hooks=[self._records])
        self.answer: Any = None

    def _reply(self, request: UpstreamRequest) -> Script:
        key = dict(request.headers)[b"authorization"]
        number = int(key[key.rindex(b"-") + 1 :])
        is_sealed = b"CIPHER" in request.body
        self.asked.append((number, is_sealed))
        if is_sealed and number != self._owner:
            what = {"message": "The encrypted content CIPHER could not be verified.", "param": None}
            return error(400, {"error": {**what, "type": "invalid_request_error", "code": "invalid_encrypted_content"}})
        wants_stream = b'"stream":true' in request.body
        return response_stream(response_events(said_item("Hi"))) if wants_stream else response_answer()

    async def ask(self, **fields: Any) -> int:
        thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "CIPHER"}
        said = {"type": "message", "id": "msg_1", "role": "assistant", "content": "Hm."}
        items = [*HELLO, thought, said, {"role": "user", "content": "On."}]
        body = {"model": "responses/m", "store": False, "input": items, **fields}
        answer = await call(self._gateway, "POST", "/v1/responses", json=body)
        lines = [line[6:] for line in answer.text.split("\n") if line.startswith("data: {")]
        self.answer = json.loads(lines[-1])["response"] if lines else json.loads(answer.body)
        return answer.status

    @property
    def sent(self) -> Any:
        return self._scripted.calls[-1].json()

    @property
    def notices(self) -> dict[str, str]:
        return {notice.path: notice.severity for notice in self._records[-1].notices}
