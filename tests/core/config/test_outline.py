"""The keys and their variables are read off the models."""

import pytest

from sidecar.core.config.document import Path
from sidecar.core.config.outline import keys_at, variables


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        (("listen",), ["unix", "ops"]),
        (("listen", "unix"), ["path", "mode", "group"]),
        (("secrets", "any"), ["ref", "refresh", "ttl", "required", "decrypt"]),
        (("trees", "any"), ["ref", "refresh", "decrypt"]),
        (("access", 7), ["uid", "group", "allow", "admin"]),
        (("secrets",), []),
        (("quotas", "limits"), []),
        (("cache", "ttl"), []),
        (("no", "such", "key"), []),
    ],
)
def test_knows_the_keys_of_every_mapping(path: Path, keys: list[str]) -> None:
    """Whatever the names in between; free names and scalars have none."""
    assert keys_at(path) == keys


def test_every_scalar_at_a_fixed_path_has_a_variable() -> None:
    """Lists and mappings with free names have none, except the identity that always exists."""
    assert list(variables()) == [
        "SIDECAR_ON_DEMAND__MAX_ENTRIES",
        "SIDECAR_ON_DEMAND__MAX_BYTES",
        "SIDECAR_ON_DEMAND__IDLE",
        "SIDECAR_CACHE__REFRESH",
        "SIDECAR_CACHE__MIN_REFRESH",
        "SIDECAR_CACHE__TTL",
        "SIDECAR_CACHE__STALE_IF_ERROR",
        "SIDECAR_CACHE__REVOKE_AFTER",
        "SIDECAR_CACHE__NEGATIVE_TTL",
        "SIDECAR_CACHE__REVALIDATE",
        "SIDECAR_CACHE__KEEP_PREVIOUS",
        "SIDECAR_LISTEN__UNIX__PATH",
        "SIDECAR_LISTEN__UNIX__MODE",
        "SIDECAR_LISTEN__UNIX__GROUP",
        "SIDECAR_LISTEN__OPS",
        "SIDECAR_QUOTAS__SHARE",
        "SIDECAR_QUOTAS__DISCOVER",
        "SIDECAR_QUOTAS__BUDGET",
        "SIDECAR_FLEET__STORE",
        "SIDECAR_FLEET__NAME",
        "SIDECAR_FLEET__SHARE",
        "SIDECAR_FLEET__PASSWORD__FILE",
        "SIDECAR_KMS__DATA_KEY_CACHE__MAX_AGE",
        "SIDECAR_KMS__DATA_KEY_CACHE__MAX_BYTES",
        "SIDECAR_KMS__DATA_KEY_CACHE__MAX_MESSAGES",
        "SIDECAR_S3__MAX_OBJECT",
        "SIDECAR_METRICS__PER_SECRET",
        "SIDECAR_LOG__LEVEL",
        "SIDECAR_LOG__FORMAT",
        "SIDECAR_LOG__AUDIT",
        "SIDECAR_IDENTITIES__DEFAULT__REGION",
        "SIDECAR_IDENTITIES__DEFAULT__PROFILE",
        "SIDECAR_IDENTITIES__DEFAULT__ENDPOINT_URL",
        "SIDECAR_IDENTITIES__DEFAULT__USE_FIPS",
        "SIDECAR_IDENTITIES__DEFAULT__USE_DUALSTACK",
        "SIDECAR_IDENTITIES__DEFAULT__ROLE_ARN",
        "SIDECAR_IDENTITIES__DEFAULT__EXTERNAL_ID",
    ]
    assert variables()["SIDECAR_LISTEN__OPS"] == ("listen", "ops")
