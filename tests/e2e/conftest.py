"""Give the whole-program tests an AWS, a folder, and daemons."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from sidecar.fakeaws.control import FakeAws
from tests.aws_fixtures import AwsAccount
from tests.e2e.processes import Daemon, environment, running, short_folder

_accounts = itertools.count(300_000_000_001)

Lend = Callable[[], AbstractContextManager[AwsAccount]]


@pytest.fixture(scope="session")
def lend_account(fake_aws: FakeAws) -> Lend:
    """Lend accounts for longer or shorter than a test."""

    @contextmanager
    def lend() -> Iterator[AwsAccount]:
        account = AwsAccount(fake_aws.of(str(next(_accounts))))
        yield account
        account.fake.reset()

    return lend


@pytest.fixture(scope="module")
def shared_aws(lend_account: Lend) -> Iterator[AwsAccount]:
    """Give the account that the tests of one module share."""
    with lend_account() as account:
        yield account


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder for one daemon."""
    with short_folder() as made:
        yield made


Start = Callable[..., Daemon]


@pytest.fixture
def start(aws: AwsAccount, folder: Path) -> Iterator[Start]:
    """Start daemons that end with the test: on this test's account, with these sections of the configuration."""
    with ExitStack() as ends:

        def begin(*, ready: bool = True, env: dict[str, str] | None = None, **sections: object) -> Daemon:
            environ = environment(aws, **(env or {}))
            return ends.enter_context(running(folder, sections, environ, ready=ready))

        yield begin
