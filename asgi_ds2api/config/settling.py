"""Settles what several keys mean together: presets, labels, names that refer to each other, who may come in.

First everything is checked (`check`), then, if nothing is wrong, values are made of it: those functions need no guard,
because nothing that they read can be missing.
"""

import itertools
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from ..budgets import CallerLimits
from ..codec import Codec
from ..presets import PRESETS, Preset
from ..prices import Price
from ..profiles import PROFILES, Profile
from . import texts
from .keys import AccountKey
from .reading import Reading, nearest
from .tables import AccountTable, AuthMode, ConfigTable, UpstreamTable
from .values import AccountConfig, CallerConfig, ModelAlias, StatusConfig, UpstreamConfig

NO_AUTHORIZE: Final = ('is "host", and no authorize= was given', "give it to Gateway, or configure callers")


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """How to mend that something is not there at all, in the form that the configuration has."""

    upstream: str
    caller: str


TOML_ADVICE: Final = Advice(
    upstream="""add one:
        [[upstreams]]
        name = "openai"
        preset = "openai"
        keys = ["env:OPENAI_API_KEY"]
        models = ["gpt-*"]""",
    caller="""add these lines, with DS2API_CALLER_KEY set to a key of your own (openssl rand -hex 32):
        [[callers]]
        label = "me"
        key = "env:DS2API_CALLER_KEY"
    or this one at the top, to let everybody in at your expense:
        auth = "none\"""",
)


def check(table: ConfigTable, reading: Reading, has_authorize: bool | None, advice: Advice) -> None:
    """Note every problem of keys that do not fit together.

    Args:
        table: As it was read.
        reading: Knows which parts of it are sound, and takes the problems.
        has_authorize: Whether the application says who a request comes from; None: nobody knows.
        advice: What to say where there is nothing.
    """
    if not table.upstreams and reading.is_sound("upstreams"):
        reading.conflict("upstreams", "no upstream is configured", advice.upstream)
    _check_unique(reading, ((f"prefix[{i}]", prefix) for i, prefix in enumerate(table.prefix)), "prefix")
    _check_unique(reading, _each(reading, "prefixes", table.prefixes, "path"), "path")
    _check_unique(reading, _each(reading, "upstreams", table.upstreams, "name"), "name")
    for at, upstream in reading.sound("upstreams", table.upstreams):
        _check_upstream(upstream, reading, at)
    _check_models(table, reading)
    _check_unique(reading, _each(reading, "callers", table.callers, "label"), "label")
    _check_unique(reading, _each(reading, "callers", table.callers, "key"), "key")
    _check_auth(table, reading, has_authorize, advice)
    _check_status(table, reading)


def _check_upstream(upstream: UpstreamTable, reading: Reading, at: str) -> None:
    if upstream.preset is None and (upstream.protocol is None or upstream.base_url is None):
        missing = "base_url" if upstream.protocol else "protocol" if upstream.base_url else "preset"
        reading.conflict(f"{at}.{missing}", "is missing", "an upstream has a preset, or a protocol and a base_url")
    preset = _preset(upstream)
    if preset is not None and preset.base_url is None and upstream.base_url is None:
        reading.conflict(f"{at}.base_url", "is missing", "this vendor has another one for each customer")
    protocol = upstream.protocol or (preset.protocol if preset else "openai_chat")
    if upstream.responses and protocol != "openai_chat":
        reading.conflict(f"{at}.responses", "acts with openai_chat alone", "leave it out")
    if upstream.keys and upstream.accounts:
        reading.conflict(f"{at}.keys", "stands beside accounts", "write all keys in one of the two")
    wants_key = preset is not None and preset.env is not None and upstream.base_url is None
    if preset is not None and wants_key and not upstream.keys and not upstream.accounts:
        reading.conflict(f"{at}.keys", "is missing", f'this vendor wants a key: keys = ["env:{preset.env}"]')
    _check_unique(reading, ((f"{at}.accounts[{i}].label", a.label) for i, a in enumerate(upstream.accounts)), "label")
    keys = [(f"{at}.keys[{i}]", key) for i, key in enumerate(upstream.keys)]
    keys += [(f"{at}.accounts[{i}].key", account.key) for i, account in enumerate(upstream.accounts)]
    _check_unique(reading, ((place, key.known) for place, key in keys if key.known is not None), "key")


