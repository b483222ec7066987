import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sidecar.cli.kms import DaemonKms, OwnKms, Way, find_kms, unwrap
from sidecar.client import Client, ClientError, NoDaemon, Refused, Unavailable
from sidecar.core.errors import BadCiphertext, KeyNotAllowed, Undecryptable
from sidecar.core.keys import SYMMETRIC
from sidecar.core.ports import DataKey, Opened, PublicKey
from sidecar.core.refs import Context
from sidecar.core.secret import Plaintext
from tests.unix_peer import answer, listening, problem

ARN = "arn:aws:kms:eu-west-1:111122223333:key/1"
OTHER = "arn:aws:kms:eu-west-1:111122223333:key/2"
CONTEXT = (("app", "web"),)


class TestFinding:
    """Who is asked."""

    def test_a_daemon_where_there_is_one(self, folder: Path) -> None:
        """One that is named, even where nobody is; else one whose socket is there; else KMS itself."""
        way = Way(alone=False, socket=None, config=None, wait=1)
        path = str(folder / "s")
        configured = {"SIDECAR_LISTEN__UNIX__PATH": path}
        assert isinstance(find_kms(way, configured), OwnKms)
        assert isinstance(find_kms(way, {"SIDECAR_SOCKET": path}), DaemonKms)
        assert isinstance(find_kms(Way(alone=False, socket=folder / "s", config=None, wait=1), {}), DaemonKms)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            assert isinstance(find_kms(way, configured), DaemonKms)
            assert isinstance(find_kms(Way(alone=True, socket=None, config=None, wait=1), configured), OwnKms)


class TestDaemon:
    """KMS by the daemon, in its own words."""

    def test_asks_and_reads(self, folder: Path) -> None:
        """Members and base64 as the interface has them."""
        routes = {
            "/v1/kms/encrypt": answer({"CiphertextBlob": "AQ==", "KeyId": ARN}),
            "/v1/kms/decrypt": answer({"Plaintext": "/w==", "KeyId": ARN}),
            "/v1/kms/generate-data-key": answer({"Plaintext": "/w==", "CiphertextBlob": "AQ==", "KeyId": ARN}),
            "/v1/kms/public-key?key_id=k": answer(
                {
                    "PublicKey": "MA==",
                    "KeyId": ARN,
                    "KeySpec": "S",
                    "KeyUsage": "U",
                    "EncryptionAlgorithms": ["A"],
                }
            ),
        }
        with listening(folder / "s", routes=routes) as peer:
            kms = DaemonKms(Client(folder / "s"), 3)
            assert kms.encrypt("k", Plaintext(b"\xff"), CONTEXT) == b"\x01"
            assert kms.decrypt(b"\x01", CONTEXT, None).plaintext.reveal() == b"\xff"
            assert kms.decrypt(b"\x01", (), ARN, "RSA").key == ARN
            made = kms.data_key("k", CONTEXT)
            assert (made.key, made.plaintext.reveal(), made.blob) == (ARN, b"\xff", b"\x01")
            assert kms.public_key("k") == PublicKey(ARN, b"0", "S", "U", ("A",))
        context = {"EncryptionContext": {"app": "web"}}
        assert [json.loads(each.body) for each in peer.asked[:4]] == [
            {"KeyId": "k", "Plaintext": "/w==", **context},
            {"CiphertextBlob": "AQ==", "EncryptionAlgorithm": SYMMETRIC, **context},
            {"CiphertextBlob": "AQ==", "EncryptionAlgorithm": "RSA", "KeyId": ARN},
            {"KeyId": "k", "KeySpec": "AES_256", **context},
        ]
        assert {each.headers["Prefer"] for each in peer.asked} == {"wait=3"}

    @pytest.mark.parametrize("odd", [{}, {"CiphertextBlob": "canary"}, {"CiphertextBlob": None}])
    def test_what_is_no_answer_of_a_daemon(self, folder: Path, odd: object) -> None:
        """It is told, and not quoted."""
        with listening(folder / "s", answer(odd)), pytest.raises(ClientError, match="not the daemon's"):
            DaemonKms(Client(folder / "s"), 1).encrypt("k", Plaintext(b"x"), ())

    def test_a_pair_without_algorithms(self, folder: Path) -> None:
        """One that signs."""
        with listening(folder / "s", answer({"PublicKey": "MA==", "KeyId": ARN})):
            assert DaemonKms(Client(folder / "s"), 1).public_key("k").algorithms == ()

    def test_what_it_tells_is_raised(self, folder: Path) -> None:
        """By kind."""
        kms = DaemonKms(Client(folder / "s"), 1)
        for ask in (lambda: kms.data_key("k", ()), lambda: kms.public_key("k")):
            with pytest.raises(NoDaemon) as caught:
                ask()
            assert "Or add --alone" in caught.value.mend
        for status, kind in ((403, Refused), (503, Unavailable)):
            with listening(folder / "s", problem(status, "it is so")), pytest.raises(kind, match="it is so"):
                kms.data_key("k", ())


