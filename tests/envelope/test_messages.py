import asyncio
import base64
from collections.abc import AsyncIterator

import aws_encryption_sdk
import botocore.session
import pytest
from aws_encryption_sdk.identifiers import CommitmentPolicy
from aws_encryption_sdk.key_providers.kms import StrictAwsKmsMasterKeyProvider
from prometheus_client import CollectorRegistry

from sidecar.aws import Aws
from sidecar.aws.keys import Keys
from sidecar.core.config.models import DataKeyCache, IdentitySpec
from sidecar.core.errors import BadCiphertext, KeyDisabled, KeyNotAllowed, Throttled, TimedOut, Undecryptable
from sidecar.core.keys import SYMMETRIC, KeyPattern
from sidecar.core.ports import DataKey, Decrypt, Gate, Opened, Priority, Route
from sidecar.core.quotas import Limits
from sidecar.core.refs import Context, Ref, SourceKind, parse
from sidecar.core.secret import Plaintext, Secret
from sidecar.engine.guard import Guard
from sidecar.envelope import sdk
from sidecar.envelope.messages import IN_LOOP, Messages
from sidecar.telemetry import Metrics
from tests.aws.gates import OpenGate
from tests.aws_fixtures import AwsAccount
from tests.engine.fakes import FakeClock

CONTEXT = (("app", "web"),)
KMS = Route(SourceKind.KMS, "default")
S3 = Route(SourceKind.S3, "default")


@pytest.fixture
def registry() -> CollectorRegistry:
    """Give where the counts can be read."""
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    """Count from zero."""
    return Metrics(registry)


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that stands still."""
    return FakeClock()


@pytest.fixture
def messages(clock: FakeClock, metrics: Metrics) -> Messages:
    """Give the room under test."""
    return Messages(DataKeyCache(max_messages=100), clock, metrics)


@pytest.fixture
async def room(
    aws: AwsAccount, metrics: Metrics, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Aws]:
    """Give the way to KMS, introduced to the room."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", aws.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    spec = IdentitySpec(region=aws.region, endpoint_url=aws.url)
    async with Aws({"default": spec}, {}, metrics, envelopes=lambda: messages) as made:
        yield made


def spoken(registry: CollectorRegistry, use: str) -> list[float | None]:
    """Read hits, misses and offs."""
    names = ("hit", "miss", "off")
    return [registry.get_sample_value("sidecar_data_keys_total", {"use": use, "result": name}) for name in names]


async def test_a_thousand_messages_cost_ten_data_keys(
    messages: Messages, room: Aws, aws: AwsAccount, registry: CollectorRegistry
) -> None:
    """1,000 times 1 KiB at once, at 100 messages a key: 10 GenerateDataKey calls, by the fake's own count."""
    key, keys, gate = aws.create_key(), room.keys("default"), OpenGate()
    value = Plaintext(b"x" * 1024)
    sealed = await asyncio.gather(*(messages.seal(value, key, keys, gate, context=CONTEXT) for _ in range(1000)))
    assert len({each.blob for each in sealed}) == 1000
    assert len(aws.fake.requests("kms", "GenerateDataKey")) == 10
    assert spoken(registry, "encrypt") == [990, 10, 0]
    opened = await asyncio.gather(*(messages.open(each.blob, keys, gate, context=CONTEXT) for each in sealed))
    assert {each.plaintext.reveal() for each in opened} == {b"x" * 1024}
    assert len(aws.fake.requests("kms", "Decrypt")) == 10
    assert spoken(registry, "decrypt") == [990, 10, 0]


async def test_an_age_ends_a_data_key(messages: Messages, room: Aws, aws: AwsAccount, clock: FakeClock) -> None:
    """To encrypt and to decrypt."""
    key, keys, gate = aws.create_key(), room.keys("default"), OpenGate()
    first = await messages.seal(Plaintext(b"a"), key, keys, gate)
    await messages.open(first.blob, keys, gate)
    clock.suspend(300.0)
    await messages.seal(Plaintext(b"b"), key, keys, gate)
    await messages.open(first.blob, keys, gate)
    assert (gate.operations.count("GenerateDataKey"), gate.operations.count("Decrypt")) == (2, 2)


