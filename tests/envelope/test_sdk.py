import logging

import pytest
from aws_encryption_sdk import EncryptionSDKClient
from aws_encryption_sdk.identifiers import Algorithm, CommitmentPolicy
from aws_encryption_sdk.internal.crypto.authentication import Signer
from aws_encryption_sdk.internal.defaults import ENCODED_SIGNER_KEY
from aws_encryption_sdk.materials_managers import EncryptionMaterials, EncryptionMaterialsRequest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sidecar.core.errors import BadCiphertext, Undecryptable
from sidecar.core.ports import DataKey
from sidecar.core.secret import Plaintext
from sidecar.envelope import sdk

ARN = "arn:aws:kms:eu-west-1:111122223333:key/1"
DATA_KEY = DataKey(ARN, Plaintext(b"k" * 32), b"wrapped")
CONTEXT = (("app", "web"),)


def message(plaintext: bytes = b"hello") -> bytes:
    """Make a message."""
    return sdk.seal_message(plaintext, DATA_KEY, CONTEXT)


@pytest.mark.parametrize("size", [0, 1, sdk.FRAME - 1, sdk.FRAME, sdk.FRAME + 1, 200_000])
def test_what_is_sealed_opens(size: int) -> None:
    """The message tells its data key and context, and opens with that key."""
    sealed = message(b"x" * size)
    needs = sdk.needs_of(sealed, "kms:x")
    assert needs == sdk.Needs((sdk.Wrapped(ARN, b"wrapped"),), CONTEXT)
    assert sdk.open_message(sealed, needs.data_keys[0], b"k" * 32, "kms:x") == b"x" * size


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        (b"\x02\xff\xff" + b"\0" * 100, "version or algorithm"),
        (b"\x02\x05", "no whole"),
        (b"\x01\x80", "no whole"),
        (b"\x03" + b"\0" * 100, "version or algorithm"),
        (b"\0" * 10_000_000, "version or algorithm"),
        (b"", "no whole"),
    ],
)
def test_what_is_no_message_is_said_to_be_none(
    odd: bytes, told: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, without traceback, log line or quotation."""
    with caplog.at_level(logging.DEBUG, "root"), pytest.raises(Undecryptable, match=told):
        sdk.needs_of(odd, "kms:x")
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


def test_a_message_with_a_thousand_data_keys() -> None:
    """It is refused before any of them is looked at."""
    sealed = message()
    count = sealed.index(b"aws-kms") - 4
    assert sealed[count : count + 2] == b"\0\1"
    one_key = sealed[count + 2 : sealed.index(b"wrapped") + 7]
    with pytest.raises(Undecryptable, match="more than 10 data keys"):
        sdk.needs_of(sealed[:count] + (1000).to_bytes(2) + one_key * 1000, "kms:x")


def test_frames_are_large() -> None:
    """64 KiB: a large message is hardly longer than what is in it."""
    assert len(message(b"x" * 200_000)) - 200_000 < 500


def test_data_keys_of_others_are_none_of_ours() -> None:
    """Whatever name stands there for the key."""
    assert sdk.needs_of(message().replace(b"aws-kms", b"our-hsm"), "kms:x").data_keys == ()


@pytest.mark.parametrize("frame", [0, 128, 4096], ids=["unframed", "several frames", "one frame"])
@pytest.mark.parametrize("algorithm", [each for each in Algorithm if each.allowed], ids=lambda each: each.name)
def test_where_a_message_ends(algorithm: Algorithm, frame: int) -> None:
    """Of whatever algorithm and however framed: the whole is taken, a byte more or less is refused without its key."""
    sealed = written(b"x" * 300, algorithm, frame)
    assert sdk.needs_of(sealed, "kms:x").data_keys == (sdk.Wrapped(ARN, b"wrapped"),)
    for more in (b"?", sealed):
        with pytest.raises(BadCiphertext, match="kms:x: something follows the message"):
            sdk.needs_of(sealed + more, "kms:x")
    for size in range(sealed.index(b"wrapped") + 60, len(sealed)):
        with pytest.raises(BadCiphertext, match="kms:x: the message was cut short"):
            sdk.needs_of(sealed[:size], "kms:x")


def written(plaintext: bytes, algorithm: Algorithm, frame: int) -> bytes:
    """Make a message as others do."""
    key = DataKey(ARN, Plaintext(b"k" * algorithm.kdf_input_len), b"wrapped")

    class Theirs(sdk._Materials):  # noqa: SLF001 -- a data key is all that is to be given
        """With a key to sign, where the algorithm wants one."""

        def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
            """Give both."""
            given = super().get_encryption_materials(request)
            if algorithm.signing_algorithm_info is not None:
                private = ec.generate_private_key(algorithm.signing_algorithm_info())
                signer = Signer(algorithm, private)
                given.encryption_context[ENCODED_SIGNER_KEY] = signer.encoded_public_key().decode()
                form, none = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
                given.signing_key = private.private_bytes(serialization.Encoding.DER, form, none)
            return given

    policy = CommitmentPolicy[f"{'REQUIRE' if algorithm.is_committing() else 'FORBID'}_ENCRYPT_ALLOW_DECRYPT"]
    message, _ = EncryptionSDKClient(commitment_policy=policy).encrypt(
        source=plaintext, materials_manager=Theirs(key), algorithm=algorithm, frame_length=frame
    )
    return bytes(message)


@pytest.mark.parametrize("where", [40, 120, -1, -20])
def test_one_bit_altered(where: int) -> None:
    """Whichever it is: it does not open, or is no message any more."""
    sealed = bytearray(message())
    sealed[where] ^= 1
    with pytest.raises(Undecryptable) as caught:
        sdk.open_message(bytes(sealed), sdk.Wrapped(ARN, b"wrapped"), b"k" * 32, "kms:x")
    assert isinstance(caught.value, BadCiphertext)


def test_cut_short_or_with_another_data_key() -> None:
    """Neither opens."""
    wrapped = sdk.Wrapped(ARN, b"wrapped")
    for odd, key in ((message()[:-1], b"k" * 32), (message(), b"o" * 32)):
        with pytest.raises(BadCiphertext, match="altered or cut short"):
            sdk.open_message(odd, wrapped, key, "kms:x")
