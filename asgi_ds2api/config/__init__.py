"""The configuration as a contract: strict, documented where it is declared, every problem told at once.

`Config` is what a gateway is made of. ``tables`` says what may stand in a file and is the source of the reference page
and the JSON Schema; ``reading`` reads any Struct and knows no key; ``texts`` and ``keys`` judge single values;
``settling`` judges what several mean together; ``environment`` makes a configuration out of variables alone.
"""

from .config import Config
from .limits import Limits, Timeouts
from .values import AccountConfig, CallerConfig, ModelAlias, UpstreamConfig

__all__ = ["AccountConfig", "CallerConfig", "Config", "Limits", "ModelAlias", "Timeouts", "UpstreamConfig"]