async def test_switched_off_each_message_asks_kms(
    messages: Messages, room: Aws, aws: AwsAccount, registry: CollectorRegistry
) -> None:
    """Any limit of 0 does it, and the metric says so."""
    messages.limits = DataKeyCache(max_messages=0)
    key, keys, gate = aws.create_key(), room.keys("default"), OpenGate()
    for _ in range(2):
        sealed = await messages.seal(Plaintext(b"a"), key, keys, gate)
        await messages.open(sealed.blob, keys, gate)
    assert (gate.operations.count("GenerateDataKey"), gate.operations.count("Decrypt")) == (2, 2)
    assert (spoken(registry, "encrypt"), spoken(registry, "decrypt")) == ([0, 0, 2], [0, 0, 2])


async def test_data_keys_do_not_outlive_their_time(
    messages: Messages, room: Aws, aws: AwsAccount, clock: FakeClock
) -> None:
    """What has ended is gone from memory with the next sweep, used again or not."""
    key, keys, gate = aws.create_key(), room.keys("default"), OpenGate()
    await messages.open((await messages.seal(Plaintext(b"a"), key, keys, gate)).blob, keys, gate)
    for slept, held in ((290.0, 1), (10.0, 0)):
        clock.suspend(slept)
        messages.prune()
        assert (len(messages._sealing), len(messages._opening)) == (held, held)  # noqa: SLF001 -- nobody else can see it


async def test_a_failure_is_not_kept(messages: Messages, room: Aws, aws: AwsAccount) -> None:
    """Who comes next asks again."""
    key, keys, gate = aws.create_key(), room.keys("default"), OpenGate()
    await keys.admits(key, gate)
    aws.fake.fault("throttle", service="kms")
    with pytest.raises(Throttled):
        await messages.seal(Plaintext(b"a"), key, keys, gate)
    aws.fake.clear()
    assert (await messages.seal(Plaintext(b"a"), key, keys, gate)).key == key


class SlowKeys(Keys):
    """KMS that takes a minute for a data key."""

    async def admits(self, key_id: str, gate: Gate) -> bool:  # noqa: ARG002 -- the port's
        """Admit every key."""
        return True

    async def generate_data_key(
        self,
        key_id: str,
        gate: Gate,  # noqa: ARG002 -- the port's
        *,
        context: Context = (),  # noqa: ARG002
        size: int = 32,
        about: str = "",  # noqa: ARG002
    ) -> DataKey:
        """Make one, slowly."""
        await asyncio.sleep(60)
        return DataKey(key_id, Plaintext(b"k" * size), b"blob")

    async def decrypt(  # noqa: PLR0913 -- the port's
        self,
        blob: bytes,  # noqa: ARG002 -- the port's
        gate: Gate,  # noqa: ARG002
        *,
        context: Context = (),  # noqa: ARG002
        key_id: str | None = None,
        algorithm: str = SYMMETRIC,  # noqa: ARG002
        region: str | None = None,  # noqa: ARG002
        about: str = "",  # noqa: ARG002
    ) -> Opened:
        """Open one, slowly."""
        await asyncio.sleep(60)
        return Opened(key_id or "", Plaintext(b"k" * 32))


async def test_a_data_key_of_another_key_than_the_message_says(messages: Messages, metrics: Metrics) -> None:
    """However that came about, it is not used."""
    key = "arn:aws:kms:eu-west-1:111122223333:key/1"

    class Wrong(SlowKeys):
        """KMS that opens with another key."""

        async def decrypt(self, *_asked: object, **_more: object) -> Opened:
            """Open."""
            return Opened(f"{key}2", Plaintext(b"k" * 32))

    identity = Aws({"default": IdentitySpec(region="eu-west-1")}, {}, metrics).identity("default")
    sealed = sdk.seal_message(b"x", DataKey(key, Plaintext(b"k" * 32), b"w"), ())
    with pytest.raises(Undecryptable, match="another key than the message names"):
        await messages.open(sealed, Wrong(identity, None, metrics), OpenGate())


