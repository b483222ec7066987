from pathlib import Path

import pytest

from sidecar.aws.answers import Answer
from sidecar.aws.identities import Identity, Question, region_of
from sidecar.aws.sessions import Sessions
from sidecar.core.config.models import IdentitySpec
from sidecar.core.errors import AccessDenied, ConfigError, Unintelligible, Unreachable
from sidecar.core.quotas import Charge, Scope
from sidecar.core.refs import Ref, SourceKind
from tests.aws.gates import OpenGate
from tests.aws.scripted import ScriptedAws
from tests.aws_fixtures import AwsAccount

ARN = "arn:aws:ssm:eu-west-1:111111111111:parameter/app/db"


def nobody(*_: object) -> None:
    """Count nothing."""


def identity(url: str | None = None, **spec: object) -> Identity:
    """Make an identity with sessions of its own."""
    given = IdentitySpec.model_validate({"region": "eu-west-1", "endpoint_url": url, **spec})
    return Identity("default", given, "eu-west-1", Sessions(nobody))


def question(name: str = "/app/db") -> Question[tuple[str, ...]]:
    """Ask for one parameter."""
    parameters = {"Names": [name], "WithDecryption": True}
    return Question(
        "ssm", "GetParameters", "eu-west-1", parameters, f"ssm:{name}", lambda told: told.texts("InvalidParameters"), 1
    )


class TestAsking:
    """One question, one request."""

    async def test_a_request_passes_the_gate_with_its_price(self, aws: AwsAccount, gate: OpenGate) -> None:
        """The gate is told service, operation, whose quotas and how much of them."""
        who = identity(aws.url)
        async with who.sessions:
            assert await who.ask(question(), gate) == ("/app/db",)
        (call,) = gate.calls
        assert (call.service, call.operation, call.scope) == ("ssm", "GetParameters", Scope("default", "eu-west-1"))
        assert call.charges == (Charge("ssm.get"), Charge("kms.symmetric"))

    async def test_the_sdk_does_not_retry(self, aws: AwsAccount, gate: OpenGate) -> None:
        """A 500 is one attempt on the wire: retries are the gate's."""
        aws.fake.fault("500")
        who = identity(aws.url)
        async with who.sessions:
            with pytest.raises(Unreachable):
                await who.ask(question(), gate)
        assert aws.fake.counts() == {"ssm.GetParameters": 1}

    async def test_what_the_reader_misses_fails_the_attempt(self, script: ScriptedAws, gate: OpenGate) -> None:
        """An answer is read within the attempt, so that the gate may try again."""
        script.say("GetParameters", {})

        def read(answer: Answer) -> str:
            return answer.text("Parameters")

        asked = Question("ssm", "GetParameters", "eu-west-1", {"Names": ["/a"]}, "ssm:/a", read)
        who = identity(script.url)
        async with who.sessions:
            with pytest.raises(Unintelligible, match="ssm:/a"):
                await who.ask(asked, gate)

    async def test_nobody_listens(self, gate: OpenGate, aws: AwsAccount) -> None:
        """A closed port is Unreachable, in one line."""
        who = identity("http://127.0.0.1:9")
        async with who.sessions:
            with pytest.raises(Unreachable) as caught:
                await who.ask(question(), gate)
        assert aws.id not in str(caught.value)
        assert "\n" not in str(caught.value)


class TestAccounts:
    """Whose account it is."""

    async def test_a_role_tells_it(self) -> None:
        """The role's ARN holds the account: quotas are known by it before the first request."""
        who = identity(role_arn="arn:aws:iam::222222222222:role/reader")
        assert who.scope("eu-west-1") == Scope("222222222222", "eu-west-1")

    async def test_an_answer_to_a_name_tells_it(self, gate: OpenGate) -> None:
        """What is asked for by name is one's own: STS need not be asked."""
        who = identity()
        ref = Ref(SourceKind.SSM, "/app/db")
        assert await who.named(ref, name="/app/db", arn=ARN, gate=gate) == ref
        assert (who.known_account, gate.calls) == ("111111111111", [])

    async def test_whoever_wants_to_know_is_told_once(self, aws: AwsAccount, gate: OpenGate) -> None:
        """By an answer or by STS, when the account becomes known; a role's is known before anybody asks."""
        told: list[tuple[str, str]] = []
        spec = IdentitySpec(region="eu-west-1", endpoint_url=aws.url)
        by_answer, by_sts = (
            Identity(name, spec, "eu-west-1", Sessions(nobody), lambda *known: told.append(known)) for name in "ab"
        )
        ref = Ref(SourceKind.SSM, "/app/db")
        for _ in range(2):
            await by_answer.named(ref, name="/app/db", arn=ARN, gate=gate)
        async with by_sts.sessions:
            assert await by_sts.account(gate) == await by_sts.account(gate) == aws.id
        assert told == [("a", "111111111111"), ("b", aws.id)]

    async def test_a_public_parameter_tells_nothing(self, gate: OpenGate) -> None:
        """Parameters that AWS publishes have no account; their name is their ref all the same."""
        who = identity()
        ref = Ref(SourceKind.SSM, "/aws/service/global")
        arn = "arn:aws:ssm:eu-west-1::parameter/aws/service/global"
        assert await who.named(ref, name=ref.id, arn=arn, gate=gate) == ref
        assert who.known_account is None

    async def test_an_arn_makes_sts_be_asked_once(self, aws: AwsAccount, gate: OpenGate) -> None:
        """Whether an ARN is one's own, STS tells, once."""
        who = identity(aws.url)
        own = ARN.replace("111111111111", aws.id)
        async with who.sessions:
            for _ in range(2):
                named = await who.named(Ref(SourceKind.SSM, own), name="/app/db", arn=own, gate=gate)
                assert named == Ref(SourceKind.SSM, "/app/db")
            foreign = await who.named(Ref(SourceKind.SSM, ARN), name="/app/db", arn=ARN, gate=gate)
            assert foreign == Ref(SourceKind.SSM, ARN)
        assert gate.operations == ["GetCallerIdentity"]

    async def test_no_secret_depends_on_sts(self, aws: AwsAccount, gate: OpenGate) -> None:
        """Where STS does not answer, an ARN stays an ARN; it is not asked for each value."""
        aws.fake.fault("outage", service="sts")
        who = identity(aws.url)
        own = ARN.replace("111111111111", aws.id)
        async with who.sessions:
            for _ in range(2):
                named = await who.named(Ref(SourceKind.SSM, own), name="/app/db", arn=own, gate=gate)
                assert named == Ref(SourceKind.SSM, own)
        assert (gate.operations, gate.onces) == (["GetCallerIdentity"], 1)

    async def test_an_arn_that_is_none_is_no_answer(self, gate: OpenGate) -> None:
        """A broken ARN is Unintelligible, and teaches nothing."""
        who = identity()
        with pytest.raises(Unintelligible, match="ssm:/app/db"):
            await who.named(Ref(SourceKind.SSM, "/app/db"), name="/app/db", arn="odd", gate=gate)
        assert who.known_account is None


