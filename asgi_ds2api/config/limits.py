"""Bounds of everything that a caller or an upstream may make long, large or slow, with their defaults and reasons."""

from typing import Annotated

import msgspec
from msgspec import Meta

KIB = 1024
MIB = 1024 * 1024
DAY_S = 86_400

Concurrency = Annotated[
    Annotated[int, Meta(ge=1, le=100_000)] | None,
    Meta(
        description="Requests at a time; further ones go elsewhere, or wait (`queue_s`). Of an upstream: each of its "
        "accounts, unless the account has its own. Default: no limit.",
        examples=[4],
    ),
]
PerMinute = Annotated[
    Annotated[float, Meta(gt=0, le=10_000_000)] | None,
    Meta(
        description="Requests a minute, over all models; in other respects like `concurrency`. Limits that an upstream "
        "tells in its headers (`x-ratelimit-*`, `anthropic-ratelimit-*`) are kept in any case.",
        examples=[500],
    ),
]
TokensPerMinute = Annotated[
    Annotated[float, Meta(gt=0, le=100_000_000_000)] | None,
    Meta(
        description="Tokens a minute, in and out together, over all models; in other respects like `concurrency`. What "
        "a request needs is estimated before (a quarter of its bytes, and what its answer may have), and put right "
        "when the usage is known.",
        examples=[200_000],
    ),
]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes and counts. A request over one is refused with a 4xx in the caller's protocol; no upstream is asked."""

    max_body_bytes: Annotated[
        int, Meta(description="Body of a request, after decompression as well.", ge=KIB, le=1024 * MIB)
    ] = 32 * MIB
    max_upload_bytes: Annotated[
        int,
        Meta(
            description="A file that is uploaded: as much as OpenAI and Anthropic take. It is passed on while it "
            "comes, and never held.",
            ge=KIB,
            le=64 * 1024 * MIB,
        ),
    ] = 512 * MIB
    max_depth: Annotated[int, Meta(description="Nesting of arrays and objects in a JSON body.", ge=16, le=256)] = 128
    max_messages: Annotated[int, Meta(description="Messages of a request that is translated.", ge=1, le=1_000_000)] = (
        20_000
    )
    max_parts: Annotated[
        int, Meta(description="Content parts of one message that is translated.", ge=1, le=1_000_000)
    ] = 2_000
    max_tools: Annotated[int, Meta(description="Tools of a request that is translated.", ge=1, le=100_000)] = 512
    max_schema_bytes: Annotated[
        int, Meta(description="One JSON Schema of a request that is translated.", ge=KIB, le=64 * MIB)
    ] = 4 * MIB
    max_stop: Annotated[int, Meta(description="Stop sequences of a request that is translated.", ge=1, le=10_000)] = 64
    max_inputs: Annotated[
        int,
        Meta(
            description="Texts of one batch of embeddings that is translated: as many as OpenAI takes.",
            ge=1,
            le=100_000,
        ),
    ] = 2_048
    max_prompts: Annotated[
        int,
        Meta(description="Prompts of one request for legacy completions; each is asked by itself.", ge=1, le=10_000),
    ] = 128
    max_choices: Annotated[
        int, Meta(description="Answers to one request that are asked for one at a time (`fan_out`).", ge=2, le=128)
    ] = 8
    max_headers: Annotated[int, Meta(description="Headers of a request.", ge=16, le=10_000)] = 200
    max_header_bytes: Annotated[int, Meta(description="All headers of a request.", ge=KIB, le=MIB)] = 64 * KIB
    max_header_value_bytes: Annotated[
        int, Meta(description="One header of a request, credentials apart.", ge=256, le=64 * KIB)
    ] = 8 * KIB
    max_query_bytes: Annotated[int, Meta(description="Query of a request.", ge=0, le=64 * KIB)] = 4 * KIB
    max_event_bytes: Annotated[
        int,
        Meta(
            description="One event of an upstream's stream, or its whole answer: room for an image in base64.",
            ge=64 * KIB,
            le=256 * MIB,
        ),
    ] = 16 * MIB
    max_kept_bytes: Annotated[
        int,
        Meta(
            description="All that is kept in memory between requests for callers; the least recently used goes first. "
            "A `store` of the application's own has its own bounds.",
            ge=0,
            le=16 * 1024 * MIB,
        ),
    ] = 64 * MIB
    max_kept_answer_bytes: Annotated[
        int,
        Meta(
            description="An answer of OpenAI Responses with all the input that led to it; a larger one is not kept "
            "(see `answers_s`).",
            ge=KIB,
            le=256 * MIB,
        ),
    ] = 8 * MIB
    max_kept_reasoning_bytes: Annotated[
        int,
        Meta(
            description="What a model thought in one turn that calls tools; more is not kept (see `reasoning_s`).",
            ge=KIB,
            le=256 * MIB,
        ),
    ] = MIB
    max_attempts: Annotated[
        int,
        Meta(
            description="Upstream calls for one request, the first included. Where none of the accounts asked can read "
            "sealed reasoning, one more goes without it.",
            ge=1,
            le=10,
        ),
    ] = 3
    max_waiting: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)] | None,
        Meta(
            description="Requests that wait for an account at a time (`queue_s`); callers take turns, and a full line "
            "takes somebody only in place of the caller who waits most. Default: twice the `concurrency` of all "
            "accounts together, at least 16, if all have one; else 1,000.",
            examples=[64],
        ),
    ] = None
    upload_min_bytes_s: Annotated[
        int,
        Meta(
            description="Bytes a second that a body must have come with on average, after `upload_grace_s`.",
            ge=0,
            le=MIB,
        ),
    ] = 1_024


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Waits, in seconds."""

    connect_s: Annotated[
        float, Meta(description="To connect to an upstream: DNS, TCP and TLS together.", gt=0, le=300)
    ] = 5.0
    write_s: Annotated[
        float, Meta(description="Without progress while a request is sent to an upstream.", gt=0, le=DAY_S)
    ] = 30.0
    first_byte_s: Annotated[
        float,
        Meta(description="From the end of a request to the head of the answer: SDKs wait that long.", gt=0, le=DAY_S),
    ] = 600.0
    idle_s: Annotated[float, Meta(description="Between two reads of an upstream's answer.", gt=0, le=DAY_S)] = 120.0
    deadline_s: Annotated[
        float,
        Meta(
            description="For all attempts together: to the first byte of a stream, or the end of a whole answer.",
            gt=0,
            le=DAY_S,
        ),
    ] = 600.0
    stream_s: Annotated[float, Meta(description="Longest life of a stream.", gt=0, le=7 * DAY_S)] = 3_600.0
    commit_after_s: Annotated[
        float,
        Meta(
            description="Silence after which a stream's 200 and heartbeats go out, so that no proxy in between gives "
            "up; failover goes on after them, and failures are then events of the stream.",
            gt=0,
            le=DAY_S,
        ),
    ] = 12.0
    heartbeat_s: Annotated[
        float, Meta(description="Silence in a stream after which a heartbeat is sent.", gt=0, le=DAY_S)
    ] = 15.0
    queue_s: Annotated[
        float,
        Meta(
            description="Longest wait for an account that is busy, or about to be open; else 429 at once.",
            ge=0,
            le=DAY_S,
        ),
    ] = 2.0
    affinity_s: Annotated[
        float,
        Meta(
            description="How long a conversation is remembered to be on an account, after its last request: prompt "
            "caches belong to accounts. It goes elsewhere while that account is closed or busy. A conversation is "
            "known by `prompt_cache_key`, by the session headers of agents, else by its first words. 0: not at all.",
            ge=0,
            le=30 * DAY_S,
        ),
    ] = 3_600.0
    send_s: Annotated[
        float,
        Meta(description="For which a caller may not read its answer before the request is ended.", gt=0, le=DAY_S),
    ] = 60.0
    upload_idle_s: Annotated[float, Meta(description="Between two pieces of a request's body.", gt=0, le=DAY_S)] = 30.0
    upload_grace_s: Annotated[float, Meta(description="Before `upload_min_bytes_s` is asked for.", ge=0, le=DAY_S)] = (
        10.0
    )
    authorize_s: Annotated[
        float,
        Meta(description="For one call of the application's `authorize=`; then the request is refused.", gt=0, le=300),
    ] = 5.0
    state_s: Annotated[
        float,
        Meta(
            description="For shared state to grant what an attempt needs; then this process decides alone for a while.",
            gt=0,
            le=60,
        ),
    ] = 0.05
    answers_s: Annotated[
        float,
        Meta(
            description="How long answers of OpenAI Responses are kept for their caller, to be gone on from "
            "(`previous_response_id`) and looked up, unless the request says `store: false`. Each is known to the "
            'caller that it was given to alone; with `auth = "none"` all callers are one. 0: none is kept.',
            ge=0,
            le=30 * DAY_S,
        ),
    ] = 3_600.0
    reasoning_s: Annotated[
        float,
        Meta(
            description="How long what a model thought before it called tools is kept for a client that cannot carry "
            "it: signatures, ciphertexts, and text where the vendor wants it back. It goes back to its issuer alone, "
            "with the turn of the caller that it was given to. 0: nothing is kept.",
            ge=0,
            le=30 * DAY_S,
        ),
    ] = 3_600.0
    files_s: Annotated[
        float,
        Meta(
            description="How long it is remembered, after the last use, which account has an uploaded file and which "
            "caller it belongs to. A request that names it goes to that account; to other callers it is not there. 0: "
            "no path of files is there, and nothing is remembered.",
            ge=0,
            le=366 * DAY_S,
        ),
    ] = 30.0 * DAY_S
    held_s: Annotated[
        float,
        Meta(
            description="How long it is remembered which account holds a thread or a container of Anthropic's, and for "
            "which caller. A request that goes on with one goes to that account; to other callers it is not there. 0: "
            'that is never remembered; then none is gone on with but with `auth = "none"`.',
            ge=0,
            le=366 * DAY_S,
        ),
    ] = 30.0 * DAY_S
    refusals_s: Annotated[
        float,
        Meta(
            description="How long it is remembered which parameter a model of an upstream refused, so that further "
            "requests are sent without it at once. 0: each is refused first.",
            ge=0,
            le=30 * DAY_S,
        ),
    ] = 3_600.0
    drain_s: Annotated[
        float,
        Meta(
            description="That running requests may take when the server stops. Keep it below the server's own limit.",
            ge=0,
            le=DAY_S,
        ),
    ] = 25.0
