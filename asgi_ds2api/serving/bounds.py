"""The bounds of a request, as the configuration has them. Pure."""

import msgspec

from ..codec import RequestLimits
from ..config import Config
from .inbound import InboundLimits
from .means import Timing


def inbound_of(config: Config) -> InboundLimits:
    """Return the bounds of what a caller may send."""
    limits, timeouts = config.limits, config.timeouts
    return InboundLimits(
        max_body_bytes=limits.max_body_bytes,
        max_header_bytes=limits.max_header_bytes,
        max_headers=limits.max_headers,
        max_header_value_bytes=limits.max_header_value_bytes,
        max_query_bytes=limits.max_query_bytes,
        upload_idle_s=timeouts.upload_idle_s,
        upload_grace_s=timeouts.upload_grace_s,
        upload_min_bytes_s=limits.upload_min_bytes_s,
    )


def uploads_of(config: Config) -> InboundLimits:
    """Return the bounds of what is passed on while it comes."""
    return msgspec.structs.replace(inbound_of(config), max_body_bytes=config.limits.max_upload_bytes)


def request_limits_of(config: Config) -> RequestLimits:
    """Return the bounds of a request that is decoded."""
    limits = config.limits
    return RequestLimits(
        max_messages=limits.max_messages,
        max_parts=limits.max_parts,
        max_tools=limits.max_tools,
        max_schema_bytes=limits.max_schema_bytes,
        max_stop=limits.max_stop,
        max_inputs=limits.max_inputs,
        max_prompts=limits.max_prompts,
        max_choices=limits.max_choices,
    )


def timing_of(config: Config) -> Timing:
    """Return the bounds of an exchange."""
    limits, timeouts = config.limits, config.timeouts
    return Timing(
        deadline_s=timeouts.deadline_s,
        stream_s=timeouts.stream_s,
        commit_after_s=timeouts.commit_after_s,
        heartbeat_s=timeouts.heartbeat_s,
        send_s=timeouts.send_s,
        queue_s=timeouts.queue_s,
        max_attempts=limits.max_attempts,
        max_event_bytes=limits.max_event_bytes,
    )
