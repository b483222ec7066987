import pytest
from prometheus_client import CollectorRegistry

from sidecar.aws import Aws
from sidecar.aws.failover import Failover
from sidecar.aws.sm import SecretsManager
from sidecar.aws.ssm import ParameterStore
from sidecar.core.config.models import IdentitySpec
from sidecar.core.errors import ConfigError
from sidecar.core.ports import Decrypt, Route
from sidecar.core.refs import SourceKind
from sidecar.telemetry import Metrics
from tests.aws.gates import OpenGate
from tests.aws_fixtures import AwsAccount

SSM, SM = Route(SourceKind.SSM, "default"), Route(SourceKind.SM, "default")
IDENTITIES = {"default": IdentitySpec(region="eu-west-1"), "dr": IdentitySpec(region="us-west-2")}


def room(failover: dict[SourceKind, tuple[str, ...]] | None = None) -> Aws:
    """Make the room."""
    return Aws(IDENTITIES, failover or {}, Metrics(CollectorRegistry()))


async def test_each_route_has_one_source() -> None:
    """A route's source is made once; another way to decrypt is another route."""
    aws = room()
    assert isinstance(aws.source(SSM), ParameterStore)
    assert isinstance(aws.source(SM), SecretsManager)
    assert aws.source(SSM) is aws.source(SSM)
    assert aws.trees(SSM) is aws.trees(SSM)
    assert aws.source(Route(SourceKind.SSM, "default", Decrypt.LOCAL)) is not aws.source(SSM)


async def test_only_the_head_of_a_list_fails_over() -> None:
    """Replicas stand in for the identity that begins the list, for that source; asked for directly they are plain."""
    aws = room({SourceKind.SM: ("default", "dr")})
    assert isinstance(aws.source(SM), Failover)
    assert isinstance(aws.source(Route(SourceKind.SM, "dr")), SecretsManager)
    assert isinstance(aws.source(SSM), ParameterStore)


async def test_a_list_of_one_is_no_failover() -> None:
    """An identity alone has nobody to turn to."""
    assert isinstance(room({SourceKind.SM: ("default",)}).source(SM), SecretsManager)


async def test_tells_regions() -> None:
    """Each identity's region is known without asking AWS; one without says what to set."""
    assert (room().region("default"), room().region("dr")) == ("eu-west-1", "us-west-2")
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
