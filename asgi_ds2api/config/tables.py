"""What may stand in a configuration: one Struct a table, one field a key, described where it is declared.

These Structs are the contract. Reading, the reference page and the JSON Schema are all made from them, so none of the
three can say something else. What has no default is required; None means "not said". Seconds end in ``_s``, bytes in
``_bytes``.

The values are those of a file as far as one key alone can tell. What several keys mean together is settled in
``settling``.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .. import budgets
from ..envelope import OnUnsupported
from ..secret import Secret
from . import texts
from .keys import Customer, proxy_secret
from .kinds import (
    AccountKey,
    BaseURL,
    CallerKey,
    FilePath,
    ModelGlob,
    ModelTarget,
    Name,
    OneOrList,
    Place,
    Prefix,
    PresetName,
    ProtocolWord,
    SealSecret,
    WebOrigin,
)
from .limits import Concurrency, Limits, PerMinute, Timeouts, TokensPerMinute
from .places import StatePlace
from .prefixes import PrefixTable
from .profile_choice import ProfileChoice, profile_choice

AuthMode = Literal["callers", "host", "none"]
Strategy = Literal["round_robin", "weighted", "least_inflight", "p2c_ewma", "fill_first"]
Transport = Literal["auto", "httpx"]


class AccountTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key of an upstream, with a label, a weight and limits."""

    label: Annotated[
        Name,
        Meta(
            description="What the log, the status and `x-ds2api-account` call it; unique within the upstream. Keep it "
            "when the key changes: what is known about the account is kept under it.",
            examples=["team-a"],
        ),
    ]
    key: Annotated[AccountKey, Meta(description="Where the key comes from.", examples=["env:OPENAI_API_KEY"])]
    weight: Annotated[
        float, Meta(description='Share of the traffic. Acts only with `strategy = "weighted"`.', gt=0, le=1_000)
    ] = 1.0
    concurrency: Concurrency = None
    rpm: PerMinute = None
    tpm: TokensPerMinute = None
    models: Annotated[
        tuple[ModelGlob, ...],
        Meta(
            description="The upstream's names of the models that this key may be used for, exact or as globs. "
            "Default: all.",
            examples=[["gpt-4o*"]],
            min_length=1,
        ),
    ] = ()
    customer: Customer = None


class UpstreamTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server that answers: a vendor, or one of your own.

    Either a `preset`, or `protocol` and `base_url`. A key that is given wins over the preset.
    """

    name: Annotated[
        Name,
        Meta(
            description="What targets, the log and `x-ds2api-served-by` call it. Callers may ask for `name/model`.",
            examples=["claude"],
        ),
    ]
    preset: Annotated[
        PresetName | None,
        Meta(
            description="A known vendor: protocol, address and dialect at once.",
            examples=["anthropic"],
        ),
    ] = None
    protocol: Annotated[ProtocolWord | None, Meta(description="What it speaks.", examples=["openai_chat"])] = None
    base_url: Annotated[
        BaseURL | None,
        Meta(
            description="What the paths of the protocol are appended to. Its keys are sent to this scheme, host, port "
            "and path prefix alone. For `openai_chat` it usually ends in `/v1`, for the others it does not.",
            examples=["http://127.0.0.1:8080/v1"],
        ),
    ] = None
    profile: Annotated[
        ProfileChoice | None,
        Meta(
            description="How its dialect differs from the protocol: a known one by name, or a table of the fields "
            "below, whose `base` names the one to start from. Default: the preset's, else the protocol to the letter.",
            examples=["lenient", {"base": "lenient", "json_schema": False}],
            extra={"read": profile_choice},
        ),
    ] = None
    keys: Annotated[
        tuple[AccountKey, ...],
        Meta(
            description="Short for `accounts`: each key is an account, labelled by its variable or file.",
            examples=[["env:ANTHROPIC_API_KEY", "file:/run/secrets/anthropic-b"]],
            min_length=1,
        ),
    ] = ()
    accounts: Annotated[
        tuple[AccountTable, ...],
        Meta(
            description="Its accounts. Neither these nor `keys`: a server that wants no key, and gets none.",
            examples=[[{"label": "a", "key": "env:LOCAL_A", "weight": 2}, {"label": "b", "key": "env:LOCAL_B"}]],
            min_length=1,
        ),
    ] = ()
    models: Annotated[
        tuple[ModelGlob, ...],
        Meta(
            description="Bare model names that it serves, exact or as globs. Without any it is asked only as "
            "`name/model` and as a target. Equal globs of several upstreams are a failover list in this order.",
            examples=[["claude-*"]],
            min_length=1,
        ),
    ] = ()
    on_unsupported: Annotated[
        OnUnsupported | None, Meta(description="In place of the general one.", examples=["reject"])
    ] = None
    responses: Annotated[
        bool | None,
        Meta(
            description="Whether a server of `openai_chat` speaks OpenAI Responses as well, under the same `base_url`: "
            "what its Chat refuses of a model (functions beside reasoning) is asked there. Default: the preset's.",
            examples=[True],
        ),
    ] = None
    files: Annotated[
        bool | None,
        Meta(
            description="Whether it has its vendor's paths for files (`/v1/files`). Of several of one vendor the first "
            "takes the uploads. Default: where it speaks its protocol to the letter.",
            examples=[False],
        ),
    ] = None
    fan_out: Annotated[bool | None, Meta(description="In place of the general one.", examples=[True])] = None
    resume_pauses: Annotated[bool | None, Meta(description="In place of the general one.", examples=[True])] = None
    hedge: Annotated[
        bool | None,
        Meta(
            description="In place of the general one. `false`: it is never asked beside another one either.",
            examples=[False],
        ),
    ] = None
    strategy: Annotated[
        Strategy | None, Meta(description="In place of the general one.", examples=["least_inflight"])
    ] = None
    auto_reenable: Annotated[bool | None, Meta(description="In place of the general one.", examples=[False])] = None
    concurrency: Concurrency = None
    rpm: PerMinute = None
    tpm: TokensPerMinute = None
    customer: Customer = None
    max_connections: Annotated[
        int,
        Meta(
            description="Requests at a time, over all its accounts; further ones wait up to `connect_s`. Each is a "
            "file beside the caller's own, and common limits on open files start at 1,024.",
            ge=1,
            le=100_000,
        ),
    ] = 1_000
    proxy: Annotated[
        Secret | None,
        Meta(
            description="Proxy to reach it by. With a user and a password in it: `env:NAME` or `file:PATH`. The "
            "environment's `HTTPS_PROXY` is not read.",
            examples=["http://proxy.example:3128", "env:PROXY_URL"],
            extra={"read": proxy_secret},
            extra_json_schema={"type": "string", "pattern": "^((https?|socks5h?)://|env:|file:)"},
        ),
    ] = None
    ca_file: Annotated[
        FilePath | None,
        Meta(description="PEM file with the only CAs to trust. Default: those of certifi.", examples=["ca.pem"]),
    ] = None
    client_cert: Annotated[
        FilePath | None,
        Meta(description="PEM file with a client certificate, its chain and its unencrypted key.", examples=["me.pem"]),
    ] = None
    transport: Annotated[
        Transport, Meta(description="HTTP client. `auto` takes the fastest that does what this upstream needs.")
    ] = "auto"


class ModelTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name that callers may ask for, and who serves it.

    Looked up in this order: an exact name here; `upstream/model`; of all globs, here and in `upstreams.models`, the one
    with the longest literal part.
    """

    name: Annotated[ModelGlob, Meta(description="The name as asked for, or a glob of names.", examples=["smart", "*"])]
    targets: Annotated[
        tuple[ModelTarget, ...],
        Meta(
            description="`upstream/model` in order of preference; failover goes down the list. `upstream/*` passes the "
            "asked name on.",
            examples=[["claude/claude-opus-5", "local/qwen"]],
            min_length=1,
        ),
    ]


class CallerTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who may use the gateway."""

    label: Annotated[Name, Meta(description="What the log and the Record call the caller.", examples=["web"])]
    key: Annotated[
        CallerKey,
        Meta(
            description="Where the caller's key comes from, or its SHA-256. At least 16 characters, and not guessable.",
            examples=["env:DS2API_CALLER_KEY", f"sha256:{'0f' * 32}"],
        ),
    ]
    models: Annotated[
        tuple[ModelGlob, ...],
        Meta(
            description="Names, as asked for, that the caller may use. A granted alias grants its targets.",
            min_length=1,
        ),
    ] = ("*",)
    expires: Annotated[
        float | None,
        Meta(
            description="From when on the key is nobody's: a date (then from its beginning, UTC) or a date and a time.",
            extra={"check": texts.moment},
            extra_json_schema={"type": "string", "examples": ["2027-01-31"]},
        ),
    ] = None
    concurrency: Annotated[budgets.AtATime | None, Meta(description="Requests at a time.", examples=[8])] = None
    rpm: Annotated[budgets.RequestsAMinute | None, Meta(description="Requests a minute.", examples=[60])] = None
    tpm: Annotated[
        budgets.TokensAMinute | None,
        Meta(
            description="Tokens a minute, in and out together. What a request needs is reserved before (a quarter of "
            "its bytes, and what its answer may have, else 1,024), and put right when its usage is known.",
            examples=[100_000],
        ),
    ] = None
    tokens_per_day: Annotated[
        budgets.Tokens | None,
        Meta(description="Tokens of a day (UTC), reserved and put right as those of a minute.", examples=[2_000_000]),
    ] = None
    tokens_per_month: Annotated[budgets.Tokens | None, Meta(description="The same of a month (UTC).")] = None
    usd_per_day: Annotated[
        budgets.Dollars | None,
        Meta(
            description="Dollars of a day (UTC), by list prices and `[[prices]]`. A model whose price nobody knows "
            "costs nothing here, and the log says so; its tokens count.",
            examples=[25],
        ),
    ] = None
    usd_per_month: Annotated[budgets.Dollars | None, Meta(description="The same of a month (UTC).", examples=[300])] = (
        None
    )


class StatusTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may see and steer a running gateway."""

    key: Annotated[
        CallerKey,
        Meta(
            description="Where the operator's key comes from, or its SHA-256. It opens `{prefix}/status` and nothing "
            "else, and is none of a caller's. Without this table there is no such path.",
            examples=["env:DS2API_STATUS_KEY"],
        ),
    ]
    health: Annotated[
        bool, Meta(description="`{prefix}/status/health` tells everybody whether the gateway is ready: 200, or 503.")
    ] = False


class PriceRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model costs, in dollars per million tokens."""

    model: Annotated[
        str,
        Meta(
            description="The upstream's name of the model, or `upstream/name`; exact or as a glob. The first that fits "
            "goes, before every list price that the gateway knows.",
            examples=["gpt-5*", "local/*"],
            min_length=1,
            extra={"check": texts.model_glob},
        ),
    ]
    input: Annotated[float, Meta(description="Of input.", ge=0, le=1e6, examples=[1.25])]
    output: Annotated[float, Meta(description="Of output, reasoning included.", ge=0, le=1e6, examples=[10])]
    cache_read: Annotated[
        Annotated[float, Meta(ge=0, le=1e6)] | None,
        Meta(description="Of input that came from a cache. Default: a tenth of `input`."),
    ] = None
    cache_write: Annotated[
        Annotated[float, Meta(ge=0, le=1e6)] | None,
        Meta(description="Of input put into one. Default: `input` times 1.25, twice `input` for an hour's."),
    ] = None


class ConfigTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    prefix: Annotated[
        tuple[Prefix, ...],
        OneOrList,
        Meta(
            description="Where the gateway lives in the host application; several are aliases of each other. The "
            "middleware's default; a mounted gateway and a whole app need none.",
            examples=[["/ai", "/v2/ai"]],
            min_length=1,
        ),
    ] = ("/ai",)
    auth: Annotated[
        AuthMode | None,
        Meta(
            description="Who may come in. `callers`: who has a key of `[[callers]]`. `host`: whom the application's "
            "`authorize=` lets in. `none`: everybody, at your expense. Default: `callers`; `host` if `authorize=` is "
            "given and there are no callers.",
            examples=["callers"],
        ),
    ] = None
    on_unsupported: Annotated[
        OnUnsupported,
        Meta(
            description="What happens to what an upstream has no word for. `notice`: the answer says so in "
            "`x-ds2api-notices`. `reject`: losses are a 400. `drop`: as `notice`, without the header. What an upstream "
            "says of itself goes before it; before both goes `[[prefixes]]`, and first `DS2APIMiddleware`'s argument."
        ),
    ] = "notice"
    fan_out: Annotated[
        bool,
        Meta(
            description="Several answers to one request (`n`, `candidateCount`) are asked for in several calls where "
            "the upstream gives one at a time; each is billed for its input. Otherwise they are refused there."
        ),
    ] = False
    resume_pauses: Annotated[
        bool,
        Meta(
            description="An answer that an upstream of `anthropic_messages` paused in the middle of its own tools "
            "(`pause_turn`) is gone on from, up to 5 times, if it is translated; each call is billed for its input. "
            "Otherwise the caller sees the pause as its protocol can show it."
        ),
    ] = False
    hedge: Annotated[
        bool,
        Meta(
            description="A request that has waited longer than 19 of 20 like it for the first words of its account is "
            "sent to a second account as well, on another server if there is one. The first valid event wins; the "
            "other request is broken off. **Both are billed.** Once a request, within `max_attempts` and the budget of "
            "retries; see [operating](operating.md)."
        ),
    ] = False
    secret: Annotated[
        tuple[SealSecret, ...],
        OneOrList,
        Meta(
            description="Seals what clients carry for the gateway. The first seals, all open: put a new one in front "
            "to rotate. Default: a random one, which dies with the process and which other workers do not know.",
            examples=["env:DS2API_SECRET", ["env:NEW", "env:OLD"]],
            min_length=1,
        ),
    ] = ()
    state: Annotated[
        Place,
        Meta(
            description="Where cooldowns, limits, budgets and kept answers are. `memory`: in each process by itself. "
            "`sqlite:PATH`: in a file that the workers of one machine share, made for its owner alone to read, as it "
            "holds kept answers. `redis://HOST:PORT/DB` (`rediss://`, `unix://`), or, where that holds a password, "
            "`env:NAME` or `file:PATH`: on a server that many machines share; needs the extra `redis`.",
            examples=["memory", "sqlite:ds2api.state", "env:REDIS_URL"],
        ),
    ] = StatePlace()
    state_pool: Annotated[
        str,
        Meta(
            description="Name of the pool on a Redis server: gateways that name the same one share their state, and "
            "must know the same accounts by the same labels.",
            pattern=r"^[A-Za-z0-9._-]{1,64}$",
        ),
    ] = "default"
    workers: Annotated[
        int,
        Meta(
            description="How many processes share the state. While it is out of reach, each of them gives out its part "
            "of every shared limit.",
            ge=1,
            le=10_000,
        ),
    ] = 1
    strict_budgets: Annotated[
        bool,
        Meta(
            description="While shared state is out of reach, callers who have budgets are refused (503). Without it "
            "each process goes on with its part of them, and what it used is counted when the state is back."
        ),
    ] = False
    strategy: Annotated[
        Strategy,
        Meta(
            description="Which open account of an upstream is next. `round_robin`: the one used longest ago. "
            "`weighted`: in proportion to `weight`. `least_inflight`: the one with the fewest requests at a time. "
            "`p2c_ewma`: of two drawn by chance the one that would answer sooner, by how soon it began its last "
            "answers. `fill_first`: the first of the list while it may be used, then the next."
        ),
    ] = "round_robin"
    auto_reenable: Annotated[
        bool,
        Meta(
            description="An account whose provider refused its key, or needs payment, is tried again: a key after 15 "
            "minutes, then after twice as long each time, up to a day, by a question that costs nothing; payment after "
            "30 minutes, up to 6 hours, by a request. Else it stays disabled until an operator says `reset`."
        ),
    ] = True
    debug_headers: Annotated[
        bool, Meta(description="Answers name the account (`x-ds2api-account`): its label, never its key.")
    ] = False
    route_headers: Annotated[
        bool,
        Meta(
            description="Answers tell their way: `x-ds2api-served-by`, `-attempts`, `-mode`. Their id is always sent."
        ),
    ] = True
    cors_origins: Annotated[
        tuple[WebOrigin, ...],
        Meta(
            description="Web origins whose pages may call the gateway with a key of their own; cookies are never "
            "allowed. Without any, preflights are refused: the host's own CORS layer belongs outside.",
            examples=[["https://app.example"]],
        ),
    ] = ()
    query_key: Annotated[
        bool,
        Meta(
            description="Callers of Gemini's protocol may send their key as `?key=`. Whatever this says, the key is "
            "taken out of the query before anything after the gateway sees it; what stands in front may have logged "
            'it. With `auth = "host"` the query is left to the application.'
        ),
    ] = False
    prefixes: tuple[PrefixTable, ...] = ()
    upstreams: tuple[UpstreamTable, ...] = ()
    models: tuple[ModelTable, ...] = ()
    callers: tuple[CallerTable, ...] = ()
    prices: tuple[PriceRow, ...] = ()
    status: StatusTable | None = None
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
