"""KMS over the socket: the interface, the limiter and the key service, before the fake AWS."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sidecar.api.services import Kms
from sidecar.aws import Aws
from sidecar.core.access import Globs, Rule
from sidecar.core.config.models import DataKeyCache, IdentitySpec
from sidecar.core.keys import KeyPattern
from sidecar.core.quotas import Limits
from sidecar.envelope.messages import Messages
from sidecar.envelope.public_keys import PublicKeys
from tests.api.served import Response, Served, served
from tests.aws_fixtures import AwsAccount

Json = Any  # what is asked and answered is KMS's own JSON
CONTEXT = {"app": "web"}
SIGNING = {
    "RSA_2048": [f"RSASSA_{kind}_SHA_{bits}" for kind in ("PSS", "PKCS1_V1_5") for bits in (256, 384, 512)],
    "ECC_NIST_P256": ["ECDSA_SHA_256"],
    "ECC_NIST_P384": ["ECDSA_SHA_384"],
    "ECC_NIST_P521": ["ECDSA_SHA_512"],
    "ECC_SECG_P256K1": ["ECDSA_SHA_256"],
}


def b64(value: bytes) -> str:
    """Write bytes as KMS's JSON has them."""
    return base64.b64encode(value).decode()


def unb64(text: str) -> bytes:
    """Read them."""
    return base64.b64decode(text)


