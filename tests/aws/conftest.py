"""Give the tests of this folder a way to AWS: the fakes, a gate that lets all through, and the room itself."""

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client import CollectorRegistry

from sidecar.aws import Aws
from sidecar.core.config.models import IdentitySpec
from sidecar.fakeaws.control import FakeAws
from sidecar.telemetry import Metrics
from tests.aws.gates import OpenGate
from tests.aws.ministack import running_ministack
from tests.aws.scripted import ScriptedAws, scripted_aws
from tests.aws_fixtures import AwsAccount

_accounts = itertools.count(200_000_000_001)


@pytest.fixture(scope="session")
def ministack_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one MiniStack for all tests of this worker."""
    with running_ministack(tmp_path_factory.mktemp("ministack")) as url:
        yield url


@pytest.fixture
def ministack(ministack_url: str) -> AwsAccount:
    """Give an account of MiniStack that no other test uses; its `fake` steers nothing."""
    return AwsAccount(FakeAws(ministack_url, str(next(_accounts))))


@pytest.fixture
def account(aws: AwsAccount) -> AwsAccount:
    """Give the account that is asked: our fake's, unless a class says otherwise."""
    return aws


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let the SDK find the account's credentials, and nothing of the machine's own."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    asked = next((name for name in ("account", "aws") if name in request.fixturenames), None)
    found: AwsAccount | None = request.getfixturevalue(asked) if asked else None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", found.id if found else "111111111111")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")


@pytest.fixture
def gate() -> OpenGate:
    """Give a gate that lets everything through."""
    return OpenGate()


@pytest.fixture
def registry() -> CollectorRegistry:
    """Give where the room's counts can be read."""
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    """Count from zero."""
    return Metrics(registry)


@pytest.fixture
def identities(account: AwsAccount) -> dict[str, IdentitySpec]:
    """Say who there is to be: one identity, in the account's own region."""
    return {"default": IdentitySpec(region=account.region, endpoint_url=account.url)}


@pytest.fixture
async def script() -> AsyncIterator[ScriptedAws]:
    """Give an AWS that says what the test wrote down."""
    async with scripted_aws() as scripted:
        yield scripted


@pytest.fixture
async def scripted_room(script: ScriptedAws, metrics: Metrics) -> AsyncIterator[Aws]:
    """Give the room under test, wired to the script."""
    async with Aws({"default": IdentitySpec(region="eu-west-1", endpoint_url=script.url)}, {}, metrics) as aws:
        yield aws


@pytest.fixture
async def room(identities: dict[str, IdentitySpec], metrics: Metrics) -> AsyncIterator[Aws]:
    """Give the room under test, wired to the account."""
    async with Aws(identities, {}, metrics) as aws:
        yield aws
