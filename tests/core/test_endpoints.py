import pytest

from sidecar.core.endpoints import is_private


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://s3.eu-west-1.amazonaws.com", True),
        ("https://proxy.internal:8443/x", True),
        ("http://127.0.0.1:4566", True),
        ("http://127.8.9.1", True),
        ("http://[::1]:4566", True),
        ("http://localhost:4566", True),
        ("http://localhost.example.com", False),
        ("http://s3.eu-west-1.amazonaws.com", False),
        ("http://10.0.0.1:4566", False),
        ("http://fake:4566", False),
        ("http://", False),
        ("", False),
    ],
)
def test_a_key_goes_over_tls_or_stays_here(url: str, *, private: bool) -> None:
    """Plain HTTP is for this machine's own addresses."""
    assert is_private(url) is private
