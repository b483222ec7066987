import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import pytest
from prometheus_client import CollectorRegistry

from sidecar.aws import Aws
from sidecar.aws.errors import BadSignature
from sidecar.aws.keys import ALIAS_AGE, Keys
from sidecar.core.config.models import IdentitySpec
from sidecar.core.errors import BadCiphertext, BadKeyId, KeyDisabled, KeyNotAllowed, Throttled, WrongKey
from sidecar.core.keys import KeyPattern
from sidecar.core.ports import Call, KeyService, Priority
from sidecar.core.quotas import Limits
from sidecar.core.secret import Plaintext
from sidecar.engine.guard import Guard
from sidecar.telemetry import KmsReason, Metrics
from tests.aws.gates import OpenGate
from tests.aws.scripted import ScriptedAws
from tests.aws_fixtures import AwsAccount

T = TypeVar("T")
KeysOf = Callable[..., KeyService]
CONTEXT = (("app", "web"),)
KMS_THROTTLES = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."


@dataclass
class ToldGate(OpenGate):
    """A gate that asks nobody: it has the answers."""

    answers: list[object] = field(default_factory=list)

    async def send(self, call: Call, attempt: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002 -- the port's
        """Give the next."""
        return cast("T", self.answers.pop(0))


@pytest.fixture
def keys_of(room: Aws, metrics: Metrics) -> KeysOf:
    """Give KMS under the keys that a test allows; without any, those of the own account."""

    def make(*allowed: str) -> KeyService:
        patterns = [KeyPattern(text) for text in allowed] if allowed else None
        return Keys(room.identity("default"), patterns, metrics)

    return make


class TestOperations:
    """Each operation, against the fake."""

    async def test_encrypts_and_decrypts(
        self, keys_of: KeysOf, aws: AwsAccount, gate: OpenGate, registry: CollectorRegistry
    ) -> None:
        """What was encrypted opens with its context, charged to kms.symmetric and counted as our own."""
        key, keys = aws.create_key(), keys_of()
        sealed = await keys.encrypt(key, Plaintext(b"hello"), gate, context=CONTEXT)
        opened = await keys.decrypt(sealed.blob, gate, context=CONTEXT)
        assert (opened.key, opened.plaintext.reveal(), opened.context) == (key, b"hello", CONTEXT)
        assert [charge.quota for call in gate.calls[-2:] for charge in call.charges] == ["kms.symmetric"] * 2
        assert registry.get_sample_value("sidecar_kms_charges_total", {"reason": KmsReason.DIRECT}) == 2

    async def test_makes_data_keys(self, keys_of: KeysOf, aws: AwsAccount, gate: OpenGate) -> None:
        """In the clear and sealed, or sealed only; of the size that is wanted."""
        key, keys = aws.create_key("alias/app"), keys_of()
        made = await keys.generate_data_key("alias/app", gate, context=CONTEXT, size=16)
        assert (made.key, len(made.plaintext.reveal())) == (key, 16)
        again = await keys.decrypt(made.blob, gate, context=CONTEXT, key_id=key)
        assert again.plaintext.reveal() == made.plaintext.reveal()
        unseen = await keys.generate_data_key_without_plaintext(key, gate)
        assert len((await keys.decrypt(unseen.blob, gate)).plaintext.reveal()) == 32

    async def test_draws_random_bytes(self, keys_of: KeysOf, gate: OpenGate) -> None:
        """As many as are wanted."""
        assert len((await keys_of().generate_random(24, gate)).reveal()) == 24

    async def test_signs_and_verifies(
        self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate, registry: CollectorRegistry
    ) -> None:
        """A signature is charged to its family's quota; a wrong one is an answer, no error."""
        script.say("GetCallerIdentity", b"")
        keys = scripted_room.keys("default")
        scripted_room.identity("default").known_account = "111122223333"
        script.say("Sign", {"KeyId": "arn", "Signature": "c2lnbmVk"})
        script.say("Verify", {"SignatureValid": True}, script.error("KMSInvalidSignatureException"))
        signed = await keys.sign("k", b"digest", "ECDSA_SHA_256", gate, is_digest=True)
        assert (signed.key, signed.signature) == ("arn", b"signed")
        asked = dict(script.asked[-1][1])
        assert (asked["MessageType"], asked["SigningAlgorithm"]) == ("DIGEST", "ECDSA_SHA_256")
        assert await keys.verify("k", b"m", b"signed", "RSASSA_PSS_SHA_256", gate)
        assert not await keys.verify("k", b"m", b"forged", "RSASSA_PSS_SHA_256", gate)
        quotas = [charge.quota for call in gate.calls for charge in call.charges]
        assert quotas == ["kms.ecc", "kms.rsa", "kms.rsa"]
        dollars = registry.get_sample_value("sidecar_aws_cost_dollars_total", {"service": "kms"})
        assert dollars == pytest.approx(3 * 0.15 / 10_000)
        assert BadSignature.label == "bad_signature"

    async def test_a_pair_costs_by_its_size(
        self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate, registry: CollectorRegistry
    ) -> None:
        """What RSA encrypts and decrypts is as long as its key: 2,048 bits cost as symmetric keys do, others more."""
        scripted_room.identity("default").known_account = "111122223333"
        keys, oaep = scripted_room.keys("default"), "RSAES_OAEP_SHA_256"
        for size in (256, 384):
            blob = base64.b64encode(bytes(size)).decode()
            script.say("Encrypt", {"KeyId": "arn", "CiphertextBlob": blob})
            script.say("Decrypt", {"KeyId": "arn", "Plaintext": "AAAA"})
            await keys.encrypt("k", Plaintext(b"x"), gate, algorithm=oaep)
            await keys.decrypt(bytes(size), gate, key_id="k", algorithm=oaep)
        dollars = registry.get_sample_value("sidecar_aws_cost_dollars_total", {"service": "kms"})
        assert dollars == pytest.approx(2 * (0.15 - 0.03) / 10_000)  # the rest is counted where requests are sent

    async def test_reads_public_keys(self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate) -> None:
        """With what they are for, and a quota of their own."""
        scripted_room.identity("default").known_account = "111122223333"
        told = {"KeyId": "arn", "PublicKey": "ZGVy", "KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}
        script.say("GetPublicKey", {**told, "SigningAlgorithms": ["RSASSA_PSS_SHA_256"]})
        found = await scripted_room.keys("default").public_key("k", gate)
        assert (found.der, found.spec, found.usage) == (b"der", "RSA_2048", "SIGN_VERIFY")
        assert found.algorithms == ("RSASSA_PSS_SHA_256",)
        assert [charge.quota for charge in gate.calls[-1].charges] == ["kms.GetPublicKey"]

    async def test_a_throttled_pair_slows_its_own_quota(
        self, keys_of: KeysOf, aws: AwsAccount, metrics: Metrics
    ) -> None:
        """KMS says of each throttling that it is KMS's: RSA, elliptic curves and symmetric keys are told apart."""
        keys, kms = keys_of(), aws.client("kms")
        pairs = {"RSASSA_PSS_SHA_256": "RSA_2048", "ECDSA_SHA_256": "ECC_NIST_P256"}
        guard = Guard(Limits(1.0), dice=lambda: 0.0, metrics=metrics)
        gate = guard.gate(Priority.CALLER, asyncio.get_running_loop().time() + 60).once()
        for algorithm, spec in pairs.items():
            key = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
            await keys.sign(key, b"once", algorithm, gate)
            aws.fake.fault("throttle", service="kms", operation="Sign", message=KMS_THROTTLES, count=1)
            with pytest.raises(Throttled):
                await keys.sign(key, b"again", algorithm, gate)
        throttled = {each.quota: each.throttled for each in guard.readings()}
        assert {"kms.rsa": 1, "kms.ecc": 1}.items() <= throttled.items()
        assert throttled.get("kms.symmetric", 0) == 0

    async def test_the_wrong_context_and_a_disabled_key(self, keys_of: KeysOf, aws: AwsAccount, gate: OpenGate) -> None:
        """Each is its own error."""
        key, keys = aws.create_key(), keys_of()
        sealed = await keys.encrypt(key, Plaintext(b"hello"), gate, context=CONTEXT)
        with pytest.raises(BadCiphertext, match="kms:abc"):
            await keys.decrypt(sealed.blob, gate, about="kms:abc")
        aws.client("kms").disable_key(KeyId=key)
        with pytest.raises(KeyDisabled):
            await keys.decrypt(sealed.blob, gate, context=CONTEXT)


async def test_what_kms_never_made_is_not_sent_to_it(keys_of: KeysOf, gate: OpenGate) -> None:
    """Nothing, or more than its longest ciphertext."""
    for blob in (b"", bytes(6145), bytes(10_000_000)):
        with pytest.raises(BadCiphertext, match=rf"kms:x: KMS makes no ciphertext of {len(blob)} bytes"):
            await keys_of().decrypt(blob, gate, about="kms:x")
    assert gate.calls == []


class TestAllowedKeys:
    """`kms.allow_keys`."""

    async def test_one_key_is_named_to_kms(self, keys_of: KeysOf, aws: AwsAccount, gate: OpenGate) -> None:
        """So that KMS itself refuses the ciphertext of another; its alias does as well."""
        mine, other = aws.create_key("alias/mine"), aws.create_key()
        sealed = await keys_of().encrypt(other, Plaintext(b"x"), gate)
        for allowed in (mine, "alias/mine"):
            with pytest.raises(WrongKey):
                await keys_of(allowed).decrypt(sealed.blob, gate)

    async def test_of_several_the_answers_key_is_compared(
        self, keys_of: KeysOf, aws: AwsAccount, gate: OpenGate
    ) -> None:
        """The plaintext of a foreign key is dropped; an alias is resolved once."""
        mine, named, other = aws.create_key(), aws.create_key("alias/named"), aws.create_key()
        keys = keys_of(mine, "alias/named")
        for key in (mine, named, named):
            sealed = await keys_of().encrypt(key, Plaintext(b"x"), gate)
            assert (await keys.decrypt(sealed.blob, gate)).key == key
        sealed = await keys_of().encrypt(other, Plaintext(b"x"), gate)
        with pytest.raises(KeyNotAllowed):
            await keys.decrypt(sealed.blob, gate)
        assert gate.operations.count("DescribeKey") == 1

    async def test_all_keys_of_an_account(self, keys_of: KeysOf, aws: AwsAccount, gate: OpenGate) -> None:
        """Each opens, whichever it was; another account's does not, and with no key allowed nothing is asked."""
        sealed = await keys_of().encrypt(aws.create_key(), Plaintext(b"x"), gate)
        for pattern in (f"arn:aws:kms:*:{aws.id}:*", f"arn:aws:kms:{aws.region}:{aws.id}:key/*"):
            assert (await keys_of(pattern).decrypt(sealed.blob, gate)).plaintext.reveal() == b"x"
        for pattern in ("arn:aws:kms:*:999999999999:*", f"arn:aws:kms:us-east-1:{aws.id}:*"):
            with pytest.raises(KeyNotAllowed):
                await keys_of(pattern).decrypt(sealed.blob, gate)

    async def test_a_key_is_asked_in_its_own_region(self, keys_of: KeysOf, aws: AwsAccount, gate: OpenGate) -> None:
        """Its ARN says which, also where the ciphertext does not say whose it is."""
        kms = aws.client("kms", "us-east-1")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        assert (await keys_of(key).decrypt(blob, gate)).plaintext.reveal() == b"x"
        assert gate.calls[-1].scope.region == "us-east-1"
        assert (await keys_of().decrypt(blob, gate, region="us-east-1")).key == key

    @pytest.mark.looptime
    async def test_an_alias_is_looked_at_again(self, metrics: Metrics) -> None:
        """After five minutes: nothing tells that it moved."""
        aws = Aws({"default": IdentitySpec(region="eu-west-1")}, {}, metrics)
        identity = aws.identity("default")
        identity.known_account = "111122223333"
        key = "arn:aws:kms:eu-west-1:111122223333:key/{}".format
        keys, gate = (
            Keys(identity, [KeyPattern(key(1)), KeyPattern(key(2))], metrics),
            ToldGate(answers=[key(1), key(3)]),
        )
        assert await keys.admits("alias/app", gate)
        await asyncio.sleep(ALIAS_AGE - 1)
        assert await keys.admits("alias/app", gate)
        await asyncio.sleep(1)
        assert not await keys.admits("alias/app", gate)

    async def test_an_empty_list_allows_nothing(self, room: Aws, metrics: Metrics, gate: OpenGate) -> None:
        """And asks nothing."""
        keys = Keys(room.identity("default"), [], metrics)
        with pytest.raises(KeyNotAllowed):
            await keys.decrypt(b"\x01\x02blob", gate)
        with pytest.raises(KeyNotAllowed):
            await keys.encrypt("alias/app", Plaintext(b"x"), gate)
        assert set(gate.operations) <= {"GetCallerIdentity"}

    async def test_a_key_that_is_named_is_refused_before_kms_is_asked(
        self, keys_of: KeysOf, aws: AwsAccount, gate: OpenGate
    ) -> None:
        """A foreign account's key, or one that is not in the list."""
        keys = keys_of(aws.create_key())
        foreign = aws.create_key().replace(aws.id, "999999999999")
        for key in (aws.create_key(), foreign):
            with pytest.raises(KeyNotAllowed):
                await keys.encrypt(key, Plaintext(b"x"), gate)
        with pytest.raises(KeyNotAllowed):
            await keys_of().generate_data_key(foreign, gate)
        assert set(gate.operations) <= {"GetCallerIdentity"}

    async def test_an_alias_means_the_key_that_it_names(self, keys_of: KeysOf, aws: AwsAccount, gate: OpenGate) -> None:
        """Where keys are allowed by ARN, an alias is resolved; one that names nothing is not allowed."""
        mine, other = aws.create_key("alias/mine"), aws.create_key("alias/other")
        keys = keys_of(mine)
        assert await keys.admits("alias/mine", gate)
        assert not await keys.admits("alias/other", gate)
        assert not await keys.admits("alias/nothing", gate)
        assert await keys_of(f"arn:aws:kms:*:{aws.id}:*").admits("alias/other", gate)
        assert not await keys_of("alias/mine").admits(other, gate)

    async def test_what_is_no_key_is_said_to_be_none(self, keys_of: KeysOf, gate: OpenGate) -> None:
        """Before anything is asked."""
        with pytest.raises(BadKeyId):
            await keys_of("alias/a", "alias/b").encrypt("a key", Plaintext(b"x"), gate)

    async def test_remembers_only_so_many_aliases(self, keys_of: KeysOf, aws: AwsAccount, gate: OpenGate) -> None:
        """Whoever names ever new ones does not fill the memory."""
        keys = keys_of(aws.create_key(), aws.create_key())
        for number in range(258):
            assert not await keys.admits(f"alias/a{number}", gate)
        before = gate.operations.count("DescribeKey")
        await keys.admits("alias/a0", gate)
        assert gate.operations.count("DescribeKey") == before + 1


async def test_a_role_says_in_which_partition_and_account_it_is(metrics: Metrics, gate: OpenGate) -> None:
    """Nothing is asked for that."""
    spec = IdentitySpec(role_arn="arn:aws-cn:iam::444455556666:role/r", region="cn-north-1")
    async with Aws({"default": spec}, {}, metrics) as aws:
        keys = aws.keys("default")
        assert await keys.admits("arn:aws-cn:kms:cn-north-1:444455556666:key/1", gate)
        assert (keys.identity, keys.region, gate.calls) == ("default", "cn-north-1", [])
