from typing import ClassVar

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from sidecar.aws import Aws
from sidecar.aws.sm import Refusal
from sidecar.core.errors import AccessDenied, KeyUnusable, NotFound, Throttled, Unintelligible
from sidecar.core.ports import Route, Source
from sidecar.core.quotas import Charge
from sidecar.core.refs import Pick, Ref, Selector, SourceKind, parse
from sidecar.core.secret import Revision, Secret
from tests.aws.conformance import SourceConformance, revision, value, version
from tests.aws.gates import OpenGate
from tests.aws.scripted import ScriptedAws
from tests.aws_fixtures import AwsAccount


class SmConformance(SourceConformance):
    """What the port promises, and what Secrets Manager adds to it."""

    kind = SourceKind.SM
    ghost = Selector(Pick.VERSION_ID, "00000000-0000-0000-0000-000000000000")

    def put(self, account: AwsAccount, name: str, value: str) -> Ref:
        """Store it as text."""
        account.put_secret(name, value)
        return Ref(SourceKind.SM, name)

    def remove(self, account: AwsAccount, name: str) -> None:
        """Delete it at once."""
        account.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)

    def arn(self, account: AwsAccount, name: str) -> str:
        """Ask for it."""
        return str(account.client("secretsmanager").describe_secret(SecretId=name)["ARN"])

    async def test_a_probe_brings_no_value(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """A probe tells version and stages, and charges KMS nothing."""
        ref = self.put(account, "app/db", "secret")
        probed = (await source.probe([ref], gate))[ref]
        assert isinstance(probed, Revision)
        assert probed.labels == ("AWSCURRENT",)
        assert (gate.operations, gate.calls[0].charges) == (["DescribeSecret"], (Charge("sm.describe"),))

    async def test_reads_binary_values(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """A binary value comes as its bytes, by itself and in a batch."""
        account.put_secret("app/key", bytes(range(256)))
        ref, other = Ref(SourceKind.SM, "app/key"), self.put(account, "app/text", "text")
        assert value((await source.fetch([ref], gate))[ref]) == bytes(range(256))
        fetched = await source.fetch([ref, other], gate)
        assert (value(fetched[ref]), value(fetched[other])) == (bytes(range(256)), b"text")

    async def test_fetches_many_with_one_request(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """Current versions asked for by name share one request, which charges KMS for each."""
        refs = [self.put(account, f"app/{number}", str(number)) for number in range(3)]
        fetched = await source.fetch(refs, gate)
        assert [value(fetched[ref]) for ref in refs] == [b"0", b"1", b"2"]
        assert gate.operations == ["BatchGetSecretValue"]
        assert Charge("kms.symmetric", 3) in gate.calls[0].charges

    async def test_reads_a_stage(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """AWSPREVIOUS is the version before; a stage that no version has is NotFound in both verbs."""
        ref = self.put(account, "app/db", "old")
        old = version((await source.probe([ref], gate))[ref])
        self.put(account, "app/db", "new")
        previous, odd = parse("sm:app/db?stage=AWSPREVIOUS"), parse("sm:app/db?stage=NONE")
        fetched, probed = await source.fetch([previous, odd], gate), await source.probe([previous, odd], gate)
        assert (value(fetched[previous]), version(fetched[previous])) == (b"old", old)
        assert version(probed[previous]) == old
        assert isinstance(fetched[odd], NotFound)
        assert isinstance(probed[odd], NotFound)

    async def test_a_rotation_under_way_changes_nothing(
        self, source: Source, account: AwsAccount, gate: OpenGate
    ) -> None:
        """A version staged AWSPENDING is not current until AWSCURRENT moves to it."""
        ref = self.put(account, "app/db", "current")
        before = version((await source.probe([ref], gate))[ref])
        secrets = account.client("secretsmanager")
        pending = secrets.put_secret_value(SecretId="app/db", SecretString="next", VersionStages=["AWSPENDING"])
        assert version((await source.probe([ref], gate))[ref]) == before
        assert value((await source.fetch([ref], gate))[ref]) == b"current"
        secrets.update_secret_version_stage(
            SecretId="app/db",
            VersionStage="AWSCURRENT",
            MoveToVersionId=pending["VersionId"],
            RemoveFromVersionId=before,
        )
        fetched = (await source.fetch([ref], gate))[ref]
        assert (value(fetched), version(fetched)) == (b"next", pending["VersionId"])

    async def test_a_partial_arn_is_the_same_value(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """An ARN without its last six characters finds the secret, under its name."""
        ref = self.put(account, "app/db", "one")
        partial = Ref(SourceKind.SM, self.arn(account, "app/db")[: -len("-AbCdEf")])
        probed = (await source.probe([ref, partial], gate))[partial]
        fetched = (await source.fetch([partial], gate))[partial]
        assert (revision(probed).ref, revision(fetched).ref) == (ref, ref)

    async def test_what_is_being_deleted_is_not_found(
        self, source: Source, account: AwsAccount, gate: OpenGate
    ) -> None:
        """In its recovery window a secret is NotFound, and the probe says why; restored, it is there again."""
        ref = self.put(account, "app/db", "still here")
        secrets = account.client("secretsmanager")
        secrets.delete_secret(SecretId="app/db", RecoveryWindowInDays=7)
        probed, fetched = (await source.probe([ref], gate))[ref], (await source.fetch([ref], gate))[ref]
        assert isinstance(probed, NotFound)
        assert "being deleted" in str(probed)
        assert isinstance(fetched, NotFound)
        secrets.restore_secret(SecretId="app/db")
        assert value((await source.fetch([ref], gate))[ref]) == b"still here"

    async def test_a_secret_without_value_is_not_found(
        self, source: Source, account: AwsAccount, gate: OpenGate
    ) -> None:
        """A secret that was never given a value has no current version."""
        account.client("secretsmanager").create_secret(Name="app/empty")
        ref = Ref(SourceKind.SM, "app/empty")
        assert isinstance((await source.probe([ref], gate))[ref], NotFound)
        assert isinstance((await source.fetch([ref], gate))[ref], NotFound)


class TestSmAgainstOurFake(SmConformance):
    """Our own fake."""


class TestSmAgainstMiniStack(SmConformance):
    """Another's fake."""

    gaps: ClassVar = {
        "test_a_secret_without_value_is_not_found": "MiniStack gives a secret without value a version AWSCURRENT",
    }

    @pytest.fixture
    def account(self, ministack: AwsAccount) -> AwsAccount:
        """Ask MiniStack."""
        return ministack


SM = Route(SourceKind.SM, "default")


def plant(account: AwsAccount, *names: str) -> list[Ref]:
    """Store secrets whose value is their name."""
    for name in names:
        account.put_secret(name, name)
    return [Ref(SourceKind.SM, name) for name in names]


class TestWithoutDescribe:
    """A role that may read but not describe."""

    async def test_reads_instead_and_says_so_once(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """The probe brings the secret itself; the missing right is logged once for the identity."""
        refs = plant(aws, "app/a", "app/b")
        aws.fake.deny("secretsmanager:DescribeSecret")
        with capture_logs() as logs:
            answers = await room.source(SM).probe(refs, gate)
            await room.source(SM).probe(refs, gate)
        assert {value(answer) for answer in answers.values()} == {b"app/a", b"app/b"}
        assert [(line["event"], line["identity"]) for line in logs] == [("describe_denied", "default")]

    async def test_does_not_ask_again_for_what_was_denied(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """From the second probe on it costs one request, not two."""
        ref = plant(aws, "app/a")[0]
        aws.fake.deny("secretsmanager:DescribeSecret")
        await room.source(SM).probe([ref], gate)
        gate.calls.clear()
        await room.source(SM).probe([ref], gate)
        assert gate.operations == ["GetSecretValue"]

    async def test_gives_up_describing_after_three(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """Once three could be read but none described, no other secret is tried either."""
        refs = plant(aws, "app/a", "app/b", "app/c", "app/d")
        aws.fake.deny("secretsmanager:DescribeSecret")
        await room.source(SM).probe(refs[:3], gate)
        gate.calls.clear()
        await room.source(SM).probe(refs[3:], gate)
        assert gate.operations == ["GetSecretValue"]

    async def test_one_secrets_own_policy_is_its_own_matter(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """Where others can be described, only the one that cannot is read instead."""
        refs = plant(aws, "app/a", "app/b", "app/c", "app/d")
        aws.fake.deny("secretsmanager:DescribeSecret", "*app/[abc]*")
        for _ in range(2):
            answers = await room.source(SM).probe(refs, gate)
        assert [type(answers[ref]) for ref in refs] == [Secret, Secret, Secret, Revision]

    async def test_a_secret_that_may_not_be_read_is_refused(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """Where reading is denied too, it is AccessDenied, and nothing is concluded for others."""
        denied, other = plant(aws, "app/a", "app/b")
        aws.fake.deny("secretsmanager:*", "*app/a*")
        with capture_logs() as logs:
            answers = await room.source(SM).probe([denied, other], gate)
        assert (type(answers[denied]), type(answers[other])) == (AccessDenied, Revision)
        assert logs == []


class TestBatches:
    """BatchGetSecretValue, where it is permitted."""

    async def test_reads_one_by_one_without_the_right(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """Denied once, batches are not tried again, and it is said once."""
        refs = plant(aws, "app/a", "app/b")
        aws.fake.deny("secretsmanager:BatchGetSecretValue")
        with capture_logs() as logs:
            for _ in range(2):
                answers = await room.source(SM).fetch(refs, gate)
        assert [value(answers[ref]) for ref in refs] == [b"app/a", b"app/b"]
        assert gate.operations.count("BatchGetSecretValue") == 1
        assert [line["event"] for line in logs] == ["batch_denied"]

    async def test_one_that_is_denied_leaves_the_others_alone(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """An item's own error is that item's answer."""
        refs = plant(aws, "app/a", "app/b", "app/c")
        aws.fake.deny("secretsmanager:GetSecretValue", "*app/b*")
        answers = await room.source(SM).fetch(refs, gate)
        assert [type(answers[ref]) for ref in refs] == [Secret, AccessDenied, Secret]
        assert gate.operations == ["BatchGetSecretValue"]

    async def test_what_is_being_deleted_is_told_by_its_item(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """In a batch, a secret in its recovery window is NotFound."""
        refs = plant(aws, "app/a", "app/b")
        aws.client("secretsmanager").delete_secret(SecretId="app/a", RecoveryWindowInDays=7)
        answers = await room.source(SM).fetch(refs, gate)
        assert (type(answers[refs[0]]), type(answers[refs[1]])) == (NotFound, Secret)

    async def test_an_item_that_was_left_out_is_asked_for_alone(
        self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate
    ) -> None:
        """A ref that the batch answers neither way gets its own request, and that one's answer."""
        script.say("BatchGetSecretValue", {"SecretValues": [told("app/a")], "Errors": []})
        script.say("GetSecretValue", script.error("ResourceNotFoundException"))
        a, b = Ref(SourceKind.SM, "app/a"), Ref(SourceKind.SM, "app/b")
        answers = await scripted_room.source(SM).fetch([a, b], gate)
        assert (type(answers[a]), type(answers[b])) == (Secret, NotFound)

    @pytest.mark.parametrize("page", [b"<html>", {}])
    async def test_an_odd_answer_is_asked_again_one_by_one(
        self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate, page: bytes | dict[str, object]
    ) -> None:
        """An endpoint that does not speak batches costs one request, and no secret."""
        script.say("BatchGetSecretValue", page)
        script.say("GetSecretValue", told("app/a"))
        refs = [Ref(SourceKind.SM, "app/a"), Ref(SourceKind.SM, "app/b")]
        answers = await scripted_room.source(SM).fetch(refs, gate)
        assert [type(answer) for answer in answers.values()] == [Secret, Secret]

    async def test_a_throttled_batch_is_not_made_worse(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """A transient failure of the batch is every ref's answer: twenty requests more would not help."""
        refs = plant(aws, "app/a", "app/b")
        aws.fake.fault("throttle")
        answers = await room.source(SM).fetch(refs, gate)
        assert [type(answers[ref]) for ref in refs] == [Throttled, Throttled]
        assert gate.operations == ["BatchGetSecretValue"]

    async def test_what_was_asked_for_together_names_no_neighbours(
        self, room: Aws, aws: AwsAccount, gate: OpenGate
    ) -> None:
        """Who may read one of them does not learn of the others by what went wrong with all."""
        refs = plant(aws, "app/a", "app/b")
        aws.fake.fault("500", service="secretsmanager")
        for answer in (await room.source(SM).fetch(refs, gate)).values():
            assert str(answer).startswith("a request for 2 secrets: AWS could not answer")


class TestTellings:
    """What an answer says beside the value."""

    async def test_tells_the_next_rotation(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """A probe tells when the secret is due to rotate."""
        ref = plant(aws, "app/a")[0]
        aws.fake.set_next_rotation("app/a", 2_000_000_000.0, region=aws.region)
        assert revision((await room.source(SM).probe([ref], gate))[ref]).rotates_at == 2_000_000_000.0

    async def test_a_disabled_key_shows_in_the_fetch(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """The probe does not touch the key; the fetch says KeyUnusable."""
        key = aws.create_key()
        aws.put_secret("app/a", "locked", KmsKeyId=key)
        aws.fake.set_key_state(key, "Disabled", region=aws.region)
        ref = Ref(SourceKind.SM, "app/a")
        assert isinstance((await room.source(SM).probe([ref], gate))[ref], Revision)
        assert isinstance((await room.source(SM).fetch([ref], gate))[ref], KeyUnusable)

    async def test_a_forbidden_key_is_access_denied(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """A key that the caller may not use is AccessDenied, and the mend names kms:Decrypt."""
        ref = plant(aws, "app/a")[0]
        aws.fake.deny("kms:Decrypt")
        answer = (await room.source(SM).fetch([ref], gate))[ref]
        assert isinstance(answer, AccessDenied)
        assert "kms:Decrypt" in answer.mend

    @pytest.mark.parametrize("page", [b"<html>", b"[]", b"null", {}, {"Name": "app/a"}])
    async def test_a_proxys_page_is_no_deletion(
        self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate, page: bytes | dict[str, object]
    ) -> None:
        """An answer without what it must have is Unintelligible, whatever it is made of."""
        script.say("DescribeSecret", page)
        script.say("GetSecretValue", page)
        ref, source = Ref(SourceKind.SM, "app/a"), scripted_room.source(SM)
        answers: list[object] = [(await source.probe([ref], gate))[ref], (await source.fetch([ref], gate))[ref]]
        assert [type(answer) for answer in answers] == [Unintelligible, Unintelligible]

    async def test_counts_what_kms_did_for_us(
        self, room: Aws, aws: AwsAccount, gate: OpenGate, registry: CollectorRegistry
    ) -> None:
        """Each plaintext that came is one charge, alone or in a batch; probes are none."""
        refs = plant(aws, "app/a", "app/b", "app/c")
        await room.source(SM).probe(refs, gate)
        await room.source(SM).fetch(refs[:2], gate)
        await room.source(SM).fetch(refs[2:], gate)
        counted = registry.get_sample_value("sidecar_kms_charges_total", {"reason": "sm"})
        assert counted == aws.fake.kms_charges() == 3

    async def test_reads_another_region_by_its_arn(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """An ARN is asked for where it lies, under that region's quotas, and keeps its ARN as its ref."""
        secrets = aws.client("secretsmanager", "us-east-1")
        arn = str(secrets.create_secret(Name="app/far", SecretString="far")["ARN"])
        ref = Ref(SourceKind.SM, arn)
        answer = (await room.source(SM).fetch([ref], gate))[ref]
        assert (value(answer), revision(answer).ref, revision(answer).region) == (b"far", ref, "us-east-1")
        assert {call.scope.region for call in gate.calls if call.service != "sts"} == {"us-east-1"}


def test_an_items_refusal_does_not_show_awss_text() -> None:
    """AWS's free text may quote anything: it has no repr."""
    assert "canary" not in repr(Refusal("app/a", "AccessDeniedException", "canary"))


def told(name: str) -> dict[str, object]:
    """Write what GetSecretValue answers."""
    arn = f"arn:aws:secretsmanager:eu-west-1:111111111111:secret:{name}-AbCdEf"
    return {"Name": name, "ARN": arn, "VersionId": "1" * 32, "SecretString": "x", "VersionStages": ["AWSCURRENT"]}
