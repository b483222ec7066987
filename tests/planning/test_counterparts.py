import pytest

from sidecar.planning.counterparts import secret_policy, trust
from sidecar.planning.places import Unsaid, World
from tests.planning.configured import configured
from tests.planning.granted import OWN, WORLD, conditions

ROLE = f"arn:aws:iam::{OWN}:role/app"
CONFIG = configured(
    "identities: {one: {role_arn: 'arn:aws:iam::333333333333:role/one'}, "
    "two: {role_arn: 'arn:aws:iam::333333333333:role/two', external_id: x-42}}"
)


def test_a_role_trusts_the_daemons() -> None:
    """With the external id that the configuration tells."""
    found = trust(CONFIG, "two", ROLE, WORLD)
    assert (found.principal, found.actions, found.resources) == (ROLE, ("sts:AssumeRole",), ())
    assert conditions(found) == {"StringEquals": {"sts:ExternalId": "x-42"}}
    assert trust(CONFIG, "one", ROLE, WORLD).conditions == ()


def test_or_whom_iam_allows_in_the_daemons_account() -> None:
    """Where the role is not known, but the account is: deployed elsewhere, an open one would be another's."""
    assert trust(CONFIG, "one", "", WORLD).principal == f"arn:aws:iam::{OWN}:root"
    with pytest.raises(Unsaid, match="--role"):
        trust(CONFIG, "one", "", World())


def test_an_identity_without_a_role_is_trusted_by_nobody() -> None:
    """There is nothing to assume."""
    with pytest.raises(Unsaid, match="no role_arn"):
        trust(CONFIG, "default", ROLE, WORLD)


def test_a_secret_lets_another_account_in() -> None:
    """For what the daemon asks of it, as whoever the identity is."""
    found = secret_policy(CONFIG, "default", ROLE, WORLD)
    assert (found.principal, found.resources) == (ROLE, ("*",))
    assert found.actions == ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")
    assert secret_policy(CONFIG, "one", ROLE, WORLD).principal == "arn:aws:iam::333333333333:role/one"
    assert secret_policy(CONFIG, "default", "", WORLD).principal == f"arn:aws:iam::{OWN}:root"
    with pytest.raises(Unsaid, match="--role"):
        secret_policy(CONFIG, "default", "", World())
