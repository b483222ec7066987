"""What every test stands on: the virtual clock is installed before any loop is made, and there is an AWS to ask."""

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from sidecar.fakeaws.control import FakeAws, running_fake
from tests.aws_fixtures import AwsAccount

# looptime patches new event loops; pytest-asyncio would otherwise find one that was made before it.
asyncio.set_event_loop(None)

_accounts = itertools.count(100_000_000_001)


@pytest.fixture(scope="session")
def fake_aws() -> Iterator[FakeAws]:
    """Run one fake AWS for all tests of this worker; `aws.fake` steers it for one test's account."""
    with running_fake() as fake:
        yield fake


@pytest.fixture
def aws(fake_aws: FakeAws) -> Iterator[AwsAccount]:
    """Give each test an AWS account that no other test uses."""
    account = AwsAccount(fake_aws.of(str(next(_accounts))))
    yield account
    account.fake.reset()
