import pytest

from sidecar.core.ciphertexts import is_message


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"\x01\x80\x03\x78rest", True),
        (b"\x02\x05\x78rest", True),
        (b"\x02", True),
        (b"\x01\x02\x02\x00rest", False),
        (b"\x00" * 10, False),
        (b"", False),
    ],
)
def test_tells_messages_from_ciphertext(blob: bytes, message: bool) -> None:  # noqa: FBT001 -- a table
    """By their first bytes, whole or cut short."""
    assert is_message(blob) is message
