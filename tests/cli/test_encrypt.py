import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from sidecar.core.keys import MOST_DIRECT, OAEP
from sidecar.envelope import sdk
from tests.cli.piping import ARN, DATA_KEY, asked, fails, kms, pipe
from tests.unix_peer import answer, listening

PRIVATE = rsa.generate_private_key(65537, 2048)
FORM = serialization.PublicFormat.SubjectPublicKeyInfo
DER = PRIVATE.public_key().public_bytes(serialization.Encoding.DER, FORM)


def opened(message: bytes) -> bytes:
    """Open an Encryption SDK message."""
    return sdk.open_message(message, sdk.Wrapped(ARN, b"wrapped"), DATA_KEY, "t")


def public_key(der: bytes) -> dict[str, object]:
    """Tell a public key as the daemon does."""
    return {"KeyId": ARN, "PublicKey": base64.b64encode(der).decode(), "EncryptionAlgorithms": list(OAEP)}


class TestSymmetric:
    """Under a KMS key."""

    def test_what_is_short_is_encrypted_by_kms(self, folder: Path) -> None:
        """To the last byte that it takes, raw or as base64."""
        plaintext = bytes(MOST_DIRECT)
        with kms(folder / "s") as peer:
            raw = pipe("encrypt", "--key-id", "alias/a", "--socket", "s", "--context", "b=c", content=plaintext)
            text = pipe("encrypt", "--key-id", "alias/a", "--socket", "s", "--base64", content=b"x")
        assert (raw.exit_code, raw.stdout_bytes, raw.stderr) == (0, b"wrapped", "")
        assert (text.exit_code, text.stdout) == (0, base64.b64encode(b"wrapped").decode() + "\n")
        sent = {"KeyId": "alias/a", "Plaintext": base64.b64encode(plaintext).decode(), "EncryptionContext": {"b": "c"}}
        assert asked(peer)[0] == ("encrypt", sent)

    @pytest.mark.parametrize(("size", "options"), [(MOST_DIRECT + 1, ()), (5, ("--envelope",)), (0, ("--envelope",))])
    def test_what_is_long_goes_into_an_envelope(self, folder: Path, size: int, options: tuple[str, ...]) -> None:
        """For which only a data key is asked for, with the context."""
        arguments = ("encrypt", "--key-id", "alias/a", "--socket", "s", "--context", "b=c", *options)
        with kms(folder / "s") as peer:
            result = pipe(*arguments, content=b"x" * size)
        assert opened(result.stdout_bytes) == b"x" * size
        sent = {"KeyId": "alias/a", "EncryptionContext": {"b": "c"}, "KeySpec": "AES_256"}
        assert asked(peer) == [("generate-data-key", sent)]
        assert sdk.needs_of(result.stdout_bytes, "t").context == (("b", "c"),)

    def test_an_envelope_as_base64(self, folder: Path) -> None:
        """In one line."""
        with kms(folder / "s"):
            result = pipe("encrypt", "--key-id", "k", "--socket", "s", "--base64", content=bytes(200_000))
        assert result.stdout.count("\n") == 1
        assert opened(base64.b64decode(result.stdout)) == bytes(200_000)

    def test_nothing_to_encrypt(self, folder: Path) -> None:
        """It is told: what was to fill the pipe has failed, most likely."""
        with kms(folder / "s") as peer:
            fails(pipe("encrypt", "--key-id", "k", "--socket", "s"), 2, "it is empty")
        assert peer.asked == []

    def test_nobody_to_ask(self, folder: Path) -> None:
        """Nothing is printed, of whatever length."""
        for size in (1, 100_000):
            result = pipe("encrypt", "--key-id", "k", "--socket", str(folder / "s"), content=bytes(size))
            fails(result, 5, "no daemon answers")


class TestPublicKeys:
    """For an RSA pair, without asking anybody."""

    @pytest.mark.parametrize(("option", "digest"), [((), hashes.SHA256()), (("--algorithm", OAEP[1]), hashes.SHA1())])
    def test_by_a_file(self, folder: Path, option: tuple[str, ...], digest: hashes.HashAlgorithm) -> None:
        """PEM here; DER is the same."""
        (folder / "pub.pem").write_bytes(PRIVATE.public_key().public_bytes(serialization.Encoding.PEM, FORM))
        result = pipe("encrypt", "--public-key", "pub.pem", "--socket", "nowhere", *option, content=b"x")
        oaep = padding.OAEP(padding.MGF1(digest), digest, None)
        assert PRIVATE.decrypt(result.stdout_bytes, oaep) == b"x"

    def test_by_a_key_of_kms(self, folder: Path) -> None:
        """It gives the public key, and never sees the plaintext."""
        told = {
            "KeyId": ARN,
            "PublicKey": base64.b64encode(DER).decode(),
            "EncryptionAlgorithms": ["RSAES_OAEP_SHA_256"],
        }
        with listening(folder / "s", answer(told)) as peer:
            result = pipe("encrypt", "--public-key", "alias/pair", "--socket", "s", content=b"x")
        digest = hashes.SHA256()
        assert PRIVATE.decrypt(result.stdout_bytes, padding.OAEP(padding.MGF1(digest), digest, None)) == b"x"
        assert [each.line for each in peer.asked] == ["GET /v1/kms/public-key?key_id=alias%2Fpair HTTP/1.1"]

    def test_a_curve_of_kms(self, folder: Path) -> None:
        """It does not encrypt, whatever is said of it."""
        der = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(serialization.Encoding.DER, FORM)
        told = {
            "KeyId": ARN,
            "PublicKey": base64.b64encode(der).decode(),
            "EncryptionAlgorithms": ["RSAES_OAEP_SHA_256"],
        }
        with listening(folder / "s", answer(told)):
            fails(pipe("encrypt", "--public-key", "k", "--socket", "s", content=b"x"), 2, "only RSA keys encrypt")

    @pytest.mark.parametrize(
        ("named", "content", "told"),
        [
            ("pub.der", b"x" * 191, "at most 190 bytes"),
            ("odd", b"x", "odd: this is no public key"),
            ("missing.pem", b"x", "missing.pem: there is no such file"),
            ("pub.der/x", b"x", "there is no such file"),
            (".", b"x", "cannot be read: Is a directory"),
            ("a\0b", b"x", "there is no such file"),
        ],
    )
    def test_what_does_not_work(self, folder: Path, named: str, content: bytes, told: str) -> None:
        """It is told, and nobody is asked."""
        (folder / "pub.der").write_bytes(DER)
        (folder / "odd").write_bytes(b"canary")
        fails(pipe("encrypt", "--public-key", named, "--socket", "nowhere", content=content), 2, told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "either --key-id or --public-key"),
        (("--key-id", "k", "--public-key", "p"), "either --key-id or --public-key"),
        (("--key-id", "k", "--algorithm", "RSAES_OAEP_SHA_1"), "--algorithm goes with --public-key"),
        (("--public-key", "p", "--envelope"), "neither --context nor --envelope"),
        (("--public-key", "p", "--context", "a=b"), "neither --context nor --envelope"),
        (("--key-id", "no key"), "this names no KMS key"),
        (("--key-id", "k", "--context", "a"), "want k=v"),
        (("--key-id", "k", "--context", "aws-crypto-x=y"), "the Encryption SDK's own"),
        (("--key-id", "k", "--context", f"a={'x' * 65_535}"), "longer than a message can hold"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_usage(arguments: tuple[str, ...], told: str) -> None:
    """It is told before anything is read or asked."""
    fails(pipe("encrypt", *arguments, "--socket", "nowhere", content=b"x"), 2, told)
