from typing import ClassVar

import pytest
from prometheus_client import CollectorRegistry

from sidecar.aws import Aws
from sidecar.aws.ssm import Parameter, ParameterStore
from sidecar.core.errors import AccessDenied, KeyUnusable, NotFound, Throttled, Unintelligible
from sidecar.core.ports import Decrypt, Route, Source
from sidecar.core.quotas import Charge
from sidecar.core.refs import Pick, Ref, Selector, SourceKind, Tree, parse
from sidecar.core.secret import Revision
from sidecar.telemetry import KmsReason, Metrics
from tests.aws.conformance import SourceConformance, revision, value, version
from tests.aws.gates import OpenGate
from tests.aws.scripted import ScriptedAws
from tests.aws_fixtures import AwsAccount


class SsmConformance(SourceConformance):
    """What the port promises, and what Parameter Store adds to it."""

    kind = SourceKind.SSM
    ghost = Selector(Pick.VERSION, "99")

    def put(self, account: AwsAccount, name: str, value: str) -> Ref:
        """Store it as a SecureString."""
        account.put_parameter(name, value)
        return Ref(SourceKind.SSM, name)

    def remove(self, account: AwsAccount, name: str) -> None:
        """Delete it."""
        account.client("ssm").delete_parameter(Name=name)

    def arn(self, account: AwsAccount, name: str) -> str:
        """Ask for it."""
        return str(account.client("ssm").get_parameter(Name=name)["Parameter"]["ARN"])

    async def test_a_probe_of_a_string_brings_the_value(
        self, source: Source, account: AwsAccount, gate: OpenGate
    ) -> None:
        """What is not encrypted needs no second request: String and StringList come with the probe."""
        account.put_parameter("/app/host", "db.example", "String")
        account.put_parameter("/app/hosts", "a,b", "StringList")
        host, hosts = Ref(SourceKind.SSM, "/app/host"), Ref(SourceKind.SSM, "/app/hosts")
        probed = await source.probe([host, hosts], gate)
        assert (value(probed[host]), value(probed[hosts])) == (b"db.example", b"a,b")
        assert gate.operations == ["GetParameters"]

    async def test_a_probe_of_a_secure_string_brings_no_value(
        self, source: Source, account: AwsAccount, gate: OpenGate
    ) -> None:
        """An encrypted parameter's probe tells the version, and charges KMS nothing."""
        ref = self.put(account, "/app/db", "secret")
        assert isinstance((await source.probe([ref], gate))[ref], Revision)
        assert gate.calls[0].charges == (Charge("ssm.get"),)

    async def test_reads_by_label(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """A label picks its version, and is told; an unknown label is NotFound."""
        ref = self.put(account, "/app/db", "labelled")
        self.put(account, "/app/db", "newest")
        account.client("ssm").label_parameter_version(Name="/app/db", ParameterVersion=1, Labels=["green"])
        green, red = parse("ssm:/app/db?label=green"), parse("ssm:/app/db?label=red")
        fetched = await source.fetch([green, red, ref], gate)
        assert (value(fetched[green]), value(fetched[ref])) == (b"labelled", b"newest")
        assert revision(fetched[green]).labels == ("green",)
        assert isinstance(fetched[red], NotFound)

    async def test_reads_a_name_without_path(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """A parameter need not begin with a slash, and its ARN finds the same name."""
        ref = self.put(account, "plain", "no path")
        by_arn = Ref(SourceKind.SSM, self.arn(account, "plain"))
        fetched = await source.fetch([by_arn, ref], gate)
        assert {value(answer) for answer in fetched.values()} == {b"no path"}
        assert {revision(answer).ref for answer in fetched.values()} == {ref}

    async def test_walks_a_tree_page_by_page(self, room: Aws, account: AwsAccount, gate: OpenGate) -> None:
        """All that lies below the path comes, at any depth and over several pages; what lies beside it does not."""
        names = [f"/app/{number}" for number in range(11)] + ["/app/deep/er/still"]
        for name in names:
            self.put(account, name, f"value of {name}")
        self.put(account, "/apple", "beside")
        tree, trees = Tree("/app"), room.trees(Route(SourceKind.SSM, "default"))
        fetched = {ref.id: value(found) async for page in trees.fetch_tree(tree, gate) for ref, found in page.items()}
        assert fetched == {name: f"value of {name}".encode() for name in names}
        probed = {ref.id async for page in trees.probe_tree(tree, gate) for ref in page}
        assert probed == set(names)
        assert gate.operations == ["GetParametersByPath"] * 4

    async def test_an_empty_tree_is_no_error(self, room: Aws, gate: OpenGate) -> None:
        """Below a path that nothing lies under there is nothing."""
        trees = room.trees(Route(SourceKind.SSM, "default"))
        assert [page async for page in trees.probe_tree(Tree("/nothing"), gate) if page] == []


class TestSsmAgainstOurFake(SsmConformance):
    """Our own fake."""


class TestSsmAgainstMiniStack(SsmConformance):
    """Another's fake."""

    gaps: ClassVar = dict.fromkeys(
        ("test_a_pinned_version_stays", "test_reads_by_label"),
        "MiniStack's GetParameters takes `name:selector` for a name: no versions and labels",
    )

    @pytest.fixture
    def account(self, ministack: AwsAccount) -> AwsAccount:
        """Ask MiniStack."""
        return ministack


SSM = Route(SourceKind.SSM, "default")
LOCAL = Route(SourceKind.SSM, "default", Decrypt.LOCAL)


def plant(account: AwsAccount, *names: str) -> list[Ref]:
    """Store SecureStrings whose value is their name."""
    for name in names:
        account.put_parameter(name, name)
    return [Ref(SourceKind.SSM, name) for name in names]


def charged(registry: CollectorRegistry, reason: KmsReason) -> float | None:
    """Read how often KMS was counted."""
    return registry.get_sample_value("sidecar_kms_charges_total", {"reason": reason})


class TestRefusedNeighbours:
    """AWS refuses a whole request for the sake of one name in it."""

    async def test_only_the_refused_one_is_refused(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """One of ten that may not be read is found by halving; the nine others are answered."""
        refs = plant(aws, *(f"/app/{number}" for number in range(10)))
        aws.fake.deny("ssm:GetParameters", "*/app/6")
        answers = dict(await room.source(SSM).fetch(refs, gate))
        assert isinstance(answers.pop(refs[6]), AccessDenied)
        assert {ref.id.encode(): value(answer) for ref, answer in answers.items()} == {
            ref.id.encode(): ref.id.encode() for ref in refs if ref != refs[6]
        }
        assert len(gate.calls) <= 9

    async def test_what_was_refused_is_asked_apart_from_then_on(
        self, room: Aws, aws: AwsAccount, gate: OpenGate
    ) -> None:
        """The next check needs two requests, not another search; once allowed, one is enough again."""
        source, refs = room.source(SSM), plant(aws, *(f"/app/{number}" for number in range(10)))
        aws.fake.deny("ssm:GetParameters", "*/app/6")
        await source.probe(refs, gate)
        gate.calls.clear()
        assert isinstance((await source.probe(refs, gate))[refs[6]], AccessDenied)
        assert len(gate.calls) == 2
        aws.fake.clear()
        assert isinstance((await source.probe(refs, gate))[refs[6]], Revision)
        gate.calls.clear()
        await source.probe(refs, gate)
        assert len(gate.calls) == 1

    async def test_a_disabled_key_spoils_only_its_own(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """A value under a disabled key is KeyUnusable when fetched, its neighbours come; a probe cannot see it."""
        good, bad = plant(aws, "/app/good", "/app/bad")
        key = aws.create_key("alias/own")
        aws.put_parameter("/app/bad", "locked", KeyId=key)
        aws.fake.set_key_state(key, "Disabled", region=aws.region)
        answers = await room.source(SSM).fetch([good, bad], gate)
        assert value(answers[good]) == b"/app/good"
        assert isinstance(answers[bad], KeyUnusable)
        assert isinstance((await room.source(SSM).probe([bad], gate))[bad], Revision)

    async def test_a_forbidden_key_is_told_apart(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """A key that the caller may not use is AccessDenied, and the mend names kms:Decrypt."""
        ref = plant(aws, "/app/db")[0]
        aws.fake.deny("kms:Decrypt")
        answer = (await room.source(SSM).fetch([ref], gate))[ref]
        assert isinstance(answer, AccessDenied)
        assert "kms:Decrypt" in answer.mend

    async def test_remembers_only_so_many(
        self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate, metrics: Metrics
    ) -> None:
        """Whoever asks for ever new forbidden names cannot make the daemon remember them all."""
        script.say("GetParameters", script.error("AccessDeniedException"))
        source = ParameterStore(scripted_room.identity("default"), None, metrics, most_apart=2)
        refs = [Ref(SourceKind.SSM, f"/app/{number}") for number in range(3)]
        for ref in refs:
            await source.probe([ref], gate)
        gate.calls.clear()
        await source.probe(refs[:2], gate)
        assert len(gate.calls) == 3  # together, then each: both were forgotten when the third came


class TestTransient:
    """What is nobody's answer is never taken for one."""

    async def test_throttled(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """All refs of a throttled request are Throttled, and nothing more is sent; no quota is blamed without name."""
        refs = plant(aws, "/app/a", "/app/b")
        aws.fake.fault("throttle", service="ssm")
        answers = await room.source(SSM).probe(refs, gate)
        assert [(type(answer), getattr(answer, "quota", "")) for answer in answers.values()] == [(Throttled, None)] * 2
        assert len(gate.calls) == 1

    async def test_what_was_asked_for_together_names_no_neighbours(
        self, room: Aws, aws: AwsAccount, gate: OpenGate
    ) -> None:
        """Who may read one of them does not learn of the others by what went wrong with all."""
        refs = plant(aws, "/app/a", "/app/b")
        aws.fake.fault("500", service="ssm")
        for answer in (await room.source(SSM).probe(refs, gate)).values():
            assert str(answer).startswith("a request for 2 parameters: AWS could not answer")

    async def test_throttled_by_kms(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """Where AWS's message names KMS, its quota is blamed."""
        ref = plant(aws, "/app/a")[0]
        aws.fake.fault("throttle", message="Rate exceeded for KMS (Service: AWSKMS; Status Code: 400)")
        answer = (await room.source(SSM).fetch([ref], gate))[ref]
        assert isinstance(answer, Throttled)
        assert answer.quota == "kms.symmetric"

    async def test_a_proxys_page_is_no_deletion(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """A 200 with HTML is Unintelligible in every verb, though the SDK makes an empty answer of it."""
        ref = plant(aws, "/app/a")[0]
        aws.fake.fault("html-200")
        source, trees = room.source(SSM), room.trees(SSM)
        assert isinstance((await source.probe([ref], gate))[ref], Unintelligible)
        assert isinstance((await source.fetch([ref], gate))[ref], Unintelligible)
        with pytest.raises(Unintelligible):
            async for _ in trees.probe_tree(Tree("/app"), gate):
                pass

    async def test_an_answer_that_leaves_one_out(self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate) -> None:
        """A ref that is neither found nor invalid is Unintelligible."""
        script.say("GetParameters", {"Parameters": [], "InvalidParameters": []})
        ref = Ref(SourceKind.SSM, "/app/a")
        assert isinstance((await scripted_room.source(SSM).probe([ref], gate))[ref], Unintelligible)

    async def test_an_answer_with_a_broken_arn(self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate) -> None:
        """An ARN that is none makes the answer Unintelligible."""
        told = {"Name": "/app/a", "ARN": "odd", "Type": "String", "Value": "x", "Version": 1, "LastModifiedDate": 1.5}
        script.say("GetParameters", {"Parameters": [told], "InvalidParameters": []})
        ref = Ref(SourceKind.SSM, "/app/a")
        assert isinstance((await scripted_room.source(SSM).probe([ref], gate))[ref], Unintelligible)


class TestTrees:
    """Walks along odd roads."""

    async def test_goes_on_after_empty_pages(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """A page without parameters but with a token is followed."""
        refs = plant(aws, *(f"/app/{number:02}" for number in range(12)))
        aws.fake.empty_pages(2)
        found = [ref async for page in room.trees(SSM).probe_tree(Tree("/app"), gate) for ref in page]
        assert sorted(found, key=str) == refs
        assert len(gate.calls) == 6

    async def test_does_not_walk_in_circles(self, scripted_room: Aws, script: ScriptedAws, gate: OpenGate) -> None:
        """A token that comes again ends the walk as Unintelligible."""
        script.say("GetParametersByPath", {"Parameters": [], "NextToken": "round"})
        with pytest.raises(Unintelligible, match="same page"):
            async for _ in scripted_room.trees(SSM).probe_tree(Tree("/app"), gate):
                pass
        assert len(gate.calls) == 2

    async def test_an_unusable_key_ends_a_walk_that_fetches(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """AWS refuses the page, and so does the walk; without plaintexts it gets through."""
        plant(aws, "/app/db")
        aws.fake.deny("kms:Decrypt")
        with pytest.raises(AccessDenied):
            async for _ in room.trees(SSM).fetch_tree(Tree("/app"), gate):
                pass
        assert [len(page) async for page in room.trees(SSM).probe_tree(Tree("/app"), gate)] == [1]

    async def test_members_belong_to_the_trees_identity(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """The refs that a walk brings are read with the identity that walked."""
        plant(aws, "/app/db")
        pages = [page async for page in room.trees(SSM).probe_tree(Tree("/app", "default"), gate)]
        assert [revision(found).ref for page in pages for found in page.values()] == [Ref(SourceKind.SSM, "/app/db")]


class TestLocalDecryption:
    """decrypt: local."""

    async def test_opens_with_kms_itself(
        self, room: Aws, aws: AwsAccount, gate: OpenGate, registry: CollectorRegistry
    ) -> None:
        """Ciphertext comes from Parameter Store, plaintext from kms:Decrypt; a String needs no KMS."""
        key = aws.create_key("alias/own")
        aws.put_parameter("/app/db", "opened", KeyId=key)
        aws.put_parameter("/app/host", "plain", "String")
        db, host = Ref(SourceKind.SSM, "/app/db"), Ref(SourceKind.SSM, "/app/host")
        answers = await room.source(LOCAL).fetch([db, host], gate)
        assert (value(answers[db]), value(answers[host])) == (b"opened", b"plain")
        assert gate.operations == ["GetParameters", "Decrypt"]
        assert [request.with_decryption for request in aws.fake.requests("ssm", "GetParameters")] == [False]
        assert (charged(registry, KmsReason.DIRECT), charged(registry, KmsReason.SSM)) == (1, 0)

    async def test_the_version_is_the_same(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """Whoever decrypts, it is the same version."""
        aws.put_parameter("/app/db", "opened", KeyId=aws.create_key())
        ref = Ref(SourceKind.SSM, "/app/db")
        local, remote = await room.source(LOCAL).fetch([ref], gate), await room.source(SSM).fetch([ref], gate)
        assert version(local[ref]) == version(remote[ref])

    async def test_awss_own_key_is_not_for_us(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """Under alias/aws/ssm it is AccessDenied, with a mend that says how to go on."""
        ref = plant(aws, "/app/db")[0]
        answer = (await room.source(LOCAL).fetch([ref], gate))[ref]
        assert isinstance(answer, AccessDenied)
        assert "alias/aws/ssm" in answer.mend
        assert "decrypt: aws" in answer.mend

    async def test_walks_trees_too(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """A tree's pages are opened as they come."""
        aws.put_parameter("/app/db", "opened", KeyId=aws.create_key())
        pages = [page async for page in room.trees(LOCAL).fetch_tree(Tree("/app"), gate)]
        assert [value(found) for page in pages for found in page.values()] == [b"opened"]

    async def test_an_unusable_member_ends_the_walk(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """What cannot be opened is not left out in silence."""
        plant(aws, "/app/db")
        with pytest.raises(AccessDenied):
            async for _ in room.trees(LOCAL).fetch_tree(Tree("/app"), gate):
                pass


async def test_counts_what_kms_did_for_us(
    room: Aws, aws: AwsAccount, gate: OpenGate, registry: CollectorRegistry
) -> None:
    """The count of KMS's work on our behalf is the fake's own; probes and Strings add nothing."""
    refs = plant(aws, "/app/a", "/app/b")
    aws.put_parameter("/app/host", "plain", "String")
    refs.append(Ref(SourceKind.SSM, "/app/host"))
    await room.source(SSM).probe(refs, gate)
    await room.source(SSM).fetch(refs, gate)
    assert charged(registry, KmsReason.SSM) == aws.fake.kms_charges() == 2


def test_a_parameter_does_not_show_its_value() -> None:
    """What Parameter Store told has no repr that leaks."""
    told = Parameter("/a", "arn", secure=True, value="canary", version=1, modified_at=1.0, selector="")
    assert "canary" not in repr(told)