@dataclass
class FakeKms:
    """KMS that opens what it is told to."""

    opens: dict[bytes, Opened | Exception]
    asked: list[tuple[bytes, str | None, Context]] = field(default_factory=list)

    def decrypt(self, blob: bytes, context: Context, key_id: str | None, _algorithm: str = SYMMETRIC) -> Opened:
        """Open one."""
        self.asked.append((blob, key_id, context))
        outcome = self.opens[blob]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def encrypt(self, key_id: str, plaintext: Plaintext, context: Context) -> bytes:
        """Not asked here."""
        raise NotImplementedError

    def data_key(self, key_id: str, context: Context) -> DataKey:
        """Not asked here."""
        raise NotImplementedError

    def public_key(self, key_id: str) -> PublicKey:
        """Not asked here."""
        raise NotImplementedError


class TestUnwrapping:
    """Which of a message's data keys is used."""

    def opened(self, data_keys: Sequence[tuple[str, bytes]], kms: FakeKms) -> tuple[int, bytes]:
        """Unwrap."""
        number, data_key = unwrap(data_keys, CONTEXT, kms)
        return number, data_key.reveal()

    @pytest.mark.parametrize("refusal", [KeyNotAllowed("no"), Refused("no"), BadCiphertext("no")])
    def test_the_first_that_may_be_and_opens(self, refusal: Exception) -> None:
        """Those that name no key are not asked for at all."""
        kms = FakeKms({b"a": refusal, b"b": Opened(OTHER, Plaintext(b"k")), b"c": Opened(ARN, Plaintext(b"x"))})
        data_keys = [("alias/x", b"-"), ("arn:odd", b"-"), (ARN, b"a"), (OTHER, b"b"), (ARN, b"c")]
        assert self.opened(data_keys, kms) == (3, b"k")
        assert kms.asked == [(b"a", ARN, CONTEXT), (b"b", OTHER, CONTEXT)]

    def test_none(self) -> None:
        """What the last one met is told; where there is none at all, that."""
        kms = FakeKms({b"a": Refused("first"), b"b": BadCiphertext("last")})
        with pytest.raises(BadCiphertext, match="last"):
            self.opened([(ARN, b"a"), (OTHER, b"b")], kms)
        with pytest.raises(KeyNotAllowed, match="none of its data keys"):
            self.opened([], kms)

    def test_another_key_than_the_message_names(self) -> None:
        """However that came about, it is not used."""
        with pytest.raises(Undecryptable, match="another key than the message names"):
            self.opened([(ARN, b"a")], FakeKms({b"a": Opened(OTHER, Plaintext(b"k"))}))

    def test_who_cannot_be_asked_is_not_asked_again(self) -> None:
        """That nobody answers is no judgement on a data key."""
        kms = FakeKms({b"a": Unavailable("away")})
        with pytest.raises(Unavailable):
            self.opened([(ARN, b"a"), (OTHER, b"b")], kms)
        assert len(kms.asked) == 1
