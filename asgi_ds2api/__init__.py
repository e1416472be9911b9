"""An AI gateway inside your ASGI app: any AI client, any model, keys pooled, nothing lost in silence."""

from .auth import Authorize, Caller
from .budgets import CallerLimits
from .canonical import Notice, Usage
from .config import Config
from .errors import ConfigError, GatewayError
from .gateway import Gateway
from .middleware import DS2APIMiddleware
from .observe import Attempt, Observer, Record
from .secret import Secret
from .state.contract import StateStore
from .status.snapshot import Snapshot

__all__ = [
    "Attempt",
    "Authorize",
    "Caller",
    "CallerLimits",
    "Config",
    "ConfigError",
    "DS2APIMiddleware",
    "Gateway",
    "GatewayError",
    "Notice",
    "Observer",
    "Record",
    "Secret",
    "Snapshot",
    "StateStore",
    "Usage",
]