@pytest.mark.looptime
async def test_nobody_waits_longer_than_it_may_behind_another(
    messages: Messages, metrics: Metrics, registry: CollectorRegistry
) -> None:
    """Whoever wants the same data key waits for the one that asks, to its own deadline; the others get it at once."""
    key = "arn:aws:kms:eu-west-1:111122223333:key/1"
    keys = SlowKeys(Aws({"default": IdentitySpec(region="eu-west-1")}, {}, metrics).identity("default"), None, metrics)
    guard, value, loop = Guard(Limits(), dice=lambda: 1.0, metrics=metrics), Plaintext(b"x"), asyncio.get_running_loop()
    blob = (await messages.seal(value, key, keys, OpenGate(), context=(("the", "first"),))).blob
    for work in (lambda gate: messages.seal(value, key, keys, gate), lambda gate: messages.open(blob, keys, gate)):
        began = loop.time()
        others = [asyncio.Task(work(guard.gate(Priority.CALLER, began + patience))) for patience in (90, 70)]
        await asyncio.sleep(0)
        with pytest.raises(TimedOut, match="somebody else's request"):
            await work(guard.gate(Priority.CALLER, began + 5))
        assert loop.time() == began + 5
        await asyncio.gather(*others)
        assert loop.time() == began + 60
    assert (spoken(registry, "encrypt"), spoken(registry, "decrypt")) == ([1, 2, 0], [1, 1, 0])


async def test_large_messages_go_to_a_thread(messages: Messages, room: Aws, aws: AwsAccount) -> None:
    """1 MiB comes back whole."""
    key, keys, gate = aws.create_key(), room.keys("default"), OpenGate()
    value = bytes(range(256)) * 4096
    assert len(value) > IN_LOOP
    sealed = await messages.seal(Plaintext(value), key, keys, gate)
    assert (await messages.open(sealed.blob, keys, gate)).plaintext.reveal() == value


def official(*keys: str) -> tuple[aws_encryption_sdk.EncryptionSDKClient, object]:
    """Give the SDK as everybody uses it; the environment says where KMS is."""
    session = botocore.session.Session()
    provider = StrictAwsKmsMasterKeyProvider(key_ids=list(keys), botocore_session=session)
    policy = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
    return aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy), provider


async def test_agrees_with_the_official_sdk(messages: Messages, room: Aws, aws: AwsAccount) -> None:
    """What it wrote (signed, by its default) we read, and the other way round."""
    key, keys, gate = aws.create_key(), room.keys("default"), OpenGate()
    client, provider = official(key)
    theirs, _ = client.encrypt(source=b"theirs", key_provider=provider, encryption_context=dict(CONTEXT))
    opened = await messages.open(theirs, keys, gate, context=CONTEXT)
    assert (opened.key, opened.plaintext.reveal()) == (key, b"theirs")
    assert "aws-crypto-public-key" in dict(opened.context)
    ours = await messages.seal(Plaintext(b"ours"), key, keys, gate, context=CONTEXT)
    assert client.decrypt(source=ours.blob, key_provider=provider)[0] == b"ours"


