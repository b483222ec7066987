import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from sidecar.aws import Aws
from sidecar.core.config.models import IdentitySpec
from sidecar.core.errors import (
    AccessDenied,
    Archived,
    BadCustomerKey,
    Failure,
    KeyDenied,
    KeyDisabled,
    NotFound,
    SecretError,
    Throttled,
    TooLarge,
    Transient,
    Undecryptable,
    Unintelligible,
    Unreachable,
    WrongRegion,
)
from sidecar.core.ports import Lent, Route, Source
from sidecar.core.quotas import Charge
from sidecar.core.refs import Pick, Ref, Selector, SourceKind, parse
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.telemetry import Metrics
from tests.aws.conformance import SourceConformance, value, version
from tests.aws.gates import OpenGate
from tests.aws.scripted import ScriptedAws
from tests.aws_fixtures import AwsAccount

S3 = Route(SourceKind.S3, "default")
SSE_KMS = {"ServerSideEncryption": "aws:kms"}
"""How an object is uploaded under SSE-KMS: the header x-amz-server-side-encryption: aws:kms."""


OBJECT = {"ETag": '"e"'}
"""The least that an answer with an object has."""


def ref_to(account: AwsAccount, key: str, query: str = "") -> Ref:
    """Refer to an object of the account's bucket."""
    return parse(f"s3://{account.bucket}/{key}{query}")


