"""What was changed of moto itself."""

from collections.abc import Iterator

import pytest

from sidecar.fakeaws import stores
from sidecar.fakeaws.wire import AwsError

ACCOUNT = "650000000001"


@pytest.fixture
def secrets() -> Iterator[stores.SecretsManagerBackend]:
    """Give each test an empty store."""
    yield stores.secret_store(ACCOUNT, "eu-west-1")
    stores.forget_account(ACCOUNT)


def _create(store: stores.SecretsManagerBackend, name: str, *replicas: str) -> stores.FakeSecret:
    regions = [{"Region": region} for region in replicas]
    store.create_secret(name, "x", None, "", [], None, None, regions, force_overwrite=True)
    secret = store.secrets[name]
    assert isinstance(secret, stores.FakeSecret)
    return secret


def test_secrets_are_found_by_every_spelling(secrets: stores.SecretsManagerBackend) -> None:
    """Name, ARN and partial ARN find it; nothing else does."""
    secret = _create(secrets, "a/b")
    for spelling in ("a/b", secret.arn, secret.arn[:-7]):
        assert secrets.secrets[spelling] is secret
        assert spelling in secrets.secrets
    for other in ("a", "a/b-abcdef", secret.arn[:-1], f"{secret.arn}x"):
        assert other not in secrets.secrets
    with pytest.raises(KeyError):
        secrets.secrets["none"]


def test_replicas_are_found_while_they_are_there(secrets: stores.SecretsManagerBackend) -> None:
    """A replica is found by name in its own region, until it is removed."""
    secret = _create(secrets, "a", "us-west-2")
    elsewhere = stores.secret_store(ACCOUNT, "us-west-2").secrets
    assert elsewhere["a"].arn == secret.arn.replace("eu-west-1", "us-west-2")
    secrets.remove_regions_from_replication("a", ["us-west-2"])
    assert "a" not in elsewhere


def test_pairs_are_made_when_they_are_used() -> None:
    """No key gets a private half before somebody wants it."""
    store = stores.kms_store(ACCOUNT, "eu-west-1")
    pair = stores.pair_of(store.create_key(None, "SIGN_VERIFY", "ECC_NIST_P256", "", None))
    assert "private" not in vars(pair)
    assert pair.der
    assert "private" in vars(pair)


def test_regions_are_awss() -> None:
    """A region that AWS does not have is refused."""
    stores.check_region("eu-west-1")
    with pytest.raises(AwsError, match="UnrecognizedClientException"):
        stores.check_region("eu-nowhere-9")
