"""TLS as every client here uses it: one context per setting, verified always.

Rules:

1. Verification cannot be switched off. A private CA is named by ``ca_file``, and then it alone is trusted.
2. The environment is not read: ``SSL_CERT_FILE`` may add nobody's CA, ``SSLKEYLOGFILE`` may not copy session secrets to
   a file (`ssl.create_default_context` obeys both).
3. A context costs 17 ms and more than a megabyte (the CA bundle): it is built on first use and shared by all
   connections of the same setting. Contexts belong to no event loop.
"""

import ssl

import certifi
import msgspec

from ..errors import ConfigError


class TLSSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream's configuration says about TLS."""

    ca_file: str | None = None
    """Path of a PEM file with the only CAs to trust; None: those of certifi."""
    client_cert: str | None = None
    """Path of a PEM file with our certificate, its chain and its key without a passphrase; None: we show none."""


class TLSContexts:
    """The contexts of one gateway, made when they are first asked for."""

    def __init__(self) -> None:
        self._contexts: dict[TLSSettings, ssl.SSLContext] = {}

    def context(self, settings: TLSSettings) -> ssl.SSLContext:
        """Return the one context of these settings.

        Raises:
            ConfigError: A file is missing or holds something else.
        """
        context = self._contexts.get(settings)
        if context is None:
            context = self._contexts[settings] = _build(settings)
        return context


def _build(settings: TLSSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks names, demands certificates
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    problems: list[str] = []
    try:
        context.load_verify_locations(cafile=settings.ca_file or certifi.where())
    except OSError as exc:
        problems.append(f"ca_file {settings.ca_file}: cannot be read as PEM certificates ({type(exc).__name__})")
    if settings.client_cert is not None:
        try:
            # The password is for no key here: without one, OpenSSL asks at the terminal and the process stands still.
            context.load_cert_chain(settings.client_cert, password=b"")
        except OSError as exc:
            problems.append(
                f"client_cert {settings.client_cert}: cannot be read as a PEM certificate with its unencrypted key"
                f" ({type(exc).__name__})"
            )
    if problems:
        raise ConfigError(problems)
    return context
