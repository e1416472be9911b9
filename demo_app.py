"""A small app with an AI gateway inside: `make demo`, or `python demo_app.py`. PORT= changes the port.

It needs no key: a fake AI vendor runs in the same process, and one of its two accounts is rate limited now and then, so
that failover is seen: ask twice (x-ds2api-attempts: 2). Set OPENAI_API_KEY or ANTHROPIC_API_KEY to talk to the real
ones as well.
"""

import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from starlette.types import Scope

from asgi_ds2api import Caller, DS2APIMiddleware, Gateway, Secret
from asgi_ds2api.testing import FakeUpstream

HOST, PORT = "127.0.0.1", int(os.environ.get("PORT", "8000"))
PROTOCOLS = [
    ("openai", "openai_chat", "/v1"),
    ("responses", "openai_responses", "/v1"),
    ("anthropic", "anthropic_messages", ""),
    ("gemini", "gemini_generate", ""),
    ("ollama", "ollama_chat", ""),
]
VENDORS = {"openai": ("OPENAI_API_KEY", "gpt-*"), "anthropic": ("ANTHROPIC_API_KEY", "claude-*")}


# --- the gateway: these lines are what you would add to an app of your own --------------------------------------------

KEYS = ["fake-key-of-account-one", "fake-key-of-account-two"]
fake = FakeUpstream(keys=KEYS, words_per_s=20, rate_limited_every={KEYS[0]: 2}, kept_requests=10).bind()


def config() -> dict[str, Any]:
    """Return what would be in your ds2api.toml: the fake, in each protocol, and the vendors whose keys are set."""
    # A key never stands in a configuration: "env:NAME" and "file:PATH" say where it is, or a function fetches it.
    accounts = [{"label": "one", "key": lambda: KEYS[0]}, {"label": "two", "key": lambda: KEYS[1]}]
    fakes = [
        {"name": f"demo-{name}", "protocol": protocol, "base_url": fake.url + path, "accounts": accounts}
        for name, protocol, path in PROTOCOLS
    ]
    real = [
        {"name": name, "preset": name, "keys": [f"env:{variable}"], "models": [models]}
        for name, (variable, models) in VENDORS.items()
        if os.environ.get(variable)
    ]
    return {
        "auth": "host",  # `authorize` says who may ask; see docs/configuration.md for callers with keys of their own
        "secret": Secret(
            secrets.token_hex(32)
        ),  # in a file: secret = "env:DS2API_SECRET", so that it outlives a restart
        "upstreams": [*fakes, *real],
        "models": [{"name": "demo", "targets": ["demo-openai/demo", "demo-anthropic/demo"]}],
    }


async def authorize(scope: Scope) -> Caller | None:
    """Let everybody in who asks from this machine; an app of your own looks at its sessions here."""
    host, _ = scope["client"] or ("", 0)
    return Caller(label="this machine") if host == HOST else None