class TestReferences:
    """Messages as kms: references, and as parameters of the advanced tier."""

    async def test_opens_once_and_checks_before_kms_is_asked(
        self, messages: Messages, room: Aws, aws: AwsAccount, metrics: Metrics
    ) -> None:
        """Wrong context, a key that is not allowed, garbage: one error each, and no request to KMS."""
        key, keys, gate = aws.create_key(), room.keys("default"), OpenGate()
        blob = (await messages.seal(Plaintext(b"hello"), key, keys, gate, context=CONTEXT)).blob
        text = base64.b64encode(blob).decode()
        good = parse(f"kms:{text}?context=app=web")
        bad = {
            parse(f"kms:{text}?context=app=other"): BadCiphertext,
            parse("kms:" + base64.b64encode(b"\x02\xff\xff" + blob[3:]).decode()): Undecryptable,
            parse("kms:" + base64.b64encode(blob[:60]).decode()): Undecryptable,
        }
        gate.calls.clear()
        answers = await room.source(KMS).fetch([*bad], gate)
        assert {ref: type(answer) for ref, answer in answers.items()} == bad
        assert all(ref.shown in str(answer) for ref, answer in answers.items())
        assert gate.calls == []
        opened = (await room.source(KMS).fetch([good], gate))[good]
        assert isinstance(opened, Secret)
        assert opened.plaintext.reveal() == b"hello"
        spec = {"default": IdentitySpec(region=aws.region, endpoint_url=aws.url)}
        other = [KeyPattern(aws.create_key())]
        async with Aws(spec, {}, metrics, allow_keys=other, envelopes=lambda: messages) as strict:
            gate.calls.clear()
            assert isinstance((await strict.source(KMS).fetch([good], gate))[good], KeyNotAllowed)
            assert "Decrypt" not in gate.operations
            with pytest.raises(KeyNotAllowed):
                await messages.seal(Plaintext(b"x"), key, strict.keys("default"), gate)

    async def test_parameters_of_the_advanced_tier_open_locally(self, room: Aws, aws: AwsAccount) -> None:
        """They are messages with the parameter's context; one Decrypt, by ourselves."""
        gate, key = OpenGate(), aws.create_key()
        aws.put_parameter("/app/big", "v" * 5000, KeyId=key, Tier="Advanced")
        ref = Ref(SourceKind.SSM, "/app/big")
        for decrypt in Decrypt:
            answer = (await room.source(Route(SourceKind.SSM, "default", decrypt)).fetch([ref], gate))[ref]
            assert isinstance(answer, Secret)
            assert answer.plaintext.reveal() == b"v" * 5000
        assert gate.operations.count("Decrypt") == 1

    async def test_objects_that_a_client_encrypted_are_opened(
        self, messages: Messages, room: Aws, aws: AwsAccount, metrics: Metrics
    ) -> None:
        """By their first bytes, under allowed keys only, with the context that is asked for; others stay as is."""
        key, keys, gate = aws.create_key(), room.keys("default"), OpenGate()
        sealed = (await messages.seal(Plaintext(b"v" * 100_000), key, keys, gate, context=CONTEXT)).blob
        aws.put_object("sealed", sealed)
        aws.put_object("altered", sealed[:-1] + bytes([sealed[-1] ^ 1]))
        aws.put_object("cut", sealed[:-100])
        aws.put_object("alike", b"\x02\x01\x02 no message")
        names = ("sealed", "sealed?context=app=web", "sealed?context=app=other", "altered", "cut", "alike")
        refs = {name: parse(f"s3://{aws.bucket}/{name}") for name in names}
        gate.calls.clear()
        answers = await room.source(S3).fetch([*refs.values()], gate)
        told = {name: answers[ref] for name, ref in refs.items()}
        for name, value in (("sealed", b"v" * 100_000), ("alike", b"\x02\x01\x02 no message")):
            answer = told[name]
            assert isinstance(answer, Secret)
            assert answer.plaintext.reveal() == value
        kinds = {name: type(told[name]) for name in ("sealed?context=app=other", "altered", "cut")}
        assert set(kinds.values()) == {BadCiphertext}
        assert all(str(told[name]).startswith(f"{refs[name]}: ") for name in kinds)
        assert gate.operations.count("Decrypt") == 1
        spec = {"default": IdentitySpec(region=aws.region, endpoint_url=aws.url)}
        async with Aws(spec, {}, metrics, allow_keys=[], envelopes=lambda: messages) as strict:
            answer = (await strict.source(S3).fetch([refs["sealed"]], gate))[refs["sealed"]]
        assert isinstance(answer, KeyNotAllowed)

    async def test_a_disabled_key_is_told_as_that(self, messages: Messages, room: Aws, aws: AwsAccount) -> None:
        """Of several data keys the last failure is told; a foreign provider's is none of ours."""
        key, keys, gate = aws.create_key(), room.keys("default"), OpenGate()
        sealed = await messages.seal(Plaintext(b"hello"), key, keys, gate)
        aws.client("kms").disable_key(KeyId=key)
        with pytest.raises(KeyDisabled):
            await messages.open(sealed.blob, keys, gate)

    async def test_one_of_several_data_keys_is_enough(self, messages: Messages, room: Aws, aws: AwsAccount) -> None:
        """The first that may be used and opens."""
        keys, gate = room.keys("default"), OpenGate()
        one, two = sorted([aws.create_key(), aws.create_key()])
        client, provider = official(one, two)
        both, _ = client.encrypt(source=b"both", key_provider=provider)
        aws.client("kms").disable_key(KeyId=one)
        assert (await messages.open(both, keys, gate)).key == two

    async def test_a_data_key_of_no_kms_key_asks_nothing(self, messages: Messages, room: Aws) -> None:
        """Whatever the message may say there."""
        gate = OpenGate()
        odd = sdk.seal_message(b"x", DataKey("arn:aws:kms:not a key", Plaintext(b"k" * 32), b"w"), ())
        with pytest.raises(KeyNotAllowed):
            await messages.open(odd, room.keys("default"), gate)
        assert set(gate.operations) <= {"GetCallerIdentity"}
