import pytest
from prometheus_client import CollectorRegistry

from sidecar.aws import Aws
from sidecar.aws.failover import Failover
from sidecar.aws.sm import SecretsManager
from sidecar.aws.ssm import ParameterStore
from sidecar.core.config.models import IdentitySpec
from sidecar.core.errors import BadRef, ConfigError
from sidecar.core.ports import Decrypt, Route
from sidecar.core.refs import SourceKind, parse
from sidecar.telemetry import Metrics
from tests.aws.gates import OpenGate
from tests.aws_fixtures import AwsAccount

SSM, SM = Route(SourceKind.SSM, "default"), Route(SourceKind.SM, "default")
IDENTITIES = {"default": IdentitySpec(region="eu-west-1"), "dr": IdentitySpec(region="us-west-2")}


def built(failover: dict[SourceKind, tuple[str, ...]] | None = None) -> Aws:
    """Make the room."""
    return Aws(IDENTITIES, failover or {}, Metrics(CollectorRegistry()))


async def test_each_route_has_one_source() -> None:
    """A route's source is made once; another way to decrypt is another route."""
    aws = built()
    assert isinstance(aws.source(SSM), ParameterStore)
    assert isinstance(aws.source(SM), SecretsManager)
    assert aws.source(SSM) is aws.source(SSM)
    assert aws.trees(SSM) is aws.trees(SSM)
    assert aws.source(Route(SourceKind.SSM, "default", Decrypt.LOCAL)) is not aws.source(SSM)


async def test_only_the_head_of_a_list_fails_over() -> None:
    """Replicas stand in for the identity that begins the list, for that source; asked for directly they are plain."""
    aws = built({SourceKind.SM: ("default", "dr")})
    assert isinstance(aws.source(SM), Failover)
    assert isinstance(aws.source(Route(SourceKind.SM, "dr")), SecretsManager)
    assert isinstance(aws.source(SSM), ParameterStore)


async def test_a_list_of_one_is_no_failover() -> None:
    """An identity alone has nobody to turn to."""
    assert isinstance(built({SourceKind.SM: ("default",)}).source(SM), SecretsManager)


async def test_tells_regions() -> None:
    """Each identity's region is known without asking AWS; one without says what to set."""
    assert (built().region("default"), built().region("dr")) == ("eu-west-1", "us-west-2")
    homeless = Aws({"default": IdentitySpec()}, {}, Metrics(CollectorRegistry()))
    with pytest.raises(ConfigError, match="AWS_REGION"):
        homeless.source(SSM)


async def test_learns_accounts(aws: AwsAccount, gate: OpenGate, metrics: Metrics) -> None:
    """The account is asked of STS once, then known."""
    identities = {"default": IdentitySpec(region="eu-west-1", endpoint_url=aws.url)}
    async with Aws(identities, {}, metrics) as own:
        assert own.known_account("default") is None
        assert await own.account("default", gate) == aws.id
        assert await own.account("default", gate) == aws.id
        assert own.known_account("default") == aws.id
    assert gate.operations == ["GetCallerIdentity"]


async def test_checks_regions_at_once() -> None:
    """Identities that are used are checked before anything starts; others need no region."""
    specs = {**IDENTITIES, "lost": IdentitySpec()}
    aws = Aws(specs, {}, Metrics(CollectorRegistry()))
    aws.check_regions(["default", "dr"])
    with pytest.raises(ConfigError, match=r"identities\.lost\.region"):
        aws.check_regions(["default", "lost"])


class TestLocalising:
    """Refs as callers spell them."""

    async def test_ones_own_arn_becomes_the_name(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """An ARN of the identity's account and region is the name; another account's stays; STS is asked once."""
        own = parse(f"ssm:arn:aws:ssm:eu-west-1:{aws.id}:parameter/app/db?version=3#user")
        foreign = parse("ssm:arn:aws:ssm:eu-west-1:999999999999:parameter/app/db")
        assert await room.localise(own, gate) == parse("ssm:/app/db?version=3#user")
        assert await room.localise(foreign, gate) == foreign
        assert gate.operations == ["GetCallerIdentity"]

    async def test_a_name_asks_nobody(self, room: Aws, gate: OpenGate) -> None:
        """A name is canonical already."""
        assert await room.localise(parse("sm:app/db"), gate) == parse("sm:app/db")
        assert gate.calls == []

    async def test_without_an_account_an_arn_stays(self, room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
        """Where STS does not answer, the ARN is as good a name."""
        aws.fake.fault("outage", service="sts")
        ref = parse(f"ssm:arn:aws:ssm:eu-west-1:{aws.id}:parameter/app/db")
        assert await room.localise(ref, gate) == ref

    async def test_an_identity_that_is_none_is_a_bad_ref(self, room: Aws, gate: OpenGate) -> None:
        """?via= must name an identity of the configuration, and one with a region."""
        with pytest.raises(BadRef, match="no configured identity"):
            await room.localise(parse("sm:app/db?via=nobody"), gate)
        homeless = Aws({"default": IdentitySpec()}, {}, Metrics(CollectorRegistry()))
        with pytest.raises(BadRef, match="no region") as caught:
            await homeless.localise(parse("sm:app/db"), gate)
        assert "AWS_REGION" in caught.value.mend


async def test_closes_when_told(aws: AwsAccount, gate: OpenGate, metrics: Metrics) -> None:
    """Without a `with` block, close() ends the connections; closing twice is harmless."""
    own = Aws({"default": IdentitySpec(region="eu-west-1", endpoint_url=aws.url)}, {}, metrics)
    await own.account("default", gate)
    await own.close()
    await own.close()
