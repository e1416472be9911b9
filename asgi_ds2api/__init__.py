"""An AI gateway inside your ASGI app: any AI client, any model, keys pooled, nothing lost."""

from .auth import Caller
from .canonical import Notice
from .config import Config
from .errors import GatewayError
from .gateway import Gateway
from .middleware import DS2APIMiddleware
from .observe import Observer, Record
from .secret import Secret
from .state.contract import StateStore

__all__ = [
    "Caller",
    "Config",
    "DS2APIMiddleware",
    "Gateway",
    "GatewayError",
    "Notice",
    "Observer",
    "Record",
    "Secret",
    "StateStore",
]