class S3Conformance(SourceConformance):
    """What the port promises, and what S3 adds to it."""

    kind = SourceKind.S3
    ghost = Selector(Pick.VERSION_ID, "3sL4kqtJlcpXroDTDmJ-rmSpXd3dIbrHY")

    def ref(self, account: AwsAccount, name: str) -> Ref:
        """Refer to an object of the account's bucket."""
        return ref_to(account, name.removeprefix("/"))

    def put(self, account: AwsAccount, name: str, value: str) -> Ref:
        """Store it in a bucket that keeps versions."""
        account.put_object("made", b"")
        account.keep_versions()
        account.put_object(name.removeprefix("/"), value.encode())
        return self.ref(account, name)

    def remove(self, account: AwsAccount, name: str) -> None:
        """Put a delete marker on top."""
        account.client("s3").delete_object(Bucket=account.bucket, Key=name.removeprefix("/"))

    def arn(self, account: AwsAccount, name: str) -> str:
        """Spell it: it has neither region nor account."""
        return f"arn:aws:s3:::{account.bucket}{name}"

    def by_arn(self, account: AwsAccount, name: str) -> Ref:
        """Read it: the name takes its place at once."""
        return parse(self.arn(account, name))

    async def test_a_probe_brings_no_value(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """A probe is a HEAD, charged to a rate of its own, never to KMS."""
        account.put_object("db", b"secret", **SSE_KMS, SSEKMSKeyId=account.create_key())
        probed = (await source.probe([ref_to(account, "db")], gate))[ref_to(account, "db")]
        assert isinstance(probed, Revision)
        assert (gate.operations[-1], gate.calls[-1].charges) == ("HeadObject", (Charge("s3.HeadObject"),))

    async def test_an_unversioned_bucket_is_known_by_etags(
        self, source: Source, account: AwsAccount, gate: OpenGate
    ) -> None:
        """Without versions the ETag is the version, and a change is another."""
        ref, etag = ref_to(account, "db"), account.put_object("db", b"old")
        assert version((await source.probe([ref], gate))[ref]) == etag
        changed = account.put_object("db", b"new")
        fetched = (await source.fetch([ref], gate))[ref]
        assert (value(fetched), version(fetched)) == (b"new", changed)
        assert changed != etag

    async def test_bytes_come_as_they_are(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """Any bytes, none at all too."""
        for key, content in (("all", bytes(range(256)) * 9), ("none", b"")):
            account.put_object(key, content)
            ref = ref_to(account, key)
            assert value((await source.fetch([ref], gate))[ref]) == content

    async def test_keys_may_hold_anything(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """Spaces, signs that mean something in a URL, other alphabets."""
        account.put_object("odd/a b+ü#?&%", b"odd")
        ref = ref_to(account, "odd/a b+ü%23%3F&%25")
        assert (ref.key, value((await source.fetch([ref], gate))[ref])) == ("odd/a b+ü#?&%", b"odd")


class TestS3AgainstOurFake(S3Conformance):
    """Our own fake."""


class TestS3AgainstMiniStack(S3Conformance):
    """Another's fake."""

    gaps: ClassVar = {}

    @pytest.fixture
    def account(self, ministack: AwsAccount) -> AwsAccount:
        """Ask MiniStack."""
        return ministack


@pytest.fixture
def source(room: Aws) -> Source:
    """Give the source under test."""
    return room.source(S3)


async def both(source: Source, ref: Ref, gate: OpenGate) -> tuple[object, object]:
    """Probe and fetch."""
    return (await source.probe([ref], gate))[ref], (await source.fetch([ref], gate))[ref]


class TestEncryptedObjects:
    """What S3 decrypts for us."""

    async def test_a_key_of_kms_is_charged_for_each_read(
        self, source: Source, aws: AwsAccount, gate: OpenGate, registry: CollectorRegistry
    ) -> None:
        """SSE-KMS costs a decryption a read and none a probe; SSE-S3 none at all."""
        under_kms, plain = ref_to(aws, "kms"), ref_to(aws, "plain")
        aws.put_object("kms", b"one", **SSE_KMS)
        aws.put_object("plain", b"two", ServerSideEncryption="AES256")
        await source.probe([under_kms, plain], gate)
        assert aws.fake.kms_charges() == 0
        fetched = await source.fetch([under_kms, plain], gate)
        assert [value(fetched[ref]) for ref in (under_kms, plain)] == [b"one", b"two"]
        assert Charge("kms.symmetric") in gate.calls[-1].charges
        assert aws.fake.kms_charges() == 1
        assert registry.get_sample_value("sidecar_kms_charges_total", {"reason": "s3"}) == 1

    async def test_a_key_that_cannot_be_used_shows_at_the_fetch(
        self, source: Source, aws: AwsAccount, gate: OpenGate
    ) -> None:
        """Disabled, shut out by its policy, denied by IAM: each by its own name; a probe sees none of them."""
        key = aws.create_key()
        aws.put_object("db", b"secret", **SSE_KMS, SSEKMSKeyId=key)
        ref = ref_to(aws, "db")
        aws.fake.set_key_state(key, "Disabled", region=aws.region)
        probed, fetched = await both(source, ref, gate)
        assert isinstance(probed, Revision)
        assert isinstance(fetched, KeyDisabled)
        aws.fake.set_key_state(key, "PendingDeletion", region=aws.region)
        assert failure((await source.fetch([ref], gate))[ref]).label == "key_pending_deletion"
        aws.fake.set_key_state(key, "Enabled", region=aws.region)
        aws.fake.deny("kms:Decrypt")
        assert isinstance((await source.fetch([ref], gate))[ref], KeyDenied)

    async def test_a_throttled_key_is_blamed_itself(self, source: Source, aws: AwsAccount, gate: OpenGate) -> None:
        """KMS behind S3 slows KMS's quota; S3's own SlowDown slows S3's, by HEAD and GET alike."""
        aws.put_object("db", b"secret", **SSE_KMS)
        ref = ref_to(aws, "db")
        aws.fake.limit({"kms.symmetric": 0})
        fetched = (await source.fetch([ref], gate))[ref]
        assert isinstance(fetched, Throttled)
        assert fetched.quota == "kms.symmetric"
        aws.fake.clear()
        aws.fake.fault("throttle", service="s3")
        told = [answer.quota for answer in await both(source, ref, gate) if isinstance(answer, Throttled)]
        assert told == ["s3.HeadObject", "s3.GetObject"]

    async def test_the_s3_encryption_clients_format_is_told(
        self, source: Source, aws: AwsAccount, gate: OpenGate
    ) -> None:
        """Its ciphertext is never served as a value."""
        aws.put_object("db", b"ciphertext", Metadata={"x-amz-key-v2": "AQID", "x-amz-iv": "AQID"})
        fetched = failure((await source.fetch([ref_to(aws, "db")], gate))[ref_to(aws, "db")])
        assert isinstance(fetched, Undecryptable)
        assert "S3 Encryption Client" in str(fetched)


def failure(answer: object) -> Failure:
    """Give an answer that must be a failure."""
    assert isinstance(answer, Failure), answer
    return answer


class TestAbsence:
    """What is not there, and what may not be seen."""

    async def test_a_missing_bucket_and_version(self, source: Source, aws: AwsAccount, gate: OpenGate) -> None:
        """Both are NotFound, in both verbs."""
        aws.put_object("db", b"here")
        for ref in (parse(f"s3://no-{aws.bucket}/db"), ref_to(aws, "db", "?version_id=abc")):
            probed, fetched = await both(source, ref, gate)
            assert isinstance(probed, NotFound)
            assert isinstance(fetched, NotFound)

    async def test_a_delete_marker_is_an_absence(self, source: Source, aws: AwsAccount, gate: OpenGate) -> None:
        """On top, or named by its own version."""
        aws.put_object("db", b"here")
        aws.keep_versions()
        aws.put_object("db", b"again")
        marker = aws.client("s3").delete_object(Bucket=aws.bucket, Key="db")["VersionId"]
        for query in ("", f"?version_id={marker}"):
            probed, fetched = await both(source, ref_to(aws, "db", query), gate)
            assert isinstance(probed, NotFound)
            assert isinstance(fetched, NotFound)

    @pytest.mark.parametrize(("action", "key"), [("s3:ListBucket", "nothing"), ("s3:GetObject", "db")])
    async def test_absence_and_refusal_look_alike_without_the_right_to_list(
        self, source: Source, aws: AwsAccount, gate: OpenGate, action: str, key: str
    ) -> None:
        """A 403 may mean either: the message says both, a mend for each."""
        aws.put_object("db", b"here")
        aws.fake.deny(action)
        for answer in await both(source, ref_to(aws, key), gate):
            assert isinstance(answer, AccessDenied)
            assert "AWS refuses, or there is no such object" in str(answer)
            assert "s3:ListBucket" in answer.mend
            assert "s3:GetObject" in answer.mend

    async def test_a_proxys_404_is_no_absence(self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate) -> None:
        """A HEAD that is not S3's own answer says nothing; nor does a page in place of an object."""
        ref, source = parse("s3://bucket/db"), scripted_room.source(S3)
        script.say("GetCallerIdentity", web.Response(status=403))
        script.say("HeadObject", web.Response(status=404))
        script.say("GetObject", web.Response(body=b"<html>sign in</html>", content_type="text/html"))
        for answer in await both(source, ref, gate):
            assert isinstance(answer, Unintelligible)
        script.say("HeadObject", web.Response(body=b"<html>", content_type="text/html"))
        assert isinstance((await source.probe([ref], gate))[ref], Unintelligible)


class TestRefusals:
    """What else AWS may answer."""

    @pytest.mark.parametrize("kind", ["expired-token", "bad-credentials", "clock-skew"])
    async def test_useless_credentials_are_no_refusal(
        self, source: Source, aws: AwsAccount, gate: OpenGate, kind: str
    ) -> None:
        """To a HEAD they look like one, so GET is asked what it was: transient, whatever the verb."""
        aws.put_object("db", b"here")
        aws.fake.fault(kind, service="s3")
        for answer in await both(source, ref_to(aws, "db"), gate):
            assert isinstance(answer, Unreachable)
        assert [call.operation for call in gate.calls[-3:]] == ["HeadObject", "GetObject", "GetObject"]

    async def test_a_probe_that_is_refused_may_still_be_read(
        self, source: Source, aws: AwsAccount, gate: OpenGate
    ) -> None:
        """Where only HEAD fails, the value itself is the answer of a probe."""
        aws.put_object("db", b"here")
        aws.fake.fault("access-denied", service="s3", operation="HeadObject")
        assert value((await source.probe([ref_to(aws, "db")], gate))[ref_to(aws, "db")]) == b"here"

    async def test_another_region_is_named(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """The bucket's region is told, and the SDK does not go there by itself."""
        aws.put_object("db", b"here")
        specs = {"default": IdentitySpec(region="us-east-1", endpoint_url=aws.url)}
        aws.fake.forget_requests()
        async with Aws(specs, {}, Metrics(CollectorRegistry())) as far:
            for answer in await both(far.source(S3), ref_to(aws, "db"), gate):
                assert isinstance(answer, WrongRegion)
                assert "another region, eu-west-1" in str(answer)
                assert "?via=NAME" in answer.mend
        assert aws.fake.counts() == {"s3.HeadObject": 1, "s3.GetObject": 1, "sts.GetCallerIdentity": 1}
        assert room.region("default") == aws.region

    async def test_an_archived_object_must_be_restored(self, source: Source, aws: AwsAccount, gate: OpenGate) -> None:
        """A HEAD sees it, a GET is told that it is in cold storage."""
        aws.put_object("db", b"cold", StorageClass="GLACIER")
        probed, fetched = await both(source, ref_to(aws, "db"), gate)
        assert isinstance(probed, Revision)
        assert isinstance(fetched, Archived)
        assert "restore-object" in fetched.mend

    async def test_another_accounts_bucket_without_policy(
        self, source: Source, aws: AwsAccount, gate: OpenGate
    ) -> None:
        """It is refused; with a policy it is read."""
        theirs = AwsAccount(aws.fake.of("111122223333"))
        theirs.put_object("db", b"theirs")
        ref = ref_to(theirs, "db")
        try:
            assert isinstance((await source.fetch([ref], gate))[ref], AccessDenied)
            theirs.client("s3").put_bucket_policy(Bucket=theirs.bucket, Policy='{"Statement": []}')
            assert value((await source.fetch([ref], gate))[ref]) == b"theirs"
        finally:
            theirs.fake.reset()


class TestSizes:
    """`s3.max_object`."""

    @pytest.fixture
    async def small(self, aws: AwsAccount, metrics: Metrics) -> AsyncIterator[Source]:
        """Give a source that takes ten bytes."""
        specs = {"default": IdentitySpec(region=aws.region, endpoint_url=aws.url)}
        async with Aws(specs, {}, metrics, max_object=10) as room:
            yield room.source(S3)

    async def test_the_most_is_read_and_more_refused(self, small: Source, aws: AwsAccount, gate: OpenGate) -> None:
        """Ten bytes come, eleven do not, and the connection serves on."""
        aws.put_object("ten", b"0123456789")
        aws.put_object("eleven", b"01234567890")
        fetched = await small.fetch([ref_to(aws, "ten"), ref_to(aws, "eleven")], gate)
        assert value(fetched[ref_to(aws, "ten")]) == b"0123456789"
        refused = failure(fetched[ref_to(aws, "eleven")])
        assert isinstance(refused, TooLarge)
        assert "larger than 10B" in str(refused)
        assert value((await small.fetch([ref_to(aws, "ten")], gate))[ref_to(aws, "ten")]) == b"0123456789"

    async def test_what_does_not_say_its_length_is_read_no_further(
        self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate
    ) -> None:
        """An object that comes in chunks without end is left where it is too large."""

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 2**20

        script.say("GetCallerIdentity", web.Response(status=403))
        script.say("GetObject", web.Response(body=endless(), headers=OBJECT))
        ref = parse("s3://bucket/db")
        assert isinstance((await scripted_room.source(S3).fetch([ref], gate))[ref], TooLarge)

    async def test_an_object_that_breaks_off_is_transient(
        self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate
    ) -> None:
        """Half an object is no value, and is tried again."""

        async def half() -> AsyncIterator[bytes]:
            yield b"half"
            raise ConnectionResetError

        script.say("GetCallerIdentity", web.Response(status=403))
        script.say("GetObject", web.Response(body=half(), headers={**OBJECT, "Content-Length": "8"}))
        ref = parse("s3://bucket/db")
        assert isinstance((await scripted_room.source(S3).fetch([ref], gate))[ref], Unreachable)

    async def test_an_object_that_came_damaged_is_transient(
        self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate
    ) -> None:
        """Its checksum tells."""
        headers = {**OBJECT, "x-amz-checksum-crc32": "AAAAAA=="}
        script.say("GetCallerIdentity", web.Response(status=403))
        script.say("GetObject", web.Response(body=b"other", headers=headers))
        ref = parse("s3://bucket/db")
        told = failure((await scripted_room.source(S3).fetch([ref], gate))[ref])
        assert isinstance(told, Transient)
        assert "damaged" in str(told)


CUSTOMERS = b"c" * 32
"""What an SSE-C object is uploaded with."""


def lent(value: bytes, version: str = "1", field: str | None = None) -> Lent:
    """Be a secret that holds a key."""
    return Lent(Secret(Revision(Ref(SourceKind.SM, "key"), Version(version), "eu-west-1"), Plaintext(value)), field)


@dataclass
class Pocket:
    """Lends what is in it."""

    content: Lent | SecretError | Transient
    asked: list[str] = field(default_factory=list)

    async def lend(self, name: str) -> Lent:
        """Give it, or fail."""
        self.asked.append(name)
        if isinstance(self.content, Lent):
            return self.content
        raise self.content


class CustomerKeys:
    """SSE-C, whichever AWS answers."""

    @pytest.fixture
    def pocket(self) -> Pocket:
        """Lend the right key."""
        return Pocket(lent(CUSTOMERS))

    @pytest.fixture
    async def source(self, aws: AwsAccount, pocket: Pocket, metrics: Metrics) -> AsyncIterator[Source]:
        """Give the source under test."""
        specs = {"default": IdentitySpec(region=aws.region, endpoint_url=aws.url)}
        async with Aws(specs, {}, metrics, lend=pocket.lend) as room:
            yield room.source(S3)

    def put(self, aws: AwsAccount, key: bytes = CUSTOMERS) -> Ref:
        """Upload an object under a key."""
        aws.put_object("db", b"value", SSECustomerAlgorithm="AES256", SSECustomerKey=key)
        return ref_to(aws, "db", "?sse_c=app/key")

    @pytest.mark.parametrize(
        "content",
        [
            lent(CUSTOMERS),
            lent(base64.b64encode(CUSTOMERS)),
            lent(base64.b64encode(CUSTOMERS) + b"\n"),
            lent(b'{"k": "%s"}' % base64.b64encode(CUSTOMERS), field="k"),
        ],
        ids=["bytes", "base64", "a line", "a field"],
    )
    async def test_the_key_is_lent_and_costs_no_kms(
        self, source: Source, aws: AwsAccount, gate: OpenGate, pocket: Pocket, *, content: Lent
    ) -> None:
        """32 bytes, or their base64, for HEAD and GET; the answer's version is told by both."""
        ref, pocket.content = self.put(aws), content
        probed, fetched = await both(source, ref, gate)
        assert isinstance(fetched, Secret)
        assert isinstance(probed, Revision)
        assert (value(fetched), fetched.revision.version) == (b"value", probed.version)
        assert pocket.asked == ["app/key"] * 2
        assert gate.calls[-1].charges == (Charge("s3.GetObject"),)

    async def test_a_new_key_makes_the_object_be_read_anew(
        self, source: Source, aws: AwsAccount, gate: OpenGate, pocket: Pocket
    ) -> None:
        """The version tells which version of the secret it was read with."""
        ref = self.put(aws)
        before = version((await source.probe([ref], gate))[ref])
        assert version((await source.probe([ref], gate))[ref]) == before
        pocket.content = lent(CUSTOMERS, "2")
        assert version((await source.probe([ref], gate))[ref]) != before

    async def test_another_key_than_the_objects(
        self, source: Source, aws: AwsAccount, gate: OpenGate, pocket: Pocket
    ) -> None:
        """AWS does not tell it from a refusal, so both are said."""
        ref, pocket.content = self.put(aws), lent(b"x" * 32)
        for answer in await both(source, ref, gate):
            assert isinstance(answer, AccessDenied)
            assert "under another key than the secret app/key holds" in answer.mend

    async def test_a_key_where_none_belongs_and_none_where_one_does(
        self, source: Source, aws: AwsAccount, gate: OpenGate
    ) -> None:
        """Each is told, with what to do."""
        ref = self.put(aws)
        for answer in await both(source, ref_to(aws, "db"), gate):
            assert isinstance(answer, BadCustomerKey)
            assert "?sse_c=" in answer.mend
        aws.put_object("db", b"plain")
        for answer in await both(source, ref, gate):
            assert isinstance(answer, BadCustomerKey)
            assert "Leave ?sse_c= out" in answer.mend


class TestCustomerKeysAgainstMiniStack(CustomerKeys):
    """Another's fake."""

    @pytest.fixture
    def aws(self, ministack: AwsAccount) -> AwsAccount:
        """Ask MiniStack."""
        return ministack


class TestCustomerKeys(CustomerKeys):
    """Our own fake, and what only it can show."""

    async def test_no_key_is_in_the_fakes_journal(self, source: Source, aws: AwsAccount, gate: OpenGate) -> None:
        """It keeps names and outcomes."""
        await both(source, self.put(aws), gate)
        assert CUSTOMERS.decode() not in str(aws.fake.requests())

    async def test_a_refusal_without_a_key_says_nothing_of_one(
        self, source: Source, aws: AwsAccount, gate: OpenGate
    ) -> None:
        """It is as it ever was."""
        aws.put_object("db", b"value")
        aws.fake.deny("s3:GetObject")
        answer = (await source.fetch([ref_to(aws, "db")], gate))[ref_to(aws, "db")]
        assert isinstance(answer, AccessDenied)
        assert "another key" not in answer.mend

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (lent(b"canary"), "holds neither 32 bytes nor their base64"),
            (lent(b"canary-canary-canary-canary-canary-"), "holds neither"),
            (lent(b""), "holds neither"),
            (lent(b"{}", field="k"), "holds neither"),
            (lent(b"canary", field="k"), "holds neither"),
            (BadCustomerKey("the secret app/key cannot be read"), "the secret app/key cannot be read"),
            (Transient("the secret app/key is not held yet"), "not held yet"),
        ],
    )
    async def test_a_key_that_cannot_be_lent_or_is_none(  # noqa: PLR0913 -- a table and its fixtures
        self, source: Source, aws: AwsAccount, gate: OpenGate, pocket: Pocket, *, content: Lent, told: str
    ) -> None:
        """One line that names object and secret; AWS is not asked, and nothing of the value is shown."""
        ref, pocket.content = self.put(aws), content
        aws.fake.forget_requests()
        for answer in await both(source, ref, gate):
            assert isinstance(answer, BadCustomerKey | Transient)
            assert str(answer).startswith(f"{ref}: ")
            assert told in str(answer)
            assert "canary" not in str(answer)
        assert "s3.GetObject" not in aws.fake.counts()

    async def test_it_does_not_travel_in_the_clear(self, metrics: Metrics, gate: OpenGate, pocket: Pocket) -> None:
        """Over plain HTTP to another machine nothing is sent."""
        specs = {"default": IdentitySpec(region="eu-west-1", endpoint_url="http://192.0.2.1:9")}
        ref = parse("s3://bucket/db?sse_c=key")
        async with Aws(specs, {}, metrics, lend=pocket.lend) as room:
            room.identity("default").known_account = "111111111111"
            for answer in await both(room.source(S3), ref, gate):
                assert isinstance(answer, BadCustomerKey)
                assert "would travel unencrypted" in str(answer)

    async def test_nobody_lends_unless_introduced(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """A fault of the program, not of the reference."""
        with pytest.raises(ExceptionGroup) as caught:
            await room.source(S3).fetch([ref_to(aws, "db", "?sse_c=key")], gate)
        assert caught.group_contains(LookupError)


class TestContexts:
    """`?context=` on an object."""

    async def test_it_wants_a_message(self, source: Source, aws: AwsAccount, gate: OpenGate) -> None:
        """What was not encrypted by the client is not taken for it."""
        aws.put_object("db", b"plain")
        ref = ref_to(aws, "db", "?context=app=web")
        answer = (await source.fetch([ref], gate))[ref]
        assert isinstance(answer, Undecryptable)
        assert "no Encryption SDK message" in str(answer)
