import asyncio
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from prometheus_client import CollectorRegistry

from sidecar.core.errors import BadKeyId, BadSize, KeyNotAllowed, KeyWrongUsage, TimedOut
from sidecar.core.ports import Gate, KeyService, Priority, PublicKey
from sidecar.core.quotas import Limits
from sidecar.core.secret import Plaintext
from sidecar.engine.guard import Guard
from sidecar.envelope.public_keys import ALIAS_AGE, MOST, LoadedKey, PublicKeys, read_public_key
from sidecar.telemetry import Metrics
from tests.aws.gates import OpenGate

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def told(private: Private, *algorithms: str, key: str = "arn") -> PublicKey:
    """Say what KMS would of this key."""
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return PublicKey(key, private.public_key().public_bytes(encoding, form), "SPEC", "USAGE", algorithms)


P256 = ec.generate_private_key(ec.SECP256R1())


@dataclass
class FakeKeys:
    """A KeyService that has one public key, and notes who asks for it."""

    identity: str = "default"
    asked: list[str] = field(default_factory=list)
    answer: PublicKey = field(default_factory=lambda: told(P256, "ECDSA_SHA_256"))
    allowed: bool = True

    async def public_key(self, key_id: str, _gate: Gate, *, about: str = "") -> PublicKey:
        """Take a second."""
        self.asked.append(key_id)
        await asyncio.sleep(1)
        if not self.allowed:
            raise KeyNotAllowed(f"{about}: no")
        return self.answer


def service(keys: FakeKeys) -> KeyService:
    """Let it pass for all of KMS: only public keys are asked for here."""
    return keys  # type: ignore[return-value]


@pytest.mark.looptime
class TestFetching:
    """Each key is asked for once."""

    async def test_by_however_many_at_once(self) -> None:
        """All wait for one request; later ones do not wait."""
        keys, public = FakeKeys(), PublicKeys()
        first = await asyncio.gather(*(public.get("key-1", service(keys), OpenGate()) for _ in range(100)))
        later = await public.get("key-1", service(keys), OpenGate())
        assert keys.asked == ["key-1"]
        assert {id(each) for each in first} == {id(later)}

    async def test_an_alias_is_looked_at_again(self) -> None:
        """It may name another key; an ARN never does."""
        keys, public = FakeKeys(), PublicKeys()
        for _ in range(2):
            for key_id in ("alias/a", "arn:aws:kms:eu-west-1:1:key/1"):
                await public.get(key_id, service(keys), OpenGate())
            await asyncio.sleep(ALIAS_AGE)
        assert keys.asked == ["alias/a", "arn:aws:kms:eu-west-1:1:key/1", "alias/a"]

    async def test_who_leaves_lets_the_next_ask(self) -> None:
        """One without patience takes nobody's answer away."""
        keys, public = FakeKeys(), PublicKeys()
        async with asyncio.TaskGroup() as tasks:
            leaving = tasks.create_task(public.get("k", service(keys), OpenGate()))
            waiting = tasks.create_task(public.get("k", service(keys), OpenGate()))
            await asyncio.sleep(0.5)
            leaving.cancel()
        assert waiting.result().told.key == "arn"
        assert keys.asked == ["k", "k"]

    async def test_nobody_waits_longer_than_it_may(self) -> None:
        """Behind another's request as for its own."""
        keys, public = FakeKeys(), PublicKeys()
        guard = Guard(Limits(), dice=lambda: 1.0, metrics=Metrics(CollectorRegistry()))
        async with asyncio.TaskGroup() as tasks:
            asks = tasks.create_task(public.get("k", service(keys), OpenGate()))
            await asyncio.sleep(0)
            with pytest.raises(TimedOut):
                await public.get("k", service(keys), guard.gate(Priority.CALLER, 0.5))
            assert asyncio.get_running_loop().time() == 0.5
        assert asks.result().told.key == "arn"

    async def test_a_refusal_is_not_kept(self) -> None:
        """The key may be allowed a moment later."""
        keys, public = FakeKeys(allowed=False), PublicKeys()
        with pytest.raises(KeyNotAllowed):
            await public.get("k", service(keys), OpenGate())
        keys.allowed = True
        assert (await public.get("k", service(keys), OpenGate())).told.key == "arn"

    async def test_only_so_many_are_kept(self) -> None:
        """Those that were used least recently go first."""
        keys, public = FakeKeys(), PublicKeys()
        for number in range(MOST + 1):
            await public.get(f"k{number}", service(keys), OpenGate())
        asked = len(keys.asked)
        await public.get("k1", service(keys), OpenGate())
        assert len(keys.asked) == asked
        await public.get("k0", service(keys), OpenGate())
        assert len(keys.asked) == asked + 1