class TestCredentials:
    """Credentials that come late, expire or are refused."""

    async def test_late_ones_are_found(self, aws: AwsAccount, gate: OpenGate, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without credentials it is Unreachable with a mend; as soon as there are some, the next request has them."""
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        who = identity(aws.url)
        async with who.sessions:
            with pytest.raises(Unreachable, match="there are no credentials") as caught:
                await who.ask(question(), gate)
            assert "AWS_ACCESS_KEY_ID" in caught.value.mend
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", aws.id)
            assert await who.ask(question(), gate) == ("/app/db",)

    async def test_a_rewritten_file_is_read_anew(
        self, aws: AwsAccount, gate: OpenGate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """When AWS refuses the credentials of a file, the file's new ones are used at the next request."""
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        file = tmp_path / "credentials"
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        text = "[default]\naws_access_key_id={}\naws_secret_access_key=x\n"
        file.write_text(text.format("AKIAOLD"))
        aws.fake.of("*").fault("expired-token", identity="AKIAOLD", count=1)
        who = identity(aws.url)
        async with who.sessions:
            with pytest.raises(Unreachable, match="invalid or expired"):
                await who.ask(question(), gate)
            file.write_text(text.format(aws.id))
            assert await who.ask(question(), gate) == ("/app/db",)
        assert [request.account for request in aws.fake.requests()] == [aws.id]

    async def test_a_wrong_clock_is_told_with_its_mend(self, aws: AwsAccount, gate: OpenGate) -> None:
        """A signature that is too old is the clock's fault, and transient."""
        aws.fake.fault("clock-skew")
        who = identity(aws.url)
        async with who.sessions:
            with pytest.raises(Unreachable) as caught:
                await who.ask(question(), gate)
        assert caught.value.mend == "Set this machine's clock."

    async def test_a_role_that_may_not_be_assumed(self, aws: AwsAccount, gate: OpenGate) -> None:
        """The wrong external id is AccessDenied, for the value that was asked for."""
        arn = f"arn:aws:iam::{aws.id}:role/reader"
        aws.fake.role(arn, external_id="right")
        who = identity(aws.url, role_arn=arn, external_id="wrong")
        async with who.sessions:
            with pytest.raises(AccessDenied, match="ssm:/app/db"):
                await who.ask(question(), gate)


class TestRegions:
    """Where an identity lives."""

    @pytest.fixture
    def profile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """Write a profile with a region of its own."""
        file = tmp_path / "config"
        file.write_text("[profile far]\nregion = ap-south-1\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
        return "far"

    def test_the_configuration_comes_first(self, profile: str) -> None:
        """Then AWS_REGION, then AWS_DEFAULT_REGION, then the profile."""
        both = {"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-south-1"}
        spec = IdentitySpec(profile=profile)
        assert region_of("x", IdentitySpec(region="eu-west-1", profile=profile), both) == "eu-west-1"
        assert region_of("x", spec, both) == "eu-north-1"
        assert region_of("x", spec, {"AWS_DEFAULT_REGION": "eu-south-1"}) == "eu-south-1"
        assert region_of("x", spec, {}) == "ap-south-1"

    def test_without_any_it_says_what_to_set(self) -> None:
        """No region anywhere is one problem, with its key."""
        with pytest.raises(ConfigError, match=r"identities\.billing\.region: .*AWS_REGION"):
            region_of("billing", IdentitySpec(), {})

    def test_a_profile_that_is_not_there(self) -> None:
        """A misspelt profile is a problem of its key, when its region is needed."""
        with pytest.raises(ConfigError, match=r"identities\.x\.profile"):
            region_of("x", IdentitySpec(profile="nowhere"), {})