gateway = Gateway(config(), authorize=authorize)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Run the fake vendor, then the gateway, as long as the app runs."""
    async with fake, gateway.lifespan(app):
        yield


# --- the app: a page and a route that have nothing to do with AI ------------------------------------------------------


async def page(request: Request) -> HTMLResponse:
    """Show what runs here, and a place to try it."""
    models = ["demo", *(f"demo-{name}/demo" for name, _, _ in PROTOCOLS)]
    return HTMLResponse(PAGE.replace("OPTIONS", "".join(f"<option>{model}</option>" for model in models)))


async def time(request: Request) -> JSONResponse:
    """Tell the time: the app's own routes are as they were."""
    return JSONResponse({"time": datetime.now(UTC).isoformat(timespec="seconds")})


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>asgi_ds2api demo</title>
<style>
  body { font: 16px/1.5 system-ui; max-width: 44rem; margin: 3rem auto; padding: 0 1rem }
  pre { background: #f3f3f3; padding: 1rem; min-height: 4rem; white-space: pre-wrap } input { width: 24rem }
</style>
<h1>An app with an AI gateway inside</h1>
<p>This page and <a href="/api/time">/api/time</a> belong to the app. Everything under <code>/ai</code> is the gateway:
any of these clients reaches any of these models. The vendor is a fake, with two accounts.</p>
<form>
  <p><label>Speak <select name="protocol"></select></label> <label>to <select name="model">OPTIONS</select></label></p>
  <p><input name="text" aria-label="Message" value="Hello! Who are you?"> <button>Send</button></p>
</form>
<pre id="answer" aria-live="polite"></pre><pre id="headers"></pre>
<script>
const [form, answer, shown] = ['form', '#answer', '#headers'].map(name => document.querySelector(name))
const said = text => [{role: 'user', content: text}]
const faces = {
  'OpenAI Chat': [() => '/v1/chat/completions', text => ({messages: said(text)}), e => e.choices?.[0]?.delta.content],
  'OpenAI Responses': [() => '/v1/responses', input => ({input}), e => e.type.endsWith('text.delta') && e.delta],
  'Anthropic Messages': [() => '/v1/messages', text => ({max_tokens: 500, messages: said(text)}), e => e.delta?.text],
  'Gemini': [model => `/v1beta/models/${encodeURIComponent(model)}:streamGenerateContent?alt=sse`,
    text => ({contents: [{role: 'user', parts: [{text}]}]}), e => e.candidates?.[0]?.content.parts?.[0]?.text],
  'Ollama': [() => '/api/chat', text => ({messages: said(text)}), e => e.message?.content],
}
form.protocol.append(...Object.keys(faces).map(name => new Option(name)))
form.onsubmit = async event => {
  event.preventDefault()
  const {protocol, model, text} = Object.fromEntries(new FormData(form))
  const [path, ask, words] = faces[protocol]
  const body = protocol === 'Gemini' ? ask(text) : {model, stream: true, ...ask(text)}
  answer.textContent = shown.textContent = ''
  const response = await fetch('/ai' + path(model), {
    method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(body)})
  const seen = [...response.headers].filter(([name]) => name.startsWith('x-ds2api-'))
  shown.textContent = [`HTTP ${response.status}`, ...seen.map(([name, value]) => `${name}: ${value}`)].join('\\n')
  if (!response.ok) { answer.textContent = await response.text(); return }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  for (let rest = '', part; !(part = await reader.read()).done;) {
    const lines = (rest + part.value).split('\\n')
    rest = lines.pop()
    for (const line of lines)
      if (/^(data: )?{/.test(line)) {
        const told = JSON.parse(line.replace('data: ', ''))
        answer.textContent += told.error?.message ?? (words(told) || '')
      }
  }
}
</script>"""

app = Starlette(routes=[Route("/", page), Route("/api/time", time)], lifespan=lifespan)
app.add_middleware(DS2APIMiddleware, gateway=gateway, prefix="/ai")


def greeting(url: str) -> str:
    """Return what to try, ready to paste."""
    messages = '[{"role": "user", "content": "Hello!"}]'
    body = f'"model": "demo", "messages": {messages}'
    client = f'OpenAI(base_url="{url}/ai/v1", api_key="any")'
    answer = f'{client}.chat.completions.create(model="demo", messages={messages})'
    return f"""
A small app with an AI gateway inside: {url}. Open it, or paste one of these:

curl -i {url}/ai/v1/chat/completions -H 'content-type: application/json' -d '{{{body}}}'

curl -iN {url}/ai/v1/messages -H 'content-type: application/json' \\
  -d '{{"max_tokens": 500, "stream": true, {body}}}'

{sys.executable} -c 'from openai import OpenAI; print({answer}.choices[0].message.content)'
"""


if __name__ == "__main__":
    print(greeting(f"http://{HOST}:{PORT}"), flush=True)
    uvicorn.run(app, host=HOST, port=PORT, log_level="warning")
