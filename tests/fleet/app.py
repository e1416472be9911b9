"""What each worker of these tests runs: a gateway alone, configured by the file that the environment names."""

import logging

from asgi_ds2api import Gateway


def make() -> Gateway:
    """Return the gateway of one worker; all that its state has to say is written."""
    logging.basicConfig()
    logging.getLogger("asgi_ds2api.state").setLevel(logging.INFO)
    return Gateway()