def _check_models(table: ConfigTable, reading: Reading) -> None:
    _check_unique(reading, _each(reading, "models", table.models, "name"), "name")
    if not all(reading.is_sound(f"upstreams[{index}].name") for index in range(len(table.upstreams))):
        return  # a target may mean the upstream whose name could not be read
    names = {upstream.name for upstream in table.upstreams}
    for at, model in enumerate(table.models):
        for place, target in reading.sound(f"models[{at}].targets", model.targets or ()):
            upstream = target.partition("/")[0]
            if upstream not in names:
                close = nearest(upstream, names)
                mend = f"did you mean {close}?" if close else f"there are {', '.join(sorted(names))}"
                reading.conflict(place, "names no upstream", mend)


def _check_auth(table: ConfigTable, reading: Reading, has_authorize: bool | None, advice: Advice) -> None:
    mode = auth_mode(table, has_authorize)
    if not (reading.is_sound("auth") and reading.is_sound("callers")):
        return
    if mode == "callers" and not table.callers:
        reading.conflict("callers", "no caller is configured, so nobody could use this gateway", advice.caller)
    if mode == "host" and has_authorize is False:
        reading.conflict("auth", *NO_AUTHORIZE)


def _check_status(table: ConfigTable, reading: Reading) -> None:
    if table.status is None or not reading.is_sound("status"):
        return
    if any(caller.key == table.status.key for _, caller in reading.sound("callers", table.callers)):
        reading.conflict("status.key", "is the key of a caller", "make another one: openssl rand -hex 32")


def _each(
    reading: Reading, at: str, tables: Iterable[msgspec.Struct], key: str
) -> Iterator[tuple[str, Hashable]]:  # fmt: skip
    """Yield place and value of one key of every table where it is sound."""
    for index, table in enumerate(tables):
        place = f"{at}[{index}].{key}"
        value = getattr(table, key)
        if value is not None and reading.is_sound(place):
            yield place, value


def _check_unique(reading: Reading, values: Iterable[tuple[str, Hashable]], what: str) -> None:
    first: dict[Hashable, str] = {}
    for place, value in values:
        if value in first:
            reading.conflict(place, f"is the same {what} as {reading.shown(first[value])}", "each may be there once")
        first.setdefault(value, place)


# --- values: nothing is wrong any more --------------------------------------------------------------------------------


def auth_mode(table: ConfigTable, has_authorize: bool | None) -> AuthMode:
    """Return who decides, where it is not said: ``authorize=`` if it is all there is, else the callers."""
    if table.auth is not None:
        return table.auth
    return "host" if has_authorize and not table.callers else "callers"


def upstreams_of(table: ConfigTable, protocols: Mapping[str, Codec]) -> tuple[UpstreamConfig, ...]:
    """Return the upstreams in file order.

    Args:
        table: Without problems.
        protocols: What upstreams may speak, by name.
    """
    return tuple(_upstream(upstream, table, protocols) for upstream in table.upstreams)


def models_of(table: ConfigTable) -> tuple[ModelAlias, ...]:
    """Return the aliases in file order."""
    return tuple(ModelAlias(name=model.name, targets=model.targets) for model in table.models)


def callers_of(table: ConfigTable) -> tuple[CallerConfig, ...]:
    """Return the callers in file order."""
    return tuple(
        CallerConfig(
            label=caller.label,
            key=caller.key,
            models=caller.models,
            expires_at=caller.expires,
            limits=CallerLimits(**{name: getattr(caller, name) for name in CallerLimits.__struct_fields__}),
        )
        for caller in table.callers
    )


def status_of(table: ConfigTable) -> StatusConfig | None:
    """Return who may see and steer; None: nobody."""
    return None if table.status is None else StatusConfig(key=table.status.key, has_health=table.status.health)


