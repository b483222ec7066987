"""Pairs of keys by themselves."""

import pytest

from sidecar.fakeaws.pairs import Pair, fits


def test_pair_is_made_when_first_used() -> None:
    """A pair costs nothing before, and stays the same after."""
    pair = Pair("ECC_NIST_P256")
    assert "private" not in vars(pair)
    assert pair.der == pair.der


@pytest.mark.parametrize(
    ("spec", "usage", "fit"),
    [
        ("RSA_2048", "SIGN_VERIFY", True),
        ("RSA_4096", "ENCRYPT_DECRYPT", True),
        ("ECC_NIST_P256", "ENCRYPT_DECRYPT", False),
        ("SYMMETRIC_DEFAULT", "SIGN_VERIFY", False),
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", True),
    ],
)
def test_what_keys_are_for(spec: str, usage: str, fit: bool) -> None:  # noqa: FBT001 -- a column of the table
    """RSA does both, curves sign, symmetric keys encrypt."""
    assert fits(spec, usage) is fit