def flipped(value: bytes, bit: int) -> bytes:
    """Alter one bit."""
    altered = bytearray(value)
    altered[bit // 8] ^= 1 << bit % 8
    return bytes(altered)


@dataclass
class Scene:
    """A daemon with KMS, and the account that it asks."""

    one: Served
    aws: AwsAccount

    async def do(self, operation: str, **members: Json) -> Response:
        """Ask for an operation."""
        return await self.one.post(f"/v1/kms/{operation}", members)

    async def done(self, operation: str, **members: Json) -> Mapping[str, Json]:
        """Ask for an operation that succeeds."""
        answer = await self.do(operation, **members)
        assert answer.status == 200, answer.body
        told: Mapping[str, Json] = answer.json
        return told

    async def refused(self, operation: str, **members: Json) -> tuple[int, str]:
        """Ask for one that does not; give status and the problem's type."""
        answer = await self.do(operation, **members)
        assert answer.json["mend"]
        assert "canary" not in answer.body.decode()
        return answer.status, answer.json["type"].rpartition(":")[2]

    def asked(self) -> list[str]:
        """Name the requests that reached KMS."""
        return [request.operation for request in self.aws.fake.requests("kms")]


@asynccontextmanager
async def kms_of(aws: AwsAccount, monkeypatch: pytest.MonkeyPatch, *allowed: str) -> AsyncIterator[Scene]:
    """Serve KMS under these keys; without any, those of the own account."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", aws.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    identities = {"default": IdentitySpec(region=aws.region, endpoint_url=aws.url)}
    public = PublicKeys()
    async with served() as one:
        metrics = one.services.metrics
        messages = Messages(DataKeyCache(), one.lab.clock, metrics)
        keys = tuple(KeyPattern(text) for text in allowed) or None
        async with Aws(identities, {}, metrics, allow_keys=keys, envelopes=lambda: messages) as room:
            one.services.kms = Kms(lambda: room.keys("default"), lambda: messages, public.get)
            yield Scene(one, aws)


@pytest.fixture
async def scene(aws: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """Serve KMS under the account's own keys."""
    async with kms_of(aws, monkeypatch) as scene:
        yield scene


async def message_of(scene: Scene, key: str, size: int = 9) -> bytes:
    """Give an Encryption SDK message."""
    sealed = await scene.done("encrypt", KeyId=key, Plaintext=b64(b"c" * size), envelope=True)
    return unb64(sealed["CiphertextBlob"])


class TestSymmetric:
    """What one symmetric key does."""

    async def test_encrypts_and_decrypts(self, scene: Scene) -> None:
        """With the context; the caller need not say which key it was."""
        key = scene.aws.create_key("alias/app")
        asked = {"EncryptionContext": CONTEXT}
        sealed = await scene.done("encrypt", KeyId="alias/app", Plaintext=b64(b"hello"), **asked)
        assert (sealed["KeyId"], sealed["EncryptionAlgorithm"]) == (key, "SYMMETRIC_DEFAULT")
        opened = await scene.done("decrypt", CiphertextBlob=sealed["CiphertextBlob"], **asked)
        assert (opened["KeyId"], unb64(opened["Plaintext"])) == (key, b"hello")

    async def test_makes_data_keys(self, scene: Scene) -> None:
        """In both ways, of any size; what is encrypted only opens to as many bytes."""
        key = scene.aws.create_key()
        made = await scene.done("generate-data-key", KeyId=key, EncryptionContext=CONTEXT)
        opened = await scene.done("decrypt", CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)
        assert opened["Plaintext"] == made["Plaintext"]
        unseen = await scene.done("generate-data-key-without-plaintext", KeyId=key, NumberOfBytes=24)
        assert unseen.keys() == {"CiphertextBlob", "KeyId"}
        opened = await scene.done("decrypt", CiphertextBlob=unseen["CiphertextBlob"])
        assert len(unb64(opened["Plaintext"])) == 24

    async def test_draws_random_bytes(self, scene: Scene) -> None:
        """As many as one call of KMS gives, and no more."""
        assert len(unb64((await scene.done("generate-random", NumberOfBytes=1024))["Plaintext"])) == 1024
        assert await scene.refused("generate-random", NumberOfBytes=1025) == (400, "bad-request")

    async def test_is_counted_and_audited(self, scene: Scene) -> None:
        """As one route, whatever the operation; each is a request in the metrics, as KMS saw it."""
        await scene.done("generate-random", NumberOfBytes=8)
        scrape = (await scene.one.get("/metrics")).body.decode()
        assert 'sidecar_http_requests_total{listener="unix",route="/v1/kms/{operation}",status="200"} 1.0' in scrape
        assert 'sidecar_aws_requests_total{operation="GenerateRandom",outcome="ok",service="kms"} 1.0' in scrape
        assert scene.asked() == ["GenerateRandom"]


class TestEnvelopes:
    """More than KMS takes."""

    async def test_up_to_a_mebibyte(self, scene: Scene) -> None:
        """Under one data key for all of them; the answer to a decryption is the same as for KMS's own."""
        key = scene.aws.create_key()
        large = bytes(1 << 20)
        for plaintext in (b"", b"x" * 5000, large):
            sealed = await scene.done(
                "encrypt", KeyId=key, Plaintext=b64(plaintext), EncryptionContext=CONTEXT, envelope=True
            )
            opened = await scene.done("decrypt", CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=CONTEXT)
            assert (unb64(opened["Plaintext"]), opened["KeyId"]) == (plaintext, key)
        assert scene.asked() == ["CreateKey", "GenerateDataKey", "Decrypt"]
        assert await scene.refused("encrypt", KeyId=key, Plaintext=b64(large + b"x"), envelope=True) == (
            413,
            "body-too-large",
        )

    async def test_without_one_it_says_how(self, scene: Scene) -> None:
        """KMS is not asked."""
        asked = {"KeyId": "alias/app", "Plaintext": b64(bytes(4097))}
        answer = await scene.do("encrypt", **asked)
        assert (answer.status, answer.json["type"]) == (400, "urn:sidecar:problem:bad-size")
        assert '"envelope": true' in answer.json["mend"]
        assert await scene.refused("encrypt", KeyId="alias/app", Plaintext="") == (400, "bad-size")
        assert scene.asked() == []

    async def test_a_body_is_bounded(self, scene: Scene) -> None:
        """10 MiB of zeros get no further than their length."""
        answer = await scene.one.ask("POST", "/v1/kms/decrypt", content=bytes(10 << 20))
        assert answer.status == 413


class TestPairs:
    """RSA and ECC."""

    @pytest.mark.parametrize("spec", SIGNING)
    async def test_verification_agrees_with_kms(self, scene: Scene, spec: str) -> None:
        """For each algorithm, message and digest, what KMS says is said here, and KMS is asked for the key alone."""
        kms = scene.aws.client("kms")
        key = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        for algorithm in SIGNING[spec]:
            digest = hashlib.new(f"sha{algorithm[-3:]}", b"message").digest()
            for message, kind in ((b"message", "RAW"), (digest, "DIGEST")):
                asked = {"KeyId": key, "Message": b64(message), "MessageType": kind, "SigningAlgorithm": algorithm}
                signature = unb64((await scene.done("sign", **asked))["Signature"])
                assert kms.verify(**asked | {"Message": message, "Signature": signature})["SignatureValid"]
                scene.aws.fake.forget_requests()
                told = await scene.done("verify", Signature=b64(signature), **asked)
                assert told == {"KeyId": key, "SignatureValid": True, "SigningAlgorithm": algorithm}
                forged = signature[:-1] + bytes([signature[-1] ^ 1])
                assert not (await scene.done("verify", Signature=b64(forged), **asked))["SignatureValid"]
                assert set(scene.asked()) <= {"GetPublicKey"}
                with pytest.raises(kms.exceptions.KMSInvalidSignatureException):
                    kms.verify(**asked | {"Message": message, "Signature": forged})

    @pytest.mark.parametrize("spec", SIGNING)
    async def test_whatever_is_wrong_kms_says_the_same(self, scene: Scene, spec: str) -> None:
        """Another message, any bit of the signature, its end, its form, the other curve's order: the same answer."""
        kms, dice = scene.aws.client("kms"), Random(spec)
        key = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        for algorithm in SIGNING[spec]:
            message, size = dice.randbytes(dice.randint(1, 4096)), int(algorithm[-3:]) // 8
            digest = hashlib.new(f"sha{algorithm[-3:]}", message).digest()
            signature = kms.sign(KeyId=key, Message=message, SigningAlgorithm=algorithm)["Signature"]
            bits = [flipped(signature, dice.randrange(8 * len(signature))) for _ in range(6)]
            tried = [(message, "RAW", each) for each in (signature, *bits, signature[:-1], signature + b"\0", b"0")]
            tried += [(digest, "DIGEST", signature), (digest, "RAW", signature), (bytes(size), "DIGEST", signature)]
            for said, kind, each in tried:
                asked = {"KeyId": key, "MessageType": kind, "SigningAlgorithm": algorithm}
                told = await scene.done("verify", Message=b64(said), Signature=b64(each), **asked)
                try:
                    right = kms.verify(Message=said, Signature=each, **asked)["SignatureValid"]
                except kms.exceptions.KMSInvalidSignatureException:
                    right = False
                assert told["SignatureValid"] == right, (algorithm, kind, each.hex())

    @pytest.mark.parametrize("algorithm", ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"])
    async def test_what_is_encrypted_here_kms_opens(self, scene: Scene, algorithm: str) -> None:
        """With the public key that was fetched once; more than it takes is refused with the number."""
        kms = scene.aws.client("kms")
        key = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
        scene.aws.fake.forget_requests()
        asked = {"KeyId": key, "EncryptionAlgorithm": algorithm}
        sealed = [await scene.done("encrypt", Plaintext=b64(b"hello"), **asked) for _ in range(3)]
        assert scene.asked() == ["GetPublicKey"]
        for each in sealed:
            opened = await scene.done("decrypt", CiphertextBlob=each["CiphertextBlob"], **asked)
            assert unb64(opened["Plaintext"]) == b"hello"
        answer = await scene.do("encrypt", Plaintext=b64(bytes(300)), **asked)
        most = 214 if algorithm.endswith("SHA_1") else 190
        assert (answer.status, f"at most {most} bytes" in answer.json["detail"]) == (400, True)

    async def test_ciphertext_that_begins_as_a_message_does(self, scene: Scene) -> None:
        """One in 256 of RSA's does; the algorithm tells them apart."""
        kms = scene.aws.client("kms")
        key = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
        asked = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
        public = load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
        assert isinstance(public, RSAPublicKey)
        oaep = OAEP(MGF1(SHA256()), SHA256(), None)
        blob = next(blob for blob in (public.encrypt(b"hello", oaep) for _ in count()) if blob[0] == 2)
        opened = await scene.done("decrypt", CiphertextBlob=b64(blob), **asked)
        assert unb64(opened["Plaintext"]) == b"hello"

    async def test_the_public_key(self, scene: Scene) -> None:
        """As KMS gives it, with what it is for; fetched once, whoever asks."""
        kms = scene.aws.client("kms")
        key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        scene.aws.fake.forget_requests()
        told = [(await scene.one.get(f"/v1/kms/public-key?key_id={key}")).json for _ in range(2)]
        assert scene.asked() == ["GetPublicKey"]
        expected = kms.get_public_key(KeyId=key)
        assert (
            told[0]
            == told[1]
            == {
                "KeyId": key,
                "PublicKey": b64(expected["PublicKey"]),
                "KeySpec": "ECC_NIST_P256",
                "KeyUsage": "SIGN_VERIFY",
                "SigningAlgorithms": ["ECDSA_SHA_256"],
            }
        )

    async def test_the_wrong_algorithm_or_length(self, scene: Scene) -> None:
        """KMS's own words for it, without asking KMS once the key is there."""
        kms = scene.aws.client("kms")
        key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        asked = {"KeyId": key, "Message": b64(b"m"), "Signature": b64(b"s")}
        wrong = await scene.refused("verify", SigningAlgorithm="RSASSA_PSS_SHA_256", **asked)
        assert wrong == (403, "key-wrong-usage")
        short = await scene.refused("verify", SigningAlgorithm="ECDSA_SHA_256", MessageType="DIGEST", **asked)
        assert short == (400, "bad-size")
        scene.aws.fake.forget_requests()
        long = {"KeyId": key, "Message": b64(bytes(4097)), "SigningAlgorithm": "ECDSA_SHA_256"}
        assert await scene.refused("sign", **long) == (400, "bad-size")
        assert scene.asked() == []


class TestWhoMay:
    """`access` and `kms.allow_keys`."""

    async def test_rules_name_operations(self, scene: Scene) -> None:
        """As kms/OPERATION; who may not is told nothing more, and KMS is not asked."""
        scene.one.permit(Rule(None, None, Globs(["kms/generate-random"])))
        await scene.done("generate-random", NumberOfBytes=1)
        scene.aws.fake.forget_requests()
        assert await scene.refused("decrypt", CiphertextBlob="AQ==") == (403, "caller-denied")
        assert await scene.refused("decrypt", canary="no body at all") == (403, "caller-denied")
        assert (await scene.one.get("/v1/kms/public-key?key_id=canary")).status == 403
        assert scene.asked() == []

    async def test_other_keys_are_refused_before_kms_is_asked(
        self, aws: AwsAccount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """For each operation that names a key; the public key too."""
        mine, other = aws.create_key(), aws.create_key()
        async with kms_of(aws, monkeypatch, mine) as scene:
            sealed = await scene.done("encrypt", KeyId=mine, Plaintext=b64(b"x"))
            aws.fake.forget_requests()
            signing = {"KeyId": other, "Message": b64(b"x"), "SigningAlgorithm": "ECDSA_SHA_256"}
            for operation, members in {
                "encrypt": {"KeyId": other, "Plaintext": b64(b"canary")},
                "decrypt": {"KeyId": other, "CiphertextBlob": sealed["CiphertextBlob"]},
                "generate-data-key": {"KeyId": other},
                "generate-data-key-without-plaintext": {"KeyId": other},
                "sign": signing,
                "verify": {**signing, "Signature": ""},
            }.items():
                assert await scene.refused(operation, **members) == (403, "key-not-allowed"), operation
            assert (await scene.one.get(f"/v1/kms/public-key?key_id={other}")).status == 403
            assert scene.asked() == []

    async def test_without_a_region(self) -> None:
        """What to set is said."""
        async with served() as one:
            answer = await one.post("/v1/kms/generate-random", {"NumberOfBytes": 1})
        assert (answer.status, answer.json["mend"]) == (400, "identities.default.region: want a region")


class TestScarcity:
    """What KMS, or the daemon's share of it, does not give just now."""

    async def test_throttled(self, scene: Scene) -> None:
        """As long as it may be in time it is tried again; then when to come back, from AWS or from what it left us."""
        scene.aws.fake.fault("throttle", service="kms")
        answer = await scene.one.ask(
            "POST", "/v1/kms/generate-random", content=b'{"NumberOfBytes": 1}', Prefer="wait=1"
        )
        told = answer.json["type"].rpartition(":")[2]
        assert (answer.status, told) in {(503, "throttled"), (429, "overloaded")}
        assert int(answer.headers["retry-after"]) >= 1
        assert len(scene.asked()) > 1

    async def test_the_share_is_taken(self, scene: Scene) -> None:
        """Who cannot have a turn in time is told so at once, with when to come back: 429."""
        scene.one.services.guard.adopt(Limits(1.0, {"kms.symmetric": 0.1}))
        ask = partial(
            scene.one.ask, "POST", "/v1/kms/generate-random", content=b'{"NumberOfBytes": 1}', Prefer="wait=2"
        )
        answers = [await ask() for _ in range(20)]
        refused = next(answer for answer in answers if answer.status != 200)
        assert (refused.status, refused.json["type"]) == (429, "urn:sidecar:problem:overloaded")
        assert int(refused.headers["retry-after"]) >= 2


class TestBadInput:
    """A clear answer each; KMS is asked only where nothing else can tell."""

    async def test_ciphertext_that_does_not_open(self, scene: Scene) -> None:
        """Altered, cut short, with another context, of another key: KMS says so, and so do we."""
        key = scene.aws.create_key()
        sealed = unb64((await scene.done("encrypt", KeyId=key, Plaintext=b64(b"canary")))["CiphertextBlob"])
        for blob, members in (
            (sealed[:-1] + bytes([sealed[-1] ^ 1]), {}),
            (sealed[:40], {}),
            (sealed, {"EncryptionContext": CONTEXT}),
        ):
            answer = await scene.refused("decrypt", CiphertextBlob=b64(blob), **members)
            assert answer == (502, "bad-ciphertext")
        other = scene.aws.create_key()
        assert await scene.refused("decrypt", CiphertextBlob=b64(sealed), KeyId=other) == (502, "wrong-key")

    async def test_messages_that_do_not_open(self, scene: Scene) -> None:
        """Cut short, with trailing bytes, unknown algorithm, another context, 1,000 data keys: none of them needs KMS.

        A bit that is altered shows only when the data key is there.
        """
        key = scene.aws.create_key()
        message = await message_of(scene, key)
        count = message.index(b"aws-kms") - 4
        one_key = message[count + 2 : message.index(key.encode()) + len(key) + 2]
        scene.aws.fake.forget_requests()
        for bad, kind in (
            (message[:50], "undecryptable"),
            (message[:-3], "bad-ciphertext"),
            (message + b"?", "bad-ciphertext"),
            (message + message, "bad-ciphertext"),
            (message[:1] + b"\xff\xff" + message[3:], "undecryptable"),
            (message[:count] + (1000).to_bytes(2) + one_key * 1000, "undecryptable"),
        ):
            assert await scene.refused("decrypt", CiphertextBlob=b64(bad)) == (502, kind), bad
        wrong = await scene.refused("decrypt", CiphertextBlob=b64(message), EncryptionContext={"a": "canary"})
        assert wrong == (502, "bad-ciphertext")
        named = await scene.refused("decrypt", CiphertextBlob=b64(message), KeyId=key)
        assert named == (400, "bad-key-id")
        assert scene.asked() == []
        altered = message[:-1] + bytes([message[-1] ^ 1])
        assert await scene.refused("decrypt", CiphertextBlob=b64(altered)) == (502, "bad-ciphertext")

    async def test_contexts_that_do_not_fit(self, scene: Scene) -> None:
        """What no message could hold, or never open again, is refused before KMS is asked; a pair has none at all."""
        key = scene.aws.create_key()
        scene.aws.fake.forget_requests()
        asked = {"KeyId": key, "Plaintext": b64(b"canary")}
        for context in ({"aws-crypto-public-key": "canary"}, {"a": "canary" * 11_000}):
            answer = await scene.refused("encrypt", **asked, EncryptionContext=context, envelope=True)
            assert answer == (400, "bad-context")
        half = await scene.one.ask(
            "POST",
            "/v1/kms/encrypt",
            content=b'{"KeyId": "k", "Plaintext": "AAAA", "EncryptionContext": {"a": "\\ud800"}}',
        )
        assert (half.status, half.json["type"]) == (400, "urn:sidecar:problem:bad-request")
        pair = await scene.refused(
            "encrypt", **asked, EncryptionContext=CONTEXT, EncryptionAlgorithm="RSAES_OAEP_SHA_1"
        )
        assert pair == (400, "bad-context")
        assert scene.asked() == []

    async def test_what_is_no_request(self, scene: Scene) -> None:
        """Not base64, no key, zeros: KMS is not asked."""
        assert await scene.refused("decrypt", CiphertextBlob="canary?") == (400, "bad-request")
        assert await scene.refused("encrypt", KeyId="canary key", Plaintext="AAAA") == (400, "bad-key-id")
        assert await scene.refused("decrypt", CiphertextBlob=b64(bytes(1 << 20))) == (502, "bad-ciphertext")
        assert await scene.refused("decrypt", CiphertextBlob="") == (502, "bad-ciphertext")
        assert scene.asked() == []

    async def test_states_of_the_key(self, scene: Scene) -> None:
        """Each has its own type, a key of the wrong kind too; one that may come back by itself is a 503."""
        aws, key = scene.aws, scene.aws.create_key()
        for state, kind in (
            ("Disabled", "key-disabled"),
            ("PendingDeletion", "key-pending-deletion"),
            ("PendingImport", "key-pending-import"),
        ):
            aws.fake.set_key_state(key, state, region=aws.region)
            assert await scene.refused("generate-data-key", KeyId=key) == (403, kind)
        aws.fake.set_key_state(key, "Unavailable", region=aws.region)
        away = await scene.one.ask(
            "POST", "/v1/kms/generate-data-key", content=json.dumps({"KeyId": key}).encode(), Prefer="wait=1"
        )
        assert (away.status, away.json["type"]) == (503, "urn:sidecar:problem:key-store-unavailable")
        assert int(away.headers["retry-after"]) >= 1
        signing = aws.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        assert await scene.refused("generate-data-key", KeyId=signing) == (403, "key-wrong-usage")
        assert await scene.refused("generate-data-key", KeyId="alias/none") == (403, "key-not-found")

    async def test_who_keeps_the_daemon_from_a_key(self, aws: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its policy, IAM, a grant, its region, its account: told apart, each with its own mend."""
        theirs = AwsAccount(aws.fake.of("444455556666"))
        key, foreign = aws.create_key(), theirs.create_key()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", aws.id)
        async with kms_of(aws, monkeypatch, f"arn:aws:kms:*:{aws.id}:*", "arn:aws:kms:*:444455556666:*") as scene:
            aws.fake.deny("kms:*", key)
            assert await scene.refused("generate-data-key", KeyId=key) == (403, "key-denied")
            aws.fake.clear()
            aws.fake.shut_out(key, "*", region=aws.region)
            assert await scene.refused("generate-data-key", KeyId=key) == (403, "key-policy-denies")
            theirs.fake.shut_out(foreign, "*", region=aws.region)
            assert await scene.refused("generate-data-key", KeyId=foreign) == (403, "key-other-account")
            aws.fake.fault("access-denied", service="kms", message="may not kms:Encrypt: no grant allows it", count=1)
            assert await scene.refused("generate-data-key", KeyId=key) == (403, "grant-missing")
            elsewhere = key.replace("eu-west-1", "us-east-1")
            assert await scene.refused("generate-data-key", KeyId=elsewhere) == (403, "key-not-found")
        theirs.fake.reset()

    async def test_the_daemon_stops(self, scene: Scene) -> None:
        """Who waits for KMS is told so, as whoever waits for a value."""
        key = scene.aws.create_key()
        scene.aws.fake.fault("slow", operation="GenerateDataKey", seconds=2)
        waiting = asyncio.Task(scene.do("generate-data-key", KeyId=key))
        await scene.one.waiting()
        scene.one.patience.hurry()
        answer = await waiting
        assert (answer.status, answer.json["type"]) == (504, "urn:sidecar:problem:wait-ended")

    async def test_a_wait_ends(self, scene: Scene) -> None:
        """While KMS does not answer, each caller waits as long as it says, also behind another's data key."""
        key = scene.aws.create_key()
        await message_of(scene, key)  # all is loaded
        scene.aws.fake.fault("slow", operation="GenerateDataKey", seconds=2)
        asked = json.dumps({"KeyId": key, "Plaintext": "", "envelope": True, "EncryptionContext": CONTEXT}).encode()
        patient = asyncio.Task(scene.one.ask("POST", "/v1/kms/encrypt", content=asked))
        hasty = scene.one.ask("POST", "/v1/kms/encrypt", content=asked, Prefer="wait=1")
        direct = scene.one.ask(
            "POST", "/v1/kms/generate-data-key", content=f'{{"KeyId": "{key}"}}'.encode(), Prefer="wait=1"
        )
        for answer in await asyncio.gather(hasty, direct):
            assert (answer.status, answer.json["type"]) == (504, "urn:sidecar:problem:wait-ended")
        assert (await patient).status == 200
