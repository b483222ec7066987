import base64
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from sidecar.cli.decrypt import print_early, print_whole
from sidecar.cli.streams import Output
from sidecar.core.ports import DataKey
from sidecar.core.secret import Plaintext
from sidecar.envelope import sdk
from tests.cli.piping import ARN, DATA_KEY, asked, fails, kms, pipe
from tests.cli.test_get import Screen
from tests.unix_peer import listening, problem

CANARY = b"Canary0plain8vQw"
WRAPPED = base64.b64encode(b"wrapped").decode()


def message(plaintext: bytes = CANARY) -> bytes:
    """Make an Encryption SDK message."""
    return sdk.seal_message(plaintext, DataKey(ARN, Plaintext(DATA_KEY), b"wrapped"), (("app", "web"), ("env", "prod")))


def as_lines(content: bytes) -> bytes:
    """Write base64 as the command of this name does."""
    return base64.encodebytes(content)


SPELLINGS: list[Callable[[bytes], bytes]] = [bytes, base64.b64encode, as_lines, base64.urlsafe_b64encode]


class TestMessages:
    """Encryption SDK messages."""

    @pytest.mark.parametrize("spelt", SPELLINGS)
    @pytest.mark.parametrize("size", [0, 10, 200_000])
    @pytest.mark.parametrize("options", [(), ("--stream",), ("--context", "env=prod")])
    def test_opens(self, folder: Path, spelt: Callable[[bytes], bytes], size: int, options: tuple[str, ...]) -> None:
        """Raw or base64, told by itself; KMS is asked for the data key only, with all of the message's context."""
        with kms(folder / "s") as peer:
            result = pipe("decrypt", "--socket", "s", *options, content=spelt(message(b"\xff" * size)))
        assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, b"\xff" * size, "")
        sent = {"CiphertextBlob": WRAPPED, "KeyId": ARN, "EncryptionContext": {"app": "web", "env": "prod"}}
        assert asked(peer) == [("decrypt", {**sent, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})]

    def test_flags(self, folder: Path) -> None:
        """What is said to come in is what is read."""
        with kms(folder / "s"):
            assert pipe("decrypt", "--raw", "--socket", "s", content=message()).stdout_bytes == CANARY
            text = base64.b64encode(message())
            assert pipe("decrypt", "--base64", "--socket", "s", content=text).stdout_bytes == CANARY
            fails(pipe("decrypt", "--base64", "--socket", "s", content=message()), 1, "this is no base64")

    @pytest.mark.parametrize(
        ("bad", "told"),
        [
            (message()[:-1], "altered or cut short"),
            (message()[:-20] + b"?" + message()[-19:], "altered or cut short"),
            (message() + b"?", "something follows"),
            (message() + message(), "something follows"),
            (as_lines(message())[:-10], "altered or cut short"),
            (as_lines(message())[:-10] + b"!", "no base64"),
        ],
        ids=["cut short", "altered", "a byte more", "two", "base64 cut short", "base64 altered"],
    )
    def test_nothing_is_printed_of_what_is_not_whole(self, folder: Path, bad: bytes, told: str) -> None:
        """Not a byte, in one line that quotes nothing."""
        with kms(folder / "s"):
            result = pipe("decrypt", "--socket", "s", content=bad)
        fails(result, 1, told)
        assert CANARY.decode() not in result.stderr

    def test_early_frames_are_to_be_discarded_where_the_rest_fails(self, folder: Path) -> None:
        """With --stream; where nothing was printed yet, there is nothing to discard."""
        whole = message(b"a" * 200_000)
        with kms(folder / "s"):
            result = pipe("decrypt", "--stream", "--socket", "s", content=whole[:-1])
            fails(pipe("decrypt", "--stream", "--socket", "s", content=whole[:500]), 1, "Take the whole message")
        assert result.exit_code == 1
        assert result.stdout_bytes == b"a" * (200_000 // sdk.FRAME * sdk.FRAME)
        assert "Discard what was printed" in result.stderr

    @pytest.mark.parametrize(
        ("odd", "arguments", "told"),
        [
            (message(), ("--context", "app=shop"), "another encryption context"),
            (b"\x02\xff\xff" + bytes(100), (), "a version or algorithm that is not known"),
            (message()[:100], (), "no whole Encryption SDK message"),
            (bytes(10 << 20), (), "no Encryption SDK message, and too long"),
            (b"not base64!\n", (), "this is no base64"),
            (b"\xff" * 7000, (), "too long for a ciphertext of KMS"),
            (b"", (), "it is empty"),
        ],
        ids=["another context", "unknown algorithm", "header cut short", "zeros", "text", "long", "empty"],
    )
    def test_what_needs_no_kms(self, folder: Path, odd: bytes, arguments: tuple[str, ...], told: str) -> None:
        """It is told without asking."""
        with kms(folder / "s") as peer:
            fails(pipe("decrypt", "--socket", "s", *arguments, content=odd), 1, told)
        assert peer.asked == []

    def test_a_thousand_data_keys(self, folder: Path) -> None:
        """None is looked at."""
        whole = message()
        count = whole.index(b"aws-kms") - 4
        one_key = whole[count + 2 : whole.index(b"wrapped") + 7]
        with kms(folder / "s") as peer:
            odd = whole[:count] + (1000).to_bytes(2) + one_key * 1000
            fails(pipe("decrypt", "--socket", "s", content=odd), 1, "more than 10 data keys")
        assert peer.asked == []

    def test_a_key_that_is_not_allowed(self, folder: Path) -> None:
        """As the daemon says."""
        refusal = problem(403, "its KMS key is not allowed", "Add it.", type="urn:sidecar:problem:key-not-allowed")
        with listening(folder / "s", refusal):
            fails(pipe("decrypt", "--socket", "s", content=message()), 4, "not allowed. Add it.")

    def test_a_message_names_its_keys(self, folder: Path) -> None:
        """So none is to be named."""
        with kms(folder / "s") as peer:
            fails(pipe("decrypt", "--key-id", "k", "--socket", "s", content=message()), 2, "Leave --key-id out")
        assert peer.asked == []


class TestCiphertexts:
    """What KMS encrypted."""

    @pytest.mark.parametrize("spelt", SPELLINGS)
    def test_opens(self, folder: Path, spelt: Callable[[bytes], bytes]) -> None:
        """Raw or base64, with the context that is given."""
        blob = b"\x01\x02\x02\x00wrapped"
        with kms(folder / "s") as peer:
            result = pipe("decrypt", "--context", "a=b", "--socket", "s", content=spelt(blob))
        assert result.stdout_bytes == DATA_KEY
        assert asked(peer)[0][1]["CiphertextBlob"] == base64.b64encode(blob).decode()
        assert asked(peer)[0][1]["EncryptionContext"] == {"a": "b"}

    def test_of_a_pair(self, folder: Path) -> None:
        """Key and algorithm must be said; it may begin as a message does."""
        named = ("--key-id", "alias/pair", "--algorithm", "RSAES_OAEP_SHA_256")
        with kms(folder / "s") as peer:
            result = pipe("decrypt", *named, "--socket", "s", content=b"\x02\x05\x78" + bytes(253))
        assert result.stdout_bytes == DATA_KEY
        sent = asked(peer)[0][1]
        assert (sent["KeyId"], sent["EncryptionAlgorithm"]) == ("alias/pair", "RSAES_OAEP_SHA_256")
        assert "EncryptionContext" not in sent

    def test_what_the_daemon_cannot_open(self, folder: Path) -> None:
        """Its words, and the code of what failed."""
        for kind in ("bad-ciphertext", "wrong-key"):
            refusal = problem(502, "it does not open", "Mend it.", type=f"urn:sidecar:problem:{kind}")
            with listening(folder / "s", refusal):
                fails(pipe("decrypt", "--socket", "s", content=b"\x01\x02"), 1, "it does not open. Mend it.")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--algorithm", "RSAES_OAEP_SHA_1"), "--algorithm goes with --key-id"),
        (("--algorithm", "RSAES_OAEP_SHA_1", "--key-id", "k", "--context", "a=b"), "without --context"),
        (("--key-id", "no key"), "this names no KMS key"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_usage(arguments: tuple[str, ...], told: str) -> None:
    """It is told before anything is read or asked."""
    fails(pipe("decrypt", *arguments, "--socket", "nowhere", content=b"x"), 2, told)


class TestTerminal:
    """What people see."""

    def test_text_has_a_line_end(self) -> None:
        """One that was there is not doubled."""
        for pieces in ([b"pass", b"word"], [b"password\n"]):
            screen = Screen()
            print_whole(pieces, Output(screen))
            assert screen.getvalue() == b"password\n"

    def test_what_is_no_text_is_not_shown(self) -> None:
        """It might command the terminal."""
        screen = Screen()
        with pytest.raises(click.UsageError, match="no text"):
            print_whole([b"\x1b[2J"], Output(screen))
        assert screen.getvalue() == b""
        print_early([], Output(screen))
