"""What each worker of these tests runs: a gateway alone, configured by the file that the environment names."""

from asgi_ds2api import Gateway


def make() -> Gateway:
    """Return the gateway of one worker."""
    return Gateway()
