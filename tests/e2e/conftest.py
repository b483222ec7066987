"""Give the whole-program tests an AWS, a folder, and daemons."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Elsewhere:
    """Accounts that a daemon reads by profiles: each fails in a way of its own, and leaves the others alone."""

    accounts: Mapping[str, AwsAccount]
    env: dict[str, str]

    @property
    def identities(self) -> dict[str, dict[str, str]]:
        """Be somebody in each."""
        return {name: {"profile": name, "region": account.region} for name, account in self.accounts.items()}

    @property
    def secrets(self) -> dict[str, str]:
        """Read the secret of each."""
        return {name: f"sm:s?via={name}" for name in self.accounts}


Lender = Callable[[Iterable[str]], Elsewhere]


@pytest.fixture
def elsewhere(lend_account: Lend, folder: Path) -> Iterator[Lender]:
    """Lend an account for each name, with a secret `s` that holds the name."""
    with ExitStack() as ends:

        def lend(names: Iterable[str]) -> Elsewhere:
            accounts = {name: ends.enter_context(lend_account()) for name in names}
            for name, account in accounts.items():
                account.put_secret("s", name)
            file = folder / "credentials"
            write_credentials(file, {name: account.id for name, account in accounts.items()})
            return Elsewhere(accounts, {"AWS_SHARED_CREDENTIALS_FILE": str(file)})

        yield lend


def write_credentials(path: Path, profiles: Mapping[str, str]) -> None:
    """Write a file of credentials as the AWS CLI does; an account's number is its access key here."""
    path.write_text(
        "\n".join(
            f"[{profile}]\naws_access_key_id = {account}\naws_secret_access_key = made-up"
            for profile, account in profiles.items()
        )
    )


Start = Callable[..., Daemon]


@pytest.fixture
def start(aws: AwsAccount, folder: Path) -> Iterator[Start]:
    """Start daemons that end with the test: on this test's account, with these sections of the configuration."""
    with ExitStack() as ends:

        def begin(*, ready: bool = True, env: dict[str, str] | None = None, **sections: object) -> Daemon:
            environ = environment(aws, **(env or {}))
            return ends.enter_context(running(folder, sections, environ, ready=ready))

        yield begin
