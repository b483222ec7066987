import pytest

from sidecar.planning.key_policies import KeyPolicyKind, KeyWish, doubts, key_policy
from sidecar.planning.places import Unsaid, World
from sidecar.planning.statements import Grant
from tests.planning.configured import configured
from tests.planning.granted import CLOSED, KEY, OTHER, OWN, WORLD, conditions

ROLE = f"arn:aws:iam::{OWN}:role/app"
WRITER = f"arn:aws:iam::{OWN}:role/deployer"
SHARED = f"arn:aws:secretsmanager:eu-west-1:{OTHER}:secret:shared-AbCdEf"
THEIRS = KEY.replace(OWN, OTHER)
DEFAULT, CUSTOM = KeyPolicyKind.DEFAULT, KeyPolicyKind.CUSTOM
BILLING = f"identities: {{billing: {{role_arn: 'arn:aws:iam::{OTHER}:role/r', region: eu-west-1}}}}\n"


def policy(text: str, wish: KeyWish, where: World = WORLD) -> dict[str, Grant]:
    """Write a key policy, its statements by their names."""
    return {grant.sid: grant for grant in key_policy(configured(CLOSED + text), wish, where)}


def custom(*readers: str, key: str | None = None, role: str = ROLE, writer: str = "") -> KeyWish:
    """Wish for one that names its readers."""
    return KeyWish(CUSTOM, readers or ("default",), key, role, writer)


def test_the_default_leaves_it_to_iam() -> None:
    """As AWS's own does: one statement, for the account."""
    found = policy("secrets: {a: sm:a}", KeyWish(DEFAULT, ("default",)))
    assert list(found) == ["AccountDecides"]
    assert found["AccountDecides"].principal == f"arn:aws:iam::{OWN}:root"
    assert (found["AccountDecides"].actions, found["AccountDecides"].resources) == (("kms:*",), ("*",))


def test_a_custom_one_names_the_role_service_and_context() -> None:
    """The account administers the key and does not use it."""
    found = policy("secrets: {a: sm:a}\ntrees: {t: ssm:/t/}", custom())
    assert list(found) == ["AccountAdministers", "DecryptSecrets", "DecryptTrees"]
    uses = {"kms:*", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncrypt*", "kms:Sign"}
    assert not uses & set(found["AccountAdministers"].actions)
    assert "kms:Put*" in found["AccountAdministers"].actions  # or nobody could ever change it
    decrypt = found["DecryptSecrets"]
    assert (decrypt.principal, decrypt.actions, decrypt.resources) == (ROLE, ("kms:Decrypt",), ("*",))
    assert conditions(decrypt)["StringEquals"] == {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}


def test_a_custom_one_needs_to_know_the_role() -> None:
    """A whole account is nobody in particular."""
    with pytest.raises(Unsaid, match="--role"):
        policy("secrets: {a: sm:a}", custom(role=""))


def test_who_writes_does_so_by_the_ways_on_which_is_read() -> None:
    """Through the services, and to KMS itself where ciphertexts are read."""
    found = policy("secrets: {a: sm:a, b: {ref: ssm:/b, decrypt: local}}", custom(writer=WRITER))
    assert "WriterEncrypts" not in found
    assert conditions(found["WriterWrites"])["StringEquals"]["kms:ViaService"] == [
        "secretsmanager.eu-west-1.amazonaws.com",
        "ssm.eu-west-1.amazonaws.com",
    ]
    found = policy('secrets: {a: "kms:AQICAHhxyz0="}', custom(writer=WRITER))
    assert "WriterWrites" not in found
    assert (found["WriterEncrypts"].principal, found["WriterEncrypts"].conditions) == (WRITER, ())


def test_the_other_half_of_a_cross_account_pair() -> None:
    """A key of another account names our role in either kind, for what of that account we read."""
    text = f'secrets: {{a: "{SHARED}", b: sm:b}}'
    for kind in KeyPolicyKind:
        found = policy(text, KeyWish(kind, ("default",), THEIRS, ROLE))
        first, second = found.values()
        assert first.principal == f"arn:aws:iam::{OTHER}:root"
        assert second.principal == ROLE
        assert conditions(second)["StringEquals"]["kms:EncryptionContext:SecretARN"] == SHARED
    assert policy(text, KeyWish(DEFAULT, ("default",), THEIRS))[f"DecryptSecretsOf{OTHER}"].principal == (
        f"arn:aws:iam::{OWN}:root"
    )


def test_a_central_key_serves_values_of_other_accounts() -> None:
    """Where none of the key's own account is read."""
    found = policy("secrets: {a: sm:a}", KeyWish(DEFAULT, ("default",), THEIRS, ROLE))
    assert list(found) == ["AccountDecides", "DecryptSecrets"]


def test_several_readers_are_told_apart() -> None:
    """By their names; a role's own is in the configuration."""
    text = f"secrets: {{a: sm:a, b: sm:b?via=billing}}\n{BILLING}"
    found = policy(text, custom("default", "billing", key=KEY))
    assert [(sid, grant.principal) for sid, grant in found.items()][1:] == [
        ("DecryptSecretsAsDefault", ROLE),
        ("DecryptSecretsAsBilling", f"arn:aws:iam::{OTHER}:role/r"),
    ]


def test_the_app_uses_the_key_as_access_rules_say() -> None:
    """But random bytes need none."""
    text = 'access: [{uid: 1, allow: ["kms/*"]}]\nkms: {allow_keys: [alias/app]}'
    found = policy(text, custom(key="alias/app"))
    assert list(found) == ["AccountAdministers", "FindKeys", "KmsForTheApp"]


def test_whether_an_alias_is_the_keys_nobody_knows_here() -> None:
    """So it is told, and neither granted: a key and an alias are the same only by the same name."""
    text = f'secrets: {{a: "kms:AQICAHhxyz0="}}\nkms: {{allow_keys: [alias/app, "{THEIRS}"]}}'
    config = configured(CLOSED + text)
    assert doubts(config, custom(key=KEY), WORLD) == ["alias/app"]
    assert doubts(config, custom(key="alias/app"), WORLD) == doubts(config, custom(), WORLD) == []
    assert list(policy(text, custom(key=KEY))) == ["AccountAdministers"]
    assert list(policy(text, custom(key="alias/app"))) == ["AccountAdministers", "OpenCiphertexts", "FindKeys"]
