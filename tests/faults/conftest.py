"""Fixtures of the faults' tests: a certificate that this process trusts while a test runs."""

from collections.abc import Iterator

import pytest

from promptwire import transport
from tests.doubles.tls import OPENSSL, Certificate


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    return Certificate(tmp_path_factory.mktemp("tls"), "trusted")


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Certificate]:
    """A certificate that this process trusts for as long as the test runs."""
    client = transport._SyncClient()  # noqa: SLF001 - as a process that starts with this setting
    with monkeypatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate.file))
        patch.setattr(transport, "_sync", client)
        transport.tls.cache_clear()
        yield certificate
        client.close()
    transport.tls.cache_clear()