def prices_of(table: ConfigTable) -> tuple[Price, ...]:
    """Return the application's own prices in file order."""
    return tuple(
        Price(
            model=row.model,
            input=row.input,
            output=row.output,
            cache_read=row.cache_read,
            cache_write=row.cache_write,
        )
        for row in table.prices
    )


def _upstream(upstream: UpstreamTable, table: ConfigTable, protocols: Mapping[str, Codec]) -> UpstreamConfig:
    preset = _preset(upstream)
    protocol = upstream.protocol or (preset.protocol if preset else None)
    base_url = upstream.base_url or (preset.base_url if preset else None)
    assert protocol is not None
    assert base_url is not None
    has_responses = bool(preset and preset.has_responses) if upstream.responses is None else upstream.responses
    profile = _profile(
        upstream, preset if preset and preset.protocol == protocol else None, protocols[protocol].DEFAULT_PROFILE
    )
    return UpstreamConfig(
        name=upstream.name,
        protocol=protocol,
        base_url=base_url,
        profile=profile,
        accounts=_accounts(upstream),
        models=upstream.models,
        on_unsupported=upstream.on_unsupported or table.on_unsupported,
        responses=has_responses and protocol == "openai_chat",
        files=(profile.exact and profile.path is None) if upstream.files is None else upstream.files,
        resume_pauses=table.resume_pauses if upstream.resume_pauses is None else upstream.resume_pauses,
        hedge=table.hedge if upstream.hedge is None else upstream.hedge,
        fan_out=table.fan_out if upstream.fan_out is None else upstream.fan_out,
        max_connections=upstream.max_connections,
        proxy=upstream.proxy,
        ca_file=upstream.ca_file,
        client_cert=upstream.client_cert,
        transport=upstream.transport,
        strategy=upstream.strategy or table.strategy,
        auto_reenable=table.auto_reenable if upstream.auto_reenable is None else upstream.auto_reenable,
    )


def _preset(upstream: UpstreamTable) -> Preset | None:
    return None if upstream.preset is None else PRESETS[upstream.preset]


def _profile(upstream: UpstreamTable, preset: Preset | None, default: Profile) -> Profile:
    """Return the dialect; a preset counts only where the upstream speaks the preset's protocol."""
    usual = PROFILES[preset.profile] if preset else default
    if upstream.profile is None:
        return usual
    base = upstream.profile.base
    return msgspec.structs.replace(usual if base is None else PROFILES[base], **upstream.profile.fields)


def _accounts(upstream: UpstreamTable) -> tuple[AccountConfig, ...]:
    if upstream.accounts:
        return tuple(_account(a, upstream) for a in upstream.accounts)
    if not upstream.keys:
        return (_key(upstream, "keyless", None),)
    labels: list[str] = []
    for number, key in enumerate(upstream.keys, 1):
        named = key.name if key.name and re.match(texts.NAME, key.name) else f"key-{number}"
        further = (f"{named}-{count}" for count in itertools.count(2))
        labels.append(next(label for label in itertools.chain((named,), further) if label not in labels))
    pairs = zip(labels, upstream.keys, strict=True)
    return tuple(_key(upstream, label, key) for label, key in pairs)


def _key(upstream: UpstreamTable, label: str, key: AccountKey | None) -> AccountConfig:
    """Return an account of which nothing is said but its key."""
    return AccountConfig(
        label=label,
        key=key,
        concurrency=upstream.concurrency,
        rpm=upstream.rpm,
        tpm=upstream.tpm,
        customer=upstream.customer or "",
    )


def _account(account: AccountTable, upstream: UpstreamTable) -> AccountConfig:
    return AccountConfig(
        label=account.label,
        key=account.key,
        weight=account.weight,
        concurrency=upstream.concurrency if account.concurrency is None else account.concurrency,
        rpm=upstream.rpm if account.rpm is None else account.rpm,
        tpm=upstream.tpm if account.tpm is None else account.tpm,
        models=account.models,
        customer=account.customer or upstream.customer or "",
    )
