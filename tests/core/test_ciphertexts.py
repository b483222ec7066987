import pytest

from sidecar.core.ciphertexts import MOST_CONTEXT, check_context, check_holds, is_message, looks_like_message
from sidecar.core.errors import BadCiphertext, BadContext
from sidecar.core.refs import Context


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x01\x80\x03\x78rest", True),
        (b"\x01\x80\x00\x14rest", True),
        (b"\x02\x05\x78rest", True),
        (b"\x02\x04\x78rest", True),
        (b"\x02", False),
        (b"\x02\x01\x02\x03", False),
        (b"\x01\x80\x01\x02", False),
        (b"-----BEGIN CERTIFICATE-----", False),
        (b"", False),
    ],
)
def test_tells_messages_from_anything(content: bytes, *, message: bool) -> None:
    """Where any bytes may come, only an algorithm that there is makes them a message."""
    assert looks_like_message(content) is message


@pytest.mark.parametrize(
    "context", [(("aws-crypto-public-key", "x"),), (("a", "x" * MOST_CONTEXT),), (("a", "ä" * (MOST_CONTEXT // 2)),)]
)
def test_contexts_that_no_message_can_have(context: Context) -> None:
    """The SDK's own names, and more than two bytes can count; nothing is quoted."""
    with pytest.raises(BadContext, match="kms:x: ") as caught:
        check_context(context, "kms:x")
    assert len(str(caught.value)) < 100


def test_all_other_contexts() -> None:
    """To the last byte."""
    check_context((), "kms:x")
    check_context((("app", "web"), ("b", "x" * (MOST_CONTEXT - 2 - 8 - 4 - 6))), "kms:x")


def test_a_message_may_hold_more_than_is_asked_for() -> None:
    """But all of that, name and value."""
    held = (("app", "web"), ("env", "prod"))
    for asked in ((), (("env", "prod"),), held):
        check_holds(held, asked, "kms:x")
    with pytest.raises(BadCiphertext, match="kms:x: the message has another encryption context"):
        check_holds(held, (("app", "shop"),), "kms:x")
