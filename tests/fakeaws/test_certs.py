"""The certificate of a fake that speaks TLS."""

import ipaddress
import stat
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from sidecar.fakeaws.certs import write_self_signed


def test_certificate_is_for_this_machine_and_a_week(tmp_path: Path) -> None:
    """It names localhost and 127.0.0.1, and its key is for its owner only."""
    now = datetime(2026, 11, 25, tzinfo=UTC)
    cert, key = write_self_signed(tmp_path, now)
    certificate = x509.load_pem_x509_certificate(cert.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]
    assert certificate.not_valid_before_utc < now < certificate.not_valid_after_utc
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
