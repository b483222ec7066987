"""Make a certificate for 127.0.0.1 and localhost that nobody trusts until told to."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sidecar fake AWS")])
_VALID: Final = timedelta(days=7)


def write_self_signed(folder: Path, now: datetime | None = None) -> tuple[Path, Path]:
    """Write `cert.pem` and `key.pem`; clients trust it by `AWS_CA_BUNDLE=cert.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate = _certificate(key, now or datetime.now(UTC))
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return cert_file, key_file


def _certificate(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks of a machine and its containers differ
        .not_valid_after(now + _VALID)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
