import base64
import json
from collections.abc import Callable

import pytest

from sidecar.api.kms_shapes import MEMBERS, SHAPES, Wish
from sidecar.api.problems import BadRequest
from sidecar.core.keys import SYMMETRIC


def read(shape: str, **members: object) -> Wish:
    """Read a body with these members."""
    return SHAPES[shape].read(json.dumps(members).encode())


def test_reads_what_kms_itself_would() -> None:
    """Members as KMS spells them, bytes in base64, what is left out as KMS understands it."""
    wish = read("KmsEncrypt", KeyId="k", Plaintext="aGVsbG8=", EncryptionContext={"b": "2", "a": "1"})
    assert (wish.key_id, wish.plaintext.reveal(), wish.context) == ("k", b"hello", (("a", "1"), ("b", "2")))
    assert (wish.encryption_algorithm, wish.is_envelope, wish.key_id_or_none) == (SYMMETRIC, False, "k")
    assert read("KmsDecrypt", CiphertextBlob="").key_id_or_none is None
    assert read("KmsVerify", KeyId="k", Message="", Signature="", SigningAlgorithm="x").is_digest is False


@pytest.mark.parametrize(
    ("members", "size"),
    [({}, 32), ({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 1}, 1), ({"NumberOfBytes": 1024}, 1024)],
)
def test_sizes_of_data_keys(members: dict[str, object], size: int) -> None:
    """By the spec or in bytes; 32 where nothing is said."""
    assert read("KmsDataKey", KeyId="k", **members).size == size


@pytest.mark.parametrize(
    ("shape", "members", "what"),
    [
        ("KmsEncrypt", {"KeyId": "k"}, "the body lacks Plaintext"),
        ("KmsDecrypt", {}, "the body lacks CiphertextBlob"),
        ("KmsRandom", {"NumberOfBytes": 1, "canary": 1}, "the body has other members than NumberOfBytes"),
        ("KmsEncrypt", {"KeyId": 1, "Plaintext": ""}, "KeyId is not a string"),
        ("KmsEncrypt", {"KeyId": "k", "Plaintext": "canary!"}, "Plaintext is not base64"),
        ("KmsEncrypt", {"KeyId": "k", "Plaintext": "canäry"}, "Plaintext is not base64"),
        ("KmsEncrypt", {"KeyId": "k", "Plaintext": "", "EncryptionContext": []}, "EncryptionContext is not an object"),
        ("KmsEncrypt", {"KeyId": "k", "Plaintext": "", "EncryptionContext": {"a": 1}}, "EncryptionContext is not an"),
        ("KmsEncrypt", {"KeyId": "k", "Plaintext": "", "envelope": "canary"}, "envelope is neither true nor false"),
        ("KmsDataKey", {"KeyId": "k", "KeySpec": "canary"}, "KeySpec is none of AES_256, AES_128"),
        ("KmsDataKey", {"KeyId": "k", "KeySpec": "AES_256", "NumberOfBytes": 8}, "are both there"),
        ("KmsRandom", {"NumberOfBytes": 0}, "NumberOfBytes is not a whole number from 1 to 1024"),
        ("KmsRandom", {"NumberOfBytes": 1025}, "NumberOfBytes is not a whole number from 1 to 1024"),
        ("KmsRandom", {"NumberOfBytes": True}, "NumberOfBytes is not a whole number from 1 to 1024"),
        (
            "KmsSign",
            {"KeyId": "k", "Message": "", "SigningAlgorithm": "x", "MessageType": "canary"},
            "MessageType is none of RAW, DIGEST",
        ),
    ],
)
def test_what_is_wrong_is_named_and_not_quoted(shape: str, members: dict[str, object], what: str) -> None:
    """By our own names; nothing that was sent is repeated."""
    with pytest.raises(BadRequest, match=what) as got:
        _all_of(read(shape, **members))
    assert "can" not in str(got.value)


def _all_of(wish: Wish) -> None:
    """Read every member that is there."""
    readers: dict[str, Callable[[], object]] = {
        "KeyId": lambda: wish.key_id,
        "Plaintext": lambda: wish.plaintext,
        "EncryptionContext": lambda: wish.context,
        "envelope": lambda: wish.is_envelope,
        "KeySpec": lambda: wish.size,
        "NumberOfBytes": lambda: wish.size,
        "MessageType": lambda: wish.is_digest,
    }
    for member in wish.members:
        if member in readers:
            readers[member]()


def test_every_member_is_described() -> None:
    """The schemas are made of one table, which has nothing else."""
    used = {name for shape in SHAPES.values() for name in (*shape.required, *shape.optional)}
    assert used == set(MEMBERS)
    schema = SHAPES["KmsVerify"].schema()
    assert schema["required"] == ["KeyId", "Message", "Signature", "SigningAlgorithm"]


def test_bytes_are_any() -> None:
    """As base64 carries them."""
    blob = bytes(range(256))
    assert read("KmsDecrypt", CiphertextBlob=base64.b64encode(blob).decode()).blob("CiphertextBlob") == blob
