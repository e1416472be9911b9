"""One TLS context per setting, verified always, whatever the environment says."""

import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from asgi_ds2api.errors import ConfigError
from asgi_ds2api.upstream.tls import TLSContexts, TLSSettings


def test_context_is_built_once_for_each_setting(ca_file: str) -> None:
    contexts = TLSContexts()
    usual, private = contexts.context(TLSSettings()), contexts.context(TLSSettings(ca_file=ca_file))
    assert usual is contexts.context(TLSSettings())
    assert private is contexts.context(TLSSettings(ca_file=ca_file))
    assert private is not usual


def test_nothing_is_read_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "SSLContext", None)
    TLSContexts()


def test_verification_cannot_be_switched_off_F4(ca_file: str) -> None:
    """F4: there is no field that could say so."""
    assert TLSSettings.__struct_fields__ == ("ca_file", "client_cert")
    for settings in (TLSSettings(), TLSSettings(ca_file=ca_file)):
        context = TLSContexts().context(settings)
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_private_ca_is_trusted_alone(ca_file: str) -> None:
    assert len(TLSContexts().context(TLSSettings(ca_file=ca_file)).get_ca_certs()) == 1


def test_environment_adds_no_authority_and_gets_no_secret_F8(
    ca_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F8."""
    before = len(TLSContexts().context(TLSSettings()).get_ca_certs())
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    monkeypatch.setenv("SSL_CERT_DIR", str(Path(ca_file).parent))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = TLSContexts().context(TLSSettings())
    assert len(context.get_ca_certs()) == before > 1
    assert context.keylog_filename is None


def test_every_file_that_cannot_be_used_is_named_F96(ca: trustme.CA, tmp_path: Path) -> None:
    """F96: and a key with a passphrase is refused, not asked for at the terminal."""
    (tmp_path / "text.pem").write_text("no certificate")
    locked = tmp_path / "locked.pem"
    cert = ca.issue_cert("gateway@example.com")
    key = load_pem_private_key(cert.private_key_pem.bytes(), None)
    locked.write_bytes(
        cert.cert_chain_pems[0].bytes()
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
    )
    for client_cert in (str(tmp_path / "absent.pem"), str(tmp_path / "text.pem"), str(locked)):
        with pytest.raises(ConfigError) as caught:
            TLSContexts().context(TLSSettings(ca_file=str(tmp_path / "none.pem"), client_cert=client_cert))
        assert [problem.split(":")[0] for problem in caught.value.problems] == [
            f"ca_file {tmp_path / 'none.pem'}",
            f"client_cert {client_cert}",
        ]