class TestUse:
    """What one loaded key does; tests/api/test_kms.py compares all algorithms with KMS."""

    def test_edwards_curves(self) -> None:
        """The message itself, not its digest: that is another algorithm, which only KMS has."""
        private = ed25519.Ed25519PrivateKey.generate()
        loaded = LoadedKey.of(told(private, "ED25519_SHA_512", "ED25519_PH_SHA_512"))
        signature = private.sign(b"m")
        assert loaded.verify(b"m", signature, "ED25519_SHA_512", is_digest=False, about="k")
        assert not loaded.verify(b"n", signature, "ED25519_SHA_512", is_digest=False, about="k")
        assert loaded.verify(b"m", signature, "ED25519_PH_SHA_512", is_digest=True, about="k") is None

    def test_what_is_not_known_here_kms_must_do(self) -> None:
        """A key of another kind, an algorithm of another kind."""
        strange = LoadedKey.of(PublicKey("arn", b"odd", "SM2", "SIGN_VERIFY", ("SM2DSA", "ECDSA_SHA_256")))
        assert strange.verify(b"m", b"s", "ECDSA_SHA_256", is_digest=False, about="k") is None
        for algorithm in ("SM2DSA", "ECDSA_SHA_256"):
            assert strange.verify(b"m", b"s", algorithm, is_digest=True, about="k") is None
        assert strange.encrypt(Plaintext(b"x"), "SM2DSA", "k") is None

    def test_algorithms_that_the_key_has_not(self) -> None:
        """As KMS would refuse them."""
        loaded = LoadedKey.of(told(P256, "ECDSA_SHA_256"))
        with pytest.raises(KeyWrongUsage, match="k: the KMS key does not have this algorithm"):
            loaded.verify(b"m", b"s", "ECDSA_SHA_384", is_digest=False, about="k")
        with pytest.raises(KeyWrongUsage):
            loaded.encrypt(Plaintext(b"x"), "RSAES_OAEP_SHA_256", "k")

    def test_a_digest_of_another_length(self) -> None:
        """Is none of this algorithm."""
        loaded = LoadedKey.of(told(P256, "ECDSA_SHA_256"))
        signature = P256.sign(b"m", ec.ECDSA(hashes.SHA256()))
        assert loaded.verify(b"m", signature, "ECDSA_SHA_256", is_digest=False, about="k")
        with pytest.raises(BadSize):
            loaded.verify(b"m", signature, "ECDSA_SHA_256", is_digest=True, about="k")

    def test_the_most_that_an_rsa_key_encrypts(self) -> None:
        """RFC 8017: its length less two digests and two bytes."""
        loaded = LoadedKey.of(told(rsa.generate_private_key(65537, 2048), "RSAES_OAEP_SHA_256"))
        assert loaded.encrypt(Plaintext(bytes(190)), "RSAES_OAEP_SHA_256", "k")
        with pytest.raises(BadSize, match="at most 190 bytes"):
            loaded.encrypt(Plaintext(bytes(191)), "RSAES_OAEP_SHA_256", "k")


class TestDownloaded:
    """A public key in a file."""

    @pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
    @pytest.mark.parametrize(
        "form", [serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1]
    )
    def test_encrypts_for_the_private_key(
        self, encoding: serialization.Encoding, form: serialization.PublicFormat
    ) -> None:
        """By either algorithm, PEM or DER."""
        private = rsa.generate_private_key(65537, 2048)
        loaded = read_public_key(private.public_key().public_bytes(encoding, form), "pub")
        for algorithm, digest in (("RSAES_OAEP_SHA_256", hashes.SHA256()), ("RSAES_OAEP_SHA_1", hashes.SHA1())):
            sealed = loaded.encrypt(Plaintext(b"x"), algorithm, "t")
            assert sealed is not None
            assert private.decrypt(sealed, padding.OAEP(padding.MGF1(digest), digest, None)) == b"x"

    def test_what_is_none(self) -> None:
        """Anything else, a private key, a curve's: each is told, and nothing is quoted."""
        pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
        private = P256.private_bytes(pem, serialization.PrivateFormat.PKCS8, none)
        for content in (b"", b"canary", b"-----BEGIN PUBLIC KEY-----\ncanary\n-----END PUBLIC KEY-----", private):
            with pytest.raises(BadKeyId, match=r"^pub: this is no public key$"):
                read_public_key(content, "pub")
        curve = P256.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(BadKeyId, match="only RSA keys encrypt"):
            read_public_key(curve, "pub")
